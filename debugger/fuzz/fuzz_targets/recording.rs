#![no_main]

use debugger::trace::recording::Stored;
use debugger::trace::timeline::SCALES;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(stored) = Stored::open(data) else {
        return;
    };
    for report in &stored.recording().runs {
        let _ = debugger::trace::diff::pairs(report, report);
    }
    for (run, of) in stored.runs().iter().enumerate() {
        let _ = stored.machine(run);
        for block in 0..stored.state_blocks(run) {
            for state in stored.states(run, block).into_iter().flatten() {
                let _ = state.memory.piece(0);
            }
        }
        for vcpu in 0..of.vcpus() {
            let all = 0..u64::MAX;
            let _ = stored.events(run, vcpu, all.clone()).count();
            let _ = stored.spans(run, vcpu, all.clone());
            for scale in 0..SCALES {
                let _ = stored.summary(run, vcpu, scale, &all);
            }
        }
    }
});
