//! The timeline on the records of a small run.

use insta::assert_snapshot;
use ratatui::crossterm::event::{Event as Input, KeyModifiers, MouseEvent, MouseEventKind};
use tui::panels::Screen;

use crate::stage::{self, Stage};

use super::{LARGE, SMALL};

fn timeline((width, height): (u16, u16), keys: &str) -> Stage {
    let mut stage = Stage::stopped(width, height);
    stage.event(stage::recorded::event());
    stage.keys("6");
    if !keys.is_empty() {
        stage.keys(keys);
    }
    stage
}

#[test]
fn a_run_is_seen_whole_and_down_to_single_calls() {
    assert_snapshot!("timeline_small", timeline(SMALL, "").text());
    assert_snapshot!("timeline_large", timeline(LARGE, "l l l l").text());
    assert_snapshot!(
        "timeline_calls_small",
        timeline(SMALL, "+ + + + + l l").text()
    );
    assert_snapshot!(
        "timeline_calls_large",
        timeline(LARGE, "+ + + + + l l l l").text()
    );
}

#[test]
fn without_records_it_says_how_to_get_them() {
    let mut stage = Stage::new(80, 24);
    stage.keys("6");
    let text = stage.text();
    assert!(text.contains("t on screen 3 traces one"), "{text}");
}

#[test]
fn a_function_is_found_and_its_crossing_shown() {
    let mut stage = timeline(SMALL, "+ + + + + / vfs_w Enter");
    let text = stage.text();
    assert!(text.contains("vfs_write at "), "{text}");
    assert!(text.contains("syscall write: "), "{text}");
    let at = |stage: &Stage| stage.ui.said.clone();
    let first = at(&stage);
    stage.keys("n");
    let second = at(&stage);
    assert_ne!(first, second);
    stage.keys("n N");
    assert_eq!(at(&stage), second);
    stage.keys("/ nosuch Enter");
    assert!(
        stage
            .text()
            .contains("no function has 'nosuch' in its name")
    );
    stage.keys("Enter");
    assert_eq!(stage.ui.screen, Screen::Path, "{}", stage.text());
    assert!(stage.text().contains("write"));
}

#[test]
fn a_clock_that_was_seen_is_gone_to() {
    let mut stage = timeline(SMALL, "+ + + + + / vfs_w Enter");
    let said = stage.ui.said.clone().unwrap_or_default();
    let clock = said.split_whitespace().nth(2).unwrap_or_default();
    let clock = clock.trim_end_matches(';');
    stage.keys(&format!("Home g {clock} Enter m"));
    let marked = stage.ui.said.clone().unwrap_or_default();
    assert!(
        marked.starts_with(&format!("marked {clock};")),
        "{said} {marked}"
    );
    assert_eq!(stage.ui.screen, Screen::Timeline);
    stage.keys("g vfs_write Enter");
    assert_eq!(stage.ui.screen, Screen::Debug, "no clock but code");
}

#[test]
fn marks_are_set_and_gone_to() {
    let clocks = |stage: &Stage| stage.text().lines().nth(2).map(str::to_owned);
    let unmarked = clocks(&timeline(SMALL, ""));
    let mut stage = timeline(SMALL, "' m l l l m h '");
    assert_eq!(clocks(&stage), unmarked, "no mark hides a digit");
    let text = stage.text();
    let marks = text.lines().nth(3).unwrap_or_default();
    assert_eq!(marks.trim(), "▼  ▼", "{text}");
    stage.keys("m");
    let said = stage.ui.said.clone().unwrap_or_default();
    assert!(said.contains("is taken away"), "{said}");
}

/// What was lost stands in its column at every distance.
#[test]
fn losses_are_seen_where_they_are() {
    let stage = timeline(SMALL, "");
    let lane = stage
        .text()
        .lines()
        .find(|line| line.starts_with("cpu0"))
        .map(str::to_owned);
    let lane = lane.expect("the vCPU has a lane");
    assert_eq!(lane.matches('!').count(), 1, "{lane}");
}

#[test]
fn the_wheel_zooms_around_what_it_is_over() {
    let mut stage = timeline(SMALL, "");
    let lanes = |stage: &Stage| {
        let text = stage.text();
        text.lines()
            .skip(2)
            .take(4)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = lanes(&stage);
    let wheel = |kind| {
        Input::Mouse(MouseEvent {
            kind,
            column: 40,
            row: 5,
            modifiers: KeyModifiers::NONE,
        })
    };
    stage.input(&wheel(MouseEventKind::ScrollUp));
    assert_ne!(lanes(&stage), before);
    stage.input(&wheel(MouseEventKind::ScrollDown));
    stage.input(&wheel(MouseEventKind::ScrollDown));
    assert_eq!(lanes(&stage), before);
}
