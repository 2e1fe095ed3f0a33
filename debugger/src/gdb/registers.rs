//! The registers of one vCPU at one stop, read by the target's own layout.

use std::sync::Arc;

use crate::addr::Addr;

use super::description::{Description, RegisterDefinition};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    description: Arc<Description>,
    /// A `g` reply; `None` where the stub says "not available" or sent less than it described.
    bytes: Arc<[Option<u8>]>,
}

impl Registers {
    /// Bytes beyond the description are left out, missing ones are unavailable: QEMU changes the
    /// length of its reply with the CPU's mode on some targets.
    #[must_use]
    pub fn new(description: Arc<Description>, mut bytes: Vec<Option<u8>>) -> Self {
        bytes.resize(description.size(), None);
        let bytes = bytes.into();
        Self { description, bytes }
    }

    /// A register of at most 64 bits; `None` where there is none of that name, it is wider, or the
    /// stub does not have it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        self.number(self.description.register(name)?)
    }

    #[must_use]
    pub fn pc(&self) -> Option<Addr> {
        self.number(self.description.program_counter()?).map(Addr)
    }

    #[must_use]
    pub fn sp(&self) -> Option<Addr> {
        self.number(self.description.stack_pointer()?).map(Addr)
    }

    /// All of them as a `g` reply has them; `None` where the stub does not have a byte.
    #[must_use]
    pub fn all_bytes(&self) -> &[Option<u8>] {
        &self.bytes
    }

    /// The bytes of a register, least significant first.
    #[must_use]
    pub fn bytes(&self, register: &RegisterDefinition) -> Option<Vec<u8>> {
        self.bytes
            .get(register.offset..register.offset + register.size())?
            .iter()
            .copied()
            .collect()
    }

    /// Every register the target has, in its order, with its bytes where the stub has them.
    pub fn iter(&self) -> impl Iterator<Item = (&RegisterDefinition, Option<Vec<u8>>)> {
        self.description
            .registers
            .iter()
            .map(|register| (register, self.bytes(register)))
    }

    #[must_use]
    pub fn description(&self) -> &Arc<Description> {
        &self.description
    }

    fn number(&self, register: &RegisterDefinition) -> Option<u64> {
        if register.bits > 64 {
            return None;
        }
        let bytes = self.bytes(register)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        )
    }
}

/// `0x…`, most significant digit first, with all its digits: wide registers too.
#[must_use]
pub fn display(bytes: &[u8]) -> String {
    let digits: String = bytes
        .iter()
        .rev()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("0x{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Arc<Description> {
        let xml = r#"<target>
            <reg name="rsp" bitsize="64"/>
            <reg name="st0" bitsize="80"/>
            <reg name="flags" bitsize="16"/>
            <reg name="rip" bitsize="64" type="code_ptr"/>
        </target>"#;
        Arc::new(Description::parse(xml, &mut |_| Err(String::new())).unwrap())
    }

    #[test]
    fn registers_of_any_width_are_read_by_the_layout() {
        let bytes = (0..28).map(Some).collect();
        let registers = Registers::new(description(), bytes);
        assert_eq!(registers.sp(), Some(Addr(0x0706_0504_0302_0100)));
        assert_eq!(registers.pc(), Some(Addr(0x1b1a_1918_1716_1514)));
        assert_eq!(registers.get("flags"), Some(0x1312));
        assert_eq!(registers.get("st0"), None, "it has 80 bits");
        assert_eq!(registers.get("cr3"), None);
        let (_, st0) = registers.iter().nth(1).unwrap();
        assert_eq!(display(&st0.unwrap()), "0x11100f0e0d0c0b0a0908");
    }

    #[test]
    fn unavailable_and_missing_bytes_are_no_zeros() {
        let mut bytes: Vec<Option<u8>> = (0..20).map(Some).collect();
        bytes[18] = None;
        let registers = Registers::new(description(), bytes);
        assert_eq!(registers.get("flags"), None);
        assert_eq!(registers.pc(), None);
        assert!(registers.sp().is_some());
    }

    #[test]
    fn more_bytes_than_described_do_no_harm() {
        let registers = Registers::new(description(), vec![Some(1); 100]);
        assert_eq!(registers.iter().count(), 4);
        assert!(registers.pc().is_some());
    }
}
