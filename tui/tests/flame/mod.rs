//! The flame graph and the butterfly, of the recording that is built in.

use std::sync::Arc;

use debugger::event::{Event, TraceNews};
use insta::assert_snapshot;
use ratatui::crossterm::event::{
    Event as Input, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use tui::panels::PanelId;

use crate::stage::Stage;

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 50);

/// With that call marked.
fn recorded((width, height): (u16, u16), call: &str) -> Stage {
    let mut stage = Stage::built_in(width, height);
    stage.mark(call);
    stage
}

fn shown(size: (u16, u16), call: &str, keys: &str) -> String {
    let mut stage = recorded(size, call);
    stage.keys(keys);
    stage.text()
}

#[test]
fn one_call_as_a_flame_graph() {
    // All calls of the run are there too; one that waited is most of it.
    assert_snapshot!("flame_small", shown(SMALL, "getppid", "5 p"));
    assert_snapshot!("flame_large", shown(LARGE, "sendto", "5 p j j"));
    let text = shown(SMALL, "write", "5");
    assert!(text.contains("flame of all calls in linux"), "{text}");
    assert!(
        text.contains("k syscall connect") || text.contains("e syscall connect"),
        "{text}"
    );
}

#[test]
fn of_a_recording_nothing_is_frozen_and_no_code_is_gone_to() {
    let mut stage = recorded(SMALL, "write");
    let said = |stage: &Stage| stage.ui.said.clone().unwrap_or_default();
    stage.keys("5 F");
    assert!(
        said(&stage).contains("no run is being traced"),
        "{}",
        said(&stage)
    );
    assert!(!stage.text().contains("frozen"), "{}", stage.text());
    stage.keys("g main Enter");
    assert!(
        said(&stage).contains("a recording holds no code"),
        "{}",
        said(&stage)
    );
    assert!(stage.text().contains("flame of"), "{}", stage.text());
}

#[test]
fn stacks_of_another_tool_are_drawn_in_their_own_unit() {
    let text = "main;read;vfs_read_[k] 30\nmain;write;vfs_write_[k] 50\nmain 10\nbroken\n";
    let stacks = debugger::trace::import::read(text.as_bytes()).expect("folded stacks");
    let mut stage = Stage::new(SMALL.0, SMALL.1);
    for event in tui::open::imported(stacks.into_owned(), "perf.folded".as_ref()) {
        stage.event(event);
    }
    stage.keys("5 j j");
    let text = stage.text();
    assert!(text.contains("flame of folded stacks, by counts"), "{text}");
    assert!(text.contains("total 50 counts  own 0  calls ?"), "{text}");
    assert!(!text.contains("instructions"), "{text}");
    stage.keys("/ vfs Enter");
    assert!(
        stage.text().contains("2 frames, 80 counts, 88.89 % of all"),
        "{}",
        stage.text()
    );
    stage.keys("Enter");
    assert!(stage.text().contains(", in vfs_"), "{}", stage.text());
}

#[test]
fn two_files_of_another_tool_are_compared() {
    let read = |text: &'static str| {
        let stacks = debugger::trace::import::read(text.as_bytes()).expect("folded stacks");
        stacks.into_owned()
    };
    let a = read("main;read;vfs_read_[k] 30\nmain;write 5\nmain 10\n");
    let b = read("main;read;vfs_read_[k] 20\nmain;send 7\nmain 10\n");
    let differ = debugger::trace::import::differ((&a, "old.folded"), (&b, "new.folded"));
    let mut stage = Stage::new(SMALL.0, SMALL.1);
    for event in tui::open::imported(a, "old.folded".as_ref()) {
        stage.event(event);
    }
    stage.event(Event::Differ(Arc::new(differ)));
    stage.keys("5 d");
    let text = stage.text();
    let title = "butterfly of all calls, by counts: old.folded → new.folded";
    assert!(text.contains(title), "{text}");
    assert!(text.contains("45 − removed 15 + added 7 = 37"), "{text}");
    stage.keys("4 Tab");
    let text = stage.text();
    assert!(
        text.contains("old.folded") && text.contains("−10"),
        "{text}"
    );
}

#[test]
fn two_modes_as_a_butterfly() {
    assert_snapshot!("butterfly_small", shown(SMALL, "write", "5 d m"));
    assert_snapshot!(
        "butterfly_changes_small",
        shown(SMALL, "write", "5 d m c l l")
    );
    assert_snapshot!("butterfly_large", shown(LARGE, "getppid", "5 d m"));
}

