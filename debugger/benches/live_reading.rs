//! What reading a running guest costs it: the same loop of system calls, several times in one boot, by turns
//! alone and with tasks, regions and a watched variable read as fast as the session tells of news.
//!
//! `cargo bench -p uklscope-debugger --bench live_reading`, with the image `syscalls` built.

#![expect(clippy::print_stdout, reason = "it reports")]

#[path = "../tests/debuggee/mod.rs"]
mod debuggee;

use std::time::{Duration, Instant};

use debuggee::Debuggee;
use debugger::command::parse;
use debugger::crossing::Mode;
use debugger::event::{Answer, Event};
use debugger::session::BootOptions;

const CALLS: u64 = 8_000_000;

/// Behind the first one: each is made the first again at its entry.
const NEXT: [&str; 4] = [
    "bench_read",
    "bench_write",
    "bench_sendto_recvfrom",
    "bench_tcp",
];

fn main() {
    let options = BootOptions {
        mode: Some(Mode::Ukl),
        calls: Some(CALLS),
        ..BootOptions::default()
    };
    let mut debuggee = Debuggee::boot("syscalls", options).expect("the image is built");
    debuggee.ask("display jiffies");
    debuggee.ask("tb bench_getppid");
    debuggee.stop("c");
    for (round, next) in NEXT.iter().enumerate() {
        debuggee.ask(&format!("tb {next}"));
        let live = round % 2 == 1;
        let (took, rounds, waited) = run(&mut debuggee, live);
        let per_s = CALLS as f64 / took.as_secs_f64();
        let words = if live { "read live" } else { "alone" };
        println!(
            "{words:>9}: {per_s:>9.0} calls/s, {rounds} lists of tasks and regions in {waited:?}"
        );
        debuggee.ask("set $rip = &bench_getppid");
    }
}

/// Until the next breakpoint.
fn run(debuggee: &mut Debuggee, live: bool) -> (Duration, u32, Duration) {
    let began = Instant::now();
    let ran = debuggee.send("c");
    let (mut rounds, mut waited) = (0, Duration::ZERO);
    loop {
        match debuggee.event() {
            Event::Answer(id, answer) if id == ran => {
                assert!(matches!(answer, Ok(Answer::Stopped(_))), "{answer:?}");
                return (began.elapsed(), rounds, waited);
            }
            Event::Pulse if live => {
                let asked = Instant::now();
                for line in ["tasks", "space"] {
                    let command = parse(line).expect("it is a command");
                    let id = debuggee.handle.send(command);
                    loop {
                        match debuggee.event() {
                            Event::Answer(answered, _) if answered == id => break,
                            // The last of it: its other answers are of no more use.
                            Event::Answer(answered, _) if answered == ran => {
                                return (began.elapsed(), rounds, waited);
                            }
                            _ => {}
                        }
                    }
                }
                rounds += 1;
                waited += asked.elapsed();
            }
            _ => {}
        }
    }
}
