//! Records along the clock: who ran what when, from summaries down to single calls.

mod crossing;
mod spans;
mod summary;
mod walk;

pub use crossing::named;
pub use spans::{Span, Spans};
pub use summary::{Bucket, CROSSINGS, OTHERS, SCALES, Summary, TaskShare, origins, shift};
pub use walk::{Closed, Entered, Follow, Frame, TaskState, Walk};
