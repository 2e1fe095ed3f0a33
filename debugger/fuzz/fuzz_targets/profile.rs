#![no_main]

use debugger::profile::Profile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(profile) = Profile::parse(text) {
        let _ = profile.entry_code("a");
        let _ = profile.unprefixed("ukl_main");
        let _ = profile.to_string();
    }
});
