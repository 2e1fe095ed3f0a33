//! A run as a flame graph: frames as wide as the instructions executed in them, callers above what they call.

use std::borrow::Cow;
use std::sync::Arc;

use debugger::addr::Insns;
use debugger::count::counted;
use debugger::model::Model;
use debugger::trace::flame::{Flame as Graph, Found, Frame};
use debugger::trace::import::INSTRUCTIONS;
use debugger::trace::report::{Class, Report};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::listing::say;
use super::{Act, Effect, Panel, View};
use crate::look::Look;
use crate::widgets::frames::{self, Place};
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Flame {
    /// The names down to the frame that takes the whole width; all, where there are none.
    zoom: Vec<String>,
    /// The names down to the marked frame.
    marked: Vec<String>,
    /// Only the classes of the marked call.
    one_call: bool,
    /// The run that goes on, as it was when the picture was frozen.
    frozen: Option<Arc<Report>>,
    /// What was looked for last.
    sought: String,
}

/// Lines below the frames, about the marked one.
const BELOW: u16 = 3;

/// What is drawn, worked out from the run and the panel's state.
struct Scene<'a> {
    graph: Cow<'a, Graph<'a>>,
    unit: &'a str,
    zoom: usize,
    marked: usize,
    found: Found,
    /// Frames that are as deep are drawn in the first line.
    first: usize,
    body: Rect,
}

impl Flame {
    /// Freezes the picture of a run that goes on, or lets it move again.
    pub fn freeze(&mut self, model: &Model) -> Vec<Effect> {
        let going_on = model.crossings.news.as_ref().filter(|news| news.running);
        let (frozen, words) = match (&self.frozen, going_on) {
            (None, Some(news)) => (
                Some(Arc::clone(&news.report)),
                "the picture stands still, the run goes on; F lets it move again",
            ),
            (None, None) => (None, "no run is being traced: the picture stands still"),
            (Some(_), _) => (None, "the picture shows the run as it is"),
        };
        self.frozen = frozen;
        vec![Effect::Say(words.to_owned())]
    }

    /// The marked call alone, or all calls.
    pub fn narrow(&mut self) {
        self.one_call = !self.one_call;
        self.zoom.clear();
    }

    /// One step out: from the search, else from the zoom. Whether there was one.
    pub fn out(&mut self) -> bool {
        if !self.sought.is_empty() {
            self.sought.clear();
            return true;
        }
        self.zoom.pop().is_some()
    }

    /// What is shown, and whether it goes on.
    fn report<'a>(&'a self, model: &'a Model) -> Option<(&'a Report, bool)> {
        match &self.frozen {
            Some(report) => Some((report, true)),
            None => Some((model.crossings.report()?, model.crossings.is_tracing())),
        }
    }

    fn scene<'a>(&'a self, model: &'a Model, look: &Look, area: Rect) -> Option<Scene<'a>> {
        let call = self.call(model, look);
        let (graph, unit) = match (self.report(model), &model.imported) {
            (Some((report, live)), _) => {
                let wanted = |class: &Class| call.as_ref().is_none_or(|call| class.call == *call);
                let graph = match live {
                    true => Graph::live(report, wanted),
                    false => Graph::of(&[report], wanted),
                };
                (Cow::Owned(graph), INSTRUCTIONS)
            }
            (None, imported) => {
                let stacks = imported.as_deref()?;
                (Cow::Borrowed(&stacks.flame), stacks.unit())
            }
        };
        let zoom = graph.find(&self.zoom);
        let marked = graph.find(&self.marked);
        let inside = zoom..graph.frames.get(zoom)?.end;
        let marked = if inside.contains(&marked) {
            marked
        } else {
            zoom
        };
        let body = Rect {
            height: area.height.saturating_sub(BELOW),
            ..area
        };
        let height = usize::from(body.height).max(1);
        let deep = graph.frames[marked].depth - graph.frames[zoom].depth;
        let first = graph.frames[zoom].depth + (deep + 1).saturating_sub(height);
        Some(Scene {
            found: graph.search(&self.sought),
            graph,
            unit,
            zoom,
            marked,
            first,
            body,
        })
    }

    fn call(&self, model: &Model, look: &Look) -> Option<String> {
        let class = look.class(model).filter(|_| self.one_call)?;
        Some(class.call.clone())
    }
}

