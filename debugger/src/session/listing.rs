//! Instructions and source lines.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::engine::Engine;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::command::{Location, Syntax};
use crate::crossing::CrossingKind;
use crate::disasm::{self, Flow, Instruction, NoNames, Resolve};
use crate::event::{DisassemblyLine, Place, SourceWindow};

/// Instructions shown where no symbol says how long the code is.
const SOME: u32 = 10;

/// The most a function is shown of at once.
const MOST: usize = 20_000;

/// Functions whose lines are kept, while their bytes are the same.
const FUNCTIONS: usize = 8;

/// The newest first.
#[derive(Debug, Default)]
pub(super) struct Decoded(VecDeque<Code>);

#[derive(Debug)]
struct Code {
    start: Addr,
    bytes: Vec<u8>,
    syntax: Syntax,
    lines: Vec<DisassemblyLine>,
}

impl Engine {
    /// `disassemble`: the function around a place, or so many instructions from it.
    pub(super) fn disassemble(
        &mut self,
        location: Option<&Location>,
        count: u32,
        syntax: Syntax,
    ) -> Result<Vec<DisassemblyLine>, Trouble> {
        let at = match location {
            Some(location) => self.locate(location)?[0],
            None => self.selected_place()?.addr,
        };
        if count > 0 {
            return self.disassemble_at(at, count, syntax);
        }
        let function = self
            .symbols
            .as_ref()
            .and_then(|symbols| symbols.at(at))
            .map(|symbol| (symbol.addr, symbol.size));
        match function {
            Some((start, size)) if size > 0 => {
                let len = usize::try_from(size).unwrap_or(MOST).min(MOST);
                let bytes = self.code(start, len)?;
                self.function_lines(&bytes, start, syntax)
            }
            _ => self.disassemble_at(at, SOME, syntax),
        }
    }

    pub(super) fn disassemble_at(
        &mut self,
        at: Addr,
        count: u32,
        syntax: Syntax,
    ) -> Result<Vec<DisassemblyLine>, Trouble> {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(MOST);
        let bytes = self.code(at, count.saturating_mul(15).min(MOST))?;
        self.lines_of(&bytes, at, syntax, count)
    }

    fn lines_of(
        &mut self,
        bytes: &[u8],
        start: Addr,
        syntax: Syntax,
        count: usize,
    ) -> Result<Vec<DisassemblyLine>, Trouble> {
        let lines = self.decode(bytes, start, syntax, count);
        self.marked(lines)
    }

    /// A whole function's: they are made again only when its bytes are others.
    fn function_lines(
        &mut self,
        bytes: &[u8],
        start: Addr,
        syntax: Syntax,
    ) -> Result<Vec<DisassemblyLine>, Trouble> {
        let is_same =
            |code: &Code| code.start == start && code.syntax == syntax && code.bytes == bytes;
        let known = self.decoded.0.iter().find(|code| is_same(code));
        let lines = match known {
            Some(code) => code.lines.clone(),
            None => {
                let lines = self.decode(bytes, start, syntax, usize::MAX);
                self.decoded.0.truncate(FUNCTIONS - 1);
                self.decoded.0.push_front(Code {
                    start,
                    bytes: bytes.to_vec(),
                    syntax,
                    lines: lines.clone(),
                });
                lines
            }
        };
        self.marked(lines)
    }

    /// With what may be another at the next stop: the program counter, and breakpoints.
    fn marked(&mut self, mut lines: Vec<DisassemblyLine>) -> Result<Vec<DisassemblyLine>, Trouble> {
        let current = match self.target.is_file() {
            true => None,
            false => Some(self.pc()?),
        };
        for line in &mut lines {
            line.current = Some(line.place.addr) == current;
            line.breakpoint = self.book.at(line.place.addr).first().copied();
        }
        if let Some(line) = lines.iter_mut().find(|line| line.current) {
            line.goes = self.goes(line.place.addr, &line.bytes);
        }
        Ok(lines)
    }

    fn decode(
        &self,
        bytes: &[u8],
        start: Addr,
        syntax: Syntax,
        count: usize,
    ) -> Vec<DisassemblyLine> {
        let syntax = match syntax {
            Syntax::Intel => disasm::Syntax::Intel,
            Syntax::Att => disasm::Syntax::Att,
        };
        let names: &dyn Resolve = match &self.symbols {
            Some(symbols) => symbols,
            None => &NoNames,
        };
        let mut instructions = disasm::disassemble(bytes, start, names, syntax);
        instructions.truncate(count);
        instructions
            .into_iter()
            .map(|instruction| self.line_of(instruction))
            .collect()
    }

    /// Without the marks.
    fn line_of(&self, instruction: Instruction) -> DisassemblyLine {
        let target = instruction.target.or(instruction.memory);
        let at = instruction.addr;
        DisassemblyLine {
            place: self.place(at),
            crossing: self.crossing_of(&instruction),
            target: target.map(|target| self.place(target)),
            goes: None,
            current: false,
            breakpoint: None,
            bytes: instruction.bytes,
            mnemonic: instruction.mnemonic,
            operands: instruction.operands,
        }
    }

