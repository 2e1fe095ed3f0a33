//! One conversation with a stub: what may be sent when, acknowledgements, and which reply answers
//! which request. Bytes in, bytes out.
//!
//! Three habits of QEMU's stub shape it:
//! - Any byte but 0x03 that arrives while the guest runs stops the guest. So nothing but the
//!   interrupt leaves here between a resume and its stop, acknowledgements included.
//! - A client that attaches to a running machine is greeted with a stop it did not ask for. A packet
//!   that comes before the request was acknowledged cannot be its reply.
//! - Replies come in the order of the requests, so a batch of requests may be sent at once.

use std::collections::VecDeque;

use super::packet::{self, Decoder, INTERRUPT, Item, PacketError};
use super::request::Request;

/// Bytes of junk kept to be shown.
const SHOWN: usize = 48;

/// Packets nobody asked for that are kept.
const MOST_UNASKED: usize = 64;

/// Packets that arrive damaged one after another before the wire is given up.
const MOST_DAMAGED: u32 = 3;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    #[error("the target runs: it must stop before '{0}' can be sent, or the byte would stop it")]
    Running(String),
    #[error("what arrives is damaged: {0}")]
    Damaged(PacketError),
    #[error("the stub asks again and again for '{0}': what is sent arrives damaged")]
    Refused(String),
}

#[derive(Debug)]
struct Sent {
    payload: Vec<u8>,
    acknowledged: bool,
    /// Its reply came too late for anyone to want it, and is dropped when it comes.
    abandoned: bool,
}

#[derive(Debug, Default)]
pub struct Client {
    decoder: Decoder,
    output: Vec<u8>,
    /// Requests without a reply yet, in order.
    sent: VecDeque<Sent>,
    replies: VecDeque<Vec<u8>>,
    /// Stops nobody asked for, and notifications.
    unasked: VecDeque<Vec<u8>>,
    running: bool,
    /// Acknowledgements that wait until the target stands.
    owed_acks: usize,
    no_ack: bool,
    damaged: u32,
    resent: u32,
    /// Bytes that have arrived.
    heard: u64,
    junk: Vec<u8>,
    junk_bytes: u64,
}

