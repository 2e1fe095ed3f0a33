//! The one address space as a strip of bands, and below it the marked band's regions.

use debugger::count::counted;
use debugger::model::Model;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::listing::explain;
use super::{Act, Effect, Panel, View};
use crate::look::Look;
use crate::widgets::cursor::Cursor;
use crate::widgets::strip::{Part, at_column, strip};
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Strip;

/// The band the strip marks: the one zoomed into, else that of the marked region.
fn marked<'a>(look: &'a Look, model: &'a Model) -> Option<&'a str> {
    look.band
        .as_deref()
        .or_else(|| look.region(model).map(|region| region.band.as_str()))
}

/// Regions that a strip of this width can name, around the marked one.
fn window(view: View<'_>, width: usize) -> Vec<Part> {
    let (look, model, theme) = (view.look, view.model, view.theme);
    let band = marked(look, model);
    let here = look.region(model).map(|region| region.range);
    let all: Vec<_> = model
        .regions
        .yes()
        .into_iter()
        .flatten()
        .filter(|region| Some(region.band.as_str()) == band)
        .collect();
    let count = (width / 9).max(1);
    let at = all.iter().position(|region| Some(region.range) == here);
    let first = at
        .unwrap_or(0)
        .saturating_sub(count / 2)
        .min(all.len().saturating_sub(count));
    all.iter()
        .skip(first)
        .take(count)
        .map(|region| Part {
            label: format!("{} {}", region.origin.letter(), region.what),
            style: theme.origin(region.origin),
            marked: Some(region.range) == here,
        })
        .collect()
}

impl Panel for Strip {
    fn title(&self, view: View<'_>) -> String {
        let count = view.model.regions.yes().map_or(0, Vec::len);
        match &view.look.band {
            Some(band) => format!("space: {band} of {}", counted(count, "region")),
            None => format!("space: {}", counted(count, "region")),
        }
    }

    fn act(&mut self, act: &Act, model: &Model, look: &mut Look, area: Rect) -> Vec<Effect> {
        let bands: Vec<String> = Look::bands(model).into_iter().map(str::to_owned).collect();
        let at = marked(look, model).and_then(|band| bands.iter().position(|one| one == band));
        let to = match act {
            Act::Side(columns) | Act::Step(columns) => at
                .unwrap_or(0)
                .saturating_add_signed(*columns)
                .min(bands.len().saturating_sub(1)),
            Act::Click(1, column) => {
                match at_column(bands.len(), usize::from(area.width), *column) {
                    Some(found) => found,
                    None => return Vec::new(),
                }
            }
            Act::Enter => at.unwrap_or(0),
            Act::Home => 0,
            Act::End => bands.len().saturating_sub(1),
            Act::Page(_) | Act::Click(..) | Act::Find(_) | Act::Zoom { .. } => return Vec::new(),
        };
        let chosen = bands.get(to).cloned();
        // Enter on the band that is open closes it.
        look.band = if *act == Act::Enter && look.band == chosen {
            None
        } else {
            chosen
        };
        look.region = Cursor::default();
        look.address = None;
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        explain(&view.model.regions.value, view, area, buf);
        if view.model.regions.yes().is_none() {
            return;
        }
        let width = usize::from(area.width);
        let ends = format!(
            "{:<half$}{:>rest$}",
            "0",
            "ffffffffffffffff",
            half = width / 2,
            rest = width - width / 2
        );
        text::put(buf, area, 0, Line::styled(ends, view.theme.dim()));
        let band = marked(view.look, view.model);
        let parts: Vec<Part> = Look::bands(view.model)
            .into_iter()
            .map(|name| Part {
                label: name.to_owned(),
                style: if Some(name) == band {
                    view.theme.selected(view.focused)
                } else {
                    ratatui::style::Style::new()
                },
                marked: Some(name) == band,
            })
            .collect();
        text::put(buf, area, 1, Line::from(strip(&parts, width)));
        let spans: Vec<Span<'static>> = strip(&window(view, width), width);
        text::put(buf, area, 2, Line::from(spans));
    }
}
