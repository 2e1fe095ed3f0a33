//! What is asked of crossings and paths on the screens: queries, advice.

use std::sync::Arc;

use debugger::addr::Addr;
use debugger::command::Command;
use debugger::crossing::Mode;
use debugger::event::{Answer, Event, Failure, SourceWindow, TraceNews, Work};
use debugger::origin::Origin;
use debugger::trace::call_map::CallMap;
use debugger::trace::call_sites::{CallSite, Enters, Target};
use insta::assert_snapshot;
use tui::action;
use tui::panels::{PanelId, Traced};

#[expect(dead_code, reason = "tests of the other screens need the rest")]
mod stage;

use stage::{Stage, facts};

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 50);

fn screen(keys: &str, (width, height): (u16, u16)) -> String {
    let mut stage = Stage::stopped(width, height);
    stage.keys(keys);
    stage.text()
}

#[test]
fn advice_stands_below_the_crossings() {
    assert_snapshot!("advice_small", screen("3 a", SMALL));
    assert_snapshot!("advice_large", screen("3 a", LARGE));
}

#[test]
fn the_counts_of_a_class_and_who_made_them_stand_below_too() {
    assert_snapshot!("counts_small", screen("3 Down Down c", SMALL));
    assert_snapshot!("counts_large", screen("3 Down Down c", LARGE));
    let exact = screen("3 c", SMALL);
    assert!(exact.contains("write: each 354 instructions ─"), "{exact}");
    assert_snapshot!("sites_small", screen("3 s", SMALL));
    assert_snapshot!("sites_large", screen("3 s", LARGE));
}

#[test]
fn enter_shows_the_path_whichever_panel_beside_it_had_the_focus() {
    let from = [
        "3 Down Enter",
        "3 a Enter",
        "6 + + + + + / vfs_w Enter Enter",
    ];
    for before in ["4", "3 d", "4 Tab Tab"] {
        for keys in from {
            let mut stage = Stage::stopped(80, 24);
            stage.event(stage::recorded::event());
            stage.keys(before);
            stage.keys(keys);
            let text = stage.text();
            assert!(
                text.contains("▶[path of syscall "),
                "{before}, {keys}: {text}"
            );
            assert_eq!(stage.ui.focus(), PanelId::Tree);
        }
    }
    let mut stage = Stage::stopped(80, 24);
    stage.keys("3 d 3 4");
    assert_eq!(stage.ui.focus(), PanelId::Ladder, "a digit moves no focus");
}

#[test]
fn the_ladder_and_the_path_lead_to_one_another() {
    let mut stage = Stage::stopped(80, 24);
    for (key, shown) in [
        ("4", "▶[path of syscall write]"),
        ("d", "▶[ladder of write: ukl │ bypass]"),
        ("d", "▶[path of syscall write]"),
        ("Tab Tab", "▶[instructions"),
        ("d", "▶[ladder of write: ukl │ bypass]"),
    ] {
        stage.keys(key);
        let text = stage.text();
        assert!(text.contains(shown), "{key}: {text}");
    }
}

#[test]
fn the_key_line_offers_what_can_be_done_now() {
    let offered = |stage: &Stage| {
        let text = stage.text();
        text.lines().last().unwrap_or_default().to_owned()
    };
    let mut stage = Stage::stopped(80, 24);
    stage.keys("3");
    let line = offered(&stage);
    assert!(line.contains("t trace  T trace each mode"), "{line}");
    stage.ui.traceable = &[Traced::ThisMode];
    let line = offered(&stage);
    assert!(line.contains("t trace  c counts"), "{line}");
    let mut recording = Stage::built_in(200, 50);
    for screen in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        recording.keys(screen);
        let line = offered(&recording);
        assert!(!line.contains("trace"), "{screen}: {line}");
        assert_eq!(line.contains("g go to"), screen == "6", "{screen}: {line}");
    }
}

#[test]
fn a_number_stays_whole_and_a_name_gives_way() {
    let mut report = facts::report(Mode::Ukl);
    let class = &mut report.classes[0];
    class.call = "sched_get_priority_max".to_owned();
    class.instructions = 6_991_234;
    class.exact = false;
    (class.min, class.max) = (6_991_234, 7_991_234);
    let mut stage = Stage::new(60, 24);
    stage.event(Event::Trace(TraceNews {
        events: 1,
        report: Arc::new(report),
        events_per_s: 0.0,
        running: false,
        recording: false,
    }));
    stage.keys("3");
    let text = stage.text();
    let row = text
        .lines()
        .find(|line| line.contains("sched_"))
        .unwrap_or_default();
    assert!(row.contains("… "), "{text}");
    assert!(row.contains(" 6,991,234 6991234+1000000"), "{text}");
}