impl Client {
    /// Appends a request to the output.
    ///
    /// # Errors
    /// While the target runs.
    pub fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let payload = request.payload();
        if self.running {
            return Err(ClientError::Running(payload.escape_ascii().to_string()));
        }
        packet::push(&mut self.output, &payload);
        self.sent.push_back(Sent {
            payload,
            acknowledged: self.no_ack,
            abandoned: false,
        });
        self.running = request.resumes();
        Ok(())
    }

    /// Asks a running target to stop. Harmless to one that has just stopped.
    pub fn interrupt(&mut self) {
        self.output.push(INTERRUPT);
    }

    /// Gives up waiting for the replies under way, so that one that comes late is not taken for the
    /// next request's.
    pub fn abandon(&mut self) {
        self.replies.clear();
        for sent in &mut self.sent {
            sent.abandoned = true;
        }
    }

    /// Acknowledgements end, once the stub has agreed to it.
    pub fn stop_acknowledging(&mut self) {
        self.no_ack = true;
    }

    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// Requests that wait for a reply.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.sent.len()
    }

    /// Whether the stub has taken the request that is to be answered next: it is at work on it.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.sent.front().is_some_and(|sent| sent.acknowledged)
    }

    /// Bytes that have arrived so far.
    #[must_use]
    pub const fn heard(&self) -> u64 {
        self.heard
    }

    /// What is to be sent, and is then no longer held.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    #[must_use]
    pub fn has_reply(&self) -> bool {
        !self.replies.is_empty()
    }

    #[must_use]
    pub fn next_reply(&mut self) -> Option<Vec<u8>> {
        self.replies.pop_front()
    }

    #[must_use]
    pub fn next_unasked(&mut self) -> Option<Vec<u8>> {
        self.unasked.pop_front()
    }

    /// What arrived that belongs to no packet: how many bytes, and the first of them.
    #[must_use]
    pub fn junk(&self) -> Option<(u64, String)> {
        (self.junk_bytes > 0).then(|| (self.junk_bytes, self.junk.escape_ascii().to_string()))
    }

    /// The beginning of a packet that has not ended.
    #[must_use]
    pub fn unfinished(&self) -> Option<String> {
        self.decoder.within_packet().then(|| {
            let bytes = self.decoder.unfinished();
            bytes[..bytes.len().min(SHOWN)].escape_ascii().to_string()
        })
    }

    /// Takes what arrived.
    ///
    /// # Errors
    /// When the wire cannot be trusted any more. The conversation is then over.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.heard += bytes.len() as u64;
        for byte in bytes {
            match self.decoder.push(*byte) {
                Ok(None) => {}
                Ok(Some(item)) => self.take(item)?,
                Err(PacketError::Junk(byte)) => {
                    self.junk_bytes += 1;
                    if self.junk.len() < SHOWN {
                        self.junk.push(byte);
                    }
                }
                Err(error) => self.take_damaged(error)?,
            }
        }
        Ok(())
    }

    fn take(&mut self, item: Item) -> Result<(), ClientError> {
        match item {
            Item::Packet(payload) => self.take_packet(payload),
            Item::Notification(payload) => {
                self.unasked.push_back(payload);
                self.unasked.truncate(MOST_UNASKED);
            }
            Item::Ack => {
                if let Some(sent) = self.sent.iter_mut().find(|sent| !sent.acknowledged) {
                    sent.acknowledged = true;
                    self.resent = 0;
                }
            }
            Item::Nak => return self.resend(),
            // A stub has no business to send it; nothing hangs on it.
            Item::Interrupt => {}
        }
        Ok(())
    }

    fn take_packet(&mut self, payload: Vec<u8>) {
        self.damaged = 0;
        if !self.no_ack {
            self.owed_acks += 1;
        }
        let only_output = payload.first() == Some(&b'O') && payload != b"OK";
        match self.sent.front() {
            Some(sent) if !sent.acknowledged => self.unasked.push_back(payload),
            // A monitor command is answered with output, in any number of packets, before its OK.
            Some(sent) if only_output && sent.payload.starts_with(b"qRcmd,") => {
                if !sent.abandoned {
                    self.replies.push_back(payload);
                }
            }
            // Output of a running program, ahead of the stop that answers the resume.
            Some(_) if only_output && self.running && self.sent.len() == 1 => {
                self.unasked.push_back(payload);
            }
            Some(sent) => {
                if !sent.abandoned {
                    self.replies.push_back(payload);
                }
                self.sent.pop_front();
                // The resume is the last of its batch, so nothing runs once all are answered.
                self.running &= !self.sent.is_empty();
            }
            None => self.unasked.push_back(payload),
        }
        self.unasked.truncate(MOST_UNASKED);
        if !self.running {
            self.settle_acks();
        }
    }

    fn settle_acks(&mut self) {
        let owed = std::mem::take(&mut self.owed_acks);
        self.output.extend(std::iter::repeat_n(b'+', owed));
    }

    fn take_damaged(&mut self, error: PacketError) -> Result<(), ClientError> {
        self.damaged += 1;
        if self.no_ack || self.damaged >= MOST_DAMAGED || matches!(error, PacketError::TooLong) {
            return Err(ClientError::Damaged(error));
        }
        // A stub that has just sent a packet does not run its guest: it takes this byte as "again".
        self.output.push(b'-');
        Ok(())
    }

    fn resend(&mut self) -> Result<(), ClientError> {
        let mut waiting = self.sent.iter().filter(|sent| !sent.acknowledged);
        let Some(sent) = waiting.next() else {
            return Ok(());
        };
        // With more than one under way the replies would come in another order.
        if waiting.next().is_some() || self.resent >= MOST_DAMAGED {
            return Err(ClientError::Refused(
                sent.payload.escape_ascii().to_string(),
            ));
        }
        self.resent += 1;
        packet::push(&mut self.output, &sent.payload);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Addr;
    use crate::gdb::request::Trap;

    fn sent(client: &mut Client, request: &Request) {
        client.send(request).unwrap();
        assert!(!client.take_output().is_empty());
    }

    fn replies(client: &mut Client) -> Vec<String> {
        std::iter::from_fn(|| client.next_reply())
            .map(|reply| reply.escape_ascii().to_string())
            .collect()
    }

    #[test]
    fn a_batch_is_answered_in_order_and_acknowledged() {
        let mut client = Client::default();
        client.send(&Request::StepFlags).unwrap();
        client.send(&Request::PhysicalMode).unwrap();
        assert_eq!(client.take_output(), b"$qqemu.sstep#86$qqemu.PhyMemMode#2c");
        client.receive(b"+$0x7#df+$0#30").unwrap();
        assert_eq!(replies(&mut client), ["0x7", "0"]);
        assert_eq!(client.take_output(), b"++");
        assert_eq!(client.waiting(), 0);
    }

    /// As QEMU 7.2 greets whoever attaches to a machine that runs.
    #[test]
    fn a_stop_before_the_acknowledgement_answers_nothing() {
        let mut client = Client::default();
        sent(&mut client, &Request::Supported);
        client
            .receive(b"$T02thread:01;#04+$PacketSize=1000#f1")
            .unwrap();
        assert_eq!(replies(&mut client), ["PacketSize=1000"]);
        assert_eq!(client.next_unasked().unwrap(), b"T02thread:01;");
    }

    #[test]
    fn nothing_but_the_interrupt_is_sent_to_a_running_target() {
        let mut client = Client::default();
        client.send(&Request::Remove(Trap::soft(Addr(1)))).unwrap();
        client.send(&Request::Continue).unwrap();
        let _ = client.take_output();
        // The reply to the first comes while the target may already run.
        client.receive(b"+$OK#9a+").unwrap();
        assert!(client.is_running());
        assert_eq!(
            client.take_output(),
            b"",
            "an acknowledgement would stop it"
        );
        assert!(matches!(
            client.send(&Request::ReadRegisters),
            Err(ClientError::Running(_))
        ));
        // Console output, as other stubs send it.
        client.receive(b"$O6869#2c").unwrap();
        assert!(client.is_running());
        client.interrupt();
        assert_eq!(client.take_output(), [INTERRUPT]);
        client.receive(b"$T02thread:p01.01;#03").unwrap();
        assert!(!client.is_running());
        assert_eq!(replies(&mut client), ["OK", "T02thread:p01.01;"]);
        assert_eq!(client.take_output(), b"+++");
        client.send(&Request::ReadRegisters).unwrap();
    }

    /// A late acknowledgement would stop what was just let go.
    #[test]
    fn nothing_is_sent_after_detaching() {
        let mut client = Client::default();
        client.send(&Request::Remove(Trap::soft(Addr(1)))).unwrap();
        client.send(&Request::Detach { process: None }).unwrap();
        let _ = client.take_output();
        client.receive(b"+$OK#9a").unwrap();
        assert_eq!(client.take_output(), b"");
        client.receive(b"+$OK#9a").unwrap();
        assert_eq!(replies(&mut client), ["OK", "OK"]);
    }

    #[test]
    fn a_refused_resume_leaves_the_target_standing() {
        let mut client = Client::default();
        sent(&mut client, &Request::Continue);
        client.receive(b"+$E22#a9").unwrap();
        assert!(!client.is_running());
        assert_eq!(replies(&mut client), ["E22"]);
    }

    #[test]
    fn monitor_output_comes_before_its_ok() {
        let mut client = Client::default();
        sent(&mut client, &Request::Monitor("info status".to_owned()));
        client.receive(b"+$O6869#2c$O6a#e6").unwrap();
        assert_eq!(client.waiting(), 1);
        client.receive(b"$OK#9a").unwrap();
        assert_eq!(replies(&mut client), ["O6869", "O6a", "OK"]);
        assert_eq!(client.waiting(), 0);
    }

    #[test]
    fn a_damaged_packet_is_asked_for_again_and_then_given_up() {
        let mut client = Client::default();
        sent(&mut client, &Request::ReadRegisters);
        client.receive(b"+$00#61").unwrap();
        assert_eq!(client.take_output(), b"-");
        client.receive(b"$00#60").unwrap();
        assert_eq!(replies(&mut client), ["00"]);
        sent(&mut client, &Request::ReadRegisters);
        let error = client.receive(b"+$00#61$00#61$00#61").unwrap_err();
        assert!(matches!(error, ClientError::Damaged(_)));
    }

    #[test]
    fn what_the_stub_did_not_understand_is_sent_again() {
        let mut client = Client::default();
        client.send(&Request::ReadRegisters).unwrap();
        let packet = client.take_output();
        client.receive(b"-").unwrap();
        assert_eq!(client.take_output(), packet);
        client.receive(b"--").unwrap();
        assert!(matches!(client.receive(b"-"), Err(ClientError::Refused(_))));
    }

    #[test]
    fn a_reply_that_comes_too_late_answers_nothing() {
        let mut client = Client::default();
        sent(&mut client, &Request::StepFlags);
        client.abandon();
        sent(&mut client, &Request::PhysicalMode);
        client.receive(b"+$0x7#df+$0#30").unwrap();
        assert_eq!(replies(&mut client), ["0"]);
    }

    #[test]
    fn junk_is_kept_to_be_shown() {
        let mut client = Client::default();
        sent(&mut client, &Request::Supported);
        client.receive(b"SSH-2.0-OpenSSH_9.2\n").unwrap();
        let (bytes, shown) = client.junk().unwrap();
        assert_eq!((bytes, shown.as_str()), (18, "SSH2.0OpenSSH_9.2\\n"));
        client.receive(b"$never ends").unwrap();
        assert_eq!(client.unfinished().unwrap(), "never ends");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let mut client = Client::default();
            sent(&mut client, &Request::Continue);
            let _ = client.receive(&bytes);
        }
    }
}
