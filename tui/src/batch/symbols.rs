//! `uklscope symbols`: names with origin, address, size and source; homonyms side by side.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use anyhow::bail;
use debugger::event::{Answer, SymbolInfo};
use debugger::session::store;
use debugger::symbols::{Pattern, Symbols};
use serde::Serialize;

use super::text;

const SCHEMA: u32 = 1;

#[derive(Debug, clap::Args)]
pub struct SymbolsArgs {
    /// An image's name or folder, or a vmlinux.
    pub image: String,
    /// Only names that hold this; with * or ? the whole name.
    pub pattern: Option<String>,
}

#[derive(Serialize)]
struct Document {
    schema: u32,
    symbols: Vec<SymbolInfo>,
}

/// Prints the symbols, those of one name side by side.
///
/// # Errors
/// When the file cannot be read, or nothing matches.
pub fn run(args: &SymbolsArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let symbols = open(&args.image)?;
    for lack in symbols.lacks() {
        // The names are there all the same.
        let _ = writeln!(std::io::stderr(), "{}: {lack}", args.image);
    }
    let found = find(&symbols, args.pattern.as_deref());
    if json {
        let document = Document {
            schema: SCHEMA,
            symbols: found,
        };
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)?;
        return Ok(());
    }
    if found.is_empty() {
        let pattern = args.pattern.as_deref().unwrap_or("*");
        bail!(
            "looking for '{pattern}' in {}: none of its {} symbols matches; use * for any text",
            args.image,
            symbols.len()
        );
    }
    for line in text::lines(&Answer::Symbols(found)) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// A file is a vmlinux, all else names an image.
fn open(target: &str) -> anyhow::Result<Symbols> {
    let path = Path::new(target);
    if path.is_file() && path.file_name().is_none_or(|name| name != "image.toml") {
        return Ok(Symbols::open(path, None)?);
    }
    let image = store::image(target)?;
    Ok(Symbols::open(&image.vmlinux(), None)?)
}

fn find(symbols: &Symbols, pattern: Option<&str>) -> Vec<SymbolInfo> {
    let pattern = Pattern::new(pattern.unwrap_or("*"));
    let mut bearers: HashMap<&str, u32> = HashMap::new();
    for symbol in symbols.iter() {
        *bearers.entry(symbol.name).or_default() += 1;
    }
    let mut found: Vec<SymbolInfo> = symbols
        .matching(&pattern)
        .map(|symbol| {
            let place = symbols.place(symbol.addr);
            SymbolInfo {
                name: symbol.name.to_owned(),
                addr: symbol.addr,
                size: symbol.size,
                origin: symbol.origin,
                file: place.file.or_else(|| symbol.file.map(str::to_owned)),
                line: place.line,
                homonyms: bearers.get(symbol.name).map_or(0, |count| count - 1),
            }
        })
        .collect();
    found.sort_by(|a, b| (&a.name, a.addr).cmp(&(&b.name, b.addr)));
    found
}
