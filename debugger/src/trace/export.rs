//! A recording in the formats of other tools.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use super::report::{Class, Node, Report};
use crate::origin::Origin;

/// Folded stacks (`flamegraph.pl`, inferno, speedscope): `mode;kind;call;function;function weight`, a line
/// for each stack that executed instructions of its own. The weight is those instructions, over all
/// crossings of its classes. The kernel's functions end in `_[k]`, as `perf script` folds them.
#[must_use]
pub fn folded(runs: &[Report]) -> String {
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    for run in runs {
        for class in &run.classes {
            let stack = format!("{};{};{}", run.mode, class.kind, plain(&class.call));
            fold(&class.path, class.count, &stack, &mut stacks);
        }
    }
    let mut text = String::new();
    for (stack, weight) in stacks {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{stack} {weight}");
    }
    text
}

fn fold(node: &Node, count: u64, above: &str, stacks: &mut BTreeMap<String, u64>) {
    let in_kernel = matches!(node.origin, Origin::Entry | Origin::Kernel(_));
    let mark = if in_kernel { "_[k]" } else { "" };
    let stack = format!("{above};{}{mark}", plain(&node.symbol));
    if node.own > 0 {
        let weight = stacks.entry(stack.clone()).or_default();
        *weight = weight.saturating_add(node.own.saturating_mul(count));
    }
    for child in &node.children {
        fold(child, count, &stack, stacks);
    }
}

/// What divides one frame from the next cannot stand in one.
fn plain(name: &str) -> String {
    name.replace([';', '\n'], ":")
}

/// The columns of [`csv`].
pub const COLUMNS: [&str; 14] = [
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

/// Comma-separated values (RFC 4180) with a head: a line for each function of each class's path, in the
/// order of execution.
///
/// # Errors
/// When `out` does not take them.
pub fn csv(runs: &[Report], out: impl io::Write) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    for run in runs {
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
    writer: &mut csv::Writer<impl io::Write>,
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
    use crate::crossing::{CrossingKind, Mode};
    use crate::trace::examples::{class, node, report};

    fn of(origin: Origin, node: Node) -> Node {
        Node { origin, ..node }
    }

    fn runs() -> [Report; 1] {
        let get = || of(Origin::kernel_source("fs/file.c"), node("fdget", 3, vec![]));
        let work = of(Origin::Libc, node("a;b, \"c\"", 0, vec![get(), get()]));
        let path = of(
            Origin::Entry,
            node("entry_SYSCALL_64", 5, vec![get(), work]),
        );
        let mut class = class(CrossingKind::Syscall, "read", path);
        class.count = 10;
        [report(Mode::Linux, vec![class])]
    }

    #[test]
    fn folded_stacks_carry_every_instruction_and_are_read_by_the_flame_graphs_own_reader() {
        let text = folded(&runs());
        assert_eq!(
            text,
            "linux;syscall;read;entry_SYSCALL_64_[k] 50\n\
             linux;syscall;read;entry_SYSCALL_64_[k];a:b, \"c\";fdget_[k] 60\n\
             linux;syscall;read;entry_SYSCALL_64_[k];fdget_[k] 30\n"
        );
        let mut options = inferno::flamegraph::Options::default();
        let mut image = Vec::new();
        inferno::flamegraph::from_lines(&mut options, text.lines(), &mut image).unwrap();
        // It shows the mark as a colour.
        let image = String::from_utf8(image).unwrap();
        assert!(image.contains("<title>fdget (60 samples"), "{image}");
        assert!(image.contains("all (140 samples, 100%)"), "{image}");
    }

    #[test]
    fn the_lines_of_a_class_add_up_to_its_instructions() {
        let mut bytes = Vec::new();
        csv(&runs(), &mut bytes).unwrap();
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
