//! Runs an image once and folds what the probes in its kernel record, with the times they tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wire::guest::{ProbesPage, WANT_BOUNDARY, WANT_FUNCTIONS};
use wire::{Header, Policy};

use super::guest_probes::{GuestProbes, GuestRing};
use super::process::Qemu;
use super::shared_memory::SharedMemory;
use super::trace::{Running, TraceOptions, Traced, check_mode};
use super::trace_error::TraceError;
use super::trace_ring::Ring;
use super::trace_table::{open_symbols, table_of};
use super::trace_tasks::TaskNames;
use crate::crossing::Mode;
use crate::event::Event;
use crate::qemu::arguments::{Accelerator, GdbServer, Machine};
use crate::qemu::image::Image;
use crate::trace::fold::{Fold, Told};
use crate::trace::places::Places;
use crate::trace::records::NoRecorder;
use crate::trace::times::{Clock, Cost, Unit};

/// For the kernel to boot, and for its answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the ring, and holds the application's start until records are asked for.
const OPTION: &str = " ukl.probes=wait";

/// Boots the image, traces it by the probes in its kernel to its end and returns what was folded.
///
/// # Errors
/// When its kernel has no probes, they do not do what is asked, or QEMU cannot be started.
pub fn trace_by_probes(
    image: &Image,
    options: &TraceOptions,
    cancel: &AtomicBool,
    tell: &mut dyn FnMut(Event),
) -> Result<Traced, TraceError> {
    check_mode(image, options)?;
    let twin = (options.setup.mode == Mode::Linux).then(|| image.twin());
    let symbols = open_symbols(
        &image.vmlinux(),
        twin.as_deref(),
        options.profile.as_deref(),
    )?;
    let (table, _) = table_of(&symbols);
    let machine = options.machine(image);
    let memory = SharedMemory::new(u64::from(machine.memory_mib) << 20)
        .map_err(|source| TraceError::Memory { source })?;
    let guest = Qemu::start(&Machine {
        gdb: GdbServer::None,
        stopped_at_start: false,
        shared_memory: Some(memory.path()),
        accelerator: options.accelerator,
        append: machine.append.clone() + OPTION,
        ..machine
    })?;
    let began = Instant::now();
    let give_up = || cancel.load(Ordering::Relaxed);
    let mut probes = GuestProbes::find(&memory, &symbols, PATIENCE, &give_up)?;
    let policy = if options.flight {
        Policy::Flight
    } else {
        Policy::Lossless
    };
    let ring = probes.ring(&memory)?;
    attend(&ring, policy);
    let text = symbols
        .address_of("_text")
        .map(|text| symbols.slide().linked(text));
    let places = Arc::new(Places::new(&table, text.unwrap_or_default()));
    let mut ring = Ring::in_guest(ring, &places, policy);
    let told = probes.ask(want(&options.functions), &options.functions, PATIENCE)?;
    // The application may have begun while the answer was waited for.
    let serial: Vec<u8> = guest.serial().try_iter().flatten().collect();
    tell(Event::Serial(serial.clone()));
    let mut run = Running {
        options,
        engine: "probes",
        ring: &mut ring,
        probes: Some(probes),
        recorder: &mut NoRecorder,
        fold: Fold::new(table.functions).with_times(clock(&told, options.accelerator)),
        names: TaskNames::new(memory, &symbols),
        serial,
        guest,
        began,
        recording: None,
        turns: 0,
        frozen: None,
        cancelled: false,
        notes: Vec::new(),
        told: Told::default(),
    };
    run.follow(cancel, tell);
    run.finish(image, tell)
}

const fn want(functions: &str) -> u32 {
    if functions.is_empty() {
        WANT_BOUNDARY
    } else {
        WANT_BOUNDARY | WANT_FUNCTIONS
    }
}

/// Tells the guest that there is a reader, and what to do when it is behind.
fn attend(ring: &GuestRing, policy: Policy) {
    use std::sync::atomic::AtomicU32;
    let word = |offset: usize| -> &AtomicU32 {
        // SAFETY: inside the header, which is aligned; the guest reads it as one word.
        unsafe { &*ring.mapping.as_ptr().add(offset).cast() }
    };
    word(std::mem::offset_of!(Header, policy)).store(policy as u32, Ordering::Relaxed);
    word(std::mem::offset_of!(Header, reader)).store(std::process::id(), Ordering::Release);
}

fn clock(told: &ProbesPage, accelerator: Accelerator) -> Clock {
    let known = told.tsc_khz > 0;
    let unit = |ticks: u32| match known {
        true => f64::from(ticks) * 1e6 / f64::from(told.tsc_khz),
        false => f64::from(ticks),
    };
    let about = match accelerator {
        Accelerator::Tcg => {
            "the guest's time stamp counter under TCG, which is the host's clock: how long emulation took"
        }
        Accelerator::Kvm => "the guest's time stamp counter",
    };
    Clock {
        unit: if known { Unit::Ns } else { Unit::Ticks },
        tsc_khz: told.tsc_khz,
        cost: Cost {
            probe: unit(told.cost_probe),
            inside: unit(told.cost_inside),
            between: unit(told.cost_between),
        },
        about: about.to_owned(),
    }
}
