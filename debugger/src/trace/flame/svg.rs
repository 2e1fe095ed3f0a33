//! Flame graphs and differences as SVG: one file that any browser shows, without scripts. What is under the
//! pointer is told by the frames' titles.

mod paper;

use super::butterfly::{Band, Butterfly, Wing};
use super::{Flame, Frame};
use crate::addr::Insns;
use crate::count::{counted, either};
use crate::origin::Origin;
use crate::trace::import::{INSTRUCTIONS, StacksDiff};
use crate::trace::report::{Pair, Report, Row, Verdict};
use paper::{Paper, Rect};

/// Of the picture, in pixels.
const WIDTH: f64 = 1400.0;
const MARGIN: f64 = 10.0;
/// Of a frame, and of a line of text.
const HEIGHT: f64 = 16.0;
/// Narrower ones are left out, and their number is told.
const NARROWEST: f64 = 0.1;
/// Of a letter, of the font that the picture asks for.
const LETTER: f64 = 6.7;

/// From instructions to pixels.
struct Scale {
    per_instruction: f64,
}

impl Scale {
    fn of(width: u64) -> Self {
        Self {
            per_instruction: (WIDTH - 2.0 * MARGIN) / width.max(1) as f64,
        }
    }

    fn x(&self, instructions: u64) -> f64 {
        MARGIN + self.length(instructions)
    }

    fn length(&self, instructions: u64) -> f64 {
        instructions as f64 * self.per_instruction
    }
}

/// All crossings of these runs, side by side.
#[must_use]
pub fn of_runs(runs: &[Report]) -> String {
    let all: Vec<&Report> = runs.iter().collect();
    let modes: Vec<String> = runs.iter().map(|run| run.mode.to_string()).collect();
    let heading = format!("Crossings in {}, by instructions", modes.join(", "));
    flame(&Flame::of(&all, |_| true), &heading, INSTRUCTIONS)
}

/// The frames with what called them below them, under a heading; their weights are of that unit.
#[must_use]
pub fn flame(flame: &Flame<'_>, heading: &str, unit: &str) -> String {
    let scale = Scale::of(flame.total());
    let is_drawn = |frame: &&Frame<'_>| scale.length(frame.total) >= NARROWEST;
    let drawn: Vec<&Frame<'_>> = flame.frames.iter().filter(is_drawn).collect();
    let deepest = drawn.iter().map(|frame| frame.depth).max().unwrap_or(0);
    let top = 3.0 * HEIGHT;
    let bottom = top + (deepest + 1) as f64 * HEIGHT;
    let mut paper = Paper::new(WIDTH, bottom + 3.0 * HEIGHT, heading);
    paper.words(MARGIN, HEIGHT * 1.5, "heading", heading);
    for frame in &drawn {
        let place = Rect {
            x: scale.x(frame.start),
            y: bottom - (frame.depth + 1) as f64 * HEIGHT,
            width: scale.length(frame.total),
            height: HEIGHT - 1.0,
        };
        let share = frame.total as f64 * 100.0 / flame.total().max(1) as f64;
        let calls = frame
            .calls
            .map(|calls| format!(", {}", counted(Insns(calls), "call")));
        let title = format!(
            "{} ({}): {} {unit}, {share:.2} % of all, {} of its own{}",
            frame.symbol,
            frame.origin,
            Insns(frame.total),
            Insns(frame.own),
            calls.unwrap_or_default()
        );
        let label = label(frame.origin, &frame.symbol);
        paper.frame(&place, class(frame.origin), &label, &title);
    }
    let left_out = flame.frames.len() - drawn.len();
    let mut foot = format!("{} {unit}", Insns(flame.total()));
    if left_out > 0 {
        foot.push_str(&format!(
            "; {} narrower than {NARROWEST} pixels {} not drawn",
            counted(left_out, "frame"),
            either(left_out, "is", "are")
        ));
    }
    paper.words(MARGIN, bottom + HEIGHT * 1.5, "note", &foot);
    paper.finish()
}

/// What is drawn of a difference.
#[derive(Debug)]
pub struct Compared<'a> {
    heading: String,
    sides: [String; 2],
    ledger: String,
    unit: &'a str,
    rows: &'a [Row],
    /// Rows with less than that on either side are not drawn.
    least: u64,
}

