//! Where the application's code leaves it: every call into its libc or the kernel, known before the first
//! boot.
//!
//! The code of the application and its libc is decoded once. What a call leads to is followed over direct
//! calls: to the kernel for certain, only where something is decided at run time, or never.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use serde::{Deserialize, Serialize};

use crate::addr::{Addr, AddrRange};
use crate::origin::Origin;
use crate::symbols::{Symbol, Symbols};

/// An instruction of the application's own code by which control leaves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallSite {
    pub address: Addr,
    /// The application's function that it stands in.
    pub caller: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    pub how: How,
    /// None where it is decided at run time.
    pub target: Option<Target>,
    /// Whether the kernel is reached.
    pub enters: Enters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    Call,
    /// The last thing that the function does.
    Jump,
    /// The instruction of that name.
    Syscall,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub symbol: String,
    pub origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Enters {
    /// No call on the way does, and none is decided at run time.
    No,
    /// Something on the way is decided at run time.
    Maybe,
    /// By direct calls, on some way through the functions that are called.
    Yes,
}

/// A function of the application's or its libc's.
#[derive(Debug)]
struct Function<'a> {
    symbol: Symbol<'a>,
    range: AddrRange,
    leads_to: Vec<usize>,
    enters: Enters,
}

/// How an instruction leaves a function, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leaving {
    how: How,
    to: Option<Addr>,
}

impl CallSite {
    /// `main.c:42`, without folders, or the address where no line is known.
    #[must_use]
    pub fn place(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => {
                let name = file.rsplit('/').next().unwrap_or(file);
                format!("{name}:{line}")
            }
            _ => format!("{:?}", self.address),
        }
    }
}

/// In the order of their addresses. Of the twin where there is one: it is what runs in ring 3.
#[must_use]
pub fn call_sites(symbols: &Symbols) -> Vec<CallSite> {
    let mut functions = functions(symbols);
    let mut found = Vec::new();
    for at in 0..functions.len() {
        let function = &functions[at];
        let own = function.symbol.origin == Origin::App;
        let gate = symbols.profile().calls.gate.has(function.symbol.name);
        let mut enters = if gate { Enters::Yes } else { Enters::No };
        let mut leads_to = Vec::new();
        for (address, leaving) in code(symbols, function) {
            let target = leaving.to.and_then(|to| containing(&functions, to));
            match (leaving.how, leaving.to, target) {
                (_, _, Some(target)) => leads_to.push(target),
                (How::Syscall, ..) | (_, Some(_), None) => enters = Enters::Yes,
                (_, None, None) => enters = enters.max(Enters::Maybe),
            }
            let stays = target.is_some_and(|at| functions[at].symbol.origin == Origin::App);
            if own && !stays {
                found.push((at, address, leaving, target));
            }
        }
        functions[at].enters = enters;
        functions[at].leads_to = leads_to;
    }
    spread(&mut functions);
    let sites = found.into_iter().map(|(at, address, leaving, target)| {
        let place = symbols.place(address);
        CallSite {
            address,
            caller: functions[at].symbol.name.to_owned(),
            file: place.file,
            line: place.line,
            how: leaving.how,
            target: leaving.to.map(|to| Target {
                symbol: symbols
                    .at(to)
                    .map_or_else(|| format!("{to:?}"), |to| to.name.to_owned()),
                origin: symbols.origin(to),
            }),
            enters: match (leaving, target) {
                (_, Some(target)) => functions[target].enters,
                (
                    Leaving {
                        how: How::Syscall, ..
                    }
                    | Leaving { to: Some(_), .. },
                    None,
                ) => Enters::Yes,
                _ => Enters::Maybe,
            },
        }
    });
    sites.collect()
}

fn functions(symbols: &Symbols) -> Vec<Function<'_>> {
    let text = &symbols.boundary().app_text;
    let twin = symbols.has_twin();
    let is_ours = |symbol: &Symbol<'_>| match twin {
        true => !symbol.addr.in_kernel_half(),
        false => text.contains(symbol.addr),
    };
    let of = |symbol: Symbol<'_>| symbol.origin.is_app_side();
    let mut functions: Vec<Function<'_>> = symbols
        .functions()
        .filter(|symbol| is_ours(symbol) && of(*symbol))
        .map(|symbol| Function {
            range: AddrRange::new(symbol.addr, symbol.addr + symbol.size),
            symbol,
            leads_to: Vec::new(),
            enters: Enters::No,
        })
        .collect();
    functions.sort_by_key(|function| function.range.start);
    functions
}

