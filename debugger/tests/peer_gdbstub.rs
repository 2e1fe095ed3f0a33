//! The protocol client against a stub that is not QEMU's: gdbstub, on a machine of a few registers
//! laid out in another order, with no-ack mode and another packet size.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod machine {
    use gdbstub::arch::{Arch, RegId, Registers};
    use gdbstub::common::Signal;
    use gdbstub::target::ext::base::BaseOps;
    use gdbstub::target::ext::base::singlethread::{
        SingleThreadBase, SingleThreadResume, SingleThreadResumeOps, SingleThreadSingleStep,
        SingleThreadSingleStepOps,
    };
    use gdbstub::target::ext::breakpoints::{
        Breakpoints, BreakpointsOps, HwWatchpoint, HwWatchpointOps, SwBreakpoint, SwBreakpointOps,
        WatchKind,
    };
    use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps, outputln};
    use gdbstub::target::{Target, TargetError, TargetResult};

    /// The program: every instruction is one byte long and does nothing, but for stores.
    pub(crate) const START: u64 = 0x1000;
    pub(crate) const MEMORY: usize = 0x4000;
    /// The instruction here stores to `STORED`.
    pub(crate) const STORE_AT: u64 = 0x1800;
    pub(crate) const STORED: u64 = 0x3000;

    /// Not QEMU's order: the program counter first, a 32-bit register in between.
    const DESCRIPTION: &str = r#"<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">
