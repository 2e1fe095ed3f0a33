//! A conversation with a stub that was recorded, as the machine that it was held with.
//!
//! What was asked then is answered as it was then, in any order between two stops: the same commands
//! give the same answers. What was not asked then is refused with a word that says so.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::transcript::{Direction, TranscriptError, runs};
use crate::gdb::packet::{self, Decoder, Item};

/// A stop that came because somebody asked for it is held back until it is asked for again, or so
/// long.
const HOLD: Duration = Duration::from_secs(1);

/// Between two looks at nothing.
const NAP: Duration = Duration::from_millis(1);

const NOT_RECORDED: &str = "it is not in the recording";

/// One request and all that came for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Exchange {
    request: Vec<u8>,
    /// The thread that was read through, and whether by physical address.
    through: Through,
    replies: Vec<Vec<u8>>,
    /// The reply came after a byte 0x03.
    interrupted: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Through {
    thread: Vec<u8>,
    physical: bool,
}

#[derive(Debug)]
pub struct Replay {
    exchanges: Vec<Exchange>,
    /// The exchange that comes next, where all goes as it went.
    at: usize,
    through: Through,
    decoder: Decoder,
    /// On their way to the client.
    out: Vec<u8>,
    held: Option<(Vec<Vec<u8>>, Instant)>,
    acknowledges: bool,
}

/// What a recording begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub vmlinux: Option<String>,
    pub twin: Option<String>,
    pub source: Option<String>,
}

const FIRST_LINE: &str = "# uklscope wire 1";

impl Head {
    /// The lines that a recording begins with.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        for (name, value) in [
            ("vmlinux", &self.vmlinux),
            ("twin", &self.twin),
            ("source", &self.source),
        ] {
            if let Some(value) = value {
                text.push_str(&format!("# {name} {value}\n"));
            }
        }
        text
    }

    /// `None` where this is no recording.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return None;
        }
        let mut head = Self::default();
        for line in lines.map_while(|line| line.strip_prefix("# ")) {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            let field = match name {
                "vmlinux" => &mut head.vmlinux,
                "twin" => &mut head.twin,
                "source" => &mut head.source,
                _ => continue,
            };
            *field = Some(value.to_owned());
        }
        Some(head)
    }
}

impl Replay {
    /// # Errors
    /// When a line is no line of a transcript.
    pub fn new(text: &str) -> Result<Self, TranscriptError> {
        let mut pairing = Pairing::default();
        for (direction, bytes) in runs(text)? {
            let (items, _) = packet::decode_all(&bytes);
            for item in items {
                match (direction, item) {
                    (Direction::Sent, Item::Packet(request)) => pairing.asked(request),
                    (Direction::Sent, Item::Interrupt) => pairing.interrupted(),
                    (Direction::Received, Item::Packet(reply)) => pairing.answered(reply),
                    _ => {}
                }
            }
        }
        Ok(Self {
            exchanges: pairing.exchanges,
            at: 0,
            through: Through::default(),
            decoder: Decoder::default(),
            out: Vec::new(),
            held: None,
            acknowledges: true,
        })
    }

