//! gdb at the same stops: one process, which attaches to the stub, prints its backtrace and leaves.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use debugger::crossing::Mode;
use debugger::qemu::image::Image;
use debugger::session::link::Endpoint;

/// Printed by it behind each answer.
const MARK: &str = "uklscope-end-of-answer";

/// Where a stack begins, as gdb's outermost frame names it; it shows nothing before main unless
/// asked to.
const BEGINNINGS: [&str; 8] = [
    "main",
    "_start",
    "ukl__start",
    "__clone",
    "ret_from_fork",
    "secondary_startup_64",
    "secondary_startup_64_no_verify",
    "start_cpu0",
];

pub(in super::super) struct Gdb {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// What gdb says of one stop.
#[derive(Clone, Debug)]
pub(super) struct Theirs {
    pub(super) frames: usize,
    pub(super) pc: Option<u64>,
    pub(super) complete: bool,
}

impl Gdb {
    pub(in super::super) fn start(image: &Image, mode: Mode) -> Result<Self> {
        let mut command = Command::new("gdb");
        command.args(["-nx", "-q", "-iex", "set auto-load off"]);
        command.arg(image.vmlinux());
        let folder = std::env::temp_dir();
        let mut child = command
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting gdb: install it with 'apt-get install gdb'")?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("gdb has no input or output");
        };
        let mut gdb = Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        };
        let mut setup = "set pagination off\nset confirm off\nset width 0\n".to_owned();
        if mode == Mode::Linux {
            let twin = image.twin();
            use std::fmt::Write as _;
            writeln!(setup, "add-symbol-file {}", twin.display())?;
        }
        gdb.ask(&setup)?;
        Ok(gdb)
    }

    pub(in super::super) fn ask(&mut self, commands: &str) -> Result<Vec<String>> {
        writeln!(self.stdin, "{commands}echo \\n{MARK}\\n")?;
        self.stdin.flush()?;
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.stdout.read_line(&mut line)? == 0 {
                bail!("gdb has ended after '{}'", lines.join(" "));
            }
            let line = line.trim_end();
            if line == MARK {
                return Ok(lines);
            }
            lines.push(line.to_owned());
        }
    }

    /// The stub must have no other client.
    pub(super) fn backtrace(&mut self, endpoint: &Endpoint) -> Result<Theirs> {
        let Endpoint::Unix(socket) = endpoint else {
            bail!("QEMU has no stub on a socket");
        };
        let lines = self.ask(&format!(
            "target remote {}\np/x $pc\nbt 4096\ndisconnect\n",
            socket.display()
        ))?;
        let pc = lines.iter().find_map(|line| {
            let hex = line.split_once("= 0x")?.1;
            u64::from_str_radix(hex.trim(), 16).ok()
        });
        let is_frame = |line: &&String| {
            let line = line.trim_start_matches("(gdb) ");
            line.strip_prefix('#')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let frames: Vec<&String> = lines.iter().filter(is_frame).collect();
        // A last frame without a name is where it did not notice the end.
        let named = frames
            .iter()
            .rev()
            .find_map(|line| function(line).filter(|name| *name != "??"));
        let complete = named.is_some_and(|name| BEGINNINGS.contains(&name));
        Ok(Theirs {
            frames: frames.len(),
            pc,
            complete,
        })
    }
}

/// Of `#3  0xffffffff81000d5f in ret_from_fork () at …` or `#0  main (argc=…`.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start_matches("(gdb) ");
    let rest = line.split_once(' ')?.1.trim_start();
    let rest = match rest.starts_with("0x") {
        true => rest.split_once(" in ")?.1,
        false => rest,
    };
    rest.split(' ').next()
}

impl Drop for Gdb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_in_frames() {
        let lines = [
            (
                "(gdb) #0  ksys_write (fd=1, buf=0x1) at fs/x.c:3",
                "ksys_write",
            ),
            ("#12 0xffffffff81601026 in ukl__start ()", "ukl__start"),
            (
                "#3  0xffffffff81000d5f in ret_from_fork () at a.S:3",
                "ret_from_fork",
            ),
        ];
        for (line, name) in lines {
            assert_eq!(function(line), Some(name));
        }
    }
}
