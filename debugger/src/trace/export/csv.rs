//! Comma-separated values (RFC 4180) with a head: a line for each function of each class's path, in the
//! order of execution.

use std::io::Write;

use super::{ExportError, Source};
use crate::trace::report::{Class, Node, Report};

const COLUMNS: [&str; 14] = [
    "mode",
    "class",
    "kind",
    "call",
    "count",
    "instructions",
    "exact",
    "depth",
    "symbol",
    "origin",
    "own",
    "total",
    "calls",
    "file",
];

pub(super) fn write(source: &Source<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
    let recording = source.recording;
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    for run in &recording.runs {
        for class in &run.classes {
            rows(run, class, &class.path, 0, &mut writer)?;
        }
    }
    writer.flush()?;
    Ok(())
}

fn rows(
    run: &Report,
    class: &Class,
    node: &Node,
    depth: usize,
    writer: &mut csv::Writer<impl Write>,
) -> Result<(), csv::Error> {
    writer.write_record([
        run.mode.to_string(),
        class.id.clone(),
        class.kind.to_string(),
        class.call.clone(),
        class.count.to_string(),
        class.instructions.to_string(),
        class.exact.to_string(),
        depth.to_string(),
        node.symbol.clone(),
        node.origin.to_string(),
        node.own.to_string(),
        node.total.to_string(),
        node.calls.to_string(),
        node.file.clone().unwrap_or_default(),
    ])?;
    for child in &node.children {
        rows(run, class, child, depth + 1, writer)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::export::example::recording;

    #[test]
    fn the_lines_of_a_class_add_up_to_its_instructions() {
        let mut bytes = Vec::new();
        write(&Source::of(&recording()), &mut bytes).unwrap();
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        assert_eq!(reader.headers().unwrap(), COLUMNS.as_slice());
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
        let own = |row: &csv::StringRecord| row[10].parse::<u64>().unwrap();
        assert_eq!(rows.iter().map(own).sum::<u64>(), 14);
        assert!(rows.iter().all(|row| &row[5] == "14"));
        let depths: Vec<&str> = rows.iter().map(|row| &row[7]).collect();
        assert_eq!(depths, ["0", "1", "1", "2", "2"]);
        assert_eq!(&rows[2][8], "a;b, \"c\"");
    }
}
