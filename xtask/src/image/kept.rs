//! Copies of the repository's files beside what was built from them: the debugger shows what was compiled, also where the
//! checkout has changed since or is gone.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::cplusplus;
use super::demo::Demo;
use super::places::{entries, folder, repository};

/// In an image's folder, and in that of a demo's programs.
const FOLDER: &str = "repository";

/// The compiler's option by which debug information names the copies that lie in `home`.
#[must_use]
pub(crate) fn option(home: &Path) -> String {
    let copies = home.join(FOLDER);
    format!(
        "-ffile-prefix-map={}={}",
        repository().display(),
        copies.display()
    )
}

/// What of the repository is compiled into a demo's image.
///
/// # Errors
/// When the demo's folder cannot be read.
pub(crate) fn compiled(demo: &Demo) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    // What is from elsewhere stays there.
    if demo.folder.starts_with(repository()) {
        files.extend(demo.inputs()?);
    }
    files.extend(["kernel/include", "kernel/init"].map(|folder| repository().join(folder)));
    files.extend(cplusplus::inputs(demo));
    Ok(files)
}

/// Copies files and folders of the repository into `home`, each under the path that it has there.
///
/// # Errors
/// When a path is not in the repository, or cannot be copied.
pub(crate) fn copy(paths: &[PathBuf], home: &Path) -> Result<()> {
    for path in paths {
        if path.is_dir() {
            copy(&entries(path)?, home)?;
            continue;
        }
        let inside = path.strip_prefix(repository());
        ensure!(
            inside.is_ok(),
            "copying {}: it is not in {}",
            path.display(),
            repository().display()
        );
        let copy = home.join(FOLDER).join(inside?);
        folder(copy.parent().unwrap_or(home))?;
        fs::copy(path, &copy)
            .with_context(|| format!("copying {} to {}", path.display(), copy.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::demo::find;
    use super::{compiled, copy, option};

    #[test]
    fn what_is_compiled_lies_where_debug_information_names_it() {
        let home = tempfile::tempdir().unwrap();
        let demo = find("syscalls").unwrap();
        copy(&compiled(&demo).unwrap(), home.path()).unwrap();
        let option = option(home.path());
        let (from, to) = option.split_once('=').unwrap().1.split_once('=').unwrap();
        let source = demo.folder.join("main.c");
        let kept = Path::new(to).join(source.strip_prefix(from).unwrap());
        assert_eq!(fs::read(kept).unwrap(), fs::read(source).unwrap());
        assert!(Path::new(to).join("kernel/include/ukl.h").exists());
    }

    #[test]
    fn a_file_from_elsewhere_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("main.c");
        fs::write(&file, "").unwrap();
        let error = copy(&[file], home.path()).unwrap_err();
        assert!(error.to_string().contains("it is not in"), "{error}");
    }
}
