//! `qMemoryRegionInfo:ADDRESS`, by which lldb asks what lies at an address. gdbstub does not know it.
//!
//! <https://lldb.llvm.org/resources/lldbgdbremote.html>: `start:`, `size:`, `permissions:` where something is mapped,
//! `name:` as digits.

use super::machine::Machine;
use crate::addr::Addr;
use crate::command::Command;
use crate::event::{Answer, Failure, RegionInfo};
use crate::gdb::hex;
use crate::session::joined::{Ask, Given};

/// The map of the address space, as it was read at a stop: lldb walks all of it.
#[derive(Debug, Default)]
pub(super) struct Regions {
    stop: Option<u64>,
    list: Vec<RegionInfo>,
}

impl Machine {
    /// The reply; none to any other request.
    pub(super) fn region_at(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let digits = payload.strip_prefix(b"qMemoryRegionInfo:")?;
        let Some(at) = hex::number(digits).map(Addr) else {
            return Some(error("an address is asked for, as hexadecimal digits"));
        };
        if let Err(failure) = self.read_regions() {
            return Some(error(&failure.to_string()));
        }
        Some(reply(&self.regions.list, at))
    }

    fn read_regions(&mut self) -> Result<(), Failure> {
        let stop = self.joined.stop_number();
        if stop.is_some() && self.regions.stop == stop {
            return Ok(());
        }
        let map = Ask::Command(Command::Space { expression: None });
        self.regions = Regions::default();
        if let Given::Answer(answer) = self.joined.ask(map)?
            && let Answer::Space(list) = *answer
        {
            self.regions = Regions { stop, list };
        }
        Ok(())
    }
}

/// Of a map without page tables, such as a recording's. lldb would take none for a region that nobody may read.
const UNKNOWN: &str = "?";

fn error(text: &str) -> Vec<u8> {
    let mut reply = b"error:".to_vec();
    hex::push(&mut reply, text.as_bytes());
    reply.push(b';');
    reply
}

/// Between regions lies one that nothing is mapped in.
fn reply(regions: &[RegionInfo], at: Addr) -> Vec<u8> {
    let after = regions.partition_point(|region| region.range.start <= at);
    let before = after.checked_sub(1).and_then(|before| regions.get(before));
    if let Some(region) = before.filter(|region| region.range.contains(at)) {
        if region.permissions == UNKNOWN {
            return error("no page table was read: what may be done there is not known");
        }
        let mut reply = head(region.range.start, region.range.end);
        reply.extend(b"permissions:");
        let letters = region.permissions.bytes();
        reply.extend(letters.filter(|letter| b"rwx".contains(letter)));
        reply.extend(b";name:");
        hex::push(&mut reply, region.what.as_bytes());
        reply.push(b';');
        return reply;
    }
    let start = before.map_or(Addr(0), |region| region.range.end);
    let end = regions.get(after).map(|region| region.range.start);
    head(start, end.unwrap_or(Addr(u64::MAX)))
}

fn head(start: Addr, end: Addr) -> Vec<u8> {
    let size = end.0.saturating_sub(start.0);
    format!("start:{:x};size:{size:x};", start.0).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::AddrRange;
    use crate::origin::Origin;

    fn region(start: u64, end: u64, permissions: &str) -> RegionInfo {
        RegionInfo {
            range: AddrRange::new(Addr(start), Addr(end)),
            size: end - start,
            permissions: permissions.to_owned(),
            origin: Origin::Unknown,
            what: "it".to_owned(),
            band: String::new(),
            resident: None,
            vma: None,
        }
    }

    #[test]
    fn a_region_is_told_with_its_permissions_and_its_name_and_a_gap_as_one() {
        let regions = [
            region(0x1000, 0x3000, "rw-p"),
            region(0x3000, 0x4000, "r-x"),
        ];
        for (at, expected) in [
            (0, "start:0;size:1000;"),
            (0xfff, "start:0;size:1000;"),
            (0x1000, "start:1000;size:2000;permissions:rw;name:6974;"),
            (0x2fff, "start:1000;size:2000;permissions:rw;name:6974;"),
            (0x3000, "start:3000;size:1000;permissions:rx;name:6974;"),
            (0x4000, "start:4000;size:ffffffffffffbfff;"),
            (u64::MAX, "start:4000;size:ffffffffffffbfff;"),
        ] {
            let reply = reply(&regions, Addr(at));
            assert_eq!(String::from_utf8_lossy(&reply), expected, "at {at:#x}");
        }
        assert_eq!(reply(&[], Addr(1)), b"start:0;size:ffffffffffffffff;");
    }

    #[test]
    fn where_no_page_table_was_read_permissions_are_not_said_to_be_none() {
        let reply = reply(&[region(0x1000, 0x3000, UNKNOWN)], Addr(0x2000));
        assert!(reply.starts_with(b"error:"), "{}", reply.escape_ascii());
    }
}
