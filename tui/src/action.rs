//! THE table of actions: it feeds the keys, the key line, the help and the book.

mod call_map;
mod values;

use std::fmt::Write as _;

use debugger::command::{self, Command};
use debugger::model::Model;

use crate::keys::Preset;
use crate::overlay::{Overlay, Palette, Prompt, PromptKind};
use crate::panels::{Act, Effect, PanelId, Screen, Traced};
use crate::ui::Ui;

#[derive(Clone, Copy, Debug)]
pub struct Action {
    pub name: &'static str,
    /// Keys that hold in the scope.
    pub keys: &'static [&'static str],
    /// Keys that hold on every screen.
    pub anywhere: &'static [&'static str],
    /// On the key line; empty where it is not to stand there.
    pub short: &'static str,
    pub help: &'static str,
    pub scope: Scope,
    /// When the key line offers it.
    pub when: When,
    pub run: fn(&mut Ui, &Model) -> Vec<Effect>,
}

/// The state of the target that an action is of use in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    Stopped,
    Running,
    /// While slow work is under way.
    Working,
    /// While a past stop is looked at.
    LookingBack,
}

impl When {
    #[must_use]
    pub fn holds(self, model: &Model) -> bool {
        match self {
            Self::Always => true,
            Self::Stopped => model.run.answers(),
            Self::Running => model.run.is_running(),
            Self::Working => model.works.latest().is_some(),
            Self::LookingBack => model.past.is_some(),
        }
    }
}

impl Action {
    const fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    /// All its keys, those of the preset first.
    pub fn all_keys(&self, preset: Preset) -> impl Iterator<Item = &'static str> + use<> {
        let first = preset.keys(self.name);
        let own = self.keys.iter().chain(self.anywhere);
        first
            .iter()
            .chain(own.filter(move |key| !first.contains(key)))
            .copied()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Everywhere,
    Screen(Screen),
    /// Panels with trees of values.
    Values,
    Panel(PanelId),
}

const fn action(
    scope: Scope,
    name: &'static str,
    keys: &'static [&'static str],
    short: &'static str,
    help: &'static str,
    run: fn(&mut Ui, &Model) -> Vec<Effect>,
) -> Action {
    Action {
        name,
        keys,
        anywhere: &[],
        short,
        help,
        scope,
        when: When::Always,
        run,
    }
}

/// A command of the debugger on a key.
const fn debug(
    name: &'static str,
    keys: &'static [&'static str],
    anywhere: &'static [&'static str],
    short: &'static str,
    help: &'static str,
    run: fn(&mut Ui, &Model) -> Vec<Effect>,
) -> Action {
    Action {
        name,
        keys,
        anywhere,
        short,
        help,
        scope: Scope::Screen(Screen::Debug),
        when: When::Stopped,
        run,
    }
}

