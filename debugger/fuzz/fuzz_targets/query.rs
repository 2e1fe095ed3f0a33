#![no_main]

use debugger::trace::query::{Query, complete};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = complete(text);
        if let Ok(query) = text.parse::<Query>() {
            let again = query.to_string().parse();
            assert_eq!(again.as_ref(), Ok(&query), "{text}");
        }
    }
});