    /// Takes what the client sends.
    pub fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match self.decoder.push(*byte) {
                Ok(Some(Item::Packet(request))) => {
                    if self.acknowledges {
                        self.out.push(b'+');
                    }
                    self.ask(&request);
                }
                Ok(Some(Item::Interrupt)) => {
                    if let Some((replies, _)) = self.held.take() {
                        self.give(&replies);
                    }
                }
                Ok(_) => {}
                // As a stub does with a packet that arrived damaged.
                Err(_) => self.out.push(b'-'),
            }
        }
    }

    /// What the client receives now; it waits for no longer than that.
    pub fn receive(&mut self, timeout: Duration) -> Vec<u8> {
        if self
            .held
            .as_ref()
            .is_some_and(|(_, since)| since.elapsed() > HOLD)
            && let Some((replies, _)) = self.held.take()
        {
            self.give(&replies);
        }
        if self.out.is_empty() {
            std::thread::sleep(timeout.min(NAP));
        }
        std::mem::take(&mut self.out)
    }

    fn give(&mut self, replies: &[Vec<u8>]) {
        for reply in replies {
            packet::push(&mut self.out, reply);
        }
    }

    fn ask(&mut self, request: &[u8]) {
        if request == b"k" {
            return;
        }
        if resumes(request) {
            self.resume(request);
            return;
        }
        if let Some(replies) = self.recorded(request) {
            if request == b"QStartNoAckMode" && replies.first().is_some_and(|reply| reply == b"OK")
            {
                self.acknowledges = false;
            }
            self.give(&replies);
            self.through.note(request);
            return;
        }
        // What changes nothing of the machine needs no recording.
        let harmless = self.through.note(request)
            || request.starts_with(b"z")
            || request.first() == Some(&b'D');
        let reply = match harmless {
            true => b"OK".to_vec(),
            false => format!("E.{NOT_RECORDED}").into_bytes(),
        };
        self.give(&[reply]);
    }

    fn resume(&mut self, request: &[u8]) {
        let rest = self.exchanges.iter().enumerate().skip(self.at);
        let mut resumed = rest.filter(|(_, exchange)| resumes(&exchange.request));
        let next = resumed.next().map(|(at, exchange)| (at, exchange.clone()));
        let refusal = match next {
            Some((at, exchange)) if exchange.request == request => {
                self.at = at + 1;
                self.through = Through::default();
                match exchange.interrupted {
                    true => self.held = Some((exchange.replies, Instant::now())),
                    false => self.give(&exchange.replies),
                }
                return;
            }
            Some((_, exchange)) => format!(
                "E.the recording goes on with '{}' here",
                exchange.request.escape_ascii()
            ),
            None => "E.the recording ends here".to_owned(),
        };
        self.give(&[refusal.into_bytes()]);
    }

    /// The replies that this request got at this stop, or at any where that makes no difference.
    fn recorded(&mut self, request: &[u8]) -> Option<Vec<Vec<u8>>> {
        let resumed = |exchange: &Exchange| resumes(&exchange.request);
        let before = self.exchanges[..self.at].iter().rposition(resumed);
        let after = self.exchanges[self.at..].iter().position(resumed);
        let start = before.map_or(0, |at| at + 1);
        let end = after.map_or(self.exchanges.len(), |at| self.at + at);
        let same = |exchange: &Exchange| {
            exchange.request == request
                && (exchange.through == self.through || !reads(request))
                && !exchange.replies.is_empty()
        };
        let found = self.exchanges[self.at..end].iter().position(same);
        if let Some(at) = found {
            let at = self.at + at;
            self.at = at + 1;
            return Some(self.exchanges[at].replies.clone());
        }
        let here = &self.exchanges[start..end];
        if let Some(exchange) = here.iter().rev().find(|exchange| same(exchange)) {
            return Some(exchange.replies.clone());
        }
        if let Some(bytes) = self.covered(request, here) {
            return Some(vec![bytes]);
        }
        if !is_settled(request) {
            return None;
        }
        let anywhere = self.exchanges.iter().find(|exchange| same(exchange));
        anywhere.map(|found| found.replies.clone())
    }

    /// A read that lies within one that was made.
    fn covered(&self, request: &[u8], here: &[Exchange]) -> Option<Vec<u8>> {
        let (addr, len) = memory_read(request)?;
        here.iter().rev().find_map(|exchange| {
            let (from, most) = memory_read(&exchange.request)?;
            let skip = addr.checked_sub(from)?;
            if exchange.through != self.through || skip.checked_add(len)? > most {
                return None;
            }
            let start = usize::try_from(skip).ok()?.checked_mul(2)?;
            let end = start.checked_add(usize::try_from(len).ok()?.checked_mul(2)?)?;
            exchange
                .replies
                .first()?
                .get(start..end)
                .map(<[u8]>::to_vec)
        })
    }
}

impl Through {
    /// Whether the request chooses what the next ones read through.
    fn note(&mut self, request: &[u8]) -> bool {
        if let Some(thread) = request.strip_prefix(b"Hg") {
            self.thread = thread.to_vec();
            return true;
        }
        if let Some(mode) = request.strip_prefix(b"Qqemu.PhyMemMode:") {
            self.physical = mode == b"1";
            return true;
        }
        false
    }
}

/// Finds the replies of each request: a stub answers in order.
#[derive(Debug, Default)]
struct Pairing {
    exchanges: Vec<Exchange>,
    open: VecDeque<usize>,
    through: Through,
}

impl Pairing {
    fn asked(&mut self, request: Vec<u8>) {
        self.open.push_back(self.exchanges.len());
        let through = self.through.clone();
        self.through.note(&request);
        if resumes(&request) {
            self.through = Through::default();
        }
        self.exchanges.push(Exchange {
            request,
            through,
            ..Exchange::default()
        });
    }

    fn interrupted(&mut self) {
        let Some(&at) = self.open.front() else {
            return;
        };
        let exchange = &mut self.exchanges[at];
        exchange.interrupted = resumes(&exchange.request);
    }

    fn answered(&mut self, reply: Vec<u8>) {
        // A greeting, before anything was asked.
        let Some(&at) = self.open.front() else {
            return;
        };
        let exchange = &mut self.exchanges[at];
        let output = reply.first() == Some(&b'O') && reply != b"OK";
        let goes_on =
            output && (resumes(&exchange.request) || exchange.request.starts_with(b"qRcmd,"));
        exchange.replies.push(reply);
        if !goes_on {
            self.open.pop_front();
        }
    }
}

