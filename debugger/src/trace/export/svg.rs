//! A flame graph of all modes side by side: one file without scripts.

use std::io::Write;

use super::{ExportError, Source};
use crate::trace::flame::svg;

pub(super) fn write(source: &Source<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
    out.write_all(svg::of_runs(&source.recording.runs).as_bytes())?;
    Ok(())
}
