//! Why a file gives no symbols, each with the next step.

use std::fmt;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum SymbolsError {
    #[error("opening {}: {error}; give the unstripped vmlinux of the image's build", path.display())]
    Open {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("reading {}: {found}; {next}", path.display())]
    Unusable {
        path: PathBuf,
        found: Found,
        next: &'static str,
    },
}

/// What was found in the place of a vmlinux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Empty,
    /// The boot image, which carries the kernel compressed and without symbols.
    BootImage,
    NotElf {
        first_bytes: Vec<u8>,
    },
    /// Not 64-bit little-endian x86.
    OtherMachine {
        bits: u8,
        machine: u16,
    },
    /// The parser's words.
    Damaged(String),
    NoSymbolTable,
}

impl Found {
    pub(super) fn next(&self) -> &'static str {
        match self {
            Self::Empty | Self::Damaged(_) => {
                "build the image again or copy the file again: it is incomplete"
            }
            Self::BootImage | Self::NotElf { .. } => {
                "give the ELF file 'vmlinux' from the top folder of the kernel's build"
            }
            Self::OtherMachine { .. } => "give a vmlinux built for x86-64",
            Self::NoSymbolTable => "give the vmlinux before 'strip'",
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::BootImage => {
                f.write_str("this is a boot image (bzImage), which carries no symbols")
            }
            Self::NotElf { first_bytes } => {
                write!(f, "not an ELF file: it begins with {first_bytes:02x?}")
            }
            Self::OtherMachine { bits, machine } => {
                write!(f, "an ELF file of {bits} bits for machine {machine}")
            }
            Self::Damaged(why) => write!(f, "a damaged ELF file ({why})"),
            Self::NoSymbolTable => f.write_str("an ELF file without a symbol table"),
        }
    }
}
