//! Two ordered trees, aligned: which function of one path is which of the other.
//!
//! Below two callers that are each other's, what they call is aligned as two sequences. What is left over
//! between two matches there may have another caller by now: in it the heaviest functions that both have
//! are the *pivots*, each of which is matched with all below it, and what lies between two pivots is looked
//! at again. Matches rise in both paths, so the rows stand in the order of execution.
//!
//! Work grows with the paths' length, times the logarithm for sorting; only calls of one function that
//! differ between the paths cost the product of their numbers, up to a limit.

use std::collections::BTreeMap;
use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput};
use rustc_hash::FxHashMap;

use super::flat::Flat;

/// Above that many pairs of calls below one function, they are aligned by their names alone: 16 MiB.
const MOST_CELLS: usize = 2 << 20;

/// Rounds of pivots between pivots. Each finds less; real paths need three.
const MOST_ROUNDS: u32 = 32;

/// A part of both paths that is still to be aligned: whole calls, or what is before or after a pivot.
#[derive(Clone, Debug)]
struct Part {
    a: Range<usize>,
    b: Range<usize>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// What two functions that are each other's have called.
    Calls,
    /// What is left over, in which so many rounds of pivots were found.
    Rest(u32),
}

struct Aligner<'a> {
    a: &'a [Flat<'a>],
    b: &'a [Flat<'a>],
    /// Own instructions before each function, in the order of execution.
    before: [Vec<u64>; 2],
    todo: Vec<Part>,
    found: Vec<(usize, usize)>,
}

/// Pairs of indices, rising in both.
pub(super) fn align(a: &[Flat<'_>], b: &[Flat<'_>]) -> Vec<(usize, usize)> {
    let mut aligner = Aligner {
        a,
        b,
        before: [sums(a), sums(b)],
        todo: vec![Part {
            a: 0..a.len(),
            b: 0..b.len(),
            kind: Kind::Calls,
        }],
        found: Vec::with_capacity(a.len().min(b.len())),
    };
    while let Some(part) = aligner.todo.pop() {
        if part.a.is_empty() || part.b.is_empty() {
            continue;
        }
        match part.kind {
            Kind::Calls => aligner.calls(&part),
            Kind::Rest(rounds) => aligner.pivots(&part, rounds),
        }
    }
    aligner.found.sort_unstable();
    aligner.found
}

