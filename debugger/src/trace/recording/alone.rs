//! One crossing of a recording, folded alone: its own path, to the instruction.

use wire::record::SWITCH_NUMBERS as NUMBERS;
use wire::{Kind, Record};

use super::stored::{Stored, records};
use crate::crossing::Setup;
use crate::trace::fold::{Fold, Run};
use crate::trace::report::Class;
use crate::trace::timeline::Span;

/// Classes that what interrupts a crossing may be of, beside its own.
const MOST_CLASSES: usize = 64;

impl<B: AsRef<[u8]>> Stored<B> {
    /// The class of this crossing alone. `None`: its records are not all there, or it did not return on the
    /// vCPU that it began on.
    #[must_use]
    pub fn alone(&self, run: usize, crossing: &Span) -> Option<Class> {
        let of = self.runs().get(run)?;
        let range = crossing.began..crossing.ended.saturating_add(1);
        let mut fold = Fold::new(of.functions.clone());
        fold.begin_in_app(0);
        let (mut begun, mut next) = (false, None);
        for (at, stretch) in of.touched(crossing.vcpu, &range) {
            if begun && (stretch.lost > 0 || next != Some(stretch.sequence)) {
                return None;
            }
            next = Some(stretch.sequence + 1);
            let (_, raw) = records(self.bytes().as_ref(), *at, stretch)?;
            let clocks = clocks(&raw, stretch.first);
            let is_first = |at: &usize| {
                let word = Record::decode(raw[*at]).word;
                let enters = word.kind().is_some_and(Kind::enters);
                clocks[*at] == crossing.began && enters && word.function() == crossing.function
            };
            let from = match begun {
                true => 0,
                false => (0..raw.len()).find(is_first).unwrap_or(raw.len()),
            };
            let to = clocks.partition_point(|clock| *clock <= crossing.ended);
            let mut left = raw.get(from..to).unwrap_or_default();
            begun |= !left.is_empty();
            while !left.is_empty() {
                let taken = fold.take(0, clocks[to - left.len()], left);
                left = &left[taken..];
                if taken == 0 {
                    // The switches of other vCPUs are not given.
                    fold.pass_missing_switches();
                }
            }
        }
        let told = Run {
            mode: of
                .report
                .as_ref()
                .map_or_else(Setup::default, |report| report.mode.clone()),
            engine: String::new(),
            lost: 0,
            insns: 0,
            notes: Vec::new(),
        };
        let name = &of.functions.get(crossing.function).name;
        let classes = fold.report(&told, MOST_CLASSES).classes.into_iter();
        let mut same = classes.filter(|class| class.path.symbol == *name);
        same.find(|class| class.instructions == crossing.instructions)
    }
}

/// The whole clock of each; the numbers that follow a switch are at its clock.
fn clocks(raw: &[u64], first: u64) -> Vec<u64> {
    let (mut clock, mut numbers) = (first, 0);
    let each = raw.iter().map(|raw| {
        if numbers > 0 {
            numbers -= 1;
            return clock;
        }
        let record = Record::decode(*raw);
        #[expect(clippy::cast_possible_truncation, reason = "the low half")]
        let since = record.clock.wrapping_sub(clock as u32);
        clock += u64::from(since);
        if record.word.kind() == Some(Kind::Switch) {
            numbers = NUMBERS;
        }
        clock
    });
    each.collect()
}
