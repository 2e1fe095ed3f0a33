//! Answers as lines of plain text: what `exec` prints and the screen's console shows.

use debugger::addr::{Addr, Insns};
use debugger::count::counted;
use debugger::event::{
    Answer, BreakpointInfo, CallArgument, DisassemblyLine, Frame, Place, Progress, Register,
    SourceWindow, Stop, StopReason, SymbolInfo, ThreadInfo, Value, Variable, Why,
};
use debugger::known::Known;

use super::space_text;

/// The whole answer, one string a line, without a line end.
#[must_use]
pub fn lines(answer: &Answer) -> Vec<String> {
    match answer {
        Answer::Done(sentence) => vec![sentence.clone()],
        Answer::Stopped(stop) => stop_lines(stop),
        Answer::Stops(stops) => super::stop_text::stops(stops),
        Answer::Looking(at) => super::stop_text::looking(at),
        Answer::Backtrace(frames) => backtrace(frames),
        Answer::Registers(registers) => registers.iter().map(register).collect(),
        Answer::Memory(dump) => dump.lines.clone(),
        Answer::Disassembly(list) => list.iter().map(instruction).collect(),
        Answer::Source(window) => source(window),
        Answer::Value(value) => vec![value_line(value)],
        Answer::Variables(list) if list.is_empty() => vec!["this frame has none".to_owned()],
        Answer::Variables(list) => list.iter().map(variable).collect(),
        Answer::Parts(list) => super::value_text::parts(list),
        Answer::Breakpoints(list) => breakpoints(list),
        Answer::Threads(list) => list.iter().map(thread).collect(),
        Answer::Tasks(list) => super::guest_text::tasks(list),
        Answer::Why(why) => why_lines(why),
        Answer::Space(regions) => space_text::regions(regions),
        Answer::Address(info) => space_text::address(info),
        Answer::Idt(gates) => space_text::gates(gates),
        Answer::Gdt(segments) => space_text::segments(segments),
        Answer::Interrupts(info) => space_text::interrupts(info),
        Answer::PerCpu(info) => space_text::per_cpu(info),
        Answer::Symbols(list) => list.iter().map(symbol).collect(),
        Answer::Found(found) => match found.places.as_slice() {
            [] => vec!["it is not there".to_owned()],
            places => places
                .iter()
                .map(|place| format!("{:?} {}", place.addr, name(place)))
                .collect(),
        },
        Answer::Text(lines) => lines.clone(),
    }
}

/// Why the target stopped, as a phrase: `breakpoint 2`.
#[must_use]
pub fn reason(reason: &StopReason) -> String {
    match reason {
        StopReason::Attached => "attached".to_owned(),
        StopReason::Step => "step".to_owned(),
        StopReason::Breakpoint { number } => format!("breakpoint {number}"),
        StopReason::WatchpointScope { number } => {
            format!("watchpoint {number} is over")
        }
        StopReason::Watchpoint { number, addr } => format!("watchpoint {number} at {addr:?}"),
        StopReason::Focus => "in focus".to_owned(),
        StopReason::Interrupted => "interrupted".to_owned(),
        StopReason::Arrived => "arrived".to_owned(),
        StopReason::Crossing {
            kind,
            call,
            into_kernel: true,
        } => format!("{kind} {call}, into the kernel"),
        StopReason::Crossing { kind, call, .. } => format!("{kind} {call}, back in the app"),
        StopReason::Beginning => "the recording begins here".to_owned(),
        StopReason::End => "the recording ends here".to_owned(),
        StopReason::Signal { number } => format!("signal {number}"),
    }
}

/// `12,288 of 100,000 instructions, 3 stops passed by`
#[must_use]
pub fn progress(progress: &Progress) -> String {
    let Progress {
        stepped,
        of,
        passed,
    } = progress;
    let mut parts = Vec::new();
    match of {
        Some(of) => parts.push(format!("{stepped} of {}", counted(of, "instruction"))),
        None if stepped.0 > 0 => parts.push(counted(stepped, "instruction")),
        None => {}
    }
    if *passed > 0 {
        parts.push(passed_by(*passed));
    }
    parts.join(", ")
}

fn passed_by(stops: u64) -> String {
    format!("{} passed by", counted(stops, "stop"))
}

