//! Each screen from hand-made facts, at the narrowest usable size and at a wide one.

use debugger::addr::Insns;
use debugger::event::{Event, Progress, Run, Work};
use insta::assert_snapshot;
use proptest::prelude::*;
use ratatui::crossterm::event::{
    Event as Input, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::style::Color;
use tui::panels::{PanelId, Screen};
use tui::theme::Theme;

mod flame;
mod panels;
mod room;
mod stage;

use stage::Stage;

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 50);

fn screen(key: &str, (width, height): (u16, u16)) -> String {
    let mut stage = Stage::stopped(width, height);
    stage.keys(key);
    stage.text()
}

macro_rules! screens {
    ($($name:ident: $key:literal $size:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            assert_snapshot!(screen($key, $size));
        })*
    };
}

screens! {
    debug_small: "1" SMALL,
    debug_large: "1" LARGE,
    space_small: "2" SMALL,
    space_large: "2" LARGE,
    crossings_small: "3" SMALL,
    crossings_large: "3" LARGE,
    path_small: "4" SMALL,
    path_large: "4" LARGE,
    ladder_small: "3 d" SMALL,
    console_small: "7" SMALL,
    console_large: "7" LARGE,
    memory_small: "8" SMALL,
    memory_large: "8" LARGE,
    help_small: "?" SMALL,
    palette_small: "Ctrl-P crbk" SMALL,
    completion_small: ": un Tab Tab" SMALL,
    failure_small: ": nonsense Enter" SMALL,
}

#[test]
fn before_anything_is_known() {
    let mut stage = Stage::new(80, 24);
    assert_snapshot!(stage.text());
    stage.keys("3");
    assert_snapshot!("crossings_before_anything_is_known", stage.text());
}

#[test]
fn what_may_no_longer_be_true_is_dim_while_it_runs() {
    let mut stage = Stage::stopped(80, 24);
    stage.event(Event::Run(Run::Running));
    stage.event(Event::Work(Work {
        name: "indexing lines".to_owned(),
        done: 43,
        total: 100,
        finished: false,
    }));
    let text = stage.text();
    assert!(text.contains("▶ running"), "{text}");
    assert!(text.contains("indexing lines 43 % Esc"), "{text}");
    assert!(text.contains("ksys_write"), "the last stop is still shown");
    stage.keys("c");
    assert!(stage.text().contains("Ctrl-C stops it"));
    stage.keys("Ctrl-C Esc");
    assert_eq!(stage.typed, ["interrupt", "cancel indexing lines"]);
}

#[test]
fn the_space_of_a_running_guest_is_read_live() {
    for ((width, height), name) in [
        ((80, 24), "space_live_small"),
        ((200, 50), "space_live_large"),
    ] {
        let mut stage = Stage::stopped(width, height);
        stage.keys("2");
        stage.event(Event::Run(Run::Running));
        let before = stage.asked;
        stage.event(Event::Pulse);
        assert!(stage.asked > before, "a pulse makes it ask again");
        let text = stage.text();
        assert!(text.contains("▶ running, live"), "{text}");
        assert_snapshot!(name, text);
    }
}

#[test]
fn the_space_screen_shows_another_tasks_view() {
    let mut stage = Stage::stopped(80, 24);
    stage.keys("2 : space Space task Space redis Enter");
    assert!(
        stage.text().contains("regions as task redis sees them"),
        "{}",
        stage.text()
    );
    stage.keys(": space Enter");
    assert!(!stage.text().contains("redis"));
    assert!(stage.typed.is_empty(), "{:?}", stage.typed);
}

#[test]
fn how_far_a_command_has_come_stands_in_the_bar() {
    let mut stage = Stage::stopped(80, 24);
    let mut bar = |stepped, of, passed| {
        stage.event(Event::Run(Run::Running));
        stage.event(Event::Progress(Progress {
            stepped: Insns(stepped),
            of,
            passed,
        }));
        let text = stage.text();
        let bar = text.lines().next().unwrap_or_default().to_owned();
        let (_, told) = bar.split_once('▶').expect("it runs");
        told.split(" lost ")
            .next()
            .map(|told| told.trim().to_owned())
    };
    assert_eq!(
        bar(12_288, Some(Insns(100_000)), 0).as_deref(),
        Some("running 12,288 of 100,000 insns")
    );
    assert_eq!(
        bar(7, None, 3).as_deref(),
        Some("running 7 insns, 3 passed")
    );
    assert_eq!(bar(0, None, 0).as_deref(), Some("running"));
    stage.event(stage::facts::stop());
    assert!(stage.model.run.progress.is_none(), "a stop ends it");
}

