//! `uklscope sites`: where the application's code leaves it.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use debugger::addr::{Addr, Insns};
use debugger::count::{counted, either};
use debugger::crossing::Mode;
use debugger::qemu::image::Manifest;
use debugger::session::store;
use debugger::symbols::{Pattern, Symbols};
use debugger::trace::call_map::{Made, made};
use debugger::trace::call_sites::{CallSite, Enters, How, call_sites};
use debugger::trace::recording::{Head, Recording};
use serde::Serialize;

use super::report;

const SCHEMA: u32 = 1;

#[derive(Debug, clap::Args)]
pub struct SitesArgs {
    /// An image's name or folder.
    pub image: String,
    /// Only sites whose caller, target or place in the source holds this; with * or ? the whole of it.
    pub pattern: Option<String>,
    /// A recording of the same image: how many crossings each place made.
    #[arg(long = "use", value_name = "FILE")]
    pub used: Option<PathBuf>,
    /// linux: the addresses of the program that runs in ring 3; else those in the kernel image.
    #[arg(long)]
    pub mode: Option<Mode>,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    image: &'a str,
    sites: Vec<Row<'a>>,
}

/// A site, and what it made where a recording was given.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    site: &'a CallSite,
    #[serde(flatten)]
    made: Option<Made>,
}

/// Prints a line for each, in the order of their addresses.
///
/// # Errors
/// When the image cannot be read, or no site matches.
pub fn run(args: &SitesArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let image = store::image(&args.image).context("opening the image")?;
    let twin = (args.mode == Some(Mode::Linux)).then(|| image.twin());
    let symbols = Symbols::open(&image.vmlinux(), twin.as_deref())?;
    let all = call_sites(&symbols);
    let used = args
        .used
        .as_ref()
        .map(|file| used(file, args.mode, &image.manifest))
        .transpose()?;
    let of = |site: &CallSite| {
        Some(
            used.as_ref()?
                .get(&site.address)
                .copied()
                .unwrap_or_default(),
        )
    };
    let sites = wanted(&all, args.pattern.as_deref()).into_iter();
    let sites: Vec<Row<'_>> = sites
        .map(|site| Row {
            site,
            made: of(site),
        })
        .collect();
    if sites.is_empty() {
        bail!(
            "looking for call sites in {}: none of {} matches; the pattern is a part of a caller, a target or \
             a place such as main.c:42",
            args.image,
            all.len()
        );
    }
    if json {
        let document = Document {
            schema: SCHEMA,
            image: &image.manifest.name,
            sites,
        };
        serde_json::to_writer(&mut *out, &document)?;
        writeln!(out)?;
        return Ok(());
    }
    for line in lines(&image.manifest.name, &sites) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn wanted<'a>(all: &'a [CallSite], pattern: Option<&str>) -> Vec<&'a CallSite> {
    let pattern = pattern.map(Pattern::new);
    let holds = |site: &&CallSite| {
        pattern.as_ref().is_none_or(|pattern| {
            let target = site.target.as_ref();
            pattern.matches(&site.caller)
                || pattern.matches(&site.place())
                || target.is_some_and(|target| pattern.matches(&target.symbol))
        })
    };
    all.iter().filter(holds).collect()
}

/// What each address made, in all runs of the recording in that mode; but for linux, in all the others.
fn used(file: &Path, mode: Option<Mode>, image: &Manifest) -> anyhow::Result<HashMap<Addr, Made>> {
    let linux = mode == Some(Mode::Linux);
    let Recording { head, runs } = report::open(file)?;
    of_same_build(&head, file, (&image.name, &image.build_id))?;
    let sums = made(
        runs.iter()
            .filter(|run| (run.mode.mode == Mode::Linux) == linux),
    );
    if sums.is_empty() {
        bail!(
            "looking for who made crossings in {}: no run of it says so; for runs in mode linux add --mode linux",
            file.display()
        );
    }
    Ok(sums)
}

/// # Errors
/// When the recording's addresses are another build's, which may have the image's name.
fn of_same_build(head: &Head, file: &Path, (name, build_id): (&str, &str)) -> anyhow::Result<()> {
    if head.build_id != build_id {
        bail!(
            "looking for who made crossings in {}: it is of the image {}, build-id {}, and not of {name}, build-id \
             {build_id}; name that image, or record this one",
            file.display(),
            head.image,
            head.build_id
        );
    }
    Ok(())
}

fn lines(image: &str, rows: &[Row<'_>]) -> Vec<String> {
    let sites = || rows.iter().map(|row| row.site);
    let count = |enters: Enters| sites().filter(|site| site.enters == enters).count();
    let open = sites()
        .filter(|site| site.how != How::Syscall && site.target.is_none())
        .count();
    let mut lines = vec![
        format!(
            "{image}: the application's code is left at {}, at {open} of them to where is decided at run \
             time; {} {} the kernel, {} may, {} not",
            counted(rows.len(), "place"),
            count(Enters::Yes),
            either(count(Enters::Yes), "reaches", "reach"),
            count(Enters::Maybe),
            either(
                count(Enters::No),
                "1 does".to_owned(),
                format!("{} do", count(Enters::No))
            )
        ),
        format!(
            "{:<18} {:<24} {:<28} {:<7} {:<32} {:<6}",
            "address", "place", "caller", "by", "to", "kernel"
        ),
    ];
    let used = |row: &&Row<'_>| row.made.is_some_and(|made| made.count > 0);
    if rows.iter().any(|row| row.made.is_some()) {
        let used = rows.iter().filter(used).count();
        lines.insert(
            1,
            format!("{used} of them made crossings: * and how many, with the instructions of all"),
        );
    }
    lines.extend(rows.iter().map(line));
    lines
}

fn line(row: &Row<'_>) -> String {
    let site = row.site;
    let made = row.made.filter(|made| made.count > 0);
    let made = made.map_or_else(String::new, |made| {
        format!(
            "* {:>10} {:>14}",
            Insns(made.count).to_string(),
            Insns(made.instructions).to_string()
        )
    });
    let target = match (&site.target, site.how) {
        (Some(target), _) => format!("{} {}", target.origin.letter(), target.symbol),
        (None, How::Syscall) => "k the kernel".to_owned(),
        (None, _) => "? decided at run time".to_owned(),
    };
    let by = match site.how {
        How::Call => "call",
        How::Jump => "jump",
        How::Syscall => "syscall",
    };
    let enters = match site.enters {
        Enters::Yes => "yes",
        Enters::Maybe => "maybe",
        Enters::No => "no",
    };
    format!(
        "{:<18} {:<24} {:<28} {by:<7} {target:<32} {enters:<6} {made}",
        format!("{:?}", site.address),
        site.place(),
        site.caller
    )
    .trim_end()
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_of_another_build_is_refused() {
        let head = Head {
            image: "echo".to_owned(),
            build_id: "ab12".to_owned(),
            ..Head::default()
        };
        let check = |name, build_id| of_same_build(&head, Path::new("a.rec"), (name, build_id));
        check("echo", "ab12").unwrap();
        for name in ["echo", "syscalls"] {
            let refused = check(name, "0123").unwrap_err().to_string();
            let said =
                format!("of the image echo, build-id ab12, and not of {name}, build-id 0123; ");
            assert!(refused.contains(&said), "{refused}");
        }
    }
}
