//! Everything a live session owns, and the questions every command asks of it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use super::book::Book;
use super::doors::Doors;
use super::handle::{Message, Port};
use super::passage::Prototypes;
use super::process::Qemu;
use super::target::{Registers, Target};
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::crossing::Mode;
use crate::event::{Place, Stop, StopReason, TargetInfo, Vcpu};
use crate::origin::Origin;
use crate::profile::Profile;
use crate::symbols::Symbols;
use crate::symbols::unwind::Backtrace;

#[derive(Debug)]
pub(super) struct Engine {
    pub(super) port: Port,
    /// Commands that came while another was being carried out.
    pub(super) waiting: VecDeque<Message>,
    /// Who has joined.
    pub(super) joining: super::joining::Joining,
    pub(super) target: Target,
    /// Ours, when the session started it; ends with the session.
    pub(super) qemu: Option<Qemu>,
    pub(super) symbols: Option<Symbols>,
    pub(super) info: TargetInfo,
    pub(super) sources: Sources,
    pub(super) book: Book,
    pub(super) doors: Option<Arc<Doors>>,
    /// Parameters by the call's name, as they were asked for.
    pub(super) prototypes: Prototypes,
    /// The last crossing, while every instruction since was stepped.
    pub(super) since: Option<super::since::Since>,
    /// The vCPU that stopped last.
    pub(super) vcpu: Vcpu,
    /// The selected frame.
    pub(super) frame: u32,
    /// The command at work.
    pub(super) course: super::course::Course,
    /// The other vCPUs run while the one in focus is stepped.
    pub(super) others: bool,
    /// Where the application's main was reached: the root of its page tables.
    pub(super) app_space: Option<u64>,
    /// Where interrupts come in, once that was asked.
    pub(super) gates: Option<super::gates::Gates>,
    /// The stops before this one.
    pub(super) stops: super::stops::Stops,
    /// The user asked to stop what is at work.
    pub(super) interrupted: bool,
    /// When a run that goes on by itself is given up.
    pub(super) deadline: Option<std::time::Instant>,
    /// The deadline is what stopped it.
    pub(super) late: bool,
    /// It runs with no end in sight.
    pub(super) free: bool,
    /// It is to run as soon as the session is open.
    pub(super) run_freely: bool,
    /// Where it stands; none before the first stop.
    pub(super) stop: Option<Stop>,
    /// The stack as it was followed last, and when and of which vCPU that was.
    pub(super) unwound: Option<((u64, Vcpu), Arc<Backtrace>)>,
    /// Functions that were disassembled last.
    pub(super) decoded: super::listing::Decoded,
    /// Source files that were shown last.
    pub(super) source_files: super::source_files::SourceFiles,
    /// What is shown at each stop.
    pub(super) watches: super::watches::Watches,
    /// What was printed, for `$` and `$1`.
    pub(super) history: Vec<super::expression::Value>,
    /// What the breakpoints that stopped last are still to do.
    pub(super) due: Vec<super::hit::Due>,
    /// Of a machine that replays a recording: where it can go.
    pub(super) replay: Option<super::replay::Replay>,
    /// How memory is read while the target runs.
    pub(super) beside: super::beside::Beside,
}

/// Where source files are looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    /// The kernel's tree.
    pub(super) kernel: Option<PathBuf>,
}

impl Engine {
    pub(super) fn registers(&mut self) -> Result<Registers, Trouble> {
        Ok(self.target.registers(self.vcpu)?)
    }

    pub(super) fn pc(&mut self) -> Result<Addr, Trouble> {
        self.register("rip").map(Addr)
    }

    pub(super) fn sp(&mut self) -> Result<u64, Trouble> {
        self.register("rsp")
    }

    pub(super) fn register(&mut self, name: &str) -> Result<u64, Trouble> {
        self.registers()?.get(name).ok_or_else(|| {
            Trouble::new(
                format!("reading the register {name}"),
                "the target does not have it",
                "'info registers' lists what it has",
            )
        })
    }

    pub(super) fn word(&mut self, at: Addr) -> Result<u64, Trouble> {
        let mut bytes = [0; 8];
        self.target.read(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(super) fn origin(&self, at: Addr) -> Origin {
        self.symbols
            .as_ref()
            .map_or(Origin::Unknown, |symbols| symbols.origin(at))
    }

    /// Whether code there is the application's side of the boundary: the user half, or the
    /// application's part of the kernel image.
    pub(super) fn is_app(&self, at: Addr) -> bool {
        let linked = |symbols: &Symbols| symbols.boundary().app_text.contains(at);
        !at.in_kernel_half() || self.symbols.as_ref().is_some_and(linked)
    }

    /// What this family of kernels calls the places at the boundary.
    pub(super) fn profile(&self) -> Arc<Profile> {
        let symbols = self.symbols.as_ref();
        symbols.map_or_else(Profile::linux, |symbols| Arc::clone(symbols.profile()))
    }

    pub(super) fn place(&self, at: Addr) -> Place {
        match &self.symbols {
            Some(symbols) => place_of(symbols.place(at)),
            None => Place {
                addr: at,
                ..Place::default()
            },
        }
    }

    /// `<ksys_write+4>`
    pub(super) fn near(&self, at: Addr) -> Option<String> {
        let symbol = self.symbols.as_ref()?.at(at)?;
        Some(match at - symbol.addr {
            0 => format!("<{}>", symbol.name),
            offset => format!("<{}+{offset}>", symbol.name),
        })
    }

    /// Whether the application is a ring-3 program of its own.
    pub(super) fn has_twin(&self) -> bool {
        self.info.mode == Some(Mode::Linux) || self.symbols.as_ref().is_some_and(Symbols::has_twin)
    }

    /// What the command that runs the target comes back with.
    pub(super) fn stopped(&mut self, reason: StopReason) -> Result<Stop, Trouble> {
        let pc = self.pc()?;
        let place = self.place(pc);
        let note = self.note_at(pc);
        let position = match &mut self.replay {
            Some(replay) => {
                let at = self.target.position()?;
                replay.stands(at);
                Some(at)
            }
            None => None,
        };
        self.note_crossing()?;
        let stop = Stop {
            reason,
            vcpu: self.vcpu,
            place,
            stepped: Some(crate::addr::Insns(self.course.steps)).filter(|steps| steps.0 > 0),
            passed: self.course.passed,
            position,
            note,
        };
        self.frame = 0;
        self.stop = Some(stop.clone());
        Ok(stop)
    }
}

pub(super) fn place_of(data: crate::symbols::PlaceData) -> Place {
    Place {
        addr: data.addr,
        symbol: data.symbol,
        offset: data.offset,
        origin: data.origin,
        file: data.file,
        line: data.line,
    }
}
