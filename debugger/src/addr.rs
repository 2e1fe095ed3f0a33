//! A type per kind of number, so that the compiler catches a mixed-up one.
//!
//! Under UKL everything shares one address space and one privilege level: a wrong address still
//! reads something.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A virtual address in the guest.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addr(pub u64);

/// A guest-physical address.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysAddr(pub u64);

/// What a running kernel adds to an address of its vmlinux (KASLR); wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slide(pub u64);

/// A count of executed guest instructions. Never a time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Insns(pub u64);

/// Addresses from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AddrRange {
    pub start: Addr,
    pub end: Addr,
}

/// Stretches of addresses that do not touch, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddrRanges(Vec<AddrRange>);

impl AddrRanges {
    /// In any order, overlapping or not.
    #[must_use]
    pub fn new(mut ranges: Vec<AddrRange>) -> Self {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_unstable();
        ranges.dedup_by(|next, last| {
            let joins = next.start <= last.end;
            if joins {
                last.end = last.end.max(next.end);
            }
            joins
        });
        Self(ranges)
    }

    #[must_use]
    pub fn contains(&self, addr: Addr) -> bool {
        let after = self.0.partition_point(|range| range.start <= addr);
        after > 0 && self.0[after - 1].contains(addr)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = AddrRange> {
        self.0.iter().copied()
    }

    /// From the first address to the last, with all that lies between.
    #[must_use]
    pub fn span(&self) -> AddrRange {
        match (self.0.first(), self.0.last()) {
            (Some(first), Some(last)) => AddrRange::new(first.start, last.end),
            _ => AddrRange::default(),
        }
    }
}

impl From<AddrRange> for AddrRanges {
    fn from(range: AddrRange) -> Self {
        Self::new(vec![range])
    }
}

impl Addr {
    /// Whether this lies in the half of the address space that Linux keeps for the kernel.
    #[must_use]
    pub const fn in_kernel_half(self) -> bool {
        self.0 >> 63 == 1
    }

    #[must_use]
    pub const fn wrapping_add(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    #[must_use]
    pub const fn wrapping_sub(self, bytes: u64) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }
}

impl Slide {
    /// From an address of vmlinux to the guest's. Per-CPU offsets and an application in the user half
    /// are not moved.
    #[must_use]
    pub const fn moved(self, linked: Addr) -> Addr {
        match linked.in_kernel_half() {
            true => linked.wrapping_add(self.0),
            false => linked,
        }
    }

    /// From an address of the guest to that of vmlinux.
    #[must_use]
    pub const fn linked(self, moved: Addr) -> Addr {
        match moved.in_kernel_half() {
            true => moved.wrapping_sub(self.0),
            false => moved,
        }
    }
}

/// `none`, `0x15600000`
impl fmt::Display for Slide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("none"),
            bytes => write!(f, "{bytes:#x}"),
        }
    }
}

impl Add<u64> for Addr {
    type Output = Self;

    fn add(self, bytes: u64) -> Self {
        self.wrapping_add(bytes)
    }
}

/// The distance in bytes; wraps when `other` is above `self`.
impl Sub for Addr {
    type Output = u64;

    fn sub(self, other: Self) -> u64 {
        self.0.wrapping_sub(other.0)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "phys {:#x}", self.0)
    }
}

impl fmt::Display for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// In JSON an address is a string, `"0xffffffff81601060"`: a number would lose bits in many readers.
impl Serialize for Addr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Addr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for PhysAddr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no address: write it in hexadecimal, such as 0xffffffff81000000")]
pub struct NoAddress(pub String);

/// Hexadecimal, with or without `0x`.
impl FromStr for Addr {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        u64::from_str_radix(digits, 16)
            .map(Self)
            .map_err(|_| NoAddress(text.to_owned()))
    }
}

impl AddrRange {
    #[must_use]
    pub const fn new(start: Addr, end: Addr) -> Self {
        Self { start, end }
    }

    #[must_use]
    pub fn contains(&self, addr: Addr) -> bool {
        self.start <= addr && addr < self.end
    }

    /// Bytes; 0 when `end` is not above `start`.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for AddrRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}

impl fmt::Display for Insns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_print_as_hexadecimal() {
        let addr: Addr = "0xffffffff81601060".parse().unwrap();
        assert_eq!(addr.to_string(), "ffffffff81601060");
        assert_eq!(
            serde_json::to_string(&addr).unwrap(),
            "\"0xffffffff81601060\""
        );
        assert!("0xg".parse::<Addr>().is_err());
    }

    #[test]
    fn counts_print_with_separators() {
        assert_eq!(Insns(0).to_string(), "0");
        assert_eq!(Insns(999).to_string(), "999");
        assert_eq!(Insns(1_234_567).to_string(), "1,234,567");
    }
}
