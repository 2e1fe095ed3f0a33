//! A bundle that someone else made: any bytes are one, or refused; so is any manifest.

#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;

// Of the program, without all that it draws its screens with.
#[allow(dead_code, reason = "nothing is packed to disk or unpacked to it")]
#[path = "../../../tui/src/bundle/format.rs"]
mod format;

use format::{BundleError, Manifest, read};

fuzz_target!(|data: &[u8]| {
    let check = |bytes: &[u8]| {
        let mut names = Vec::new();
        let found = read(bytes, &mut |name, content| {
            names.push(name.to_owned());
            let mut bytes = Vec::new();
            let count = content.take(1 << 20).read_to_end(&mut bytes);
            count.map(|count| count as u64).map_err(|error| BundleError::Damaged(error.to_string()))
        });
        for name in names {
            assert!(!name.contains("..") && !name.starts_with('/') && name.matches('/').count() <= 1, "{name}");
        }
        found.is_ok()
    };
    check(data);
    // Past the frame: as an archive, and as a manifest.
    if let Ok(frame) = zstd::encode_all(data, 1) {
        check(&frame);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Manifest::read(text);
    }
});
