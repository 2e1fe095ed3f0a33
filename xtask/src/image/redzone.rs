//! The red zone: 128 bytes below RSP that the ABI lets a leaf function use without moving RSP.
//!
//! The application runs in ring 0. Where the kernel lets the CPU push an interrupt's frame on the application's stack
//! (`ukl.fault=populate`), whoever keeps data below RSP loses them at the next interrupt. Compilers are told
//! (`-mno-red-zone`), but assembler files and ready-made libraries are not, so every object that is linked is looked
//! through, and the kernel is told what it found.

use std::path::Path;

use anyhow::{Context, Result};
use iced_x86::{
    Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

/// The size of the red zone in the x86-64 System V ABI; what lies further below belongs to something else.
const RED_ZONE: i64 = 128;

/// One function that keeps data below the stack pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// `main.o`, `libc.a(fenv.o)`.
    pub(crate) object: String,
    pub(crate) function: String,
    /// From the start of the function.
    pub(crate) offset: u64,
}

/// Looks through an object file, or through those members of an archive that `linked` names.
///
/// # Errors
/// When the file cannot be read or is no object.
pub(crate) fn check_file(path: &Path, linked: &[String]) -> Result<Vec<Use>> {
    let what = || format!("looking for uses of the red zone in {}", path.display());
    let bytes = std::fs::read(path).with_context(what)?;
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let Ok(archive) = ArchiveFile::parse(bytes.as_slice()) else {
        return check_object(&name, &bytes).with_context(what);
    };
    let mut uses = Vec::new();
    for member in archive.members() {
        let member = member.with_context(what)?;
        let member_name = String::from_utf8_lossy(member.name()).into_owned();
        if linked.contains(&member_name) {
            let data = member.data(bytes.as_slice()).with_context(what)?;
            uses.extend(check_object(&format!("{name}({member_name})"), data).with_context(what)?);
        }
    }
    Ok(uses)
}

/// What to tell of the uses that were found; none where there are none.
pub(crate) fn describe(uses: &[Use]) -> Option<String> {
    let first = uses.first()?;
    let more = match uses.len() {
        1 => String::new(),
        count => format!(" and in {} other places", count - 1),
    };
    Some(format!(
        "the application keeps data below the stack pointer (red zone) in {}, {} at +{:#x}{more}: the image runs with \
         ukl.fault=ist alone",
        first.object, first.function, first.offset
    ))
}

fn check_object(name: &str, bytes: &[u8]) -> object::read::Result<Vec<Use>> {
    let file = object::File::parse(bytes)?;
    let mut uses = Vec::new();
    for section in file
        .sections()
        .filter(|section| section.kind() == SectionKind::Text)
    {
        let data = section.data()?;
        let mut functions: Vec<(u64, String)> = file
            .symbols()
            .filter(|symbol| symbol.section_index() == Some(section.index()))
            .filter(|symbol| {
                matches!(
                    symbol.kind(),
                    SymbolKind::Text | SymbolKind::Label | SymbolKind::Unknown
                )
            })
            .filter_map(|symbol| Some((symbol.address(), symbol.name().ok()?.to_owned())))
            .collect();
        functions.push((0, section.name()?.to_owned()));
        functions.sort_by_key(|(address, name)| (*address, name.starts_with('.')));
        functions.dedup_by_key(|(address, _)| *address);
        for (at, (start, function)) in functions.iter().enumerate() {
            let end = functions
                .get(at + 1)
                .map_or(data.len() as u64, |(next, _)| *next);
            let range = usize::try_from(*start).ok().zip(usize::try_from(end).ok());
            let Some(code) = range.and_then(|(start, end)| data.get(start..end)) else {
                continue;
            };
            uses.extend(first_use(code).map(|offset| Use {
                object: name.to_owned(),
                function: function.clone(),
                offset,
            }));
        }
    }
    Ok(uses)
}

/// The offset of the first instruction of a function that reads or writes below RSP.
///
/// Through RSP this is a negative displacement. Through RBP it is one below all that the function has pushed or
/// subtracted since it made RBP its frame; a function that moves RSP in any other way, or keeps something else in RBP, is
/// not judged by RBP.
#[must_use]
pub(crate) fn first_use(code: &[u8]) -> Option<u64> {
    let frame = Frame::of(code);
    let mut info = InstructionInfoFactory::new();
    Decoder::with_ip(64, code, 0, DecoderOptions::NONE)
        .iter()
        .find(|instruction| {
            info.info(instruction)
                .used_memory()
                .iter()
                .filter(|memory| !matches!(memory.access(), OpAccess::NoMemAccess | OpAccess::None))
                // What PUSH and CALL write lies below RSP as it was before: that is the way to do it.
                .filter(|_| !instruction.is_stack_instruction())
                .any(|memory| {
                    let displacement = memory.displacement().cast_signed();
                    match memory.base() {
                        Register::RSP => (-RED_ZONE..0).contains(&displacement),
                        Register::RBP => frame.is_some_and(|depth| {
                            memory.index() == Register::None
                                && displacement < -depth
                                && displacement >= -depth - RED_ZONE
                        }),
                        _ => false,
                    }
                })
        })
        .map(|instruction| instruction.ip())
}