#[rustfmt::skip]
pub const TABLE: &[Action] = &[
    debug("continue", &["c"], &["F5"], "go", "run until something stops it", |_, m| go(m, "continue")),
    debug("next", &["n"], &["F10"], "over", "to the next source line, over calls", |_, m| go(m, "next")),
    debug("step", &["s"], &["F11"], "into", "to the next source line, into calls and across the boundary", |_, m| go(m, "step")),
    debug("finish", &["f"], &["Shift-F11"], "out", "run until the selected frame returns", |_, m| go(m, "finish")),
    debug("stepi", &["i"], &[], "insn", "one instruction", |_, m| go(m, "stepi")),
    debug("nexti", &["o"], &[], "", "one instruction, over a call", |_, m| go(m, "nexti")),
    debug("cross", &["x"], &[], "next crossing", "run to the next crossing of the boundary", |_, m| go(m, "cross")),
    debug("cross back", &["X"], &[], "back to app", "run to the return to the application", |_, m| go(m, "cross back")),
    debug("over kernel", &["K"], &[], "", "take the kernel as one opaque call", |_, m| go(m, "over kernel")),
    debug("until app", &["A"], &[], "", "run until the application's code", |_, m| go(m, "until app")),
    debug("run to", &["r"], &[], "to here", "run to the marked line or instruction", run_to),
    debug("next vCPU", &["v"], &[], "", "focus on the next vCPU: steps move it alone", |_, _| typed("vcpu next")),
    debug("break", &["b"], &["F9"], "break", "set or remove a breakpoint at the marked line or instruction", toggle_break),
    debug("up", &["u"], &[], "", "select the caller's frame", |_, _| typed("up")),
    debug("down", &["d"], &[], "", "select the called frame", |_, _| typed("down")),
    debug("why", &["w"], &[], "", "show how control came to this side", |ui, _| focus(ui, PanelId::Why)),
    debug("syntax", &["m"], &[], "", "disassemble in Intel's or AT&T's syntax", |ui, _| { ui.panels.disassembly.switch_syntax(); Vec::new() }),
    debug("inline", &["a"], &[], "", "each source line's instructions below it, or not", |ui, _| { ui.panels.source.inline = !ui.panels.source.inline; Vec::new() }),
    action(Scope::Everywhere, "back", &["[", "Alt-Left"], "earlier", "look at the stop before: registers, stack, variables as they were", |_, _| typed("back")).when(When::LookingBack),
    action(Scope::Everywhere, "forward", &["]", "Alt-Right"], "later", "look at the stop after", |_, _| typed("forward")).when(When::LookingBack),
    action(Scope::Everywhere, "now", &["}"], "now", "look at where the target stands again", |_, _| typed("now")).when(When::LookingBack),
    action(Scope::Panel(PanelId::Breakpoints), "delete", &["Delete", "D"], "delete", "remove the marked breakpoint", delete),
    action(Scope::Values, "open", &["Enter"], "open", "open or close the marked value; a plain one is changed", |ui, m| ui.act(&Act::Enter, m)),
    action(Scope::Values, "format", &["v"], "format", "the next way to write its numbers: hex, decimal, binary, character, address", values::format),
    action(Scope::Values, "assign", &["="], "change", "change the marked value", values::assign).when(When::Stopped),
    action(Scope::Values, "watch it", &["W"], "watch", "show the marked value at each stop", values::watch).when(When::Stopped),
    action(Scope::Values, "add watch", &["+"], "", "show another expression at each stop", |_, _| vec![Effect::Edit("display ".to_owned())]),
    action(Scope::Values, "stop when written", &["b"], "watchpoint", "stop when the marked value is written", values::stop_when_written).when(When::Stopped),
    action(Scope::Values, "memory", &["M"], "memory", "show the bytes it lies in, or those it points at", values::memory),
    action(Scope::Values, "copy value", &["y"], "", "copy the marked value, by the terminal (OSC 52)", values::copy),
    action(Scope::Panel(PanelId::Watches), "remove watch", &["Delete", "D"], "remove", "no longer show the marked expression", values::remove),
    action(Scope::Panel(PanelId::Watches), "edit watch", &["e"], "edit", "show another expression in its place", values::rewrite),
    action(Scope::Panel(PanelId::Tasks), "stack", &["Enter"], "stack", "show the marked task's stack in the backtrace, or go to the marked CPU", |ui, m| ui.act(&Act::Enter, m)),
    action(Scope::Panel(PanelId::Tasks), "filter tasks", &["/"], "filter", "only tasks with a text in a column", filter),
    action(Scope::Screen(Screen::Debug), "tasks", &["t"], "", "the CPUs and the guest's tasks", |ui, _| focus(ui, PanelId::Tasks)),
    action(Scope::Screen(Screen::Debug), "own stack", &["Backspace"], "", "the stopped CPU's own stack again", |ui, _| { ui.look.task = None; Vec::new() }),
    action(Scope::Panel(PanelId::Strip), "zoom", &["Enter"], "zoom", "only the marked band, or all again", |ui, m| ui.act(&Act::Enter, m)),
    action(Scope::Panel(PanelId::Regions), "zoom to band", &["Enter"], "zoom", "only the band of the marked region, or all again", |ui, m| ui.act(&Act::Enter, m)),
    action(Scope::Panel(PanelId::Memory), "follow", &["Enter"], "follow", "go where the marked word points", |ui, m| ui.act(&Act::Enter, m)),
    action(Scope::Panel(PanelId::Memory), "pointer back", &["Backspace"], "back", "back to where a pointer was followed", |ui, _| { ui.panels.memory.back(); Vec::new() }),
    action(Scope::Panel(PanelId::Memory), "edit", &["e"], "edit", "write bytes over the marked ones; they are read back", edit),
    action(Scope::Screen(Screen::Crossings), "path", &["Enter"], "path", "show the marked crossing's path", |ui, m| ui.act(&Act::Enter, m)),
    action(Scope::Screen(Screen::Crossings), "difference", &["d"], "difference", "show the marked call against another mode", |ui, _| { ui.show(Screen::Path); focus(ui, PanelId::Ladder) }),
    action(Scope::Screen(Screen::Crossings), "trace", &["t"], "trace", "start or stop a traced run of the image", |_, _| vec![Effect::Trace(Traced::ThisMode)]),
    action(Scope::Screen(Screen::Crossings), "record", &["p"], "", "stop recording while the traced guest runs, or go on with it", |_, _| vec![Effect::Record]),
    action(Scope::Screen(Screen::Crossings), "compare modes", &["T"], "trace each mode", "trace the image in each mode, one after the other, and compare them", |_, _| vec![Effect::Trace(Traced::EachMode)]),
    action(Scope::Screen(Screen::Crossings), "requests", &["r"], "", "what a server does per request, or the crossings again", |ui, _| below(ui, PanelId::Requests)),
    action(Scope::Screen(Screen::Crossings), "counts", &["c"], "counts", "how many of the marked crossings took how many instructions, or the modes again", |ui, _| below(ui, PanelId::Counts)),
    action(Scope::Screen(Screen::Crossings), "sites", &["s"], "sites", "which places of the application and which tasks made the crossings, or the modes again", |ui, _| below(ui, PanelId::Sites)),
    action(Scope::Screen(Screen::Crossings), "advice", &["a"], "advice", "which call to bypass or shorten next, or the crossings again", |ui, _| below(ui, PanelId::Advice)),
    action(Scope::Screen(Screen::Crossings), "call map", &["M"], "call map", "every place where the application's code is left, and what it made", call_map::show),
    action(Scope::Panel(PanelId::CallMap), "code of site", &["Enter"], "code", "show the marked place in source and disassembly", |ui, m| ui.act(&Act::Enter, m)),
    action(Scope::Panel(PanelId::CallMap), "crossings of site", &["x"], "crossings", "only the crossings that the marked place made", call_map::crossings),
    action(Scope::Panel(PanelId::CallMap), "used sites", &["u"], "used", "only the places that made crossings, or all", |ui, _| { ui.panels.call_map.narrow(); Vec::new() }),
    action(Scope::Panel(PanelId::CallMap), "find site", &["/"], "find", "to the next place with a text", |ui, _| prompt(ui, PromptKind::Find, "")),
    action(Scope::Screen(Screen::Crossings), "filter", &["/"], "filter", "only crossings that a query holds for: a text, kind=syscall insns>2000; Tab completes", query),
    action(Scope::Panel(PanelId::Tree), "fold", &["Enter"], "fold", "fold or unfold the marked call", |ui, m| ui.act(&Act::Enter, m)),
    action(Scope::Panel(PanelId::Tree), "filter functions", &["/"], "filter", "only functions that a query holds for, with their callers: a text, origin=kernel:net own>50", query),
    action(Scope::Panel(PanelId::Ladder), "other modes", &["m"], "other modes", "against the next mode", |ui, m| ui.act(&Act::Side(1), m)),
    action(Scope::Screen(Screen::Path), "instructions", &["i"], "instructions", "what the ladder's marked function executed: steps through one call in both modes", instructions),
    action(Scope::Panel(PanelId::Butterfly), "instructions of wing", &["i"], "instructions", "what the marked function executed: steps through one call in both modes", instructions),
    action(Scope::Screen(Screen::Path), "butterfly of path", &["f"], "flame", "the same as a flame graph or a butterfly", flame_of_path),
    action(Scope::Panel(PanelId::Flame), "zoom to frame", &["Enter"], "zoom", "let the marked frame take the whole width", |ui, m| ui.act(&Act::Enter, m)),
    action(Scope::Panel(PanelId::Flame), "zoom out of frame", &["Backspace", "Esc"], "out", "end the search, else zoom out to the caller", |ui, m| out(ui.panels.flame.out(), ui, m)),
    action(Scope::Panel(PanelId::Flame), "freeze", &["F", "Space"], "freeze", "let the picture of a live run stand still, or move again", |ui, m| ui.panels.flame.freeze(m)),
    action(Scope::Panel(PanelId::Flame), "one call", &["p"], "one call", "the marked call of screen 3 alone, or all calls", |ui, _| { ui.panels.flame.narrow(); Vec::new() }),
    action(Scope::Panel(PanelId::Flame), "butterfly", &["d"], "difference", "the marked call against another mode, as a butterfly", |ui, _| focus(ui, PanelId::Butterfly)),
    action(Scope::Panel(PanelId::Butterfly), "zoom to wing", &["Enter"], "zoom", "let the marked frame take the whole width", |ui, m| ui.act(&Act::Enter, m)),
    action(Scope::Panel(PanelId::Butterfly), "all wings", &["Backspace", "Esc"], "out", "zoom out again", |ui, m| out(ui.panels.butterfly.out(), ui, m)),
    action(Scope::Panel(PanelId::Butterfly), "only changes", &["c"], "changes", "give room to what differs alone, or to all", |ui, _| { ui.panels.butterfly.switch(); Vec::new() }),
    action(Scope::Panel(PanelId::Butterfly), "modes of butterfly", &["m"], "other modes", "against the next mode", |ui, m| ui.act_on(PanelId::Ladder, &Act::Side(1), m)),
    action(Scope::Panel(PanelId::Butterfly), "flame graph", &["d"], "flame", "the flame graph of one run again", |ui, _| focus(ui, PanelId::Flame)),
    action(Scope::Screen(Screen::Timeline), "zoom in", &["+", "="], "nearer", "a quarter of what is seen, around the cursor", |ui, m| ui.act(&Act::Zoom { into: true, column: None }, m)),
    action(Scope::Screen(Screen::Timeline), "zoom out", &["-"], "further", "four times what is seen", |ui, m| ui.act(&Act::Zoom { into: false, column: None }, m)),
    action(Scope::Screen(Screen::Timeline), "path of crossing", &["Enter"], "path", "show the path of the crossing under the cursor", |ui, m| ui.act(&Act::Enter, m)),
    action(Scope::Screen(Screen::Timeline), "mark", &["m"], "mark", "set a mark at the cursor, or take it away", |ui, m| { let area = ui.body(); ui.panels.timeline.mark(m, area) }),
    action(Scope::Screen(Screen::Timeline), "next mark", &["'"], "", "go to the next mark", |ui, m| { let area = ui.body(); ui.panels.timeline.next_mark(m, area) }),
    action(Scope::Screen(Screen::Timeline), "find next", &["n"], "", "go to where a function of that name is entered next", |ui, m| { let area = ui.body(); ui.panels.timeline.again(false, m, area) }),
    action(Scope::Screen(Screen::Timeline), "find previous", &["N"], "", "go to where it was entered before", |ui, m| { let area = ui.body(); ui.panels.timeline.again(true, m, area) }),
    action(Scope::Screen(Screen::Timeline), "next run", &["r"], "", "the next of several runs", |ui, m| ui.panels.timeline.next_run(m)),
    action(Scope::Everywhere, "go to", &["g"], "go to", "show a symbol, a line or an address", |ui, _| prompt(ui, PromptKind::GoTo, "")),
    action(Scope::Everywhere, "find", &["/"], "find", "to the next row with a text", |ui, _| prompt(ui, PromptKind::Find, "")),
    action(Scope::Everywhere, "command", &[":"], "command", "a command of the debugger; Tab completes, Up recalls, Ctrl-R searches what was typed before", |ui, _| prompt(ui, PromptKind::Command, "")),
    action(Scope::Everywhere, "palette", &["Ctrl-P"], "", "search commands, actions and symbols", palette),
    action(Scope::Everywhere, "help", &["?"], "help", "these keys", |ui, _| { ui.overlay = Overlay::Help(0); Vec::new() }),
    action(Scope::Everywhere, "interrupt", &["Ctrl-C", "F6"], "stop", "stop the running target", interrupt).when(When::Running),
    action(Scope::Everywhere, "next panel", &["Tab"], "", "move the focus on", |ui, _| { ui.next_panel(1); Vec::new() }),
    action(Scope::Everywhere, "previous panel", &["Shift-Tab"], "", "move the focus back", |ui, _| { ui.next_panel(-1); Vec::new() }),
    action(Scope::Everywhere, "screen Debug", &["1"], "", "source, backtrace, registers", |_, _| vec![Effect::Show(Screen::Debug)]),
    action(Scope::Everywhere, "screen Space", &["2"], "", "the one address space", |_, _| vec![Effect::Show(Screen::Space)]),
    action(Scope::Everywhere, "screen Crossings", &["3"], "", "the crossings, counted", |_, _| vec![Effect::Show(Screen::Crossings)]),
    action(Scope::Everywhere, "screen Path", &["4"], "", "one crossing's path, and the ladder", |_, _| vec![Effect::Show(Screen::Path)]),
    action(Scope::Everywhere, "screen Flame", &["5"], "", "a run as a flame graph, and two modes as a butterfly", |_, _| vec![Effect::Show(Screen::Flame)]),
    action(Scope::Everywhere, "screen Timeline", &["6"], "", "what ran when, from all of a run down to single calls", |_, _| vec![Effect::Show(Screen::Timeline)]),
    action(Scope::Everywhere, "screen Console", &["7"], "", "the guest's serial line", |_, _| vec![Effect::Show(Screen::Console)]),
    action(Scope::Everywhere, "screen Memory", &["8"], "", "memory in bytes and as text", |_, _| vec![Effect::Show(Screen::Memory)]),
    action(Scope::Everywhere, "row up", &["Up", "k"], "", "one row up", |ui, m| ui.act(&Act::Step(-1), m)),
    action(Scope::Everywhere, "row down", &["Down", "j"], "", "one row down", |ui, m| ui.act(&Act::Step(1), m)),
    action(Scope::Everywhere, "view up", &["PgUp"], "", "one view up", |ui, m| ui.act(&Act::Page(-1), m)),
    action(Scope::Everywhere, "view down", &["PgDn", "Space"], "", "one view down", |ui, m| ui.act(&Act::Page(1), m)),
    action(Scope::Everywhere, "first", &["Home"], "", "to the first row", |ui, m| ui.act(&Act::Home, m)),
    action(Scope::Everywhere, "last", &["End"], "", "to the last row", |ui, m| ui.act(&Act::End, m)),
    action(Scope::Everywhere, "left", &["Left", "h"], "", "fold, zoom out, the mode before", |ui, m| ui.act(&Act::Side(-1), m)),
    action(Scope::Everywhere, "right", &["Right", "l"], "", "unfold, zoom in, the next mode", |ui, m| ui.act(&Act::Side(1), m)),
    action(Scope::Everywhere, "choose", &["Enter"], "", "select the marked frame, follow the marked call, print the marked value", |ui, m| ui.act(&Act::Enter, m)),
    action(Scope::Everywhere, "cancel", &["Esc"], "cancel", "give up the work that is under way", cancel).when(When::Working),
    action(Scope::Everywhere, "copy", &["y"], "", "copy the marked row, or all of the panel, by the terminal (OSC 52)", |ui, m| ui.copy(m)),
    action(Scope::Everywhere, "taller", &["Shift-Down"], "", "move the panel's border down", |ui, _| ui.resize(false, 1)),
    action(Scope::Everywhere, "shorter", &["Shift-Up"], "", "move it up", |ui, _| ui.resize(false, -1)),
    action(Scope::Everywhere, "wider", &["Shift-Right"], "", "move the panel's border to the right", |ui, _| ui.resize(true, 1)),
    action(Scope::Everywhere, "narrower", &["Shift-Left"], "", "move it to the left", |ui, _| ui.resize(true, -1)),
    action(Scope::Everywhere, "usual layout", &["Alt-0"], "", "all borders where they were at first", |ui, _| { ui.shares.clear(); Vec::new() }),
    action(Scope::Everywhere, "serve", &["Alt-j"], "", "let gdb, lldb and editors join this session: serve ADDRESS, serve off", |_, _| vec![Effect::Edit("serve ".to_owned())]),
    action(Scope::Everywhere, "theme", &["Alt-t"], "", "the next theme: dark, light, contrast, none", next_theme),
    action(Scope::Everywhere, "quit", &["q"], "quit", "leave; asks when a guest would end", |ui, m| ui.leave(m)),
];

