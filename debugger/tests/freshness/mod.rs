//! Whether an image's kernel was built of the patches that are here. One that is older may answer otherwise, or
//! not at all, and a test would wait for that to its time limit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use debugger::qemu::image::Image;

/// Fails at once where the kernel's source tree does not hold the series and what is laid over it. A tree that is
/// gone is not looked at.
pub(crate) fn has_todays_probes(image: &Image) {
    let source = &image.manifest.files.source;
    if !source.is_dir() {
        return;
    }
    if let Err(what) = compare(source) {
        panic!(
            "the image {} is stale: the kernel in it was built of another {what}; 'cargo xtask image {} --probes' makes \
             it anew",
            image.manifest.name,
            image.manifest.name.trim_end_matches("+probes")
        );
    }
}

fn compare(source: &Path) -> Result<(), String> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let laid = repository.join("probes/guest/tree");
    for file in files(&laid) {
        let name = file.strip_prefix(&laid).unwrap_or(&file);
        if fs::read(&file).ok() != fs::read(source.join(name)).ok() {
            return Err(format!("probes/guest/tree/{}", name.display()));
        }
    }
    let mut series = files(&repository.join("kernel/patches"));
    series.extend(files(&repository.join("probes/guest/patches")));
    series.retain(|path| path.extension().is_some_and(|kind| kind == "patch"));
    taken_off(source, &series)
}

/// Takes the series off a copy of the files that it changes, the last patch first.
fn taken_off(source: &Path, series: &[PathBuf]) -> Result<(), String> {
    let copy = tempfile::tempdir().map_err(|error| error.to_string())?;
    for patch in series {
        let text = fs::read(patch).map_err(|error| error.to_string())?;
        for name in String::from_utf8_lossy(&text).lines().filter_map(changed) {
            let to = copy.path().join(name);
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(|error| error.to_string())?;
            }
            // One that is not there does not take the patch either.
            let _ = fs::copy(source.join(name), to);
        }
    }
    for patch in series.iter().rev() {
        let mut tool = Command::new("patch");
        tool.args(["-R", "-f", "-s", "-p1", "-i"]).arg(patch);
        let done = tool
            .current_dir(copy.path())
            .stdout(Stdio::null())
            .status()
            .map_err(|error| format!("(patch: {error})"))?;
        if !done.success() {
            let name = patch.file_name().unwrap_or_default();
            return Err(name.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// `+++ b/kernel/sched/core.c`
fn changed(line: &str) -> Option<&str> {
    line.strip_prefix("+++ b/")
        .map(|name| name.split('\t').next().unwrap_or(name))
}

/// All below a folder, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}
