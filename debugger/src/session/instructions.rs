//! The code of a function with how often each of its instructions ran in one operation, in two runs.

use std::collections::{BTreeSet, HashMap};
use std::panic::resume_unwind;
use std::sync::atomic::AtomicBool;
use std::thread;

use super::stub_trace::{FunctionCode, Operation, Wanted, step_operation};
use super::trace::TraceOptions;
use super::trace_error::TraceError;
use crate::addr::Addr;
use crate::crossing::Setup;
use crate::disasm::{Flow, Reference, Resolved, Syntax, decode, disassemble, expensive};
use crate::event::{Block, Instructions, Line, Listing};
use crate::qemu::image::Image;

/// One run of the pair.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    pub image: &'a Image,
    pub setup: &'a Setup,
    pub wanted: &'a Wanted,
}

/// Boots both images at once, and steps through one operation of each; only the functions that
/// `shown` names are listed.
///
/// # Errors
/// As [`step_operation`].
pub fn step_both(
    call: &str,
    (a, b): (Side<'_>, Side<'_>),
    shown: &dyn Fn(&str) -> bool,
    cancel: &AtomicBool,
) -> Result<Instructions, TraceError> {
    let step = |side: Side<'_>| {
        let options = TraceOptions::new(side.setup.clone());
        step_operation(side.image, &options, side.wanted, cancel)
    };
    let (stepped_a, stepped_b) = thread::scope(|scope| {
        let other = scope.spawn(|| step(b));
        let own = step(a);
        (
            own,
            other.join().unwrap_or_else(|panic| resume_unwind(panic)),
        )
    });
    let (stepped_a, stepped_b) = (stepped_a?, stepped_b?);
    Ok(Instructions {
        call: call.to_owned(),
        mode_a: a.setup.clone(),
        mode_b: b.setup.clone(),
        same_path_a: stepped_a.class.id == a.wanted.id,
        same_path_b: stepped_b.class.id == b.wanted.id,
        functions: listings(&stepped_a, &stepped_b, shown),
    })
}

/// Of both operations, function by function in the order of addresses: those that `wanted` names.
#[must_use]
pub fn listings(a: &Operation, b: &Operation, wanted: &dyn Fn(&str) -> bool) -> Vec<Listing> {
    let (in_a, in_b) = (counted(&a.executed), counted(&b.executed));
    let mut functions: Vec<&FunctionCode> = a.functions.iter().chain(&b.functions).collect();
    functions.sort_by_key(|function| function.start);
    functions.dedup_by_key(|function| function.start);
    let names = |reference: Reference| resolve(&a.names, reference);
    let of = functions.iter().filter(|function| wanted(&function.name));
    of.map(|function| listing(function, (&in_a, &in_b), &names))
        .collect()
}

fn counted(executed: &[Addr]) -> HashMap<Addr, u64> {
    let mut counts = HashMap::new();
    for addr in executed {
        *counts.entry(*addr).or_default() += 1;
    }
    counts
}

/// Far behind the first address of a function there is something else.
const FARTHEST: u64 = 64 << 10;

fn resolve(names: &[(Addr, Resolved)], reference: Reference) -> Option<Resolved> {
    let Reference::Address(addr) = reference else {
        return None;
    };
    let after = names.partition_point(|(start, _)| *start <= addr);
    let (start, resolved) = names.get(after.checked_sub(1)?)?;
    let offset = addr - *start;
    (offset < FARTHEST).then(|| Resolved {
        offset,
        ..resolved.clone()
    })
}