impl Scene<'_> {
    fn frames(&self) -> impl Iterator<Item = (usize, &Frame<'_>)> {
        let end = self.graph.frames[self.zoom].end;
        (self.zoom..end).map(|at| (at, &self.graph.frames[at]))
    }

    fn place(&self, frame: &Frame<'_>) -> Option<Place> {
        let whole = &self.graph.frames[self.zoom];
        let line = frame.depth.checked_sub(self.first)?;
        let from = frame.start - whole.start;
        let span = (from, from + frame.total);
        let place = Place::new(self.body, line, span, whole.total);
        place.filter(|_| line < usize::from(self.body.height))
    }

    /// The frame beside the marked one: as deep, and wide enough to be seen.
    fn beside(&self, right: bool) -> Option<usize> {
        let frame = &self.graph.frames[self.marked];
        let is_seen = |frame: &Frame<'_>| self.place(frame).is_some_and(|place| place.width > 0);
        let mut same = self.frames().filter(|(at, other)| {
            other.depth == frame.depth && (is_seen(other) || *at == self.marked)
        });
        if right {
            same.find(|(at, _)| *at > self.marked).map(|(at, _)| at)
        } else {
            let left = same.take_while(|(at, _)| *at < self.marked);
            left.last().map(|(at, _)| at)
        }
    }

    /// So many frames down, each time to the heaviest call, or up to the caller.
    fn stepped(&self, rows: isize) -> usize {
        let mut at = self.marked;
        for _ in 0..rows.unsigned_abs() {
            let next = if rows > 0 {
                let children = self.graph.children(at);
                children.max_by_key(|at| (self.graph.frames[*at].total, std::cmp::Reverse(*at)))
            } else {
                let parent = self.graph.frames[at].parent;
                parent.filter(|_| at != self.zoom)
            };
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    fn next_found(&self) -> Option<usize> {
        let len = self.found.frames.len();
        let mut after = (1..=len).map(|step| (self.marked + step) % len);
        after.find(|at| self.found.frames[*at])
    }

    fn at(&self, row: usize, column: usize) -> Option<usize> {
        let mut frames = self.frames();
        let found = frames.find(|(_, frame)| {
            self.place(frame)
                .is_some_and(|place| place.line == row && place.columns().contains(&column))
        });
        found.map(|(at, _)| at)
    }
}

impl Panel for Flame {
    fn title(&self, view: View<'_>) -> String {
        let zoom = match self.zoom.last() {
            Some(name) => format!(", in {name}"),
            None => String::new(),
        };
        let Some((report, _)) = self.report(view.model) else {
            return match &view.model.imported {
                Some(stacks) => {
                    format!(
                        "flame of {}, by {}{zoom}",
                        stacks.format.name(),
                        stacks.unit()
                    )
                }
                None => "flame graph".to_owned(),
            };
        };
        let what = self.call(view.model, view.look);
        let what = what.unwrap_or_else(|| "all calls".to_owned());
        let state = match (&self.frozen, view.model.crossings.is_tracing()) {
            (Some(_), _) => ", frozen",
            (None, true) => ", live",
            (None, false) => "",
        };
        format!("flame of {what} in {}{state}{zoom}", report.mode)
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        if let Act::Find(pattern) = act {
            self.sought.clone_from(pattern);
        }
        let Some(scene) = self.scene(model, look, area) else {
            return Vec::new();
        };
        let mut zoom = None;
        let to = match act {
            Act::Step(rows) => Some(scene.stepped(*rows)),
            Act::Side(columns) => scene.beside(*columns > 0),
            Act::Page(_) | Act::End | Act::Zoom { .. } => None,
            Act::Home => Some(scene.zoom),
            Act::Enter => {
                zoom = Some(scene.marked);
                None
            }
            Act::Click(row, column) => {
                let found = scene.at(*row, *column);
                // A click on the marked frame zooms into it.
                zoom = found.filter(|at| *at == scene.marked);
                found
            }
            Act::Find(pattern) => match scene.next_found() {
                Some(found) => Some(found),
                None => return vec![Effect::Say(format!("'{pattern}' is in no frame"))],
            },
        };
        let (to, zoom) = (
            to.map(|at| {
                (
                    scene.graph.path(at),
                    at < scene.zoom || at >= scene.graph.frames[scene.zoom].end,
                )
            }),
            zoom.map(|at| scene.graph.path(at)),
        );
        if let Some((path, is_outside)) = to {
            self.marked = path;
            if is_outside {
                self.zoom.clear();
            }
        }
        if let Some(zoom) = zoom {
            self.marked.clone_from(&zoom);
            self.zoom = zoom;
        }
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(scene) = self.scene(view.model, view.look, area) else {
            let words = "no crossings were traced yet: t on screen 3 traces the image, 'uklscope open FILE' \
                         shows a recording";
            return say(words, view, area, buf);
        };
        if scene.graph.total() == 0 {
            return say("nothing was executed in a crossing yet", view, area, buf);
        }
        for (at, frame) in scene.frames() {
            let Some(place) = scene.place(frame) else {
                continue;
            };
            let is_found = scene.found.frames.get(at).copied().unwrap_or(false);
            let style = match self.sought.is_empty() || is_found {
                true => view.theme.frame(frame.origin),
                false => view.theme.dim(),
            };
            let style = if is_found {
                style.patch(view.theme.key())
            } else {
                style
            };
            let label = label(at, frame);
            frames::put(buf, scene.body, place, &label, style);
        }
        // Last, so that it is seen where others are as narrow.
        let frame = &scene.graph.frames[scene.marked];
        if let Some(place) = scene.place(frame) {
            frames::mark(buf, scene.body, place, view.theme.selected(view.focused));
        }
        let below = Rect {
            y: scene.body.bottom(),
            height: area.height - scene.body.height,
            ..area
        };
        for (row, line) in about(&scene, &self.sought, view).into_iter().enumerate() {
            text::put(buf, below, row, line);
        }
    }
}

/// The outermost frame is all together: no code of anybody's.
fn label(at: usize, frame: &Frame<'_>) -> String {
    match at {
        0 => frame.symbol.to_string(),
        _ => format!("{} {}", frame.origin.letter(), frame.symbol),
    }
}

/// The marked frame in words, and what the search has found.
fn about(scene: &Scene<'_>, sought: &str, view: View<'_>) -> Vec<Line<'static>> {
    let frame = &scene.graph.frames[scene.marked];
    let share = |of: u64, all: u64| of as f64 * 100.0 / all.max(1) as f64;
    let all = scene.graph.total();
    let zoomed = scene.graph.frames[scene.zoom].total;
    let name = format!("{} ", label(scene.marked, frame));
    let origin = match scene.marked {
        0 => String::new(),
        _ => frame.origin.to_string(),
    };
    // Instructions are what every other screen counts.
    let unit = match scene.unit {
        INSTRUCTIONS => String::new(),
        other => format!(" {other}"),
    };
    let mut lines = vec![
        Line::from(vec![
            Span::styled(name, view.theme.origin(frame.origin)),
            Span::styled(origin, view.theme.dim()),
        ]),
        Line::from(format!(
            "total {}{}  own {}  calls {}  {:.2} % of all{}",
            Insns(frame.total),
            unit,
            Insns(frame.own),
            frame
                .calls
                .map_or_else(|| "?".to_owned(), |calls| Insns(calls).to_string()),
            share(frame.total, all),
            if scene.zoom == 0 {
                String::new()
            } else {
                format!(", {:.2} % of this", share(frame.total, zoomed))
            }
        )),
    ];
    if !sought.is_empty() {
        let count = scene.found.frames.iter().filter(|found| **found).count();
        let found = format!(
            "'{sought}': {}, {} {}, {:.2} % of all",
            counted(count, "frame"),
            Insns(scene.found.instructions),
            scene.unit,
            share(scene.found.instructions, all)
        );
        lines.push(Line::styled(found, view.theme.key()));
    }
    lines
}
