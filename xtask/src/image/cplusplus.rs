//! C++ with musl: the compiler's own libraries were built for glibc, and `kernel/c++` has what lies between the two.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::application::asked_of_gcc;
use super::command::{logged, tool};
use super::demo::Demo;
use super::places::repository;

/// What the twin is linked with besides: by its program header the unwinder finds the unwind tables.
pub(crate) const OPTIONS: [&str; 1] = ["-Wl,--eh-frame-hdr"];

/// What of the linked application's object stays, and goes: the linker knows an access to thread-local data by the function
/// that it would call, and the tables of probes are nobody's.
pub(crate) const LINKED_OPTIONS: [&str; 2] = [
    "--keep-global-symbol=__tls_get_addr",
    "--remove-section=.stapsdt.base",
];

/// Whether a part of the application is C++.
#[must_use]
pub(crate) fn is(demo: &Demo) -> bool {
    let mut sources = demo.spec.sources.iter();
    sources.any(|source| is_source(Path::new(source)))
}

#[must_use]
pub(crate) fn is_source(source: &Path) -> bool {
    source
        .extension()
        .is_some_and(|extension| extension == "cpp")
}

/// The headers: ours, which correct some of the compiler's, then the compiler's, before those of the C library.
///
/// # Errors
/// When g++ does not tell where they are.
pub(crate) fn headers() -> Result<Vec<String>> {
    let mut flags = vec!["-nostdinc++".to_owned(), "-isystem".to_owned()];
    flags.push(folder().display().to_string());
    for folder in of_the_compiler()? {
        flags.extend(["-isystem".to_owned(), folder]);
    }
    Ok(flags)
}

/// Its folders of C++ headers, from what it says it looks through.
fn of_the_compiler() -> Result<Vec<String>> {
    let mut compiler = tool("g++");
    compiler.args(["-E", "-v", "-x", "c++", "/dev/null"]);
    let mut folders = Vec::new();
    let log = tempfile::NamedTempFile::new().context("asking g++ for its headers")?;
    logged(compiler, "asking g++ for its headers", log.path(), |line| {
        if line.starts_with(' ') && line.contains("/c++/") && Path::new(line.trim()).is_dir() {
            folders.push(line.trim().to_owned());
        }
    })?;
    Ok(folders)
}

/// The source of what its libraries take from glibc.
#[must_use]
pub(crate) fn from_glibc() -> PathBuf {
    folder().join("glibc.c")
}

/// What the image of a demo in C++ depends on besides.
#[must_use]
pub(crate) fn inputs(demo: &Demo) -> Vec<PathBuf> {
    is(demo).then(folder).into_iter().collect()
}

fn folder() -> PathBuf {
    repository().join("kernel/c++")
}

/// Its libraries; libgcc.a is linked anyway.
///
/// # Errors
/// When g++ does not tell where they are.
pub(crate) fn libraries() -> Result<Vec<String>> {
    ["libstdc++.a", "libgcc_eh.a"]
        .map(file)
        .into_iter()
        .collect()
}

fn file(name: &str) -> Result<String> {
    asked_of_gcc(&format!("-print-file-name={name}"))
}
