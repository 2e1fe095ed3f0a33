//! Load from the host, over connections that each have keys of their own: so each knows what every answer must be.

use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::program::Program;

/// Of each connection.
const KEYS: u64 = 128;

/// For one answer: far beyond what a stopped and continued server takes.
const ANSWER: Duration = Duration::from_secs(60);

/// Between two of [`Program::now_and_then`].
const NOW_AND_THEN: Duration = Duration::from_secs(5);

/// Requests that are sent before their answers are read.
const MOST_AT_ONCE: u64 = 8;

/// About so many requests go over one connection.
const BEFORE_RECONNECTING: u64 = 400;

/// What one connection did.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) requests: u64,
    /// Why it stopped before its time.
    pub(super) wrong: Option<String>,
}

/// Marsaglia's xorshift64: the same seed makes the same load.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A key's length never changes, so that a full server needs no more memory later: 16 bytes to 96 KiB.
fn length(key: u64) -> usize {
    match key {
        0 => 96 << 10,
        1..8 => 8 << 10,
        _ => 16 << (key % 6),
    }
}

fn value(key: u64, version: u64) -> Vec<u8> {
    let mut random = Random::new(key ^ version << 20);
    let words = std::iter::repeat_with(|| random.next().to_le_bytes());
    words.flatten().take(length(key)).collect()
}

/// Where the server is reached, one connection at a time until it is answered: QEMU's forwarded port keeps one waiting, and on
/// a busy host the others are reset before the guest hears of them.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) program: Program,
    pub(super) port: u16,
    turn: Mutex<()>,
}

/// Sets all keys of this connection, meets the others, and then sets and gets at random for that time.
pub(super) fn run(
    door: &Door,
    connection: u64,
    seed: u64,
    all_set: &Barrier,
    time: Duration,
) -> Done {
    let program = door.program;
    let mut done = Done::default();
    let mut versions = vec![0; usize::try_from(KEYS).unwrap_or_default()];
    let mut random = Random::new(seed ^ connection << 32);
    let said = |connection: u64, requests: u64, error: io::Error| {
        format!("connection {connection}, after {requests} requests: {error}")
    };
    let first = door.connected().and_then(|(mut stream, mut answers)| {
        if connection == 0 {
            program.say(&mut stream, &mut answers, program.first())?;
        }
        while versions.contains(&0) {
            let channel = (&mut stream, &mut answers);
            done.requests += some(program, channel, connection, &mut versions, &mut random)?;
        }
        Ok(())
    });
    done.wrong = first
        .err()
        .map(|error| said(connection, done.requests, error));
    // Also where it failed: the others wait.
    all_set.wait();
    let until = Instant::now() + time;
    let mut last = Instant::now();
    while Instant::now() < until && done.wrong.is_none() {
        let result = door.connected().and_then(|(mut stream, mut answers)| {
            for _ in 0..random.below(BEFORE_RECONNECTING) + 1 {
                if connection == 0 && last.elapsed() > NOW_AND_THEN {
                    program.say(&mut stream, &mut answers, program.now_and_then())?;
                    last = Instant::now();
                }
                let channel = (&mut stream, &mut answers);
                done.requests += some(program, channel, connection, &mut versions, &mut random)?;
                if Instant::now() >= until {
                    break;
                }
            }
            Ok(())
        });
        done.wrong = result
            .err()
            .map(|error| said(connection, done.requests, error));
    }
    done
}

impl Door {
    pub(super) const fn new(program: Program, port: u16) -> Self {
        Self {
            program,
            port,
            turn: Mutex::new(()),
        }
    }

    fn connected(&self) -> io::Result<(TcpStream, BufReader<TcpStream>)> {
        let name = self.program.name();
        let said = |error: io::Error| {
            io::Error::new(error.kind(), format!("connecting to {name}: {error}"))
        };
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(said)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        let mut answers = BufReader::new(stream.try_clone()?);
        let greeting = self.program.greeting();
        let answer = self
            .program
            .say(&mut stream, &mut answers, greeting.question);
        let answer = answer.map_err(said)?;
        if answer.as_bytes().starts_with(greeting.answer) {
            return Ok((stream, answers));
        }
        let what = format!("the greeting was answered by '{answer}'");
        Err(said(io::Error::new(io::ErrorKind::InvalidData, what)))
    }
}

/// One to [`MOST_AT_ONCE`] requests; gives how many.
fn some(
    program: Program,
    (stream, answers): (&mut TcpStream, &mut BufReader<TcpStream>),
    connection: u64,
    versions: &mut [u64],
    random: &mut Random,
) -> io::Result<u64> {
    let count = match random.below(4) {
        0 => random.below(MOST_AT_ONCE) + 1,
        _ => 1,
    };
    let mut out = Vec::new();
    let mut asked = Vec::new();
    for _ in 0..count {
        // The first round sets every key, in order.
        let unset = versions.iter().position(|version| *version == 0);
        let index =
            unset.unwrap_or_else(|| usize::try_from(random.below(KEYS)).unwrap_or_default());
        let number = index as u64;
        let key = format!("soak:{connection}:{number}");
        let sets = unset.is_some() || random.below(4) == 0;
        if sets {
            versions[index] += 1;
            program.set(&mut out, &key, &value(number, versions[index]));
        } else {
            program.get(&mut out, &key);
        }
        asked.push((sets, number, versions[index], key));
    }
    stream.write_all(&out)?;
    for (set, number, version, key) in asked {
        if set {
            program.stored(answers)?;
            continue;
        }
        let found = program.value(answers)?;
        if found.as_deref() != Some(&value(number, version)) {
            let found = found.map_or("nothing".to_owned(), |found| {
                format!("{} other bytes", found.len())
            });
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{key} is {found}, not version {version} that was set"),
            ));
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::{KEYS, length, value};

    #[test]
    fn every_version_of_a_key_is_another_value_of_the_same_length() {
        for key in 0..KEYS {
            assert_eq!(value(key, 1).len(), length(key));
            assert_ne!(value(key, 1), value(key, 2));
            assert_eq!(value(key, 2), value(key, 2));
        }
        assert_ne!(value(8, 1), value(14, 1));
    }
}
