//! The state of the screen, and how it is drawn.

use debugger::command::{Command, Info};
use debugger::count::counted;
use debugger::model::{Entry, Model, Topic};
use debugger::session::SymbolNames;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use crate::batch::text as words;
use crate::history::History;
use crate::keys::Preset;
use crate::layout::{Border, Layout, Place, Shares, Wanted, is_shared, layout};
use crate::look::Look;
use crate::overlay::{Overlay, Prompt, PromptKind, draw_help, last_scroll};
use crate::panels::{Act, Effect, PanelId, Panels, Screen, Traced, View};
use crate::status;
use crate::theme::Theme;
use crate::widgets::text;

/// What ends when this program does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guest {
    /// Started by us: it ends with us.
    Ours,
    /// Attached to: it goes on.
    Theirs,
    /// A recording.
    #[default]
    None,
}

#[derive(Debug)]
pub struct Ui {
    pub theme: Theme,
    pub preset: Preset,
    pub size: Rect,
    pub screen: Screen,
    pub panels: Panels,
    pub look: Look,
    pub overlay: Overlay,
    pub history: History,
    pub names: SymbolNames,
    pub guest: Guest,
    /// Which runs of it can be traced.
    pub traceable: &'static [Traced],
    /// Where others can join.
    pub serving: Option<String>,
    /// Borders the user has moved.
    pub shares: Shares,
    /// The border that the mouse has got hold of.
    pub dragged: Option<Border>,
    /// The panel with the focus, for each screen.
    focus: [PanelId; Screen::ALL.len()],
    /// What Debug's shared place shows while the focus is elsewhere.
    tab: PanelId,
    /// What stands below the crossings while these have the focus.
    below: PanelId,
    /// The text last looked for: `/` and Enter look again.
    pub sought: String,
    /// The line being typed was begun by a panel, which shows what comes of it.
    pub of_panel: bool,
    /// A command line was finished by hand, and its answer is not there yet.
    pub by_hand: bool,
    /// The last thing said to the user: on the key line until the next key.
    pub said: Option<String>,
}

impl Ui {
    #[must_use]
    pub fn new(theme: Theme, guest: Guest) -> Self {
        Self {
            theme,
            preset: Preset::default(),
            size: Rect::new(0, 0, 80, 24),
            screen: Screen::Debug,
            panels: Panels::default(),
            look: Look::default(),
            overlay: Overlay::None,
            history: History::default(),
            names: SymbolNames::default(),
            guest,
            traceable: &[],
            serving: None,
            shares: Shares::new(),
            dragged: None,
            focus: Screen::ALL.map(|screen| screen.panels()[0]),
            tab: PanelId::Why,
            below: PanelId::Modes,
            sought: String::new(),
            of_panel: false,
            by_hand: false,
            said: None,
        }
    }

    #[must_use]
    pub const fn focus(&self) -> PanelId {
        self.focus[self.screen as usize]
    }

    pub fn set_focus(&mut self, panel: PanelId) {
        if let Some(screen) = panel.screen() {
            self.focus[screen as usize] = panel;
        }
        if is_shared(panel) {
            self.tab = panel;
        }
        if panel != PanelId::Classes && Screen::Crossings.panels().contains(&panel) {
            self.below = panel;
        }
    }

    /// A panel's command line, to be finished by hand.
    pub fn edit(&mut self, line: &str) {
        self.of_panel = true;
        self.overlay = Overlay::Prompt(Prompt::new(PromptKind::Command, line));
    }

    /// Lets Debug's shared place show a panel, without moving the focus.
    pub const fn reveal(&mut self, panel: PanelId) {
        self.tab = panel;
    }

    pub const fn show(&mut self, screen: Screen) {
        self.screen = screen;
    }

    /// Shows a panel's screen, with the focus on the panel.
    pub fn look_at(&mut self, panel: PanelId) {
        self.screen = panel.screen().unwrap_or(self.screen);
        self.set_focus(panel);
    }

    pub fn next_panel(&mut self, by: isize) {
        let panels = self.screen.panels();
        let at = panels.iter().position(|id| *id == self.focus());
        let next = (at.unwrap_or(0) + panels.len()).saturating_add_signed(by) % panels.len();
        self.set_focus(panels[next]);
    }

    #[must_use]
    pub fn layout(&self) -> Layout {
        let wanted = Wanted {
            screen: self.screen,
            focus: self.focus(),
            tab: self.tab,
            below: self.below,
            shares: &self.shares,
        };
        layout(self.size, wanted)
    }

