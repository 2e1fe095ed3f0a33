//! Back by source lines: the way here is walked once more, instruction by instruction.

use super::point::Point;
use crate::addr::Addr;
use crate::event::StopReason;
use crate::session::engine::Engine;
use crate::session::trouble::Trouble;

/// Instructions walked at first, and at most: beyond, a breakpoint and 'reverse-continue' are quicker.
const FEW: u64 = 64;
const MOST: u64 = 1 << 16;
const MORE: u64 = 8;

/// A moment on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Moment {
    position: u64,
    pc: Addr,
    sp: u64,
    /// The function, by where it begins, and the line.
    line: (Addr, Option<String>, Option<u32>),
}

impl Moment {
    const fn point(&self) -> Point {
        Point {
            position: self.position,
            pc: Some(self.pc),
        }
    }
}

impl Engine {
    /// `reverse-step`, `reverse-next`: to where the line before this one began, or this one.
    pub(super) fn back_lines(&mut self, count: u64, over: bool) -> Result<StopReason, Trouble> {
        for _ in 0..count {
            match self.back_line(over)? {
                StopReason::Step => {}
                other => return Ok(other),
            }
        }
        Ok(StopReason::Step)
    }

    fn back_line(&mut self, over: bool) -> Result<StopReason, Trouble> {
        let now = self.point()?;
        let mut count = FEW;
        loop {
            let from = now.position.saturating_sub(count);
            let Some(way) = self.walk(from, now)? else {
                return Ok(StopReason::Interrupted);
            };
            if let Some(begin) = line_before(&way, over)
                && (begin > 0 || from == 0)
            {
                return self.arrive(way[begin].point(), StopReason::Step, false);
            }
            if from == 0 {
                return self.arrive(0, StopReason::Beginning, true);
            }
            if count >= MOST {
                return Err(Trouble::new(
                    "stepping back to another source line",
                    format!("none began in the last {MOST} instructions"),
                    "'reverse-finish' goes back to the call, 'reverse-continue' to a breakpoint",
                ));
            }
            count *= MORE;
        }
    }

    /// Every instruction from a position to a point, both ends with it. None where it was interrupted.
    fn walk(&mut self, from: u64, to: Point) -> Result<Option<Vec<Moment>>, Trouble> {
        if !self.seek(from)? {
            return Ok(None);
        }
        let traps = self.target.take_out()?;
        let way = self.walk_bare(to);
        self.target.put_back(&traps)?;
        self.target.met(self.vcpu);
        way
    }

    fn walk_bare(&mut self, to: Point) -> Result<Option<Vec<Moment>>, Trouble> {
        let mut way = Vec::new();
        loop {
            let position = self.target.position()?;
            let (pc, sp) = (self.pc()?, self.sp()?);
            let place = self.place(pc);
            let line = (self.function_around(pc).start, place.file, place.line);
            way.push(Moment {
                position,
                pc,
                sp,
                line,
            });
            if position > to.position || position == to.position && to.pc == Some(pc) {
                return Ok(Some(way));
            }
            self.attend()?;
            if self.interrupted {
                return Ok(None);
            }
            self.tell_progress();
            self.target.step(self.vcpu)?;
        }
    }
}

/// Which moment to go back to from the last one: where the line before it began. With `over`, what the
/// function called in between is passed over: it ran with a deeper stack.
fn line_before(way: &[Moment], over: bool) -> Option<usize> {
    let (now, past) = way.split_last()?;
    let function = now.line.0;
    let is_shown = |moment: &Moment| {
        // From its first instruction a function is left to its caller, over or not.
        !over || now.pc == function || moment.line.0 == function && moment.sp >= now.sp
    };
    let before = past.iter().rposition(is_shown)?;
    let line = &past[before].line;
    // The beginning of that stretch of the line, with what it has called where that is passed over.
    let mut begin = before;
    for (index, moment) in past[..before].iter().enumerate().rev() {
        if moment.line == *line {
            begin = index;
        } else if !over || is_shown(moment) {
            break;
        }
    }
    Some(begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `function line sp`, one moment each.
    fn way(moments: &[(u64, u32, u64)]) -> Vec<Moment> {
        (100..)
            .zip(moments)
            .map(|(position, (function, line, sp))| Moment {
                position,
                pc: Addr(function * 0x1000 + position),
                sp: *sp,
                line: (Addr(function * 0x1000), None, Some(*line)),
            })
            .collect()
    }

    #[test]
    fn within_a_line_its_beginning_is_gone_back_to() {
        let way = way(&[(1, 5, 80), (1, 6, 80), (1, 6, 80), (1, 6, 80)]);
        assert_eq!(line_before(&way, false), Some(1));
        assert_eq!(line_before(&way, true), Some(1));
    }

    #[test]
    fn at_the_beginning_of_a_line_the_one_before_is() {
        let way = way(&[(1, 4, 80), (1, 5, 80), (1, 5, 80), (1, 6, 80)]);
        assert_eq!(line_before(&way, false), Some(1));
    }

    #[test]
    fn what_was_called_is_stepped_into_or_over() {
        let way = way(&[
            (1, 4, 80),
            (1, 5, 80),
            (1, 5, 80),
            (2, 20, 72),
            (2, 21, 64),
            (2, 21, 72),
            (1, 5, 80),
            (1, 6, 80),
        ]);
        assert_eq!(line_before(&way, true), Some(1));
        // The rest of line 5, behind the call.
        assert_eq!(line_before(&way, false), Some(6));
        assert_eq!(line_before(&way[..7], false), Some(4));
    }

    #[test]
    fn what_the_end_of_a_function_pops_is_of_its_line() {
        let way = way(&[(2, 20, 64), (2, 21, 64), (2, 21, 72), (1, 5, 80)]);
        assert_eq!(line_before(&way, false), Some(1));
    }

    #[test]
    fn a_function_is_left_to_its_caller_from_its_first_instruction() {
        let mut way = way(&[(1, 4, 80), (1, 5, 80), (2, 20, 72)]);
        way[2].pc = Addr(0x2000);
        assert_eq!(line_before(&way, true), Some(1));
    }

    #[test]
    fn another_turn_of_a_recursion_is_passed_over() {
        let way = way(&[(1, 5, 80), (1, 5, 60), (1, 6, 60), (1, 6, 80)]);
        assert_eq!(line_before(&way, true), Some(0));
    }
}
