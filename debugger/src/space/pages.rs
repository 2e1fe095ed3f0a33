//! The pages of a range that are there, and what was done to them.

use serde::Serialize;

use super::walk::Access;
use crate::addr::AddrRange;

/// Pages side by side that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub range: AddrRange,
    pub access: Access,
    pub size: PageSize,
    /// The processor has read or written them since the kernel last asked.
    pub accessed: bool,
    /// Written.
    pub dirty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageSize {
    Small,
    Large,
    Huge,
}

/// How much of a range is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resident {
    /// Bytes that are mapped; the next two count among them.
    pub bytes: u64,
    pub accessed: u64,
    pub dirty: u64,
    /// Pages of 2 MiB and of 1 GiB.
    pub large: u64,
    pub huge: u64,
}

impl PageSize {
    /// By the level of the table that has it, the innermost being 0.
    pub(super) const fn at(level: u32) -> Self {
        match level {
            0 => Self::Small,
            1 => Self::Large,
            _ => Self::Huge,
        }
    }

    const fn bytes(self) -> u64 {
        match self {
            Self::Small => 1 << 12,
            Self::Large => 1 << 21,
            Self::Huge => 1 << 30,
        }
    }
}

/// Of runs in the order of their addresses, what lies in a range.
pub(super) fn resident(runs: &[Run], range: AddrRange) -> Resident {
    let mut found = Resident::default();
    let first = runs.partition_point(|run| run.range.end <= range.start);
    for run in &runs[first..] {
        if run.range.start >= range.end {
            break;
        }
        let within = super::overlap(run.range, range).len();
        found.bytes += within;
        found.accessed += if run.accessed { within } else { 0 };
        found.dirty += if run.dirty { within } else { 0 };
        // A large page that a border cuts counts on both sides.
        let pages = within.div_ceil(run.size.bytes());
        match run.size {
            PageSize::Small => {}
            PageSize::Large => found.large += pages,
            PageSize::Huge => found.huge += pages,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Addr;

    #[test]
    fn what_is_there_adds_up() {
        let run = |start: u64, end: u64, size, dirty| Run {
            range: AddrRange::new(Addr(start), Addr(end)),
            access: Access::NONE,
            size,
            accessed: true,
            dirty,
        };
        let runs = [
            run(0x1000, 0x3000, PageSize::Small, false),
            run(0x3000, 0x4000, PageSize::Small, true),
            run(0x20_0000, 0x60_0000, PageSize::Large, true),
        ];
        let of = |start, end| resident(&runs, AddrRange::new(Addr(start), Addr(end)));
        let all = of(0, u64::MAX);
        assert_eq!((all.bytes, all.dirty), (0x40_3000, 0x40_1000));
        assert_eq!((all.accessed, all.large, all.huge), (all.bytes, 2, 0));
        assert_eq!(of(0x2000, 0x3000).bytes, 0x1000);
        assert_eq!(of(0x30_0000, 0x31_0000).large, 1);
        assert_eq!(of(0x4000, 0x5000), Resident::default());
    }
}
