//! What keys and the mouse do to the timeline.

use debugger::addr::Insns;
use debugger::model::Model;
use debugger::trace::recording::Search;
use debugger::trace::report::Class;
use debugger::trace::timeline::{Span, named};
use ratatui::layout::Rect;

use super::cells::content;
use super::{Act, Effect, Seen, Timeline};
use crate::filter::Filter;
use crate::look::Look;
use crate::panels::PanelId;

/// A key zooms by more than a turn of the wheel.
const KEY: u64 = 4;
const WHEEL: u64 = 2;

impl Timeline {
    pub(super) fn moved(
        &mut self,
        act: &Act,
        seen: Seen<'_>,
        model: &Model,
        look: &mut Look,
        area: Rect,
    ) -> Vec<Effect> {
        let (lanes, lane) = self.lanes(seen, area);
        let window = seen.window;
        let at = self.cursor(window);
        match act {
            Act::Step(rows) => {
                let lane = lane.saturating_add_signed(*rows);
                self.lane = lane.min(lanes.len().saturating_sub(1));
            }
            Act::Side(columns) => {
                let by = window.each.saturating_mul(columns.unsigned_abs() as u64);
                self.go(shifted(at, by, *columns < 0), seen, area);
            }
            Act::Page(views) => {
                let by = window.each.saturating_mul(window.columns / 2);
                let start = shifted(window.start, by, *views < 0);
                self.window = Some(window.moved_to(start));
                self.cursor = shifted(at, by, *views < 0);
            }
            Act::Home => self.go(0, seen, area),
            Act::End => self.go(u64::MAX, seen, area),
            Act::Zoom { into, column } => {
                let (times, around) = match column {
                    Some(column) => (WHEEL, window.clock(column.saturating_sub(seen.label))),
                    None => (KEY, at),
                };
                self.window = Some(window.zoomed(*into, times, around));
                self.cursor = around;
            }
            Act::Click(row, column) => {
                if let Some(lane) = row
                    .checked_sub(usize::from(seen.ruler))
                    .filter(|row| *row < lanes.len())
                {
                    self.lane = lane;
                }
                self.cursor = window
                    .clock(column.saturating_sub(seen.label))
                    .min(window.last());
            }
            Act::Find(text) => return self.find(text, false, model, area),
            Act::Enter => return self.show_path(seen, model, look, area),
        }
        Vec::new()
    }

    /// Puts the cursor there, and the window where it is seen.
    pub(super) fn go(&mut self, clock: u64, seen: Seen<'_>, _area: Rect) {
        let window = seen.window;
        let half = window.each.saturating_mul(window.columns / 2);
        let window = if window.column(clock).is_some() {
            window
        } else {
            window.moved_to(clock.saturating_sub(half))
        };
        self.window = Some(window);
        self.cursor = clock;
    }

    /// To where a function with that text in its name is entered next.
    pub(super) fn find(
        &mut self,
        text: &str,
        back: bool,
        model: &Model,
        area: Rect,
    ) -> Vec<Effect> {
        let Some(seen) = self.seen(model, area) else {
            return Vec::new();
        };
        text.clone_into(&mut self.sought);
        let needle = text.to_lowercase();
        let names = seen.run.functions.iter().enumerate();
        let wanted: Vec<u32> = names
            .filter(|(_, function)| function.name.to_lowercase().contains(&needle))
            .filter_map(|(number, _)| u32::try_from(number).ok())
            .collect();
        if wanted.is_empty() {
            return vec![Effect::Say(format!("no function has '{text}' in its name"))];
        }
        let (lanes, lane) = self.lanes(seen, area);
        let vcpu = lanes.get(lane).map_or(0, |lane| lane.vcpu);
        let at = self.cursor(seen.window);
        let key = if back { 'N' } else { 'n' };
        vec![Effect::Say(
            match seen.stored.search(seen.number, vcpu, at, &wanted, back) {
                Search::Found { clock, function } => {
                    self.go(clock, seen, area);
                    let name = &seen.run.functions.get(function).name;
                    format!("{name} at {}; n and N go on", Insns(clock))
                }
                Search::Nowhere if back => {
                    format!("before this, no '{text}' is entered on cpu{vcpu}")
                }
                Search::Nowhere => format!("after this, no '{text}' is entered on cpu{vcpu}"),
                Search::Until(clock) => {
                    self.go(clock, seen, area);
                    format!("no '{text}' up to {}; {key} goes on", Insns(clock))
                }
            },
        )]
    }

    /// To the class of the crossing under the cursor.
    fn show_path(
        &mut self,
        seen: Seen<'_>,
        model: &Model,
        look: &mut Look,
        area: Rect,
    ) -> Vec<Effect> {
        if !seen.window.is_deep() {
            let words = "+ goes nearer: single crossings are seen from 2 million instructions on";
            return vec![Effect::Say(words.to_owned())];
        }
        let (lanes, lane) = self.lanes(seen, area);
        let Some(lane) = lanes.get(lane) else {
            return Vec::new();
        };
        let content = content(seen, lane.vcpu);
        let at = self.cursor(seen.window);
        let task = lane.task.or_else(|| content.running(at));
        let Some(root) = crossing(&content.spans, task, at) else {
            return vec![Effect::Say("no crossing is open here".to_owned())];
        };
        let Some((kind, call)) = named(&seen.run.functions, root, inside(&content.spans, root))
        else {
            return Vec::new();
        };
        if let Some(one) = seen.stored.alone(seen.number, root) {
            look.crossings = Filter::default();
            look.class = Some((one.kind, one.id.clone()));
            look.one = Some(one);
            look.pair = 0;
            return vec![Effect::Focus(PanelId::Tree)];
        }
        let of_call = |class: &&Class| {
            let protocol = class.call.strip_prefix(&call);
            class.kind == kind
                && protocol.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        let classes = model
            .crossings
            .report()
            .into_iter()
            .flat_map(|report| &report.classes);
        let mut near: Vec<&Class> = classes.filter(of_call).collect();
        near.sort_by_key(|class| {
            let within = (class.min..=class.max).contains(&root.instructions);
            (!within, class.instructions.abs_diff(root.instructions))
        });
        let Some(class) = near.first() else {
            return vec![Effect::Say(format!(
                "the report has no class of {kind} {call}: it is among the rarer ones left out"
            ))];
        };
        look.crossings = Filter::default();
        look.class = Some((class.kind, class.id.clone()));
        look.one = None;
        look.pair = 0;
        let words = "not all of its records can be read from here: this is the class nearest to it";
        vec![Effect::Focus(PanelId::Tree), Effect::Say(words.to_owned())]
    }
}

/// The innermost crossing of a task that is open at a clock.
pub(super) fn crossing(spans: &[Span], task: Option<u32>, clock: u64) -> Option<&Span> {
    let open = spans
        .iter()
        .filter(|span| span.entered.crosses() && task.is_none_or(|task| task == span.task))
        .filter(|span| (span.began..span.ended.max(span.began + 1)).contains(&clock));
    open.max_by_key(|span| (span.depth, span.began))
}

/// The calls in a span, in order.
pub(super) fn inside<'a>(spans: &'a [Span], root: &'a Span) -> impl Iterator<Item = &'a Span> {
    spans.iter().filter(|span| {
        span.task == root.task
            && span.depth > root.depth
            && span.began >= root.began
            && span.ended <= root.ended
    })
}

const fn shifted(clock: u64, by: u64, back: bool) -> u64 {
    if back {
        clock.saturating_sub(by)
    } else {
        clock.saturating_add(by)
    }
}