#[test]
fn a_past_stop_says_so_and_where_the_target_stands() {
    let mut stage = Stage::stopped(80, 24);
    stage.event(stage::stops::past());
    assert_snapshot!("past_stop_small", stage.text());
    let bar = stage.text();
    assert!(bar.contains("◀ past stop 12 of 40"), "{bar}");
    assert!(bar.contains("app; target…"), "{bar}");
    stage.keys("[ ] }");
    assert_eq!(stage.typed, ["back", "forward", "now"]);
    stage.event(stage::stops::now());
    let bar = stage.text();
    assert!(
        bar.contains("■ breakpoint 2") && !bar.contains("past"),
        "{bar}"
    );
    let mut wide = Stage::stopped(200, 50);
    wide.event(stage::stops::past());
    let bar = wide.text();
    assert!(bar.contains("target in ksys_write"), "{bar}");
}

#[test]
fn without_colour_nothing_is_coloured_and_the_letters_stay() {
    for key in ["1", "2", "3", "4", "7"] {
        let mut stage = Stage::stopped(80, 24);
        let coloured = {
            stage.keys(key);
            stage.text()
        };
        stage.ui.theme = Theme::new(false);
        assert_eq!(stage.text(), coloured, "the text is the same");
        let terminal = stage.draw();
        for cell in terminal.backend().buffer().content() {
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
        }
    }
}

#[test]
fn requests_stand_by_kind_split_by_origin() {
    let row = |(width, height): (u16, u16), kind: &str| {
        let mut stage = Stage::stopped(width, height);
        stage.keys("3 r");
        assert!(stage.text().contains("[request]"), "{}", stage.text());
        stage.event(stage::facts::server());
        let text = stage.text();
        assert!(text.contains("▶requests: the server's thread"), "{text}");
        let found = text.lines().find(|line| line.starts_with(kind));
        let row = found.unwrap_or_else(|| panic!("{text}"));
        let before_the_key = stage.ui.focus();
        stage.keys("r");
        assert_eq!(before_the_key, PanelId::Requests);
        assert!(stage.text().contains("; r: requests"), "{}", stage.text());
        row.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let narrow = row(SMALL, "GET");
    assert_eq!(narrow, "GET ukl 100 16000 5000 600 250 10150 2.0 %");
    let wide = row(LARGE, "SET");
    assert_eq!(
        wide,
        "SET ukl 100 ~16000 5000 600 250 10150 2.0 % net 9000, fs 1150"
    );
}

#[test]
fn keys_type_commands() {
    let check = |keys: &str, typed: &[&str]| {
        let mut stage = Stage::stopped(80, 24);
        stage.keys(keys);
        assert_eq!(stage.typed, typed, "{keys}");
    };
    check("c", &["continue"]);
    check(
        "F10 F11 Shift-F11 F5",
        &["next", "step", "finish", "continue"],
    );
    check("x X i o", &["cross", "cross back", "stepi", "nexti"]);
    check("b", &["delete 2"]);
    check("Down b", &["break fs/read_write.c:637"]);
    check("Down r", &["until fs/read_write.c:637"]);
    check("v", &["vcpu next"]);
    check("Tab Down b", &["break *0xffffffff8112a4e1"]);
    check("Tab Tab Down Down Enter", &["frame 2"]);
    check(": why Enter", &["why"]);
    check("7 c", &[]);
    check("7 F5", &["continue"]);
    check("3 t", &["(trace ThisMode)"]);
    check("3 T", &["(trace EachMode)"]);
    check(": compare Enter", &["(trace EachMode)"]);
}

#[test]
fn leaving_asks_while_a_guest_would_end() {
    let mut stage = Stage::stopped(80, 24);
    stage.keys("q");
    assert!(stage.text().contains("Leave? y"), "{}", stage.text());
    stage.keys("n q Esc");
    assert!(!stage.left);
    stage.keys("q y");
    assert!(stage.left);

    let mut stage = Stage::stopped(80, 24);
    stage.event(Event::Run(Run::Ended("QEMU exited".to_owned())));
    stage.keys("q");
    assert!(stage.left, "nothing is left that could end");
}

#[test]
fn what_was_scrolled_to_stays_until_the_next_stop() {
    let mut stage = Stage::stopped(80, 24);
    stage.keys("Down Down Down");
    let marked = |stage: &Stage| stage.ui.panels.source.marked(&stage.model);
    assert_eq!(marked(&stage).as_deref(), Some("fs/read_write.c:639"));
    stage.keys(": break Space ksys_read Enter");
    assert_eq!(marked(&stage).as_deref(), Some("fs/read_write.c:639"));
    stage.event(stage::facts::stop());
    assert_eq!(marked(&stage).as_deref(), Some("fs/read_write.c:636"));
}

#[test]
fn find_goes_to_the_next_row_with_the_text() {
    let mut stage = Stage::stopped(80, 24);
    stage.keys("/ EBADF Enter");
    let marked = stage.ui.panels.source.marked(&stage.model);
    assert_eq!(marked.as_deref(), Some("fs/read_write.c:638"));
    stage.keys("/ nowhere Enter");
    assert!(stage.text().contains("'nowhere' is not in fs/read_write.c"));
}

#[test]
fn the_filter_narrows_the_crossings() {
    let mut stage = Stage::stopped(80, 24);
    stage.keys("3 / timer Enter");
    let text = stage.text();
    assert!(
        text.contains("asm_sysvec") && !text.contains("write  "),
        "{text}"
    );
    stage.keys("/ Esc");
    assert!(stage.text().contains("write"));
}

#[test]
fn the_mouse_focuses_selects_and_scrolls() {
    let at = |kind, column, row| {
        Input::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers: KeyModifiers::NONE,
        })
    };
    let click = MouseEventKind::Down(MouseButton::Left);
    let mut stage = Stage::stopped(80, 24);
    let place = |stage: &Stage, id| {
        let layout = stage.ui.layout();
        layout
            .places
            .into_iter()
            .find(|place| place.id == id)
            .unwrap()
    };
    let backtrace = place(&stage, PanelId::Backtrace).body;
    stage.input(&at(click, backtrace.x + 3, backtrace.y + 2));
    assert_eq!(stage.ui.focus(), PanelId::Backtrace);
    assert_eq!(stage.typed, ["frame 2"]);
    stage.input(&at(MouseEventKind::ScrollDown, 2, 3));
    let marked = stage.ui.panels.source.marked(&stage.model);
    assert_eq!(marked.as_deref(), Some("fs/read_write.c:639"));
    // The second word of the shared place's rule.
    let tabs = place(&stage, PanelId::Why).whole;
    stage.input(&at(click, tabs.x + 12, tabs.y));
    assert_eq!(stage.ui.focus(), PanelId::Locals);
    // The third name of the bar.
    stage.input(&at(click, 12, 0));
    assert_eq!(stage.ui.screen, Screen::Crossings);
}

