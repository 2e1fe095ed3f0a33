//! QEMU's own plugins, as rivals: no package has them, so they are compiled of QEMU's source package.
//!
//! Their interface has a version: that of the source is the system's QEMU's, as both are of one release.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use debugger::qemu::arguments::Plugin;

use crate::image::{
    Key, Store, fetch_package, fetch_source_package, folder, logged, output, remove,
};
use crate::progress::Step;

/// A plugin of QEMU's, and what it does for what it costs.
#[derive(Debug)]
pub(super) struct Rival {
    pub(super) name: &'static str,
    pub(super) does: &'static str,
    plugin: PathBuf,
    arguments: &'static [(&'static str, &'static str)],
}

/// Name, source, arguments, what it does.
type Known = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

const PLUGINS: [Known; 4] = [
    (
        "QEMU's empty",
        "tests/plugin/empty.c",
        &[],
        "nothing, at each translation",
    ),
    (
        "QEMU's insn, inline",
        "tests/plugin/insn.c",
        &[("inline", "on")],
        "one count of all instructions, by an addition for each",
    ),
    (
        "QEMU's insn",
        "tests/plugin/insn.c",
        &[],
        "one count of all instructions, by a call for each",
    ),
    (
        "QEMU's hotblocks",
        "contrib/plugins/hotblocks.c",
        &[],
        "how often each block ran, by a call for each",
    ),
];

const HEADER: &str = "include/qemu/qemu-plugin.h";

impl Rival {
    /// As QEMU is given it.
    pub(super) fn as_argument(&self) -> Plugin {
        let arguments = self.arguments.iter();
        Plugin {
            path: self.plugin.clone(),
            arguments: arguments
                .map(|(name, value)| ((*name).to_owned(), value.into()))
                .collect(),
        }
    }
}

/// # Errors
/// As [`qemus_own`], or when there is none of that name.
pub(super) fn named(name: &str) -> Result<Rival> {
    let mut all = qemus_own()?.into_iter();
    all.find(|rival| rival.name == name)
        .with_context(|| format!("QEMU has no plugin '{name}'"))
}

/// Compiles them where they are not there yet.
///
/// # Errors
/// When the sources cannot be fetched or compiled.
pub(super) fn qemus_own() -> Result<Vec<Rival>> {
    let store = Store::open()?;
    let names = PLUGINS.map(|(_, source, _, _)| source).concat();
    let home = store
        .root()
        .join(format!("rivals-{}", Key::default().text(&names).finish()));
    let rival = |(name, source, arguments, does): Known| Rival {
        name,
        does,
        plugin: home.join(source).with_extension("so"),
        arguments,
    };
    let rivals: Vec<Rival> = PLUGINS.map(rival).into();
    if rivals.iter().all(|rival| rival.plugin.exists()) {
        return Ok(rivals);
    }
    let _lock = store.lock()?;
    remove(&home)?;
    folder(&home)?;
    if tarball(&store.sources()).is_err() {
        fetch_source_package(&store, "qemu", "leave them out with --no-rivals")?;
    }
    let headers = fetch_package(&store, "libglib2.0-dev")?;
    let step = Step::start("compiling QEMU's own plugins");
    let log = home.join("build.log");
    let run = |program: &str, arguments: &[&str], what: &str| {
        let mut command = std::process::Command::new(program);
        command.args(arguments).current_dir(&home);
        logged(command, what, &log, |_| {})
    };
    let tarball = tarball(&store.sources())?;
    // One source may be for several; tar wants to find each pattern anew.
    let mut wanted: Vec<String> = PLUGINS
        .iter()
        .map(|(_, source, _, _)| *source)
        .chain([HEADER])
        .map(|path| format!("*/{path}"))
        .collect();
    wanted.sort();
    wanted.dedup();
    let tarball = tarball.to_string_lossy();
    let mut unpack = vec!["-xJf", &tarball, "--strip-components=1", "--wildcards"];
    unpack.extend(wanted.iter().map(String::as_str));
    run("tar", &unpack, "unpacking QEMU's plugins")?;
    run(
        "dpkg-deb",
        &["-x", &headers.to_string_lossy(), "glib"],
        "unpacking GLib's headers",
    )?;
    let mut architecture = std::process::Command::new("gcc");
    architecture.arg("-print-multiarch");
    let architecture = output(architecture, "asking gcc for its architecture")?;
    let configured = format!("-Iglib/usr/lib/{}/glib-2.0/include", architecture.trim());
    for (_, source, _, _) in PLUGINS {
        let plugin = Path::new(source).with_extension("so");
        let arguments = [
            "-O2",
            "-shared",
            "-fPIC",
            "-Iinclude/qemu",
            "-Iglib/usr/include/glib-2.0",
            &configured,
            source,
            "-o",
            &plugin.to_string_lossy(),
        ];
        run("gcc", &arguments, "compiling a plugin of QEMU's")?;
    }
    step.done();
    Ok(rivals)
}

fn tarball(sources: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(sources)?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("qemu_") && name.contains(".orig.tar")
    };
    let mut found: Vec<PathBuf> = entries.filter(is_it).collect();
    found.sort();
    found
        .pop()
        .context("the source package of QEMU has no .orig.tar")
}
