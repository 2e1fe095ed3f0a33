//! Flame graphs and differences as SVG: one file that any browser shows, without scripts. What is under the
//! pointer is told by the frames' titles.

mod paper;

use super::butterfly::{Band, Butterfly};
use super::{Flame, Frame};
use crate::addr::Insns;
use crate::origin::Origin;
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
    flame(&Flame::of(&all, |_| true), &heading)
}

/// The frames with what called them below them, under a heading.
#[must_use]
pub fn flame(flame: &Flame<'_>, heading: &str) -> String {
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
        let title = format!(
            "{} ({}): {} instructions, {share:.2} % of all, {} of its own, {} calls",
            frame.symbol,
            frame.origin,
            Insns(frame.total),
            Insns(frame.own),
            Insns(frame.calls)
        );
        let label = label(frame.origin, &frame.symbol);
        paper.frame(&place, class(frame.origin), &label, &title);
    }
    let left_out = flame.frames.len() - drawn.len();
    let mut foot = format!("{} instructions", Insns(flame.total()));
    if left_out > 0 {
        foot.push_str(&format!(
            "; {left_out} frames narrower than {NARROWEST} pixels are not drawn"
        ));
    }
    paper.words(MARGIN, bottom + HEIGHT * 1.5, "note", &foot);
    paper.finish()
}

/// Of each call the butterfly, the ledger and the ladder, below each other.
#[must_use]
pub fn difference(pairs: &[Pair], heading: &str) -> String {
    let needed: f64 = pairs.iter().map(height).sum();
    let mut paper = Paper::new(WIDTH, 3.0 * HEIGHT + needed, heading);
    paper.words(MARGIN, HEIGHT * 1.5, "heading", heading);
    let mut y = 3.0 * HEIGHT;
    for pair in pairs {
        one(&mut paper, pair, y);
        y += height(pair);
    }
    paper.finish()
}

/// Lines of the ladder that say the same on both sides are told in one, beyond so many.
const KEPT_ALIKE: usize = 2;

/// A line of the ladder.
enum Rung<'a> {
    Row(&'a Row),
    /// So many rows that are the same, and their instructions.
    Alike(usize, u64),
}

fn rungs(pair: &Pair) -> Vec<Rung<'_>> {
    let mut rungs = Vec::new();
    let runs = pair
        .rows
        .chunk_by(|a, b| (a.verdict == Verdict::Same) == (b.verdict == Verdict::Same));
    for run in runs {
        let is_long = run[0].verdict == Verdict::Same && run.len() > 2 * KEPT_ALIKE + 1;
        let kept = if is_long { KEPT_ALIKE } else { run.len() };
        rungs.extend(run[..kept].iter().map(Rung::Row));
        if is_long {
            let alike = &run[kept..run.len() - kept];
            let own = alike.iter().map(|row| row.a).sum();
            rungs.push(Rung::Alike(alike.len(), own));
            rungs.extend(run[run.len() - kept..].iter().map(Rung::Row));
        }
    }
    rungs
}

fn height(pair: &Pair) -> f64 {
    let butterfly = Butterfly::of(pair, false);
    let levels: usize = Band::ALL.iter().map(|band| butterfly.levels(*band)).sum();
    (levels + rungs(pair).len()) as f64 * HEIGHT + 9.0 * HEIGHT
}

fn one(paper: &mut Paper, pair: &Pair, top: f64) {
    let butterfly = Butterfly::of(pair, false);
    let scale = Scale::of(butterfly.width);
    let heading = format!(
        "{}: {} {} → {} {}",
        pair.call, pair.mode_a, pair.kind_a, pair.mode_b, pair.kind_b
    );
    paper.words(MARGIN, top, "heading", &heading);
    paper.words(MARGIN, top + HEIGHT, "note", &ledger(pair));
    let above = top + 2.0 * HEIGHT + butterfly.levels(Band::Removed) as f64 * HEIGHT;
    let middle = above + 4.0;
    let below = middle + butterfly.levels(Band::Both) as f64 * HEIGHT + 4.0;
    for wing in &butterfly.wings {
        let level = wing.level as f64 * HEIGHT;
        let y = match wing.band {
            Band::Removed => above - level - HEIGHT,
            Band::Both => middle + level,
            Band::Added => below + level,
        };
        let row = &pair.rows[wing.row];
        let at = |(from, to): (u64, u64)| Rect {
            x: scale.x(from),
            y,
            width: scale.length(to - from),
            height: HEIGHT - 1.0,
        };
        let because = row
            .because
            .as_ref()
            .map_or_else(String::new, |why| format!("; {why}"));
        let title = format!(
            "{} ({}): {}, own {} → {}{because}",
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
    paper.words(
        MARGIN,
        y,
        "key",
        &format!("{:>8}  {}", pair.mode_a.to_string(), "own instructions"),
    );
    paper.words(half, y, "key", &format!("{:>8}", pair.mode_b.to_string()));
    for rung in rungs(pair) {
        y += HEIGHT;
        match rung {
            Rung::Alike(count, own) => {
                let words = format!("{:>8}  … {count} more, the same", Insns(own).to_string());
                paper.words(MARGIN, y, "same", &words);
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
    if let Some(because) = &row.because {
        paper.words(WIDTH * 0.62, y, "note", because);
    }
}

fn ledger(pair: &Pair) -> String {
    let verdict = if pair.balanced {
        "it balances to the instruction"
    } else {
        "IT DOES NOT BALANCE"
    };
    format!(
        "{} − removed {} + added {} = {}: {verdict}",
        Insns(pair.a),
        Insns(pair.removed),
        Insns(pair.added),
        Insns(pair.b)
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
