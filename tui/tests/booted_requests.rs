#![expect(clippy::unwrap_used, reason = "a test that fails says where")]
//! What a server does per request, counted in booted images: `uklscope compare`, and `report --by request` of its recording.

use std::process::Command;

use debugger::crossing::Mode;
use debugger::trace::report::{Comparison, Report};
use debugger::trace::requests::{BOUNDARY, Request};

/// Of each kind, by the client in the guest.
const EACH: u64 = 300;

fn uklscope(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_uklscope"))
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Every request is counted, once, and its parts are the whole of it.
fn is_whole(run: &Report, kinds: [&str; 2]) {
    let mode = &run.mode;
    let requests = run.requests.as_ref().unwrap();
    assert_eq!(run.lost, 0, "{mode}");
    let names: Vec<&str> = requests.kinds.iter().map(|of| of.kind.as_str()).collect();
    assert_eq!(names, kinds, "{mode}");
    for of in &requests.kinds {
        let what = format!("{} in mode {mode}", of.kind);
        let left_out = (requests.several.count, requests.unbalanced, requests.lost);
        assert_eq!((of.count, left_out), (EACH, (0, 0, 0)), "{what}");
        let total = of.total.sum;
        let phases: u64 = of.parts.named().iter().map(|(_, part)| part.sum).sum();
        assert_eq!(phases, total, "{what}, by phase");
        assert_eq!(of.origins.values().sum::<u64>(), total, "{what}, by origin");
        let calls: u64 = of.calls.iter().map(|call| call.instructions).sum();
        assert_eq!(calls + of.parts.app.sum, total, "{what}, by call");
        let typical = &of.typical;
        assert_eq!(
            typical.app + typical.phases.total(),
            typical.instructions,
            "{what}, the typical one"
        );
        assert!(of.boundary() > 0 && of.parts.app.sum > 0 && of.parts.service.sum > 0);
    }
}

/// Of what lies between the application and the work, every part and all of it.
fn is_not_above(bypass: &Request, ukl: &Request) {
    let kind = &bypass.kind;
    let pairs = bypass.parts.named().into_iter().zip(ukl.parts.named());
    for ((part, bypassed), (_, full)) in pairs.filter(|((part, _), _)| BOUNDARY.contains(part)) {
        assert!(
            bypassed.min <= full.min,
            "{part} of {kind}: {} in bypass, {} in ukl",
            bypassed.min,
            full.min
        );
    }
    assert!(
        bypass.boundary() < ukl.boundary(),
        "{kind}: {} in bypass, {} in ukl",
        bypass.boundary(),
        ukl.boundary()
    );
}

fn check(image: &str, kinds: [&str; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("requests.rec");
    let recording = recording.to_str().unwrap();
    let each = EACH.to_string();
    let compared = uklscope(&[
        "compare",
        image,
        "--calls",
        &each,
        "--modes",
        "ukl,bypass",
        "--json",
        "-o",
        recording,
    ]);
    let comparison: Comparison = serde_json::from_str(&compared).unwrap();
    let [ukl, bypass] = comparison.runs.as_slice() else {
        panic!("{} runs", comparison.runs.len());
    };
    assert!(ukl.mode == Mode::Ukl && bypass.mode == Mode::Bypass);
    for run in [ukl, bypass] {
        is_whole(run, kinds);
    }
    for kind in kinds {
        let of = |run: &Report| run.requests.as_ref().unwrap().kind(kind).unwrap().clone();
        is_not_above(&of(bypass), &of(ukl));
        let pair = comparison.requests.iter().find(|pair| pair.kind == kind);
        assert!(pair.unwrap().balanced, "{kind}");
    }
    let report = uklscope(&["report", recording, "--by", "request"]);
    for kind in kinds {
        let line = format!("{kind}: {EACH} requests, ");
        let found = report.lines().filter(|text| text.starts_with(&line));
        assert_eq!(found.count(), 2, "'{line}' of both modes in:\n{report}");
    }
}

#[test]
#[ignore = "boots an image"]
fn each_request_of_redis_is_counted_and_adds_up() {
    check("redis", ["GET", "SET"]);
}

#[test]
#[ignore = "boots an image"]
fn each_request_of_memcached_is_counted_and_adds_up() {
    check("memcached", ["get", "set"]);
}
