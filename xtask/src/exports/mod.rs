//! `cargo xtask exports`: what is exported is read by the formats' own readers, and adds up to the report.
//!
//! Each reader is shown half of its file as well, which must fail: a check that accepts anything is none.

mod expected;
mod readers;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use debugger::session::trace_file;
use debugger::trace::export::{Format, How, Source, WriteTo};
use debugger::trace::recording::Recording;
use serde_json::Value;

use self::expected::{Run, runs};
pub(crate) use self::readers::Readers;
use crate::image::repository;
use crate::progress::{self, Step};

#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Recordings; the one that is built in if none is given
    files: Vec<PathBuf>,
}

/// A reader's answer about a file, and what is wrong with it.
type Check = fn(&Readers, &Path, &[Run]) -> Result<()>;

/// Format, its reader, and what compares them. CSV and the flame graph's reader are in tests of the library.
const CHECKS: [(&str, &str, Check); 6] = [
    ("speedscope", "speedscope", speedscope),
    ("folded", "speedscope", folded),
    ("chrome", "speedscope", chrome),
    ("firefox", "the Firefox Profiler", firefox),
    ("perfetto", "Perfetto's schema", perfetto),
    ("parquet", "DuckDB", parquet),
];

/// # Errors
/// When a reader does not take a file, or finds something else in it than the report says.
pub(crate) fn run(args: &Args) -> Result<()> {
    check(&Readers::ready()?, args)
}

/// The same of the recording that is built in; where the registries of the readers are out of reach, it says so
/// and checks nothing.
///
/// # Errors
/// As [`run`], but for readers that cannot be had.
pub(crate) fn run_where_readers_are() -> Result<()> {
    match Readers::ready() {
        Ok(readers) => check(&readers, &Args::default()),
        Err(error) => {
            progress::say(&format!(
                "exports: not checked, their readers cannot be had: {error:#}"
            ));
            Ok(())
        }
    }
}

fn check(readers: &Readers, args: &Args) -> Result<()> {
    let builtin = repository().join(crate::builtin::FILE);
    let files = match args.files.as_slice() {
        [] => std::slice::from_ref(&builtin),
        files => files,
    };
    for file in files {
        let (recording, issues) = trace_file::load(file)?;
        ensure!(issues.is_empty(), "{}: {issues:?}", file.display());
        let step = Step::start(format!("reading what is exported of {}", file.display()));
        for (format, reader, check) in CHECKS {
            checked(readers, &recording, format, check)
                .with_context(|| format!("{format}, read by {reader}"))?;
        }
        step.done();
        progress::say(&format!(
            "exports: {} formats, each as its reader wants it",
            CHECKS.len()
        ));
    }
    Ok(())
}

fn checked(readers: &Readers, recording: &Recording, name: &str, check: Check) -> Result<()> {
    let format = Format::named(name).context("there is no such format")?;
    let runs = runs(recording);
    let folder = tempfile::tempdir()?;
    let whole = written(recording, format, folder.path())?;
    check(readers, &whole, &runs)?;
    for file in files(&whole)? {
        let length = fs::metadata(&file)?.len();
        File::options()
            .write(true)
            .open(&file)?
            .set_len(length / 2)?;
    }
    ensure!(
        check(readers, &whole, &runs).is_err(),
        "half of the file passes as well: the check checks nothing"
    );
    Ok(())
}