/// `ksys_write+0x12`, or the address where no symbol is known.
#[must_use]
pub fn name(place: &Place) -> String {
    match (&place.symbol, place.offset) {
        (Some(symbol), 0) => symbol.clone(),
        (Some(symbol), offset) => format!("{symbol}+{offset:#x}"),
        (None, _) => format!("{:?}", place.addr),
    }
}

/// `fs/read_write.c:636`, empty where no line is known.
#[must_use]
pub fn file_line(file: Option<&str>, line: Option<u32>) -> String {
    match (file, line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.to_owned(),
        (None, _) => String::new(),
    }
}

/// `4 K`, `20.0 M`: three digits at most before the unit.
#[must_use]
pub fn size(bytes: u64) -> String {
    let units = ["B", "K", "M", "G", "T", "P"];
    let (mut whole, mut tenth, mut unit) = (bytes, 0, 0);
    while whole >= 1024 && unit + 1 < units.len() {
        tenth = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit += 1;
    }
    match tenth {
        0 => format!("{whole} {}", units[unit]),
        _ => format!("{whole}.{tenth} {}", units[unit]),
    }
}

#[must_use]
pub fn place(place: &Place) -> String {
    let at = file_line(place.file.as_deref(), place.line);
    let letter = place.origin.letter();
    // The address is the name of what has no other.
    let name = match place.symbol {
        Some(_) => format!(" {}", name(place)),
        None => String::new(),
    };
    let text = format!("{letter} {:?}{name}  {at}", place.addr);
    text.trim_end().to_owned()
}

/// The stop, and below it what there is to know of it.
fn stop_lines(stop: &Stop) -> Vec<String> {
    let counted = match (stop.stepped, stop.passed) {
        (Some(Insns(1)), 0) | (None, 0) => String::new(),
        (Some(stepped), 0) => format!(", after {}", counted(stepped, "instruction")),
        (None, passed) => format!(", {}", passed_by(passed)),
        (Some(stepped), passed) => {
            let stepped = counted(stepped, "instruction");
            format!(", after {stepped}, {}", passed_by(passed))
        }
    };
    let cpu = stop.vcpu.0;
    let at = place(&stop.place);
    let position = stop
        .position
        .map_or_else(String::new, |position| format!("  @{}", Insns(position)));
    let line = format!(
        "stopped: {}{counted}{position}  cpu{cpu}  {at}",
        reason(&stop.reason)
    );
    let note = stop.note.as_ref().map(|note| format!("  {note}"));
    [line].into_iter().chain(note).collect()
}

/// How sure it is where a frame is, behind its name.
#[must_use]
pub fn doubt(frame: &Frame) -> &'static str {
    match frame.certainty {
        "likely" => " ?",
        "guess" => " ??",
        _ => "",
    }
}

/// Each frame that is not certain is marked; why, the first of those tells that it holds for.
fn backtrace(frames: &[Frame]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut said = Vec::new();
    let mut stack = frames.first().and_then(|frame| frame.stack.as_deref());
    for frame in frames {
        if let Some(kind) = frame.crossing {
            let call = frame.call.as_deref().unwrap_or("");
            lines.push(format!("══ {kind} {call} ══").replace("  ", " "));
        }
        if let Some(on) = frame.stack.as_deref()
            && stack != Some(on)
        {
            lines.push(format!("── {on} ──"));
            stack = Some(on);
        }
        let inlined = if frame.inlined { "  (inlined)" } else { "" };
        let at = file_line(frame.place.file.as_deref(), frame.place.line);
        let line = format!(
            "{} #{:<3}{} {}{}  {at}{inlined}",
            frame.place.origin.letter(),
            frame.n,
            frame.place.addr,
            name(&frame.place),
            doubt(frame),
        );
        lines.push(line.trim_end().to_owned());
        if let Some(doubt) = &frame.doubt {
            let why = format!("      {}: {doubt}", frame.certainty);
            if !said.contains(&why) {
                lines.push(why.clone());
                said.push(why);
            }
        }
        if let Some(end) = &frame.end {
            let word = if end.complete { "end" } else { "ended early" };
            lines.push(format!("{word}: {}", end.what));
        }
    }
    lines
}

fn register(register: &Register) -> String {
    let changed = if register.changed { '*' } else { ' ' };
    let note = register.note.as_deref().unwrap_or("");
    let text = format!("{changed} {:<10} {}  {note}", register.name, register.value);
    text.trim_end().to_owned()
}

