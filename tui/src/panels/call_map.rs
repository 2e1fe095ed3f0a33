//! Every place where the application's code leaves it, coloured by what it has made.

use std::collections::{BTreeSet, HashMap};

use debugger::addr::{Addr, Insns};
use debugger::count::counted;
use debugger::crossing::Mode;
use debugger::model::Model;
use debugger::trace::call_map::{CallMap, Made, made};
use debugger::trace::call_sites::{CallSite, Enters, How};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::listing::{find, moved, say};
use super::{Act, Effect, Panel, View};
use crate::look::Look;
use crate::theme::Theme;
use crate::widgets::cursor::Cursor;
use crate::widgets::table::{self, Column};
use crate::widgets::text;

#[derive(Debug, Default)]
pub struct Map {
    cursor: Cursor,
    /// Only the places that were used.
    used: bool,
}

const COLUMNS: &[Column] = &[
    Column::left("", 1, 0),
    Column::left("place", 18, 0),
    Column {
        fill: true,
        ..Column::left("caller", 14, 1)
    },
    Column::left("by", 7, 2),
    Column::left("to", 22, 0),
    Column::left("kernel", 6, 1),
    Column::right("count", 9, 0),
    Column::right("insns", 13, 0),
    Column::right("share", 6, 2),
];

/// A place, and what it has made.
struct Row<'a> {
    site: &'a CallSite,
    made: Made,
}

/// What is known of the places and of their use.
struct Scene<'a> {
    rows: Vec<Row<'a>>,
    /// Instructions of all places.
    all: u64,
    /// Places that made crossings and are none of the image's.
    strange: usize,
}

/// Whether the run that is shown is of the twin.
#[must_use]
pub fn of_twin(model: &Model) -> bool {
    let report = model.crossings.report();
    let mode = report.map(|report| report.mode.mode);
    mode.or(model.target.as_ref().and_then(|target| target.mode)) == Some(Mode::Linux)
}

/// The map that is asked for, where it is not there yet: the image's name, and whether it is the twin's.
#[must_use]
pub fn wish(model: &Model) -> Option<(String, bool)> {
    let image = &model.target.as_ref()?.name;
    let twin = of_twin(model);
    let is_it = |map: &CallMap| map.image == *image && map.twin == twin;
    let known = model.call_map.as_deref().is_some_and(is_it);
    (!known).then(|| (image.clone(), twin))
}

impl Map {
    /// Only used places, or all.
    pub fn narrow(&mut self) {
        self.used = !self.used;
    }

    /// Shows the crossings of the marked place alone.
    ///
    /// # Errors
    /// When it has none.
    pub fn crossings(&self, model: &Model, look: &mut Look) -> Result<(), String> {
        let scene = self.scene(model);
        let scene = scene.ok_or("the call sites are not known yet")?;
        let row = scene.rows.get(self.cursor.row(scene.rows.len()));
        let row = row.ok_or("there is no place")?;
        let place = row.site.place();
        if row.made.count == 0 {
            return Err(format!("{place} made no crossing in this run"));
        }
        look.crossings.set(&format!("site=\"{place}\""));
        Ok(())
    }

    fn scene<'a>(&self, model: &'a Model) -> Option<Scene<'a>> {
        let map = model.call_map.as_deref()?;
        if wish(model).is_some() {
            return None;
        }
        let used: HashMap<Addr, Made> = made(model.crossings.report());
        let known: BTreeSet<Addr> = map.sites.iter().map(|site| site.address).collect();
        let rows = map.sites.iter().map(|site| Row {
            site,
            made: used.get(&site.address).copied().unwrap_or_default(),
        });
        Some(Scene {
            rows: rows
                .filter(|row| !self.used || row.made.count > 0)
                .collect(),
            all: used.values().map(|made| made.instructions).sum(),
            strange: used
                .keys()
                .filter(|address| !known.contains(address))
                .count(),
        })
    }
}

