//! Requests of a server as plain text: what `report` and `compare` print of them.

use std::collections::BTreeMap;

use debugger::addr::Insns;
use debugger::count::counted;
use debugger::crossing::Setup;
use debugger::origin::Origin;
use debugger::trace::report::Report;
use debugger::trace::requests::{BOUNDARY, Part, PartPair, Request, RequestPair, Requests};

/// The tables of all runs that have requests; nothing where none has.
#[must_use]
pub fn runs<'a>(runs: impl Iterator<Item = &'a Report> + Clone) -> Vec<String> {
    let with = || {
        runs.clone()
            .filter_map(|run| Some((&run.mode, run.requests.as_ref()?)))
    };
    let Some((_, first)) = with().next() else {
        return Vec::new();
    };
    let mut lines = vec![
        format!(
            "requests: instructions of the server's thread, from one return of {} to the next; ~ the mean of \
             counts that differ",
            first.turn.join(" or ")
        ),
        format!(
            "{:<12} {:<10} {:>8} {:>9} {:>8} {:>6} {:>6} {:>9} {:>6} {:>9} {:>10} {:>6} {:>11}",
            "request",
            "mode",
            "count",
            "total",
            "app",
            "entry",
            "work",
            "dispatch",
            "copy",
            "service",
            "exit work",
            "exit",
            "in and out"
        ),
    ];
    for kind in kinds(with().map(|(_, requests)| requests)) {
        for (mode, requests) in with() {
            lines.extend(requests.kind(kind).map(|request| parts(request, mode)));
        }
    }
    lines.push(String::new());
    lines.push("by origin".to_owned());
    for kind in kinds(with().map(|(_, requests)| requests)) {
        for (mode, requests) in with() {
            lines.extend(requests.kind(kind).map(|request| origins(request, mode)));
        }
    }
    for (mode, requests) in with() {
        lines.extend(notes(requests, mode));
    }
    lines
}

/// The calls that each kind of request makes.
#[must_use]
pub fn calls(report: &Report) -> Vec<String> {
    let Some(requests) = &report.requests else {
        return vec![
            "the image does not say what a request is: see [request] in the guide".to_owned(),
        ];
    };
    let mut lines = Vec::new();
    for request in &requests.kinds {
        let per = |count: u64| count as f64 / request.count.max(1) as f64;
        lines.push(format!(
            "{}: {}, {} of them alike: {}",
            request.kind,
            counted(Insns(request.count), "request"),
            Insns(request.typical.count),
            request.typical.calls.join(", ")
        ));
        lines.push(format!(
            "  {:<10} {:<24} {:>12} {:>14} {:>12}",
            "kind", "call", "per request", "instructions", "in and out"
        ));
        lines.extend(request.calls.iter().map(|call| {
            format!(
                "  {:<10} {:<24} {:>12.2} {:>14.1} {:>12.1}",
                call.kind,
                call.call,
                per(call.count),
                per(call.instructions),
                per(call.boundary)
            )
        }));
    }
    lines
}

/// What the second mode of each pair has less and more of.
#[must_use]
pub fn pairs(pairs: &[RequestPair]) -> Vec<String> {
    pairs.iter().map(pair).collect()
}

fn kinds<'a>(all: impl Iterator<Item = &'a Requests>) -> Vec<&'a str> {
    let mut kinds: Vec<&str> = Vec::new();
    for request in all.flat_map(|requests| &requests.kinds) {
        if !kinds.contains(&request.kind.as_str()) {
            kinds.push(&request.kind);
        }
    }
    kinds
}

/// `384`, or `~10094` where it is a mean.
#[must_use]
pub fn figure(part: Part, count: u64) -> String {
    let mark = if part.is_exact() { "" } else { "~" };
    format!("{mark}{:.0}", part.mean(count))
}

fn parts(request: &Request, mode: &Setup) -> String {
    let mut line = format!(
        "{:<12} {mode:<10} {:>8} {:>9}",
        request.kind,
        Insns(request.count).to_string(),
        figure(request.total, request.count)
    );
    let widths = [8, 6, 6, 9, 6, 9, 10, 6];
    for ((_, part), width) in request.parts.named().into_iter().zip(widths) {
        line.push_str(&format!(" {:>width$}", figure(part, request.count)));
    }
    line.push_str(&format!(" {:>9.2} %", request.boundary_percent()));
    line
}

