//! The panels, one file each: state of their own, `wants`, `act`, and a `draw` that changes nothing.

use debugger::command::Command;
use debugger::model::{Model, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::look::Look;
use crate::stepper::Wish;
use crate::theme::Theme;

pub mod advice;
pub mod backtrace;
pub mod breakpoints;
pub mod butterfly;
pub mod call_map;
pub mod classes;
pub mod counts;
pub mod disassembly;
pub mod flame;
pub mod held;
pub mod instructions;
pub mod ladder;
pub mod listing;
pub mod locals;
pub mod log;
pub mod memory;
pub mod modes;
pub mod regions;
pub mod registers;
pub mod requests;
pub mod serial;
pub mod sites;
pub mod source;
pub mod strip;
pub mod tasks;
pub mod timeline;
pub mod tree;
pub mod values;
pub mod walk;
pub mod watches;
pub mod why;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    Debug,
    Space,
    Crossings,
    Path,
    Flame,
    Timeline,
    Console,
    Memory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PanelId {
    Source,
    Disassembly,
    Backtrace,
    Registers,
    Locals,
    Watches,
    Breakpoints,
    Tasks,
    Why,
    Log,
    Strip,
    Regions,
    Walk,
    Classes,
    Modes,
    Counts,
    Requests,
    Advice,
    Sites,
    CallMap,
    Tree,
    Ladder,
    Instructions,
    Flame,
    Butterfly,
    Timeline,
    Serial,
    Memory,
}

/// What a key or the mouse asks of a panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Rows down, or up where negative.
    Step(isize),
    /// Whole views down or up.
    Page(isize),
    Home,
    End,
    /// Columns right, or left where negative.
    Side(isize),
    Enter,
    /// Row and column within the panel.
    Click(usize, usize),
    /// To the next row that holds this text, ignoring case.
    Find(String),
    /// Nearer or further, around a column of the panel or what is marked.
    Zoom {
        into: bool,
        column: Option<usize>,
    },
}

/// What a panel or an action asks of the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A command line, as if it had been typed.
    Type(String),
    /// A command line to be finished by hand.
    Edit(String),
    Show(Screen),
    /// Shows a panel's screen, with the focus on the panel.
    Focus(PanelId),
    /// Shows a place in source and disassembly until the next stop.
    Go(String),
    /// A line for the console.
    Say(String),
    /// To the terminal's clipboard.
    Copy(String),
    /// Starts traced runs of the image, or stops those that go on.
    Trace(Traced),
    /// Stops recording while the traced guest runs, or goes on with it.
    Record,
    /// Steps through one call in two modes.
    Step(Wish),
    /// Finds every call site of the image: of that name, or of its twin.
    Map(String, bool),
    /// Lets others join at an address; `off` no longer, and nothing tells where.
    Serve(String),
    /// Gives up the slow work of that name.
    Cancel(String),
    Leave,
}

/// All that a panel may read.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub model: &'a Model,
    pub look: &'a Look,
    pub theme: Theme,
    /// On which screen it stands.
    pub screen: Screen,
    pub focused: bool,
}

/// Which runs are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traced {
    /// In the mode of the guest on the screen.
    ThisMode,
    /// In each mode, one after the other, and compared.
    EachMode,
}

pub trait Panel {
    /// What stands in its rule.
    fn title(&self, view: View<'_>) -> String;

    /// What it shows and would have asked for.
    fn wants(&self, _view: View<'_>, _area: Rect) -> Vec<(Topic, Command)> {
        Vec::new()
    }

    fn act(&mut self, _act: &Act, _model: &Model, _look: &mut Look, _area: Rect) -> Vec<Effect> {
        Vec::new()
    }

    fn draw(&self, view: View<'_>, area: Rect, buf: &mut Buffer);
}

#[derive(Debug, Default)]
pub struct Panels {
    pub source: source::Source,
    pub disassembly: disassembly::Disassembly,
    pub backtrace: backtrace::Backtrace,
    pub registers: registers::Registers,
    pub locals: locals::Locals,
    pub watches: watches::Watches,
    pub breakpoints: breakpoints::Breakpoints,
    pub tasks: tasks::Tasks,
    pub why: why::Why,
    pub log: log::Log,
    pub regions: regions::Regions,
    pub strip: strip::Strip,
    pub walk: walk::Walk,
    pub classes: classes::Classes,
    pub modes: modes::Modes,
    pub counts: counts::Counts,
    pub requests: requests::Requests,
    pub advice: advice::Advice,
    pub sites: sites::Sites,
    pub call_map: call_map::Map,
    pub tree: tree::Tree,
    pub ladder: ladder::Ladder,
    pub instructions: instructions::Instructions,
    pub flame: flame::Flame,
    pub butterfly: butterfly::Butterfly,
    pub timeline: timeline::Timeline,
    pub serial: serial::Serial,
    pub memory: memory::Memory,
}

impl Screen {
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Space,
        Self::Crossings,
        Self::Path,
        Self::Flame,
        Self::Timeline,
        Self::Console,
        Self::Memory,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "Debug",
            Self::Space => "Space",
            Self::Crossings => "Crossings",
            Self::Path => "Path",
            Self::Flame => "Flame",
            Self::Timeline => "Timeline",
            Self::Console => "Console",
            Self::Memory => "Memory",
        }
    }

