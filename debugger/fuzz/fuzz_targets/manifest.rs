#![no_main]

use std::path::Path;

use debugger::qemu::image::Image;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Image::from_text(Path::new("image"), text);
    }
});
