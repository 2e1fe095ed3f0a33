//! Programs from Debian source packages: unpacked, patched and compiled once per key, for the kernel and for ring 3.
//!
//! A demo's `build.mk` compiles each of its programs to one relocatable object, without the C library. It is run
//! twice, with the linked application's flags and with the twin's, each time in an empty folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::application;
use super::command::{logged, remove, tool};
use super::demo::Demo;
use super::kept;
use super::libc::{Flavour, Libc};
use super::patches;
use super::places::{Key, Store, folder, repository, write_whole};
use super::sources::{self, Source};
use crate::progress::Step;

/// Written last: without it the folder was left half-made.
const BUILT: &str = ".uklscope-built";

/// Part of the key: change it when the code here, or the flags of the application, make other objects of the same inputs.
const RECIPE: &str = "2";

const MAKEFILE: &str = "build.mk";

/// `[build]` of a `demo.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Build {
    /// What `build.mk` makes: for each name a `NAME.o`. The first is the application.
    pub(crate) programs: Vec<String>,
    /// The Debian source packages, by name.
    pub(crate) packages: BTreeMap<String, Package>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Package {
    /// `7.0`: what any version begins with that can work.
    pub(crate) series: String,
    pub(crate) tried: Vec<String>,
}

/// A demo's package sources, found or fetched, and the key of what is built from them.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    found: BTreeMap<String, Source>,
    pub(crate) key: String,
}

/// What was built.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
    names: Vec<String>,
}

impl Sources {
    /// # Errors
    /// When a source package cannot be fetched, or a file of the demo cannot be read.
    pub(crate) fn find(
        store: &Store,
        demo: &Demo,
        build: &Build,
        given: &BTreeMap<String, PathBuf>,
        libc_key: &str,
    ) -> Result<Self> {
        let mut key = Key::default()
            .text(RECIPE)
            .text(libc_key)
            .text(&build.programs.join(" "))
            .file(&demo.folder.join(MAKEFILE))?
            .folder(&repository().join("kernel/include"))?;
        let mut found = BTreeMap::new();
        for (name, package) in &build.packages {
            let source = sources::package(
                store,
                name,
                &package.series,
                given.get(name).map(PathBuf::as_path),
            )?;
            key = key.text(name).text(&source.version);
            found.insert(name.clone(), source);
        }
        let patches = demo.folder.join("patches");
        if patches.is_dir() {
            key = key.folder(&patches)?;
        }
        Ok(Self {
            found,
            key: key.finish(),
        })
    }
}

impl Programs {
    /// The patched trees, by package.
    #[must_use]
    pub(crate) fn sources(&self) -> PathBuf {
        self.folder.join("sources")
    }

    /// The application, as one relocatable object.
    #[must_use]
    pub(crate) fn application(&self, flavour: Flavour) -> Option<PathBuf> {
        Some(self.object(flavour, self.names.first()?))
    }

    /// The ring-3 programs beside the application: name and object.
    pub(crate) fn others(&self) -> impl Iterator<Item = (&str, PathBuf)> {
        let names = self.names.iter().skip(1);
        names.map(|name| (name.as_str(), self.object(Flavour::Stock, name)))
    }

    fn object(&self, flavour: Flavour, name: &str) -> PathBuf {
        self.folder.join(flavour.name()).join(format!("{name}.o"))
    }
}

/// Compiles the programs, where that was not done already.
///
/// # Errors
/// When a step fails; what it left counts for nothing and is removed by the next try.
pub(crate) fn prepare(
    store: &Store,
    demo: &Demo,
    build: &Build,
    sources: &Sources,
    libc: &Libc,
    force: bool,
) -> Result<Programs> {
    let programs = Programs {
        folder: store.programs(&demo.name, &sources.key),
        names: build.programs.clone(),
    };
    let stamp = programs.folder.join(BUILT);
    if force || !stamp.exists() {
        remove(&programs.folder)?;
        folder(&programs.folder)?;
        kept::copy(&[repository().join("kernel/include")], &programs.folder)?;
        let trees = programs.folder.join("sources");
        for (name, package) in &build.packages {
            let source = sources
                .found
                .get(name)
                .context("its source was not looked for")?;
            unpack(demo, name, package, source, &trees.join(name))?;
        }
        for flavour in [Flavour::Stock, Flavour::Linked] {
            compile(demo, build, libc, flavour, &programs.folder)?;
        }
        write_whole(&stamp, b"")?;
    }
    Ok(programs)
}

fn unpack(demo: &Demo, name: &str, package: &Package, source: &Source, tree: &Path) -> Result<()> {
    let step = Step::start(format!("unpacking and patching {name}"));
    let log = tree.with_extension("log");
    folder(tree.parent().unwrap_or(tree))?;
    sources::unpack(source, tree, &log)?;
    let patches = demo.folder.join("patches").join(name);
    if patches.is_dir() {
        let subject = patches::Subject {
            what: source.version.clone(),
            tried: &package.tried,
            option: &format!("--source {name}="),
        };
        patches::apply(tree, &patches, &subject)?;
    }
    step.done();
    Ok(())
}

fn compile(demo: &Demo, build: &Build, libc: &Libc, flavour: Flavour, into: &Path) -> Result<()> {
    let what = format!(
        "compiling {} ({})",
        build.programs.join(", "),
        flavour.name()
    );
    let step = Step::start(what.as_str());
    let target = into.join(flavour.name());
    folder(&target)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let [before, after] = application::around(libc)?;
    let mut make = tool("make");
    make.arg("-C")
        .arg(&target)
        .arg("-f")
        .arg(demo.folder.join(MAKEFILE))
        .arg(format!("-j{cores}"))
        .args(build.programs.iter().map(|name| format!("{name}.o")))
        .env("SOURCES", into.join("sources"))
        .env("CC", "gcc")
        .env("LD", "ld")
        .env("AR", "ar")
        .env(
            "CFLAGS",
            application::cflags(libc, flavour, into)?.join(" "),
        )
        .env("LDFLAGS", before)
        .env("LIBS", after)
        .env("SOURCE_DATE_EPOCH", "0");
    logged(
        make,
        &what,
        &into.join(format!("{}.log", flavour.name())),
        |_| {},
    )?;
    step.done();
    Ok(())
}