#[test]
fn the_bar_says_where_slow_work_hides_some_of_it() {
    let mut stage = Stage::built_in(80, 24);
    stage.event(Event::Work(Work {
        name: "stepping through sendmsg".to_owned(),
        done: 0,
        total: 0,
        finished: false,
    }));
    let text = stage.text();
    let bar = text.lines().next().unwrap_or_default();
    assert!(
        bar.contains("linux … stepping through sendmsg … Esc  lost 0"),
        "{bar}"
    );
}

/// The place that the crossings of the stage's report are made by, and two that made none.
fn call_map() -> Event {
    let used = &facts::report(Mode::Ukl).sites[0];
    let to = |symbol: &str, origin| {
        Some(Target {
            symbol: symbol.to_owned(),
            origin,
        })
    };
    let print = CallSite {
        address: Addr(0xffff_ffff_81a0_0010),
        caller: "main".to_owned(),
        line: Some(14),
        target: to("printf", Origin::Libc),
        ..used.clone()
    };
    let scan = CallSite {
        address: Addr(0xffff_ffff_8160_2000),
        caller: "parse".to_owned(),
        line: Some(99),
        target: to("strlen", Origin::Libc),
        enters: Enters::No,
        ..used.clone()
    };
    Event::Mapped(Arc::new(CallMap {
        image: "syscalls".to_owned(),
        twin: false,
        sites: vec![print, scan, used.clone()],
    }))
}

fn mapped((width, height): (u16, u16)) -> Stage {
    let mut stage = Stage::stopped(width, height);
    stage.keys("3 M");
    assert_eq!(
        stage.typed.last().map(String::as_str),
        Some("(map syscalls twin=false)")
    );
    assert!(
        stage.text().contains("are not known yet"),
        "{}",
        stage.text()
    );
    stage.event(call_map());
    stage
}

#[test]
fn every_call_site_is_there_and_used_ones_are_marked() {
    assert_snapshot!("call_map_small", mapped(SMALL).text());
    assert_snapshot!("call_map_large", mapped(LARGE).text());
}

#[test]
fn a_call_site_leads_to_its_code_and_to_its_crossings() {
    let mut stage = mapped(SMALL);
    stage.keys("Enter");
    assert_eq!(
        stage.typed.last().map(String::as_str),
        Some("(go *0xffffffff81a00010)")
    );
    stage.keys("x");
    assert!(
        stage.text().contains("made no crossing in this run"),
        "{}",
        stage.text()
    );
    stage.keys("u x");
    let text = stage.text();
    assert!(text.contains("only crossings where site="), "{text}");
    let rows = text.lines().filter(|line| line.contains("write"));
    assert!(rows.count() > 0 && !text.contains("interrupt "), "{text}");
}

#[test]
fn a_query_is_typed_on_the_key_line() {
    let typed = screen("3 / kind=int Tab Space insns>", SMALL);
    assert_snapshot!("crossings_query_small", typed);
    assert_snapshot!("path_query_small", screen("4 / own>55 Enter", SMALL));
}

#[test]
fn a_query_holds_while_it_is_typed_and_is_left_by_escape() {
    let mut stage = Stage::stopped(80, 24);
    stage.keys("3");
    let rows = |stage: &Stage| {
        let text = stage.text();
        let kinds = ["syscall", "bypass", "fault", "interrupt"];
        let is_row = |line: &&str| kinds.iter().any(|kind| line.starts_with(kind));
        text.lines().filter(is_row).count()
    };
    let all = rows(&stage);
    stage.keys("/ kind=interrupt");
    let faults = rows(&stage);
    assert!(0 < faults && faults < all, "{}", stage.text());
    stage.keys("Space or Space x=");
    assert_eq!(rows(&stage), faults, "what was right holds");
    assert!(stage.text().contains("'x' is no field"), "{}", stage.text());
    stage.keys("Enter");
    assert!(
        stage.text().contains("'x' is no field"),
        "it stays to be mended"
    );
    stage.keys("Esc");
    assert_eq!(rows(&stage), all);
}

/// A short file, of which all lines are in the window.
fn short_file(command: &Command) -> Result<Answer, Failure> {
    match command {
        Command::List {
            location: Some(_), ..
        } => Ok(Answer::Source(SourceWindow {
            file: "syscalls/main.c".to_owned(),
            path: "syscalls/main.c".into(),
            first: 1,
            line: 14,
            current: None,
            lines: (1..=200).map(|line| format!("line {line}")).collect(),
            origin: Origin::App,
        })),
        other => facts::answer(other),
    }
}

#[test]
fn the_code_of_a_place_of_the_map_is_gone_to_by_its_line() {
    let mut stage = Stage::stopped(80, 24);
    stage.answers = short_file;
    action::go_to(&mut stage.ui, &stage.model, "*0xffffffff81a00010");
    stage.keys("1");
    let marked = stage.ui.panels.source.marked(&stage.model);
    assert_eq!(marked.as_deref(), Some("syscalls/main.c:14"));
    let text = stage.text();
    assert!(text.contains("   14  line 14"), "{text}");
}
