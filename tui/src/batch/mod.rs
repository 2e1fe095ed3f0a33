//! The commands without a screen, one file each: `run(args, json, out)`.

pub mod advise;
pub mod check;
pub mod compare;
pub mod diff;
pub mod doctor;
pub mod exec;
pub mod export;
mod guest_text;
pub mod images;
pub mod instructions;
pub mod report;
pub mod request_text;
pub mod session;
mod site_text;
pub mod sites;
pub mod space;
pub mod space_text;
mod stop_text;
pub mod stub;
pub mod symbols;
pub mod text;
mod times_text;
pub mod trace;
pub mod trace_text;
pub mod tracing;
mod value_text;
pub mod wanted;
