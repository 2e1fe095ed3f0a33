//! Folded stacks: `frame;frame;frame COUNT` a line, the outermost frame first, as flamegraph.pl's
//! stackcollapse scripts and `uklscope export --to folded` write them.

use std::borrow::Cow;

use memchr::memrchr;

use super::{Format, INSTRUCTIONS, NoStacks, Stacks};
use crate::count::{counted, either};
use crate::crossing::{CrossingKind, Setup};
use crate::origin::Origin;
use crate::trace::flame::Builder;

/// A frame of the line before, and where it ends in that line.
struct Open {
    end: usize,
    at: usize,
}

#[derive(Default)]
struct Passed {
    lines: usize,
    first: usize,
}

pub(super) fn read(bytes: &[u8]) -> Result<Stacks<'_>, NoStacks> {
    let ours = is_ours(bytes);
    let mode = ours.then(|| one_mode(bytes)).flatten();
    let mut builder = Builder::new("all".into(), Origin::Unknown);
    let mut passed = Passed::default();
    let mut total = 0u64;
    let (mut before, mut open): (&[u8], Vec<Open>) = (&[], Vec::new());
    for (number, line) in lines(bytes).enumerate() {
        if line.is_empty() {
            continue;
        }
        let read =
            split(line).and_then(|(stack, count)| Some((stack, total.checked_add(count)?, count)));
        let Some((stack, sum, count)) = read else {
            passed.lines += 1;
            if passed.lines == 1 {
                passed.first = number + 1;
            }
            continue;
        };
        total = sum;
        // Lines mostly share their callers with the one before.
        let same = shared(before, stack);
        open.retain(|frame| same.is_some_and(|same| frame.end <= same));
        let mut at = open.last().map_or(Builder::ROOT, |frame| frame.at);
        let from = open.last().map_or(0, |frame| frame.end + 1);
        for (name, end) in frames(stack, from, ours, mode.is_some()) {
            let (name, origin) = marked(name);
            if !name.is_empty() {
                at = builder.child(at, name, origin);
            }
            open.push(Open { end, at });
        }
        builder.count(at, count, None);
        before = stack;
    }
    if before.is_empty() {
        return Err(NoStacks::Lines);
    }
    let mut notes = Vec::new();
    if passed.lines > 0 {
        notes.push(format!(
            "{} {} passed over: no 'frame;frame COUNT', or a sum past 64 bits; the first is line {}",
            counted(passed.lines, "line"),
            either(passed.lines, "is", "are"),
            passed.first
        ));
    }
    Ok(Stacks {
        format: Format::Folded,
        unit: ours.then(|| INSTRUCTIONS.into()),
        mode,
        flame: builder.laid_out(&[Builder::ROOT]),
        notes,
    })
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    // A comment is as good as an empty line.
    whole.map(|line| if line.starts_with(b"#") { &[] } else { line })
}

/// The stack and its count.
fn split(line: &[u8]) -> Option<(&[u8], u64)> {
    let space = memrchr(b' ', line)?;
    let count = std::str::from_utf8(&line[space + 1..]).ok()?.parse().ok()?;
    let stack = line[..space].trim_ascii_end();
    (!stack.is_empty()).then_some((stack, count))
}

/// Where the last frame ends that both have with all its callers.
fn shared(a: &[u8], b: &[u8]) -> Option<usize> {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    // A frame ends where its line does, or before a semicolon.
    let ends = |line: &[u8]| line.get(same).is_none_or(|byte| *byte == b';');
    if ends(a) && ends(b) {
        Some(same)
    } else {
        memrchr(b';', &a[..same])
    }
}

/// The frames from an offset on, and where each ends. Of our own exports kind and call are one frame, and
/// the mode is none where all lines have the same.
fn frames(
    stack: &[u8],
    from: usize,
    ours: bool,
    one_mode: bool,
) -> impl Iterator<Item = (Cow<'_, str>, usize)> {
    let mut at = from;
    std::iter::from_fn(move || {
        let rest = stack.get(at..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr(b';', rest).unwrap_or(rest.len());
        let mut end = at + length;
        let mut name = String::from_utf8_lossy(&rest[..length]);
        let before = || stack[..at].iter().filter(|byte| **byte == b';').count();
        match ours.then(before) {
            Some(0) if one_mode => name = "".into(),
            Some(1) => {
                let call = rest.get(length + 1..).unwrap_or_default();
                let call = &call[..memchr::memchr(b';', call).unwrap_or(call.len())];
                end += 1 + call.len();
                name = format!("{name} {}", String::from_utf8_lossy(call)).into();
            }
            _ => {}
        }
        at = end + 1;
        Some((name, end))
    })
}

/// `do_syscall_64_[k]` is one of the kernel's; of which part of it is not said.
fn marked(name: Cow<'_, str>) -> (Cow<'_, str>, Origin) {
    const MARK: &str = "_[k]";
    if !name.ends_with(MARK) {
        return (name, Origin::Unknown);
    }
    let length = name.len() - MARK.len();
    let plain = match name {
        Cow::Borrowed(name) => Cow::Borrowed(&name[..length]),
        Cow::Owned(mut name) => {
            name.truncate(length);
            Cow::Owned(name)
        }
    };
    (plain, Origin::kernel_source(""))
}

/// The mode of a line that begins as those of our exports do: `linux;syscall;read;`.
fn head(line: &[u8]) -> Option<&[u8]> {
    let mut parts = line.splitn(4, |byte| *byte == b';');
    let (mode, kind) = (parts.next()?, parts.next()?);
    let is_mode = std::str::from_utf8(mode).is_ok_and(|mode| mode.parse::<Setup>().is_ok());
    let is_kind = CrossingKind::ALL
        .iter()
        .any(|of| of.name().as_bytes() == kind);
    let has_frames = parts.next().is_some() && parts.next().is_some();
    (is_mode && is_kind && has_frames).then_some(mode)
}

/// All lines with a count do.
fn is_ours(bytes: &[u8]) -> bool {
    let mut stacks = lines(bytes).filter_map(split).peekable();
    stacks.peek().is_some() && stacks.all(|(stack, _)| head(stack).is_some())
}

/// The mode of all lines.
fn one_mode(bytes: &[u8]) -> Option<Setup> {
    let mut modes = lines(bytes).filter_map(|line| head(split(line)?.0));
    let first = modes.next()?;
    let same = modes.all(|mode| mode == first);
    std::str::from_utf8(first)
        .ok()?
        .parse()
        .ok()
        .filter(|_| same)
}
