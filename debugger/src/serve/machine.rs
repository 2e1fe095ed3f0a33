//! The session's target as gdbstub sees it: registers, memory, vCPUs.

use gdbstub::common::{Endianness, Pid, Tid};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{MultiThreadBase, MultiThreadResumeOps};
use gdbstub::target::ext::base::single_register_access::{
    SingleRegisterAccess, SingleRegisterAccessOps,
};
use gdbstub::target::ext::breakpoints::BreakpointsOps;
use gdbstub::target::ext::host_info::{HostInfo, HostInfoOps, HostInfoResponse};
use gdbstub::target::ext::monitor_cmd::MonitorCmdOps;
use gdbstub::target::ext::process_info::{ProcessInfo, ProcessInfoOps, ProcessInfoResponse};
use gdbstub::target::ext::target_description_xml_override::{
    TargetDescriptionXmlOverride, TargetDescriptionXmlOverrideOps,
};
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};

use super::arch::{Bytes, Described, Number};
use super::description::as_gdb_wants_it;
use super::reading::Reading;
use super::regions::Regions;
use super::resume::Wish;
use crate::addr::Addr;
use crate::event::{Answer, Failure, Vcpu};
use crate::gdb::description::Description;
use crate::session::joined::{Ask, Documents, Given, Joined};

/// Writes an answer as text, a line each.
pub type Render = fn(&Answer) -> Vec<String>;

/// `EFAULT`: nothing is there. gdb says `Cannot access memory at address`.
const NOT_THERE: u8 = 14;
/// `EINVAL`
pub(super) const NOT_POSSIBLE: u8 = 22;

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) joined: Joined,
    pub(super) render: Render,
    /// `gdb`, `lldb`; `client` where it is neither.
    pub(super) kind: &'static str,
    description: Description,
    /// As they are told to the client.
    documents: Documents,
    /// Of the `vCont` that is being read.
    pub(super) wish: Wish,
    /// It was let go, and no stop was told yet.
    pub(super) runs: bool,
    pub(super) reading: Reading,
    pub(super) regions: Regions,
}

impl Machine {
    pub(super) fn new(joined: Joined, render: Render, kind: &'static str) -> Self {
        let documents = joined.documents();
        let find = &mut |name: &str| documents.get(name).cloned().ok_or_else(String::new);
        // The session itself has read it.
        let description = documents
            .get("target.xml")
            .and_then(|text| Description::parse(text, find).ok())
            .unwrap_or_default();
        Self {
            documents: as_gdb_wants_it(documents),
            joined,
            render,
            kind,
            description,
            wish: Wish::default(),
            runs: false,
            reading: Reading::default(),
            regions: Regions::default(),
        }
    }

    /// Asks, and takes a failure for the protocol's error of that number.
    pub(super) fn ask(&self, ask: Ask, or: u8) -> TargetResult<Given, Self> {
        self.joined.ask(ask).map_err(|_| TargetError::Errno(or))
    }

    fn registers(&self, vcpu: Vcpu) -> TargetResult<Vec<Option<u8>>, Self> {
        match self.ask(Ask::Registers(vcpu), NOT_POSSIBLE)? {
            Given::Registers(bytes) => Ok(bytes),
            _ => Err(TargetError::NonFatal),
        }
    }
}

/// vCPUs count from 0, the protocol's threads from 1.
pub(super) fn vcpu(tid: Tid) -> Vcpu {
    Vcpu(u32::try_from(tid.get() - 1).unwrap_or(u32::MAX))
}

pub(super) fn tid(vcpu: Vcpu) -> Tid {
    let number = usize::try_from(vcpu.0).unwrap_or(0).saturating_add(1);
    Tid::new(number).unwrap_or(Tid::MIN)
}

impl Target for Machine {
    type Arch = Described;
    /// What fails is answered; nothing ends the conversation from this side.
    type Error = Failure;

