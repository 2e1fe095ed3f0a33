//! The live table of crossings.

use debugger::count::counted;
use debugger::model::Model;
use debugger::trace::report::Class;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use debugger::addr::Insns;

use super::listing::{find, moved, say};
use super::{Act, Effect, Panel, PanelId, View};
use crate::look::{Look, is_of};
use crate::order::Order;
use crate::theme::Theme;
use crate::widgets::bar::{PHASE_GLYPHS, sparkline, stacked};
use crate::widgets::cursor::Cursor;
use crate::widgets::names::fit_name;
use crate::widgets::table::{self, Column};
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Classes {
    /// Only its view: the marked row is found by the class's own name.
    cursor: Cursor,
}

/// Columns of [`COLUMNS`].
const CALL: usize = 1;
const PHASES: usize = 5;
const RATE: usize = 7;

const EXACT: usize = 9;

/// From here on the longest names leave room, which the phases get.
const WIDE: usize = 130;
/// Behind the name of a call that was interrupted, where it does not stand below what was not.
const CUT: &str = " (cut)";
/// `asm_sysvec_apic_timer_interrupt (cut)`
const LONGEST_CALL: usize = 37;

const COLUMNS: &[Column] = &[
    Column {
        title: "kind",
        width: 9,
        right: false,
        fill: false,
        rank: 0,
    },
    Column {
        title: "call",
        width: 12,
        right: false,
        fill: true,
        rank: 0,
    },
    Column {
        title: "count",
        width: 9,
        right: true,
        fill: false,
        rank: 0,
    },
    Column {
        title: "insns",
        width: 7,
        right: true,
        fill: false,
        rank: 0,
    },
    Column {
        title: "exact",
        width: EXACT,
        right: true,
        fill: false,
        rank: 1,
    },
    Column {
        title: "phases",
        width: 10,
        right: false,
        fill: false,
        rank: 2,
    },
    Column {
        title: "per s",
        width: 9,
        right: true,
        fill: false,
        rank: 3,
    },
    Column {
        title: "rate",
        width: 6,
        right: false,
        fill: false,
        rank: 3,
    },
];

/// Crossings came while somebody looked; where there is little room, come now.
fn is_rated(view: View<'_>, area: Rect) -> bool {
    let crossings = &view.model.crossings;
    crossings.is_rated() && (crossings.is_tracing() || usize::from(area.width) >= WIDE)
}

fn columns(width: usize, rated: bool) -> Vec<Column> {
    let mut columns = COLUMNS.to_vec();
    if width >= WIDE {
        columns[CALL].width = LONGEST_CALL;
        columns[CALL].fill = false;
        columns[PHASES].fill = true;
        columns[RATE].width = 16;
    }
    if !rated {
        columns.truncate(PHASES + 1);
        columns[PHASES].width = 16;
    }
    columns
}

impl Classes {
    fn cursor(&self, look: &Look, classes: &[&Class], height: usize) -> Cursor {
        let mut cursor = self.cursor;
        cursor.go(look.class_row(classes), classes.len(), height);
        cursor
    }
}

