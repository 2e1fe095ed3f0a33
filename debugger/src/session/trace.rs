//! Runs an image once under the plugin and folds what it records while it runs.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wire::Policy;

use super::trace_error::{PLUGIN_VARIABLE, TraceError};
use super::trace_ring::{Ring, RingCounts};
use crate::crossing::Mode;
use crate::event::TraceNews;
use crate::qemu::image::Image;
use crate::symbols::{Kind, Symbols};
use crate::trace::fold::{Fold, Run};
use crate::trace::report::Report;
use crate::trace::sites::{Code, Ranges, SiteTable};

#[derive(Clone, Debug)]
pub struct TraceOptions {
    pub mode: Mode,
    /// Operations the application is asked for.
    pub calls: Option<u64>,
    /// Ends the run after this long.
    pub duration: Option<Duration>,
    /// Drops records where the guest would have to wait; each is counted.
    pub flight: bool,
    /// Counts every instruction by an addition of its own: slow, to check the fast clock.
    pub slow_clock: bool,
    /// Which functions are recorded.
    pub scope: Scope,
}

/// Which records the plugin is to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Every entry and return of the kernel and the application.
    #[default]
    Functions,
    /// The boundary's instructions alone: totals without paths.
    Boundary,
}

impl TraceOptions {
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            calls: None,
            duration: None,
            flight: false,
            slow_clock: false,
            scope: Scope::Functions,
        }
    }
}

/// A traced run.
#[derive(Clone, Debug)]
pub struct Traced {
    pub report: Report,
    /// What the guest wrote to its serial line.
    pub serial: Vec<u8>,
    pub counts: RingCounts,
    /// From QEMU's start to its end.
    pub wall: Duration,
}

/// Classes in a report made while the run goes on.
const LIVE_CLASSES: usize = 64;
/// Classes in the last one.
const MOST_CLASSES: usize = 256;
const NEWS_EVERY: Duration = Duration::from_millis(250);
/// Between two looks at an empty ring.
const NAP: Duration = Duration::from_micros(300);
/// For QEMU to end when asked.
const FAREWELL: Duration = Duration::from_secs(3);

/// Boots the image, traces it to its end and returns what was folded.
///
/// `news` is called a few times a second with what there is so far. The run is ended early, and
/// reported as far as it came, once `cancel` is set.
///
/// # Errors
/// When the image cannot be traced or QEMU cannot be started.
pub fn trace(
    image: &Image,
    options: &TraceOptions,
    cancel: &AtomicBool,
    news: &mut dyn FnMut(TraceNews),
) -> Result<Traced, TraceError> {
    if !image.manifest.modes.contains(&options.mode) {
        return Err(TraceError::NoMode {
            image: image.manifest.name.clone(),
            mode: options.mode,
            has: image.manifest.modes.clone(),
        });
    }
    let plugin = find_plugin()?;
    let table = site_table(image, options.mode)?;
    let policy = if options.flight {
        Policy::Flight
    } else {
        Policy::Lossless
    };
    let mut ring = Ring::new(&table.sites, policy).map_err(|source| TraceError::Ring {
        megabytes: 8,
        source,
    })?;
    let fold = Fold::new(table.functions);
    let began = Instant::now();
    let guest = Guest::start(image, options, &plugin, &ring)?;
    let mut run = Running {
        options,
        ring: &mut ring,
        fold,
        guest,
        began,
        cancelled: false,
    };
    run.follow(cancel, news)?;
    run.finish(image)
}

/// Functions and entry points of the image, as sites for the probe.
///
/// # Errors
/// When the symbols cannot be read.
pub fn site_table(image: &Image, mode: Mode) -> Result<SiteTable, TraceError> {
    let twin = (mode == Mode::Linux).then(|| image.twin());
    let symbols = Symbols::open(&image.vmlinux(), twin.as_deref())?;
    let boundary = symbols.boundary();
    let ranges = Ranges {
        app_text: boundary.app_text,
        entry_text: boundary.entry_text,
    };
    let code = symbols
        .iter()
        .filter(|symbol| symbol.kind.is_code())
        .map(|symbol| Code {
            name: symbol.name,
            range: crate::addr::AddrRange::new(symbol.addr, symbol.addr + symbol.size),
            origin: symbol.origin,
            label: symbol.kind == Kind::Label,
            global: symbol.global,
            file: symbol.file,
        });
    Ok(SiteTable::build(code, ranges))
}

/// `$UKLSCOPE_PLUGIN`, else beside the program, or one folder up where tests run.
fn find_plugin() -> Result<PathBuf, TraceError> {
    const NAME: &str = "libuklscope_tcg.so";
    if let Some(path) = std::env::var_os(PLUGIN_VARIABLE).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(TraceError::NoPlugin { tried: vec![path] })
        };
    }
    let program = std::env::current_exe().unwrap_or_default();
    let tried: Vec<_> = program
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(NAME))
        .collect();
    match tried.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(TraceError::NoPlugin { tried }),
    }
}

/// QEMU and what it says.
struct Guest {
    child: Child,
    serial: Option<JoinHandle<Vec<u8>>>,
    complaints: Option<JoinHandle<Vec<u8>>>,
}

