#![no_main]

use debugger::trace::import::{Stacks, differ, read};
use libfuzzer_sys::fuzz_target;

// Two files, divided by a zero: what can be read of both is compared.
fuzz_target!(|data: &[u8]| {
    let mut files = data.splitn(2, |byte| *byte == 0);
    let (Some(Ok(a)), Some(Ok(b))) = (files.next().map(read), files.next().map(read)) else {
        return;
    };
    let diff = differ((&a, "a"), (&b, "b"));
    assert!(diff.balanced, "{diff:?}");
    let first = |stacks: &Stacks<'_>| stacks.flame.frames.last().map(|frame| frame.symbol.to_string());
    if let Some(only) = first(&a).and_then(|name| a.only(&name)) {
        assert!(only.flame.total() <= a.flame.total());
    }
});
