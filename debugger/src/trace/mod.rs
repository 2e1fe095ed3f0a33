//! Records → crossings → paths → statistics → differences.
//!
//! [`sites`] says what a probe is to report; [`fold`] makes a [`report`] of the records.

pub mod advise;
pub mod call_map;
pub mod call_sites;
pub mod clocks;
pub mod diff;
#[cfg(test)]
mod examples;
pub mod expectations;
pub mod export;
pub mod filter;
pub mod flame;
pub mod fold;
pub mod functions;
pub mod import;
pub mod phases;
pub mod places;
pub mod query;
pub mod recording;
pub mod records;
pub mod report;
pub mod requests;
pub mod sites;
pub mod steps;
pub mod timeline;
pub mod times;
