//! The same crossings counted by gdb itself: a breakpoint that counts and goes on.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use debugger::crossing::Mode;
use debugger::qemu::arguments::Machine;
use debugger::qemu::image::Image;
use debugger::session::link::Endpoint;
use debugger::session::process::Qemu;

/// Crossings that are timed.
pub(super) const CROSSINGS: u32 = 2000;

/// Run by gdb's own Python.
const SCRIPT: &str = r"
import gdb, time

class Crossing(gdb.Breakpoint):
    hits = 0
    began = 0.0
    def stop(self):
        if Crossing.hits == 0:
            Crossing.began = time.monotonic()
        Crossing.hits += 1
        return Crossing.hits > LIMIT

gdb.execute('set pagination off')
gdb.execute('set confirm off')
gdb.execute('target remote ' + ADDRESS)
Crossing(WHERE, type=gdb.BP_HARDWARE_BREAKPOINT)
gdb.execute('continue')
print('crossings_per_s', LIMIT / (time.monotonic() - Crossing.began))
gdb.execute('kill')
";

/// # Errors
/// When gdb is not there or does not get as far.
pub(super) fn crossings_per_s(image: &Image, mode: Mode) -> Result<f64> {
    let qemu = Qemu::start(&Machine::of(image, mode, Some(u64::from(CROSSINGS))))?;
    let Some(Endpoint::Unix(socket)) = qemu.gdb() else {
        bail!("QEMU has no stub on a socket");
    };
    let entry = match mode {
        Mode::Linux | Mode::Ukl => "do_syscall_64",
        Mode::Bypass | Mode::Shortcut => "ukl_bypass_syscall",
    };
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("crossings.py");
    let head = format!(
        "LIMIT = {CROSSINGS}\nADDRESS = '{}'\nWHERE = '{entry}'\n",
        socket.display()
    );
    std::fs::write(&script, head + SCRIPT)?;
    let output = Command::new("gdb")
        .args(["-nx", "-q", "-batch"])
        .arg(image.vmlinux())
        .arg("-x")
        .arg(&script)
        .output()
        .context("starting gdb: install it with 'apt-get install gdb'")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix("crossings_per_s "))
        .and_then(|rate| rate.parse().ok())
        .with_context(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!("gdb gave no rate; it said '{}'", said.trim())
        })
}
