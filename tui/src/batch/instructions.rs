//! `uklscope diff --instructions`: one operation of each run, stepped through on its image.

use std::io::Write;

use anyhow::{Context, bail};
use debugger::count::counted;
use debugger::event::{Instructions, Line};
use debugger::qemu::image::Image;
use debugger::session::instructions as step;
use debugger::session::store;
use debugger::session::stub_trace::Wanted;
use debugger::trace::diff;
use debugger::trace::recording::Head;
use debugger::trace::report::{Class, Report, SCHEMA, Verdict};
use serde::Serialize;

use super::tracing::cancel_by_signal;

/// A run, and the image that its recording says it is of.
#[derive(Debug)]
pub struct Side {
    pub head: Head,
    pub run: Report,
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: u32,
    #[serde(flatten)]
    instructions: &'a Instructions,
}

/// Of the functions whose own instructions differ, or of one.
///
/// # Errors
/// When the call is not in both, an image is not there, or QEMU cannot be started.
pub fn run(
    (a, b): (&Side, &Side),
    call: &str,
    symbol: Option<&str>,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let pairs = diff::matches(&a.run, &b.run);
    let named = pairs
        .into_iter()
        .find(|(ours, theirs)| ours.call == call || theirs.call == call);
    let (ours, theirs) =
        named.with_context(|| format!("looking for {call}: it is not in both recordings"))?;
    let pair = diff::pair((ours, &a.run.mode), (theirs, &b.run.mode));
    let differs = |name: &str| {
        let mut rows = pair.rows.iter().filter(|row| row.symbol == name);
        rows.any(|row| row.verdict != Verdict::Same && row.a != row.b)
    };
    let shown = |name: &str| match symbol {
        Some(symbol) => name == symbol,
        None => differs(name),
    };
    let (image_a, image_b) = (image(a)?, image(b)?);
    let (wanted_a, wanted_b) = (wanted(ours), wanted(theirs));
    let sides = (
        step::Side {
            image: &image_a,
            setup: &pair.mode_a,
            wanted: &wanted_a,
        },
        step::Side {
            image: &image_b,
            setup: &pair.mode_b,
            wanted: &wanted_b,
        },
    );
    let cancel = cancel_by_signal()?;
    let instructions = step::step_both(&pair.call, sides, &shown, &cancel)?;
    if let (Some(symbol), true) = (symbol, instructions.functions.is_empty()) {
        bail!(
            "listing {symbol}: neither operation of {call} passes through it; its ladder names those that do"
        );
    }
    if json {
        let document = Document {
            schema: SCHEMA,
            instructions: &instructions,
        };
        serde_json::to_writer(&mut *out, &document)?;
        writeln!(out)?;
        return Ok(());
    }
    for line in text(&instructions) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The image that the recording was made of, and no later one.
fn image(side: &Side) -> anyhow::Result<Image> {
    let name = &side.head.image;
    let image = store::image(name).context("opening the image of the recording")?;
    if image.manifest.build_id != side.head.build_id {
        bail!(
            "stepping through {name}: the image there is build {}, the recording is of {}; trace it again",
            image.manifest.build_id,
            side.head.build_id
        );
    }
    Ok(image)
}

fn wanted(class: &Class) -> Wanted {
    Wanted {
        call: class.call.clone(),
        id: class.id.clone(),
        instructions: class.instructions,
    }
}

fn text(found: &Instructions) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: one operation in mode {} and one in mode {}, stepped through; · did not run",
        found.call, found.mode_a, found.mode_b
    )];
    for (same, mode) in [
        (found.same_path_a, &found.mode_a),
        (found.same_path_b, &found.mode_b),
    ] {
        if !same {
            lines.push(format!(
                "note: in mode {mode} it took another path than the recording's"
            ));
        }
    }
    for function in &found.functions {
        lines.push(String::new());
        lines.push(format!(
            "{} [{}]: {} {}, {} {}; {} of its code ran in neither",
            function.symbol,
            function.origin,
            found.mode_a,
            function.a,
            found.mode_b,
            function.b,
            counted(function.idle, "instruction")
        ));
        lines.push(format!(
            "{:>8} {:>8}",
            found.mode_a.to_string(),
            found.mode_b.to_string()
        ));
        // What did not run is not worth a gap between its blocks.
        for blocks in function.blocks.chunk_by(|a, b| !a.ran() && !b.ran()) {
            lines.extend(blocks.iter().flat_map(|block| &block.lines).map(one));
            lines.push(String::new());
        }
        lines.pop();
    }
    lines
}

fn one(line: &Line) -> String {
    let count = |count: u64| match count {
        0 => "·".to_owned(),
        ran => ran.to_string(),
    };
    let expensive = line
        .expensive
        .map_or_else(String::new, |why| format!("   ! {why}"));
    format!(
        "{:>8} {:>8}  {:x}  {}{expensive}",
        count(line.a),
        count(line.b),
        line.address.0,
        line.text
    )
}