/// The scopes whose keys hold there, the nearest first.
pub fn scopes(screen: Screen, panel: PanelId) -> impl Iterator<Item = Scope> {
    let values = Scope::Values.has(panel).then_some(Scope::Values);
    let outer = [Scope::Screen(screen), Scope::Everywhere];
    let inner = std::iter::once(Scope::Panel(panel)).chain(values);
    inner.chain(outer)
}

/// The action a key stands for: the preset's, then the nearest scope's.
#[must_use]
pub fn find(key: &str, preset: Preset, screen: Screen, panel: PanelId) -> Option<&'static Action> {
    if let Some(name) = preset.action(key) {
        let mut actions = TABLE.iter();
        return actions.find(|action| action.name == name);
    }
    scopes(screen, panel)
        .find_map(|scope| {
            TABLE
                .iter()
                .find(|action| action.scope == scope && action.keys.contains(&key))
        })
        .or_else(|| TABLE.iter().find(|action| action.anywhere.contains(&key)))
}

/// What the key line may offer, the nearest scope first.
pub fn offered(
    preset: Preset,
    screen: Screen,
    panel: PanelId,
) -> impl Iterator<Item = &'static Action> {
    scopes(screen, panel).flat_map(move |scope| {
        TABLE.iter().filter(move |action| {
            action.scope == scope
                && !action.short.is_empty()
                && action
                    .all_keys(preset)
                    .next()
                    .and_then(|key| find(key, preset, screen, panel))
                    .is_some_and(|found| found.name == action.name)
        })
    })
}