impl<'a> From<&'a Pair> for Compared<'a> {
    fn from(pair: &'a Pair) -> Self {
        Self {
            heading: format!(
                "{}: {} {} → {} {}",
                pair.call, pair.mode_a, pair.kind_a, pair.mode_b, pair.kind_b
            ),
            sides: [pair.mode_a.to_string(), pair.mode_b.to_string()],
            ledger: ledger((pair.a, pair.b), (pair.removed, pair.added), pair.balanced),
            unit: INSTRUCTIONS,
            rows: &pair.rows,
            least: 0,
        }
    }
}

impl<'a> From<&'a StacksDiff> for Compared<'a> {
    fn from(diff: &'a StacksDiff) -> Self {
        Self {
            heading: format!("{} → {}", diff.a.name, diff.b.name),
            sides: ["before".to_owned(), "after".to_owned()],
            ledger: ledger(
                (diff.a.total, diff.b.total),
                (diff.removed, diff.added),
                diff.balanced,
            ),
            unit: &diff.unit,
            rows: &diff.rows,
            least: diff.least(),
        }
    }
}

impl Compared<'_> {
    fn is_drawn(&self, row: &Row) -> bool {
        row.a.max(row.b) >= self.least
    }
}

/// Of each call the butterfly, the ledger and the ladder, below each other.
#[must_use]
pub fn difference<'a, T>(compared: &'a [T], heading: &str) -> String
where
    Compared<'a>: From<&'a T>,
{
    let compared: Vec<Compared<'_>> = compared.iter().map(Compared::from).collect();
    let needed: f64 = compared.iter().map(height).sum();
    let mut paper = Paper::new(WIDTH, 3.0 * HEIGHT + needed, heading);
    paper.words(MARGIN, HEIGHT * 1.5, "heading", heading);
    let mut y = 3.0 * HEIGHT;
    for one in &compared {
        draw(&mut paper, one, y);
        y += height(one);
    }
    paper.finish()
}

/// Lines of the ladder that say the same on both sides are told in one, beyond so many.
const KEPT_ALIKE: usize = 2;

/// A line of the ladder.
enum Rung<'a> {
    Row(&'a Row),
    /// So many rows that are the same, and what they weigh.
    Alike(usize, u64),
    /// So many rows that are not drawn.
    Light(usize),
}

fn rungs<'a>(compared: &Compared<'a>) -> Vec<Rung<'a>> {
    let mut rungs = Vec::new();
    let drawn: Vec<&Row> = compared
        .rows
        .iter()
        .filter(|row| compared.is_drawn(row))
        .collect();
    let runs = drawn.chunk_by(|a, b| (a.verdict == Verdict::Same) == (b.verdict == Verdict::Same));
    for run in runs {
        let is_long = run[0].verdict == Verdict::Same && run.len() > 2 * KEPT_ALIKE + 1;
        let kept = if is_long { KEPT_ALIKE } else { run.len() };
        rungs.extend(run[..kept].iter().copied().map(Rung::Row));
        if is_long {
            let alike = &run[kept..run.len() - kept];
            let own = alike.iter().map(|row| row.a).sum();
            rungs.push(Rung::Alike(alike.len(), own));
            rungs.extend(run[run.len() - kept..].iter().copied().map(Rung::Row));
        }
    }
    let light = compared.rows.len() - drawn.len();
    rungs.extend((light > 0).then_some(Rung::Light(light)));
    rungs
}

fn height(compared: &Compared<'_>) -> f64 {
    let butterfly = Butterfly::of(compared.rows, false);
    let levels: usize = Band::ALL.iter().map(|band| butterfly.levels(*band)).sum();
    (levels + rungs(compared).len()) as f64 * HEIGHT + 9.0 * HEIGHT
}