/// Instructions of all requests of a kind, by where their code came from.
#[derive(Clone, Debug, Default)]
pub struct ByOrigin {
    pub app: u64,
    pub libc: u64,
    pub entry: u64,
    pub unknown: u64,
    /// By part, the most first.
    pub kernel: Vec<(&'static str, u64)>,
}

impl ByOrigin {
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let mut split = Self::default();
        let mut kernel: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (origin, sum) in &request.origins {
            *match origin {
                Origin::App => &mut split.app,
                Origin::Libc => &mut split.libc,
                Origin::Entry => &mut split.entry,
                Origin::Unknown => &mut split.unknown,
                Origin::Kernel(subsystem) => kernel.entry(subsystem.name()).or_default(),
            } += sum;
        }
        split.kernel = kernel.into_iter().collect();
        split.kernel.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
        split
    }

    #[must_use]
    pub fn kernel_sum(&self) -> u64 {
        self.kernel.iter().map(|(_, sum)| sum).sum()
    }
}

/// `app 53, libc 331, entry 178, kernel 10158: net 7026, sched 1045, …`
fn origins(request: &Request, mode: &Setup) -> String {
    let split = ByOrigin::of(request);
    let part = |(name, sum): &(&str, u64)| format!("{name} {:.0}", request.per(*sum));
    let sides = [
        ("app", split.app),
        ("libc", split.libc),
        ("entry", split.entry),
        ("unknown", split.unknown),
    ];
    let sides = sides.iter().filter(|(_, sum)| *sum > 0).map(part);
    let kernel = split.kernel.iter().map(part);
    format!(
        "{:<12} {mode:<10} {}, kernel {:.0}: {}",
        request.kind,
        sides.collect::<Vec<_>>().join(", "),
        request.per(split.kernel_sum()),
        kernel.collect::<Vec<_>>().join(", ")
    )
}

fn notes(requests: &Requests, mode: &Setup) -> Vec<String> {
    let mut notes: Vec<String> = requests
        .kinds
        .iter()
        .map(|request| {
            let per = |sum: u64| sum as f64 / request.count.max(1) as f64;
            format!(
                "beside each {} ({mode}): interrupts {:.0}, other tasks {:.0}",
                request.kind,
                per(request.interrupts),
                per(request.others)
            )
        })
        .collect();
    let idle = requests.idle;
    if idle.count > 0 {
        notes.push(format!(
            "turns without a request ({mode}): {}, {} in all",
            Insns(idle.count),
            counted(Insns(idle.instructions), "instruction")
        ));
    }
    let mut odd = |count: u64, what: &str| {
        if count > 0 {
            notes.push(format!("note ({mode}): {} {what}", Insns(count)));
        }
    };
    odd(
        requests.several.count,
        "turns with more than one request: not counted; let the client wait for each answer",
    );
    odd(
        requests.unbalanced,
        "turns did not add up to the clock: not counted",
    );
    odd(
        requests.lost,
        "turns were given up where records were missing or contradicted each other",
    );
    notes
}

fn pair(pair: &RequestPair) -> String {
    let change = |part: &PartPair| {
        let mark = if part.exact { "" } else { "~" };
        format!(
            "{} {mark}{}",
            part.part.replace('_', " "),
            signed(part.b - part.a)
        )
    };
    let changed = pair.parts.iter().filter(|part| part.a != part.b);
    let changed: Vec<String> = changed.map(change).collect();
    let boundary: f64 = pair
        .parts
        .iter()
        .filter(|part| BOUNDARY.contains(&part.part.as_str()))
        .map(|part| part.b - part.a)
        .sum();
    format!(
        "{}: {} {:.0} → {} {:.0}: {}; in and out {}, {}{:.2} % of {}{}",
        pair.kind,
        pair.mode_a,
        pair.a,
        pair.mode_b,
        pair.b,
        changed.join(", "),
        signed(boundary),
        if boundary < 0.0 { "−" } else { "+" },
        boundary.abs() * 100.0 / pair.a.max(1.0),
        pair.mode_a,
        if pair.balanced {
            ""
        } else {
            "   DOES NOT BALANCE"
        }
    )
}

fn signed(value: f64) -> String {
    let sign = if value < 0.0 { "−" } else { "+" };
    format!("{sign}{:.0}", value.abs())
}