<target version="1.0"><architecture>i386:x86-64</architecture>
<feature name="org.gnu.gdb.i386.core">
<reg name="rip" bitsize="64" type="code_ptr"/><reg name="eflags" bitsize="32" type="int32"/>
<reg name="rsp" bitsize="64" type="data_ptr"/><reg name="rax" bitsize="64" type="int64"/>
</feature></target>"#;

    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct File {
        pub(crate) rip: u64,
        pub(crate) eflags: u32,
        pub(crate) rsp: u64,
        pub(crate) rax: u64,
    }

    impl Registers for File {
        type ProgramCounter = u64;

        fn pc(&self) -> u64 {
            self.rip
        }

        fn gdb_serialize(&self, mut write: impl FnMut(Option<u8>)) {
            let parts = [
                &self.rip.to_le_bytes()[..],
                &self.eflags.to_le_bytes(),
                &self.rsp.to_le_bytes(),
            ];
            parts
                .concat()
                .into_iter()
                .for_each(|byte| write(Some(byte)));
            // The stub does not have this one.
            (0..8).for_each(|_| write(None));
        }

        fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
            let word = |at: usize| {
                bytes
                    .get(at..at + 8)?
                    .try_into()
                    .ok()
                    .map(u64::from_le_bytes)
            };
            self.rip = word(0).ok_or(())?;
            self.rsp = word(12).ok_or(())?;
            Ok(())
        }
    }

    #[derive(Debug)]
    pub(crate) enum Number {
        Rip,
        Other,
    }

    impl RegId for Number {
        fn from_raw_id(id: usize) -> Option<(Self, Option<core::num::NonZeroUsize>)> {
            let size = core::num::NonZeroUsize::new(if id == 1 { 4 } else { 8 });
            Some((if id == 0 { Self::Rip } else { Self::Other }, size))
        }
    }

    #[derive(Debug)]
    pub(crate) enum X86 {}

    impl Arch for X86 {
        type Usize = u64;
        type Registers = File;
        type BreakpointKind = usize;
        type RegId = Number;

        fn target_description_xml() -> Option<&'static str> {
            Some(DESCRIPTION)
        }
    }

    #[derive(Debug)]
    pub(crate) enum Halt {
        Step,
        Break,
        Watch(u64),
    }

    #[derive(Debug)]
    pub(crate) struct Machine {
        pub(crate) file: File,
        pub(crate) memory: Vec<u8>,
        pub(crate) breakpoints: Vec<u64>,
        watchpoints: Vec<u64>,
        pub(crate) stepping: bool,
    }

    impl Machine {
        pub(crate) fn new() -> Self {
            let memory = (0..=250).cycle().take(MEMORY).collect();
            let file = File {
                rip: START,
                eflags: 0x202,
                rsp: 0x2ff0,
                rax: 0,
            };
            Self {
                file,
                memory,
                breakpoints: vec![],
                watchpoints: vec![],
                stepping: false,
            }
        }

        /// Executes one instruction.
        pub(crate) fn tick(&mut self) -> Option<Halt> {
            let stores = self.file.rip == STORE_AT;
            self.file.rip += 1;
            if self.file.rip >= 0x2000 {
                self.file.rip = START;
            }
            if stores && self.watchpoints.contains(&STORED) {
                return Some(Halt::Watch(STORED));
            }
            if self.breakpoints.contains(&self.file.rip) {
                return Some(Halt::Break);
            }
            self.stepping.then_some(Halt::Step)
        }

        fn range(&self, start: u64, len: usize) -> Option<std::ops::Range<usize>> {
            let start = usize::try_from(start).ok()?;
            let end = start.checked_add(len)?;
            (end <= self.memory.len()).then_some(start..end)
        }
    }

    impl Target for Machine {
        type Arch = X86;
        type Error = std::convert::Infallible;

        fn base_ops(&mut self) -> BaseOps<'_, X86, Self::Error> {
            BaseOps::SingleThread(self)
        }

        fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
            Some(self)
        }

        fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
            Some(self)
        }
    }

    impl SingleThreadBase for Machine {
        fn read_registers(&mut self, file: &mut File) -> TargetResult<(), Self> {
            *file = self.file.clone();
            Ok(())
        }

        fn write_registers(&mut self, file: &File) -> TargetResult<(), Self> {
            self.file = file.clone();
            Ok(())
        }

        fn read_addrs(&mut self, start: u64, data: &mut [u8]) -> TargetResult<usize, Self> {
            let range = self
                .range(start, data.len())
                .ok_or(TargetError::Errno(14))?;
            data.copy_from_slice(&self.memory[range]);
            Ok(data.len())
        }

        fn write_addrs(&mut self, start: u64, data: &[u8]) -> TargetResult<(), Self> {
            let range = self
                .range(start, data.len())
                .ok_or(TargetError::Errno(14))?;
            self.memory[range].copy_from_slice(data);
            Ok(())
        }

        fn support_resume(&mut self) -> Option<SingleThreadResumeOps<'_, Self>> {
            Some(self)
        }
    }

    impl SingleThreadResume for Machine {
        fn resume(&mut self, _: Option<Signal>) -> Result<(), Self::Error> {
            self.stepping = false;
            Ok(())
        }

        fn support_single_step(&mut self) -> Option<SingleThreadSingleStepOps<'_, Self>> {
            Some(self)
        }
    }

    impl SingleThreadSingleStep for Machine {
        fn step(&mut self, _: Option<Signal>) -> Result<(), Self::Error> {
            self.stepping = true;
            Ok(())
        }
    }

    impl Breakpoints for Machine {
        fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
            Some(self)
        }

        fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
            Some(self)
        }
    }

    impl SwBreakpoint for Machine {
        fn add_sw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
            self.breakpoints.push(addr);
            Ok(true)
        }

        fn remove_sw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
            let before = self.breakpoints.len();
            self.breakpoints.retain(|at| *at != addr);
            Ok(self.breakpoints.len() < before)
        }
    }

    impl HwWatchpoint for Machine {
        fn add_hw_watchpoint(&mut self, at: u64, _: u64, _: WatchKind) -> TargetResult<bool, Self> {
            // As a machine whose slots are used up.
            if self.watchpoints.len() == 1 {
                return Ok(false);
            }
            self.watchpoints.push(at);
            Ok(true)
        }

        fn remove_hw_watchpoint(
            &mut self,
            at: u64,
            _: u64,
            _: WatchKind,
        ) -> TargetResult<bool, Self> {
            self.watchpoints.retain(|have| *have != at);
            Ok(true)
        }
    }

    impl MonitorCmd for Machine {
        fn handle_monitor_cmd(
            &mut self,
            command: &[u8],
            mut out: ConsoleOutput<'_>,
        ) -> Result<(), Self::Error> {
            outputln!(out, "you said {}", String::from_utf8_lossy(command));
            Ok(())
        }
    }
}

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use debugger::addr::Addr;
use debugger::event::Vcpu;
use debugger::session::target::{Endpoint, StopCause, Target, Trap, TrapKind, Verdict};
use debugger::session::wire::Head;
use gdbstub::common::Signal;
use gdbstub::conn::ConnectionExt as _;
use gdbstub::stub::run_blocking::{BlockingEventLoop, Event, WaitForStopReasonError};
use gdbstub::stub::{DisconnectReason, GdbStub, SingleThreadStopReason};
use gdbstub::target::ext::breakpoints::WatchKind;
use machine::{Halt, Machine};