fn sums(flats: &[Flat<'_>]) -> Vec<u64> {
    let mut sum = 0u64;
    let all = flats.iter().map(|flat| {
        sum = sum.saturating_add(flat.own);
        sum
    });
    std::iter::once(0).chain(all).collect()
}

/// The calls that are not within another of the range.
fn outermost(flats: &[Flat<'_>], range: &Range<usize>) -> Vec<Range<usize>> {
    let mut calls = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let end = flats[at].end.min(range.end);
        calls.push(at..end);
        at = end;
    }
    calls
}

impl Aligner<'_> {
    /// Both the same functions in the same places, whatever their counts.
    fn is_same(&self, a: &Range<usize>, b: &Range<usize>) -> bool {
        let (first_a, first_b) = (&self.a[a.start], &self.b[b.start]);
        let whole = first_a.end == a.end && first_b.end == b.end;
        whole && first_a.shape == first_b.shape && a.len() == b.len() && {
            let mut pairs = self.a[a.clone()].iter().zip(&self.b[b.clone()]);
            pairs.all(|(a, b)| {
                a.name == b.name && a.depth - first_a.depth == b.depth - first_b.depth
            })
        }
    }

    /// The instructions that both have at most in common.
    fn mass(&self, a: &Range<usize>, b: &Range<usize>) -> u64 {
        let of = |sums: &[u64], range: &Range<usize>| sums[range.end] - sums[range.start];
        of(&self.before[0], a).min(of(&self.before[1], b))
    }

    /// Each other's, and what they have called is to be aligned in its turn.
    fn matched(&mut self, a: &Range<usize>, b: &Range<usize>) {
        if self.is_same(a, b) {
            self.found.extend(a.clone().zip(b.clone()));
            return;
        }
        self.found.push((a.start, b.start));
        self.todo.push(Part {
            a: a.start + 1..a.end,
            b: b.start + 1..b.end,
            kind: Kind::Calls,
        });
    }

    /// Takes matches that rise in both; what lies between them is left over.
    fn take(
        &mut self,
        part: &Part,
        matches: impl IntoIterator<Item = (Range<usize>, Range<usize>)>,
        rounds: u32,
    ) {
        let (mut a, mut b) = (part.a.start, part.b.start);
        let end = (part.a.end..part.a.end, part.b.end..part.b.end);
        let mut rest = Vec::new();
        for (to_a, to_b) in matches.into_iter().chain([end]) {
            rest.push(Part {
                a: a..to_a.start,
                b: b..to_b.start,
                kind: Kind::Rest(rounds),
            });
            (a, b) = (to_a.end, to_b.end);
            if !to_a.is_empty() {
                self.matched(&to_a, &to_b);
            }
        }
        let is_left = |part: &Part| !part.a.is_empty() && !part.b.is_empty();
        self.todo.extend(rest.into_iter().filter(is_left));
    }

    fn calls(&mut self, part: &Part) {
        let (a, b) = (outermost(self.a, &part.a), outermost(self.b, &part.b));
        let same = |(a, b): &(&Range<usize>, &Range<usize>)| self.is_same(a, b);
        let front = a.iter().zip(&b).take_while(same).count();
        let (rest_a, rest_b) = (&a[front..], &b[front..]);
        let from_end = rest_a.iter().rev().zip(rest_b.iter().rev());
        let back = from_end.take_while(same).count();
        let (rest_a, rest_b) = (
            &rest_a[..rest_a.len() - back],
            &rest_b[..rest_b.len() - back],
        );
        let between = if rest_a.len().saturating_mul(rest_b.len()) <= MOST_CELLS {
            self.heaviest(rest_a, rest_b)
        } else {
            self.by_name(rest_a, rest_b)
        };
        let pair = |(i, j): (usize, usize)| (a[i].clone(), b[j].clone());
        let (last_a, last_b) = (a.len() - back, b.len() - back);
        let all = (0..front)
            .map(|at| (at, at))
            .chain(between.into_iter().map(|(i, j)| (front + i, front + j)))
            .chain((0..back).map(|at| (last_a + at, last_b + at)));
        let all: Vec<_> = all.map(pair).collect();
        self.take(part, all, 0);
    }

    /// What it is worth to match two calls: the instructions they share, and then how alike they are.
    /// `None`: they are of different functions.
    fn worth(&self, a: &Range<usize>, b: &Range<usize>) -> Option<u64> {
        let (ours, theirs) = (&self.a[a.start], &self.b[b.start]);
        (ours.name == theirs.name).then(|| {
            let alike = 4 * u64::from(ours.shape == theirs.shape)
                + 2 * u64::from(ours.own == theirs.own)
                + u64::from(ours.calls == theirs.calls);
            (self.mass(a, b).min(u64::MAX >> 32) + 1) * 8 + alike
        })
    }

    /// The alignment of two sequences of calls that is worth most, by dynamic programming.
    fn heaviest(&self, a: &[Range<usize>], b: &[Range<usize>]) -> Vec<(usize, usize)> {
        let width = b.len() + 1;
        // best[i][j]: the greatest worth of what lies behind i and j.
        let mut best = vec![0u64; (a.len() + 1) * width];
        for i in (0..a.len()).rev() {
            for j in (0..b.len()).rev() {
                let skip = best[(i + 1) * width + j].max(best[i * width + j + 1]);
                let worth = self.worth(&a[i], &b[j]);
                let take = worth.map_or(0, |worth| worth + best[(i + 1) * width + j + 1]);
                best[i * width + j] = skip.max(take);
            }
        }
        let mut pairs = Vec::new();
        let (mut i, mut j) = (0, 0);
        while i < a.len() && j < b.len() {
            let here = best[i * width + j];
            let worth = self.worth(&a[i], &b[j]);
            if worth.is_some_and(|worth| here == worth + best[(i + 1) * width + j + 1]) {
                pairs.push((i, j));
                (i, j) = (i + 1, j + 1);
            } else if here == best[(i + 1) * width + j] {
                i += 1;
            } else {
                j += 1;
            }
        }
        pairs
    }

    /// The same for sequences too long for that, as texts are compared line by line.
    fn by_name(&self, a: &[Range<usize>], b: &[Range<usize>]) -> Vec<(usize, usize)> {
        let mut input: InternedInput<usize> = InternedInput::default();
        input.update_before(a.iter().map(|call| self.a[call.start].name));
        input.update_after(b.iter().map(|call| self.b[call.start].name));
        let diff = Diff::compute(Algorithm::Histogram, &input);
        let (mut i, mut j) = (0, 0);
        let mut pairs = Vec::new();
        for hunk in diff.hunks() {
            let until = hunk.before.start as usize;
            pairs.extend((i..until).zip(j..));
            (i, j) = (hunk.before.end as usize, hunk.after.end as usize);
        }
        pairs.extend((i..a.len()).zip(j..b.len()));
        pairs
    }

    fn pivots(&mut self, part: &Part, rounds: u32) {
        if rounds >= MOST_ROUNDS {
            return;
        }
        let mut candidates = self.candidates(part);
        // The heaviest first; of equals the earliest, which is the outermost.
        candidates.sort_by_cached_key(|(a, b)| {
            let heavy = std::cmp::Reverse(self.mass(a, b));
            (heavy, !self.is_same(a, b), a.start, b.start)
        });
        let mut taken: BTreeMap<usize, (Range<usize>, Range<usize>)> = BTreeMap::new();
        for (a, b) in candidates {
            let follows =
                taken
                    .range(..=a.start)
                    .next_back()
                    .is_none_or(|(_, (before_a, before_b))| {
                        before_a.end <= a.start && before_b.end <= b.start
                    });
            let precedes = taken
                .range(a.start + 1..)
                .next()
                .is_none_or(|(_, (next_a, next_b))| a.end <= next_a.start && b.end <= next_b.start);
            if follows && precedes {
                taken.insert(a.start, (a, b));
            }
        }
        if !taken.is_empty() {
            self.take(part, taken.into_values(), rounds + 1);
        }
    }

    /// Calls of a function that both parts have: the first with the first and so on, and from the end.
    fn candidates(&self, part: &Part) -> Vec<(Range<usize>, Range<usize>)> {
        let mut places: FxHashMap<usize, (Vec<usize>, Vec<usize>)> = FxHashMap::default();
        for at in part.a.clone() {
            places.entry(self.a[at].name).or_default().0.push(at);
        }
        for at in part.b.clone() {
            if let Some((_, in_b)) = places.get_mut(&self.b[at].name) {
                in_b.push(at);
            }
        }
        let call = |(a, b): (&usize, &usize)| {
            let end_a = self.a[*a].end.min(part.a.end);
            let end_b = self.b[*b].end.min(part.b.end);
            (*a..end_a, *b..end_b)
        };
        let mut candidates = Vec::new();
        for (in_a, in_b) in places.values() {
            candidates.extend(in_a.iter().zip(in_b).map(call));
            if in_a.len() != in_b.len() {
                candidates.extend(in_a.iter().rev().zip(in_b.iter().rev()).map(call));
            }
        }
        candidates
    }
}
