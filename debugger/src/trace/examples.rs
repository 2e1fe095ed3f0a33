//! Reports as small as tests want them.

use proptest::prelude::Strategy;

use super::report::{Class, Node, Phases, Report, SCHEMA};
use crate::crossing::{CrossingKind, Mode};
use crate::origin::Origin;

pub(super) fn node(symbol: &str, own: u64, children: Vec<Node>) -> Node {
    Node {
        symbol: symbol.to_owned(),
        origin: Origin::Unknown,
        own,
        total: own + children.iter().map(|child| child.total).sum::<u64>(),
        calls: 1,
        file: None,
        children,
    }
}

/// As [`node`], of the entry code.
pub(super) fn entry(symbol: &str, own: u64, children: Vec<Node>) -> Node {
    Node {
        origin: Origin::Entry,
        ..node(symbol, own, children)
    }
}

pub(super) fn class(kind: CrossingKind, call: &str, path: Node) -> Class {
    Class {
        id: String::new(),
        kind,
        call: call.to_owned(),
        count: 100,
        instructions: path.total,
        exact: true,
        min: path.total,
        max: path.total,
        interrupted: false,
        counts: Vec::new(),
        phases: Phases::default(),
        path,
    }
}

pub(super) fn report(mode: Mode, classes: Vec<Class>) -> Report {
    Report {
        schema: SCHEMA,
        mode: mode.into(),
        lost: 0,
        insns: 0,
        events: 0,
        engine: "plugin".to_owned(),
        classes,
        sites: Vec::new(),
        uses: Vec::new(),
        tasks: Vec::new(),
        functions_left_out: None,
        requests: None,
        clocks: None,
        times: None,
        notes: Vec::new(),
    }
}

/// Of few functions, so that the same one is called in many places.
pub(super) fn a_tree() -> impl Strategy<Value = Node> {
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let leaf = (0usize..6, 0u64..9).prop_map(|(name, own)| node(NAMES[name], own, vec![]));
    leaf.prop_recursive(5, 60, 6, |inner| {
        (0usize..6, 0u64..9, proptest::collection::vec(inner, 0..6))
            .prop_map(|(name, own, children)| node(NAMES[name], own, children))
    })
}
