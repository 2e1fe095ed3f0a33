//! What to boot, as data, and how to ask QEMU about it. No input or output.

pub mod image;