    #[must_use]
    pub const fn digit(self) -> char {
        match self {
            Self::Debug => '1',
            Self::Space => '2',
            Self::Crossings => '3',
            Self::Path => '4',
            Self::Flame => '5',
            Self::Timeline => '6',
            Self::Console => '7',
            Self::Memory => '8',
        }
    }

    /// In the order Tab visits them.
    #[must_use]
    pub const fn panels(self) -> &'static [PanelId] {
        match self {
            Self::Debug => &[
                PanelId::Source,
                PanelId::Disassembly,
                PanelId::Backtrace,
                PanelId::Registers,
                PanelId::Why,
                PanelId::Locals,
                PanelId::Watches,
                PanelId::Breakpoints,
                PanelId::Tasks,
                PanelId::Log,
            ],
            Self::Space => &[PanelId::Regions, PanelId::Strip, PanelId::Walk],
            Self::Crossings => &[
                PanelId::Classes,
                PanelId::Modes,
                PanelId::Counts,
                PanelId::Requests,
                PanelId::Advice,
                PanelId::Sites,
                PanelId::CallMap,
            ],
            Self::Path => &[PanelId::Tree, PanelId::Ladder, PanelId::Instructions],
            Self::Flame => &[PanelId::Flame, PanelId::Butterfly],
            Self::Timeline => &[PanelId::Timeline],
            Self::Console => &[PanelId::Serial],
            Self::Memory => &[PanelId::Memory],
        }
    }
}

impl PanelId {
    /// The screen whose focus it can have.
    #[must_use]
    pub fn screen(self) -> Option<Screen> {
        let mut screens = Screen::ALL.into_iter();
        screens.find(|screen| screen.panels().contains(&self))
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Disassembly => "disassembly",
            Self::Backtrace => "backtrace",
            Self::Registers => "registers",
            Self::Locals => "locals",
            Self::Watches => "watches",
            Self::Breakpoints => "breakpoints",
            Self::Tasks => "tasks",
            Self::Why => "why",
            Self::Log => "console",
            Self::Strip => "space",
            Self::Regions => "regions",
            Self::Walk => "address",
            Self::Classes => "crossings",
            Self::Modes => "modes",
            Self::Counts => "counts",
            Self::Requests => "requests",
            Self::Advice => "advice",
            Self::Sites => "sites",
            Self::CallMap => "call map",
            Self::Tree => "path",
            Self::Ladder => "ladder",
            Self::Instructions => "instructions",
            Self::Flame => "flame",
            Self::Butterfly => "butterfly",
            Self::Timeline => "timeline",
            Self::Serial => "serial line",
            Self::Memory => "memory",
        }
    }
}

impl Panels {
    #[must_use]
    pub fn get(&self, id: PanelId) -> &dyn Panel {
        match id {
            PanelId::Source => &self.source,
            PanelId::Disassembly => &self.disassembly,
            PanelId::Backtrace => &self.backtrace,
            PanelId::Registers => &self.registers,
            PanelId::Locals => &self.locals,
            PanelId::Watches => &self.watches,
            PanelId::Breakpoints => &self.breakpoints,
            PanelId::Tasks => &self.tasks,
            PanelId::Why => &self.why,
            PanelId::Log => &self.log,
            PanelId::Strip => &self.strip,
            PanelId::Regions => &self.regions,
            PanelId::Walk => &self.walk,
            PanelId::Classes => &self.classes,
            PanelId::Modes => &self.modes,
            PanelId::Counts => &self.counts,
            PanelId::Requests => &self.requests,
            PanelId::Advice => &self.advice,
            PanelId::Sites => &self.sites,
            PanelId::CallMap => &self.call_map,
            PanelId::Tree => &self.tree,
            PanelId::Ladder => &self.ladder,
            PanelId::Instructions => &self.instructions,
            PanelId::Flame => &self.flame,
            PanelId::Butterfly => &self.butterfly,
            PanelId::Timeline => &self.timeline,
            PanelId::Serial => &self.serial,
            PanelId::Memory => &self.memory,
        }
    }

    pub fn get_mut(&mut self, id: PanelId) -> &mut dyn Panel {
        match id {
            PanelId::Source => &mut self.source,
            PanelId::Disassembly => &mut self.disassembly,
            PanelId::Backtrace => &mut self.backtrace,
            PanelId::Registers => &mut self.registers,
            PanelId::Locals => &mut self.locals,
            PanelId::Watches => &mut self.watches,
            PanelId::Breakpoints => &mut self.breakpoints,
            PanelId::Tasks => &mut self.tasks,
            PanelId::Why => &mut self.why,
            PanelId::Log => &mut self.log,
            PanelId::Strip => &mut self.strip,
            PanelId::Regions => &mut self.regions,
            PanelId::Walk => &mut self.walk,
            PanelId::Classes => &mut self.classes,
            PanelId::Modes => &mut self.modes,
            PanelId::Counts => &mut self.counts,
            PanelId::Requests => &mut self.requests,
            PanelId::Advice => &mut self.advice,
            PanelId::Sites => &mut self.sites,
            PanelId::CallMap => &mut self.call_map,
            PanelId::Tree => &mut self.tree,
            PanelId::Ladder => &mut self.ladder,
            PanelId::Instructions => &mut self.instructions,
            PanelId::Flame => &mut self.flame,
            PanelId::Butterfly => &mut self.butterfly,
            PanelId::Timeline => &mut self.timeline,
            PanelId::Serial => &mut self.serial,
            PanelId::Memory => &mut self.memory,
        }
    }
}