/// The table in Markdown, with the debugger's commands after it.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from("# Keys\n\n| key | where | does |\n|---|---|---|\n");
    for action in TABLE {
        let keys: Vec<String> = action
            .keys
            .iter()
            .chain(action.anywhere)
            .map(|key| format!("`{key}`"))
            .collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            keys.join(" "),
            action.scope.name(),
            action.help
        );
    }
    text.push_str(&crate::keys::reference());
    text
}

impl Scope {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Everywhere => "everywhere",
            Self::Screen(screen) => screen.name(),
            Self::Values => "locals, watches",
            Self::Panel(panel) => panel.name(),
        }
    }

    /// Whether its keys hold in a panel; those of a screen or of all hold in none of their own.
    #[must_use]
    pub fn has(self, panel: PanelId) -> bool {
        match self {
            Self::Panel(own) => own == panel,
            Self::Values => matches!(panel, PanelId::Locals | PanelId::Watches),
            Self::Everywhere | Self::Screen(_) => false,
        }
    }
}

fn typed(line: &str) -> Vec<Effect> {
    vec![Effect::Type(line.to_owned())]
}

/// Steps may be pressed ahead of the target, but not without end.
const AHEAD: usize = 8;

/// A command that runs the target: not while it runs already, but for steps that will end soon.
fn go(model: &Model, line: &str) -> Vec<Effect> {
    let is_step = |command: &Command| {
        matches!(
            command,
            Command::Step { .. }
                | Command::Next { .. }
                | Command::StepInstruction { .. }
                | Command::NextInstruction { .. }
        )
    };
    let mut waiting = model.requests.waiting();
    if model.run.is_running() && !waiting.next().is_some_and(is_step) {
        return vec![Effect::Say("it runs; Ctrl-C stops it".to_owned())];
    }
    if model.requests.waiting().count() >= AHEAD {
        return Vec::new();
    }
    typed(line)
}

