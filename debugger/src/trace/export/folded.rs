//! Folded stacks (`flamegraph.pl`, inferno, speedscope): `mode;kind;call;function;function weight`.
//!
//! A line for each stack that executed instructions of its own. The weight is those instructions, over
//! all crossings of its classes. The kernel's functions end in `_[k]`, as `perf script` folds them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write;

use super::stacks::{in_kernel, stacks};
use super::{ExportError, Source};

pub(super) fn write(source: &Source<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
    let recording = source.recording;
    let mut folded: BTreeMap<String, u64> = BTreeMap::new();
    for run in &recording.runs {
        let Ok(()) = stacks(run, &mut |stack| -> Result<(), Infallible> {
            let class = stack.class;
            let mut line = format!("{};{};{}", run.mode, class.kind, plain(&class.call));
            for node in stack.path {
                let mark = if in_kernel(node.origin) { "_[k]" } else { "" };
                line.push(';');
                line.push_str(&plain(&node.symbol));
                line.push_str(mark);
            }
            let weight = folded.entry(line).or_default();
            *weight = weight.saturating_add(stack.weight);
            Ok(())
        });
    }
    for (stack, weight) in folded {
        writeln!(out, "{stack} {weight}")?;
    }
    Ok(())
}

/// What divides one frame from the next cannot stand in one.
fn plain(name: &str) -> String {
    name.replace([';', '\n'], ":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::export::example::recording;

    #[test]
    fn folded_stacks_carry_every_instruction_and_are_read_by_the_flame_graphs_own_reader() {
        let mut text = Vec::new();
        write(&Source::of(&recording()), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
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
}
