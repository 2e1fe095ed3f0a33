//! The programs that images are built from: folders with a `demo.toml` in `demos/` and `kernel/tests/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use debugger::crossing::{Mode, RequestSpec};
use serde::Deserialize;

use super::places::{entries, repository};
use super::programs::Build;

/// Where programs are looked for, first come first.
const FOLDERS: [&str; 2] = ["demos", "kernel/tests"];

const MANIFEST: &str = "demo.toml";

/// What lies in a demo's folder and is no part of its image.
const BESIDE: [&str; 3] = ["README.md", "script.uks", "expect.txt"];

/// A folder and what its `demo.toml` says.
#[derive(Clone, Debug)]
pub(crate) struct Demo {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) spec: Spec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// One line: what it shows.
    pub(crate) about: String,
    /// C and C++ files of this folder that are the application.
    #[serde(default)]
    pub(crate) sources: Vec<String>,
    /// What these are compiled with beside our own options, and after them.
    #[serde(default)]
    pub(crate) flags: Vec<String>,
    /// Programs from Debian source packages, the application among them.
    #[serde(default)]
    pub(crate) build: Option<Build>,
    #[serde(default = "all_modes")]
    pub(crate) modes: Vec<Mode>,
    #[serde(default)]
    pub(crate) default_mode: Mode,
    /// The kernel's command-line parameter that carries `--calls N`.
    #[serde(default)]
    pub(crate) calls_parameter: Option<String>,
    /// Added to the kernel's command line.
    #[serde(default)]
    pub(crate) append: String,
    #[serde(default = "default_memory")]
    pub(crate) memory_mib: u32,
    /// The application's arguments, its name first; the demo's name alone where there are none.
    #[serde(default)]
    pub(crate) arguments: Vec<String>,
    /// What `/init` starts after the application, without arguments: ring-3 programs by their source, one file of this
    /// folder each, or by their path in the guest. The application's process number is `UKL_APPLICATION` in the environment.
    #[serde(default)]
    pub(crate) beside: Vec<String>,
    /// A ring-3 program that is `/init` in place of `kernel/init`, and starts the application by executing `/ukl`.
    #[serde(default)]
    pub(crate) init: Option<String>,
    /// TCP ports that the application listens on, to be reached from the host.
    #[serde(default)]
    pub(crate) ports: Vec<u16>,
    /// A shell in the guest, for `ukl.exit=shell`: busybox as /bin/sh.
    #[serde(default)]
    pub(crate) shell: bool,
    /// More files of the initramfs: path in the guest, file in this folder.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// The system call that a shortcut stands for, by the shortcut's symbol.
    #[serde(default)]
    pub(crate) shortcuts: BTreeMap<String, String>,
    /// What a request is, where the program is a server.
    #[serde(default)]
    pub(crate) request: Option<RequestSpec>,
}

fn all_modes() -> Vec<Mode> {
    Mode::ALL.to_vec()
}

const fn default_memory() -> u32 {
    256
}

impl Demo {
    /// The files that the image depends on: all but what is read beside it.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn inputs(&self) -> Result<Vec<PathBuf>> {
        let mut files = entries(&self.folder)?;
        files.retain(|file| !BESIDE.iter().any(|name| file.ends_with(name)));
        Ok(files)
    }
}

/// All programs, demos first.
///
/// # Errors
/// When a `demo.toml` cannot be read.
pub(crate) fn all() -> Result<Vec<Demo>> {
    let mut demos = Vec::new();
    for folder in FOLDERS {
        for folder in entries(&repository().join(folder))? {
            if !folder.join(MANIFEST).exists() {
                continue;
            }
            demos.push(read(&folder)?);
        }
    }
    Ok(demos)
}

/// # Errors
/// When the folder's `demo.toml` cannot be read.
pub(crate) fn read(folder: &Path) -> Result<Demo> {
    let path = folder.join(MANIFEST);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let spec = toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    let name = folder.file_name().unwrap_or_default();
    Ok(Demo {
        name: name.to_string_lossy().into_owned(),
        folder: folder.to_owned(),
        spec,
    })
}

/// # Errors
/// When there is no such program: with those there are.
pub(crate) fn find(name: &str) -> Result<Demo> {
    let demos = all()?;
    if let Some(demo) = demos.iter().find(|demo| demo.name == name) {
        return Ok(demo.clone());
    }
    let names: Vec<&str> = demos.iter().map(|demo| demo.name.as_str()).collect();
    bail!(
        "building the image {name}: there is no such demo; there are {}; 'cargo xtask image --list' tells what each shows",
        names.join(", ")
    )
}