/// What comes of the current instruction: `(taken)`, `(not taken)`, `(to main+0x12)`.
#[must_use]
pub fn goes(line: &DisassemblyLine) -> Option<String> {
    let to = line.goes.as_ref()?;
    let is_branch = line.mnemonic.starts_with('j') || line.mnemonic.starts_with("loop");
    Some(match &line.target {
        Some(target) if is_branch && target.addr == to.addr => "(taken)".to_owned(),
        Some(_) if is_branch && line.place.addr + line.bytes.len() as u64 == to.addr => {
            "(not taken)".to_owned()
        }
        _ => format!("(to {})", name(to)),
    })
}

fn instruction(line: &DisassemblyLine) -> String {
    let mark = if line.current { '▶' } else { ' ' };
    let crossing = line
        .crossing
        .map(|kind| format!("  ══ {kind}"))
        .unwrap_or_default();
    let goes = goes(line)
        .map(|goes| format!("  {goes}"))
        .unwrap_or_default();
    let text = format!(
        "{} {}{mark} {:<7} {}{goes}{crossing}",
        line.place.origin.letter(),
        line.place.addr,
        line.mnemonic,
        line.operands,
    );
    text.trim_end().to_owned()
}

fn source(window: &SourceWindow) -> Vec<String> {
    let numbered = (window.first..).zip(&window.lines).map(|(number, text)| {
        let mark = if window.current == Some(number) {
            '▶'
        } else {
            ' '
        };
        format!("{number:>5}{mark} {text}").trim_end().to_owned()
    });
    std::iter::once(format!("{} {}", window.origin.letter(), window.file))
        .chain(numbered)
        .collect()
}

fn value_line(value: &Value) -> String {
    let type_name = value
        .type_name
        .as_deref()
        .map(|name| format!("({name}) "))
        .unwrap_or_default();
    format!("{} = {type_name}{}", value.expression, value.text)
}

/// The value, or why there is none.
#[must_use]
pub fn known<T>(known: &Known<T>, text: impl FnOnce(&T) -> String) -> String {
    match known {
        Known::Yes(value) => text(value),
        Known::Asked => "(asked)".to_owned(),
        Known::No(why) => format!("(unknown: {why})"),
    }
}

fn variable(variable: &Variable) -> String {
    let value = known(&variable.value, String::clone);
    let argument = if variable.argument { "argument " } else { "" };
    let changed = if variable.changed { "* " } else { "" };
    format!(
        "{changed}{argument}{} = {value}  ({})",
        variable.name, variable.type_name
    )
}

fn breakpoints(list: &[BreakpointInfo]) -> Vec<String> {
    let mut lines = Vec::new();
    for one in list {
        let condition = one
            .condition
            .as_deref()
            .map(|text| format!(" if {text}"))
            .unwrap_or_default();
        let kind = match one.temporary {
            true => "temporary breakpoint",
            false => one.kind,
        };
        let only = one.only.as_deref().unwrap_or_default();
        let only = if only.is_empty() {
            String::new()
        } else {
            format!(" {only}")
        };
        let ignore = match one.ignore {
            0 => String::new(),
            left => format!(", {left} more to be ignored"),
        };
        let owner = one.owner.as_ref();
        let owner = owner.map_or_else(String::new, |owner| format!(" of {owner}"));
        lines.push(format!(
            "{} {kind}{owner} {}{only}{condition}, {}, {}{ignore}",
            one.number,
            one.location,
            one.state,
            counted(one.hits, "hit")
        ));
        lines.extend(one.value.iter().map(|value| format!("    holds {value}")));
        lines.extend(one.note.iter().map(|note| format!("    {note}")));
        if !one.commands.is_empty() {
            lines.push(format!("    then: {}", one.commands.join("; ")));
        }
        lines.extend(one.places.iter().map(|at| {
            let inlined = at.inlined_in.as_ref();
            let inlined = inlined.map_or_else(String::new, |into| format!(", inlined in {into}"));
            format!("    {}{inlined}", place(&at.place))
        }));
    }
    if lines.is_empty() {
        lines.push("no breakpoints".to_owned());
    }
    lines
}

fn thread(thread: &ThreadInfo) -> String {
    let mark = if thread.current { '*' } else { ' ' };
    let at = place(&thread.place);
    format!("{mark} cpu{} {}  {at}", thread.vcpu.0, thread.state)
}

