//! What `bench serve` found: its JSON document, and the same as lines.

use debugger::crossing::{Mode, Setup};
use serde::Serialize;

use super::super::figures::{Figure, Spread};
use super::super::print::Host;

/// In the document and above the lines: what its times are.
pub(super) const CLOCK: &str =
    "wall-clock time of a guest that QEMU emulates (TCG): not the time of hardware";

#[derive(Serialize)]
pub(super) struct Report {
    pub(super) schema: u32,
    pub(super) clock: &'static str,
    pub(super) rounds: usize,
    pub(super) connections: usize,
    /// Of each kind, in each round.
    pub(super) requests: usize,
    pub(super) servers: Vec<OfServer>,
    #[serde(flatten)]
    pub(super) host: Host,
}

#[derive(Serialize)]
pub(super) struct OfServer {
    pub(super) image: String,
    pub(super) client: String,
    pub(super) modes: Vec<OfMode>,
}

#[derive(Serialize)]
pub(super) struct OfMode {
    pub(super) mode: Setup,
    /// From the guest's first instruction to the first answer.
    pub(super) first_reply_s: Figure,
    pub(super) requests: Vec<OfRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) paper: Option<Paper>,
}

#[derive(Serialize)]
pub(super) struct OfRequest {
    pub(super) request: String,
    pub(super) per_s: Figure,
    pub(super) p50_ms: Figure,
    pub(super) p99_ms: Figure,
    /// What QEMU took of the host's CPUs for one request, the guest's network card and idle work included.
    pub(super) cpu_us: Figure,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) counted: Option<Counted>,
}

/// Of a traced boot.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Counted {
    /// Of the server's thread, per request.
    pub(super) instructions: f64,
    /// Of these: entry, entry work, dispatch, exit work and exit.
    pub(super) in_and_out_percent: f64,
    /// The throughput's ratio if nothing but the server's thread took time, and every instruction the same.
    pub(super) predicted: f64,
}

/// What Raza et al. (EuroSys 2023) report of hardware, as ratios to Linux.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Paper {
    throughput: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<f64>,
}

const PAPER: &[(&str, Mode, f64, Option<f64>)] = &[
    ("redis", Mode::Bypass, 1.12, Some(0.89)),
    ("redis", Mode::Shortcut, 1.26, Some(0.78)),
    ("memcached", Mode::Bypass, 1.05, None),
    ("memcached", Mode::Shortcut, 1.08, None),
];

impl Paper {
    pub(super) fn of(image: &str, setup: &Setup) -> Option<Self> {
        let found = PAPER
            .iter()
            .find(|(name, mode, ..)| *name == image && setup == mode);
        found.map(|(_, _, throughput, p99)| Self {
            throughput: *throughput,
            p99: *p99,
        })
    }
}

pub(super) fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![
        format!("All times are {CLOCK}."),
        format!(
            "{} {}; in each, every mode is booted and loaded in turn. A figure is the median of the rounds; a ratio \
             is to mode linux in the same round, median (least to most): 1.10 is 10 % more.",
            report.rounds,
            if report.rounds == 1 {
                "round"
            } else {
                "rounds"
            }
        ),
    ];
    for server in &report.servers {
        lines.extend(of_server(server, report));
    }
    lines.push(String::new());
    lines.push(report.host.line());
    lines
}

fn of_server(server: &OfServer, report: &Report) -> Vec<String> {
    let row = |what: &str, of: &dyn Fn(&OfMode) -> String| {
        let cells = server.modes.iter().map(|mode| format!(" {:>20}", of(mode)));
        format!("{what:<32}{}", cells.collect::<String>())
    };
    let figure = |what: &str, of: &dyn Fn(&OfMode) -> (Figure, usize)| {
        [
            row(what, &|mode| {
                let (figure, digits) = of(mode);
                format!("{:.digits$}", figure.values.median)
            }),
            row("  to linux", &|mode| match mode.mode == Mode::Linux {
                true => "1".to_owned(),
                false => ratio(of(mode).0.ratio),
            }),
        ]
    };
    let kinds = server.modes.first().map_or(0, |mode| mode.requests.len());
    let mut lines = vec![
        String::new(),
        format!(
            "{}: {}; {} connections, one request each at a time; {} of each kind",
            server.image, server.client, report.connections, report.requests
        ),
    ];
    for kind in 0..kinds {
        let name = server
            .modes
            .first()
            .map(|mode| mode.requests[kind].request.as_str());
        lines.push(row(name.unwrap_or_default(), &|mode| mode.mode.to_string()));
        lines.extend(figure("requests a second", &|mode| {
            (mode.requests[kind].per_s, 0)
        }));
        lines.extend(figure("half answered within (p50), ms", &|mode| {
            (mode.requests[kind].p50_ms, 2)
        }));
        lines.extend(figure("99 % within (p99), ms", &|mode| {
            (mode.requests[kind].p99_ms, 2)
        }));
        lines.extend(figure("QEMU's CPU a request, µs", &|mode| {
            (mode.requests[kind].cpu_us, 1)
        }));
        let counted = |of: fn(Counted) -> String| {
            move |mode: &OfMode| mode.requests[kind].counted.map_or("–".to_owned(), of)
        };
        lines.push(row(
            "instructions a request",
            &counted(|counted| format!("{:.0}", counted.instructions)),
        ));
        lines.push(row(
            "  of these in and out",
            &counted(|counted| format!("{:.2} %", counted.in_and_out_percent)),
        ));
        lines.push(row(
            "  throughput they predict",
            &counted(|counted| format!("{:.3}", counted.predicted)),
        ));
        lines.push(String::new());
    }
    lines.push(row("all requests", &|mode| mode.mode.to_string()));
    lines.extend(figure("boot to first reply, s", &|mode| {
        (mode.first_reply_s, 2)
    }));
    if server.modes.iter().any(|mode| mode.paper.is_some()) {
        let of_paper = |of: fn(Paper) -> Option<f64>| {
            move |mode: &OfMode| {
                let ratio = mode.paper.and_then(of);
                ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}"))
            }
        };
        lines.push(row(
            "paper, hardware: throughput",
            &of_paper(|paper| Some(paper.throughput)),
        ));
        lines.push(row("paper, hardware: p99", &of_paper(|paper| paper.p99)));
    }
    lines
}

