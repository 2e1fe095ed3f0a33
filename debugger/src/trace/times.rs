//! Times beside instruction counts: how long crossings and their functions took, by a guest's own clock.
//!
//! They differ in every crossing, so what is kept is a spread. A probe's own cost lies in each interval
//! between two records; it was measured by the guest when its probes were started, and is taken off.

pub mod joined;

use serde::{Deserialize, Serialize};

use crate::origin::Origin;

/// How long the classes of a report took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub clock: Clock,
    /// In the order of the report's classes.
    pub classes: Vec<ClassTimes>,
}

/// One class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassTimes {
    /// The class's.
    pub id: String,
    /// From the first record in the kernel to the last.
    pub path: TimedNode,
}

/// A function in a path, in the order of the calls; equal calls in a row are one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimedNode {
    pub symbol: String,
    pub origin: Origin,
    pub calls: u64,
    /// Of one call.
    pub times: Times,
    pub children: Vec<Self>,
}

/// What times were measured by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    pub unit: Unit,
    /// Ticks of the guest's time stamp counter in a millisecond; 0: not known.
    pub tsc_khz: u32,
    /// What was taken off for each pair of records.
    pub cost: Cost,
    /// What the clock is worth: under TCG it is the host's.
    pub about: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    Ns,
    /// Of the time stamp counter, whose frequency is not known.
    Ticks,
}

/// Between two records with nothing between them, in the clock's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Both of static probes.
    pub probe: f64,
    /// A function's entry and its return.
    pub inside: f64,
    /// That return and the next entry.
    pub between: f64,
}

/// How long something took, in the clock's unit, the cost of the probes taken off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Measured so often.
    pub count: u64,
    /// The mean of it alone, without what it called.
    pub own: f64,
    /// The mean with everything it called.
    pub mean: f64,
    pub min: f64,
    /// Half of them took no longer. This and the next two are right to an eighth.
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
    /// What was taken off the mean.
    pub cost: f64,
}

/// Count, sum, extremes and a histogram of ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spread {
    pub(crate) count: u64,
    pub(crate) sum: u64,
    min: u64,
    max: u64,
    histogram: Histogram,
}

impl Spread {
    pub(crate) fn add(&mut self, ticks: u64) {
        self.min = if self.count == 0 {
            ticks
        } else {
            self.min.min(ticks)
        };
        self.max = self.max.max(ticks);
        self.count += 1;
        self.sum += ticks;
        self.histogram.add(ticks, 1);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 {
            other.min
        } else {
            self.min.min(other.min)
        };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum += other.sum;
        self.histogram.merge(&other.histogram);
    }

    /// In units of `ticks` ticks, less `cost` ticks each; `own` is the sum of what it did alone, and
    /// `own_cost` what of the cost lies there.
    pub(crate) fn times(&self, ticks: f64, (cost, own_cost): (f64, f64), own: u64) -> Times {
        let count = self.count.max(1) as f64;
        let less = |value: f64, cost: f64| (value - cost).max(0.0) / ticks;
        let at = |share: f64| {
            // The histogram's edges may lie beyond what was seen.
            let value = self.histogram.quantile(share, self.count);
            less(value.clamp(self.min as f64, self.max as f64), cost)
        };
        Times {
            count: self.count,
            own: less(own as f64 / count, own_cost),
            mean: less(self.sum as f64 / count, cost),
            min: less(self.min as f64, cost),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: less(self.max as f64, cost),
            cost: cost / ticks,
        }
    }
}

/// Eight buckets to each doubling, from the first used to the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Histogram {
    first: usize,
    counts: Vec<u64>,
}

const FINE: u32 = 3;

impl Histogram {
    fn bucket(value: u64) -> usize {
        if value < 1 << FINE {
            return usize::try_from(value).unwrap_or(0);
        }
        let doubling = value.ilog2() - FINE;
        let fine = value >> doubling & ((1 << FINE) - 1);
        usize::try_from(u64::from(doubling + 1) << FINE | fine).unwrap_or(0)
    }

    /// The middle of a bucket.
    fn value(bucket: usize) -> f64 {
        let fine = bucket & ((1 << FINE) - 1);
        match bucket >> FINE {
            0 => fine as f64,
            doubling => {
                let width = (1u64 << (doubling - 1)) as f64;
                ((1 << FINE) + fine) as f64 * width + width / 2.0
            }
        }
    }

    fn add(&mut self, value: u64, count: u64) {
        self.add_to(Self::bucket(value), count);
    }

    fn add_to(&mut self, bucket: usize, count: u64) {
        if self.counts.is_empty() {
            self.first = bucket;
        }
        if bucket < self.first {
            let missing = self.first - bucket;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = bucket;
        }
        let at = bucket - self.first;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += count;
    }

    fn merge(&mut self, other: &Self) {
        for (at, count) in other.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            self.add_to(other.first + at, *count);
        }
    }

    fn quantile(&self, share: f64, of: u64) -> f64 {
        let wanted = share * of as f64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen as f64 >= wanted {
                return Self::value(self.first + at);
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_spread_tells_its_middle_and_its_ends() {
        let mut spread = Spread::default();
        for ticks in 1..=1000 {
            spread.add(ticks);
        }
        let times = spread.times(2.0, (100.0, 40.0), 200_000);
        assert_eq!((times.count, times.min, times.max), (1000, 0.0, 450.0));
        assert_eq!((times.mean, times.own, times.cost), (200.25, 80.0, 50.0));
        for (found, right) in [(times.p50, 200.0), (times.p90, 400.0), (times.p99, 445.0)] {
            assert!((found - right).abs() / right < 0.125, "{found} {right}");
        }
    }

    proptest! {
        #[test]
        fn a_bucket_holds_what_is_near_its_middle(value: u64) {
            let value = value >> (value % 40);
            let middle = Histogram::value(Histogram::bucket(value));
            prop_assert!((middle - value as f64).abs() <= value as f64 / 8.0);
        }

        #[test]
        fn parts_merge_to_the_whole(values in prop::collection::vec(0u64..1 << 40, 0..50), cut: prop::sample::Index) {
            let spread = |values: &[u64]| {
                let mut spread = Spread::default();
                values.iter().for_each(|value| spread.add(*value));
                spread
            };
            let at = if values.is_empty() { 0 } else { cut.index(values.len()) };
            let mut merged = spread(&values[..at]);
            merged.merge(&spread(&values[at..]));
            prop_assert_eq!(merged, spread(&values));
        }
    }
}
