//! What was seen at the stops, counted by mode and by reason.

use std::collections::BTreeMap;
use std::time::Duration;

use debugger::addr::Addr;
use debugger::crossing::Mode;
use debugger::symbols::Symbols;
use debugger::symbols::unwind::{Backtrace, Certainty, End, UnwoundFrame};
use serde::Serialize;

use super::super::print::Host;
use super::gdb::Theirs;

/// Reasons that are listed.
const REASONS: usize = 40;

/// One stop.
pub(super) struct Seen<'a> {
    pub(super) image: &'a str,
    pub(super) mode: Mode,
    pub(super) symbols: &'a Symbols,
    pub(super) backtrace: &'a Backtrace,
    pub(super) took: Duration,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Rate {
    stops: usize,
    complete: usize,
    percent: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Reason {
    why: String,
    stops: usize,
    /// One of them: `threads in mode ukl at ffffffff81401234 name, frame 3`.
    example: String,
    /// Its frames, innermost first, and how each was found.
    frames: Vec<String>,
}

/// The same stops.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Compared {
    stops: usize,
    gdb_complete: usize,
    gdb_percent: f64,
    ours_complete: usize,
    ours_percent: f64,
    /// Where gdb found another program counter, so that it was no longer the same stop: left out.
    moved: usize,
    /// It ended itself over its backtrace: counted as incomplete.
    gdb_died: usize,
    gdb_frames: usize,
}

#[derive(Debug, Default)]
pub(super) struct Counted {
    modes: BTreeMap<String, Rate>,
    images: BTreeMap<String, Rate>,
    all: Rate,
    /// Every frame of the backtrace is `certain`.
    certain: usize,
    reasons: BTreeMap<String, Reason>,
    ends: BTreeMap<String, usize>,
    gdb: Compared,
    frames: usize,
    took: Vec<Duration>,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema: u32,
    all: Rate,
    /// Stops whose whole backtrace is complete and of `certain` frames only.
    certain: usize,
    modes: BTreeMap<String, Rate>,
    images: BTreeMap<String, Rate>,
    /// What complete ones end in.
    ends: BTreeMap<String, usize>,
    /// Why the others end, the most frequent first.
    reasons: Vec<Reason>,
    gdb: Compared,
    frames_per_stop: f64,
    /// Of one backtrace with all its reads over the stub: the median and the 99th percentile.
    backtrace_ms: [f64; 2],
    host: Host,
}

