//! The only input and output: the live target, QEMU, and what is kept on disk.

pub mod store;
