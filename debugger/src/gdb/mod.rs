//! The GDB remote protocol, from the client's side. No input or output: bytes in, bytes out.
//!
//! ```text
//! bytes → packet::Decoder → client::Client → payload → reply::… → typed records
//! request::Request → payload → client::Client → packet::encode → bytes
//! ```
//!
//! [`description`] turns the target's own account of its registers into a layout, and
//! [`registers`] reads a `g` reply by it. Nothing about x86 is built in but the names of two registers.

pub mod client;
pub mod description;
pub mod hex;
pub mod packet;
pub mod registers;
pub mod reply;
pub mod request;
pub mod thread;