fn focus(ui: &mut Ui, panel: PanelId) -> Vec<Effect> {
    ui.set_focus(panel);
    Vec::new()
}

/// One of the panels below the crossings, or the crossings again.
fn below(ui: &mut Ui, panel: PanelId) -> Vec<Effect> {
    if ui.focus() == panel {
        ui.set_focus(PanelId::Modes);
        return focus(ui, PanelId::Classes);
    }
    focus(ui, panel)
}

fn instructions(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    ui.show(Screen::Path);
    ui.set_focus(PanelId::Instructions);
    let wish = crate::panels::instructions::wish(model, &ui.look);
    wish.map(Effect::Step).into_iter().collect()
}

/// The picture of what is looked at on the screen of paths.
fn flame_of_path(ui: &mut Ui, _model: &Model) -> Vec<Effect> {
    let picture = match ui.focus() {
        PanelId::Ladder => PanelId::Butterfly,
        _ => PanelId::Flame,
    };
    ui.show(Screen::Flame);
    focus(ui, picture)
}

/// Where there was nothing to go out of, the key gives up the work that is under way.
fn out(was_in: bool, ui: &mut Ui, model: &Model) -> Vec<Effect> {
    if was_in {
        Vec::new()
    } else {
        cancel(ui, model)
    }
}

