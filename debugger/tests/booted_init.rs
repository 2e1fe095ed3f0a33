//! /init of every image, booted: how the application ended, what runs beside it, what follows, and the way from the host.

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Boot, clean, expect, image};
use debugger::crossing::Mode;
use debugger::qemu::arguments::Machine;
use debugger::session::process::Qemu;

/// Far beyond what any of it takes.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
#[ignore = "boots an image"]
fn it_tells_how_the_application_ended_and_powers_off() {
    for mode in Mode::ALL {
        let serial = expect("hello", &Boot::mode(mode), "hello: ok");
        assert!(
            serial.contains("init: the application exited with status 0"),
            "{serial}"
        );
        assert!(serial.contains("reboot: Power down"), "{serial}");
        clean(&serial);
    }
}

#[test]
#[ignore = "boots an image"]
fn a_client_in_the_guest_is_answered_rightly_and_ends_memcached() {
    for mode in Mode::ALL {
        for cpus in [1, 2] {
            let boot = Boot {
                calls: Some(200),
                cpus,
                ..Boot::mode(mode)
            };
            let serial = expect("memcached", &boot, "client: 0 wrong, ok");
            assert!(
                serial.contains("init: the application exited with status 0"),
                "{serial}"
            );
            clean(&serial);
        }
    }
}

#[test]
#[ignore = "boots an image"]
fn the_host_reaches_memcached_at_the_port_that_is_told() {
    let image = image("memcached");
    for mode in Mode::ALL {
        let mut machine = Machine::of(&image, mode, None);
        machine.stopped_at_start = false;
        let mut qemu = Qemu::start(&machine).unwrap();
        let forwards = qemu.forwards().unwrap();
        assert_eq!(forwards.len(), 1);
        assert_eq!(forwards[0].guest, 11211);
        let said = b"set key 0 0 5\r\nhello\r\nget key\r\n";
        let expected = "STORED\r\nVALUE key 0 5\r\nhello\r\nEND\r\n";
        let started = Instant::now();
        let answer = loop {
            match ask(forwards[0].host, said, expected.len()) {
                Ok(answer) => break answer,
                Err(error) => assert!(started.elapsed() < PATIENCE, "{mode}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        assert_eq!(String::from_utf8_lossy(&answer), expected, "{mode}");
    }
}

/// QEMU takes a connection before the guest does, and drops it when the guest does not.
fn ask(port: u16, said: &[u8], length: usize) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(said)?;
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
#[ignore = "boots an image"]
fn a_shell_follows_the_application_where_it_is_asked_for() {
    let image = image("memcached");
    let append = format!("{} ukl.exit=shell", image.append(Mode::Ukl, Some(5)));
    let mut qemu = Command::new("qemu-system-x86_64")
        .args(["-accel", "tcg", "-nographic", "-no-reboot", "-nodefaults"])
        .args(["-serial", "stdio", "-m", "512", "-append", &append])
        .arg("-kernel")
        .arg(image.kernel())
        .arg("-initrd")
        .arg(image.initrd())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = qemu.stdin.take().unwrap();
    let output = BufReader::new(qemu.stdout.take().unwrap());
    let (lines, received) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in output.split(b'\n').map_while(Result::ok) {
            let _ = lines.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
    let end = Instant::now() + PATIENCE;
    let mut serial = String::new();
    while let Ok(line) = received.recv_timeout(end.saturating_duration_since(Instant::now())) {
        if line.contains("init: the application exited") {
            input
                .write_all(b"echo the answer is $((6 * 7))\nexit\n")
                .unwrap();
        }
        serial.push_str(&line);
        serial.push('\n');
    }
    // It has ended by itself, or is to end now.
    let _ = qemu.kill();
    qemu.wait().unwrap();
    assert!(serial.contains("the answer is 42"), "{serial}");
    assert!(serial.contains("reboot: Power down"), "{serial}");
}
