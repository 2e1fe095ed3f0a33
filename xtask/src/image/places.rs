//! Where things lie: the repository's folders, and the store of what was fetched and built.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use debugger::session::store::STOCK;
use sha2::{Digest, Sha256};

use crate::progress;

/// The repository's root.
#[must_use]
pub(crate) fn repository() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// The folder of everything fetched and built; it may be deleted at any time.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    /// The store on this machine, with its folders made.
    ///
    /// # Errors
    /// When no variable says where it is, or the folders cannot be made.
    pub(crate) fn open() -> Result<Self> {
        let store = Self {
            root: debugger::session::store::Store::open()?.root().to_owned(),
        };
        folder(&store.sources())?;
        folder(&store.images())?;
        Ok(store)
    }

    #[must_use]
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    #[must_use]
    pub(crate) fn sources(&self) -> PathBuf {
        self.root.join("sources")
    }

    #[must_use]
    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// Debian's own kernel.
    #[must_use]
    pub(crate) fn stock(&self) -> PathBuf {
        self.root.join(STOCK)
    }

    /// Where an image is put together before it takes its place.
    #[must_use]
    pub(crate) fn part(&self, image: &str) -> PathBuf {
        self.root.join(format!("image-{image}.part"))
    }

    #[must_use]
    pub(crate) fn kernel(&self, hash: &str) -> PathBuf {
        self.root.join(format!("linux-{hash}"))
    }

    #[must_use]
    pub(crate) fn libc(&self, hash: &str) -> PathBuf {
        self.root.join(format!("musl-{hash}"))
    }

    #[must_use]
    pub(crate) fn programs(&self, demo: &str, hash: &str) -> PathBuf {
        self.root.join(format!("programs-{demo}-{hash}"))
    }

    /// Held while something is built: images share one kernel tree. Released when dropped, also by a killed process.
    /// The file says who holds it.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.root.join("build.lock");
        let what = || format!("locking {}", path.display());
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).with_context(what)?;
        if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
            progress::say(&format!("  waiting for {}", holder(&mut file)));
            rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
                .with_context(what)?;
        }
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        file.set_len(0).with_context(what)?;
        file.rewind().with_context(what)?;
        let own = (std::process::id(), arguments.join(" "));
        write!(file, "process {}, cargo xtask {}", own.0, own.1).with_context(what)?;
        Ok(file)
    }
}

/// What is at work, as it has written into the file.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.is_empty() => format!("another build: {text}"),
        _ => "another build, which does not say which".to_owned(),
    }
}

/// Makes a folder and those above it.
pub(crate) fn folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("making the folder {}", path.display()))
}

/// A short name for all that a build depends on: 12 hexadecimal digits of a SHA-256 over the parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Key(Sha256);

impl Key {
    #[must_use]
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.0.update(text.len().to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }

    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn file(mut self, path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        self.0.update(bytes.len().to_le_bytes());
        self.0.update(&bytes);
        Ok(self)
    }

    /// All files of a folder in the order of their names, each with its name.
    ///
    /// # Errors
    /// When something in it cannot be read.
    pub(crate) fn folder(self, path: &Path) -> Result<Self> {
        self.files(&entries(path)?)
    }

    /// Files and folders, each with its name.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(crate) fn files(self, paths: &[PathBuf]) -> Result<Self> {
        paths.iter().try_fold(self, |key, entry| {
            let name = entry
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let key = key.text(&name);
            if entry.is_dir() {
                key.folder(entry)
            } else {
                key.file(entry)
            }
        })
    }

    #[must_use]
    pub(crate) fn finish(self) -> String {
        self.0
            .finalize()
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// A folder's entries in the order of their names.
pub(crate) fn entries(path: &Path) -> Result<Vec<PathBuf>> {
    let what = || format!("listing {}", path.display());
    let mut entries = fs::read_dir(path)
        .with_context(what)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(what)?;
    entries.sort();
    Ok(entries)
}

/// The same path with one more extension: `vmlinux.part`.
pub(crate) fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// Writes a file so that it is there whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = beside(path, "part");
    fs::write(&part, bytes).with_context(|| format!("writing {}", part.display()))?;
    fs::rename(&part, path)
        .with_context(|| format!("renaming {} to {}", part.display(), path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told_for_whom() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store {
            root: folder.path().to_owned(),
        };
        let path = folder.path().join("build.lock");
        fs::write(
            &path,
            "process 1, cargo xtask image of long ago and far away",
        )
        .unwrap();
        let lock = store.lock().unwrap();
        let told = holder(&mut File::open(&path).unwrap());
        let own = format!("another build: process {}, cargo xtask", std::process::id());
        assert!(
            told.starts_with(&own) && !told.contains("long ago"),
            "{told}"
        );
        drop(lock);
        fs::write(&path, "").unwrap();
        assert!(holder(&mut File::open(&path).unwrap()).contains("does not say"));
    }

    #[test]
    fn a_key_tells_where_one_part_ends() {
        let first = Key::default().text("ab").text("c").finish();
        let second = Key::default().text("a").text("bc").finish();
        assert_eq!(first.len(), 12);
        assert_ne!(first, second);
    }
}
