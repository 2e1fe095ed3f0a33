//! The guest's serial line, which is QEMU's standard output: read by a thread of its own, and at once by whoever has
//! stopped the machine and wants all that it has written.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::ChildStdout;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Sender;
use rustix::event::{PollFd, PollFlags, Timespec};

#[derive(Clone, Debug)]
pub(super) struct Serial(Arc<Mutex<Tap>>);

#[derive(Debug)]
struct Tap {
    output: ChildStdout,
    /// None behind the end of the output.
    to: Option<Sender<Vec<u8>>>,
}

impl Serial {
    pub(super) fn new(output: ChildStdout, to: Sender<Vec<u8>>) -> Self {
        Self(Arc::new(Mutex::new(Tap {
            output,
            to: Some(to),
        })))
    }

    /// Sends on what is there, and waits for nothing. `false` at the end of the output.
    pub(super) fn take(&self) -> bool {
        let mut tap = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !tap.take() {
            tap.to = None;
        }
        tap.to.is_some()
    }

    /// Until the end of the output, also when nobody listens any more: a full pipe would stop QEMU.
    pub(super) fn forward(&self) {
        let output = {
            let tap = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            tap.output.as_fd().try_clone_to_owned()
        };
        match output {
            Ok(output) => while wait(&output, None) && self.take() {},
            // No file descriptor is left for a second one.
            Err(_) => while self.take() {},
        }
    }
}

impl Tap {
    fn take(&mut self) -> bool {
        let mut buffer = [0; 4096];
        while wait(&self.output, Some(&Timespec::default())) {
            match self.output.read(&mut buffer) {
                Ok(0) => return false,
                Ok(read) => {
                    if let Some(to) = &self.to {
                        let _ = to.send(buffer[..read].to_vec());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

/// Whether there is something to read, or the end.
fn wait(output: &impl AsFd, at_most: Option<&Timespec>) -> bool {
    loop {
        match rustix::event::poll(&mut [PollFd::new(output, PollFlags::IN)], at_most) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            // The read tells what is wrong.
            Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn all_that_was_written_comes_once_and_in_order() {
        let mut child = Command::new("sh")
            .args(["-c", "for i in 1 2 3 4 5 6 7 8 9; do echo $i; done"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, bytes) = crossbeam_channel::unbounded();
        let serial = Serial::new(child.stdout.take().unwrap(), to);
        let beside = serial.clone();
        let thread = std::thread::spawn(move || beside.forward());
        while serial.take() {
            std::thread::yield_now();
        }
        thread.join().unwrap();
        child.wait().unwrap();
        let all: Vec<u8> = bytes.iter().flatten().collect();
        assert_eq!(all, b"1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    }
}