    fn base_ops(&mut self) -> BaseOps<'_, Described, Failure> {
        BaseOps::MultiThread(self)
    }

    fn use_lldb_register_info(&self) -> bool {
        false
    }

    fn use_fork_stop_reason(&self) -> bool {
        false
    }

    fn use_vfork_stop_reason(&self) -> bool {
        false
    }

    fn use_vforkdone_stop_reason(&self) -> bool {
        false
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }

    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }

    fn support_target_description_xml_override(
        &mut self,
    ) -> Option<TargetDescriptionXmlOverrideOps<'_, Self>> {
        Some(self)
    }

    fn support_host_info(&mut self) -> Option<HostInfoOps<'_, Self>> {
        Some(self)
    }

    fn support_process_info(&mut self) -> Option<ProcessInfoOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadBase for Machine {
    fn read_registers(&mut self, registers: &mut Bytes, tid: Tid) -> TargetResult<(), Self> {
        registers.0 = self.registers(vcpu(tid))?;
        Ok(())
    }

    fn write_registers(&mut self, registers: &Bytes, tid: Tid) -> TargetResult<(), Self> {
        let bytes = registers.0.iter().map(|byte| byte.unwrap_or(0)).collect();
        let set = Ask::SetRegisters {
            vcpu: vcpu(tid),
            bytes,
        };
        self.ask(set, NOT_POSSIBLE).map(|_| ())
    }

    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, Tid, Self>> {
        Some(self)
    }

    fn read_addrs(&mut self, start: u64, data: &mut [u8], tid: Tid) -> TargetResult<usize, Self> {
        self.reading.of(tid);
        let read = Ask::Read {
            vcpu: vcpu(tid),
            addr: Addr(start),
            len: data.len(),
        };
        match self.ask(read, NOT_THERE)? {
            Given::Memory(bytes) => {
                data[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
            _ => Err(TargetError::NonFatal),
        }
    }

    fn write_addrs(&mut self, start: u64, data: &[u8], tid: Tid) -> TargetResult<(), Self> {
        let write = Ask::Write {
            vcpu: vcpu(tid),
            addr: Addr(start),
            bytes: data.to_vec(),
        };
        self.ask(write, NOT_THERE).map(|_| ())
    }

    /// The one that stopped last comes first: that is the one `?` names.
    fn list_active_threads(&mut self, tell: &mut dyn FnMut(Tid)) -> Result<(), Failure> {
        if let Ok(Given::Vcpus { count, stopped }) = self.joined.ask(Ask::Vcpus) {
            tell(tid(stopped));
            let others = (0..count).map(Vcpu).filter(|vcpu| *vcpu != stopped);
            others.map(tid).for_each(tell);
        }
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }

    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl SingleRegisterAccess<Tid> for Machine {
    fn read_register(
        &mut self,
        tid: Tid,
        number: Number,
        buffer: &mut [u8],
    ) -> TargetResult<usize, Self> {
        let all = self.registers(vcpu(tid))?;
        let mut known = self.description.registers.iter();
        let bytes = known
            .find(|register| register.number == number.0)
            .and_then(|register| all.get(register.offset..register.offset + register.size()))
            .and_then(|bytes| bytes.iter().copied().collect::<Option<Vec<u8>>>())
            .filter(|bytes| bytes.len() <= buffer.len())
            .ok_or(TargetError::Errno(NOT_POSSIBLE))?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn write_register(&mut self, tid: Tid, number: Number, value: &[u8]) -> TargetResult<(), Self> {
        let set = Ask::SetRegister {
            vcpu: vcpu(tid),
            number: number.0,
            bytes: value.to_vec(),
        };
        self.ask(set, NOT_POSSIBLE).map(|_| ())
    }
}

impl ThreadExtraInfo for Machine {
    fn thread_extra_info(&self, tid: Tid, buffer: &mut [u8]) -> Result<usize, Failure> {
        let text = match self.joined.ask(Ask::VcpuState(vcpu(tid))) {
            Ok(Given::Text(text)) => text,
            _ => "running".to_owned(),
        };
        let len = text.len().min(buffer.len());
        buffer[..len].copy_from_slice(&text.as_bytes()[..len]);
        Ok(len)
    }
}

impl TargetDescriptionXmlOverride for Machine {
    fn target_description_xml(
        &self,
        annex: &[u8],
        offset: u64,
        length: usize,
        buffer: &mut [u8],
    ) -> TargetResult<usize, Self> {
        let name = std::str::from_utf8(annex).unwrap_or_default();
        let Some(text) = self.documents.get(name) else {
            return Err(TargetError::Errno(2));
        };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = text.as_bytes().get(offset..).unwrap_or_default();
        let len = rest.len().min(length).min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// What lldb asks before it takes the rest from the target description. Of Linux it would look for a dynamic
/// linker; of no system it takes the file's own addresses.
const TRIPLE: &str = "x86_64-unknown-unknown";

impl HostInfo for Machine {
    fn host_info(&self, write: &mut dyn FnMut(&HostInfoResponse<'_>)) -> Result<(), Failure> {
        write(&HostInfoResponse::Triple(TRIPLE));
        write(&HostInfoResponse::Endianness(Endianness::Little));
        write(&HostInfoResponse::PointerSize(8));
        Ok(())
    }
}

impl ProcessInfo for Machine {
    fn process_info(&self, write: &mut dyn FnMut(&ProcessInfoResponse<'_>)) -> Result<(), Failure> {
        write(&ProcessInfoResponse::Pid(Pid::MIN));
        write(&ProcessInfoResponse::Triple(TRIPLE));
        write(&ProcessInfoResponse::Endianness(Endianness::Little));
        write(&ProcessInfoResponse::PointerSize(8));
        Ok(())
    }
}
