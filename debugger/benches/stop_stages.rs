//! Where the time of a stop goes: a step, then what the Debug screen asks, command by command.
//!
//! `cargo bench -p uklscope-debugger --bench stop_stages`, on the image `syscalls` of the store.

#![expect(clippy::print_stdout, reason = "it reports")]
#![expect(clippy::unwrap_used, reason = "a benchmark that fails says where")]

use std::time::{Duration, Instant};

use debugger::command::{Command, parse};
use debugger::crossing::Mode;
use debugger::event::{Event, Run};
use debugger::session::{BootOptions, Handle, Session, store};

const PATIENCE: Duration = Duration::from_secs(120);
const STEPS: usize = 500;

/// In the order of the panels; 300 lines are the source panel's window.
const ASKED: [&str; 8] = [
    "stepi",
    "info breakpoints",
    "list",
    "disassemble",
    "backtrace 100",
    "info registers",
    "why",
    "info locals",
];

fn main() {
    let image = store::image("syscalls").unwrap_or_else(|error| panic!("{error}"));
    let options = BootOptions {
        mode: Some(Mode::Ukl),
        calls: Some(1_000_000),
        ..BootOptions::default()
    };
    let mut session = Session::boot(image, options);
    loop {
        match session.events.recv_timeout(PATIENCE).unwrap() {
            Event::Run(Run::Stopped(_)) => break,
            Event::Run(Run::Ended(why)) => panic!("{why}"),
            _ => {}
        }
    }
    let commands = ASKED.map(|line| match parse(line).unwrap() {
        Command::List { location, .. } => Command::List {
            location,
            count: 300,
        },
        other => other,
    });
    let mut times = vec![Vec::with_capacity(STEPS); commands.len() + 1];
    for _ in 0..STEPS {
        let mut whole = Duration::ZERO;
        for (command, times) in commands.iter().zip(&mut times) {
            let took = ask(&mut session, command);
            times.push(took);
            whole += took;
        }
        times.last_mut().unwrap().push(whole);
    }
    println!("{STEPS} steps, µs                median      99 %     worst");
    for (what, times) in ASKED.iter().chain([&"all"]).zip(&mut times) {
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 100].as_micros();
        println!("{what:25} {:>10} {:>9} {:>9}", at(50), at(99), at(100));
    }
}

fn ask(session: &mut Handle, command: &Command) -> Duration {
    let began = Instant::now();
    let asked = session.send(command.clone());
    loop {
        if let Event::Answer(id, _) = session.events.recv_timeout(PATIENCE).unwrap()
            && id == asked
        {
            return began.elapsed();
        }
    }
}
