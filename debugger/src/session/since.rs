//! What is known of the last crossing, because every instruction since was stepped here.

use super::engine::Engine;
use super::passage::Passage;
use super::trouble::Trouble;
use crate::addr::{Addr, Insns};
use crate::crossing::CrossingKind;
use crate::known::Known;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Since {
    pub(super) passage: Passage,
    /// Instructions executed on the side it led to.
    pub(super) insns: u64,
    /// Where control stands, so that no other stop is taken for this one.
    at: Addr,
}

impl Engine {
    /// Before a single step: what leaves the kernel with it. On the way in it is known afterwards.
    pub(super) fn before_step(&mut self) -> Result<Option<Passage>, Trouble> {
        let pc = self.pc()?;
        let leaves = match &self.symbols {
            Some(_) => self.doors()?.out.contains_key(&pc),
            None => false,
        };
        match leaves {
            true => self.passage(),
            false => Ok(None),
        }
    }

    /// After it.
    pub(super) fn after_step(&mut self, left: Option<Passage>) -> Result<(), Trouble> {
        let pc = self.pc()?;
        let app = self.is_app(pc);
        if let Some(passage) = left.filter(|_| app) {
            self.since = Some(Since {
                passage,
                insns: 0,
                at: pc,
            });
            return Ok(());
        }
        match &mut self.since {
            Some(since) if since.passage.into_kernel != app => {
                since.insns += 1;
                since.at = pc;
            }
            _ => self.since = None,
        }
        self.note_crossing()
    }

    /// Where it stands at the first instruction of a way in, nothing has been executed since.
    pub(super) fn note_crossing(&mut self) -> Result<(), Trouble> {
        if self.symbols.is_none() {
            return Ok(());
        }
        let pc = self.pc()?;
        if self.since.as_ref().is_some_and(|since| since.at == pc) || self.is_app(pc) {
            return Ok(());
        }
        if self.doors()?.way_in(pc).is_none() {
            return Ok(());
        }
        if let Some(passage) = self.passage()? {
            self.since = Some(Since {
                passage,
                insns: 0,
                at: pc,
            });
        }
        Ok(())
    }

    /// A stop of the past is not where it was counted to.
    fn since_now(&self) -> Option<&Since> {
        let since = self.since.as_ref();
        since.filter(|_| !self.target.looks_back())
    }

    /// Instructions of the kernel since the crossing, where each was stepped.
    pub(super) fn stepped_since(&self) -> Option<u64> {
        let since = self.since_now()?;
        since.passage.into_kernel.then_some(since.insns)
    }

    /// Instructions on this side since the crossing of that name.
    pub(super) fn instructions_since(&self, call: &str) -> Known<Insns> {
        match self.since_now() {
            Some(since) if since.passage.into_kernel && since.passage.call == call => {
                Known::Yes(Insns(since.insns))
            }
            _ => Known::no(
                "not each of them was stepped: they are counted from a stop at the crossing on, or by a trace",
            ),
        }
    }

    /// The call that control has come back from, where it stands at the first instruction since.
    pub(super) fn just_back(&self, pc: Addr) -> Option<&Passage> {
        let since = self.since_now()?;
        let back = !since.passage.into_kernel && since.insns == 0 && since.at == pc;
        back.then_some(&since.passage)
    }

    /// Control has run back to the application's frame that made the call.
    pub(super) fn came_back(&mut self, kind: CrossingKind, call: String) -> Result<(), Trouble> {
        let at = self.pc()?;
        self.since = Some(Since {
            passage: Passage {
                kind,
                call,
                into_kernel: false,
                app: at,
                implementation: None,
                values: [None; 6],
                beside: Vec::new(),
            },
            insns: 0,
            at,
        });
        Ok(())
    }

    /// What the call that has just gone back, or is about to, has answered.
    pub(super) fn crossing_result(&mut self) -> Result<u64, String> {
        let unknown = |trouble: Trouble| trouble.to_string();
        let pc = self.pc().map_err(unknown)?;
        let back = self.just_back(pc).is_some();
        let passage = self.passage().map_err(unknown)?;
        if back || passage.is_some_and(|passage| !passage.into_kernel) {
            return self.register("rax").map_err(unknown);
        }
        Err(
            "a call's answer is known where the kernel is left: 'cross' runs there, 'b cross dir out' stops there"
                .to_owned(),
        )
    }
}
