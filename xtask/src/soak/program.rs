//! The servers under load: what is said to each, and how its answers are read.

use std::io::{self, BufRead, Write};

use crate::suites::guest::Greeting;
use crate::suites::{memcached, redis};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Redis,
    Memcached,
}

impl Program {
    pub(super) const ALL: [Self; 2] = [Self::Redis, Self::Memcached];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Memcached => "memcached",
        }
    }

    pub(super) const fn greeting(self) -> Greeting {
        match self {
            Self::Redis => redis::GREETING,
            Self::Memcached => memcached::GREETING,
        }
    }

    /// Said once: Redis's watchdog is a timer whose signal it handles, and a reason for the churn to send more of them.
    pub(super) const fn first(self) -> &'static [u8] {
        match self {
            Self::Redis => b"CONFIG SET watchdog-period 500\r\n",
            Self::Memcached => b"verbosity 0\r\n",
        }
    }

    /// Said every few seconds: Redis forks and its child writes a file; memcached's crawler thread walks all items.
    pub(super) const fn now_and_then(self) -> &'static [u8] {
        match self {
            Self::Redis => b"BGSAVE\r\n",
            Self::Memcached => b"lru_crawler crawl all\r\n",
        }
    }

    pub(super) fn set(self, out: &mut Vec<u8>, key: &str, value: &[u8]) {
        let head = match self {
            Self::Redis => format!(
                "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n",
                key.len(),
                value.len()
            ),
            Self::Memcached => format!("set {key} 0 0 {}\r\n", value.len()),
        };
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }

    pub(super) fn get(self, out: &mut Vec<u8>, key: &str) {
        let line = match self {
            Self::Redis => format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()),
            Self::Memcached => format!("get {key}\r\n"),
        };
        out.extend_from_slice(line.as_bytes());
    }

    /// The answer to [`Self::set`].
    pub(super) fn stored(self, answers: &mut impl BufRead) -> io::Result<()> {
        let expected = match self {
            Self::Redis => "+OK",
            Self::Memcached => "STORED",
        };
        match line(answers)? {
            found if found == expected => Ok(()),
            found => Err(wrong(&format!("a set was answered by '{found}'"))),
        }
    }

    /// The answer to [`Self::get`]: nothing where the server has no such key.
    pub(super) fn value(self, answers: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
        let head = line(answers)?;
        let length = match self {
            Self::Redis if head == "$-1" => return Ok(None),
            Self::Memcached if head == "END" => return Ok(None),
            Self::Redis => head.strip_prefix('$'),
            Self::Memcached if head.starts_with("VALUE ") => head.rsplit(' ').next(),
            Self::Memcached => None,
        };
        let length = length.and_then(|length| length.parse::<usize>().ok());
        let length = length.ok_or_else(|| wrong(&format!("a get was answered by '{head}'")))?;
        let mut value = vec![0; length];
        answers.read_exact(&mut value)?;
        let mut ends = vec![""];
        if self == Self::Memcached {
            ends.push("END");
        }
        for end in ends {
            let found = line(answers)?;
            if found != end {
                return Err(wrong(&format!("a value was followed by '{found}'")));
            }
        }
        Ok(Some(value))
    }

    /// Says something whose answer is one line.
    pub(super) fn say(
        self,
        stream: &mut impl Write,
        answers: &mut impl BufRead,
        text: &[u8],
    ) -> io::Result<String> {
        stream.write_all(text)?;
        line(answers)
    }
}

fn line(answers: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if answers.read_line(&mut line)? == 0 {
        return Err(wrong("the connection was closed"));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::Program;

    #[test]
    fn the_answers_of_both_are_read() {
        let value = |program: Program, text: &str| program.value(&mut text.as_bytes());
        assert_eq!(
            value(Program::Redis, "$3\r\na\nb\r\n").unwrap().unwrap(),
            b"a\nb"
        );
        assert_eq!(value(Program::Redis, "$-1\r\n").unwrap(), None);
        let text = "VALUE k 0 3\r\nabc\r\nEND\r\n";
        assert_eq!(value(Program::Memcached, text).unwrap().unwrap(), b"abc");
        assert_eq!(value(Program::Memcached, "END\r\n").unwrap(), None);
    }

    #[test]
    fn a_wrong_answer_is_an_error() {
        let fails = |program: Program, text: &str| program.value(&mut text.as_bytes()).is_err();
        assert!(fails(Program::Redis, "-ERR no\r\n"));
        assert!(fails(Program::Redis, "$3\r\nabcd\r\n"));
        assert!(fails(Program::Memcached, "VALUE k 0 3\r\nabc\r\nEN\r\n"));
        assert!(fails(Program::Memcached, ""));
        assert!(
            Program::Memcached
                .stored(&mut "SERVER_ERROR\r\n".as_bytes())
                .is_err()
        );
    }
}
