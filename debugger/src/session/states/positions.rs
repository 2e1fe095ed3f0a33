//! The states of a recording by their numbers, and the memory at each.

use std::path::Path;
use std::sync::Arc;

use crate::addr::Addr;
use crate::gdb::description::Description;
use crate::gdb::registers::Registers;
use crate::session::trouble::Trouble;
use crate::symbols::Contents;
use crate::trace::recording::{Machine, PIECE, State, Stored};

/// What a recording holds of the machine.
#[derive(Debug)]
pub(in crate::session) struct Positions {
    stored: Stored,
    run: usize,
    pub(super) machine: Machine,
    description: Arc<Description>,
    list: Vec<Position>,
    /// The block that was looked at last.
    loaded: (usize, Vec<State>),
    /// The image's code and constants.
    contents: Option<Contents>,
    /// How many the machine has.
    pub(super) vcpus: u32,
    /// Blocks that could not be read.
    pub(super) damaged: usize,
}

#[derive(Clone, Copy, Debug)]
struct Position {
    block: usize,
    /// Which of its states.
    at: usize,
    pc: Option<Addr>,
    /// The one that crosses.
    vcpu: u32,
}

impl Positions {
    /// Of the first run that has states.
    ///
    /// # Errors
    /// When none has, or they cannot be read.
    pub(super) fn open(
        path: &Path,
        stored: Stored,
        contents: Option<Contents>,
    ) -> Result<Self, Trouble> {
        let trouble = |found: &str, next: &str| {
            Trouble::new(format!("opening {}", path.display()), found, next)
        };
        let with_states = stored.runs().iter().position(|run| run.has_states());
        let Some(run) = with_states else {
            return Err(trouble(
                "it holds crossings, and not the machine at them",
                "'uklscope open' shows it; 'uklscope trace IMAGE --engine stub --state -o FILE' keeps \
                 registers and memory, 'uklscope record' a whole run",
            ));
        };
        let machine = stored.machine(run);
        let machine = machine.ok_or_else(|| {
            trouble(
                "what describes its machine is damaged",
                "record it again; 'uklscope open' shows its crossings",
            )
        })?;
        let document = |name: &str| machine.documents.get(name).cloned().ok_or_else(String::new);
        let target_xml = document("target.xml").unwrap_or_default();
        let description = Description::parse(&target_xml, &mut |name| document(name))
            .map_err(|error| trouble(&error.to_string(), "record it again"))?;
        let mut positions = Self {
            run,
            description: Arc::new(description),
            machine,
            list: Vec::new(),
            loaded: (0, Vec::new()),
            contents,
            vcpus: 1,
            damaged: 0,
            stored,
        };
        positions.count();
        match positions.list.is_empty() {
            true => Err(trouble("its states are damaged", "record it again")),
            false => Ok(positions),
        }
    }

    fn count(&mut self) {
        for block in 0..self.stored.state_blocks(self.run) {
            let Some(states) = self.stored.states(self.run, block) else {
                self.damaged += 1;
                continue;
            };
            let description = &self.description;
            let numbers = states.iter().flat_map(|state| {
                let others = state.others.iter().map(|other| other.vcpu);
                others.chain([state.vcpu])
            });
            self.vcpus = numbers
                .map(|number| number.saturating_add(1))
                .fold(self.vcpus, u32::max);
            let each = states.iter().enumerate().map(|(at, state)| Position {
                block,
                at,
                pc: registers(description, state).pc(),
                vcpu: state.vcpu,
            });
            self.list.extend(each);
            if self.loaded.1.is_empty() {
                self.loaded = (block, states);
            }
        }
    }

    /// The number of the last one.
    pub(super) const fn last(&self) -> usize {
        self.list.len() - 1
    }

    pub(super) fn pc(&self, number: usize) -> Option<Addr> {
        self.list.get(number)?.pc
    }

    /// The one that crosses there.
    pub(super) fn vcpu(&self, number: usize) -> u32 {
        self.list.get(number).map_or(0, |position| position.vcpu)
    }

    /// `None` where there is none of that number.
    pub(super) fn state(&mut self, number: usize) -> Option<&State> {
        let Position { block, at, .. } = *self.list.get(number)?;
        if self.loaded.0 != block {
            self.loaded = (block, self.stored.states(self.run, block)?);
        }
        self.loaded.1.get(at)
    }

    /// Of one of its vCPUs; `None` where they were not kept.
    pub(super) fn registers(&mut self, number: usize, vcpu: u32) -> Option<Registers> {
        let description = Arc::clone(&self.description);
        let state = self.state(number)?;
        if state.vcpu == vcpu {
            return Some(registers(&description, state));
        }
        let other = state.others.iter().find(|other| other.vcpu == vcpu)?;
        Some(Registers::new(description, other.registers.clone()))
    }

    /// `None` where a byte of it is not known.
    pub(super) fn read(&mut self, number: usize, addr: u64, len: u64) -> Option<Vec<u8>> {
        let end = addr.checked_add(len)?;
        let mut bytes = Vec::new();
        let mut at = addr;
        while at < end {
            let start = at & !(PIECE - 1);
            let piece = self.piece(number, start)?;
            let upto = end.min(start.saturating_add(PIECE));
            let [from, to] = [at - start, upto - start].map(|at| usize::try_from(at).ok());
            bytes.extend_from_slice(piece.get(from?..to?)?);
            at = upto;
        }
        Some(bytes)
    }

    fn piece(&mut self, number: usize, start: u64) -> Option<Vec<u8>> {
        if let Some(piece) = self.state(number)?.memory.piece(start) {
            return Some(piece.to_vec());
        }
        if let Some(piece) = self.machine.memory.piece(start) {
            return Some(piece.to_vec());
        }
        let is_within = |(from, len): &(u64, u64)| {
            start >= *from && start - from < *len && len - (start - from) >= PIECE
        };
        self.machine.of_file.iter().find(|one| is_within(one))?;
        let mut piece = vec![0; usize::try_from(PIECE).ok()?];
        let contents = self.contents.as_ref()?;
        contents.read(Addr(start), &mut piece).then_some(piece)
    }
}

fn registers(description: &Arc<Description>, state: &State) -> Registers {
    Registers::new(Arc::clone(description), state.registers.clone())
}
