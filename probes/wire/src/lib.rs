//! The one definition of what passes from a probe to the debugger.
//!
//! A probe and the debugger share one mapping:
//!
//! ```text
//! 0      Header           who made it, sizes, state
//! 4096   Control × vCPUs  256 bytes each: the probe's line, the debugger's line
//!        Chunk × vCPUs × chunks, each ChunkHeader and `chunk_records` records
//!        Site × sites     sorted by address: what the probe is to look for
//! ```
//!
//! A record is eight bytes: the low half of its vCPU's instruction clock, or of [`ticks`] where time is asked for, and a
//! site word (see [`record`]).
//! Each vCPU writes a ring of its own; what orders the rings is a number in each switch of tasks, and a
//! switch can be read as soon as it is written, so that nobody waits for one that lies in a chunk that is
//! not full yet.
//!
//! Everything is little-endian and naturally aligned, as on the x86-64 that both ends run on.
#![no_std]

extern crate alloc;

pub mod c_header;
pub mod guest;
pub mod layout;
pub mod record;
pub mod site;
pub mod ticks;

pub use c_header::header;
pub use layout::{
    Checks, Choice, Chunk, ChunkHeader, Control, Damage, Difference, Header, Policy, Shape, State,
    Taken,
};
pub use record::{Kind, Record, Word};
pub use site::{Site, SiteFlags};

/// `UKLTRACE`, read as a little-endian number.
pub const MAGIC: u64 = u64::from_le_bytes(*b"UKLTRACE");

/// Raised whenever a reader of the former layout would misread the new one.
pub const VERSION: u32 = 2;