enum Loop {}

impl BlockingEventLoop for Loop {
    type Target = Machine;
    type Connection = UnixStream;
    type StopReason = SingleThreadStopReason<u64>;

    fn wait_for_stop_reason(
        machine: &mut Machine,
        connection: &mut UnixStream,
    ) -> Result<
        Event<Self::StopReason>,
        WaitForStopReasonError<std::convert::Infallible, std::io::Error>,
    > {
        loop {
            if connection
                .peek()
                .map_err(WaitForStopReasonError::Connection)?
                .is_some()
            {
                let byte = connection
                    .read()
                    .map_err(WaitForStopReasonError::Connection)?;
                return Ok(Event::IncomingData(byte));
            }
            let reason = match machine.tick() {
                None => continue,
                Some(Halt::Step) => SingleThreadStopReason::DoneStep,
                Some(Halt::Break) => SingleThreadStopReason::SwBreak(()),
                Some(Halt::Watch(addr)) => SingleThreadStopReason::Watch {
                    tid: (),
                    kind: WatchKind::Write,
                    addr,
                },
            };
            return Ok(Event::TargetStopped(reason));
        }
    }

    fn on_interrupt(_: &mut Machine) -> Result<Option<Self::StopReason>, std::convert::Infallible> {
        Ok(Some(SingleThreadStopReason::Signal(Signal::SIGINT)))
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

/// Serves one client, and gives the machine back with how the client left.
fn serve(path: &Path) -> JoinHandle<(Machine, DisconnectReason)> {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (connection, _) = listener.accept().unwrap();
        let mut machine = Machine::new();
        let reason = GdbStub::new(connection)
            .run_blocking::<Loop>(&mut machine)
            .unwrap();
        (machine, reason)
    })
}

fn connected(test: impl FnOnce(&mut Target)) -> (Machine, DisconnectReason) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stub");
    let server = serve(&path);
    let mut target = Target::connect(&Endpoint::Unix(path), PATIENCE).unwrap();
    test(&mut target);
    target.detach().unwrap();
    server.join().unwrap()
}

fn cause(target: &mut Target) -> StopCause {
    target
        .wait(PATIENCE)
        .unwrap()
        .expect("the machine stops")
        .cause
}

#[test]
fn registers_are_read_by_the_peers_layout() {
    connected(|target| {
        let registers = target.registers(Vcpu(0)).unwrap();
        assert_eq!(registers.get("rip"), Some(machine::START));
        assert_eq!(registers.get("eflags"), Some(0x202));
        assert_eq!(registers.sp(), Some(Addr(0x2ff0)));
        assert_eq!(
            registers.get("rax"),
            None,
            "the stub says that it does not have it"
        );
    });
}

#[test]
fn memory_is_read_in_pieces_and_an_unreadable_address_is_named() {
    let (machine, _) = connected(|target| {
        let mut bytes = vec![0; 0x3000];
        target.read(Addr(0x10), &mut bytes).unwrap();
        let expected: Vec<u8> = (0..=250).cycle().skip(0x10).take(0x3000).collect();
        assert_eq!(bytes, expected);
        let error = target.read(Addr(0x3ff0), &mut bytes[..0x40]).unwrap_err();
        assert!(
            error.to_string().contains("4000") || error.to_string().contains("3ff0"),
            "{error}"
        );
        target.write(Addr(0x20), b"uklscope").unwrap();
        target.read(Addr(0x1e), &mut bytes[..12]).unwrap();
        assert_eq!(&bytes[2..10], b"uklscope");
    });
    assert_eq!(&machine.memory[0x20..0x28], b"uklscope");
}

#[test]
fn a_breakpoint_stops_and_is_left_and_is_gone_after_detaching() {
    let trap = Trap {
        kind: TrapKind::Soft,
        addr: Addr(0x1100),
        len: 1,
    };
    let (machine, reason) = connected(|target| {
        target.insert(trap).unwrap();
        for _ in 0..3 {
            target.resume().unwrap();
            assert_eq!(cause(target), StopCause::Signal(5));
            assert_eq!(target.pc(Vcpu(0)).unwrap(), Addr(0x1100));
        }
        let stop = target.step(Vcpu(0)).unwrap();
        assert_eq!(stop.from, Some(Addr(0x1100)));
        assert_eq!(target.pc(Vcpu(0)).unwrap(), Addr(0x1101));
    });
    assert!(
        machine.breakpoints.is_empty(),
        "left behind: {:x?}",
        machine.breakpoints
    );
    assert!(matches!(reason, DisconnectReason::Disconnect), "{reason:?}");
}