#[test]
fn a_small_terminal_shows_one_panel_at_a_time() {
    let mut stage = Stage::stopped(60, 15);
    assert!(
        stage.text().contains("ksys_write(unsigned int fd"),
        "{}",
        stage.text()
    );
    stage.keys("Tab Tab");
    assert!(stage.text().contains("══ syscall"), "{}", stage.text());
}

const KEYS: &[&str] = &[
    "1",
    "2",
    "3",
    "4",
    "7",
    "Tab",
    "Shift-Tab",
    "Up",
    "Down",
    "Left",
    "Right",
    "PgUp",
    "PgDn",
    "Home",
    "End",
    "Enter",
    "Esc",
    "Space",
    "Backspace",
    "Ctrl-P",
    "Ctrl-C",
    ":",
    "/",
    "?",
    "g",
    "b",
    "c",
    "d",
    "i",
    "m",
    "n",
    "q",
    "t",
    "u",
    "w",
    "x",
    "main",
    "0x1",
    "F5",
    "F9",
    "Delete",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_keys_and_no_size_make_it_panic(
        keys in prop::collection::vec(prop::sample::select(KEYS), 0..40),
        clicks in prop::collection::vec((0u16..210, 0u16..60, 0u8..3), 0..6),
        width in 0u16..210,
        height in 0u16..60,
        full in any::<bool>(),
    ) {
        let mut stage = if full { Stage::stopped(width, height) } else { Stage::new(width, height) };
        for (i, key) in keys.iter().enumerate() {
            stage.keys(key);
            stage.draw();
            if let Some((column, row, kind)) = clicks.get(i) {
                let kind = match kind {
                    0 => MouseEventKind::ScrollUp,
                    1 => MouseEventKind::ScrollDown,
                    _ => MouseEventKind::Down(MouseButton::Left),
                };
                stage.input(&Input::Mouse(MouseEvent {
                    kind,
                    column: *column,
                    row: *row,
                    modifiers: KeyModifiers::NONE,
                }));
            }
        }
        stage.input(&Input::Resize(height, width));
        stage.draw();
        stage.event(Event::Run(Run::Running));
        stage.draw();
    }
}

