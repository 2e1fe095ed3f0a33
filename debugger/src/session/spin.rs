//! Notices that single steps go round in a loop that waits for what stands still in them.

use std::collections::BTreeSet;

use crate::addr::Addr;
use crate::disasm::Decoded;

/// Steps looked at together.
const WINDOW: u32 = 1_024;

/// More different instructions than a loop that waits has.
const LOOP: usize = 128;

/// What a loop looks at, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waits {
    /// `pause`: for another CPU, or for an interrupt.
    Pause,
    /// The time-stamp counter.
    TimeStamp,
    /// The timer interrupt's count.
    Jiffies,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Spin {
    steps: u32,
    seen: BTreeSet<Addr>,
    waits: Option<Waits>,
    /// Those of the window before.
    before: BTreeSet<Addr>,
    told: bool,
}

impl Waits {
    /// `jiffies` is where the kernel counts timer interrupts.
    pub(super) fn of(instruction: &Decoded, jiffies: Option<Addr>) -> Option<Self> {
        if jiffies.is_some() && instruction.memory == jiffies {
            Some(Self::Jiffies)
        } else if instruction.reads_time_stamp() {
            Some(Self::TimeStamp)
        } else if instruction.is_pause() {
            Some(Self::Pause)
        } else {
            None
        }
    }

    pub(super) fn explanation(self) -> String {
        format!("{}; {}", self.sentence(), Self::NEXT)
    }

    /// The next step to take.
    pub(super) const NEXT: &str =
        "'finish' or 'until LOCATION' lets time and the other vCPUs go on";

    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Pause => {
                "it goes round in a loop that waits ('pause'), for another CPU or for an interrupt: neither comes while stepping"
            }
            Self::TimeStamp => {
                "it goes round in a loop that waits for time to pass (it reads the time-stamp counter): while stepping, time all but stands still"
            }
            Self::Jiffies => {
                "it goes round in a loop that waits for time to pass (it reads jiffies): no timer interrupt comes while stepping"
            }
        }
    }
}

impl Spin {
    /// Takes in one step; an answer once, when it is sure.
    pub(super) fn step(&mut self, pc: Addr, waits: Option<Waits>) -> Option<Waits> {
        self.steps += 1;
        self.seen.insert(pc);
        self.waits = self.waits.max(waits);
        if self.steps < WINDOW {
            return None;
        }
        let seen = std::mem::take(&mut self.seen);
        let waits = self.waits.take();
        self.steps = 0;
        let same = seen == self.before && seen.len() <= LOOP;
        self.before = seen;
        if !same || self.told {
            return None;
        }
        self.told = waits.is_some();
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disasm::decode;

    /// The waits that a loop over so many addresses is found to be, and after how many steps.
    fn found(length: u64, waits: Option<Waits>, steps: u64) -> Option<(Waits, u64)> {
        let mut spin = Spin::default();
        (1..=steps).find_map(|step| {
            let pc = Addr(step % length);
            let here = waits.filter(|_| pc == Addr(0));
            spin.step(pc, here).map(|waits| (waits, step))
        })
    }

    #[test]
    fn a_loop_that_waits_is_noticed() {
        let window = u64::from(WINDOW);
        let time = Some(Waits::TimeStamp);
        assert_eq!(
            found(7, time, 9 * window),
            Some((Waits::TimeStamp, 2 * window))
        );
        assert_eq!(found(7, None, 9 * window), None, "it computes");
        assert_eq!(found(500, time, 9 * window), None, "too much goes on in it");
        assert_eq!(found(100_000, time, 9 * window), None, "it goes on");
    }

    #[test]
    fn it_is_told_once() {
        let mut spin = Spin::default();
        let told = (0..20 * WINDOW)
            .filter(|_| spin.step(Addr(1), Some(Waits::Pause)).is_some())
            .count();
        assert_eq!(told, 1);
    }

    #[test]
    fn what_it_waits_for_is_in_the_instruction() {
        let of =
            |bytes: &[u8]| Waits::of(&decode(bytes, Addr(0x1000)).unwrap(), Some(Addr(0x2000)));
        assert_eq!(of(&[0x0f, 0x31]), Some(Waits::TimeStamp));
        assert_eq!(of(&[0x0f, 0x01, 0xf9]), Some(Waits::TimeStamp));
        assert_eq!(of(&[0xf3, 0x90]), Some(Waits::Pause));
        // mov rax,[0x2000]
        assert_eq!(
            of(&[0x48, 0x8b, 0x04, 0x25, 0, 0x20, 0, 0]),
            Some(Waits::Jiffies)
        );
        assert_eq!(of(&[0x90]), None);
    }
}
