//! Kernels of the same source in other configurations; each has a tree, and images, of its own.

use std::path::PathBuf;

use super::places::repository;

/// The least that a guest needs whose kernel keeps a shadow of all memory.
const DEBUG_MEMORY_MIB: u32 = 768;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Variant {
    /// What is measured: no preemption in the kernel, no checks.
    #[default]
    Plain,
    /// Preempted at the places where the kernel offers it.
    Voluntary,
    /// Memory, locks and contexts checked at run time; preempted voluntarily.
    Debug,
    /// With probes at the ways in and out, and the kernel's own function tracers.
    Probes,
}

#[derive(Clone, Debug)]
pub(crate) struct Additions {
    pub(crate) patches: PathBuf,
    pub(crate) tree: PathBuf,
    /// The layout of the records, for C.
    pub(crate) wire: PathBuf,
}

/// The choice as options of a command.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Choice {
    /// A kernel that checks itself, with KASAN and lockdep: the image NAME+debug
    #[arg(long)]
    debug_kernel: bool,
    /// A kernel with voluntary preemption: the image NAME+voluntary
    #[arg(long, conflicts_with = "debug_kernel")]
    voluntary: bool,
    /// A kernel with probes, for `uklscope trace --engine probes`: the image NAME+probes
    #[arg(long, conflicts_with_all = ["debug_kernel", "voluntary"])]
    probes: bool,
}

impl Choice {
    pub(crate) const fn probes() -> Self {
        Self {
            debug_kernel: false,
            voluntary: false,
            probes: true,
        }
    }

    #[must_use]
    pub(crate) const fn variant(self) -> Variant {
        if self.debug_kernel {
            Variant::Debug
        } else if self.voluntary {
            Variant::Voluntary
        } else if self.probes {
            Variant::Probes
        } else {
            Variant::Plain
        }
    }
}

impl Variant {
    /// What follows the name of its images.
    #[must_use]
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Voluntary => "+voluntary",
            Self::Debug => "+debug",
            Self::Probes => "+probes",
        }
    }

    /// The folder of an image in the store, by its demo.
    #[must_use]
    pub(crate) fn image(self, demo: &str) -> String {
        format!("{demo}{}", self.suffix())
    }

    /// The parts of the configuration, each over the ones before it.
    #[must_use]
    pub(crate) fn fragments(self) -> Vec<PathBuf> {
        let names: &[&str] = match self {
            Self::Plain => &["ukl"],
            Self::Voluntary => &["ukl", "voluntary"],
            Self::Debug => &["ukl", "voluntary", "debug"],
            Self::Probes => &["ukl", "probes"],
        };
        let folder = repository().join("kernel/config");
        names
            .iter()
            .map(|name| folder.join(format!("{name}.config")))
            .collect()
    }

    /// What the kernel's source gets beside the series: patches over it, and folders laid over the tree. The
    /// other kernels are built without, so that nothing of it can change what is measured there.
    #[must_use]
    pub(crate) fn additions(self) -> Option<Additions> {
        (self == Self::Probes).then(|| {
            let guest = repository().join("probes/guest");
            Additions {
                patches: guest.join("patches"),
                tree: guest.join("tree"),
                wire: repository().join("probes/wire/include/uklscope_wire.h"),
            }
        })
    }

    /// The guest's memory, for a demo that asks for so much.
    #[must_use]
    pub(crate) fn memory_mib(self, asked: u32) -> u32 {
        match self {
            Self::Plain | Self::Voluntary | Self::Probes => asked,
            Self::Debug => asked.saturating_mul(2).max(DEBUG_MEMORY_MIB),
        }
    }
}