#[test]
fn instructions_stand_below_their_lines() {
    let mut stage = Stage::stopped(80, 50);
    let lines = |stage: &Stage| {
        stage
            .text()
            .lines()
            .take(24)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(!lines(&stage)[..18].join("\n").contains("push   rbp"));
    stage.keys("a");
    let text = stage.text();
    let source: Vec<_> = text
        .lines()
        .take_while(|line| !line.contains("disassembly"))
        .collect();
    let at = |what: &str| source.iter().position(|line| line.contains(what));
    assert!(at("636●").is_some(), "{text}");
    assert_eq!(at("push   rbp"), at("636●").map(|row| row + 1), "{text}");
    stage.keys("a");
    assert!(!lines(&stage)[..18].join("\n").contains("push   rbp"));
}

#[test]
fn source_is_coloured_by_what_its_parts_are() {
    let stage = Stage::stopped(80, 24);
    let terminal = stage.draw();
    let buffer = terminal.backend().buffer();
    let row = stage
        .text()
        .lines()
        .position(|line| line.contains("if (f.file)"))
        .unwrap();
    let row = u16::try_from(row).unwrap();
    let styled = (0..50).filter(|x| buffer[(*x, row)].fg == Color::LightMagenta);
    assert_eq!(
        styled
            .map(|x| buffer[(x, row)].symbol())
            .collect::<String>(),
        "if"
    );
}

#[test]
fn the_marked_row_is_copied_whole() {
    let mut stage = Stage::stopped(80, 24);
    stage.keys("Tab Tab Tab Down y");
    let copied = stage.typed.last().cloned().unwrap_or_default();
    assert!(copied.starts_with("(copy rsp"), "{copied}");
    assert!(
        copied.contains("task stack"),
        "what the panel cuts off is there: {copied}"
    );
}

#[test]
fn keys_and_hints_follow_the_preset_and_the_state() {
    let mut stage = Stage::stopped(80, 24);
    stage.keys(": keys Space vscode Enter");
    assert!(stage.text().contains("keys vscode"), "{}", stage.text());
    stage.keys("Down");
    assert!(stage.text().contains("F5 go  F10 over"), "{}", stage.text());
    stage.keys("F10");
    assert_eq!(stage.typed, ["next"]);
    stage.event(Event::Run(Run::Running));
    let text = stage.text();
    assert!(
        text.contains("F6 stop") && !text.contains("F10 over"),
        "{text}"
    );
    stage.keys("Esc : keys Space emacs Enter");
    assert!(
        stage.text().contains("there are gdb, nnd, vscode"),
        "{}",
        stage.text()
    );
    stage.keys("Down : theme Space light Enter");
    assert_eq!(stage.ui.theme, Theme::from(tui::theme::Palette::Light));
}

#[test]
fn what_was_kept_is_shown_before_it_is_armed() {
    let mut stage = Stage::new(80, 24);
    let saved = tui::state::Saved {
        breakpoints: vec![
            "break ksys_write".to_owned(),
            "break fs/read_write.c:639".to_owned(),
        ],
        panel: Some("breakpoints".to_owned()),
        screen: Some("Debug".to_owned()),
        ..tui::state::Saved::default()
    };
    tui::state::restore(&mut stage.ui, &saved);
    let text = stage.text();
    assert!(text.contains("○ break ksys_write"), "{text}");
    let kept = tui::state::of(&stage.ui, &stage.model);
    assert_eq!(
        kept.breakpoints, saved.breakpoints,
        "they are not lost if it never stands"
    );
    for event in stage::facts::events() {
        stage.event(event);
    }
    let text = stage.text();
    assert!(text.lines().any(|line| line.contains("639○")), "{text}");
    stage.ui.look.waiting.clear();
    let kept = tui::state::of(&stage.ui, &stage.model);
    assert_eq!(kept.breakpoints, ["break ksys_write if count > 0"]);
}

#[test]
fn memory_is_followed_sought_and_written() {
    let mut stage = Stage::stopped(80, 24);
    stage.keys("8");
    assert!(
        stage.text().contains("memory from $rsp"),
        "{}",
        stage.text()
    );
    stage.keys("Down e");
    assert!(
        stage.text().contains("68 65 6c 6c 6f 2c 20 6b"),
        "{}",
        stage.text()
    );
    stage.keys("Ctrl-U 01 Space 02 Enter");
    assert_eq!(
        stage.typed,
        [
            "set *(unsigned char *)0xffffc90000013ef0 = 0x1",
            "set *(unsigned char *)0xffffc90000013ef1 = 0x2"
        ]
    );
    stage.keys("Up Enter");
    assert!(
        stage.text().contains("memory at ffffffff8112a4e0"),
        "{}",
        stage.text()
    );
    stage.keys("Backspace / kernel Enter");
    let text = stage.text();
    assert!(text.contains("memory: found at ffffc90000013f30"), "{text}");
    stage.keys("g $rip Enter");
    assert!(
        stage.text().contains("memory from $rip"),
        "{}",
        stage.text()
    );
    stage.keys("e zz Enter");
    assert!(
        stage.text().contains("writing memory: "),
        "{}",
        stage.text()
    );
}
