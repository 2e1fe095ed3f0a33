//! A recording with the records of a small run: one vCPU, two tasks.

use std::sync::Arc;

use debugger::crossing::Mode;
use debugger::event::Event;
use debugger::origin::Origin;
use debugger::profile::Profile;
use debugger::trace::recording::{Bytes, Chunk, Head, Made, Named, Stored, Writer};
use wire::{Kind, Record, Word};

/// Functions numbered from 1 in this order.
const NAMES: &[(&str, &str)] = &[
    ("main", "app"),
    ("write", "libc"),
    ("entry_SYSCALL_64", "entry"),
    ("do_syscall_64", "kernel:entry"),
    ("__x64_sys_write", "kernel:fs"),
    ("vfs_write", "kernel:fs"),
    ("asm_sysvec_apic_timer_interrupt", "entry"),
];

const TASKS: [u64; 2] = [0xffff_c900_0000_1000, 0xffff_c900_0000_2000];

#[derive(Default)]
struct Tape {
    clock: u64,
    raw: Vec<u64>,
}

impl Tape {
    fn after(&mut self, instructions: u64, kind: Kind, name: &str) -> &mut Self {
        let function = NAMES.iter().position(|(known, _)| *known == name);
        let function = function.map_or(0, |at| at + 1);
        self.clock += instructions;
        let word = Word::new(kind, u32::try_from(function).expect("few functions"));
        let clock = u32::try_from(self.clock).expect("a short run");
        self.raw.push(Record { clock, word }.encode());
        self
    }

    fn write(&mut self, service: u64) {
        self.after(4000, Kind::AppEntry, "write")
            .after(9, Kind::SyscallEntry, "entry_SYSCALL_64")
            .after(38, Kind::Entry, "do_syscall_64")
            .after(21, Kind::Entry, "__x64_sys_write")
            .after(40, Kind::Entry, "vfs_write")
            .after(service, Kind::Return, "vfs_write")
            .after(3, Kind::Return, "__x64_sys_write")
            .after(12, Kind::Return, "do_syscall_64")
            .after(60, Kind::Sysret, "entry_SYSCALL_64")
            .after(5, Kind::AppReturn, "write");
    }
}

/// 2,000 rounds of writes by either task, one interrupt and one switch each.
fn tape() -> Tape {
    let mut tape = Tape::default();
    tape.after(1000, Kind::AppEntry, "main");
    for round in 0..2000 {
        tape.write(900);
        tape.write(2000);
        tape.after(50, Kind::InterruptEntry, "asm_sysvec_apic_timer_interrupt")
            .after(700, Kind::Iret, "asm_sysvec_apic_timer_interrupt");
        tape.after(5, Kind::SyscallEntry, "entry_SYSCALL_64")
            .after(38, Kind::Entry, "do_syscall_64")
            .after(10, Kind::Switch, "");
        let turn = usize::from(round % 2 == 1);
        let numbers = [TASKS[turn], TASKS[1 - turn], round];
        tape.raw.extend(numbers);
        tape.after(30, Kind::Return, "do_syscall_64")
            .after(60, Kind::Sysret, "entry_SYSCALL_64");
        // Either task begins in main.
        let step = if round == 0 {
            Kind::AppEntry
        } else {
            Kind::AppJump
        };
        tape.after(3, step, "main");
    }
    tape
}

pub(crate) fn event() -> Event {
    let unknown = ("unknown", "unknown");
    let made = Made {
        mode: Mode::Ukl.into(),
        engine: "plugin".to_owned(),
        qemu: "QEMU".to_owned(),
        plugin: "0".to_owned(),
        append: String::new(),
        profile: (*Profile::linux()).clone(),
        request: None,
        functions: std::iter::once(&unknown)
            .chain(NAMES)
            .map(|(name, origin)| Named {
                name: (*name).to_owned(),
                origin: origin.parse().unwrap_or(Origin::Unknown),
                label: false,
                file: None,
                address: 0,
            })
            .collect(),
    };
    let tape = tape();
    let mut writer = Writer::begin(Vec::new(), &Head::default()).expect("to memory");
    writer.run(&made).expect("to memory");
    // In two chunks, with a loss between them.
    let half = tape
        .raw
        .iter()
        .skip(tape.raw.len() / 2)
        .position(|raw| raw >> 60 == 10);
    let half = tape.raw.len() / 2 + half.expect("the application goes on");
    for (sequence, (records, lost)) in [(&tape.raw[..half], 0), (&tape.raw[half..], 70)]
        .into_iter()
        .enumerate()
    {
        let chunk = Chunk {
            vcpu: 0,
            sequence: sequence as u64,
            clock: records[0] & 0xffff_ffff,
            lost,
            records,
        };
        writer.take(chunk).expect("to memory");
    }
    let report = super::facts::report(Mode::Ukl);
    writer.report(&report).expect("to memory");
    let bytes = writer.finish().expect("to memory");
    let stored = Stored::open(Bytes::Read(bytes)).expect("it was written whole");
    Event::Recorded(Arc::new(stored))
}
