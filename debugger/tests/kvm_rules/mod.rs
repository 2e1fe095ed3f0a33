//! Between a debugger and QEMU's stub under TCG: answers for breakpoints as the stub under KVM does.
//!
//! The rules are read from QEMU's `kvm_insert_breakpoint`, `kvm_arch_insert_sw_breakpoint` and
//! `kvm_arch_insert_hw_breakpoint`: a software breakpoint is written into guest memory, EINVAL where
//! nothing is mapped; hardware breakpoints and watchpoints share four debug registers, ENOBUFS
//! beyond; no register stops at reads alone. What passes those rules is carried out by TCG.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

const SLICE: Duration = Duration::from_millis(2);

/// One end of the conversation.
struct End {
    stream: UnixStream,
    bytes: Vec<u8>,
    gone: bool,
}

impl End {
    fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(SLICE)).unwrap();
        Self {
            stream,
            bytes: Vec::new(),
            gone: false,
        }
    }

    fn listen(&mut self) {
        let mut buffer = [0; 65_536];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.gone = true,
            Ok(len) => self.bytes.extend(&buffer[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.gone = true,
        }
    }

    /// The next packet whole, or what stands between packets.
    fn next(&mut self) -> Option<Vec<u8>> {
        let start = self.bytes.iter().position(|byte| *byte == b'$');
        let len = match start {
            Some(0) => self.bytes.iter().position(|byte| *byte == b'#')? + 3,
            Some(start) => start,
            None => self.bytes.len(),
        };
        (len > 0 && len <= self.bytes.len()).then(|| self.bytes.drain(..len).collect())
    }

    fn say(&mut self, bytes: &[u8]) {
        if self.stream.write_all(bytes).is_err() {
            self.gone = true;
        }
    }
}

fn packet(payload: &str) -> Vec<u8> {
    let sum = payload.bytes().fold(0_u8, u8::wrapping_add);
    format!("${payload}#{sum:02x}").into_bytes()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Serves one debugger until it hangs up.
pub(crate) fn between(listener: &UnixListener, stub: &Path) {
    let (client, _) = listener.accept().unwrap();
    let mut client = End::new(client);
    let mut stub = End::new(UnixStream::connect(stub).unwrap());
    let mut slots = BTreeSet::new();
    while !client.gone && !stub.gone {
        stub.listen();
        while let Some(bytes) = stub.next() {
            client.say(&bytes);
        }
        client.listen();
        while let Some(bytes) = client.next() {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let payload = text
                .strip_prefix('$')
                .and_then(|text| text.get(..text.len() - 3));
            match payload.map(|payload| answer(payload, &mut slots, &mut stub, &mut client)) {
                Some(Some(answer)) => {
                    client.say(b"+");
                    for payload in answer {
                        client.say(&packet(&payload));
                    }
                }
                Some(None) | None => exchange(&bytes, payload, &mut stub, &mut client),
            }
        }
    }
}

/// What the stub under KVM answers where TCG's answers otherwise.
fn answer(
    payload: &str,
    slots: &mut BTreeSet<String>,
    stub: &mut End,
    client: &mut End,
) -> Option<Vec<String>> {
    if payload == format!("qRcmd,{}", hex("info kvm")) {
        return Some(vec![
            format!("O{}", hex("kvm support: enabled\r\n")),
            "OK".to_owned(),
        ]);
    }
    let (insert, trap) = match payload.split_at_checked(1)? {
        ("Z", trap) => (true, trap),
        ("z", trap) => (false, trap),
        _ => return None,
    };
    let mut parts = trap.split(',');
    let (kind, at, len) = (parts.next()?, parts.next()?, parts.next()?);
    if kind == "0" {
        let mapped = !ask(&format!("m{at},1"), stub, client).starts_with('E');
        return (insert && !mapped).then(|| vec!["E22".to_owned()]);
    }
    if !insert {
        slots.remove(trap);
        return None;
    }
    let len = u64::from_str_radix(len, 16).unwrap();
    let aligned = u64::from_str_radix(at, 16).unwrap() % len == 0;
    if kind == "3" || !matches!(len, 1 | 2 | 4 | 8) || !aligned {
        return Some(vec!["E22".to_owned()]);
    }
    if slots.len() == 4 {
        return Some(vec!["E105".to_owned()]);
    }
    slots.insert(trap.to_owned());
    None
}

/// Our own question, of which the debugger learns nothing.
fn ask(payload: &str, stub: &mut End, client: &mut End) -> String {
    stub.say(&packet(payload));
    loop {
        stub.listen();
        while let Some(bytes) = stub.next() {
            if bytes[0] == b'$' {
                stub.say(b"+");
                return String::from_utf8_lossy(&bytes[1..bytes.len() - 3]).into_owned();
            }
        }
        assert!(!stub.gone && !client.gone, "asking '{payload}'");
    }
}

/// Passes a request on and waits for its answer, so that ours never overtake the stub's; a request
/// that lets the machine run is answered by its stop, whenever that comes.
fn exchange(bytes: &[u8], payload: Option<&str>, stub: &mut End, client: &mut End) {
    stub.say(bytes);
    let Some(payload) = payload else {
        return;
    };
    if payload.starts_with("vCont;") || matches!(payload, "c" | "s" | "k") {
        return;
    }
    loop {
        stub.listen();
        while let Some(bytes) = stub.next() {
            client.say(&bytes);
            let more = bytes.starts_with(b"$O") && !bytes.starts_with(b"$OK#");
            if bytes[0] == b'$' && !more {
                return;
            }
        }
        if stub.gone || client.gone {
            return;
        }
    }
}
