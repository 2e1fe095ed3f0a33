//! Who runs: the virtual CPUs, then the guest's tasks with what they wait for.

use debugger::command::{Command, Info};
use debugger::event::{TaskInfo, ThreadInfo};
use debugger::known::Known;
use debugger::model::{Model, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::held::Held;
use super::listing::{explain, find, moved, say};
use super::{Act, Effect, Panel, View};
use crate::batch::text as words;
use crate::look::{Look, Task};
use crate::widgets::cursor::Cursor;
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Tasks {
    cursor: Cursor,
}

enum Row<'a> {
    Cpu(&'a ThreadInfo),
    Task(&'a TaskInfo),
}

fn rows<'a>(model: &'a Model, look: &Look) -> Vec<Row<'a>> {
    let filter = look.tasks.to_lowercase();
    let cpus = model.threads.yes().into_iter().flatten().map(Row::Cpu);
    let tasks = model.tasks.yes().into_iter().flatten().map(Row::Task);
    let all = cpus.chain(tasks);
    all.filter(|row| row.text().to_lowercase().contains(&filter))
        .collect()
}

impl Row<'_> {
    fn text(&self) -> String {
        match self {
            Row::Cpu(cpu) => {
                let mark = if cpu.current { "▶" } else { " " };
                let at = words::name(&cpu.place);
                format!("{mark}cpu{:<3} {:<10} {at}", cpu.vcpu.0, cpu.state)
            }
            Row::Task(task) => {
                let cpu = match &task.cpu {
                    Known::Yes(cpu) => cpu.to_string(),
                    Known::Asked | Known::No(_) => "?".to_owned(),
                };
                format!(
                    " {:>6} {} {cpu:>2} {:<15} {:<18} {}",
                    task.pid,
                    task.letter,
                    task.comm,
                    task.kind,
                    waits(task)
                )
            }
        }
    }
}

/// `a futex (futex_wait_queue)`, or why it waits for nothing.
fn waits(task: &TaskInfo) -> String {
    match (task.waits_for, &task.waits_in) {
        (Some(what), Known::Yes(function)) => format!("{what} ({function})"),
        (None, Known::Yes(function)) => format!("in {function}"),
        (_, Known::No(why)) => why.clone(),
        (_, Known::Asked) => "…".to_owned(),
    }
}

/// As `backtrace task` finds it: each CPU has an idle task, and all of them bear the number 0.
fn named(task: &TaskInfo) -> String {
    match task.pid {
        0 => task.comm.clone(),
        pid => pid.to_string(),
    }
}

impl Panel for Tasks {
    fn title(&self, view: View<'_>) -> String {
        let count = view.model.tasks.yes().map(Vec::len);
        let shown = count.map_or_else(String::new, |count| format!(" {count}"));
        match view.look.tasks.as_str() {
            "" => format!("tasks{shown}"),
            filter => format!("tasks with '{filter}'"),
        }
    }

    fn wants(&self, _view: View<'_>, _area: Rect) -> Vec<(Topic, Command)> {
        vec![
            (Topic::Threads, Command::Info(Info::Threads)),
            (Topic::Tasks, Command::Tasks { pattern: None }),
        ]
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        let list = rows(model, look);
        let at = self.cursor.row(list.len());
        match act {
            Act::Find(needle) => {
                let found = find(at, list.len(), needle, |at| list[at].text());
                let Some(found) = found else {
                    return vec![Effect::Say(format!("'{needle}' is in no row"))];
                };
                let height = usize::from(area.height).max(1);
                self.cursor.go(found, list.len(), height);
            }
            Act::Enter => match list.get(at) {
                Some(Row::Task(task)) => {
                    let chosen = Task {
                        name: named(task),
                        label: format!("{}/{}", task.comm, task.pid),
                    };
                    look.task = Some(Held::new(model, chosen));
                }
                Some(Row::Cpu(cpu)) if !cpu.current => {
                    return vec![Effect::Type(format!("thread {}", cpu.vcpu.0))];
                }
                Some(Row::Cpu(_)) => look.task = None,
                None => {}
            },
            _ => {
                moved(&mut self.cursor, act, list.len(), area);
            }
        }
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let model = view.model;
        let list = rows(model, view.look);
        if list.is_empty() {
            match (model.threads.yes(), view.look.tasks.is_empty()) {
                (Some(_), false) => say("no task has this in a column", view, area, buf),
                _ => explain(&model.threads.value, view, area, buf),
            }
            return;
        }
        let height = usize::from(area.height);
        let top = self.cursor.top(list.len(), height);
        let fresh = model.is_fresh(&model.threads);
        for (row, what) in list.iter().skip(top).take(height).enumerate() {
            let style = match what {
                _ if !fresh => view.theme.dim(),
                Row::Cpu(cpu) => view.theme.origin(cpu.place.origin),
                Row::Task(task) if task.kind == "application thread" => {
                    view.theme.origin(debugger::origin::Origin::App)
                }
                Row::Task(_) => Style::new(),
            };
            let line = Line::from(Span::styled(what.text(), style));
            text::put(buf, area, row, line);
            if view.focused && top + row == self.cursor.row(list.len()) {
                text::paint(buf, area, row, view.theme.selected(true));
            }
        }
        if let (Some(why), true) = (unlisted(model), list.len() < height) {
            text::put(buf, area, list.len(), Line::styled(why, view.theme.dim()));
        }
    }
}

/// Why there are CPUs and no tasks.
fn unlisted(model: &Model) -> Option<String> {
    match &model.tasks.value {
        Known::No(why) => Some(why.clone()),
        Known::Asked if model.run.answers() => Some("…".to_owned()),
        Known::Asked | Known::Yes(_) => None,
    }
}