/// What the kernel takes, and what the application called, where they are known.
#[must_use]
pub fn prototypes(why: &Why) -> Vec<String> {
    let kernel = why.kernel_prototype.yes().map(|text| ("kernel", text));
    let app = why.app_prototype.yes().map(|text| ("application", text));
    let line = |(side, text): (&str, &String)| format!("{side}: {text}");
    kernel.into_iter().chain(app).map(line).collect()
}

fn why_lines(why: &Why) -> Vec<String> {
    let mut lines = why.sentences.clone();
    lines.extend(prototypes(why));
    let arguments = why.arguments.iter().flat_map(CallArgument::lines);
    lines.extend(arguments.map(|line| format!("    {line}")));
    lines
}

fn symbol(symbol: &SymbolInfo) -> String {
    let homonyms = match symbol.homonyms {
        0 => String::new(),
        1 => "  (one other of this name)".to_owned(),
        n => format!("  ({n} others of this name)"),
    };
    let at = file_line(symbol.file.as_deref(), symbol.line);
    let addr: Addr = symbol.addr;
    let text = format!(
        "{} {addr} {:>7} {:<15} {}  {at}{homonyms}",
        symbol.origin.letter(),
        symbol.size,
        symbol.origin.to_string(),
        symbol.name,
    );
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use debugger::crossing::CrossingKind;
    use debugger::origin::Origin;

    use super::*;

    fn frame(n: u32, symbol: &str, origin: Origin, crossing: Option<CrossingKind>) -> Frame {
        Frame {
            n,
            place: Place {
                addr: Addr(0xffff_ffff_8112_a4e0),
                symbol: Some(symbol.to_owned()),
                origin,
                file: Some("a.c".to_owned()),
                line: Some(7),
                ..Place::default()
            },
            inlined: false,
            crossing,
            call: crossing.map(|_| "write".to_owned()),
            found_by: "cfi",
            certainty: "certain",
            ..Frame::default()
        }
    }

    #[test]
    fn a_backtrace_marks_the_crossing() {
        let frames = [
            frame(0, "ksys_write", Origin::kernel_source("fs/a.c"), None),
            frame(1, "main", Origin::App, Some(CrossingKind::Syscall)),
        ];
        assert_eq!(
            lines(&Answer::Backtrace(frames.to_vec())),
            [
                "k #0  ffffffff8112a4e0 ksys_write  a.c:7",
                "══ syscall write ══",
                "a #1  ffffffff8112a4e0 main  a.c:7",
            ]
        );
    }

    #[test]
    fn a_backtrace_names_stacks_doubts_and_its_end() {
        let mut inner = frame(0, "handle_irq", Origin::Entry, None);
        inner.stack = Some("IRQ stack".to_owned());
        let mut outer = frame(2, "main", Origin::App, None);
        outer.stack = Some("application stack".to_owned());
        outer.certainty = "guess";
        outer.doubt = Some("rbp is taken for a frame pointer".to_owned());
        let found_from_it = |n: u32| Frame {
            doubt: Some("found from a frame that is no surer".to_owned()),
            certainty: "guess",
            ..frame(n, "start", Origin::App, None)
        };
        let mut last = found_from_it(4);
        last.end = Some(debugger::event::StackEnd {
            complete: false,
            what: "no table".to_owned(),
        });
        let mut likely = frame(1, "signal", Origin::App, None);
        likely.certainty = "likely";
        likely.doubt = Some("no table covers the code".to_owned());
        let frames = vec![inner, likely, outer, found_from_it(3), last];
        assert_eq!(
            lines(&Answer::Backtrace(frames)),
            [
                "e #0  ffffffff8112a4e0 handle_irq  a.c:7",
                "a #1  ffffffff8112a4e0 signal ?  a.c:7",
                "      likely: no table covers the code",
                "── application stack ──",
                "a #2  ffffffff8112a4e0 main ??  a.c:7",
                "      guess: rbp is taken for a frame pointer",
                "a #3  ffffffff8112a4e0 start ??  a.c:7",
                "      guess: found from a frame that is no surer",
                "a #4  ffffffff8112a4e0 start ??  a.c:7",
                "ended early: no table",
            ]
        );
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(4096), "4 K");
        assert_eq!(size(0x0060_1000), "6 M");
        assert_eq!(size(0x0068_0000), "6.5 M");
        assert_eq!(size(u64::MAX), "16383.9 P");
    }
}
