//! What is asked of crossings and paths on the screens: queries, advice.

use insta::assert_snapshot;

#[expect(dead_code, reason = "tests of the other screens need the rest")]
mod stage;

use stage::Stage;

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
    assert_snapshot!("sites_small", screen("3 s", SMALL));
    assert_snapshot!("sites_large", screen("3 s", LARGE));
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
