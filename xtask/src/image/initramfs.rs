//! What is in an image's initramfs: `/init` and its instructions, the application, the programs beside it, files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::application::{self, Site};
use super::cpio;
use super::demo::Demo;
use super::libc::Libc;
use super::places::repository;

/// Stands for the application, see fs/binfmt_ukl.c of the patched kernel.
const START: &[u8] = b"#UKL /app.linux\n";

/// # Errors
/// When a program cannot be built, or a file cannot be read.
pub(super) fn pack(
    demo: &Demo,
    twin: &Path,
    others: &[(String, Vec<u8>)],
    busybox: Option<&[u8]>,
    libc: &Libc,
    site: Site<'_>,
) -> Result<Vec<u8>> {
    let mut archive = cpio::Archive::default();
    for path in ["/dev", "/proc", "/sys", "/tmp", "/etc", "/bin"] {
        archive.directory(path);
    }
    archive.character_device("/dev/console", 0o600, 5, 1);
    archive.character_device("/dev/null", 0o666, 1, 3);
    archive.character_device("/dev/zero", 0o666, 1, 5);
    archive.character_device("/dev/ttyS0", 0o600, 4, 64);
    archive.file("/app.linux", 0o755, &application::stripped(twin, site.log)?);
    archive.file("/ukl", 0o755, START);
    if !demo.spec.ports.is_empty() {
        let churn = repository().join("kernel/init/churn.c");
        archive.file("/bin/churn", 0o755, &beside(&churn, libc, site)?);
    }
    let init = match &demo.spec.init {
        Some(source) => demo.folder.join(source),
        None => repository().join("kernel/init/init.c"),
    };
    archive.file("/init", 0o755, &beside(&init, libc, site)?);
    archive.file("/etc/passwd", 0o644, b"root:x:0:0:root:/:/bin/sh\n");
    archive.file("/etc/arguments", 0o644, &lines(&arguments(demo)));
    if let Some(busybox) = busybox {
        archive.file("/bin/busybox", 0o755, busybox);
        archive.link("/bin/sh", "busybox");
    }
    for (path, program) in others {
        archive.file(path, 0o755, program);
    }
    let mut programs = Vec::new();
    for source in &demo.spec.beside {
        let path = if source.starts_with('/') {
            source.clone()
        } else {
            let name = Path::new(source).with_extension("");
            let path = format!("/bin/{}", name.display());
            let program = beside(&demo.folder.join(source), libc, site)?;
            archive.file(&path, 0o755, &program);
            path
        };
        programs.push(path);
    }
    archive.file("/etc/beside", 0o644, &lines(&programs));
    for (path, file) in &demo.spec.files {
        let source = demo.folder.join(file);
        let bytes = fs::read(&source).with_context(|| format!("reading {}", source.display()))?;
        archive.file(path, 0o644, &bytes);
    }
    archive.finish().context("packing the initramfs")
}

fn beside(source: &Path, libc: &Libc, site: Site<'_>) -> Result<Vec<u8>> {
    let name = source.file_stem().unwrap_or_default().to_string_lossy();
    let program = site.folder.join(format!("{name}.linux"));
    application::neighbour(source, libc, &program, site)?;
    application::stripped(&program, site.log)
}

/// The application's, its name first.
fn arguments(demo: &Demo) -> Vec<String> {
    if demo.spec.arguments.is_empty() {
        return vec![demo.name.clone()];
    }
    demo.spec.arguments.clone()
}

fn lines(words: &[String]) -> Vec<u8> {
    words
        .iter()
        .flat_map(|word| [word.as_bytes(), b"\n"].concat())
        .collect()
}