impl Row<'_> {
    /// Hot, used, known to reach the kernel but not used, and not.
    fn style(&self, all: u64, theme: Theme) -> Style {
        match self.made.count {
            0 if self.site.enters == Enters::No => theme.dim(),
            0 => Style::new(),
            _ if self.made.instructions.saturating_mul(10) >= all => theme.alarm(),
            _ => theme.good(),
        }
    }

    /// The same without colour.
    fn sign(&self, all: u64) -> &'static str {
        match self.made.count {
            0 => "",
            _ if self.made.instructions.saturating_mul(10) >= all => "#",
            _ => "*",
        }
    }

    fn cells(&self, all: u64, theme: Theme) -> Vec<Vec<Span<'static>>> {
        let style = self.style(all, theme);
        let by = match self.site.how {
            How::Call => "call",
            How::Jump => "jump",
            How::Syscall => "syscall",
        };
        let to = match (&self.site.target, self.site.how) {
            (Some(target), _) => Span::styled(
                format!("{} {}", target.origin.letter(), target.symbol),
                theme.origin(target.origin),
            ),
            (None, How::Syscall) => Span::styled("k the kernel", style),
            (None, _) => Span::styled("? decided at run time", style),
        };
        let enters = match self.site.enters {
            Enters::Yes => "yes",
            Enters::Maybe => "maybe",
            Enters::No => "no",
        };
        let number = |of: u64| match self.made.count {
            0 => String::new(),
            _ => Insns(of).to_string(),
        };
        let share = match self.made.count {
            0 => String::new(),
            _ => format!(
                "{:.1}%",
                self.made.instructions as f64 * 100.0 / all.max(1) as f64
            ),
        };
        let plain = |text: String| vec![Span::styled(text, style)];
        vec![
            plain(self.sign(all).to_owned()),
            plain(self.site.place()),
            plain(self.site.caller.clone()),
            plain(by.to_owned()),
            vec![to],
            plain(enters.to_owned()),
            plain(number(self.made.count)),
            plain(number(self.made.instructions)),
            plain(share),
        ]
    }
}

impl Panel for Map {
    fn title(&self, view: View<'_>) -> String {
        let all = Self {
            used: false,
            ..Self::default()
        };
        let Some(scene) = all.scene(view.model) else {
            return "call map".to_owned();
        };
        let used = scene.rows.iter().filter(|row| row.made.count > 0).count();
        let only = if self.used { ", only these" } else { "" };
        let mut title = format!(
            "call map: the application is left at {}, {used} made crossings{only}",
            counted(scene.rows.len(), "place")
        );
        if scene.strange > 0 {
            title.push_str(&format!(
                "; {} that did are not among them: the image was built anew since",
                scene.strange
            ));
        }
        title
    }

    fn act(&mut self, act: &Act, model: &Model, _look: &mut Look, area: Rect) -> Vec<Effect> {
        let Some(scene) = self.scene(model) else {
            return Vec::new();
        };
        let rows = scene.rows;
        let area = table::below_head(area);
        let at = self.cursor.row(rows.len());
        match act {
            Act::Click(0, _) => {}
            Act::Click(row, column) => {
                let click = Act::Click(row - 1, *column);
                moved(&mut self.cursor, &click, rows.len(), area);
            }
            Act::Enter if model.run.has_ended() => {
                let words =
                    "there is no guest whose code could be shown: x shows what the place made";
                return vec![Effect::Say(words.to_owned())];
            }
            Act::Enter => {
                let address = rows.get(at).map(|row| format!("*{:?}", row.site.address));
                return address.map(Effect::Go).into_iter().collect();
            }
            Act::Find(needle) => {
                let text = |at: usize| {
                    let site = rows[at].site;
                    let target = site.target.as_ref().map_or("", |target| &target.symbol);
                    format!("{} {} {target}", site.place(), site.caller)
                };
                match find(at, rows.len(), needle, text) {
                    Some(found) => {
                        let height = usize::from(area.height).max(1);
                        self.cursor.go(found, rows.len(), height);
                    }
                    None => return vec![Effect::Say(format!("no place with '{needle}'"))],
                }
            }
            _ => {
                moved(&mut self.cursor, act, rows.len(), area);
            }
        }
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer) {
        let Some(scene) = self.scene(view.model) else {
            let why = match &view.model.target {
                Some(target) => format!(
                    "the call sites of {} are not known yet; M looks for them in its image",
                    target.name
                ),
                None => "no image is known".to_owned(),
            };
            return say(&why, view, area, buf);
        };
        let rows = &scene.rows;
        let used = scene.rows.iter().filter(|row| row.made.count > 0);
        let used = used.map(|row| row.cells(scene.all, view.theme));
        let columns = table::wide_enough(COLUMNS, used);
        let fitted = table::fitting(&columns, usize::from(area.width));
        table::heading(buf, area, &columns, &fitted, view.theme.dim());
        let body = table::below_head(area);
        let height = usize::from(body.height);
        let top = self.cursor.top(rows.len(), height);
        for (at, row) in rows.iter().skip(top).take(height).enumerate() {
            let cells = row.cells(scene.all, view.theme);
            table::row(buf, body, at, &columns, &fitted, &cells);
            if top + at == self.cursor.row(rows.len()) {
                text::paint(buf, body, at, view.theme.selected(view.focused));
            }
        }
    }
}
