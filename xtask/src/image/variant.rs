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
}

impl Choice {
    #[must_use]
    pub(crate) const fn variant(self) -> Variant {
        match (self.debug_kernel, self.voluntary) {
            (true, _) => Variant::Debug,
            (false, true) => Variant::Voluntary,
            (false, false) => Variant::Plain,
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
        };
        let folder = repository().join("kernel/config");
        names
            .iter()
            .map(|name| folder.join(format!("{name}.config")))
            .collect()
    }

    /// The guest's memory, for a demo that asks for so much.
    #[must_use]
    pub(crate) fn memory_mib(self, asked: u32) -> u32 {
        match self {
            Self::Plain | Self::Voluntary => asked,
            Self::Debug => asked.saturating_mul(2).max(DEBUG_MEMORY_MIB),
        }
    }
}
