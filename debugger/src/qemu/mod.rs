//! What to boot, as data, and how to ask QEMU about it. No input or output.

pub mod arguments;
pub mod forward;
pub mod image;
pub mod qmp;
pub mod replay;
