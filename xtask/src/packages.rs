//! The Debian packages that building and booting an image needs: which are missing, and installing them.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::image;
use crate::progress::{self, Step};

/// Not needed where another source is given.
const LINUX_SOURCE: &str = "linux-source-6.1";

/// Package, and what it is for.
const NEEDED: [(&str, &str); 17] = [
    (LINUX_SOURCE, "the kernel's source"),
    ("gcc", "compiler"),
    ("g++", "the driver of the fuzz targets"),
    ("gdb", "the comparison in tests and benches"),
    ("libc6-dev", "headers for the kernel's own build tools"),
    ("make", "the kernel's and the C library's build"),
    ("flex", "the kernel's configuration"),
    ("bison", "the kernel's configuration"),
    ("bc", "the kernel's time constants"),
    ("libelf-dev", "the kernel's objtool"),
    ("patch", "kernel/patches"),
    ("dpkg-dev", "unpacking the sources of demos"),
    ("xz-utils", "unpacking the kernel's source"),
    ("qemu-system-x86", "booting the image"),
    ("qemu-utils", "the snapshots of recorded runs"),
    ("python3-venv", "the readers of exported files, in tests"),
    ("tcl", "Redis's own tests"),
];

/// As well, for all the tests.
const FOR_TESTS: [(&str, &str); 1] = [("lldb", "a client that joins, in tests")];

/// Installs what is missing for building as the options say, and tells so first; does nothing where all is there.
///
/// # Errors
/// Where packages are missing and may not be installed: the command to run is in the message.
pub(crate) fn ensure(options: &image::Options) -> Result<()> {
    ensure_all(options, &NEEDED)
}

/// As [`ensure`], and what the tests need beside.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn ensure_for_tests(options: &image::Options) -> Result<()> {
    ensure_all(options, &[&NEEDED[..], &FOR_TESTS].concat())
}

fn ensure_all(options: &image::Options, needed: &[(&'static str, &'static str)]) -> Result<()> {
    let mut missing = missing(needed);
    if options.linux_source.is_some() {
        missing.retain(|(name, _)| *name != LINUX_SOURCE);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    let Some(prefix) = root_prefix() else {
        bail!(
            "building needs {} that this machine lacks, and they cannot be installed without root; run\n\n    \
             sudo apt-get install {}\n\nand this command again; where the system has them under other names, \
             give the sources with --linux-source and --musl-source",
            count(names.len()),
            names.join(" ")
        );
    };
    progress::say("These Debian packages are missing and will be installed:");
    for (name, purpose) in &missing {
        progress::say(&format!("  {name}: {purpose}"));
    }
    install(prefix, &names)
}

/// The needed packages that dpkg does not know as installed, but for those whose command or file is there anyway.
#[must_use]
fn missing(needed: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let names: Vec<&str> = needed.iter().map(|(name, _)| *name).collect();
    let installed = installed(&names);
    needed
        .iter()
        .filter(|(name, _)| !installed.iter().any(|have| have == name) && !provided(name))
        .copied()
        .collect()
}

/// Which of `names` are installed, by dpkg; none where there is no dpkg.
fn installed(names: &[&str]) -> Vec<String> {
    let Ok(output) = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(names)
        .env("LC_ALL", "C")
        .stderr(Stdio::null())
        .output()
    else {
        return Vec::new();
    };
    parse_installed(&String::from_utf8_lossy(&output.stdout))
}

fn parse_installed(listing: &str) -> Vec<String> {
    listing
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .map(|name| name.split(':').next().unwrap_or(name).to_owned())
        .collect()
}

/// On a system without dpkg a package counts as there when its main command runs or its header lies in its place.
fn provided(package: &str) -> bool {
    let (command, file) = match package {
        LINUX_SOURCE => ("", image::LINUX_TARBALL),
        "libc6-dev" => ("", "/usr/include/stdio.h"),
        "libelf-dev" => ("", "/usr/include/gelf.h"),
        "xz-utils" => ("xz", ""),
        "tcl" => ("tclsh", ""),
        "python3-venv" => return has_venv(),
        "dpkg-dev" => ("dpkg-source", ""),
        "qemu-system-x86" => ("qemu-system-x86_64", ""),
        "qemu-utils" => ("qemu-img", ""),
        other => (other, ""),
    };
    let in_path = || {
        std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|folder| folder.join(command).is_file())
        })
    };
    (!file.is_empty() && std::path::Path::new(file).exists()) || (!command.is_empty() && in_path())
}

fn has_venv() -> bool {
    Command::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What to put before a command that needs root; none where root is out of reach without a password.
fn root_prefix() -> Option<&'static [&'static str]> {
    let has_apt = std::path::Path::new("/usr/bin/apt-get").exists();
    if !has_apt {
        return None;
    }
    if rustix::process::geteuid().is_root() {
        return Some(&[]);
    }
    Command::new("sudo")
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
        .then_some(&["sudo", "-n"])
}

fn install(prefix: &[&str], names: &[&str]) -> Result<()> {
    let step = Step::start(format!("installing {}", count(names.len())));
    let mut apt = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"];
    apt.splice(0..0, prefix.iter().copied());
    let run = |arguments: &[&str]| -> Result<bool> {
        Ok(Command::new(apt[0])
            .args(&apt[1..])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("running {}: it does not start", apt.join(" ")))?
            .success())
    };
    let arguments: Vec<&str> = ["install", "--yes", "--no-install-recommends"]
        .iter()
        .chain(names)
        .copied()
        .collect();
    // The lists may be absent or old: fetch them when the first try fails.
    let installed = run(&arguments)? || (run(&["update"])? && run(&arguments)?);
    if !installed {
        bail!(
            "installing packages: apt-get failed, its messages are above; run 'apt-get install {}' as root \
             and this command again",
            names.join(" ")
        );
    }
    step.done();
    Ok(())
}

fn count(number: usize) -> String {
    match number {
        1 => "1 package".to_owned(),
        _ => format!("{number} packages"),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_installed;

    #[test]
    fn only_what_is_fully_installed_counts() {
        let listing =
            "gcc installed\nlibelf-dev:amd64 installed\nmake config-files\nbc not-installed\n";
        assert_eq!(parse_installed(listing), ["gcc", "libelf-dev"]);
    }
}
