//! Booting an image of the store in a test: plain QEMU, its serial line, a deadline.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use debugger::crossing::Mode;
use debugger::qemu::image::Image;
use debugger::session::store::Store;

/// Far beyond what any boot takes, also on a loaded machine: only a hanging guest reaches it.
const DEADLINE: Duration = Duration::from_secs(180);

/// How much longer a kernel that checks itself may take.
const CHECKING: u32 = 5;

/// How to boot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boot<'a> {
    pub(crate) mode: Mode,
    pub(crate) calls: Option<u64>,
    pub(crate) cpus: u32,
    /// More of QEMU's arguments.
    pub(crate) qemu: &'a [&'a str],
    /// More of the kernel's command line.
    pub(crate) append: &'a str,
}

impl Boot<'_> {
    pub(crate) fn mode(mode: Mode) -> Self {
        Self {
            mode,
            calls: None,
            cpus: 1,
            qemu: &[],
            append: "",
        }
    }
}

/// QEMU that ends with the test, also when that panics.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing to do where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What follows the names of images: `cargo xtask test --debug-kernel` sets it.
fn suffix() -> String {
    std::env::var("UKLSCOPE_TEST_IMAGES").unwrap_or_default()
}

pub(crate) fn image(name: &str) -> Image {
    Store::open()
        .and_then(|store| store.image(&format!("{name}{}", suffix())))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// All that the guest writes to its serial line until it powers off.
pub(crate) fn serial(image: &Image, boot: &Boot<'_>) -> String {
    let append = format!("{} {}", image.append(boot.mode, boot.calls), boot.append);
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg", "-nographic", "-no-reboot", "-nodefaults"])
        .args([
            "-serial",
            "stdio",
            "-m",
            &image.manifest.memory_mib.to_string(),
        ])
        .args(["-smp", &boot.cpus.to_string()])
        .args(boot.qemu)
        .args(path_argument("-kernel", &image.kernel()))
        .args(path_argument("-initrd", &image.initrd()))
        .args(["-append", append.trim()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut running = Running(qemu.spawn().expect("qemu-system-x86_64 starts"));
    let stdout = running.0.stdout.take().expect("stdout is a pipe");
    let (lines, received) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if lines
                .send(String::from_utf8_lossy(&line).trim_end().to_owned())
                .is_err()
            {
                return;
            }
        }
    });
    let deadline = if suffix().is_empty() {
        DEADLINE
    } else {
        CHECKING * DEADLINE
    };
    let end = Instant::now() + deadline;
    let mut serial = String::new();
    loop {
        match received.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                serial.push_str(&line);
                serial.push('\n');
            }
            Err(RecvTimeoutError::Disconnected) => return serial,
            Err(RecvTimeoutError::Timeout) => panic!(
                "{} in mode {} did not power off in {deadline:?}; so far:\n{serial}",
                image.manifest.name, boot.mode
            ),
        }
    }
}

/// What a kernel that checks itself says when it finds something: nothing that a program does may lead to one.
fn checked(serial: &str) {
    const FINDINGS: [&str; 9] = [
        "BUG: KASAN",
        "BUG: sleeping function",
        "WARNING: CPU",
        "possible recursive locking",
        "possible circular locking",
        "inconsistent lock state",
        "suspicious RCU usage",
        "bad unlock balance",
        "DEBUG_LOCKS_WARN_ON",
    ];
    for finding in FINDINGS {
        assert!(!serial.contains(finding), "'{finding}' in\n{serial}");
    }
}

/// Boots and expects `text` on the serial line.
pub(crate) fn expect(name: &str, boot: &Boot<'_>, text: &str) -> String {
    let serial = serial(&image(name), boot);
    assert!(
        serial.contains(text),
        "{name}, {boot:?}: no '{text}' in\n{serial}"
    );
    checked(&serial);
    serial
}

/// Expects no report of the kernel about itself on the serial line, but for stalls: a guest whose host is busy has those.
pub(crate) fn clean(serial: &str) {
    const REPORTS: [&str; 6] = [
        "WARNING:",
        "BUG:",
        "Oops:",
        "Kernel panic",
        "double fault",
        "Call Trace",
    ];
    let stalled = serial.contains("rcu: INFO");
    for report in REPORTS {
        let reported = serial.contains(report) && !(stalled && report == "Call Trace");
        assert!(!reported, "'{report}' in\n{serial}");
    }
}

fn path_argument<'a>(option: &'a str, path: &'a Path) -> [&'a std::ffi::OsStr; 2] {
    [option.as_ref(), path.as_os_str()]
}
