//! A client on the host: each connection has one request at a time, and every answer is compared.
//!
//! Connections are made one after the other, before the load. Programs that open all at once, as
//! redis-benchmark does, measure something else here: QEMU's user network listens with a backlog of one, and
//! a connection that does not fit is tried again after 1, 3, 7 and more seconds.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::super::figures::percentile;

/// A request and the whole answer to it.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) request: String,
    pub(super) answer: String,
}

/// What a connection asks, by its number and the request's number on it.
pub(super) type Asks = fn(usize, usize) -> Ask;

#[derive(Debug)]
pub(super) struct Connections(Vec<TcpStream>);

/// What was measured of one load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) requests: usize,
    pub(super) per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// For one answer: only a guest that hangs reaches it.
const DEADLINE: Duration = Duration::from_secs(120);

impl Connections {
    /// Each is used once, so that the server has it when the load begins.
    pub(super) fn open(port: u16, count: usize, ask: &Ask) -> Result<Self> {
        let streams = (0..count).map(|_| {
            let mut stream =
                TcpStream::connect(("127.0.0.1", port)).context("connecting to the server")?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(DEADLINE))?;
            exchange(&mut stream, ask)?;
            Ok(stream)
        });
        Ok(Self(streams.collect::<Result<_>>()?))
    }

    /// On the first connection.
    pub(super) fn ask(&mut self, ask: &Ask) -> Result<()> {
        self.0
            .first_mut()
            .map_or(Ok(()), |stream| exchange(stream, ask))
    }

    /// As many requests, or a few more where they do not go into the connections evenly.
    pub(super) fn load(&mut self, asks: Asks, requests: usize) -> Result<Measured> {
        let each = requests.div_ceil(self.0.len().max(1));
        let ready = Barrier::new(self.0.len() + 1);
        let (waits, seconds) = std::thread::scope(|scope| {
            let ready = &ready;
            let connections: Vec<_> = self
                .0
                .iter_mut()
                .enumerate()
                .map(|(number, stream)| {
                    scope.spawn(move || {
                        ready.wait();
                        one(stream, each, |i| asks(number, i))
                    })
                })
                .collect();
            ready.wait();
            let began = Instant::now();
            let mut waits = Vec::with_capacity(requests);
            for connection in connections {
                let own = connection
                    .join()
                    .map_err(|_| anyhow::anyhow!("a connection's thread panicked"))?;
                waits.extend(own?);
            }
            anyhow::Ok((waits, began.elapsed().as_secs_f64()))
        })?;
        Ok(Measured {
            requests: waits.len(),
            per_s: waits.len() as f64 / seconds,
            p50_ms: percentile(waits.clone(), 50) * 1e3,
            p99_ms: percentile(waits, 99) * 1e3,
        })
    }
}

/// The seconds that each request waited for its answer.
fn one(stream: &mut TcpStream, requests: usize, ask: impl Fn(usize) -> Ask) -> Result<Vec<f64>> {
    let mut waits = Vec::with_capacity(requests);
    for i in 0..requests {
        let ask = ask(i);
        let sent = Instant::now();
        exchange(stream, &ask)?;
        waits.push(sent.elapsed().as_secs_f64());
    }
    Ok(waits)
}

fn exchange(stream: &mut TcpStream, ask: &Ask) -> Result<()> {
    let first = ask.request.lines().next().unwrap_or_default();
    stream
        .write_all(ask.request.as_bytes())
        .with_context(|| format!("sending '{first}'"))?;
    let mut found = vec![0; ask.answer.len()];
    stream
        .read_exact(&mut found)
        .with_context(|| format!("waiting for the answer to '{first}', {DEADLINE:?} at most"))?;
    ensure!(
        found == ask.answer.as_bytes(),
        "'{first}' was answered by {:?}",
        String::from_utf8_lossy(&found)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::{Ask, Connections};

    /// Of each connection, every line is answered by itself, `5` and what begins with it by `wrong`.
    fn server() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = |mut stream: TcpStream| {
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                let Ok(line) = line else { return };
                let wrong = line.starts_with('5');
                let answer = if wrong { "wrong" } else { &line };
                let _ = writeln!(stream, "{answer}");
            }
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || answer(stream.unwrap()));
            }
        });
        port
    }

    fn ask(text: String) -> Ask {
        let line = format!("{text}\n");
        Ask {
            request: line.clone(),
            answer: line,
        }
    }

    #[test]
    fn every_connection_asks_its_part() {
        let mut open = Connections::open(server(), 3, &ask("1".to_owned())).unwrap();
        let asks = |connection, i| ask(format!("1{connection}{i}"));
        let measured = open.load(asks, 10).unwrap();
        assert_eq!(measured.requests, 12);
        assert!(measured.per_s > 0.0 && measured.p50_ms <= measured.p99_ms);
    }

    #[test]
    fn a_wrong_answer_is_told() {
        let mut open = Connections::open(server(), 1, &ask("1".to_owned())).unwrap();
        let error = open.load(|_, i| ask(i.to_string()), 10).unwrap_err();
        assert!(
            error.to_string().starts_with("'5' was answered by \"wr"),
            "{error}"
        );
    }
}
