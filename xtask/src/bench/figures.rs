//! Medians, percentiles, and figures of several rounds beside those of the baseline.

use serde::Serialize;

pub(super) fn median(values: Vec<f64>) -> f64 {
    percentile(values, 50)
}

/// So many of 100 values are not above it: the nearest rank.
pub(super) fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or(f64::NAN)
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// One quantity over all rounds, and what it is to the baseline's of the same round each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Figure {
    #[serde(flatten)]
    pub(super) values: Spread,
    pub(super) ratio: Spread,
}

impl Spread {
    pub(super) fn of(values: Vec<f64>) -> Self {
        Self {
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            median: median(values),
        }
    }
}

impl Figure {
    /// Of each round, in order.
    pub(super) fn of(values: &[f64], baseline: &[f64]) -> Self {
        let ratios = values.iter().zip(baseline).map(|(own, base)| own / base);
        Self {
            values: Spread::of(values.to_vec()),
            ratio: Spread::of(ratios.collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Figure, percentile};

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let hundred = || (1..=100).rev().map(f64::from).collect::<Vec<_>>();
        assert_eq!(percentile(hundred(), 50), 50.0);
        assert_eq!(percentile(hundred(), 99), 99.0);
        assert_eq!(percentile(vec![3.0, 1.0, 2.0], 50), 2.0);
        assert_eq!(percentile(vec![7.0], 99), 7.0);
        assert!(percentile(Vec::new(), 50).is_nan());
    }

    #[test]
    fn a_ratio_is_to_the_same_round() {
        // The machine was half as fast in the second round, for both.
        let figure = Figure::of(&[120.0, 60.0, 110.0], &[100.0, 50.0, 100.0]);
        assert_eq!(figure.values.median, 110.0);
        assert_eq!(figure.ratio.median, 1.2);
        assert_eq!((figure.ratio.min, figure.ratio.max), (1.1, 1.2));
    }
}