impl Guest {
    fn start(
        image: &Image,
        options: &TraceOptions,
        plugin: &Path,
        ring: &Ring,
    ) -> Result<Self, TraceError> {
        const PROGRAM: &str = "qemu-system-x86_64";
        let clock = if options.slow_clock {
            ",clock=slow"
        } else {
            ""
        };
        let mut child = Command::new(PROGRAM)
            .args([
                "-accel",
                "tcg",
                "-m",
                &image.manifest.memory_mib.to_string(),
            ])
            .args([
                "-nodefaults",
                "-display",
                "none",
                "-no-reboot",
                "-serial",
                "stdio",
            ])
            .arg("-kernel")
            .arg(image.kernel())
            .arg("-initrd")
            .arg(image.initrd())
            .arg("-append")
            .arg(image.append(options.mode, options.calls))
            .arg("-plugin")
            .arg(format!(
                "{},shared={}{clock}",
                plugin.display(),
                ring.path()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| TraceError::Start {
                program: PROGRAM.to_owned(),
                source,
            })?;
        let serial = child.stdout.take().map(collect);
        let complaints = child.stderr.take().map(collect);
        Ok(Self {
            child,
            serial,
            complaints,
        })
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, TraceError> {
        self.child
            .try_wait()
            .map_err(|source| TraceError::Watch { source })
    }

    /// Asks QEMU to end, so that the plugin hands over what it has.
    fn ask_to_end(&self) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It has ended unless something failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is what there is.
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

struct Running<'a> {
    options: &'a TraceOptions,
    ring: &'a mut Ring,
    fold: Fold,
    guest: Guest,
    began: Instant,
    cancelled: bool,
}

impl Running<'_> {
    /// Folds until the guest has ended.
    fn follow(
        &mut self,
        cancel: &AtomicBool,
        news: &mut dyn FnMut(TraceNews),
    ) -> Result<(), TraceError> {
        let mut told = (Instant::now(), 0);
        let mut asked: Option<Instant> = None;
        loop {
            let drained = self.ring.drain(&mut self.fold);
            if self.guest.ended()?.is_some() {
                self.ring.drain(&mut self.fold);
                return Ok(());
            }
            let over = self
                .options
                .duration
                .is_some_and(|limit| self.began.elapsed() >= limit);
            if asked.is_none() && (over || cancel.load(Ordering::Relaxed)) {
                self.cancelled = true;
                asked = Some(Instant::now());
                self.guest.ask_to_end();
            }
            if asked.is_some_and(|asked| asked.elapsed() > FAREWELL) {
                self.ring.close();
                let _ = self.guest.child.kill();
            }
            if told.0.elapsed() >= NEWS_EVERY {
                let per_s = (self.fold.events - told.1) as f64 / told.0.elapsed().as_secs_f64();
                told = (Instant::now(), self.fold.events);
                news(self.news(per_s, true, LIVE_CLASSES));
            }
            if drained == 0 {
                std::thread::sleep(NAP);
            }
        }
    }

    fn news(&self, events_per_s: f64, running: bool, classes: usize) -> TraceNews {
        TraceNews {
            report: Arc::new(self.report(classes)),
            events: self.fold.events,
            events_per_s,
            running,
        }
    }

    fn report(&self, classes: usize) -> Report {
        let counts = self.ring.counts();
        let mut notes = Vec::new();
        if counts.waits > 0 {
            let waited = Duration::from_nanos(counts.waited_ns);
            notes.push(format!(
                "the guest waited {} times, {:.3} s in all, for its records to be read",
                counts.waits,
                waited.as_secs_f64()
            ));
        }
        if self.cancelled {
            notes.push("the run was ended before the guest powered off".to_owned());
        }
        let run = Run {
            mode: self.options.mode,
            engine: "plugin".to_owned(),
            lost: counts.lost,
            insns: counts.insns,
            notes,
        };
        self.fold.report(&run, classes)
    }

    fn finish(mut self, image: &Image) -> Result<Traced, TraceError> {
        let wall = self.began.elapsed();
        let status = self.guest.ended()?;
        let take = |thread: Option<JoinHandle<Vec<u8>>>| {
            thread
                .and_then(|thread| thread.join().ok())
                .unwrap_or_default()
        };
        let serial = take(self.guest.serial.take());
        let said = take(self.guest.complaints.take());
        let report = self.report(MOST_CLASSES);
        if self.fold.events == 0 && !self.cancelled {
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            return Err(TraceError::Refused {
                status: status.map_or_else(|| "no status".to_owned(), |status| status.to_string()),
                next: advice(&said),
                said,
            });
        }
        if report.classes.is_empty() && !self.cancelled {
            let text = String::from_utf8_lossy(&serial).into_owned();
            return Err(TraceError::NoCrossing {
                image: image.manifest.name.clone(),
                mode: self.options.mode,
                insns: report.insns,
                last_line: text.lines().last().unwrap_or_default().trim().to_owned(),
            });
        }
        Ok(Traced {
            report,
            serial,
            counts: self.ring.counts(),
            wall,
        })
    }
}

/// The next step for what QEMU says.
fn advice(said: &str) -> &'static str {
    if said.contains("API version") || said.contains("plugin version") {
        "this plugin is written for interface 1: use QEMU 7.2 to 8.2, or '--engine stub'"
    } else if said.contains("plugin") {
        "use a QEMU that is built with plugins, as Debian's is, or '--engine stub'"
    } else {
        "run 'uklscope doctor'"
    }
}
