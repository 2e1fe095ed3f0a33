//! Every place where the application's code leaves it, and what each has made.

use std::collections::HashMap;

use serde::Serialize;

use super::call_sites::CallSite;
use super::report::Report;
use crate::addr::Addr;

/// The places of an image, used or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallMap {
    /// The image's name.
    pub image: String,
    /// Of the program that runs in ring 3, whose addresses are others.
    pub twin: bool,
    /// In the order of their addresses.
    pub sites: Vec<CallSite>,
}

/// The crossings of one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Made {
    pub count: u64,
    pub instructions: u64,
}

/// What each address made in all of these runs.
#[must_use]
pub fn made<'a>(runs: impl IntoIterator<Item = &'a Report>) -> HashMap<Addr, Made> {
    let mut sums: HashMap<Addr, Made> = HashMap::new();
    for run in runs {
        for one in &run.uses {
            if let Some(site) = one.site.and_then(|site| run.sites.get(site)) {
                let sum = sums.entry(site.address).or_default();
                sum.count += one.count;
                sum.instructions += one.instructions;
            }
        }
    }
    sums
}
