//! Which port of this host reaches which port of the guest, from QEMU's `info usernet`.
//!
//! ```text
//! Hub -1 (net):
//!   Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
//!   TCP[HOST_FORWARD]  13       127.0.0.1 38245       10.0.2.15  6379     0     0
//! ```

use std::fmt;

/// What to ask QEMU's human monitor.
pub const QUESTION: &str = "info usernet";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// On the host's loopback interface.
    pub host: u16,
    pub guest: u16,
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "127.0.0.1:{} on this host is port {} of the guest",
            self.host, self.guest
        )
    }
}

/// The forwarded ports in QEMU's answer, in the order of the guest's.
#[must_use]
pub fn forwards(answer: &str) -> Vec<Forward> {
    let mut forwards: Vec<Forward> = answer.lines().filter_map(forward).collect();
    forwards.sort_by_key(|forward| forward.guest);
    forwards
}

fn forward(line: &str) -> Option<Forward> {
    let mut words = line
        .trim()
        .strip_prefix("TCP[HOST_FORWARD]")?
        .split_whitespace();
    let (_descriptor, _address) = (words.next()?, words.next()?);
    let host = words.next()?.parse().ok()?;
    let _address = words.next()?;
    let guest = words.next()?.parse().ok()?;
    Some(Forward { host, guest })
}

#[cfg(test)]
mod tests {
    use super::{Forward, forwards};

    #[test]
    fn the_forwarded_ports_are_read_and_nothing_else() {
        let answer = "Hub -1 (net):\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n  \
                      TCP[ESTABLISHED]   15       127.0.0.1 40000       10.0.2.15  6379     0     0\n  \
                      TCP[HOST_FORWARD]  14       127.0.0.1 41111       10.0.2.15 11211     0     0\n  \
                      TCP[HOST_FORWARD]  13       127.0.0.1 38245       10.0.2.15  6379     0     0\n";
        let found = forwards(answer);
        let expected = [(38245, 6379), (41111, 11211)];
        assert_eq!(found, expected.map(|(host, guest)| Forward { host, guest }));
        assert_eq!(
            found[0].to_string(),
            "127.0.0.1:38245 on this host is port 6379 of the guest"
        );
        assert!(forwards("").is_empty());
    }
}
