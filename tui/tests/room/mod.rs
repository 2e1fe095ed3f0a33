//! What a small screen has room for, and what is said on it.

use debugger::event::{Answer, Event, Run, TargetInfo};
use debugger::model::Entry;
use ratatui::crossterm::event::Event as Input;
use tui::overlay::{Overlay, Prompt, PromptKind};

use crate::stage::Stage;

#[test]
fn what_is_said_is_seen_to_its_end() {
    let mut stage = Stage::stopped(80, 24);
    let next = "'symbols PATTERN' finds names; 'break PLACE pending' waits for it";
    stage.ui.said = Some(format!("looking for no_such_function: no symbol; {next}"));
    let text = stage.text();
    assert!(text.ends_with("waits for it"), "{text}");
    stage.ui.said = Some("word ".repeat(200));
    assert!(stage.text().ends_with('…'), "{}", stage.text());
    stage.keys("Down");
    assert!(stage.text().contains("? help"), "{}", stage.text());
}

#[test]
fn a_long_value_is_read_to_its_end_in_the_console() {
    let mut stage = Stage::stopped(80, 24);
    let value = format!("{{{}last = 1}}", "member = 0xffffffff81000000, ".repeat(40));
    let answer = Answer::Done(value);
    let entry = Entry::Answer(Box::new(answer));
    stage.model.log.push(entry);
    stage.keys("Tab Tab Tab Tab Tab Tab Tab Tab Tab");
    let text = stage.text();
    assert!(text.contains("[console]"), "{text}");
    assert!(text.contains("last = 1}"), "{text}");
    stage.keys("Up Up");
    let text = stage.text();
    assert!(text.contains("console, 2 lines back"), "{text}");
    assert!(!text.contains("last = 1}"), "{text}");
}

#[test]
fn what_a_recording_does_not_hold_says_so() {
    let mut stage = Stage::new(80, 24);
    let target = TargetInfo {
        name: "syscalls".to_owned(),
        mode: None,
        accelerator: "recording".to_owned(),
        vcpus: 0,
        lacks: Vec::new(),
        found: Vec::new(),
    };
    stage.event(Event::Target(target));
    stage.event(Event::Run(Run::Ended("recording x".to_owned())));
    let text = stage.text();
    assert!(
        text.contains("a recording holds crossings and records alone"),
        "{text}"
    );
    assert!(!text.contains("when the target stops"), "{text}");
}

#[test]
fn a_pasted_text_becomes_one_line() {
    let mut stage = Stage::stopped(80, 24);
    stage.input(&Input::Paste("bt".to_owned()));
    assert!(stage.text().contains("line to paste into"));
    stage.keys(":");
    stage.input(&Input::Paste("p $rip +\n1\n".to_owned()));
    stage.keys("Enter");
    assert_eq!(stage.typed, ["p $rip + 1"]);
}

#[test]
fn a_long_answer_to_a_line_typed_by_hand_gives_the_console_room() {
    let mut stage = Stage::stopped(80, 24);
    stage.keys(": bt Enter");
    let text = stage.text();
    let rule = |text: &str| text.lines().position(|line| line.contains("[console]"));
    assert!(text.contains("▶[console]"), "{text}");
    assert!(rule(&text) < Some(14), "{text}");
    // A short one leaves the focus where it is.
    let mut stage = Stage::stopped(80, 24);
    stage.keys(": p Space $rip Enter");
    let text = stage.text();
    assert!(text.contains("▶source"), "{text}");
    assert!(rule(&text) > Some(14), "{text}");
}

#[test]
fn who_has_joined_stands_in_the_bar() {
    let mut stage = Stage::stopped(80, 24);
    stage.keys(": serve Space :1234 Enter");
    assert_eq!(stage.typed, ["(serve :1234)"]);
    stage.ui.serving = Some("127.0.0.1:1234".to_owned());
    assert!(stage.text().contains("serving 127.0.0.1:1234"));
    let names = ["gdb 1", "lldb 2"].map(str::to_owned).to_vec();
    stage.event(Event::Joined(names));
    let text = stage.text();
    assert!(text.contains("+ gdb 1, lldb 2"), "{text}");
    assert!(!text.contains("serving"), "{text}");
}

#[test]
fn members_are_completed_as_names_are() {
    for (width, height) in [(80, 24), (200, 50)] {
        let mut stage = Stage::stopped(width, height);
        let line = |stage: &Stage| {
            let text = stage.text();
            text.lines().last().expect("the key line").to_owned()
        };
        stage.keys(": p Space file->f Tab");
        assert_eq!(line(&stage), ":p file->f_   f_count f_flags f_mode f_op");
        stage.keys("Tab");
        assert_eq!(
            line(&stage),
            ":p file->f_count   f_count f_flags f_mode f_op"
        );
        stage.keys("Shift-Tab");
        assert_eq!(line(&stage), ":p file->f_op   f_count f_flags f_mode f_op");
        // The next one is asked of what is typed now; why there is none is told.
        stage.keys("->x Tab");
        assert!(
            line(&stage).starts_with(":p file->f_op->x"),
            "{}",
            line(&stage)
        );
        stage.keys("Esc : p Space none->x Tab");
        let told = line(&stage);
        assert!(
            told.contains("none->x   ") && told.contains("nothing is behind"),
            "{told}"
        );
        stage.keys("Backspace");
        assert_eq!(line(&stage), ":p none->");
        // Where the target runs, nobody can say.
        stage.event(Event::Run(Run::Running));
        stage.keys("Esc : p Space file->f Tab");
        let told = line(&stage);
        assert!(told.contains("no target stands"), "{told}");
    }
}

#[test]
fn a_watch_completes_members_too() {
    let mut stage = Stage::stopped(80, 24);
    stage.ui.overlay = Overlay::Prompt(Prompt::new(PromptKind::Watch(1), "/x file->f_m"));
    stage.keys("Tab");
    let text = stage.text();
    assert!(
        text.ends_with("show at each stop: /x file->f_mode"),
        "{text}"
    );
}

#[test]
fn the_help_ends_at_its_last_row() {
    let mut stage = Stage::stopped(80, 24);
    stage.keys("?");
    let first = stage.text();
    stage.keys(&["PgDn"; 30].join(" "));
    let end = stage.text();
    assert!(end.contains("commands\n"), "{end}");
    stage.keys("j");
    assert_eq!(stage.text(), end);
    stage.keys("k");
    assert_ne!(stage.text(), end);
    stage.keys(&["PgUp"; 30].join(" "));
    assert_eq!(stage.text(), first);
}