fn edit(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let bytes = ui.panels.memory.bytes(model);
    let pairs: Vec<String> = bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    prompt(ui, PromptKind::Bytes, &pairs.join(" "))
}

fn next_theme(ui: &mut Ui, _model: &Model) -> Vec<Effect> {
    let next = ui.theme.palette().next();
    ui.theme = next.into();
    vec![Effect::Say(format!("theme {}", next.name()))]
}

fn prompt(ui: &mut Ui, kind: PromptKind, text: &str) -> Vec<Effect> {
    ui.overlay = Overlay::Prompt(Prompt::new(kind, text));
    Vec::new()
}

fn filter(ui: &mut Ui, _model: &Model) -> Vec<Effect> {
    let now = ui.filter().to_owned();
    prompt(ui, PromptKind::Filter, &now)
}

fn query(ui: &mut Ui, _model: &Model) -> Vec<Effect> {
    let now = ui.filter().to_owned();
    prompt(ui, PromptKind::Query, &now)
}

fn palette(ui: &mut Ui, _model: &Model) -> Vec<Effect> {
    let palette = Palette::new(&ui.names);
    ui.overlay = Overlay::Palette(palette);
    Vec::new()
}

fn toggle_break(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let line = match ui.focus() {
        PanelId::Source => ui.panels.source.toggle(model),
        PanelId::Disassembly => ui.panels.disassembly.toggle(model),
        _ => None,
    };
    match line {
        Some(line) => typed(&line),
        None => prompt(ui, PromptKind::Command, "break "),
    }
}

