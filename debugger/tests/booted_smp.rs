//! What the plugin counts on several vCPUs is what it counts on one.

use std::sync::atomic::AtomicBool;

use debugger::crossing::Mode;
use debugger::session::store;
use debugger::session::trace::{TraceOptions, trace_and_record};
use debugger::trace::diff;
use debugger::trace::fold::{Fold, Run};
use debugger::trace::recording::Chunk;
use debugger::trace::records::Recorder;
use debugger::trace::report::{Class, Report};
use debugger::trace::sites::SiteTable;

/// Calls that the four threads of `kernel/tests/threads` make, whatever the machine.
const GETPPIDS: u64 = 4 * 10_000;

/// Folds what it is given, as the tracer does.
#[derive(Default)]
struct Again {
    fold: Option<Fold>,
    /// Records that were not next in order.
    refused: usize,
    vcpus: usize,
}

impl Recorder for Again {
    fn begin(&mut self, table: &SiteTable) {
        self.fold = Some(Fold::new(table.functions.clone()));
    }

    fn take(&mut self, chunk: Chunk<'_>) {
        let vcpu = chunk.vcpu as usize;
        self.vcpus = self.vcpus.max(vcpu + 1);
        if let Some(fold) = &mut self.fold {
            self.refused += chunk.records.len() - fold.take(vcpu, chunk.clock, chunk.records);
        }
    }
}

/// With every class, however rare.
fn threads(mode: Mode, smp: u32) -> Report {
    let image = store::image("threads").unwrap_or_else(|error| panic!("{error}"));
    let mut options = TraceOptions::new(mode);
    options.smp = smp;
    let mut again = Again::default();
    let cancel = AtomicBool::new(false);
    let traced = trace_and_record(&image, &options, &cancel, &mut |_| (), &mut again)
        .unwrap_or_else(|error| panic!("{error}"));
    let serial = String::from_utf8_lossy(&traced.serial);
    assert!(serial.contains("threads: ok"), "{serial}");
    assert!(traced.report.insns > 0, "the plugin came to its end");
    assert_eq!(again.refused, 0, "the recorder is given records in order");
    assert_eq!(again.vcpus, smp as usize, "every vCPU runs something");
    let fold = again.fold.expect("it was begun");
    assert_eq!(fold.events, traced.report.events);
    let run = Run {
        mode: mode.into(),
        engine: "plugin".to_owned(),
        lost: traced.report.lost,
        insns: traced.report.insns,
        notes: Vec::new(),
    };
    fold.report(&run, usize::MAX)
}

fn getppids(report: &Report) -> impl Iterator<Item = &Class> {
    report
        .classes
        .iter()
        .filter(|class| class.call == "getppid")
}

#[test]
#[ignore = "boots an image"]
fn several_vcpus_count_what_one_counts() {
    for mode in [Mode::Linux, Mode::Ukl, Mode::Bypass] {
        let one = threads(mode, 1);
        for smp in [1, 2, 4] {
            let report = threads(mode, smp);
            let what = format!("mode {mode}, {smp} vCPUs, {:?}", report.notes);
            assert_eq!(report.lost, 0, "{what}");
            let wrong = ["gaps", "contradicted", "no matching entry"];
            let is_wrong = |note: &&String| wrong.iter().any(|wrong| note.contains(wrong));
            assert_eq!(report.notes.iter().find(is_wrong), None, "{what}");
            let count: u64 = getppids(&report).map(|class| class.count).sum();
            assert_eq!(count, GETPPIDS, "{what}");
            let dominant = |report: &Report| {
                let calls = diff::calls(report);
                let class = calls.into_iter().find(|class| class.call == "getppid");
                class.cloned().unwrap_or_else(|| panic!("{what}"))
            };
            let (there, here) = (dominant(&one), dominant(&report));
            assert!(here.exact && !here.interrupted, "{what}");
            assert!(here.count > GETPPIDS * 9 / 10, "{what}: {}", here.count);
            assert_eq!(here.path, there.path, "{what}");
            // One vCPU's clock taken for another's would make it thousands of millions.
            for class in getppids(&report) {
                assert!(class.max < 1_000_000, "{what}: {class:?}");
            }
        }
    }
}
