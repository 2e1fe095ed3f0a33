//! The only input and output: the live target, QEMU, and what is kept on disk.
//!
//! A session is one thread that owns everything about a target. It is asked by commands through a
//! [`Handle`], and tells what happens by events: each command is answered once, a command that
//! runs the target when the target has stopped again.

pub mod breakpoints;
pub mod expression;
pub mod handle;
pub mod link;
pub mod monitor;
pub mod options;
pub mod process;
mod resolver;
pub mod store;
pub mod target;
pub mod trace;
pub mod trace_compare;
mod trace_error;
pub mod trace_file;
mod trace_ring;
pub mod transcript;

pub use handle::{Handle, SymbolNames};
pub use options::{AttachOptions, BootOptions, StopAt};
pub use trace_error::{PLUGIN_VARIABLE, TraceError};
pub use trace_ring::RingCounts;
