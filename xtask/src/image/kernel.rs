//! The kernel: unpacked, patched and configured once per key, then linked again with each application.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::command::{logged, output, remove, tool, version};
use super::patches;
use super::places::{Key, Store, beside, entries, repository, write_whole};
use super::sources::{self, MadeFor, Source};
use super::variant::Variant;
use crate::progress::Step;

/// Lines that make prints for a whole build, counted on 6.1.192 with this configuration: for the percentage alone.
const BUILD_LINES: usize = 1820;

/// Written last: without it the tree was left half-made.
const CONFIGURED: &str = ".uklscope-configured";

/// A configured tree that is built in place; its objects are kept.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) tree: PathBuf,
    /// `6.1.192 (Debian linux-source-6.1 6.1.192-2)`
    pub(crate) version: String,
    pub(crate) variant: Variant,
    log: PathBuf,
}

/// What links into an image.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) bzimage: PathBuf,
    pub(crate) vmlinux: PathBuf,
}

/// All that the kernel's objects depend on.
///
/// # Errors
/// When a patch or the configuration cannot be read, or a tool is missing.
pub(crate) fn key(source: &Source, variant: Variant) -> Result<String> {
    let kernel = repository().join("kernel");
    let additions = variant.additions();
    let additions = additions.map_or(Vec::new(), |added| {
        vec![added.patches, added.tree, added.wire]
    });
    Ok(Key::default()
        .text(&source.version)
        .folder(&kernel.join("patches"))?
        .files(&additions)?
        .files(&variant.fragments())?
        .text(&version("gcc")?)
        .text(&version("ld")?)
        .finish())
}

/// Unpacks, patches and configures, where that was not done already.
///
/// # Errors
/// When a step fails; what it left counts for nothing and is removed by the next try.
pub(crate) fn prepare(
    store: &Store,
    made: &MadeFor,
    source: &Source,
    variant: Variant,
    force: bool,
) -> Result<Kernel> {
    let tree = store.kernel(&key(source, variant)?);
    let stamp = tree.join(CONFIGURED);
    let log = tree.join("uklscope-build.log");
    if force || !stamp.exists() {
        remove(&tree)?;
        let part = beside(&tree, "part");
        remove(&part)?;
        let first_log = store.sources().join("unpack-linux.log");
        remove(&first_log)?;
        let step = Step::start("unpacking the kernel's source");
        sources::unpack(source, &part, &first_log)?;
        step.done();
        let found = release(&part)?;
        if !found.starts_with(&format!("{}.", made.series)) {
            bail!(
                "preparing the kernel: {} is Linux {found}, and kernel/patches is made for {}; give another source \
                 with --linux-source",
                source.path.display(),
                made.series
            );
        }
        let step = Step::start("patching the kernel");
        let subject = patches::Subject {
            what: format!("Linux {found} ({})", source.version),
            tried: &made.tried,
            option: "--linux-source",
        };
        patches::apply(&part, &repository().join("kernel/patches"), &subject)?;
        if let Some(added) = variant.additions() {
            patches::apply(&part, &added.patches, &subject)?;
            lay_over(&added.tree, &part)?;
            let wire = part.join("include/linux/uklscope_wire.h");
            fs::copy(&added.wire, &wire)
                .with_context(|| format!("copying to {}", wire.display()))?;
        }
        step.done();
        let step = Step::start("configuring the kernel");
        configure(&part, variant, &first_log)?;
        step.done();
        write_whole(&part.join(CONFIGURED), found.as_bytes())?;
        fs::rename(&part, &tree).with_context(|| format!("renaming {}", part.display()))?;
    }
    let found =
        fs::read_to_string(&stamp).with_context(|| format!("reading {}", stamp.display()))?;
    Ok(Kernel {
        tree,
        version: format!("{found} ({})", source.version),
        variant,
        log,
    })
}

impl Kernel {
    /// Builds the kernel with an application in it; after the first time only what depends on the application.
    ///
    /// # Errors
    /// When make fails.
    pub(crate) fn link(&self, application: &Path) -> Result<Built> {
        let built = Built {
            bzimage: self.tree.join("arch/x86/boot/bzImage"),
            vmlinux: self.tree.join("vmlinux"),
        };
        let first = !built.bzimage.exists();
        let mut step = Step::start(if first {
            "building the kernel"
        } else {
            "linking the kernel"
        });
        let mut make = make(&self.tree);
        make.arg(format!("UKL_APP={}", application.display()));
        make.args(["vmlinux", "bzImage"]);
        remove(&self.log)?;
        let mut lines = 0;
        logged(make, "building the kernel", &self.log, |line| {
            lines += 1;
            match first {
                true => step.percent(lines, BUILD_LINES),
                false => step.detail(line.trim()),
            }
        })?;
        step.done();
        Ok(built)
    }
}

