//! What an address belongs to: known by where the code came from, never by privilege level.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Displays and serialises as `app`, `libc`, `entry`, `kernel:net`, `unknown`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    App,
    Libc,
    /// The assembly by which control enters and leaves the kernel.
    Entry,
    Kernel(Subsystem),
    #[default]
    Unknown,
}

/// A part of the kernel, by the folder its source lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subsystem(usize);

/// Folder prefix of a source file, relative to the kernel's tree → the subsystem's name. The first match holds.
const SUBSYSTEMS: &[(&str, &str)] = &[
    ("kernel/sched/", "sched"),
    ("kernel/irq/", "irq"),
    ("kernel/time/", "time"),
    ("kernel/locking/", "locking"),
    ("kernel/rcu/", "rcu"),
    ("kernel/futex/", "futex"),
    ("kernel/bpf/", "bpf"),
    ("kernel/trace/", "trace"),
    ("kernel/entry/", "entry"),
    ("arch/x86/entry/", "entry"),
    ("arch/x86/mm/", "mm"),
    ("arch/", "arch"),
    ("kernel/", "core"),
    ("mm/", "mm"),
    ("net/", "net"),
    ("fs/", "fs"),
    ("block/", "block"),
    ("drivers/", "drivers"),
    ("security/", "security"),
    ("crypto/", "crypto"),
    ("sound/", "sound"),
    ("ipc/", "ipc"),
    ("io_uring/", "io_uring"),
    ("virt/", "virt"),
    ("init/", "init"),
    ("lib/", "lib"),
    ("certs/", "certs"),
    ("ukl/", "ukl"),
    ("", "other"),
];

impl Subsystem {
    /// By a source file's path relative to the kernel's tree: `net/ipv4/tcp.c` is `net`.
    #[must_use]
    pub fn of_source(path: &str) -> Self {
        let found = SUBSYSTEMS
            .iter()
            .position(|(prefix, _)| path.starts_with(prefix));
        Self::canonical(found.unwrap_or(SUBSYSTEMS.len() - 1))
    }

    /// By its name as shown: `net`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        SUBSYSTEMS
            .iter()
            .position(|(_, n)| *n == name)
            .map(Self::canonical)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        SUBSYSTEMS[self.0].1
    }

    /// Every name, once each.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let first =
            |i: usize| SUBSYSTEMS.iter().position(|(_, n)| *n == SUBSYSTEMS[i].1) == Some(i);
        (0..SUBSYSTEMS.len())
            .filter(move |&i| first(i))
            .map(|i| SUBSYSTEMS[i].1)
    }

    fn canonical(index: usize) -> Self {
        let name = SUBSYSTEMS[index].1;
        Self(
            SUBSYSTEMS
                .iter()
                .position(|(_, n)| *n == name)
                .unwrap_or(index),
        )
    }
}

impl Origin {
    /// Kernel code by its source file's path relative to the kernel's tree.
    #[must_use]
    pub fn kernel_source(path: &str) -> Self {
        Self::Kernel(Subsystem::of_source(path))
    }

    /// Whether this is on the application's side of the boundary.
    #[must_use]
    pub const fn is_app_side(self) -> bool {
        matches!(self, Self::App | Self::Libc)
    }

    /// Whether this is on the kernel's side of the boundary.
    #[must_use]
    pub const fn is_kernel_side(self) -> bool {
        matches!(self, Self::Entry | Self::Kernel(_))
    }

    /// One letter for a gutter, so that nothing depends on colour.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::App => 'a',
            Self::Libc => 'l',
            Self::Entry => 'e',
            Self::Kernel(_) => 'k',
            Self::Unknown => '?',
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App => f.write_str("app"),
            Self::Libc => f.write_str("libc"),
            Self::Entry => f.write_str("entry"),
            Self::Kernel(subsystem) => write!(f, "kernel:{}", subsystem.name()),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl std::str::FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "app" => Ok(Self::App),
            "libc" => Ok(Self::Libc),
            "entry" => Ok(Self::Entry),
            "unknown" => Ok(Self::Unknown),
            _ => text
                .strip_prefix("kernel:")
                .and_then(Subsystem::named)
                .map(Self::Kernel)
                .ok_or_else(|| {
                    let names: Vec<_> = Subsystem::names().collect();
                    format!(
                        "'{text}' is no origin: app, libc, entry, or kernel: and one of {}",
                        names.join(", ")
                    )
                }),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_code_is_named_by_its_folder() {
        assert_eq!(
            Origin::kernel_source("net/ipv4/tcp.c").to_string(),
            "kernel:net"
        );
        assert_eq!(
            Origin::kernel_source("kernel/sched/core.c").to_string(),
            "kernel:sched"
        );
        assert_eq!(
            Origin::kernel_source("kernel/fork.c").to_string(),
            "kernel:core"
        );
        assert_eq!(
            Origin::kernel_source("somewhere.c").to_string(),
            "kernel:other"
        );
    }

    #[test]
    fn every_origin_reads_back_as_itself() {
        for path in [
            "arch/x86/mm/fault.c",
            "mm/memory.c",
            "arch/x86/entry/common.c",
            "x",
        ] {
            let origin = Origin::kernel_source(path);
            assert_eq!(origin.to_string().parse(), Ok(origin));
        }
        for origin in [Origin::App, Origin::Libc, Origin::Entry, Origin::Unknown] {
            assert_eq!(origin.to_string().parse(), Ok(origin));
        }
    }
}