fn draw(paper: &mut Paper, compared: &Compared<'_>, top: f64) {
    let butterfly = Butterfly::of(compared.rows, false);
    let scale = Scale::of(butterfly.width);
    paper.words(MARGIN, top, "heading", &compared.heading);
    paper.words(MARGIN, top + HEIGHT, "note", &compared.ledger);
    let above = top + 2.0 * HEIGHT + butterfly.levels(Band::Removed) as f64 * HEIGHT;
    let middle = above + 4.0;
    let below = middle + butterfly.levels(Band::Both) as f64 * HEIGHT + 4.0;
    let is_seen = |wing: &&Wing| {
        let span = wing.span.1 - wing.span.0;
        compared.least == 0 || scale.length(span) >= NARROWEST
    };
    for wing in butterfly.wings.iter().filter(is_seen) {
        let level = wing.level as f64 * HEIGHT;
        let y = match wing.band {
            Band::Removed => above - level - HEIGHT,
            Band::Both => middle + level,
            Band::Added => below + level,
        };
        let row = &compared.rows[wing.row];
        let at = |(from, to): (u64, u64)| Rect {
            x: scale.x(from),
            y,
            width: scale.length(to - from),
            height: HEIGHT - 1.0,
        };
        let why = row.why().map_or_else(String::new, |why| format!("; {why}"));
        let title = format!(
            "{} ({}): {}, own {} → {}{why}",
            row.symbol,
            row.origin,
            wing.band.name(),
            Insns(row.a),
            Insns(row.b)
        );
        let label = label(row.origin, &row.symbol);
        paper.wing(
            &at(wing.span),
            &at(wing.solid),
            wing.band.name(),
            &label,
            &title,
        );
    }
    let ladder = below + butterfly.levels(Band::Added) as f64 * HEIGHT + 2.0 * HEIGHT;
    let half = WIDTH * 0.33;
    let mut y = ladder;
    let [side_a, side_b] = &compared.sides;
    paper.words(
        MARGIN,
        y,
        "key",
        &format!("{side_a:>8}  own {}", compared.unit),
    );
    paper.words(half, y, "key", &format!("{side_b:>8}"));
    for rung in rungs(compared) {
        y += HEIGHT;
        match rung {
            Rung::Alike(count, own) => {
                let words = format!("{:>8}  … {count} more, the same", Insns(own).to_string());
                paper.words(MARGIN, y, "same", &words);
            }
            Rung::Light(count) => {
                let words = format!("{count} more, each below {}", Insns(compared.least));
                paper.words(MARGIN, y, "note", &words);
            }
            Rung::Row(row) => rung_of(paper, row, y, half),
        }
    }
}

fn rung_of(paper: &mut Paper, row: &Row, y: f64, half: f64) {
    let side = |depth: Option<u32>, own: u64| {
        depth.map(|depth| {
            let indent = " ".repeat(depth.min(16) as usize);
            format!(
                "{:>8}  {} {indent}{}",
                Insns(own).to_string(),
                row.origin.letter(),
                row.symbol
            )
        })
    };
    let style = match row.verdict {
        Verdict::Same => "same",
        Verdict::Removed => "gone",
        Verdict::Added => "new",
        Verdict::Moved => "moved",
        Verdict::Cost => "cost",
    };
    if let Some(words) = side(row.depth_a, row.a) {
        paper.words(MARGIN, y, style, &words);
    }
    if let Some(words) = side(row.depth_b, row.b) {
        paper.words(half, y, style, &words);
    }
    if let Some(why) = row.why() {
        paper.words(WIDTH * 0.62, y, "note", why);
    }
}

fn ledger((a, b): (u64, u64), (removed, added): (u64, u64), balanced: bool) -> String {
    let verdict = if balanced {
        "it balances to the last one"
    } else {
        "IT DOES NOT BALANCE"
    };
    format!(
        "{} − removed {} + added {} = {}: {verdict}",
        Insns(a),
        Insns(removed),
        Insns(added),
        Insns(b)
    )
}

fn label(origin: Origin, symbol: &str) -> String {
    match origin {
        Origin::Unknown => symbol.to_owned(),
        known => format!("{} {symbol}", known.letter()),
    }
}

const fn class(origin: Origin) -> &'static str {
    match origin {
        Origin::App => "app",
        Origin::Libc => "libc",
        Origin::Entry => "entry",
        Origin::Kernel(_) => "kernel",
        Origin::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests;
