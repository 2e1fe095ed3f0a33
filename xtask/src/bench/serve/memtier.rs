//! A load like memtier_benchmark's on memcached: one set to ten gets, values of 32 bytes, each connection
//! with one request at a time.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use debugger::qemu::image::Image;

use super::super::figures::percentile;
use super::load::{Kind, Load, Measured};

pub(super) const DESCRIPTION: &str = "a load like memtier_benchmark's: 1 set to 10 gets, values of 32 bytes, 1,000 keys, every answer compared";

pub(super) const KINDS: &[Kind] = &[Kind {
    name: "1 set to 10 gets",
    of: &[("set", 1.0), ("get", 10.0)],
}];

const KEYS: usize = 1000;
const VALUE: &str = "0123456789abcdef0123456789abcdef";
/// A set, and so many gets.
const GETS: usize = 10;
/// For one answer: only a guest that hangs reaches it.
const DEADLINE: Duration = Duration::from_secs(120);

pub(super) fn load(_: &Image, port: u16, _: &Kind, load: Load) -> Result<Measured> {
    let each = load.requests.div_ceil(load.connections);
    let ready = Barrier::new(load.connections + 1);
    let (waits, seconds) = std::thread::scope(|scope| {
        let connections: Vec<_> = (0..load.connections)
            .map(|number| {
                let ready = &ready;
                scope.spawn(move || {
                    let stream = connect(port);
                    // Also where it failed: the others wait.
                    ready.wait();
                    ask(&mut stream?, number, each)
                })
            })
            .collect();
        ready.wait();
        let began = Instant::now();
        let mut waits = Vec::with_capacity(load.requests);
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

/// Sets every key, so that each get finds one.
pub(super) fn fill(port: u16) -> Result<()> {
    let mut stream = connect(port)?;
    for key in 0..KEYS {
        let (request, answer) = set(key);
        exchange(&mut stream, &request, &answer)?;
    }
    Ok(())
}

/// The seconds that each request waited for its answer.
fn ask(stream: &mut TcpStream, number: usize, requests: usize) -> Result<Vec<f64>> {
    let mut waits = Vec::with_capacity(requests);
    for i in 0..requests {
        // A prime, so that every key has its turn.
        let key = (number * 31 + i * 7919) % KEYS;
        let (request, answer) = match (number + i) % (GETS + 1) {
            0 => set(key),
            _ => get(key),
        };
        let sent = Instant::now();
        exchange(stream, &request, &answer)?;
        waits.push(sent.elapsed().as_secs_f64());
    }
    Ok(waits)
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).context("connecting to memcached")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    Ok(stream)
}

fn set(key: usize) -> (String, String) {
    let request = format!("set memtier-{key} 0 0 {}\r\n{VALUE}\r\n", VALUE.len());
    (request, "STORED\r\n".to_owned())
}

fn get(key: usize) -> (String, String) {
    let answer = format!(
        "VALUE memtier-{key} 0 {}\r\n{VALUE}\r\nEND\r\n",
        VALUE.len()
    );
    (format!("get memtier-{key}\r\n"), answer)
}

fn exchange(stream: &mut TcpStream, request: &str, answer: &str) -> Result<()> {
    stream.write_all(request.as_bytes())?;
    let mut found = vec![0; answer.len()];
    stream
        .read_exact(&mut found)
        .with_context(|| format!("waiting for memcached's answer, {DEADLINE:?} at most"))?;
    ensure!(
        found == answer.as_bytes(),
        "'{}' was answered by {:?}",
        request.lines().next().unwrap_or_default(),
        String::from_utf8_lossy(&found)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::{VALUE, connect, exchange, get, set};

    /// Answers as many lines as there are answers.
    fn server(answers: Vec<String>) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for answer in answers {
                lines.next().unwrap().unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        port
    }

    #[test]
    fn a_wrong_answer_is_told() {
        let (request, answer) = get(7);
        let wrong = answer.replace("memtier-7", "memtier-8");
        let mut stream = connect(server(vec![answer.clone(), wrong])).unwrap();
        exchange(&mut stream, &request, &answer).unwrap();
        let error = exchange(&mut stream, &request, &answer).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("'get memtier-7' was answered by"),
            "{error}"
        );
    }

    #[test]
    fn a_value_is_as_long_as_is_said() {
        assert_eq!(VALUE.len(), 32);
        assert!(set(1).0.starts_with("set memtier-1 0 0 32\r\n"));
    }
}
