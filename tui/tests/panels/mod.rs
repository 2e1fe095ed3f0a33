//! The Debug screen's trees of values, watches, tasks, borders: from hand-made facts.

use debugger::command;
use debugger::event::{Event, Run};
use insta::assert_snapshot;
use ratatui::crossterm::event::{
    Event as Input, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::layout::Position;
use tui::panels::PanelId;

use crate::stage::{self, Stage};

mod timeline;

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 50);

/// With the focus in a panel of the Debug screen.
fn on(panel: PanelId, (width, height): (u16, u16)) -> Stage {
    let mut stage = Stage::stopped(width, height);
    stage.event(stage::values::watched(185, false));
    stage.ui.set_focus(panel);
    stage.keys("Home");
    stage
}

/// The rows of a panel as they stand on the screen.
fn rows(stage: &Stage, panel: PanelId) -> Vec<String> {
    let layout = stage.ui.layout();
    let place = layout.places.iter().find(|place| place.id == panel);
    let body = place.expect("the panel is in sight").body;
    let terminal = stage.draw();
    let buffer = terminal.backend().buffer();
    let row = |y| {
        let cells = (body.left()..body.right()).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    let rows = (body.top()..body.bottom()).map(row);
    rows.filter(|row| !row.is_empty()).collect()
}

fn mouse(stage: &mut Stage, kind: MouseEventKind, (column, row): (u16, u16)) {
    stage.input(&Input::Mouse(MouseEvent {
        kind,
        column,
        row,
        modifiers: KeyModifiers::NONE,
    }));
}

const CLICK: MouseEventKind = MouseEventKind::Down(MouseButton::Left);

#[test]
fn values_are_opened_and_stay_open_over_a_step() {
    let mut stage = on(PanelId::Locals, LARGE);
    stage.keys("End Up Enter Down Enter");
    let open = rows(&stage, PanelId::Locals);
    assert_eq!(
        open,
        [
            "  fd    1  unsigned int",
            "▸ buf   0x7ffffffdfea7 \"x\"  const char *",
            "  ret   <it is optimised out>  ssize_t",
            "▾ f     {file = 0xffff888003124a00, flags = 0}  struct fd",
            "  ▾ file 0xffff888003124a00  struct file *",
            "      f_mode 327711  fmode_t",
            "    ▸ f_path {mnt = 0xffff888003cc0820, …}  struct path",
            "      f_pos 4096  loff_t",
            "    flags 0  unsigned int",
            "▸ table {0, 1, 4, …}  int [2000]",
        ]
    );
    stage.event(stage::facts::stop());
    assert_eq!(rows(&stage, PanelId::Locals), open, "the next stop");
    stage.keys("Left");
    assert_eq!(rows(&stage, PanelId::Locals).len(), 7, "closed");
    stage.keys("Left Left");
    assert_eq!(rows(&stage, PanelId::Locals).len(), 5, "the whole, closed");
}

#[test]
fn only_what_is_in_sight_is_asked_for() {
    let mut stage = on(PanelId::Locals, SMALL);
    stage.keys("End Enter PgDn");
    let node = stage
        .model
        .variables
        .node(&("ksys_write".to_owned(), "table".to_owned()));
    let node = node.expect("it was asked for");
    assert_eq!(node.total, 2000);
    let known = (0..2000).filter(|i| node.part(*i).is_some()).count();
    assert!((1..30).contains(&known), "{known} of 2000");
    stage.keys("End");
    let last = rows(&stage, PanelId::Locals);
    assert!(
        last.last().is_some_and(|row| row.contains("1000 more")),
        "{last:?}"
    );
    stage.keys("Enter End");
    let last = rows(&stage, PanelId::Locals);
    assert!(
        last.last()
            .is_some_and(|row| row.contains("[1999] 3996001")),
        "{last:?}"
    );
}

#[test]
fn numbers_are_written_as_is_wished_and_the_wish_holds_for_what_is_inside() {
    let mut stage = on(PanelId::Locals, LARGE);
    stage.keys("End Up Enter Down Enter Down v");
    let text = rows(&stage, PanelId::Locals).join("\n");
    assert!(text.contains("f_mode /x 0x5001f"), "{text}");
    assert!(text.contains("f_pos 4096"), "{text}");
    stage.keys("Up v");
    let text = rows(&stage, PanelId::Locals).join("\n");
    assert!(text.contains("f_pos /x 0x1000"), "{text}");
}

#[test]
fn what_is_marked_is_changed_watched_copied_and_shown_in_memory() {
    let check = |keys: &str, typed: &[&str]| {
        let mut stage = on(PanelId::Locals, LARGE);
        stage.keys("End Up Enter Down");
        stage.keys(keys);
        assert_eq!(stage.typed, typed, "{keys}");
    };
    check("W", &["display f.file"]);
    check("b", &["watch f.file"]);
    check("y", &["(copy 0xffff888003124a00)"]);
    check("= 0 Enter", &["set var f.file = 0"]);
    check("Down Enter 7 Enter", &["set var f.flags = 7"]);
    check("+ $_k Tab Enter", &["display $_kind"]);
    let mut stage = on(PanelId::Locals, LARGE);
    stage.keys("End Up M");
    let text = stage.text();
    assert!(text.contains("memory from 0xffffc90000013ef0"), "{text}");
}

#[test]
fn watches_are_added_changed_removed_and_say_why_there_is_no_value() {
    let mut stage = on(PanelId::Watches, LARGE);
    let shown = rows(&stage, PanelId::Watches);
    assert_eq!(
        shown[..2],
        [
            "▸ f.file  0xffff888003124a00  struct file *",
            "  $_insns 185  unsigned long",
        ]
    );
    assert!(
        shown[2].starts_with("  nothing <no symbol or variable is named"),
        "{shown:?}"
    );
    stage.event(stage::values::watched(186, true));
    let text = rows(&stage, PanelId::Watches).join("\n");
    assert!(text.contains("$_insns 186*"), "{text}");
    stage.keys("Enter");
    let text = rows(&stage, PanelId::Watches).join("\n");
    assert!(
        text.contains("▾ f.file") && text.contains("f_mode 327711"),
        "{text}"
    );
    stage.keys("Down Down D");
    assert_eq!(stage.typed, ["undisplay 1"], "a part belongs to its whole");
    stage.keys("End e Backspace Backspace Enter");
    assert_eq!(stage.typed[1..], ["undisplay 3", "display nothi"]);
    // What a panel begins is seen there; what is typed by hand is answered in the console.
    stage.keys("+ 1 Enter");
    assert_eq!(stage.typed.last().map(String::as_str), Some("display 1"));
    assert_eq!(stage.ui.focus(), PanelId::Watches);
    stage.keys("+ Esc : display Space 2 Enter");
    assert_eq!(stage.ui.focus(), PanelId::Log);
}

#[test]
fn watches_wait_for_the_target_and_are_kept() {
    let mut stage = Stage::new(80, 24);
    let saved = tui::state::Saved {
        watches: vec!["display/x f.flags".to_owned()],
        panel: Some("watches".to_owned()),
        screen: Some("Debug".to_owned()),
        ..tui::state::Saved::default()
    };
    tui::state::restore(&mut stage.ui, &saved);
    let text = stage.text();
    assert!(text.contains("○ f.flags"), "{text}");
    let kept = tui::state::of(&stage.ui, &stage.model);
    assert_eq!(kept.watches, saved.watches);
    stage.ui.look.waiting.clear();
    stage.event(stage::values::watched(1, false));
    let kept = tui::state::of(&stage.ui, &stage.model);
    assert_eq!(
        kept.watches,
        ["display f.file", "display $_insns", "display nothing"]
    );
}

#[test]
fn tasks_stand_below_the_cpus_and_one_shows_its_stack() {
    let mut stage = on(PanelId::Tasks, SMALL);
    assert_snapshot!("tasks_small", stage.text());
    stage.keys("/ futex Enter");
    assert_eq!(rows(&stage, PanelId::Tasks).len(), 1);
    stage.keys("Enter");
    let text = stage.text();
    assert!(text.contains("another task: syscalls/81"), "{text}");
    assert!(text.contains("futex_wait_queue"), "{text}");
    stage.keys("Backspace");
    assert!(!stage.text().contains("another task: syscalls/81"));
    stage.keys("Enter");
    stage.ui.set_focus(PanelId::Backtrace);
    stage.keys("Home Enter");
    assert_eq!(stage.typed, ["(go *0xffffffff81000000)"]);
    stage.event(stage::facts::stop());
    assert!(
        !stage.text().contains("another task: syscalls/81"),
        "a new stop"
    );
}

#[test]
fn every_panel_in_a_wide_terminal() {
    let mut stage = on(PanelId::Locals, LARGE);
    stage.keys("End Up Enter Down Enter");
    assert_snapshot!("debug_panels_large", stage.text());
}

#[test]
fn borders_are_dragged_moved_by_keys_and_kept() {
    let mut stage = on(PanelId::Source, SMALL);
    let code = |stage: &Stage| {
        let layout = stage.ui.layout();
        let border = layout.borders.iter().find(|border| border.name == "code");
        border.expect("a border").line
    };
    let from = code(&stage);
    mouse(&mut stage, CLICK, (from.x, from.y + 2));
    mouse(&mut stage, MouseEventKind::Drag(MouseButton::Left), (30, 9));
    mouse(&mut stage, MouseEventKind::Up(MouseButton::Left), (30, 9));
    assert_eq!(code(&stage).x, 30);
    mouse(&mut stage, MouseEventKind::Drag(MouseButton::Left), (60, 9));
    assert_eq!(code(&stage).x, 30, "let go");
    stage.ui.set_focus(PanelId::Source);
    stage.keys("Shift-Right Shift-Right");
    assert_eq!(code(&stage).x, 32);
    let kept = tui::state::of(&stage.ui, &stage.model);
    let mut other = Stage::stopped(80, 24);
    tui::state::restore(&mut other.ui, &kept);
    assert_eq!(code(&other).x, 32);
    other.keys("Alt-0");
    assert_eq!(code(&other), from);
}

#[test]
fn a_click_opens_a_value_and_sets_a_breakpoint() {
    let mut stage = on(PanelId::Locals, SMALL);
    let body = |stage: &Stage, panel| {
        let layout = stage.ui.layout();
        layout
            .places
            .iter()
            .find(|place| place.id == panel)
            .expect("in sight")
            .body
    };
    let locals = body(&stage, PanelId::Locals);
    mouse(&mut stage, CLICK, (locals.x, locals.y + 3));
    let text = rows(&stage, PanelId::Locals).join("\n");
    assert!(text.contains("▾ f "), "{text}");
    let source = body(&stage, PanelId::Source);
    let marked = |stage: &Stage, at: Position| {
        let terminal = stage.draw();
        terminal.backend().buffer()[(at.x, at.y)]
            .symbol()
            .to_owned()
    };
    let line = (source.top()..source.bottom())
        .find(|y| marked(&stage, Position::new(source.x + 5, *y)) == "●")
        .expect("a breakpoint in sight");
    mouse(&mut stage, CLICK, (source.x + 5, line));
    mouse(&mut stage, CLICK, (source.x + 5, line + 1));
    mouse(&mut stage, CLICK, (source.x + 20, line));
    assert_eq!(stage.typed, ["delete 2", "break fs/read_write.c:637"]);
}

#[test]
fn each_command_is_in_the_palette_and_each_action_has_help() {
    for entry in command::TABLE {
        let mut stage = Stage::stopped(200, 50);
        stage.keys("Ctrl-P");
        stage.keys(entry.name);
        let text = stage.text();
        let usage: String = entry.usage().chars().take(29).collect();
        assert!(text.contains(&usage), "{}: {text}", entry.name);
    }
    for action in tui::action::TABLE {
        assert!(!action.help.is_empty(), "{}", action.name);
        assert!(
            !action.keys.is_empty() || !action.anywhere.is_empty(),
            "{}",
            action.name
        );
    }
}

#[test]
fn hints_follow_the_state() {
    let line = |stage: &Stage| {
        let text = stage.text();
        text.lines().last().unwrap_or_default().to_owned()
    };
    let mut stage = on(PanelId::Source, LARGE);
    let stopped = line(&stage);
    assert!(
        stopped.contains("c go") && !stopped.contains("Ctrl-C stop"),
        "{stopped}"
    );
    stage.event(Event::Run(Run::Running));
    let running = line(&stage);
    assert!(
        running.contains("Ctrl-C stop") && !running.contains("c go"),
        "{running}"
    );
    stage.event(Event::Run(Run::Ended("QEMU exited".to_owned())));
    let ended = line(&stage);
    assert!(
        !ended.contains("c go") && !ended.contains("Ctrl-C"),
        "{ended}"
    );
    assert!(ended.contains("q quit"), "{ended}");
    for (panel, hint) in [
        (PanelId::Locals, "v format"),
        (PanelId::Watches, "Delete remove"),
        (PanelId::Tasks, "Enter stack"),
        (PanelId::Breakpoints, "delete"),
    ] {
        let stage = on(panel, LARGE);
        let hints = line(&stage);
        assert!(hints.contains(hint), "{panel:?}: {hints}");
    }
    let stage = Stage::new(200, 50);
    let starting = line(&stage);
    assert!(!starting.contains("c go"), "{starting}");
}
