//! Memory as bytes and as instructions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use debugger::addr::Addr;
use debugger::command::{Command, Format, Location, Syntax};
use debugger::count::{counted, either};
use debugger::event::{Answer, DisassemblyLine};
use serde::Deserialize;
use serde_json::{Value, json};

use super::adapter::{Adapter, Reply};
use super::message::{Refusal, Request};

/// Bytes that one command reads.
const PIECE: u64 = 0x1000;

/// More are no view's.
const MOST_BYTES: u64 = 1 << 20;
const MOST_WRITTEN: usize = 1 << 16;
const MOST_INSTRUCTIONS: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadMemory {
    memory_reference: String,
    #[serde(default)]
    offset: i64,
    count: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WriteMemory {
    memory_reference: String,
    #[serde(default)]
    offset: i64,
    #[serde(default)]
    allow_partial: bool,
    /// In base64.
    data: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Disassemble {
    memory_reference: String,
    #[serde(default)]
    offset: i64,
    #[serde(default)]
    instruction_offset: i64,
    instruction_count: usize,
}

impl Adapter<'_> {
    pub(super) fn read_memory(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: ReadMemory = request.arguments()?;
        let at = address(&asked.memory_reference, asked.offset)?;
        self.standing("reading memory")?;
        let bytes = self.all_bytes(at, asked.count.min(MOST_BYTES))?;
        let unread = asked.count - bytes.len() as u64;
        let mut body = json!({"address": format!("{at:?}"), "data": STANDARD.encode(&bytes)});
        if unread > 0 {
            body["unreadableBytes"] = json!(unread);
        }
        Ok(Reply::Body(body))
    }

    /// Up to the first that cannot be read.
    ///
    /// # Errors
    /// When none can.
    fn all_bytes(&mut self, at: Addr, count: u64) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < count {
            let next = at.wrapping_add(bytes.len() as u64);
            // Up to a page's end: the next one may not be there.
            let piece = (PIECE - next.0 % PIECE).min(count - bytes.len() as u64);
            match self.bytes(next, piece) {
                Ok(more) if !more.is_empty() => bytes.extend(more),
                Ok(_) => break,
                Err(refusal) if bytes.is_empty() && count > 0 => return Err(refusal),
                Err(_) => break,
            }
        }
        Ok(bytes)
    }

    /// All of it or nothing, unless the editor takes a part: what is there is looked at first.
    pub(super) fn write_memory(&mut self, request: &Request) -> Result<Reply, Refusal> {
        const TRIED: &str = "writing memory";
        let asked: WriteMemory = request.arguments()?;
        let at = address(&asked.memory_reference, asked.offset)?;
        let bytes = STANDARD.decode(&asked.data).map_err(|error| {
            Refusal::new(
                "reading the bytes to be written",
                error.to_string(),
                "give them in base64",
            )
        })?;
        if bytes.len() > MOST_WRITTEN {
            return Err(Refusal::new(
                TRIED,
                format!(
                    "{} bytes are more than the {MOST_WRITTEN} of one request",
                    bytes.len()
                ),
                "write it in parts",
            ));
        }
        self.standing(TRIED)?;
        let there = self.all_bytes(at, bytes.len() as u64)?.len();
        if there < bytes.len() && !asked.allow_partial {
            return Err(Refusal::new(
                format!("writing {} at {at:?}", counted(bytes.len(), "byte")),
                format!("memory ends behind {there} of them"),
                "write fewer, or allow that a part is written",
            ));
        }
        let mut written = 0;
        for piece in pieces(&bytes[..there]) {
            match self.write(at.wrapping_add(written as u64), piece) {
                Ok(()) => written += piece.len(),
                Err(_) if asked.allow_partial && written > 0 => break,
                Err(refusal) if written == 0 => return Err(refusal),
                Err(Refusal(why)) => {
                    self.invalidate();
                    let all = bytes.len();
                    return Err(Refusal(format!(
                        "{written} of {} {} written: {why}",
                        counted(all, "byte"),
                        either(written, "is", "are")
                    )));
                }
            }
        }
        self.invalidate();
        Ok(Reply::Body(json!({"bytesWritten": written})))
    }

    /// As many bytes as a number has.
    fn write(&mut self, at: Addr, piece: &[u8]) -> Result<(), Refusal> {
        let mut number = [0; 8];
        number[..piece.len()].copy_from_slice(piece);
        let type_ = match piece.len() {
            8 => "unsigned long",
            _ => "unsigned char",
        };
        self.ask(Command::Set {
            target: format!("*({type_} *){:#x}", at.0),
            value: format!("{:#x}", u64::from_le_bytes(number)),
        })?;
        Ok(())
    }

    fn bytes(&mut self, at: Addr, count: u64) -> Result<Vec<u8>, Refusal> {
        let format = Format {
            count: u32::try_from(count).unwrap_or(1),
            unit: 1,
            letter: 'x',
        };
        let answer = self.ask(Command::Examine {
            format,
            expression: format!("{:#x}", at.0),
        })?;
        match answer {
            Answer::Memory(dump) => Ok(dump.bytes),
            _ => Ok(Vec::new()),
        }
    }

    /// Exactly as many instructions as are asked for: what cannot be read is told as such.
    pub(super) fn disassemble(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: Disassemble = request.arguments()?;
        let at = address(&asked.memory_reference, asked.offset)?;
        self.standing("disassembling")?;
        let count = asked.instruction_count.min(MOST_INSTRUCTIONS);
        let before = usize::try_from(asked.instruction_offset.unsigned_abs()).unwrap_or(usize::MAX);
        let before = before.min(MOST_INSTRUCTIONS);
        let is_back = asked.instruction_offset < 0;
        let (skipped, ahead) = match is_back {
            true => (0, count.saturating_sub(before)),
            false => (before, count),
        };
        let mut rows = Vec::new();
        if is_back {
            rows = self.instructions_before(at, before);
        }
        let missing = if is_back { before - rows.len() } else { 0 };
        let mut behind = self.instructions_from(at, skipped + ahead);
        behind.drain(..skipped.min(behind.len()));
        rows.extend(behind);
        rows.truncate(count.saturating_sub(missing));
        let start = rows.first().map_or(at, |row| row.place.addr);
        let mut end = rows.last().map_or(at, |row| row.place.addr.wrapping_add(1));
        let mut shown: Vec<Value> = (1..=missing as u64)
            .rev()
            .map(|back| unreadable(start.wrapping_sub(back)))
            .collect();
        for row in &rows {
            shown.push(self.instruction(row)?);
        }
        while shown.len() < count {
            shown.push(unreadable(end));
            end = end.wrapping_add(1);
        }
        shown.truncate(count);
        Ok(Reply::Body(json!({"instructions": shown})))
    }

    fn instructions_from(&mut self, at: Addr, count: usize) -> Vec<DisassemblyLine> {
        let answer = self.ask(Command::Disassemble {
            location: Some(Location::Addr(at)),
            count: u32::try_from(count).unwrap_or(u32::MAX).max(1),
            syntax: Syntax::Intel,
        });
        match answer {
            Ok(Answer::Disassembly(lines)) => lines,
            // The rows say that it cannot be read.
            _ => Vec::new(),
        }
    }

    /// Backwards by whole functions, as only their beginnings are known; what lies between them is
    /// filling, a byte each.
    fn instructions_before(&mut self, at: Addr, count: usize) -> Vec<DisassemblyLine> {
        let mut rows: Vec<DisassemblyLine> = Vec::new();
        let mut from = at;
        while rows.len() < count {
            let last = from.wrapping_sub(1);
            let answer = self.ask(Command::Disassemble {
                location: Some(Location::Addr(last)),
                count: 0,
                syntax: Syntax::Intel,
            });
            let Ok(Answer::Disassembly(mut lines)) = answer else {
                break;
            };
            lines.retain(|line| line.place.addr < from);
            if lines.is_empty() {
                break;
            }
            from = lines[0].place.addr;
            lines.append(&mut rows);
            rows = lines;
        }
        let surplus = rows.len().saturating_sub(count);
        rows.drain(..surplus);
        rows
    }

    fn instruction(&mut self, line: &DisassemblyLine) -> Result<Value, Refusal> {
        let bytes: Vec<String> = line
            .bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let mut text = format!("{} {}", line.mnemonic, line.operands);
        if let Some(kind) = line.crossing {
            text.push_str(&format!("  ; {kind} crossing"));
        }
        let mut row = json!({
            "address": format!("{:?}", line.place.addr),
            "instructionBytes": bytes.join(" "),
            "instruction": text.trim_end(),
        });
        if let Some(symbol) = &line.place.symbol {
            row["symbol"] = json!(format!(
                "{}!{symbol}+{:#x}",
                line.place.origin, line.place.offset
            ));
        }
        if line.place.line.is_some()
            && let Some((source, line)) = self.source_file(&line.place)?
        {
            row["location"] = source;
            row["line"] = json!(line - 1 + self.client.first_line);
        }
        Ok(row)
    }
}

/// Of eight bytes each as far as they go, and then of one.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let words = bytes.len() / 8 * 8;
    bytes[..words].chunks(8).chain(bytes[words..].chunks(1))
}

fn unreadable(at: Addr) -> Value {
    json!({
        "address": format!("{at:?}"),
        "instruction": "(no instruction can be read here)",
        "presentationHint": "invalid",
    })
}

/// `0xffffffff81601060`, as we hand them out, and so many bytes on.
pub(super) fn address(reference: &str, offset: i64) -> Result<Addr, Refusal> {
    let at: Addr = reference.parse().map_err(|_| {
        Refusal::new(
            format!("reading the memory reference '{reference}'"),
            "it is no address",
            "give one that this adapter has told, or 0x…",
        )
    })?;
    Ok(Addr(at.0.wrapping_add_signed(offset)))
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn what_is_written_is_parted_into_numbers() {
        let bytes: Vec<u8> = (0..18).collect();
        let found: Vec<&[u8]> = pieces(&bytes).collect();
        assert_eq!(
            found.iter().map(|one| one.len()).collect::<Vec<_>>(),
            [8, 8, 1, 1]
        );
        assert_eq!(found.concat(), bytes);
        assert_eq!(pieces(&[]).count(), 0);
    }
}
