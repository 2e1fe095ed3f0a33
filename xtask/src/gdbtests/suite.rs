//! gdb's test suite: of its release's tarball in Debian's source package, fetched once into the store.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::cases::{Gdb, Program};
use crate::image::{Store, fetch_source_package, folder, logged, remove, tool};
use crate::progress::Step;

/// Where the suite lies in it.
const INSIDE: &str = "gdb/testsuite";

pub(super) struct Suite {
    /// All that is kept between two runs.
    pub(super) home: PathBuf,
}

impl Suite {
    /// # Errors
    /// When it cannot be fetched, or is another than the list was made for.
    pub(super) fn ready(gdb: &Gdb) -> Result<Self> {
        let store = Store::open()?;
        let suite = Self {
            home: store.root().join(format!("gdbtests-{}", gdb.version)),
        };
        if suite.folder().exists() {
            return Ok(suite);
        }
        let _lock = store.lock()?;
        let tarball = store
            .sources()
            .join(format!("gdb_{}.orig.tar.xz", gdb.version));
        if !tarball.exists() {
            let other = format!("put the release's tarball there as {}", tarball.display());
            fetch_source_package(&store, "gdb", &other)?;
        }
        check(&tarball, gdb)?;
        suite.unpack(&tarball)?;
        Ok(suite)
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.home.join("testsuite")
    }

    /// Copies a program's files, with a `demo.toml` that says how it is built, into a folder of its own.
    pub(super) fn program(&self, name: &str, program: &Program) -> Result<PathBuf> {
        let into = self.home.join("programs").join(name);
        remove(&into)?;
        folder(&into)?;
        let mut names = Vec::new();
        for (i, file) in program.sources.iter().chain(&program.includes).enumerate() {
            let from = self.folder().join(file);
            let name = from.file_name().unwrap_or_default();
            std::fs::copy(&from, into.join(name))
                .with_context(|| format!("copying {}", from.display()))?;
            if i < program.sources.len() {
                names.push(name.to_string_lossy().into_owned());
            }
        }
        // As gdb's suite compiles them.
        let mut flags = vec!["-O0".to_owned(), "-w".to_owned()];
        flags.extend(program.flags.iter().cloned());
        let demo = toml::Table::from_iter([
            ("about".to_owned(), "of gdb's test suite".into()),
            ("sources".to_owned(), names.into()),
            ("flags".to_owned(), flags.into()),
        ]);
        let path = into.join("demo.toml");
        std::fs::write(&path, toml::to_string(&demo)?)
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(into)
    }

    fn unpack(&self, tarball: &Path) -> Result<()> {
        let step = Step::start("unpacking gdb's test suite");
        remove(&self.home)?;
        let part = self.home.join("part");
        folder(&part)?;
        let mut tar = tool("tar");
        tar.arg("-xf").arg(tarball).arg("-C").arg(&part);
        tar.args(["--strip-components=1", "--no-same-owner", "--wildcards"]);
        tar.arg(format!("*/{INSIDE}"));
        let log = self.home.join("unpack.log");
        logged(tar, "unpacking gdb's test suite", &log, |_| {})?;
        std::fs::rename(part.join(INSIDE), self.folder()).context("moving gdb's test suite")?;
        remove(&part)?;
        step.done();
        Ok(())
    }
}

fn check(tarball: &Path, gdb: &Gdb) -> Result<()> {
    let bytes = std::fs::read(tarball).with_context(|| {
        format!(
            "reading {}: apt has fetched another version than {}, which the list is made for",
            tarball.display(),
            gdb.version
        )
    })?;
    let sum: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    ensure!(
        sum == gdb.sha256,
        "{} has the SHA-256 {sum}, and the release has {}: remove it",
        tarball.display(),
        gdb.sha256
    );
    Ok(())
}
