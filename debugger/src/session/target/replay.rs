//! A machine that replays: where it stands in its recording, its snapshots, and what may not be done.
//!
//! All of it goes through the stub's monitor, in turn with everything else that is asked of it:
//! commands on another connection of QEMU's would let stops come that nobody waits for.

use crate::addr::Addr;
use crate::event::Vcpu;
use crate::gdb::reply::Monitor;
use crate::gdb::request::{Request, Trap};
use crate::qemu::replay::{self, Snapshot};
use crate::trace::recording::Passed;

use super::{Target, TargetError, refused};

impl Target {
    /// Whether the machine replays a recording, so that it can go back.
    #[must_use]
    pub fn replays(&self) -> bool {
        self.supported.has("ReverseStep") && self.supported.has("ReverseContinue")
    }

    /// The crossing that it stands at a side of, where the machine is a recording of those.
    pub fn passed(&mut self) -> Option<Passed> {
        self.link.stub()?.passed()
    }

    /// Whether it is such a recording, with nothing between the sides of its crossings.
    #[must_use]
    pub const fn is_states(&self) -> bool {
        self.link.is_states()
    }

    /// Whether the machine was kept at one of these instructions; anywhere, where it is no recording of states.
    pub fn comes_to(&mut self, places: &[Addr]) -> bool {
        match self.link.stub() {
            Some(stub) => stub.comes_to(places),
            None => true,
        }
    }

    /// Which of its vCPUs that is.
    pub fn crossing_vcpu(&mut self) -> Option<Vcpu> {
        Some(self.link.stub()?.crossing_vcpu())
    }

    /// How many instructions were executed since the machine's reset.
    ///
    /// # Errors
    /// While the target runs, and when it does not replay.
    pub fn position(&mut self) -> Result<u64, TargetError> {
        let answer = self.monitor_text("info replay")?;
        replay::position(&answer).ok_or(TargetError::NoReplay { said: answer })
    }

    /// The next resume ends there with signal 2, if nothing ends it before.
    ///
    /// # Errors
    /// When the position lies behind.
    pub fn stop_at(&mut self, position: u64) -> Result<(), TargetError> {
        self.stop_nowhere()?;
        self.replay_command(format!("replay_break {position}"))
    }

    /// What is kept of the machine, oldest position first.
    ///
    /// # Errors
    /// While the target runs.
    pub fn snapshots(&mut self) -> Result<Vec<Snapshot>, TargetError> {
        Ok(replay::snapshots(&self.monitor_text("info snapshots")?))
    }

    /// Keeps the machine as it is now.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn save(&mut self, name: &str) -> Result<(), TargetError> {
        self.replay_command(format!("savevm {name}"))
    }

    /// Goes to where a snapshot was taken.
    ///
    /// # Errors
    /// When it is not there, or is another machine's.
    pub fn load(&mut self, name: &str) -> Result<(), TargetError> {
        self.forget();
        self.stub_selected = None;
        self.reported.clear();
        self.again.forget();
        self.stop_nowhere()?;
        self.replay_command(format!("loadvm {name}"))
    }

    /// QEMU ends itself where a new position is set and the one before lies behind: after a snapshot
    /// from further on was loaded.
    fn stop_nowhere(&mut self) -> Result<(), TargetError> {
        self.replay_command("replay_delete_break".to_owned())
    }

    /// # Errors
    /// When it is not there.
    pub fn drop_snapshot(&mut self, name: &str) -> Result<(), TargetError> {
        self.replay_command(format!("delvm {name}"))
    }

    /// Takes every trap out of the machine; they go on being counted. [`Self::put_back`] plants them
    /// again.
    ///
    /// # Errors
    /// When the stub refuses.
    pub fn take_out(&mut self) -> Result<Vec<Trap>, TargetError> {
        let traps: Vec<Trap> = self.traps.standing().collect();
        self.take_out_these(&traps)?;
        Ok(traps)
    }

    /// As [`Self::take_out`], of these alone.
    ///
    /// # Errors
    /// When the stub refuses.
    pub fn take_out_these(&mut self, traps: &[Trap]) -> Result<(), TargetError> {
        let requests: Vec<Request> = traps.iter().copied().map(Request::Remove).collect();
        let replies = self.batch(&requests)?;
        for (request, payload) in requests.iter().zip(&replies) {
            crate::gdb::reply::ok(payload).map_err(|source| refused(request, source))?;
        }
        self.out.extend(traps);
        Ok(())
    }

    /// # Errors
    /// When the stub refuses.
    pub fn put_back(&mut self, traps: &[Trap]) -> Result<(), TargetError> {
        self.out.retain(|trap| !traps.contains(trap));
        self.plant_again(traps)
    }

    /// What was, cannot be changed: the rest of the recording would not fit it any more.
    pub(super) fn may_change(&self, tried: &str) -> Result<(), TargetError> {
        match self.replays() {
            true => Err(TargetError::Past {
                tried: tried.to_owned(),
            }),
            false => self.needs_machine(tried),
        }
    }

    fn replay_command(&mut self, command: String) -> Result<(), TargetError> {
        let said = self.monitor_text(&command)?;
        match said.trim() {
            "" => Ok(()),
            said => Err(TargetError::Monitor {
                command,
                said: said.to_owned(),
            }),
        }
    }

    /// QEMU's monitor, for a command that changes nothing that was read.
    pub(super) fn monitor_text(&mut self, command: &str) -> Result<String, TargetError> {
        self.needs_machine("asking the monitor")?;
        let request = Request::Monitor(command.to_owned());
        self.send(&request)?;
        let mut text = Vec::new();
        loop {
            let payload = self.next_reply(&request, self.timeout)?;
            match Monitor::decode(&payload).map_err(|source| refused(&request, source))? {
                Monitor::Output(part) => text.extend(part),
                Monitor::Done => return Ok(String::from_utf8_lossy(&text).replace("\r\n", "\n")),
            }
        }
    }
}
