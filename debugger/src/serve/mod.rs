//! A gdb stub in front of a session: gdb, lldb and the editors that use them join its target.
//!
//! ```text
//! client ──bytes→ wire → gdbstub → machine → Joined ─Ask→ the session's queue
//!        ←bytes── wire ← gdbstub ←─────────────Given, Told── the session's thread
//! ```
//!
//! The protocol is gdbstub's. [`wire`] lies before it: what arrives damaged is asked for again, and
//! what gdbstub takes for the end of a conversation is answered with an error instead. Each client has a
//! thread; the session's thread alone owns the target, and its rules hold for all
//! ([`crate::session::joined`]).

mod arch;
mod breakpoints;
mod client;
mod description;
mod house;
mod machine;
mod monitor;
mod reading;
mod regions;
mod resume;
mod server;
mod stream;
mod wire;

pub use machine::Render;
pub use server::{ServeError, Server};