    /// Whether control passes the boundary there, as far as the instruction alone tells.
    fn crossing_of(&self, instruction: &Instruction) -> Option<CrossingKind> {
        let at = instruction.addr;
        match (instruction.flow, instruction.target) {
            (Flow::Syscall, _) if self.is_app(at) => Some(CrossingKind::Syscall),
            (Flow::Sysret, _) => Some(CrossingKind::Syscall),
            (Flow::InterruptReturn, _) => Some(CrossingKind::Interrupt),
            (Flow::Call | Flow::Jump, Some(target))
                if self.is_app(at) && target.in_kernel_half() && !self.is_app(target) =>
            {
                let bypass = &self.profile().calls.bypass;
                let called = self.place(target).symbol;
                Some(if called.is_some_and(|name| bypass.has(&name)) {
                    CrossingKind::Bypass
                } else {
                    CrossingKind::Shortcut
                })
            }
            _ => None,
        }
    }

    /// As many bytes as can be read, at least one.
    fn code(&mut self, at: Addr, len: usize) -> Result<Vec<u8>, Trouble> {
        let mut bytes = vec![0; len];
        let Err(error) = self.target.read(at, &mut bytes) else {
            return Ok(bytes);
        };
        let mut good = 0;
        // Up to the first page that is missing.
        while good < len {
            let page = usize::try_from(0x1000 - ((at.0 + good as u64) & 0xfff)).unwrap_or(1);
            let end = (good + page).min(len);
            if self
                .target
                .read(at + good as u64, &mut bytes[good..end])
                .is_err()
            {
                break;
            }
            good = end;
        }
        if good == 0 {
            return Err(error.into());
        }
        bytes.truncate(good);
        Ok(bytes)
    }

    /// `list`
    pub(super) fn list(
        &mut self,
        location: Option<&Location>,
        count: u32,
    ) -> Result<SourceWindow, Trouble> {
        let place = match location {
            Some(location) => {
                let at = self.locate(location)?[0];
                let place = self.place(at);
                match location {
                    Location::Line {
                        file: Some(name),
                        line,
                    } => self.in_file(place, name, *line),
                    _ => place,
                }
            }
            None => self.selected_place()?,
        };
        let (Some(file), Some(line)) = (place.file.clone(), place.line) else {
            return Err(Trouble::new(
                format!("listing {}", name_of(&place)),
                "no source line is known of it",
                "'disassemble' shows its instructions",
            ));
        };
        let (path, text) = self.source_text(&file)?;
        let current = location.is_none().then_some(line);
        let first = line.saturating_sub(count / 2).max(1);
        let lines = text
            .lines()
            .skip(usize::try_from(first - 1).unwrap_or(0))
            .take(usize::try_from(count).unwrap_or(10))
            .map(str::to_owned)
            .collect();
        Ok(SourceWindow {
            file,
            path,
            first,
            line,
            current,
            lines,
            origin: place.origin,
        })
    }

    /// A line as it was asked for: its code may be an inlined copy's, in the midst of another file's.
    fn in_file(&self, place: Place, name: &str, line: u32) -> Place {
        let names = self.symbols.as_ref().map(|symbols| symbols.files(name));
        let names = names.unwrap_or_default();
        let is_one = place.file.as_ref().is_some_and(|file| names.contains(file));
        let file = match is_one {
            true => place.file,
            false => names.into_iter().next(),
        };
        Place {
            file,
            line: Some(line),
            ..place
        }
    }

    fn source_text(&mut self, file: &str) -> Result<(PathBuf, Arc<str>), Trouble> {
        let candidates = self.source_candidates(file);
        for path in &candidates {
            if let Some(text) = self.source_files.text(path) {
                return Ok((path.clone(), text));
            }
        }
        let looked: Vec<String> = candidates
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let next = match self.qemu {
            Some(_) => "'cargo xtask image NAME' fetches the sources again",
            None => "put the kernel's sources there, of the version that 'info target' tells",
        };
        Err(Trouble::new(
            format!("reading the source file {file}"),
            format!("it is not at {}", looked.join(" nor at ")),
            next,
        ))
    }

    fn source_candidates(&self, file: &str) -> Vec<PathBuf> {
        let path = Path::new(file);
        if path.is_absolute() {
            return vec![path.to_owned()];
        }
        let built = self
            .symbols
            .as_ref()
            .map(|symbols| PathBuf::from(symbols.kernel_sources()));
        self.sources
            .kernel
            .iter()
            .cloned()
            .chain(built.filter(|root| root.is_absolute()))
            .map(|root| root.join(path))
            .collect()
    }
}

fn name_of(place: &Place) -> String {
    place
        .symbol
        .clone()
        .unwrap_or_else(|| format!("{:#x}", place.addr.0))
}
