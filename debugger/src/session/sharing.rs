//! Whether a machine that someone else started shares its memory: QEMU's monitor tells of its backends.

use std::path::PathBuf;

use super::engine::Engine;
use super::shared_memory::SharedMemory;
use super::target::Target;
use crate::known::Known;

/// Places that are compared before a file is believed to be the machine's memory.
const COMPARED: u64 = 64;

const HOW: &str = "boot it with -object memory-backend-file,id=ram,size=SIZE,mem-path=FILE,share=on -machine memory-backend=ram";

/// A memory backend as `info memdev` describes it.
#[derive(Debug, PartialEq, Eq)]
struct Backend {
    name: String,
    size: u64,
    shared: bool,
}

impl Engine {
    pub(super) fn find_shared_memory(&mut self) {
        let is = match shared_memory(&mut self.target) {
            Ok((memory, path)) => {
                self.target.share(memory);
                Known::Yes(format!("its memory is read in {}", path.display()))
            }
            Err(why) => {
                self.beside.why_not.clone_from(&why);
                Known::No(why)
            }
        };
        self.fact("live", is);
    }
}

fn shared_memory(target: &mut Target) -> Result<(SharedMemory, PathBuf), String> {
    let not_shared = || format!("the machine's memory is not shared: {HOW}");
    let text = target.monitor("info memdev").map_err(|_| not_shared())?;
    let backend = backends(&text)
        .into_iter()
        .find(|backend| backend.shared)
        .ok_or_else(not_shared)?;
    let question = format!("qom-get /objects/{} mem-path", backend.name);
    let answer = target.monitor(&question).unwrap_or_default();
    let path = PathBuf::from(answer.trim().trim_matches('"'));
    if !path.is_absolute() {
        return Err(format!("its memory {} is shared by no file", backend.name));
    }
    let failed = |error| format!("its memory is shared as {}: {error}", path.display());
    let memory = SharedMemory::open(&path, backend.size).map_err(failed)?;
    if !agrees(target, &memory, backend.size) {
        let path = path.display();
        return Err(format!(
            "{path} does not hold what the machine's memory does"
        ));
    }
    Ok((memory, path))
}

/// Whether the file holds what the stub reads, and that is not everywhere nothing.
fn agrees(target: &mut Target, memory: &SharedMemory, size: u64) -> bool {
    let mut something = false;
    for i in 0..COMPARED {
        // All over it: machines differ in where they leave room for devices. The first MiB has firmware and a
        // screen's memory in between.
        let at =
            memory.physical((0x10_0000 + (size - size.min(0x20_0000)) / COMPARED * i) & !0xfff);
        let (mut here, mut there) = ([0; 64], [0; 64]);
        if !memory.read(at, &mut here) {
            continue;
        }
        if target.read_physical(at, &mut there).is_err() || here != there {
            return false;
        }
        something |= here != [0; 64];
    }
    something
}

fn backends(text: &str) -> Vec<Backend> {
    let mut found: Vec<Backend> = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match (key.trim(), found.last_mut()) {
            ("memory backend", _) => found.push(Backend {
                name: value.to_owned(),
                size: 0,
                shared: false,
            }),
            ("size", Some(last)) => last.size = value.parse().unwrap_or(0),
            ("share", Some(last)) => last.shared = value == "true",
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_are_read_from_the_monitors_text() {
        let text = "memory backend: ram\n  size:  268435456\n  merge: true\n  share: true\n  host nodes:\n\nmemory backend: other\n  size:  4096\n  share: false\n";
        let backend = |name: &str, size, shared| Backend {
            name: name.to_owned(),
            size,
            shared,
        };
        assert_eq!(
            backends(text),
            [
                backend("ram", 268_435_456, true),
                backend("other", 4096, false)
            ]
        );
        assert_eq!(backends("nothing\n size: 4"), []);
    }
}
