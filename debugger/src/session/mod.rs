//! The only input and output: the live target, QEMU, and what is kept on disk.
//!
//! A session is one thread that owns everything about a target. It is asked by commands through a
//! [`Handle`], and tells what happens by events: each command is answered once, a command that
//! runs the target when the target has stopped again.

mod assignment;
mod attach;
mod beside;
mod book;
mod boot;
pub mod breakpoints;
mod control_state;
mod conversion;
mod course;
mod crossing;
mod doors;
mod engine;
mod environment;
mod examine;
mod execute;
pub mod expression;
mod find;
mod focus;
mod frames;
mod functions;
mod gates;
mod goes;
pub mod handle;
mod hit;
mod inspect;
mod instruction;
mod kernel_memory;
mod lines;
pub mod link;
mod listing;
mod live;
mod locate;
pub mod monitor;
pub mod options;
mod out;
mod outline;
mod planting;
pub mod process;
mod processor;
mod regions;
mod resolver;
mod run;
pub mod shared_memory;
mod sharing;
mod slide;
mod slots;
mod spin;
mod stepping;
mod stops;
pub mod store;
pub mod stub_trace;
pub mod target;
mod tasks;
pub mod trace;
pub mod trace_compare;
mod trace_error;
pub mod trace_file;
mod trace_ring;
pub mod transcript;
mod trouble;
mod until;
mod variables;
mod watches;
mod why;

pub use boot::Session;
pub use handle::{Handle, SymbolNames};
pub use options::{AttachOptions, BootOptions, StopAt};
pub use trace_error::{PLUGIN_VARIABLE, TraceError};
pub use trace_ring::RingCounts;
