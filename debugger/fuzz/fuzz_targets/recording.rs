#![no_main]

use debugger::trace::recording::Recording;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok((recording, _)) = Recording::decode(data) {
        for report in &recording.runs {
            let _ = debugger::trace::diff::pairs(report, report);
        }
    }
});
