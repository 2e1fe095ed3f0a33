use proptest::prelude::*;
use roxmltree::{Document, Node as Element};

use super::*;
use crate::crossing::{CrossingKind, Mode};
use crate::trace::diff;
use crate::trace::examples::{a_tree, class as a_class, node, report};
use crate::trace::report::Node;

fn number(element: Element<'_, '_>, name: &str) -> f64 {
    let text = element.attribute(name).expect("the attribute is there");
    text.parse().expect("it is a number")
}

fn rects<'a>(document: &'a Document<'_>, class: &'a str) -> impl Iterator<Item = Element<'a, 'a>> {
    document.descendants().filter(move |element| {
        element.has_tag_name("rect") && element.attribute("class") == Some(class)
    })
}

fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.5
}

fn a_pair(a: Node, b: Node) -> Pair {
    diff::pair(
        (&a_class(CrossingKind::Syscall, "x", a), &Mode::Linux.into()),
        (&a_class(CrossingKind::Bypass, "x", b), &Mode::Bypass.into()),
    )
}

#[test]
fn a_flame_graph_is_well_formed_and_as_wide_as_what_it_shows() {
    let path = node(
        "entry<&\">\u{1}",
        30,
        vec![node("a", 50, vec![]), node("b", 20, vec![])],
    );
    let run = report(
        Mode::Linux,
        vec![a_class(CrossingKind::Syscall, "read", path)],
    );
    let flame = Flame::of(&[&run], |_| true);
    let text = super::flame(&flame, "read & write", "instructions");
    let document = Document::parse(&text).expect("it is XML");
    let widths: Vec<f64> = rects(&document, "unknown")
        .map(|rect| number(rect, "width"))
        .collect();
    let whole = WIDTH - 2.0 * MARGIN;
    let expected = [whole, whole, whole, whole * 0.5, whole * 0.2];
    assert_eq!(widths.len(), expected.len());
    assert!(
        widths.iter().zip(expected).all(|(a, b)| is_near(*a, b)),
        "{widths:?}"
    );
    let titles = document
        .descendants()
        .filter(|element| element.has_tag_name("title"));
    let titles: Vec<&str> = titles.filter_map(|title| title.text()).collect();
    assert_eq!(titles[0], "read & write");
    assert_eq!(
        titles[4],
        "a (unknown): 5,000 instructions, 50.00 % of all, 5,000 of its own, 100 calls"
    );
    assert!(titles[3].starts_with("entry<&\">? (unknown): 10,000"));
}

#[test]
fn what_is_too_narrow_is_counted() {
    let path = node("entry", 1_000_000, vec![node("narrow", 1, vec![])]);
    let run = report(
        Mode::Linux,
        vec![a_class(CrossingKind::Syscall, "read", path)],
    );
    let text = super::flame(&Flame::of(&[&run], |_| true), "x", "instructions");
    assert!(
        text.contains("1 frame narrower than 0.1 pixels is not drawn"),
        "{text}"
    );
    assert!(!text.contains("narrow ("));
}

proptest! {
    #[test]
    fn the_solid_parts_of_a_difference_are_as_wide_as_its_ledger(a in a_tree(), b in a_tree()) {
        let pair = a_pair(a, b);
        let text = difference(std::slice::from_ref(&pair), "a difference");
        let document = Document::parse(&text).expect("it is XML");
        let scale = Scale::of(Butterfly::of(&pair.rows, false).width);
        for (band, mass) in [("removed", pair.removed), ("added", pair.added), ("both", pair.a - pair.removed)] {
            let class = format!("{band} solid");
            let width: f64 = rects(&document, &class).map(|rect| number(rect, "width")).sum();
            prop_assert!(is_near(width, scale.length(mass)), "{band}: {width} for {mass}");
        }
        let height = number(document.root_element(), "height");
        for element in document.descendants().filter(|element| element.has_tag_name("text")) {
            prop_assert!(number(element, "y") < height);
        }
    }
}
