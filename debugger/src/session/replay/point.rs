//! A point of the recording's time. Where an interrupt or a fault comes, several have one position: the instruction
//! before which it comes, and the handler's first one. QEMU stops at either of them, as it happens.

use crate::addr::{Addr, Insns};
use crate::event::Stop;
use crate::session::engine::Engine;
use crate::session::trouble::Trouble;

/// Steps within one position: an interrupt's handler may begin with a fault, and that one's with another.
const WITHIN: u32 = 4;

/// How often a position is gone to before an instruction of it is given up: a halted machine cannot be stepped to.
const TRIES: u32 = 3;

/// Bytes of the longest instruction.
const LONGEST: u64 = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Point {
    pub position: u64,
    /// The instruction executed next; where none is named, the one before which anything comes there.
    pub pc: Option<Addr>,
}

impl From<u64> for Point {
    fn from(position: u64) -> Self {
        Self { position, pc: None }
    }
}

impl Point {
    /// Where a machine that replays has stopped.
    pub(in crate::session) fn of(stop: &Stop) -> Option<Self> {
        Some(Self {
            position: stop.position?,
            pc: Some(stop.place.addr),
        })
    }
}

impl Engine {
    pub(in crate::session) fn point(&mut self) -> Result<Point, Trouble> {
        Ok(Point {
            position: self.target.position()?,
            pc: Some(self.pc()?),
        })
    }

    /// Where the machine was an instruction ago, or before what has come.
    pub(super) fn point_before(&mut self) -> Result<Point, Trouble> {
        let position = self.target.position()?;
        let pc = self.pc()?;
        if self.begins_handler(pc) {
            return Ok(position.into());
        }
        let near = pc.wrapping_sub(LONGEST)..pc;
        let handler = self.handlers().range(near).next_back();
        let handler = handler.map(|(at, _)| *at);
        let behind = match handler {
            Some(at) => self.instruction(at)?.map(|first| at + first.len as u64),
            None => None,
        };
        Ok(Point {
            position: position.saturating_sub(1),
            pc: handler.filter(|_| behind == Some(pc)),
        })
    }

    /// Whether a stop here, at the position of `upper`, lies before it.
    pub(super) fn is_before(&mut self, upper: Point) -> Result<bool, Trouble> {
        let pc = self.pc()?;
        let handled = upper.pc.is_some_and(|upper| self.begins_handler(upper));
        Ok(handled && upper.pc != Some(pc))
    }

    /// From one of the points at this position to that one.
    pub(super) fn settle(&mut self, to: Point) -> Result<bool, Trouble> {
        // Each of its states has a position of its own.
        if self.target.is_states() {
            return Ok(true);
        }
        for _ in 0..TRIES {
            let pc = self.pc()?;
            let has_begun = self.begins_handler(pc);
            match to.pc {
                Some(wanted) if wanted == pc => return Ok(true),
                None if !has_begun => return Ok(true),
                Some(_) if !has_begun => {}
                _ if !self.seek_position(to.position.saturating_sub(1))? => return Ok(false),
                _ => {}
            }
            if self.step_to(to)? {
                return Ok(true);
            }
            if !self.seek_position(to.position)? {
                return Ok(false);
            }
        }
        Err(Trouble::new(
            format!("going to position {}", Insns(to.position)),
            format!(
                "what is executed there is not {:#x}",
                to.pc.unwrap_or_default().0
            ),
            "'goto POSITION' goes there whatever is executed",
        ))
    }

    fn step_to(&mut self, to: Point) -> Result<bool, Trouble> {
        for _ in 0..=WITHIN {
            self.target.step(self.vcpu)?;
            let here = self.point()?;
            if here.position > to.position {
                return Ok(false);
            }
            if here.position == to.position && (to.pc.is_none() || here.pc == to.pc) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