#[test]
fn frames_are_walked_and_zoomed_into() {
    let mut stage = recorded(SMALL, "write");
    stage.keys("5 p j j");
    let text = stage.text();
    assert!(text.contains("e entry_SYSCALL_64 entry"), "{text}");
    assert!(
        text.contains("total 355,000  own 5,000  calls 1,000"),
        "{text}"
    );
    stage.keys("j l");
    let text = stage.text();
    assert!(text.contains("e syscall_return_via_sysret entry"), "{text}");
    stage.keys("h Enter");
    let text = stage.text();
    assert!(text.contains("in entry_SYSCALL_64_after_hwframe"), "{text}");
    assert!(text.contains("100.00 % of this"), "{text}");
    stage.keys("Backspace");
    assert!(
        stage.text().contains("in entry_SYSCALL_64]"),
        "{}",
        stage.text()
    );
    stage.keys("Esc Esc Esc Esc");
    assert!(!stage.text().contains(", in "), "{}", stage.text());
    assert!(stage.typed.is_empty(), "{:?}", stage.typed);
}

#[test]
fn a_search_tells_its_share() {
    let mut stage = recorded(SMALL, "write");
    stage.keys("5 p / vfs_* Enter");
    let text = stage.text();
    // 1,000 calls of vfs_write with all it calls.
    assert!(
        text.contains("'vfs_*': 1 frame, 97,000 instructions, 27.32 % of all"),
        "{text}"
    );
    assert!(
        text.contains("k vfs_write kernel:fs"),
        "the first match is marked: {text}"
    );
    stage.keys("/ no_such Enter");
    assert_eq!(stage.ui.said.as_deref(), Some("'no_such' is in no frame"));
    stage.keys("Esc");
    assert!(!stage.text().contains("% of all\n'"), "{}", stage.text());
}

#[test]
fn a_frozen_picture_stands_still_while_the_run_goes_on() {
    let mut stage = recorded(SMALL, "write");
    stage.keys("5 p");
    let mut news = stage.model.crossings.news.clone().unwrap();
    let more = |news: &mut TraceNews| {
        let mut report = (*news.report).clone();
        for class in &mut report.classes {
            class.count *= 2;
        }
        news.report = Arc::new(report);
        news.running = true;
        Event::Trace(news.clone())
    };
    stage.event(more(&mut news));
    assert!(stage.text().contains("total 710,000"), "{}", stage.text());
    stage.keys("F");
    stage.event(more(&mut news));
    let text = stage.text();
    assert!(
        text.contains("total 710,000") && text.contains(", frozen"),
        "{text}"
    );
    stage.keys("Space");
    let text = stage.text();
    assert!(
        text.contains("total 1,420,000") && text.contains(", live"),
        "{text}"
    );
}

#[test]
fn the_mouse_marks_a_frame_and_zooms_into_it() {
    let mut stage = recorded(SMALL, "write");
    stage.keys("5 p");
    let layout = stage.ui.layout();
    let place = layout
        .places
        .iter()
        .find(|place| place.id == PanelId::Flame)
        .unwrap();
    let (column, row) = (place.body.x + 4, place.body.y + 3);
    let mut click = || {
        stage.input(&Input::Mouse(MouseEvent {
            kind: MouseEventKind::Down(MouseButton::Left),
            column,
            row,
            modifiers: KeyModifiers::NONE,
        }));
        stage.text()
    };
    let text = click();
    assert!(!text.contains(", in "), "{text}");
    let text = click();
    assert!(text.contains(", in entry_SYSCALL_64"), "{text}");
}

#[test]
fn butterfly_and_ladder_are_in_step() {
    let mut stage = recorded(LARGE, "write");
    stage.keys("3 5 d m");
    let first = stage.ui.look.rung;
    stage.keys("l l l");
    assert_ne!(stage.ui.look.rung, first);
    let text = stage.text();
    // The ladder stands below the picture, the ledger below both.
    assert!(text.contains("ladder of write: linux │ bypass"), "{text}");
    assert_eq!(
        text.matches("balances to the instruction").count(),
        2,
        "{text}"
    );
    let row = stage.ui.look.rung.row(100);
    stage.keys("4");
    stage.ui.set_focus(PanelId::Ladder);
    stage.keys("Down");
    assert_eq!(stage.ui.look.rung.row(100), row + 1);
    stage.keys("f");
    assert_eq!(stage.ui.focus(), PanelId::Butterfly);
    stage.keys("PgDn");
    assert!(stage.text().contains("own "), "{}", stage.text());
    stage.keys("Enter");
    stage.keys("Esc j k Home End");
}

#[test]
fn before_anything_was_traced_it_says_so() {
    let mut stage = Stage::new(80, 24);
    stage.keys("5");
    assert!(
        stage.text().contains("no crossings were traced yet"),
        "{}",
        stage.text()
    );
    stage.keys("d");
    assert!(
        stage
            .text()
            .contains("the marked call against another mode"),
        "{}",
        stage.text()
    );
    stage.keys("j k h l Enter Esc Home End PgDn c m");
}