impl Panel for Classes {
    fn title(&self, view: View<'_>) -> String {
        let Some(report) = view.model.crossings.report() else {
            return "crossings".to_owned();
        };
        let state = match &view.model.crossings.news {
            Some(news) if news.running && !news.recording => {
                "recording is paused, p goes on".to_owned()
            }
            Some(news) if news.running => {
                format!("live, {:.1} M events/s", news.events_per_s / 1e6)
            }
            _ => counted(Insns(report.insns), "instruction"),
        };
        let filter = view.look.crossings.title();
        let order = match view.look.order {
            Order::Count => String::new(),
            other => format!(", by {}", other.name()),
        };
        let requests = match &report.requests {
            Some(_) => "; r: requests",
            None => "",
        };
        format!(
            "crossings in {}: {state}{order}{filter}{requests}",
            report.mode
        )
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        let classes = look.classes(model);
        let area = table::below_head(area);
        let height = usize::from(area.height).max(1);
        let mut cursor = self.cursor(look, &classes, height);
        match act {
            Act::Click(0, _) => return Vec::new(),
            Act::Click(row, column) => {
                moved(
                    &mut cursor,
                    &Act::Click(row - 1, *column),
                    classes.len(),
                    area,
                );
            }
            Act::Enter if classes.is_empty() => return Vec::new(),
            Act::Enter => return vec![Effect::Focus(PanelId::Tree)],
            Act::Find(needle) => {
                let row = |at: usize| format!("{} {}", classes[at].kind, classes[at].call);
                match find(cursor.row(classes.len()), classes.len(), needle, row) {
                    Some(found) => cursor.go(found, classes.len(), height),
                    None => return vec![Effect::Say(format!("no crossing of '{needle}'"))],
                }
            }
            _ => {
                moved(&mut cursor, act, classes.len(), area);
            }
        }
        let chosen = classes
            .get(cursor.row(classes.len()))
            .map(|class| (class.kind, class.id.clone()));
        self.cursor = cursor;
        if chosen != look.class {
            look.class = chosen;
            look.one = None;
            look.pair = 0;
            look.rung = Cursor::default();
        }
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let classes = view.look.classes(view.model);
        if classes.is_empty() {
            let why = match view.model.crossings.report() {
                None if view.model.recorded.is_some() => {
                    "this recording was not written to its end: its crossings are being folded of its records, or \
                     that was given up; the timeline (6) shows them"
                }
                None => {
                    "no crossings were traced yet. t boots the image once more with the tracer and \
                     shows them here as they come; 'uklscope trace' records them to a file, \
                     'uklscope open FILE' shows such a recording"
                }
                Some(report)
                    if report.classes.is_empty() || view.look.crossings.query().is_empty() =>
                {
                    "none was seen yet: the application has to be started first"
                }
                Some(_) => "no crossing is as the filter wants; / changes it, Esc there removes it",
            };
            return say(why, view, area, buf);
        }
        let columns = columns(usize::from(area.width), is_rated(view, area));
        // With no room for all else their cells are of numbers.
        let numbers = classes.iter().map(|class| cells(class, None, &[], view));
        let columns = table::wide_enough(&columns, numbers);
        let fitted = table::fitting(&columns, usize::from(area.width));
        table::heading(buf, area, &columns, &fitted, view.theme.dim());
        let body = table::below_head(area);
        let height = usize::from(body.height);
        let cursor = self.cursor(view.look, &classes, height.max(1));
        let top = cursor.top(classes.len(), height);
        for (row, class) in classes.iter().skip(top).take(height).enumerate() {
            let above = (top + row).checked_sub(1).map(|above| classes[above]);
            let cells = cells(class, above, &fitted, view);
            table::row(buf, body, row, &columns, &fitted, &cells);
            if top + row == cursor.row(classes.len()) {
                text::paint(buf, body, row, view.theme.selected(view.focused));
            }
        }
    }
}

/// `9736-9751`, and where that is too long `10020+35`.
fn range(class: &Class) -> String {
    let text = format!("{}-{}", class.min, class.max);
    match text.len() <= EXACT {
        true => text,
        false => format!("{}+{}", class.min, class.max - class.min),
    }
}

fn cells(
    class: &Class,
    above: Option<&Class>,
    fitted: &[(usize, usize)],
    view: View<'_>,
) -> Vec<Vec<Span<'static>>> {
    let width = |column: usize| fitted.iter().find(|(i, _)| *i == column);
    let width = |column: usize| width(column).map_or(0, |(_, width)| *width);
    let rates: Vec<u64> = view.model.crossings.rates(class).collect();
    let recent = &rates[rates.len().saturating_sub(width(RATE))..];
    let room = width(CALL);
    let call = if !class.interrupted {
        fit_name(&class.call, room).into_owned()
    } else if above.is_some_and(|above| is_of(class, above)) {
        "└ interrupted".to_owned()
    } else {
        let name = fit_name(&class.call, room.saturating_sub(CUT.len()));
        format!("{name}{CUT}")
    };
    let tracing = view.model.crossings.is_tracing();
    let now = rates.last().filter(|_| tracing);
    let exact = if class.exact {
        Span::styled("exact", view.theme.good())
    } else {
        Span::raw(range(class))
    };
    vec![
        vec![Span::styled(class.kind.name(), view.theme.crossing())],
        vec![Span::raw(call)],
        vec![Span::raw(Insns(class.count).to_string())],
        vec![Span::raw(Insns(class.instructions).to_string())],
        vec![exact],
        match view.model.crossings.report() {
            Some(report) if report.functions_left_out.is_some() => Vec::new(),
            _ => phases(class, view.theme, width(PHASES)),
        },
        vec![Span::raw(
            now.map_or_else(String::new, |rate| Insns(*rate).to_string()),
        )],
        vec![Span::raw(if recent.len() > 1 {
            sparkline(recent)
        } else {
            String::new()
        })],
    ]
}

/// The path's phases side by side.
pub(super) fn phases(class: &Class, theme: Theme, width: usize) -> Vec<Span<'static>> {
    let parts: Vec<_> = class
        .phases
        .named()
        .iter()
        .enumerate()
        .map(|(i, (_, value))| (*value, PHASE_GLYPHS[i], theme.phase(i)))
        .collect();
    stacked(&parts, width)
}