fn containing(functions: &[Function<'_>], addr: Addr) -> Option<usize> {
    let at = functions.partition_point(|function| function.range.start <= addr);
    let at = at.checked_sub(1)?;
    functions[at].range.contains(addr).then_some(at)
}

/// The instructions by which a function is left.
fn code(symbols: &Symbols, function: &Function<'_>) -> Vec<(Addr, Leaving)> {
    let Addr(start) = function.range.start;
    let len = usize::try_from(function.range.len()).unwrap_or(0);
    let Some(bytes) = symbols.initial(function.range.start, len) else {
        return Vec::new();
    };
    let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut found = Vec::new();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if let Some(leaving) = leaving(&instruction, function.range) {
            found.push((Addr(instruction.ip()), leaving));
        }
    }
    found
}

fn leaving(instruction: &Instruction, function: AddrRange) -> Option<Leaving> {
    let near = matches!(
        instruction.op0_kind(),
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
    );
    let to = near.then(|| Addr(instruction.near_branch_target()));
    let outside = to.is_some_and(|to| !function.contains(to));
    let (how, to) = match instruction.flow_control() {
        FlowControl::Call if instruction.mnemonic() == Mnemonic::Syscall => (How::Syscall, None),
        FlowControl::Call if near => (How::Call, to),
        FlowControl::IndirectCall => (How::Call, None),
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch if outside => {
            (How::Jump, to)
        }
        // With an index it goes on in a table of the function's own: a `switch`.
        FlowControl::IndirectBranch if instruction.memory_index() == Register::None => {
            (How::Jump, None)
        }
        _ => return None,
    };
    Some(Leaving { how, to })
}

/// Tells callers what their callees do, until nothing changes.
fn spread(functions: &mut [Function<'_>]) {
    let mut callers = vec![Vec::new(); functions.len()];
    for (at, function) in functions.iter().enumerate() {
        for callee in &function.leads_to {
            callers[*callee].push(at);
        }
    }
    for enters in [Enters::Yes, Enters::Maybe] {
        let of = |function: &Function<'_>| function.enters == enters;
        let at = functions
            .iter()
            .enumerate()
            .filter(|(_, function)| of(function));
        let mut left: Vec<usize> = at.map(|(at, _)| at).collect();
        while let Some(at) = left.pop() {
            for caller in &callers[at] {
                if functions[*caller].enters < enters {
                    functions[*caller].enters = enters;
                    left.push(*caller);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURE: &[u8] = include_bytes!("../../tests/fixtures/two_worlds.elf");

    #[test]
    fn the_one_call_of_a_program_is_known_before_it_runs() {
        let symbols = Symbols::from_bytes(FIXTURE.to_vec(), None).unwrap();
        let sites = call_sites(&symbols);
        let [site] = &sites[..] else {
            panic!("{sites:?}");
        };
        assert_eq!((site.caller.as_str(), site.how), ("main", How::Call));
        assert_eq!(site.place(), "main.c:5");
        let target = site.target.as_ref().unwrap();
        assert_eq!(
            (target.symbol.as_str(), target.origin),
            ("write", Origin::Libc)
        );
        assert_eq!(site.enters, Enters::Yes, "write calls ksys_write");
    }

    #[test]
    fn what_leaves_a_function() {
        let check = |bytes: &[u8], expected: Option<(How, Option<u64>)>| {
            let mut decoder = Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE);
            let function = AddrRange::new(Addr(0x1000), Addr(0x1010));
            let expected = expected.map(|(how, to)| Leaving {
                how,
                to: to.map(Addr),
            });
            assert_eq!(leaving(&decoder.decode(), function), expected, "{bytes:x?}");
        };
        check(&[0xe8, 0xfb, 0, 0, 0], Some((How::Call, Some(0x1100))));
        check(&[0xe8, 0, 0, 0, 0], Some((How::Call, Some(0x1005))));
        check(&[0xff, 0xd0], Some((How::Call, None)));
        check(&[0xe9, 0xfb, 0, 0, 0], Some((How::Jump, Some(0x1100))));
        check(&[0x74, 0x7e], Some((How::Jump, Some(0x1080))));
        check(&[0xeb, 0x02], None);
        check(&[0xff, 0xe0], Some((How::Jump, None)));
        check(&[0xff, 0x24, 0xc5, 0, 0x20, 0, 0], None);
        check(&[0x0f, 0x05], Some((How::Syscall, None)));
        check(&[0xc3], None);
        check(&[0xcc], None);
    }
}
