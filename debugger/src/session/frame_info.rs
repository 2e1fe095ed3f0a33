//! `info frame`: all that is known of the selected frame.

use super::engine::Engine;
use super::trouble::Trouble;
use crate::event::{Answer, Frame, Place};
use crate::symbols::unwind::{Reg, UnwoundFrame};

/// Registers in one line.
const IN_A_LINE: usize = 4;

impl Engine {
    pub(super) fn frame_info(&mut self) -> Result<Answer, Trouble> {
        let n = usize::try_from(self.frame).unwrap_or(usize::MAX);
        let frames = self.backtrace(None)?;
        let frame = frames.get(n).or(frames.first()).cloned();
        let frame = frame.unwrap_or_default();
        let mut lines = vec![format!("frame {}: {}", frame.n, named(&frame.place))];
        if let (Some(file), Some(line)) = (&frame.place.file, frame.place.line) {
            lines.push(format!("line {line} of {file}"));
        }
        lines.extend(frame.sp.map(|sp| match &frame.stack {
            Some(stack) => format!("stack pointer {sp:?}, on the {stack}"),
            None => format!("stack pointer {sp:?}"),
        }));
        let doubt = frame.doubt.iter().map(|doubt| format!(": {doubt}"));
        let doubt: String = doubt.collect();
        lines.push(format!(
            "found by {}, {}{doubt}",
            frame.found_by, frame.certainty
        ));
        lines.push(caller(&frame, frames.get(n + 1)));
        if self.symbols.is_some() {
            let backtrace = self.unwind(None)?;
            let level = self.selected(&backtrace)?.level;
            if let Some(unwound) = backtrace.frames.get(level) {
                lines.extend(self.kept(unwound, backtrace.frames.get(level + 1)));
            }
        }
        Ok(Answer::Text(lines))
    }

    /// What of it is known by its place on the stack, and the registers that are known in it.
    fn kept(&mut self, frame: &UnwoundFrame, caller: Option<&UnwoundFrame>) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(cfa) = frame.cfa {
            lines.push(format!("its caller's stack pointer (CFA) is {cfa:?}"));
            let slot = cfa.wrapping_sub(8);
            if let Some(caller) = caller
                && self.word(slot).is_ok_and(|word| word == caller.pc.0)
            {
                lines.push(format!("its return address lies at {slot:?}"));
            }
        }
        let known = frame.registers.iter();
        let known = known.filter_map(|(name, value)| Some(format!("{name} {:#x}", value?)));
        let known: Vec<String> = known.collect();
        lines.extend(known.chunks(IN_A_LINE).map(|some| some.join("  ")));
        let lost: Vec<&str> = (0..=Reg::RIP.0)
            .map(Reg)
            .filter(|register| frame.registers.get(*register).is_none())
            .map(Reg::name)
            .collect();
        if !lost.is_empty() {
            lines.push(format!("not known in it: {}", lost.join(", ")));
        }
        lines
    }
}

fn named(place: &Place) -> String {
    let at = place.addr;
    match &place.symbol {
        Some(symbol) if place.offset == 0 => format!("{at:?} in {symbol} of {}", place.origin),
        Some(symbol) => format!("{at:?} in {symbol}+{:#x} of {}", place.offset, place.origin),
        None => format!("{at:?}, of which no name is known"),
    }
}

fn caller(frame: &Frame, next: Option<&Frame>) -> String {
    let Some(next) = next else {
        return match &frame.end {
            Some(end) => format!("no caller: {}", end.what),
            None => "no caller".to_owned(),
        };
    };
    let how = match (frame.inlined, next.crossing) {
        (true, _) => "inlined into".to_owned(),
        (false, Some(kind)) => {
            let call = next.call.as_deref().unwrap_or_default();
            format!("entered by the crossing {kind} {call} from")
        }
        (false, None) => "called by".to_owned(),
    };
    format!("{how} frame {}: {}", next.n, named(&next.place))
}
