//! The core of uklscope: everything but the screen.
//!
//! Facts flow one way: bytes from the target become typed records, records become [`event::Event`]s,
//! events are folded into a [`model`], and views read the model. Wishes flow the other way, as
//! [`command::Command`]s. Nothing in this crate knows a terminal, a colour or an argument parser.

pub mod addr;
pub mod count;
pub mod crossing;
pub mod known;
pub mod origin;
pub mod pattern;
pub mod profile;

pub mod disasm;
pub mod gdb;
pub mod guest;
pub mod qemu;
pub mod space;
pub mod symbols;
pub mod trace;

pub mod command;
pub mod event;
pub mod model;

pub mod serve;
pub mod session;