fn resumes(request: &[u8]) -> bool {
    request.starts_with(b"vCont;")
        || matches!(request, [b'c' | b's' | b'C' | b'S', ..])
        || matches!(request, b"bc" | b"bs")
}

/// Whether the answer depends on what is read through.
fn reads(request: &[u8]) -> bool {
    matches!(
        request.first(),
        Some(b'g' | b'p' | b'm' | b'G' | b'P' | b'M' | b'x' | b'X')
    )
}

/// Whether the answer is the same at every stop.
fn is_settled(request: &[u8]) -> bool {
    const CHANGING: [&[u8]; 2] = [b"qRcmd,", b"qThreadExtraInfo,"];
    matches!(request.first(), Some(b'q' | b'Q' | b'v' | b'Z'))
        && !CHANGING.iter().any(|start| request.starts_with(start))
}

/// `m1000,20`
fn memory_read(request: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(request.strip_prefix(b"m")?).ok()?;
    let (addr, len) = text.split_once(',')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some((number(addr)?, number(len)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::transcript::Recorder;
    use super::*;

    fn replay(pairs: &[(&str, &str)]) -> Replay {
        let mut recorder = Recorder::default();
        for (request, reply) in pairs {
            recorder.add(Direction::Sent, &packet::encode(request.as_bytes()));
            for part in reply.split('|') {
                recorder.add(Direction::Received, &packet::encode(part.as_bytes()));
            }
        }
        Replay::new(&recorder.text()).unwrap()
    }

    fn ask(replay: &mut Replay, request: &str) -> String {
        replay.send(&packet::encode(request.as_bytes()));
        let (items, _) = packet::decode_all(&replay.receive(Duration::ZERO));
        let packets = items.into_iter().filter_map(|item| match item {
            Item::Packet(payload) => Some(String::from_utf8(payload).unwrap()),
            _ => None,
        });
        packets.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn what_was_asked_is_answered_in_any_order_until_the_next_stop() {
        let mut replay = replay(&[
            ("qSupported", "PacketSize=1000"),
            ("m1000,4", "00112233"),
            ("g", "aa"),
            ("vCont;s:p1.1", "T05"),
            ("g", "bb"),
        ]);
        assert_eq!(ask(&mut replay, "g"), "aa");
        assert_eq!(ask(&mut replay, "m1000,4"), "00112233");
        assert_eq!(ask(&mut replay, "m1001,2"), "1122");
        assert_eq!(ask(&mut replay, "qSupported"), "PacketSize=1000");
        assert_eq!(ask(&mut replay, "m1003,2"), format!("E.{NOT_RECORDED}"));
        assert_eq!(ask(&mut replay, "z0,1000,1"), "OK");
        let other = ask(&mut replay, "vCont;c");
        assert_eq!(other, "E.the recording goes on with 'vCont;s:p1.1' here");
        assert_eq!(ask(&mut replay, "vCont;s:p1.1"), "T05");
        assert_eq!(ask(&mut replay, "g"), "bb");
        // What memory held before the step tells nothing of it now.
        assert_eq!(ask(&mut replay, "m1000,4"), format!("E.{NOT_RECORDED}"));
        assert_eq!(ask(&mut replay, "vCont;c"), "E.the recording ends here");
    }

    #[test]
    fn each_thread_has_its_own_registers() {
        let mut replay = replay(&[("Hgp1.1", "OK"), ("g", "11"), ("Hgp1.2", "OK"), ("g", "22")]);
        for (thread, registers) in [("Hgp1.2", "22"), ("Hgp1.1", "11")] {
            assert_eq!(ask(&mut replay, thread), "OK");
            assert_eq!(ask(&mut replay, "g"), registers);
        }
    }

    #[test]
    fn a_monitor_says_all_it_said() {
        let mut replay = replay(&[("qRcmd,00", "O61|O62|OK")]);
        assert_eq!(ask(&mut replay, "qRcmd,00"), "O61|O62|OK");
    }

    #[test]
    fn a_head_reads_back() {
        let head = Head {
            vmlinux: Some("/a b/vmlinux".to_owned()),
            ..Head::default()
        };
        assert_eq!(Head::read(&head.text()), Some(head));
        assert_eq!(Head::read("# main 0x1\n"), None);
    }

    proptest! {
        // Whatever a file holds and a client asks, there is an answer, and never a panic.
        #[test]
        fn every_question_is_answered(text in "([<>] [ -~]{0,30}\n){0,8}", asked in "[a-zA-Z;:,0-9]{1,20}") {
            if let Ok(mut replay) = Replay::new(&text) {
                replay.send(&packet::encode(asked.as_bytes()));
                let held = replay.held.is_some();
                let answered = replay.receive(Duration::ZERO).len() > 1;
                prop_assert!(answered || held || asked == "k");
            }
        }
    }
}
