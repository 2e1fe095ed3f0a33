//! `uklscope doctor`: what this machine has and lacks, with the command that mends it.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;
use debugger::qemu::arguments::{PACKAGE, PROGRAM};
use debugger::session::store::Store;
use serde::Serialize;

const SCHEMA: u32 = 1;

/// The plugin's file, beside this program or where `UKLSCOPE_PLUGIN` says.
const PLUGIN: &str = "libuklscope_tcg.so";

/// Program, Debian's package with it.
const BUILD_TOOLS: &[(&str, &str)] = &[
    ("gcc", "gcc"),
    ("make", "make"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
    ("patch", "patch"),
    ("xz", "xz-utils"),
];

#[derive(Serialize)]
struct Document {
    schema: u32,
    /// Nothing is missing that every use needs.
    sound: bool,
    checks: Vec<Check>,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    needed_for: &'static str,
    /// Without it an image can be neither booted nor debugged.
    required: bool,
    has: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

/// Prints each thing needed, whether it is there, and the command that mends it.
///
/// # Errors
/// When something is missing that every use needs.
pub fn run(json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let checks = vec![qemu(), plugin(), kvm(), build_tools(), store(), images()];
    let missing: Vec<&str> = checks
        .iter()
        .filter(|check| check.required && !check.has)
        .map(|check| check.name)
        .collect();
    let missing = missing.join(", ");
    print(checks, json, out)?;
    if !missing.is_empty() {
        bail!("looking at this machine: {missing} missing; run the commands above");
    }
    Ok(())
}

fn print(checks: Vec<Check>, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    if json {
        let document = Document {
            schema: SCHEMA,
            sound: checks.iter().all(|check| check.has || !check.required),
            checks,
        };
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)?;
        return Ok(());
    }
    for check in &checks {
        let verdict = match (check.has, check.required) {
            (true, _) => "has  ",
            (false, true) => "LACKS",
            (false, false) => "lacks",
        };
        writeln!(
            out,
            "{verdict} {:<12} {} (for {})",
            check.name, check.found, check.needed_for
        )?;
        if let Some(mend) = check.mend.as_ref().filter(|_| !check.has) {
            writeln!(out, "      {:<12} mend it: {mend}", "")?;
        }
    }
    Ok(())
}

fn qemu() -> Check {
    let version = in_path(PROGRAM).map(|path| {
        let said = Command::new(&path).arg("--version").output();
        let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let line = said.unwrap_or_default();
        let line = line.lines().next().unwrap_or("it does not say its version");
        format!("{}: {line}", path.display())
    });
    Check {
        name: "qemu",
        needed_for: "booting an image",
        required: true,
        has: version.is_some(),
        found: version.unwrap_or_else(|| format!("no {PROGRAM} on PATH")),
        mend: Some(format!("sudo apt-get install {PACKAGE}")),
    }
}

fn plugin() -> Check {
    let named = env::var_os("UKLSCOPE_PLUGIN").map(PathBuf::from);
    let beside = env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.join(PLUGIN)));
    let path = named.or(beside);
    let there = path.as_ref().is_some_and(|path| path.is_file());
    Check {
        name: "plugin",
        needed_for: "tracing exactly; --engine stub needs none",
        required: false,
        has: there,
        found: match path {
            Some(path) if there => path.display().to_string(),
            Some(path) => format!("no {}", path.display()),
            None => format!("no {PLUGIN}"),
        },
        mend: Some("cargo build --release -p uklscope-tcg-plugin".to_owned()),
    }
}

fn kvm() -> Check {
    const DEVICE: &str = "/dev/kvm";
    let opened = fs::File::options().read(true).write(true).open(DEVICE);
    let there = Path::new(DEVICE).exists();
    Check {
        name: "kvm",
        needed_for: "--accel kvm; the default needs none",
        required: false,
        has: opened.is_ok(),
        found: match &opened {
            Ok(_) => format!("{DEVICE} can be opened"),
            Err(error) => format!("{DEVICE}: {error}"),
        },
        mend: Some(if there {
            "sudo usermod -aG kvm $USER, then log in again".to_owned()
        } else {
            "switch virtualisation on in the firmware, then sudo modprobe kvm_intel or kvm_amd"
                .to_owned()
        }),
    }
}

fn build_tools() -> Check {
    let missing: Vec<&str> = BUILD_TOOLS
        .iter()
        .filter(|(program, _)| in_path(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    Check {
        name: "build tools",
        needed_for: "building images",
        required: false,
        has: missing.is_empty(),
        found: if missing.is_empty() {
            let names: Vec<&str> = BUILD_TOOLS.iter().map(|(program, _)| *program).collect();
            names.join(", ")
        } else {
            format!("no {}", missing.join(", "))
        },
        mend: Some(format!("sudo apt-get install {}", missing.join(" "))),
    }
}

fn store() -> Check {
    let store = Store::open();
    let written = store
        .as_ref()
        .map_err(ToString::to_string)
        .and_then(|store| can_write(store.root()).map_err(|error| error.to_string()));
    Check {
        name: "store",
        needed_for: "images, the last one's name, the history",
        required: false,
        has: written.is_ok(),
        found: match (&store, &written) {
            (Ok(store), Ok(())) => store.root().display().to_string(),
            (Ok(store), Err(why)) => format!("{}: {why}", store.root().display()),
            (Err(error), _) => error.to_string(),
        },
        mend: Some("export UKLSCOPE_HOME=/a/folder/that/may/be/written".to_owned()),
    }
}

fn images() -> Check {
    let names = Store::open()
        .map(|store| store.images())
        .unwrap_or_default();
    Check {
        name: "images",
        needed_for: "something to debug; attach needs none",
        required: false,
        has: !names.is_empty(),
        found: if names.is_empty() {
            "none is built".to_owned()
        } else {
            names.join(", ")
        },
        mend: Some("cargo xtask image syscalls".to_owned()),
    }
}

/// A store that is not there yet can be written when its nearest folder that is there can.
fn can_write(folder: &Path) -> std::io::Result<()> {
    let there = folder.ancestors().find(|folder| folder.is_dir());
    let there = there.unwrap_or(Path::new("/"));
    let probe = there.join(format!(".uklscope-{}", std::process::id()));
    fs::write(&probe, b"")?;
    fs::remove_file(&probe)
}

pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    find(program, &env::var_os("PATH")?)
}

fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(has: bool, required: bool) -> Check {
        Check {
            name: "qemu",
            needed_for: "booting an image",
            required,
            has,
            found: "no qemu".to_owned(),
            mend: Some("install it".to_owned()),
        }
    }

    fn printed(check: Check, json: bool) -> String {
        let mut out = Vec::new();
        print(vec![check], json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_missing_comes_with_the_command_that_mends_it() {
        assert!(printed(check(false, true), false).contains("LACKS"));
        assert!(printed(check(false, false), false).contains("mend it: install it"));
        assert!(!printed(check(true, true), false).contains("mend"));
    }

    #[test]
    fn a_machine_without_what_is_required_is_not_sound() {
        for (has, required, sound) in [(false, true, false), (false, false, true)] {
            let text = printed(check(has, required), true);
            let document: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(document["sound"], sound);
        }
    }

    #[test]
    fn programs_are_found_along_the_path() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tool"), b"").unwrap();
        let path = env::join_paths([Path::new("/nowhere"), folder.path()]).unwrap();
        assert!(find("tool", &path).is_some());
        assert!(find("other", &path).is_none());
        assert!(can_write(&folder.path().join("new/store")).is_ok());
    }
}