    /// Moves a border of the panel with the focus: the one below or to the right, else the other.
    pub fn resize(&mut self, upright: bool, by: i16) -> Vec<Effect> {
        let layout = self.layout();
        let focus = self.focus();
        let place = layout.places.iter().find(|place| place.id == focus);
        let Some(place) = place.map(|place| place.whole) else {
            return Vec::new();
        };
        let of = |border: &&Border, at: u16| {
            let start = if upright {
                border.line.x
            } else {
                border.line.y
            };
            let spans = match upright {
                true => border.line.y <= place.y && place.bottom() <= border.line.bottom(),
                false => border.line.x <= place.x && place.right() <= border.line.right(),
            };
            border.upright == upright && start == at && spans
        };
        let (near, far) = match upright {
            true => (place.x, place.right()),
            false => (place.y, place.bottom()),
        };
        let find = |at| layout.borders.iter().find(|border| of(border, at)).copied();
        let Some(border) = find(far).or_else(|| find(near)) else {
            return vec![Effect::Say(
                "this panel has no such border to move".to_owned(),
            )];
        };
        let (column, row) = (border.line.x, border.line.y);
        let share = match upright {
            true => border.share_at(column.saturating_add_signed(by), row),
            false => border.share_at(column, row.saturating_add_signed(by)),
        };
        self.shares.insert(border.name.to_owned(), share);
        Vec::new()
    }

    /// What the filter of the panel with the focus is.
    #[must_use]
    pub fn filter(&self) -> &str {
        match self.focus() {
            PanelId::Tasks => &self.look.tasks,
            PanelId::Tree => self.look.functions.text(),
            _ => self.look.crossings.text(),
        }
    }

    pub fn set_filter(&mut self, text: &str) {
        match self.focus() {
            PanelId::Tasks => text.clone_into(&mut self.look.tasks),
            PanelId::Tree => self.look.functions.set(text),
            _ => self.look.crossings.set(text),
        }
    }

    #[must_use]
    pub fn view<'a>(&'a self, model: &'a Model, panel: PanelId) -> View<'a> {
        View {
            model,
            look: &self.look,
            theme: self.theme,
            screen: self.screen,
            focused: self.focus() == panel,
        }
    }

    /// What the panels in sight want of the session.
    #[must_use]
    pub fn wants(&self, model: &Model) -> Vec<(Topic, Command)> {
        let layout = self.layout();
        let in_sight = layout.places.iter().flat_map(|place| {
            let view = self.view(model, place.id);
            self.panels.get(place.id).wants(view, place.body)
        });
        // To be kept for the next run, whatever is in sight.
        let kept = (Topic::Breakpoints, Command::Info(Info::Breakpoints));
        let typed = match &self.overlay {
            Overlay::Prompt(prompt) => prompt.asked(),
            _ => None,
        };
        let typed = typed.map(|line| (Topic::Completion, Command::Complete(line.to_owned())));
        let first = std::iter::once(kept).chain(typed);
        first.chain(in_sight).collect()
    }

    /// Completes the line that is typed, where the session has told what it may become.
    pub fn complete(&mut self, model: &Model) {
        if let (Overlay::Prompt(prompt), Some((line, told))) =
            (&mut self.overlay, &model.completion)
        {
            prompt.told(line, told);
        }
    }

    /// Lets the panel with the focus do something.
    pub fn act(&mut self, act: &Act, model: &Model) -> Vec<Effect> {
        self.act_on(self.focus(), act, model)
    }

    pub fn act_on(&mut self, panel: PanelId, act: &Act, model: &Model) -> Vec<Effect> {
        let layout = self.layout();
        let body = layout
            .places
            .iter()
            .find(|place| place.id == panel)
            .map_or(Rect::ZERO, |place| place.body);
        let look = &mut self.look;
        self.panels.get_mut(panel).act(act, model, look, body)
    }

    /// The body of the panel with the focus.
    #[must_use]
    pub fn body(&self) -> Rect {
        let focus = self.focus();
        let places = self.layout().places;
        let place = places.iter().find(|place| place.id == focus);
        place.map_or(Rect::ZERO, |place| place.body)
    }

    /// The marked row of the panel with the focus as it is shown, or all rows where none is marked.
    pub fn copy(&self, model: &Model) -> Vec<Effect> {
        let panel = self.focus();
        let layout = self.layout();
        let height = layout
            .places
            .iter()
            .find(|place| place.id == panel)
            .map_or(1, |place| place.body.height.max(1));
        // Wider than the panel: what is cut off there is wanted too.
        let area = Rect::new(0, 0, 400, height);
        let mut buf = Buffer::empty(area);
        let panels = &self.panels;
        panels
            .get(panel)
            .draw(self.view(model, panel), area, &mut buf);
        let row = |y: u16| {
            let cells = (0..area.width).map(|x| buf[(x, y)].symbol());
            cells.collect::<String>().trim_end().to_owned()
        };
        let marked = (0..height).find(|y| {
            let last = &buf[(area.width - 1, *y)];
            last.modifier.contains(Modifier::REVERSED)
        });
        let text = match marked {
            Some(y) => row(y),
            None => {
                let rows: Vec<String> = (0..height).map(row).collect();
                rows.join("\n").trim_end().to_owned()
            }
        };
        vec![Effect::Copy(text)]
    }

