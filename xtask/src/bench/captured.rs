//! The records of one traced run, in memory.

use std::sync::atomic::AtomicBool;

use anyhow::{Result, ensure};
use debugger::crossing::Mode;
use debugger::qemu::image::Image;
use debugger::session::trace::{TraceOptions, trace_and_record};
use debugger::trace::call_sites::CallSite;
use debugger::trace::fold::{Fold, Run};
use debugger::trace::functions::Functions;
use debugger::trace::recording::Chunk;
use debugger::trace::records::Recorder;
use debugger::trace::report::Report;
use debugger::trace::sites::SiteTable;

pub(super) struct Captured {
    records: Records,
    run: Run,
    pub(super) events: u64,
}

/// As they were handed to the fold.
#[derive(Default)]
struct Records {
    functions: Functions,
    calls: Vec<CallSite>,
    /// vCPU, clock, records.
    chunks: Vec<(usize, u64, Vec<u64>)>,
}

impl Recorder for Records {
    fn begin(&mut self, table: &SiteTable) {
        self.functions = table.functions.clone();
        self.calls.clone_from(&table.calls);
    }

    fn take(&mut self, chunk: Chunk<'_>) {
        let records = chunk.records.to_vec();
        self.chunks
            .push((chunk.vcpu as usize, chunk.clock, records));
    }
}

impl Captured {
    /// # Errors
    /// When the image cannot be traced, or records were lost.
    pub(super) fn of(image: &Image, mode: Mode, calls: u64) -> Result<Self> {
        let mut options = TraceOptions::new(mode);
        options.calls = Some(calls);
        let mut records = Records::default();
        let cancel = AtomicBool::new(false);
        let report = trace_and_record(image, &options, &cancel, &mut |_| (), &mut records)?.report;
        let name = &image.manifest.name;
        ensure!(
            report.lost == 0,
            "tracing {name}: {} records were lost",
            report.lost
        );
        Ok(Self {
            records,
            events: report.events,
            run: Run {
                mode: report.mode,
                engine: report.engine,
                lost: report.lost,
                insns: report.insns,
                notes: report.notes,
            },
        })
    }

    /// # Errors
    /// When not all are taken: they are no whole run.
    pub(super) fn fold(&self, image: &Image) -> Result<Fold> {
        let mut fold = Fold::new(self.records.functions.clone())
            .with_call_sites(self.records.calls.clone())
            .with_requests(image.manifest.request.as_ref());
        for (vcpu, clock, records) in &self.records.chunks {
            let taken = fold.take(*vcpu, *clock, records);
            ensure!(
                taken == records.len(),
                "folding the records of {} again: {taken} of {} were taken",
                image.manifest.name,
                records.len()
            );
        }
        Ok(fold)
    }

    /// With every class, however rare.
    ///
    /// # Errors
    /// As [`Self::fold`].
    pub(super) fn report(&self, image: &Image) -> Result<Report> {
        Ok(self.fold(image)?.report(&self.run, usize::MAX))
    }
}