/// To the line or instruction that is marked in the panel in focus.
fn run_to(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let place = match ui.focus() {
        PanelId::Disassembly => ui
            .panels
            .disassembly
            .marked(model)
            .map(|line| format!("*{:?}", line.place.addr)),
        PanelId::Source => ui.panels.source.marked(model),
        _ => None,
    };
    match place {
        Some(place) => go(model, &format!("until {place}")),
        None => prompt(ui, PromptKind::Command, "until "),
    }
}

fn delete(ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let marked = ui.panels.breakpoints.marked(model);
    marked.map_or_else(Vec::new, |number| typed(&format!("delete {number}")))
}

fn interrupt(_ui: &mut Ui, model: &Model) -> Vec<Effect> {
    if model.run.answers() || model.run.has_ended() {
        vec![Effect::Say("it stands still already; q leaves".to_owned())]
    } else {
        typed("interrupt")
    }
}

fn cancel(_ui: &mut Ui, model: &Model) -> Vec<Effect> {
    let work = model.works.latest();
    work.map_or_else(Vec::new, |work| vec![Effect::Cancel(work.name.clone())])
}

/// Shows a place that was typed: `ksys_write`, `read_write.c:636`, `0xffffffff81000000`.
pub fn go_to(ui: &mut Ui, model: &Model, text: &str) -> Vec<Effect> {
    if ui.screen == Screen::Memory {
        ui.panels.memory.go(text);
        return Vec::new();
    }
    // An address is what any expression gives, a place in the source is not.
    if ui.screen == Screen::Space {
        ui.look.address = Some(text.to_owned());
        return Vec::new();
    }
    let location = match command::parse(&format!("list {text}")) {
        Ok(Command::List {
            location: Some(location),
            ..
        }) => location,
        _ => return vec![Effect::Say(format!("'{text}' is no place"))],
    };
    ui.show(Screen::Debug);
    ui.panels.source.go(model, location.clone());
    ui.panels.disassembly.go(model, location);
    Vec::new()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_key_stands_for_two_actions_of_one_scope() {
        for (i, a) in TABLE.iter().enumerate() {
            for b in &TABLE[i + 1..] {
                let same = a.scope == b.scope && a.keys.iter().any(|key| b.keys.contains(key));
                assert!(!same, "{} and {}", a.name, b.name);
                assert!(!a.anywhere.iter().any(|key| b.anywhere.contains(key)));
            }
        }
    }

    #[test]
    fn an_action_is_known_by_its_name() {
        let names: BTreeSet<&str> = TABLE.iter().map(|action| action.name).collect();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn the_nearest_scope_holds() {
        let name =
            |key, screen, panel| find(key, Preset::Gdb, screen, panel).map(|action| action.name);
        let vscode = find("F12", Preset::Vscode, Screen::Console, PanelId::Serial);
        assert_eq!(vscode.map(|action| action.name), Some("choose"));
        assert_eq!(name("/", Screen::Debug, PanelId::Source), Some("find"));
        assert_eq!(
            name("/", Screen::Crossings, PanelId::Classes),
            Some("filter")
        );
        assert_eq!(
            name("F5", Screen::Console, PanelId::Serial),
            Some("continue")
        );
        assert_eq!(name("c", Screen::Console, PanelId::Serial), None);
    }

    #[test]
    fn what_an_action_types_is_a_command() {
        for line in [
            "continue",
            "next",
            "step",
            "finish",
            "stepi",
            "nexti",
            "cross",
            "cross back",
            "over kernel",
            "until app",
            "until a.c:1",
            "until *0xffffffff81000000",
            "vcpu next",
            "up",
            "down",
            "back",
            "forward",
            "now",
            "delete 1",
            "break a.c:1",
            "break *0xffffffff81000000",
            "interrupt",
            "cancel reading symbols",
            "frame 2",
            "print $rip",
            "list *0xffffffff81000000",
            "space main",
        ] {
            assert!(command::parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn the_book_lists_every_key() {
        let book = reference();
        for action in TABLE {
            for key in action.keys.iter().chain(action.anywhere) {
                assert!(book.contains(&format!("`{key}`")), "{key}");
            }
        }
    }
}
