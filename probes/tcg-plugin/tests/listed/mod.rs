//! Instructions as QEMU lists them.

#![allow(dead_code, reason = "not every test uses all")]

use uklscope_tcg::plan::Listed;

pub(crate) fn listed(address: u64, bytes: &[u8]) -> Listed {
    let mut all = [0; 16];
    all[..bytes.len()].copy_from_slice(bytes);
    Listed {
        address,
        bytes: all,
        size: bytes.len(),
    }
}

/// Instructions one after the other.
pub(crate) fn block(start: u64, instructions: &[&[u8]]) -> Vec<Listed> {
    let mut address = start;
    instructions
        .iter()
        .map(|bytes| {
            let this = listed(address, bytes);
            address += bytes.len() as u64;
            this
        })
        .collect()
}
