//! Fetching a Debian source package with a private apt configuration.
//!
//! Most systems list no `deb-src` entries, and it is not for us to add them: the user's lists are rewritten as source
//! lists in a folder of the store, and apt is told to use that folder for its lists and cache. Mirrors, keys and proxies
//! stay the user's; apt checks signatures and checksums as ever.

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
    let step = Step::start(format!("fetching the source package {package}"));
    let private = store.sources().join("apt");
    remove(&private)?;
    let parts = private.join("sources.list.d");
    for below in ["sources.list.d", "lists/partial", "cache/archives/partial"] {
        folder(&private.join(below))?;
    }
    let copied = copy_lists(Path::new("/etc/apt"), &parts)?;
    if copied == 0 {
        bail!(
            "fetching the source package {package}: no package source is listed in /etc/apt/sources.list or \
             /etc/apt/sources.list.d; give a tree or tarball with {option}"
        );
    }
    let log = store.sources().join(format!("fetch-{package}.log"));
    remove(&log)?;
    // A list that a mirror does not have as source is no failure yet: the package may be in another.
    let updated = logged(
        apt_get(&private, &["update"]),
        "fetching the lists of source packages",
        &log,
        |_| {},
    );
    let mut fetch = apt_get(&private, &["source", "--download-only", package]);
    fetch.current_dir(store.sources());
    logged(fetch, &format!("fetching the source package {package}"), &log, |_| {}).map_err(|error| {
        let lists = updated.err().map_or(String::new(), |error| format!("\n\nBefore that, {error:#}"));
        anyhow::anyhow!(
            "{error:#}{lists}\n\nWithout a network or a Debian mirror, give a tree or tarball with {option}"
        )
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

/// Writes each of the user's lists as one of sources; gives how many there were.
fn copy_lists(etc: &Path, parts: &Path) -> Result<usize> {
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
        let convert: fn(&str) -> String = match extension {
            "list" => one_line_style,
            "sources" => deb822_style,
            _ => continue,
        };
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        let converted = convert(&text);
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
fn one_line_style(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((kind, rest)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        if kind == "deb" || kind == "deb-src" {
            let source = format!("deb-src {}\n", rest.trim_start());
            if !lines.contains(&source) {
                lines.push(source);
            }
        }
    }
    lines.concat()
}

/// Stanzas of `Field: value`, parted by empty lines; a line that begins with a blank continues its field.
fn deb822_style(text: &str) -> String {
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
            out.push_str(if types { "Types: deb-src" } else { line });
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
        assert_eq!(one_line_style(text), expected);
    }

    #[test]
    fn stanzas_keep_all_but_their_types_and_disabled_ones_go() {
        let text = "# a comment\nTypes: deb\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n\
                    Signed-By:\n -----BEGIN PGP-----\n .\n abc\n\n\nTypes: deb\nEnabled: no\nURIs: http://b.example\n";
        let expected = "Types: deb-src\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n\
                        Signed-By:\n -----BEGIN PGP-----\n .\n abc\n\n";
        assert_eq!(deb822_style(text), expected);
    }
}
