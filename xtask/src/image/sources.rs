//! The sources that images are built from: where they are, and which version.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::apt;
use super::command::{self, output, tool};
use super::places::{Key, Store, repository};

/// `kernel/kernel.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Made {
    pub(crate) linux: MadeFor,
    pub(crate) musl: MadeForMusl,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MadeFor {
    pub(crate) package: String,
    pub(crate) tarball: PathBuf,
    /// `6.1`: the first two numbers of any version that can work.
    pub(crate) series: String,
    pub(crate) tried: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MadeForMusl {
    pub(crate) package: String,
    pub(crate) version: String,
    pub(crate) tried: Vec<String>,
}

/// A tree or a tarball of sources.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// Told to the user and part of the key of what is built: `Debian linux-source-6.1 6.1.192-2`.
    pub(crate) version: String,
}

impl Made {
    /// # Errors
    /// When `kernel/kernel.toml` cannot be read.
    pub(crate) fn read() -> Result<Self> {
        let path = repository().join("kernel/kernel.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }
}

/// The kernel's source: what was given, else the Debian package.
///
/// # Errors
/// When it is not there.
pub(crate) fn linux(made: &MadeFor, given: Option<&Path>) -> Result<Source> {
    if let Some(path) = given {
        return named(path, "--linux-source");
    }
    if !made.tarball.exists() {
        bail!(
            "looking for the kernel's source: {} is not there; install the Debian package {}, or give a tree or \
             tarball of Linux {} with --linux-source",
            made.tarball.display(),
            made.package,
            made.series
        );
    }
    let version = package_version(&made.package)?;
    Ok(Source {
        path: made.tarball.clone(),
        version: format!("Debian {} {version}", made.package),
    })
}

/// The C library's source: what was given, else the Debian source package, fetched once.
///
/// # Errors
/// When it cannot be fetched.
pub(crate) fn musl(store: &Store, made: &MadeForMusl, given: Option<&Path>) -> Result<Source> {
    if let Some(path) = given {
        return named(path, "--musl-source");
    }
    let found = match fetched(store, made)? {
        Some(found) => found,
        None => {
            apt::fetch_source(store, &made.package, "--musl-source")?;
            fetched(store, made)?.with_context(|| {
                format!(
                    "fetching the source package {}: apt fetched it, but in another version than {}, which \
                     kernel/musl/ is made for; give that version's tree or tarball with --musl-source",
                    made.package, made.version
                )
            })?
        }
    };
    Ok(found)
}

/// The source of a demo's program: what was given, else the Debian source package, fetched once.
///
/// # Errors
/// When it cannot be fetched, or Debian has another version.
pub(crate) fn package(
    store: &Store,
    name: &str,
    series: &str,
    given: Option<&Path>,
) -> Result<Source> {
    let option = format!("--source {name}=");
    if let Some(path) = given {
        return named(path, &option);
    }
    if let Some(found) = described(store, name, series)? {
        return Ok(found);
    }
    apt::fetch_source(store, name, &option)?;
    described(store, name, series)?.with_context(|| {
        format!(
            "fetching the source package {name}: apt fetched it, but in another version than {series}, which the \
             demo is made for; give that version's tree or tarball with {option}"
        )
    })
}

/// The description (`.dsc`) of a fetched source package, which lists its files with their checksums.
fn described(store: &Store, name: &str, series: &str) -> Result<Option<Source>> {
    let found = described_in(super::places::entries(&store.sources())?, name, series);
    Ok(found.map(|(path, version)| Source {
        path,
        version: format!("Debian source {name} {version}"),
    }))
}

fn described_in(files: Vec<PathBuf>, name: &str, series: &str) -> Option<(PathBuf, String)> {
    let prefix = format!("{name}_");
    files.into_iter().rev().find_map(|path| {
        let version = path.file_name()?.to_str()?.strip_prefix(&prefix)?;
        let version = version.strip_suffix(".dsc")?.to_owned();
        let rest = version.strip_prefix(series)?;
        rest.starts_with(['.', '-']).then_some((path, version))
    })
}

/// Unpacks a Debian source package with its patches, or a tarball, or copies a tree, so that its files lie in `target`,
/// which is made.
///
/// # Errors
/// When that fails; `target` may then be there in part.
pub(crate) fn unpack(source: &Source, target: &Path, log: &Path) -> Result<()> {
    let what = format!("unpacking {}", source.path.display());
    if source
        .path
        .extension()
        .is_some_and(|extension| extension == "dsc")
    {
        let mut run = tool("dpkg-source");
        run.args(["--no-copy", "-x"]).arg(&source.path).arg(target);
        return command::logged(run, &what, log, |_| {});
    }
    fs::create_dir_all(target)
        .with_context(|| format!("making the folder {}", target.display()))?;
    let mut run = tool(if source.path.is_dir() { "cp" } else { "tar" });
    if source.path.is_dir() {
        run.arg("-a").arg(source.path.join(".")).arg(target);
    } else {
        run.arg("-xf")
            .arg(&source.path)
            .args(["--strip-components=1", "--no-same-owner", "-C"])
            .arg(target);
    }
    command::logged(run, &what, log, |_| {})
}

/// The version of an installed Debian package.
fn package_version(package: &str) -> Result<String> {
    let mut query = tool("dpkg-query");
    query.args(["-W", "-f", "${Version}", package]);
    output(
        query,
        &format!("asking for the version of the package {package}"),
    )
}

/// The fetched tarball, its version taken from the description beside it, which apt has checked it against.
fn fetched(store: &Store, made: &MadeForMusl) -> Result<Option<Source>> {
    let path = store
        .sources()
        .join(format!("{}_{}.orig.tar.gz", made.package, made.version));
    let prefix = format!("{}_{}-", made.package, made.version);
    let description = super::places::entries(&store.sources())?
        .into_iter()
        .find_map(|entry| {
            let name = entry.file_name()?.to_str()?;
            Some(name.strip_prefix(&prefix)?.strip_suffix(".dsc")?.to_owned())
        });
    Ok(description
        .filter(|_| path.exists())
        .map(|revision| Source {
            path,
            version: format!("Debian source {} {}-{revision}", made.package, made.version),
        }))
}

/// A source the user named: a tarball is known by its contents, a tree by its place and its Makefile.
fn named(path: &Path, option: &str) -> Result<Source> {
    let path = path
        .canonicalize()
        .with_context(|| format!("opening {} (given with {option})", path.display()))?;
    let key = if path.is_dir() {
        Key::default()
            .text(&path.display().to_string())
            .file(&path.join("Makefile"))?
    } else {
        Key::default().file(&path)?
    };
    Ok(Source {
        version: format!("{} {}", path.display(), key.finish()),
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::described_in;

    #[test]
    fn only_a_description_of_the_package_and_the_series_is_taken() {
        let files = [
            "/s/redis-tools_7.0.15-1.dsc",
            "/s/redis_7.0.15-1~deb12u10.debian.tar.xz",
            "/s/redis_7.0.15-1~deb12u10.dsc",
            "/s/redis_7.01-1.dsc",
            "/s/redis_7.2.0-1.dsc",
        ];
        let found = |series| described_in(files.map(Into::into).to_vec(), "redis", series);
        assert_eq!(
            found("7.0"),
            Some((files[2].into(), "7.0.15-1~deb12u10".to_owned()))
        );
        assert_eq!(found("7.1"), None);
    }
}