fn ratio(ratio: Spread) -> String {
    format!("{:.2} ({:.2} to {:.2})", ratio.median, ratio.min, ratio.max)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example() -> Report {
        let of_mode = |mode: Mode, factor: f64| {
            let figure =
                |values: [f64; 3]| Figure::of(&values.map(|value| value * factor), &values);
            OfMode {
                mode: mode.into(),
                first_reply_s: figure([4.0, 4.0, 4.0]),
                requests: vec![OfRequest {
                    request: "GET".to_owned(),
                    per_s: figure([1000.0, 2000.0, 3000.0]),
                    p50_ms: figure([1.0, 1.0, 1.0]),
                    p99_ms: figure([3.0, 3.0, 3.0]),
                    cpu_us: figure([100.0, 100.0, 100.0]),
                    counted: (mode == Mode::Bypass).then_some(Counted {
                        instructions: 5000.0,
                        in_and_out_percent: 1.5,
                        predicted: 1.25,
                    }),
                }],
                paper: Paper::of("redis", &mode.into()),
            }
        };
        Report {
            schema: 2,
            clock: CLOCK,
            rounds: 3,
            connections: 16,
            requests: 500,
            servers: vec![OfServer {
                image: "redis".to_owned(),
                client: "a client".to_owned(),
                modes: vec![of_mode(Mode::Linux, 1.0), of_mode(Mode::Bypass, 1.5)],
            }],
            host: Host {
                cpus: 2,
                load_average: 0.5,
            },
        }
    }

    #[test]
    fn the_document_is_stable() {
        let figure = |median: f64, min: f64, max: f64, ratio: f64| {
            json!({
                "median": median, "min": min, "max": max,
                "ratio": { "median": ratio, "min": ratio, "max": ratio },
            })
        };
        let document = serde_json::to_value(example()).unwrap();
        assert_eq!(
            document,
            json!({
                "schema": 2,
                "clock": CLOCK,
                "rounds": 3,
                "connections": 16,
                "requests": 500,
                "servers": [{
                    "image": "redis",
                    "client": "a client",
                    "modes": [
                        {
                            "mode": "linux",
                            "first_reply_s": figure(4.0, 4.0, 4.0, 1.0),
                            "requests": [{
                                "request": "GET",
                                "per_s": figure(2000.0, 1000.0, 3000.0, 1.0),
                                "p50_ms": figure(1.0, 1.0, 1.0, 1.0),
                                "p99_ms": figure(3.0, 3.0, 3.0, 1.0),
                                "cpu_us": figure(100.0, 100.0, 100.0, 1.0),
                            }],
                        },
                        {
                            "mode": "bypass",
                            "first_reply_s": figure(6.0, 6.0, 6.0, 1.5),
                            "requests": [{
                                "request": "GET",
                                "per_s": figure(3000.0, 1500.0, 4500.0, 1.5),
                                "p50_ms": figure(1.5, 1.5, 1.5, 1.5),
                                "p99_ms": figure(4.5, 4.5, 4.5, 1.5),
                                "cpu_us": figure(150.0, 150.0, 150.0, 1.5),
                                "counted": {
                                    "instructions": 5000.0,
                                    "in_and_out_percent": 1.5,
                                    "predicted": 1.25,
                                },
                            }],
                            "paper": { "throughput": 1.12, "p99": 0.89 },
                        },
                    ],
                }],
                "cpus": 2,
                "load_average": 0.5,
            })
        );
    }

    #[test]
    fn the_lines_say_what_the_times_are() {
        let lines = lines(&example());
        assert!(lines[0].contains("TCG"), "{}", lines[0]);
        let row = |start: &str| {
            let found = lines.iter().find(|line| line.starts_with(start)).unwrap();
            found.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(row("requests a second"), "requests a second 2000 3000");
        assert_eq!(row("  to linux"), "to linux 1 1.50 (1.50 to 1.50)");
        assert_eq!(row("instructions"), "instructions a request – 5000");
        assert_eq!(row("paper, hardware: p99"), "paper, hardware: p99 – 0.89");
    }
}