/// The file or folder of a format.
fn written(recording: &Recording, format: &Format, folder: &Path) -> Result<PathBuf> {
    let create = |name: &str, write: WriteTo| -> Result<PathBuf> {
        let path = folder.join(name);
        let mut file = BufWriter::new(File::create(&path)?);
        write(&Source::of(recording), &mut file)?;
        file.flush()?;
        Ok(path)
    };
    match format.how {
        How::File(write) => create(format.name, write),
        How::Folder(files) => {
            for (name, write) in files {
                create(name, *write)?;
            }
            Ok(folder.to_owned())
        }
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
    entries.collect()
}

fn speedscope(readers: &Readers, file: &Path, runs: &[Run]) -> Result<()> {
    let profiles = readers.speedscope(file)?;
    let found: Vec<(&Value, u64, u64)> = array(&profiles)?
        .iter()
        .map(|profile| {
            Ok((
                &profile["name"],
                number(profile, "total")?,
                number(profile, "own")?,
            ))
        })
        .collect::<Result<_>>()?;
    ensure!(found.len() == runs.len(), "{} profiles", found.len());
    for ((name, total, own), run) in found.into_iter().zip(runs) {
        same(
            "name",
            name.as_str(),
            Some(format!("{}: instructions", run.mode).as_str()),
        )?;
        same("total", total, run.instructions)?;
        same("own", own, run.instructions)?;
    }
    same("unit", profiles[0]["unit"].as_str(), Some("none"))
}

/// One profile; its outermost frames are the modes.
fn folded(readers: &Readers, file: &Path, runs: &[Run]) -> Result<()> {
    let profiles = readers.speedscope(file)?;
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for run in runs {
        *expected.entry(run.mode.clone()).or_default() += run.instructions;
    }
    same(
        "instructions by mode",
        numbers(&profiles[0]["roots"])?,
        expected,
    )
}

/// A profile for each kind of crossings in each run. speedscope names a slice with its arguments behind it.
fn chrome(readers: &Readers, file: &Path, runs: &[Run]) -> Result<()> {
    let profiles = readers.speedscope(file)?;
    let mut found = Vec::new();
    for profile in array(&profiles)? {
        let mut calls: BTreeMap<String, u64> = BTreeMap::new();
        for (name, instructions) in numbers(&profile["roots"])? {
            let call = name.split(" {").next().unwrap_or_default();
            *calls.entry(call.to_owned()).or_default() += instructions;
        }
        found.push(calls);
    }
    let expected: Vec<_> = runs
        .iter()
        .flat_map(|run| run.tracks.values().cloned())
        .collect();
    same("outermost slices by track", found, expected)
}

/// A thread for each run, a marker for each class.
fn firefox(readers: &Readers, file: &Path, runs: &[Run]) -> Result<()> {
    let threads: Vec<String> = (0..runs.len()).map(|run| format!("t-{run}")).collect();
    let ask = |what| {
        threads
            .iter()
            .map(move |thread| ["thread", what, "--thread", thread])
    };
    let questions: Vec<[&str; 4]> = ask("samples").chain(ask("markers")).collect();
    let questions: Vec<&[&str]> = questions.iter().map(<[&str; 4]>::as_slice).collect();
    let answers = readers.firefox(file, &questions)?;
    for (answer, run) in answers.iter().zip(runs) {
        let breakdown = &answer["categoryBreakdown"];
        same(
            "samples",
            number(breakdown, "totalSamples")?,
            run.instructions,
        )?;
        let mut origins = BTreeMap::new();
        for category in array(&breakdown["categories"])? {
            let name = category["name"].as_str().unwrap_or_default();
            origins.insert(name.to_owned(), number(category, "samples")?);
        }
        same("instructions by origin", &origins, &run.origins)?;
    }
    for (answer, run) in answers.iter().skip(runs.len()).zip(runs) {
        let mut kinds = BTreeMap::new();
        for group in array(&answer["byType"])? {
            let name = group["markerName"].as_str().unwrap_or_default();
            kinds.insert(name.to_owned(), number(group, "count")?);
        }
        same("markers by kind", &kinds, &run.kinds)?;
    }
    Ok(())
}

fn perfetto(readers: &Readers, file: &Path, runs: &[Run]) -> Result<()> {
    let trace = readers.perfetto(file)?;
    let said = trace["description"].as_str().unwrap_or_default();
    ensure!(said.contains("1 ns is 1 instruction"), "it says '{said}'");
    let mut found = Vec::new();
    for track in array(&trace["tracks"])? {
        let kind = track["name"].as_str().unwrap_or_default().to_owned();
        found.push((kind, numbers(&track["outermost"])?));
    }
    let tracks = runs.iter().flat_map(|run| &run.tracks);
    let expected: Vec<_> = tracks
        .map(|(kind, calls)| (kind.to_string(), calls.clone()))
        .collect();
    same("outermost slices by track", found, expected)?;
    let slices = runs.iter().map(|run| run.classes + run.nodes).sum::<u64>();
    same("slices", number(&trace, "slices")?, slices)
}

fn parquet(readers: &Readers, folder: &Path, runs: &[Run]) -> Result<()> {
    let tables = readers.parquet(folder)?;
    same(
        "nodes whose total is another sum",
        number(&tables, "unbalanced")?,
        0,
    )?;
    same(
        "classes whose path is another",
        number(&tables, "apart")?,
        0,
    )?;
    same(
        "unit",
        tables["unit"].as_str(),
        Some("instructions, never time"),
    )?;
    let found = array(&tables["runs"])?;
    same("runs", found.len(), runs.len())?;
    for (found, run) in found.iter().zip(runs) {
        same("mode", found["mode"].as_str(), Some(run.mode.as_str()))?;
        for (name, expected) in [
            ("classes", run.classes),
            ("crossings", run.crossings),
            ("instructions", run.instructions),
            ("phases", run.instructions),
            ("nodes", run.nodes),
            ("own", run.instructions),
        ] {
            same(name, number(found, name)?, expected)?;
        }
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<()> {
    ensure!(
        found == expected,
        "{what}: {found:?}, and by the report {expected:?}"
    );
    Ok(())
}

fn array(value: &Value) -> Result<&Vec<Value>> {
    value
        .as_array()
        .with_context(|| format!("no list: {value}"))
}

fn number(of: &Value, name: &str) -> Result<u64> {
    let value = &of[name];
    value
        .as_u64()
        .with_context(|| format!("{name} is no count: {value}"))
}

fn numbers(value: &Value) -> Result<BTreeMap<String, u64>> {
    let object = value
        .as_object()
        .with_context(|| format!("no object: {value}"))?;
    let entries = object
        .keys()
        .map(|key| Ok((key.clone(), number(value, key)?)));
    entries.collect()
}
