//! The C library, musl, built twice from one source: as it is for the ring-3 twin, and patched for the linked application.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::command::{logged, remove, tool, version};
use super::patches;
use super::places::{Key, Store, folder, repository, write_whole};
use super::sources::{self, MadeForMusl, Source};
use crate::progress::Step;

/// Written last: without it the folder was left half-made.
const BUILT: &str = ".uklscope-built";

/// Lines that make prints for one build: for the percentage alone.
const BUILD_LINES: usize = 1500;

/// What both builds and every demo are compiled with.
pub(crate) const COMMON_FLAGS: [&str; 6] = [
    "-g",
    "-O2",
    "-mno-red-zone",
    "-fno-pic",
    "-fno-stack-protector",
    "-fcf-protection=none",
];

/// Code and data in the highest 2 GiB, where the kernel lies.
pub(crate) const LINKED_FLAGS: [&str; 2] = ["-mcmodel=kernel", "-fno-pie"];

#[derive(Clone, Debug)]
pub(crate) struct Libc {
    folder: PathBuf,
    pub(crate) version: String,
}

/// Which of the two builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    Stock,
    Linked,
}

impl Flavour {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Linked => "ukl",
        }
    }
}

impl Libc {
    #[must_use]
    pub(crate) fn include(&self, flavour: Flavour) -> PathBuf {
        self.folder.join(flavour.name()).join("installed/include")
    }

    #[must_use]
    pub(crate) fn library(&self, flavour: Flavour, file: &str) -> PathBuf {
        self.folder.join(flavour.name()).join("lib").join(file)
    }
}

/// # Errors
/// When the patch cannot be read, or a tool is missing.
pub(crate) fn key(source: &Source) -> Result<String> {
    Ok(Key::default()
        .text(&source.version)
        .folder(&repository().join("kernel/musl"))?
        .text(&COMMON_FLAGS.join(" "))
        .text(&LINKED_FLAGS.join(" "))
        .text(&version("gcc")?)
        .text(&version("ld")?)
        .finish())
}

/// Builds both, where that was not done already.
///
/// # Errors
/// When a step fails; what it left counts for nothing and is removed by the next try.
pub(crate) fn prepare(
    store: &Store,
    made: &MadeForMusl,
    source: &Source,
    force: bool,
) -> Result<Libc> {
    let libc = Libc {
        folder: store.libc(&key(source)?),
        version: format!("musl {} ({})", made.version, source.version),
    };
    let stamp = libc.folder.join(BUILT);
    if force || !stamp.exists() {
        remove(&libc.folder)?;
        folder(&libc.folder)?;
        for flavour in [Flavour::Stock, Flavour::Linked] {
            build(&libc.folder, made, source, flavour)?;
        }
        write_whole(&stamp, libc.version.as_bytes())?;
    }
    Ok(libc)
}

fn build(into: &Path, made: &MadeForMusl, source: &Source, flavour: Flavour) -> Result<()> {
    let name = flavour.name();
    let mut step = Step::start(format!("building the C library ({name})"));
    let tree = into.join(name);
    let log = into.join(format!("uklscope-{name}.log"));
    sources::unpack(source, &tree, &log)?;
    let mut flags = COMMON_FLAGS.to_vec();
    if flavour == Flavour::Linked {
        let subject = patches::Subject {
            what: source.version.clone(),
            tried: &made.tried,
            option: "--musl-source",
        };
        patches::apply(&tree, &repository().join("kernel/musl"), &subject)?;
        flags.extend(LINKED_FLAGS);
    }
    let what = format!("building the C library ({name})");
    let mut configure = tool("./configure");
    configure
        .current_dir(&tree)
        .arg("--disable-shared")
        .arg(format!("--prefix={}", tree.join("installed").display()))
        .env("CFLAGS", flags.join(" "));
    logged(configure, &what, &log, |_| {})?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut make = tool("make");
    // Not its Scrt1.o, which is position-independent and cannot take the kernel's code model.
    make.arg("-C").arg(&tree).arg(format!("-j{cores}")).args([
        "lib/libc.a",
        "lib/crt1.o",
        "lib/crti.o",
        "lib/crtn.o",
        "install-headers",
    ]);
    let mut lines = 0;
    logged(make, &what, &log, |_| {
        lines += 1;
        step.percent(lines, BUILD_LINES);
    })?;
    fs::metadata(tree.join("lib/libc.a"))
        .with_context(|| format!("{what}: lib/libc.a was not made"))?;
    step.done();
    Ok(())
}
