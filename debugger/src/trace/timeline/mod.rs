//! Records along the clock: who ran what when, from summaries down to single calls.

mod crossing;
mod spans;
mod summary;
mod task;
#[cfg(test)]
mod tests;
mod walk;

pub use crossing::named;
pub use spans::{Span, Spans};
pub use summary::{Bucket, CROSSINGS, OTHERS, SCALES, Summary, TaskShare, origins, shift};
pub use task::{Closed, Entered, Follow, Frame, TaskState};
pub use walk::Walk;