impl Rate {
    fn count(&mut self, complete: bool) {
        self.stops += 1;
        self.complete += usize::from(complete);
        self.percent = percent(self.complete, self.stops);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of stops are small")]
fn percent(part: usize, of: usize) -> f64 {
    (part as f64 / of.max(1) as f64 * 10_000.0).round() / 100.0
}

impl Counted {
    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        let backtrace = seen.backtrace;
        let complete = backtrace.end.is_complete();
        self.all.count(complete);
        self.modes
            .entry(seen.mode.to_string())
            .or_default()
            .count(complete);
        self.images
            .entry(seen.image.to_owned())
            .or_default()
            .count(complete);
        self.frames += backtrace.frames.len();
        self.took.push(seen.took);
        let certain = |certainty: &Certainty| *certainty == Certainty::Certain;
        if complete && backtrace.frames.iter().all(|f| certain(&f.certainty)) {
            self.certain += 1;
        }
        let name = |addr: Addr| match seen.symbols.at(addr) {
            Some(symbol) => format!("{}+{:#x}", symbol.name, addr - symbol.addr),
            None => addr.to_string(),
        };
        match &backtrace.end {
            End::Start(what) => {
                *self.ends.entry(what.clone()).or_default() += 1;
            }
            other => {
                let last = backtrace.frames.last().map_or(Addr(0), |f| f.lookup());
                let symbol = seen.symbols.at(last).map_or("?", |symbol| symbol.name);
                let why = match other {
                    // Without the addresses, which differ from stop to stop.
                    End::Lost(why) => why
                        .split(' ')
                        .filter(|word| word.len() < 12 || !word.starts_with(['f', '0']))
                        .collect::<Vec<_>>()
                        .join(" "),
                    _ => "more frames than any stack has".to_owned(),
                };
                let first = backtrace.frames.first().map_or(Addr(0), |f| f.pc);
                let example = format!(
                    "{} in mode {} stopped at {} {}, ended at {} in frame {}",
                    seen.image,
                    seen.mode,
                    first,
                    name(first),
                    name(last),
                    backtrace.frames.len().saturating_sub(1)
                );
                let line = |frame: &UnwoundFrame| {
                    let sp = frame.registers.sp().map_or(0, |sp| sp.0);
                    let by = frame.found_by.name();
                    format!(
                        "{:x} sp {sp:x} {} by {by}",
                        frame.pc.0,
                        name(frame.lookup())
                    )
                };
                let frames = backtrace.frames.iter().map(line).collect();
                let reason = self
                    .reasons
                    .entry(format!("{symbol}: {why}"))
                    .or_insert_with_key(|why| Reason {
                        why: why.clone(),
                        stops: 0,
                        example,
                        frames,
                    });
                reason.stops += 1;
            }
        }
    }

    pub(super) fn compare(&mut self, ours: bool, theirs: &Theirs, pc: Addr) {
        if theirs.pc != Some(pc.0) {
            self.gdb.moved += 1;
            return;
        }
        self.gdb.gdb_frames += theirs.frames;
        self.count_gdb(ours, theirs.complete);
    }

    pub(super) fn gdb_died(&mut self, ours: bool) {
        self.gdb.gdb_died += 1;
        self.count_gdb(ours, false);
    }

    fn count_gdb(&mut self, ours: bool, theirs: bool) {
        self.gdb.stops += 1;
        self.gdb.gdb_complete += usize::from(theirs);
        self.gdb.ours_complete += usize::from(ours);
        self.gdb.gdb_percent = percent(self.gdb.gdb_complete, self.gdb.stops);
        self.gdb.ours_percent = percent(self.gdb.ours_complete, self.gdb.stops);
    }

    pub(super) fn report(mut self, host: Host) -> Report {
        self.took.sort();
        let at = |part: usize| {
            let at = self.took.len().saturating_sub(1) * part / 100;
            let took = self.took.get(at).copied().unwrap_or_default();
            (took.as_secs_f64() * 100_000.0).round() / 100.0
        };
        let mut reasons: Vec<Reason> = self.reasons.into_values().collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.stops));
        reasons.truncate(REASONS);
        Report {
            schema: 1,
            all: self.all,
            certain: self.certain,
            modes: self.modes,
            images: self.images,
            ends: self.ends,
            reasons,
            gdb: self.gdb,
            frames_per_stop: percent(self.frames, self.all.stops) / 100.0,
            backtrace_ms: [at(50), at(99)],
            host,
        }
    }
}

impl Report {
    pub(super) fn lines(&self) -> Vec<String> {
        let rate = |name: &str, rate: &Rate| {
            format!(
                "{name:<12} {:>6} of {:>6} complete, {:.2} %",
                rate.complete, rate.stops, rate.percent
            )
        };
        let mut lines = vec![rate("all", &self.all)];
        lines.push(format!(
            "{:<12} {:>6} of {:>6} complete, every frame certain",
            "certain", self.certain, self.all.stops
        ));
        lines.extend(self.modes.iter().map(|(name, one)| rate(name, one)));
        lines.extend(self.images.iter().map(|(name, one)| rate(name, one)));
        for (what, stops) in &self.ends {
            lines.push(format!("{stops:>6} ended as they should: {what}"));
        }
        for reason in &self.reasons {
            lines.push(format!("{:>6} {}", reason.stops, reason.why));
            lines.push(format!("       such as {}", reason.example));
        }
        let gdb = &self.gdb;
        if gdb.stops + gdb.moved > 0 {
            lines.push(format!(
                "gdb at {} of these stops: {} complete, {:.1} %; ours there {}, {:.1} % ({} had moved, it died at {})",
                gdb.stops, gdb.gdb_complete, gdb.gdb_percent, gdb.ours_complete, gdb.ours_percent, gdb.moved, gdb.gdb_died
            ));
        }
        lines.push(format!(
            "{:.1} frames a stop; a backtrace takes {} ms, {} ms at the 99th percentile",
            self.frames_per_stop, self.backtrace_ms[0], self.backtrace_ms[1]
        ));
        lines.push(self.host.line());
        lines
    }
}