/// make with all cores, and nothing in the result that differs from one build to the next.
fn make(tree: &Path) -> Command {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut make = tool("make");
    make.arg("-C").arg(tree).arg(format!("-j{cores}"));
    make.env("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970")
        .env("KBUILD_BUILD_USER", "uklscope")
        .env("KBUILD_BUILD_HOST", "uklscope")
        .env("KBUILD_BUILD_VERSION", "1");
    make
}

/// Copies a folder's files into the same folders of a tree.
fn lay_over(from: &Path, tree: &Path) -> Result<()> {
    for entry in entries(from)? {
        let to = tree.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() {
            lay_over(&entry, &to)?;
        } else {
            fs::copy(&entry, &to).with_context(|| format!("copying to {}", to.display()))?;
        }
    }
    Ok(())
}

fn release(tree: &Path) -> Result<String> {
    let mut make = tool("make");
    make.args(["-s", "kernelversion", "-C"]).arg(tree);
    Ok(output(make, "asking for the kernel's version")?
        .trim()
        .to_owned())
}

/// The smallest configuration, and the variant's fragments of `kernel/config` over it.
fn configure(tree: &Path, variant: Variant, log: &Path) -> Result<()> {
    let fragments = variant.fragments();
    let what = "configuring the kernel";
    let mut tiny = make(tree);
    tiny.arg("tinyconfig");
    logged(tiny, what, log, |_| {})?;
    let mut merge = tool("scripts/kconfig/merge_config.sh");
    merge
        .current_dir(tree)
        .args(["-m", ".config"])
        .args(&fragments);
    logged(merge, what, log, |_| {})?;
    let mut old = make(tree);
    old.arg("olddefconfig");
    logged(old, what, log, |_| {})?;
    let path = tree.join(".config");
    let config =
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let read = |fragment: &PathBuf| {
        fs::read_to_string(fragment).with_context(|| format!("reading {}", fragment.display()))
    };
    let texts = fragments.iter().map(read).collect::<Result<Vec<_>>>()?;
    for (i, (fragment, asked)) in fragments.iter().zip(&texts).enumerate() {
        let lost = lost(asked, &texts[i + 1..], &config);
        if !lost.is_empty() {
            bail!(
                "{what}: {} asks for {}, and Kconfig dropped it; look at what it depends on",
                fragment.display(),
                lost.join(", ")
            );
        }
    }
    Ok(())
}

/// The lines of a fragment that the final configuration does not hold, but for those that a later fragment changes:
/// Kconfig drops silently what it cannot grant.
fn lost(asked: &str, later: &[String], config: &str) -> Vec<String> {
    let changed = |line: &str| {
        let name = line.split_inclusive('=').next().unwrap_or(line);
        let mut lines = later.iter().flat_map(|text| text.lines());
        lines.any(|line| line.starts_with(name))
    };
    asked
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("CONFIG_") && !changed(line))
        .filter(|line| match line.strip_suffix("=n") {
            Some(name) => config
                .lines()
                .any(|have| have.starts_with(&format!("{name}="))),
            None => !config.lines().any(|have| have == *line),
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::lost;

    #[test]
    fn an_option_that_kconfig_dropped_is_noticed() {
        let config = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=8\nCONFIG_D=y\n";
        assert_eq!(
            lost(
                "# why\nCONFIG_A=y\nCONFIG_B=n\nCONFIG_C=8\nCONFIG_E=n\n",
                &[],
                config
            ),
            Vec::<String>::new()
        );
        assert_eq!(
            lost("CONFIG_B=y\nCONFIG_C=9\nCONFIG_D=n\n", &[], config),
            ["CONFIG_B=y", "CONFIG_C=9", "CONFIG_D=n"]
        );
        let later = ["# over it\nCONFIG_D=y\n".to_owned()];
        assert_eq!(
            lost("CONFIG_C=9\nCONFIG_D=n\n", &later, config),
            ["CONFIG_C=9"]
        );
    }
}
