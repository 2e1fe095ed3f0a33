//! The kernel's own function graph tracer, as a rival: driven from inside the guest, on a kernel that has it.
//!
//! The image is `NAME+probes`. Its initramfs gets a second archive, with a program that starts the tracer
//! before `/init` and tells what its rings count.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use debugger::crossing::Mode;
use debugger::qemu::arguments::{GdbServer, Machine};
use debugger::qemu::image::Image;
use debugger::session::store;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::image::{Archive, Variant, logged};

const SOURCE: &str = include_str!("guest_tracer/function_graph.c");

const PROGRAM: &str = "/bin/function_graph";
/// The same program: it takes by this name what is in the ring, while the application runs.
const READER: &str = "/bin/function_graph-read";

/// What it prints before the numbers.
const BEFORE: &str = "function_graph: before: ";
const AFTER: &str = "function_graph: after: ";

#[derive(Debug)]
pub(super) struct GuestTracer {
    image: Image,
    initrd: PathBuf,
    _folder: TempDir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum How {
    /// The tracer is in the kernel, and its calls are nops.
    Off,
    /// What is new takes the place of what is oldest.
    Overwriting,
    /// A program beside the application takes what there is, and throws it away.
    Read,
}

/// What the rings of all CPUs have counted while the application ran.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) events: u64,
    /// Overwritten before they were read, or never written.
    pub(super) lost: u64,
    pub(super) bytes_per_event: f64,
}

/// At one time, since the tracer was started.
#[derive(Clone, Copy, Debug)]
struct Told {
    there: u64,
    read: u64,
    lost: u64,
    bytes: u64,
}

impl GuestTracer {
    /// # Errors
    /// When there is no such image, or the program cannot be compiled.
    pub(super) fn of(name: &str) -> Result<Self> {
        let variant = Variant::Probes.image(name);
        let image = store::image(&variant)
            .with_context(|| format!("build it with 'cargo xtask image {name} --probes'"))?;
        let folder = tempfile::tempdir()?;
        let source = folder.path().join("function_graph.c");
        let program = folder.path().join("function_graph");
        std::fs::write(&source, SOURCE)?;
        let mut gcc = Command::new("gcc");
        gcc.args(["-O2", "-static", "-s", "-o"])
            .arg(&program)
            .arg(&source);
        let log = folder.path().join("build.log");
        logged(gcc, "compiling the guest's part", &log, |_| {})?;
        let mut archive = Archive::default();
        archive.file(PROGRAM, 0o755, &std::fs::read(&program)?);
        archive.link(READER, "function_graph");
        let initrd = folder.path().join("initrd.gz");
        std::fs::write(
            &initrd,
            [std::fs::read(image.initrd())?, archive.finish()?].concat(),
        )?;
        Ok(Self {
            image,
            initrd,
            _folder: folder,
        })
    }

    pub(super) fn machine(&self, mode: Mode, calls: u64, how: How) -> Machine {
        let plain = Machine {
            gdb: GdbServer::None,
            ..Machine::of(&self.image, mode, Some(calls))
        };
        let beside = match how {
            How::Off => return plain,
            How::Overwriting => PROGRAM,
            How::Read => READER,
        };
        Machine {
            initrd: self.initrd.clone(),
            // Before the rest, of which the end is the application's.
            append: format!(
                "rdinit={PROGRAM} ukl.exit=wait ukl.beside={beside} {}",
                plain.append
            ),
            ..plain
        }
    }
}

impl Counts {
    /// From what the guest has written to its serial line.
    pub(super) fn read(serial: &str) -> Result<Self> {
        let told = |when| Told::find(serial, when);
        let (Some(before), Some(after)) = (told(BEFORE), told(AFTER)) else {
            let last = serial.lines().last().unwrap_or_default();
            bail!(
                "the guest's function graph tracer did not tell its counts; its last line: '{last}'"
            );
        };
        let events = after.events().checked_sub(before.events());
        Ok(Self {
            events: events.context("the guest's tracer counted backwards")?,
            lost: after.lost.saturating_sub(before.lost),
            bytes_per_event: after.bytes as f64 / (after.there + after.read).max(1) as f64,
        })
    }
}

impl Told {
    fn find(serial: &str, when: &str) -> Option<Self> {
        let line = serial.lines().find_map(|line| line.split_once(when))?.1;
        let words = line.split_whitespace();
        let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
        let [there, read, lost, bytes] = numbers.try_into().ok()?;
        Some(Self {
            there,
            read,
            lost,
            bytes,
        })
    }

    const fn events(self) -> u64 {
        self.there + self.read + self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn counts_are_read_from_the_serial_line() {
        let told = "function_graph: before: there 1 read 0 lost 1 bytes 40\r\n\
                    function_graph: after: there 2 read 5 lost 7 bytes 280\r\nreboot: Power down\r\n";
        let counts = Counts {
            events: 12,
            lost: 6,
            bytes_per_event: 40.0,
        };
        assert_eq!(Counts::read(told).unwrap(), counts);
        assert!(Counts::read("function_graph: FAILED: mounting /tracing").is_err());
    }
}
