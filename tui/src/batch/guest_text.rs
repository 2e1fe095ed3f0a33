//! What is told of the guest's own things, as lines.

use debugger::event::TaskInfo;
use debugger::known::Known;

/// A head and a line for each.
pub(super) fn tasks(list: &[TaskInfo]) -> Vec<String> {
    let mut lines = vec![format!(
        "{:>6} {:<16} {:<4} {:<18} {:<28} waits for",
        "pid", "name", "cpu", "kind", "state"
    )];
    lines.extend(list.iter().map(task));
    lines
}

fn task(task: &TaskInfo) -> String {
    let cpu = match &task.cpu {
        Known::Yes(cpu) => cpu.to_string(),
        Known::Asked | Known::No(_) => "?".to_owned(),
    };
    let waits = match (&task.waits_in, task.waits_for) {
        (Known::Yes(function), Some(what)) => format!("{what} ({function})"),
        (Known::Yes(function), None) => format!("({function})"),
        (Known::No(why), _) => why.clone(),
        (Known::Asked, _) => String::new(),
    };
    let line = format!(
        "{:>6} {:<16} {cpu:<4} {:<18} {} {:<26} {waits}",
        task.pid, task.comm, task.kind, task.letter, task.state
    );
    line.trim_end().to_owned()
}