#[test]
fn a_watchpoint_names_its_address_and_a_refused_one_is_an_error() {
    connected(|target| {
        let watch = |addr| Trap {
            kind: TrapKind::Write,
            addr: Addr(addr),
            len: 8,
        };
        target.insert(watch(machine::STORED)).unwrap();
        assert!(
            target.insert(watch(0x3100)).is_err(),
            "the machine has one slot"
        );
        target.resume().unwrap();
        let stopped = cause(target);
        assert!(format!("{stopped:?}").contains("3000"), "{stopped:?}");
        assert_eq!(target.pc(Vcpu(0)).unwrap(), Addr(machine::STORE_AT + 1));
    });
}

#[test]
fn a_running_machine_is_interrupted() {
    connected(|target| {
        target.resume().unwrap();
        assert!(
            target.wait(Duration::from_millis(20)).unwrap().is_none(),
            "nothing stops it"
        );
        target.interrupt().unwrap();
        assert_eq!(cause(target), StopCause::Signal(2));
    });
}

#[test]
fn a_monitor_command_is_answered_in_text() {
    connected(|target| {
        assert_eq!(
            target.monitor("info cats").unwrap().trim(),
            "you said info cats"
        );
    });
}

/// The same conversation twice: with the stub, and with what was recorded of it.
#[test]
fn a_recording_answers_as_the_stub_did() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = (folder.path().join("stub"), folder.path().join("a.wire"));
    let talk = |target: &mut Target| {
        let registers = target.registers(Vcpu(0)).unwrap();
        let mut bytes = [0; 0x40];
        target.read(Addr(0x100), &mut bytes).unwrap();
        target.insert(Trap::soft(Addr(0x1100))).unwrap();
        target.resume().unwrap();
        let stopped = cause(target);
        let stepped = target.step(Vcpu(0)).unwrap();
        let text = target.monitor("info cats").unwrap();
        (registers, bytes, stopped, stepped, text)
    };
    let server = serve(&path);
    let record = Some((file.as_path(), &Head::default()));
    let mut target = Target::connect_recording(&Endpoint::Unix(path), PATIENCE, record).unwrap();
    let heard = talk(&mut target);
    target.detach().unwrap();
    server.join().unwrap();

    let mut target = Target::connect(&Endpoint::Wire(file), PATIENCE).unwrap();
    assert_eq!(talk(&mut target), heard);
    let error = target.read(Addr(0x3000), &mut [0; 4]).unwrap_err();
    assert!(
        error.to_string().contains("not in the recording"),
        "{error}"
    );
    target.resume().unwrap();
    let error = target.wait(PATIENCE).unwrap_err();
    assert!(
        error.to_string().contains("the recording ends here"),
        "{error}"
    );
}

#[test]
fn what_the_stub_makes_of_each_feature_is_found_out() {
    let (machine, _) = connected(|target| {
        let findings = target.verdicts().unwrap();
        let check = |feature: &str, verdict| {
            let found = findings.iter().find(|finding| finding.feature == feature);
            assert_eq!(
                found.map(|found| found.verdict),
                Some(verdict),
                "{findings:#?}"
            );
        };
        check("QStartNoAckMode", Verdict::Honoured);
        check("qXfer:memory-map:read", Verdict::Emulated);
        check("M", Verdict::Honoured);
        check("Z0 (breakpoint)", Verdict::Honoured);
        check("Z1 (hardware breakpoint)", Verdict::Refused);
        check("Z2 (watch writes)", Verdict::Untried);
        check("?", Verdict::Honoured);
        check("Qqemu.PhyMemMode", Verdict::Refused);
        check("qRcmd (monitor)", Verdict::Honoured);
        check("bs (ReverseStep)", Verdict::Refused);
    });
    let expected: Vec<u8> = (0..=250).cycle().take(0x1000).collect();
    assert_eq!(machine.memory[..0x1000], expected, "nothing was changed");
    assert!(machine.breakpoints.is_empty());
}