fn listing(
    function: &FunctionCode,
    (in_a, in_b): (&HashMap<Addr, u64>, &HashMap<Addr, u64>),
    names: &dyn crate::disasm::Resolve,
) -> Listing {
    let count = |counts: &HashMap<Addr, u64>, at: Addr| counts.get(&at).copied().unwrap_or(0);
    let code = disassemble(&function.bytes, function.start, names, Syntax::Intel);
    let heads = heads(&code);
    let mut listing = Listing {
        symbol: function.name.clone(),
        origin: function.origin,
        a: 0,
        b: 0,
        idle: 0,
        blocks: Vec::new(),
    };
    for instruction in &code {
        let (a, b) = (count(in_a, instruction.addr), count(in_b, instruction.addr));
        listing.a += a;
        listing.b += b;
        listing.idle += u64::from(a == 0 && b == 0);
        let text = format!("{} {}", instruction.mnemonic, instruction.operands);
        let line = Line {
            address: instruction.addr,
            text: text.trim_end().to_owned(),
            a,
            b,
            expensive: decode(&instruction.bytes, instruction.addr)
                .as_ref()
                .and_then(expensive),
        };
        match listing.blocks.last_mut() {
            Some(block) if !heads.contains(&instruction.addr) => block.lines.push(line),
            _ => listing.blocks.push(Block { lines: vec![line] }),
        }
    }
    listing
}

/// The first instructions of blocks: where a jump leads, and what follows one.
fn heads(code: &[crate::disasm::Instruction]) -> BTreeSet<Addr> {
    let mut heads = BTreeSet::new();
    for (instruction, next) in code.iter().zip(code.iter().skip(1)) {
        let ends = !matches!(instruction.flow, Flow::Next) && !instruction.flow.comes_back();
        heads.extend(ends.then_some(next.addr));
    }
    let jumps = code.iter().filter(|one| !one.flow.comes_back());
    heads.extend(jumps.filter_map(|one| one.target));
    heads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crossing::CrossingKind;
    use crate::origin::Origin;
    use crate::trace::report::{Class, Node, Phases};

    fn operation(executed: &[u64]) -> Operation {
        // test eax,eax; je +3; swapgs; rep movsb; ret
        let bytes = vec![0x85, 0xc0, 0x74, 3, 0x0f, 0x01, 0xf8, 0xf3, 0xa4, 0xc3];
        let path = Node {
            symbol: "f".to_owned(),
            origin: Origin::Entry,
            own: 0,
            total: 0,
            calls: 1,
            file: None,
            children: Vec::new(),
        };
        Operation {
            class: Class {
                id: String::new(),
                kind: CrossingKind::Syscall,
                call: "x".to_owned(),
                count: 1,
                instructions: 0,
                exact: true,
                min: 0,
                max: 0,
                interrupted: false,
                counts: Vec::new(),
                phases: Phases::default(),
                path,
            },
            executed: executed.iter().map(|at| Addr(0x1000 + at)).collect(),
            names: vec![(
                Addr(0x1000),
                Resolved {
                    name: "f".to_owned(),
                    offset: 0,
                    origin: Origin::Entry,
                },
            )],
            functions: vec![FunctionCode {
                name: "f".to_owned(),
                origin: Origin::Entry,
                start: Addr(0x1000),
                bytes,
            }],
        }
    }

    #[test]
    fn each_instruction_has_its_count_and_what_did_not_run_has_none() {
        let a = operation(&[0, 2, 4, 7, 7, 9]);
        let b = operation(&[0, 2, 7, 9, 0, 2, 7, 9]);
        let found = listings(&a, &b, &|name| name == "f");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].a, found[0].b, found[0].idle), (6, 8, 0));
        let blocks: Vec<Vec<_>> = found[0]
            .blocks
            .iter()
            .map(|block| {
                let lines = block.lines.iter();
                lines
                    .map(|line| (line.text.as_str(), line.a, line.b, line.expensive))
                    .collect()
            })
            .collect();
        assert_eq!(
            blocks,
            [
                vec![("test eax,eax", 1, 2, None), ("je f+0x7", 1, 2, None)],
                vec![("swapgs", 1, 0, Some("exchanges the base of GS"))],
                vec![("rep movsb [rdi],[rsi]", 2, 2, None), ("ret", 1, 2, None)],
            ]
        );
        assert!(listings(&a, &b, &|_| false).is_empty());
    }
}