/// How far below RBP the stack of a function reaches, where RBP is its frame and that can be told.
struct Frame;

impl Frame {
    fn of(code: &[u8]) -> Option<i64> {
        let mut info = InstructionInfoFactory::new();
        let mut depth = None;
        for instruction in &mut Decoder::with_ip(64, code, 0, DecoderOptions::NONE) {
            let mnemonic = instruction.mnemonic();
            if makes_frame(&instruction) {
                depth = Some(0);
                continue;
            }
            let Some(deepest) = depth.as_mut() else {
                continue;
            };
            match mnemonic {
                Mnemonic::Push => *deepest += 8,
                Mnemonic::Sub if instruction.op0_register() == Register::RSP => {
                    // A register as the amount: alloca.
                    *deepest += immediate(&instruction)?;
                }
                Mnemonic::Add
                | Mnemonic::Lea
                | Mnemonic::Mov
                | Mnemonic::Pop
                | Mnemonic::Leave
                | Mnemonic::Call
                | Mnemonic::Ret => {}
                _ if writes(Register::RSP, &mut info, &instruction) => return None,
                _ => {}
            }
            if !matches!(mnemonic, Mnemonic::Pop | Mnemonic::Leave)
                && writes(Register::RBP, &mut info, &instruction)
            {
                return None;
            }
        }
        depth
    }
}

fn makes_frame(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_register() == Register::RBP
        && instruction.op1_register() == Register::RSP
}

fn immediate(instruction: &Instruction) -> Option<i64> {
    matches!(
        instruction.op1_kind(),
        OpKind::Immediate8to64 | OpKind::Immediate32to64
    )
    .then(|| instruction.immediate(1).cast_signed())
}

fn writes(
    register: Register,
    info: &mut InstructionInfoFactory,
    instruction: &Instruction,
) -> bool {
    info.info(instruction).used_registers().iter().any(|used| {
        used.register() == register && !matches!(used.access(), OpAccess::Read | OpAccess::CondRead)
    })
}

#[cfg(test)]
mod tests {
    use super::{Use, describe, first_use};

    /// (bytes, offset of the use, what it is)
    const CASES: [(&[u8], Option<u64>, &str); 9] = [
        (
            &[0x89, 0x7c, 0x24, 0xfc, 0xc3],
            Some(0),
            "mov %edi,-4(%rsp); ret",
        ),
        (
            &[0x31, 0xc0, 0x0f, 0xae, 0x5c, 0x24, 0xf8, 0xc3],
            Some(2),
            "xor %eax,%eax; stmxcsr -8(%rsp); ret",
        ),
        (
            &[0x57, 0x89, 0x3c, 0x24, 0x58, 0xc3],
            None,
            "push %rdi; mov %edi,(%rsp); pop %rax; ret",
        ),
        (
            &[0x48, 0x8d, 0x64, 0x24, 0xf8, 0xc3],
            None,
            "lea -8(%rsp),%rsp; ret",
        ),
        (
            &[0xe8, 0, 0, 0, 0, 0x53, 0x5b, 0xc3],
            None,
            "call; push %rbx; pop %rbx; ret",
        ),
        (
            &[0x55, 0x48, 0x89, 0xe5, 0x89, 0x7d, 0xfc, 0x5d, 0xc3],
            Some(4),
            "push %rbp; mov %rsp,%rbp; mov %edi,-4(%rbp); pop %rbp; ret",
        ),
        (
            &[
                0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10, 0x89, 0x7d, 0xfc, 0xc9, 0xc3,
            ],
            None,
            "the same with sub $16,%rsp and leave",
        ),
        (
            &[
                0x55, 0x48, 0x89, 0xe5, 0x48, 0x29, 0xc4, 0x89, 0x7d, 0xc0, 0xc9, 0xc3,
            ],
            None,
            "alloca: sub %rax,%rsp; mov %edi,-64(%rbp)",
        ),
        (
            &[0x48, 0x89, 0xe5, 0x48, 0x89, 0xc5, 0x8b, 0x55, 0xf7, 0xc3],
            None,
            "RBP as any register: mov %rsp,%rbp; mov %rax,%rbp; mov -9(%rbp),%edx; ret",
        ),
    ];

    #[test]
    fn what_lies_below_rsp_is_found_and_nothing_else() {
        for (code, expected, what) in CASES {
            assert_eq!(first_use(code), expected, "{what}");
        }
    }

    #[test]
    fn what_is_told_names_member_and_function() {
        let found = Use {
            object: "libgcc.a(_udivti3.o)".into(),
            function: "__udivti3".into(),
            offset: 0x1c,
        };
        let said = describe(&[found]).unwrap();
        assert!(
            said.contains("libgcc.a(_udivti3.o), __udivti3 at +0x1c:"),
            "{said}"
        );
        assert_eq!(describe(&[]), None);
    }
}
