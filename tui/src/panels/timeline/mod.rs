//! What ran when: lanes of vCPUs and tasks, from all of a run down to single calls.

mod cells;
mod draw;
mod moves;
mod window;

use std::sync::Arc;

use debugger::model::Model;
use debugger::trace::recording::{Run, Stored};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Act, Effect, Panel, Screen, View};
use crate::look::Look;

use cells::{Lane, lanes};
use window::Window;

/// Rows of what is told at the bottom.
const TOLD: u16 = 3;

#[derive(Debug, Default)]
pub struct Timeline {
    /// Among the runs whose records were kept.
    run: usize,
    /// What is seen; all of the run where nothing was chosen.
    window: Option<Window>,
    /// A clock within the window.
    cursor: u64,
    lane: usize,
    /// Clocks, in order.
    marks: Vec<u64>,
    /// What was looked for last.
    sought: String,
}

/// What there is to be seen.
#[derive(Clone, Copy)]
struct Seen<'a> {
    stored: &'a Stored,
    run: &'a Run,
    /// Its number in the recording.
    number: usize,
    window: Window,
    /// Columns of a lane's name.
    label: usize,
    /// Rows of the ruler at the top: clocks, and below them the marks, where there are any.
    ruler: u16,
}

impl Timeline {
    fn seen<'a>(&self, model: &'a Model, area: Rect) -> Option<Seen<'a>> {
        let stored: &Arc<Stored> = model.recorded.as_ref()?;
        let kept = |(_, run): &(usize, &Run)| run.records() > 0;
        let runs: Vec<_> = stored.runs().iter().enumerate().filter(kept).collect();
        let (number, run) = *runs.get(self.run.min(runs.len().saturating_sub(1)))?;
        let label = draw::label(area.width);
        let width = usize::from(area.width).saturating_sub(label);
        let whole = Window::whole(run, width);
        let window = self.window.map_or(whole, |window| window.within(whole));
        Some(Seen {
            stored,
            run,
            number,
            window,
            label,
            ruler: match self.marks.is_empty() && here(model).is_none() {
                true => 1,
                false => 2,
            },
        })
    }

    /// The lanes of what is seen, and which of them is marked.
    fn lanes(&self, seen: Seen<'_>, area: Rect) -> (Vec<Lane>, usize) {
        let room = usize::from(area.height.saturating_sub(seen.ruler + TOLD));
        let most = if seen.window.is_deep() {
            (room / 3).max(2)
        } else {
            room
        };
        let lanes = lanes(seen, most);
        let lane = self.lane.min(lanes.len().saturating_sub(1));
        (lanes, lane)
    }

    fn cursor(&self, window: Window) -> u64 {
        self.cursor.clamp(window.start, window.last())
    }

    /// Sets or takes away a mark at the cursor.
    pub fn mark(&mut self, model: &Model, area: Rect) -> Vec<Effect> {
        let Some(seen) = self.seen(model, area) else {
            return Vec::new();
        };
        let at = self.cursor(seen.window);
        let there = match self.marks.binary_search(&at) {
            Ok(found) => {
                self.marks.remove(found);
                false
            }
            Err(place) => {
                self.marks.insert(place, at);
                true
            }
        };
        let at = debugger::addr::Insns(at);
        vec![Effect::Say(match there {
            true => format!("marked {at}; ' goes from mark to mark"),
            false => format!("the mark at {at} is taken away"),
        })]
    }

    /// To the next mark, around the end.
    pub fn next_mark(&mut self, model: &Model, area: Rect) -> Vec<Effect> {
        let Some(seen) = self.seen(model, area) else {
            return Vec::new();
        };
        let at = self.cursor(seen.window);
        let next = self.marks.iter().find(|mark| **mark > at);
        match next.or_else(|| self.marks.first()) {
            Some(mark) => {
                self.go(*mark, seen, area);
                Vec::new()
            }
            None => vec![Effect::Say("there is no mark; m sets one".to_owned())],
        }
    }

    /// To a clock as it was typed: `500000000`, `500,000,000`. Whether it is one.
    pub fn go_to(&mut self, text: &str, model: &Model, area: Rect) -> bool {
        let digits: String = text.chars().filter(|c| *c != ',').collect();
        let (Ok(clock), Some(seen)) = (digits.trim().parse(), self.seen(model, area)) else {
            return false;
        };
        self.go(clock, seen, area);
        true
    }

    /// Takes the machine that replays this run to the cursor.
    pub fn take_there(&mut self, model: &Model, area: Rect) -> Vec<Effect> {
        match self.seen(model, area) {
            Some(seen) => vec![Effect::Type(format!("goto {}", self.cursor(seen.window)))],
            None => Vec::new(),
        }
    }

    /// Puts the cursor where that machine stands.
    pub fn find_here(&mut self, model: &Model, area: Rect) -> Vec<Effect> {
        if let (Some(seen), Some(here)) = (self.seen(model, area), here(model)) {
            self.go(here, seen, area);
        }
        Vec::new()
    }

    /// The next of several runs.
    pub fn next_run(&mut self, model: &Model) -> Vec<Effect> {
        let runs = model.recorded.iter().flat_map(|stored| stored.runs());
        let count = runs.filter(|run| run.records() > 0).count().max(1);
        *self = Self {
            run: (self.run + 1) % count,
            ..Self::default()
        };
        Vec::new()
    }

    /// Looks for what was looked for last, on or back.
    pub fn again(&mut self, back: bool, model: &Model, area: Rect) -> Vec<Effect> {
        match self.sought.clone() {
            text if text.is_empty() => vec![Effect::Say("/ looks for a function".to_owned())],
            text => self.find(&text, back, model, area),
        }
    }
}

/// The position that is looked at, of a machine that replays: its runs are traced by that clock.
fn here(model: &Model) -> Option<u64> {
    let past = model.past.as_ref().map(|past| &past.at.stop);
    past.or(model.run.last_stop.as_ref())?.position
}

impl Panel for Timeline {
    fn title(&self, view: View<'_>) -> String {
        match self.seen(view.model, Rect::new(0, 0, 80, 24)) {
            Some(seen) => draw::title(seen),
            None => "timeline".to_owned(),
        }
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        let Some(seen) = self.seen(model, area) else {
            return match act {
                Act::Enter => vec![Effect::Show(Screen::Crossings)],
                _ => Vec::new(),
            };
        };
        self.moved(act, seen, model, look, area)
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(seen) = self.seen(view.model, area) else {
            let words = match view.model.recorded {
                Some(_) => {
                    "this recording has no records; 'uklscope trace IMAGE -o FILE' keeps them"
                }
                None if view.model.crossings.is_tracing() => {
                    "a run is traced now; what its records tell is drawn here when it has ended, as Esc \
                     ends it"
                }
                None => {
                    "no run whose records were kept is here. t on screen 3 traces one; 'uklscope \
                     trace IMAGE -o FILE' keeps them in a file, 'uklscope open FILE' shows them here"
                }
            };
            return super::listing::say(words, view, area, buf);
        };
        let (lanes, lane) = self.lanes(seen, area);
        let at = draw::At {
            cursor: self.cursor(seen.window),
            lane,
            marks: &self.marks,
            here: here(view.model),
        };
        draw::draw(seen, &lanes, at, view, area, buf);
    }
}
