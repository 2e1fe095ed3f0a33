//! Records → crossings → paths → statistics → differences.

pub mod report;
