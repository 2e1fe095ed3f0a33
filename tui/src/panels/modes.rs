//! The marked call: its phases, and what it costs in each mode.

use debugger::addr::Insns;
use debugger::count::counted;
use debugger::crossing::{Mode, Setup};
use debugger::trace::report::Class;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::listing::say;
use super::{Panel, View};
use crate::widgets::bar::{PHASE_GLYPHS, bar};
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Modes;

impl Panel for Modes {
    fn title(&self, view: View<'_>) -> String {
        let Some(class) = view.look.class(view.model) else {
            return "call".to_owned();
        };
        let exact = if class.exact { "each" } else { "mostly" };
        format!(
            "{}: {exact} {}, {}",
            class.call,
            counted(Insns(class.instructions), "instruction"),
            counted(Insns(class.count), "crossing")
        )
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(class) = view.look.class(view.model) else {
            return say("the marked crossing is shown here", view, area, buf);
        };
        let known: Vec<(Setup, u64)> = setups(view)
            .into_iter()
            .filter_map(|mode| {
                let own = view.model.crossings.in_mode(&class.call, &mode);
                let count = own.map(|class| class.instructions);
                let count = count.or_else(|| in_pair(&class.call, &mode, view))?;
                Some((mode, count))
            })
            .collect();
        let most = known.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let own = view.model.crossings.report().map(|report| &report.mode);
        let first = known.first();
        let removed = |mode: &Setup, count: u64| match first {
            Some((base, most)) if base != mode && *most >= count => {
                format!("  −{} of {base}", Insns(most - count))
            }
            _ => String::new(),
        };
        let longest = known
            .iter()
            .map(|(mode, count)| removed(mode, *count).chars().count())
            .max();
        let width = usize::from(area.width).saturating_sub(20 + longest.unwrap_or(0));
        // The modes are compared by the path that most crossings of the call take.
        let another = known
            .iter()
            .any(|(mode, count)| own == Some(mode) && *count != class.instructions);
        let mut rows: Vec<(bool, String, u64, String)> = known
            .iter()
            .map(|(mode, count)| {
                let marked = own == Some(mode) && !another;
                (marked, mode.to_string(), *count, removed(mode, *count))
            })
            .collect();
        if another {
            let this = (
                true,
                "this path".to_owned(),
                class.instructions,
                String::new(),
            );
            rows.insert(0, this);
        }
        let most = most.max(class.instructions);
        let left = usize::from(area.height).saturating_sub(rows.len());
        let legend = legend(class, view, usize::from(area.width), left);
        let first = legend.len();
        for (row, line) in legend.into_iter().enumerate() {
            text::put(buf, area, row, line);
        }
        for (row, (marked, name, count, removed)) in rows.iter().enumerate() {
            let mark = if *marked { "▶" } else { " " };
            let line = Line::from(vec![
                Span::styled(format!("{mark}{name:<9}"), view.theme.key()),
                Span::raw(format!("{:>8} ", Insns(*count).to_string())),
                Span::raw(bar(*count, most, width)),
                Span::styled(removed.clone(), view.theme.good()),
            ]);
            text::put(buf, area, first + row, line);
        }
        if known.len() < 2 {
            let below = Rect::new(
                area.x,
                area.y + 4.min(area.height),
                area.width,
                area.height.saturating_sub(4),
            );
            say(
                "other modes are not known: 'uklscope compare IMAGE' measures them, and \
                 'uklscope open A B' opens recordings of several together",
                view,
                below,
                buf,
            );
        }
    }
}

/// The phases side by side; where they are too many for one row, in two if there is room.
fn legend(class: &Class, view: View<'_>, width: usize, most: usize) -> Vec<Line<'static>> {
    let phases = phases(class, view);
    let needed = |between: &str| {
        let all = phases.iter().map(|phase| phase.width() + between.len());
        all.sum::<usize>().saturating_sub(between.len())
    };
    let (rows, between) = match (needed("  ") <= width, needed(" ") <= width) {
        (true, _) => (1, "  "),
        (_, true) => (1, " "),
        _ if most < 2 => (1, " "),
        _ => (2, "  "),
    };
    let each = phases.len().div_ceil(rows).max(1);
    let row = |phases: &[Line<'static>]| {
        let mut spans = Vec::new();
        for phase in phases {
            if !spans.is_empty() {
                spans.push(Span::raw(between));
            }
            spans.extend(phase.spans.iter().cloned());
        }
        Line::from(spans)
    };
    phases.chunks(each).map(row).collect()
}

fn phases(class: &Class, view: View<'_>) -> Vec<Line<'static>> {
    let report = view.model.crossings.report();
    if let Some(option) = report.and_then(|report| report.functions_left_out.as_ref()) {
        let text = format!("phases are not known: functions were left out by {option}");
        return vec![Line::from(text)];
    }
    let named = class.phases.named();
    let all = named
        .iter()
        .enumerate()
        .filter(|(_, (_, value))| *value > 0);
    all.map(|(i, (name, value))| {
        let glyph = Span::styled(PHASE_GLYPHS[i].to_string(), view.theme.phase(i));
        let name = name.replace('_', " ");
        Line::from(vec![glyph, Span::raw(format!(" {name} {value}"))])
    })
    .collect()
}

/// Where the call goes by another name there, as a shortcut does: what it is compared with.
fn in_pair(call: &str, mode: &Setup, view: View<'_>) -> Option<u64> {
    let mut pairs = view.model.crossings.pairs(call);
    pairs.find_map(|pair| match (pair.mode_a == *mode, pair.mode_b == *mode) {
        (true, _) => Some(pair.a),
        (_, true) => Some(pair.b),
        _ => None,
    })
}

/// The modes, and after them those with options that were compared.
fn setups(view: View<'_>) -> Vec<Setup> {
    let mut setups: Vec<Setup> = Mode::ALL.map(Setup::from).into();
    let crossings = &view.model.crossings;
    let compared = crossings.comparison.iter().flat_map(|all| &all.runs);
    for run in crossings.report().into_iter().chain(compared) {
        if !setups.contains(&run.mode) {
            setups.push(run.mode.clone());
        }
    }
    setups
}
