//! Fetching a Debian package, its source or its program, with a private apt configuration.
//!
//! Most systems list no `deb-src` entries, and it is not for us to add them or to install a program that runs in the
//! guest: the user's lists are rewritten in a folder of the store, and apt is told to use that folder for its lists and
//! cache. Mirrors, keys and proxies stay the user's; apt checks signatures and checksums as ever.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::command::{logged, remove, tool};
use super::places::{Store, entries, folder, write_whole};
use crate::progress::Step;

/// Fetches a source package's files into the store's `sources/`; `option` is what takes another source.
///
/// # Errors
/// When apt is not there, has no source for it, or fails.
pub(crate) fn fetch_source(store: &Store, package: &str, option: &str) -> Result<()> {
    let other = format!("give a tree or tarball with {option}");
    source(store, package, &other)
}

/// The same; `other` is what else to do where that fails.
///
/// # Errors
/// As [`fetch_source`].
pub(crate) fn source(store: &Store, package: &str, other: &str) -> Result<()> {
    fetch(
        store,
        "deb-src",
        &["source", "--download-only"],
        package,
        other,
    )
}

/// A package's file, `NAME_VERSION_ARCHITECTURE.deb`, fetched once into the store's `sources/`; nothing is installed.
///
/// # Errors
/// When apt is not there, does not know it, or fails.
pub(crate) fn program(store: &Store, package: &str) -> Result<PathBuf> {
    if let Some(found) = fetched(store, package)? {
        return Ok(found);
    }
    let other = format!("put its .deb into {}", store.sources().display());
    fetch(store, "deb", &["download"], package, &other)?;
    fetched(store, package)?
        .with_context(|| format!("fetching the package {package}: apt fetched no .deb"))
}

fn fetched(store: &Store, package: &str) -> Result<Option<PathBuf>> {
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("{package}_")) && name.ends_with(".deb")
    };
    Ok(entries(&store.sources())?.into_iter().rev().find(is_it))
}

/// `kind` is the word of apt's lists, `other` what else to do where that fails.
fn fetch(store: &Store, kind: &str, command: &[&str], package: &str, other: &str) -> Result<()> {
    let what = match kind {
        "deb" => format!("fetching the package {package}"),
        _ => format!("fetching the source package {package}"),
    };
    let step = Step::start(what.as_str());
    let private = store.sources().join("apt");
    remove(&private)?;
    let parts = private.join("sources.list.d");
    for below in ["sources.list.d", "lists/partial", "cache/archives/partial"] {
        folder(&private.join(below))?;
    }
    let copied = copy_lists(Path::new("/etc/apt"), &parts, kind)?;
    if copied == 0 {
        bail!(
            "{what}: no package source is listed in /etc/apt/sources.list or /etc/apt/sources.list.d; {other}"
        );
    }
    let log = store.sources().join(format!("fetch-{package}.log"));
    remove(&log)?;
    // A list that a mirror does not have as source is no failure yet: the package may be in another.
    let updated = logged(
        apt_get(&private, &["update"]),
        "fetching the lists of packages",
        &log,
        |_| {},
    );
    let mut fetch = apt_get(&private, command);
    fetch.arg(package).current_dir(store.sources());
    logged(fetch, &what, &log, |_| {}).map_err(|error| {
        let lists = updated
            .err()
            .map_or(String::new(), |error| format!("\n\nBefore that, {error:#}"));
        anyhow::anyhow!("{error:#}{lists}\n\nWithout a network or a Debian mirror, {other}")
    })?;
    remove(&private)?;
    step.done();
    Ok(())
}

fn apt_get(private: &Path, arguments: &[&str]) -> std::process::Command {
    let mut apt = tool("apt-get");
    let mut option = |name: &str, value: PathBuf| {
        apt.arg("-o").arg(format!("{name}={}", value.display()));
    };
    option("Dir::Etc::SourceList", private.join("none.list"));
    option("Dir::Etc::SourceParts", private.join("sources.list.d"));
    option("Dir::State::Lists", private.join("lists"));
    option("Dir::Cache", private.join("cache"));
    // Root's apt would drop to a user that may not write below a home folder.
    let user = if rustix::process::geteuid().is_root() {
        "root"
    } else {
        ""
    };
    apt.arg("-o").arg(format!("APT::Sandbox::User={user}"));
    apt.args(["-q", "-o", "Debug::NoLocking=1"]).args(arguments);
    apt
}

/// Writes each of the user's lists as one of this kind; gives how many there were.
fn copy_lists(etc: &Path, parts: &Path, kind: &str) -> Result<usize> {
    let mut files = vec![etc.join("sources.list")];
    if etc.join("sources.list.d").is_dir() {
        files.extend(entries(&etc.join("sources.list.d"))?);
    }
    let mut copied = 0;
    for file in files {
        let extension = file
            .extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default();
        let convert: fn(&str, &str) -> String = match extension {
            "list" => one_line_style,
            "sources" => deb822_style,
            _ => continue,
        };
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        let converted = convert(&text, kind);
        if converted.trim().is_empty() {
            continue;
        }
        copied += 1;
        let target = parts.join(format!("{copied}.{extension}"));
        write_whole(&target, converted.as_bytes())
            .context("writing a private list of package sources")?;
    }
    Ok(copied)
}

/// `deb [options] URI suite component...`, one a line.
fn one_line_style(text: &str, wanted: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((kind, rest)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        if kind == "deb" || kind == "deb-src" {
            let source = format!("{wanted} {}\n", rest.trim_start());
            if !lines.contains(&source) {
                lines.push(source);
            }
        }
    }
    lines.concat()
}

/// Stanzas of `Field: value`, parted by empty lines; a line that begins with a blank continues its field.
fn deb822_style(text: &str, wanted: &str) -> String {
    let mut out = String::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            stanza.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name)
                    .then(|| value.trim().to_ascii_lowercase())
            })
        };
        let disabled = field("Enabled")
            .is_some_and(|value| matches!(value.as_str(), "no" | "false" | "off" | "0"));
        if field("Types").is_none() || disabled {
            continue;
        }
        for line in stanza.lines().filter(|line| !line.starts_with('#')) {
            let types = line
                .split_once(':')
                .is_some_and(|(key, _)| key.eq_ignore_ascii_case("Types"));
            match types {
                true => out.push_str(&format!("Types: {wanted}")),
                false => out.push_str(line),
            }
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{deb822_style, one_line_style};

    #[test]
    fn one_line_lists_become_lists_of_sources() {
        let text = "# main\ndeb http://a.example/debian bookworm main # here\n\
                    deb-src http://a.example/debian bookworm main\n\
                    deb [signed-by=/k.gpg] http://b.example x y\nrpm no\n";
        let expected = "deb-src http://a.example/debian bookworm main\n\
                        deb-src [signed-by=/k.gpg] http://b.example x y\n";
        assert_eq!(one_line_style(text, "deb-src"), expected);
    }

    #[test]
    fn stanzas_keep_all_but_their_types_and_disabled_ones_go() {
        let text = "# a comment\nTypes: deb\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n\
                    Signed-By:\n -----BEGIN PGP-----\n .\n abc\n\n\nTypes: deb\nEnabled: no\nURIs: http://b.example\n";
        let expected = "Types: deb-src\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n\
                        Signed-By:\n -----BEGIN PGP-----\n .\n abc\n\n";
        assert_eq!(deb822_style(text, "deb-src"), expected);
    }
}
