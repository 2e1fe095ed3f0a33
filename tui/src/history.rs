//! The command lines of earlier sessions: `history` in the store, one a line, oldest first.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

/// Lines kept in the file.
const KEPT: usize = 1_000;

#[derive(Debug, Default)]
pub struct History {
    lines: Vec<String>,
    /// None in tests, and where there is no store.
    file: Option<PathBuf>,
}

impl History {
    /// What is in the file; an unreadable one is an empty history.
    #[must_use]
    pub fn open(file: PathBuf) -> Self {
        let text = fs::read(&file).unwrap_or_default();
        let lines: Vec<String> = String::from_utf8_lossy(&text)
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(str::to_owned)
            .collect();
        let skip = lines.len().saturating_sub(KEPT);
        let history = Self {
            lines: lines[skip..].to_vec(),
            file: Some(file),
        };
        if skip > 0 {
            history.rewrite();
        }
        history
    }

    /// Adds a line, here and to the file; not one that repeats the last.
    pub fn add(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() || self.lines.last().is_some_and(|last| last == line) {
            return;
        }
        self.lines.push(line.to_owned());
        // A history that cannot be kept is no reason to stop a debugger.
        let _ = self.append(line);
    }

    /// The line `n` before the newest.
    #[must_use]
    pub fn back(&self, n: usize) -> Option<&str> {
        let at = self.lines.len().checked_sub(n + 1)?;
        self.lines.get(at).map(String::as_str)
    }

    /// Appending leaves what other sessions add meanwhile.
    fn append(&self, line: &str) -> io::Result<()> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?;
        file.write_all(format!("{line}\n").as_bytes())
    }

    fn rewrite(&self) {
        if let Some(path) = &self.file {
            let _ = fs::write(path, self.lines.join("\n") + "\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_for_the_next_session() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/history");
        let mut history = History::open(file.clone());
        assert_eq!(history.back(0), None);
        for line in ["why", "bt", "bt", " "] {
            history.add(line);
        }
        let history = History::open(file);
        assert_eq!(history.back(0), Some("bt"));
        assert_eq!(history.back(1), Some("why"));
        assert_eq!(history.back(2), None);
    }

    #[test]
    fn a_long_history_is_cut_to_its_newest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history");
        let many: String = (0..KEPT + 5).map(|n| format!("{n}\n")).collect();
        fs::write(&file, many).unwrap();
        let history = History::open(file.clone());
        assert_eq!(history.back(KEPT - 1), Some("5"));
        assert_eq!(History::open(file).lines.len(), KEPT);
    }
}
