//! Source files that were shown last: read again only when they have changed.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// So many are kept, the newest first.
const FILES: usize = 16;

/// Bytes of the largest file that is kept.
const LARGEST: u64 = 4 << 20;

#[derive(Debug, Default)]
pub(super) struct SourceFiles(VecDeque<Kept>);

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    version: Version,
    text: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    changed: Option<SystemTime>,
    len: u64,
}

impl SourceFiles {
    /// `None` where there is no such file, or it cannot be read.
    pub(super) fn text(&mut self, path: &Path) -> Option<Arc<str>> {
        let about = fs::metadata(path).ok()?;
        let version = Version {
            changed: about.modified().ok(),
            len: about.len(),
        };
        let known = self.0.iter().position(|kept| kept.path == path);
        if let Some(kept) = known.and_then(|at| self.0.remove(at))
            && kept.version == version
        {
            let text = Arc::clone(&kept.text);
            self.0.push_front(kept);
            return Some(text);
        }
        let bytes = fs::read(path).ok()?;
        let text: Arc<str> = String::from_utf8_lossy(&bytes).into();
        if version.len <= LARGEST {
            self.0.truncate(FILES - 1);
            self.0.push_front(Kept {
                path: path.to_owned(),
                version,
                text: Arc::clone(&text),
            });
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |n: usize| folder.path().join(format!("{n}.c"));
        let mut files = SourceFiles::default();
        assert_eq!(files.text(&path(0)), None);
        fs::write(path(0), "int a;").unwrap();
        let first = files.text(&path(0)).unwrap();
        let second = files.text(&path(0)).unwrap();
        assert!(Arc::ptr_eq(&first, &second), "it is kept");
        fs::write(path(0), "int ab;").unwrap();
        assert_eq!(&*files.text(&path(0)).unwrap(), "int ab;");
        for n in 1..=FILES {
            fs::write(path(n), "").unwrap();
            files.text(&path(n)).unwrap();
        }
        assert_eq!(files.0.len(), FILES);
        fs::remove_file(path(0)).unwrap();
        assert_eq!(files.text(&path(0)), None);
    }
}