    /// Says the answer to a typed command on the key line, where the console is not in sight. Where it
    /// is and shares its place, a longer answer to a line typed by hand gives it the focus, which
    /// makes it larger and lets the keys scroll it.
    pub fn heard(&mut self, model: &Model) {
        let layout = self.layout();
        let by_hand = std::mem::take(&mut self.by_hand);
        let mut places = layout.places.iter();
        if let Some(place) = places.find(|place| place.id == PanelId::Log) {
            if let Some(Entry::Answer(answer)) = model.log.last()
                && by_hand
                && !place.tabs.is_empty()
                && words::lines(answer).len() >= usize::from(place.body.height)
            {
                self.set_focus(PanelId::Log);
            }
            return;
        }
        self.said = match model.log.last() {
            Some(Entry::Failure(failure)) => Some(failure.to_string()),
            Some(Entry::Answer(answer)) if self.screen != Screen::Debug => {
                let lines = words::lines(answer);
                let more = match lines.len() {
                    0 | 1 => String::new(),
                    n => format!("  (+{} in the console of screen 1)", counted(n - 1, "line")),
                };
                lines.first().map(|line| format!("{line}{more}"))
            }
            _ => None,
        };
    }

    /// Leaves, or asks first.
    pub fn leave(&mut self, model: &Model) -> Vec<Effect> {
        if self.guest == Guest::Ours && !model.run.has_ended() {
            self.overlay = Overlay::Leave;
            return Vec::new();
        }
        vec![Effect::Leave]
    }

    /// Where help and palette lie.
    fn over(&self) -> Rect {
        Rect {
            height: self.size.height.saturating_sub(2),
            y: self.size.y + 1.min(self.size.height),
            ..self.size
        }
    }

    /// How far the help can be scrolled down.
    #[must_use]
    pub fn last_scroll(&self) -> usize {
        let place = (self.screen, self.focus());
        last_scroll(place, self.preset, self.theme, self.over())
    }

    /// Draws all of it; where the cursor is to stand, if it is to be seen.
    #[must_use]
    pub fn draw(&self, model: &Model, buf: &mut Buffer) -> Option<Position> {
        let layout = self.layout();
        status::draw_status(self, model, layout.status, buf);
        for place in &layout.places {
            self.draw_place(place, model, buf);
        }
        let over = self.over();
        match &self.overlay {
            Overlay::Prompt(prompt) => return Some(prompt.draw(self.theme, layout.keys, buf)),
            Overlay::Palette(palette) => {
                status::draw_keys(self, model, layout.keys, buf);
                return Some(palette.draw(self.theme, over, buf));
            }
            Overlay::Help(scroll) => {
                status::draw_keys(self, model, layout.keys, buf);
                let place = (self.screen, self.focus());
                draw_help(*scroll, place, self.preset, self.theme, over, buf);
            }
            Overlay::Leave => {
                let words = " The guest ends with this program. Leave? y leaves, n stays ";
                text::put(buf, layout.keys, 0, Line::styled(words, self.theme.alarm()));
            }
            Overlay::None => status::draw_keys(self, model, layout.keys, buf),
        }
        None
    }

    fn draw_place(&self, place: &Place, model: &Model, buf: &mut Buffer) {
        let view = self.view(model, place.id);
        let theme = self.theme;
        let rule = Rect {
            height: 1.min(place.whole.height),
            ..place.whole
        };
        let line = "─".repeat(usize::from(rule.width));
        text::put(buf, rule, 0, Line::styled(line, theme.rule()));
        if place.whole.x > 0 {
            for row in 0..place.whole.height {
                let joint = if row == 0 { "├" } else { "│" };
                let column = Rect {
                    width: 1.min(place.whole.width),
                    ..place.whole
                };
                text::put(
                    buf,
                    column,
                    usize::from(row),
                    Line::styled(joint, theme.rule()),
                );
            }
        }
        let title = if place.tabs.is_empty() {
            let mark = if view.focused { "▶" } else { " " };
            let title = self.panels.get(place.id).title(view);
            vec![Span::styled(
                format!("{mark}{title} "),
                theme.title(view.focused),
            )]
        } else {
            self.tabs(place, view)
        };
        let inner = Rect {
            x: rule.x + 2.min(rule.width),
            width: rule.width.saturating_sub(3),
            ..rule
        };
        text::put(buf, inner, 0, Line::from(title));
        self.panels.get(place.id).draw(view, place.body, buf);
    }

    fn tabs(&self, place: &Place, view: View<'_>) -> Vec<Span<'static>> {
        let mut spans = Vec::new();
        for id in place.tabs {
            let chosen = *id == place.id;
            let text = if chosen {
                let mark = if view.focused { "▶" } else { " " };
                format!("{mark}[{}] ", self.panels.get(*id).title(view))
            } else {
                format!(" {} ", id.name())
            };
            spans.push(Span::styled(text, self.theme.title(chosen && view.focused)));
        }
        spans
    }

    /// The tab of a shared place under a column of its rule.
    #[must_use]
    pub fn tab_at(&self, place: &Place, model: &Model, column: u16) -> Option<PanelId> {
        let view = self.view(model, place.id);
        let mut end = place.whole.x + 2;
        self.tabs(place, view)
            .iter()
            .zip(place.tabs)
            .find(|(span, _)| {
                end = end.saturating_add(text::columns(span.width()));
                column < end
            })
            .map(|(_, id)| *id)
    }
}
