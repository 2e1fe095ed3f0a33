//! When interrupts of the application are waited for.

use crate::session::target::{Target, TargetError, Trap};

/// Of the interrupts between two other crossings no more are kept.
const MOST_IN_A_ROW: u32 = 256;
/// Of a machine whose time goes on while it is stopped and let go: on a busy host the next tick is due there before an
/// instruction was executed.
const MOST_IN_REAL_TIME: u32 = 8;

/// Where interrupts arrive. They are waited for while the application runs alone: in the kernel one would follow
/// the other, and the guest would come to nothing else.
pub(super) struct Interrupts {
    most: u32,
    traps: Vec<Trap>,
    are_planted: bool,
    /// So many more are kept before another crossing comes.
    left: u32,
    /// How often there were none left.
    passed: u64,
}

impl Interrupts {
    /// `by_instructions`: the machine's time goes by its instructions.
    pub(super) const fn new(by_instructions: bool) -> Self {
        Self {
            most: if by_instructions {
                MOST_IN_A_ROW
            } else {
                MOST_IN_REAL_TIME
            },
            traps: Vec::new(),
            are_planted: false,
            left: 0,
            passed: 0,
        }
    }

    /// One more trap, which is planted.
    pub(super) fn add(&mut self, trap: Trap) {
        self.traps.push(trap);
        self.are_planted = true;
    }

    /// Another crossing than an interrupt was made.
    pub(super) const fn another_came(&mut self) {
        self.left = self.most;
    }

    pub(super) const fn one_came(&mut self) {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.passed += 1;
        }
    }

    /// A crossing is back.
    pub(super) fn application_runs(&mut self, target: &mut Target) -> Result<(), TargetError> {
        if self.left > 0 {
            return self.plant(target);
        }
        self.take_out(target)
    }

    /// What is to be said of those that were not kept.
    pub(super) fn passed_note(&self) -> String {
        match self.passed {
            0 => String::new(),
            passed => format!(
                "; {passed} times there were {} interrupts in a row, and those that followed are not kept",
                self.most
            ),
        }
    }

    fn plant(&mut self, target: &mut Target) -> Result<(), TargetError> {
        if !std::mem::replace(&mut self.are_planted, true) {
            target.put_back(&self.traps)?;
        }
        Ok(())
    }

    pub(super) fn take_out(&mut self, target: &mut Target) -> Result<(), TargetError> {
        if std::mem::take(&mut self.are_planted) {
            target.take_out_these(&self.traps)?;
        }
        Ok(())
    }
}
