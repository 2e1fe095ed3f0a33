//! Opening a recording where its machine was kept.

use std::path::{Path, PathBuf};

use super::{Positions, Stub};
use crate::count::{counted, either};
use crate::crossing::Mode;
use crate::event::{Event, StopReason, TargetInfo};
use crate::qemu::image::Image;
use crate::session::attach;
use crate::session::boot::{ANSWER, index_beside};
use crate::session::engine::{Engine, Sources};
use crate::session::handle::Port;
use crate::session::link::Link;
use crate::session::profile_file;
use crate::session::replay::Replay;
use crate::session::target::Target;
use crate::session::trouble::{Trouble, failure_of};
use crate::session::{Handle, Session, live};
use crate::session::{store, trace_file};
use crate::symbols::Symbols;
use crate::trace::recording::Head;

/// What is to go before what the recording and the images that are built tell.
#[derive(Clone, Debug, Default)]
pub struct StatesOptions {
    /// The kernel's ELF file that the recording names by its build-id.
    pub vmlinux: Option<PathBuf>,
    /// The image that it was made of.
    pub image: Option<Image>,
    /// A table of the kernel's family, in place of the one that its symbols choose.
    pub profile: Option<PathBuf>,
}

/// The files that a recording names and does not hold.
#[derive(Debug, Default)]
struct Files {
    vmlinux: Option<PathBuf>,
    /// The ring-3 executable whose symbols hold in the user half.
    twin: Option<PathBuf>,
    /// The kernel's source tree.
    source: Option<PathBuf>,
}

const NO_IMAGE: &str = "the image that was recorded is not here, and no vmlinux was given: no names, no lines, no code";

impl Session {
    /// Opens a recording at the first crossing that the machine was kept at.
    #[must_use]
    pub fn states(recording: PathBuf, options: StatesOptions) -> Handle {
        Handle::start(move |port| live::serve(port, |port| open(port, &recording, &options)))
    }
}

fn open(port: Port, path: &Path, options: &StatesOptions) -> Result<Engine, Trouble> {
    let trouble = |error: &dyn std::fmt::Display| Trouble::from(failure_of(&error.to_string()));
    let stored = trace_file::open(path).map_err(|error| trouble(&error))?;
    for issue in stored.issues() {
        port.send(Event::Notice(format!("{}: {issue}", path.display())));
    }
    let mut runs = stored.runs().iter().filter(|run| run.has_states());
    let mode = runs.find_map(|run| Some(run.report.as_ref()?.mode.mode));
    let files = files(stored.head(), mode, options);
    let symbols = match &files.vmlinux {
        Some(vmlinux) => Some(symbols(vmlinux, &files, stored.head(), options)?),
        None => None,
    };
    let contents = symbols.as_ref().map(Symbols::contents);
    let positions = Positions::open(path, stored, contents)?;
    if positions.damaged > 0 {
        port.send(Event::Notice(format!(
            "{}: {} of states {} damaged and left out",
            path.display(),
            counted(positions.damaged, "block"),
            either(positions.damaged, "is", "are")
        )));
    }
    let end = positions.last() as u64;
    let vcpus = positions.vcpus;
    let target = Target::over(Link::states(Stub::new(positions)), ANSWER)?;
    let lacks = symbols
        .as_ref()
        .map_or_else(|| vec![NO_IMAGE.to_owned()], Symbols::lacks);
    let info = TargetInfo {
        name: path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned(),
        mode,
        accelerator: "none".to_owned(),
        vcpus,
        lacks,
        found: attach::stub_facts(&target),
    };
    let sources = Sources {
        kernel: files.source,
    };
    let mut engine = Engine::new(port, target, None, symbols, info, sources);
    engine.begin_replay(Replay::to(end))?;
    engine.announce();
    engine.course.note = engine.target.passed().map(|passed| passed.to_string());
    engine.stop_here(StopReason::Beginning)?;
    Ok(engine)
}

/// Of the image that was recorded, where it is still as it was then.
fn files(head: &Head, mode: Option<Mode>, options: &StatesOptions) -> Files {
    let known = options.image.clone();
    let image = known.or_else(|| store::image(&head.image).ok());
    let same = image.filter(|image| image.manifest.build_id == head.build_id);
    let of_image = same.map_or_else(Files::default, |image| Files {
        vmlinux: Some(image.vmlinux()),
        twin: (mode == Some(Mode::Linux)).then(|| image.twin()),
        source: Some(image.manifest.files.source.clone()),
    });
    Files {
        vmlinux: options.vmlinux.clone().or(of_image.vmlinux),
        ..of_image
    }
}

/// Those of the kernel that was recorded.
fn symbols(
    vmlinux: &Path,
    files: &Files,
    head: &Head,
    options: &StatesOptions,
) -> Result<Symbols, Trouble> {
    let found = Symbols::open(vmlinux, files.twin.as_deref());
    let mut symbols = found.map_err(|error| Trouble::from(failure_of(&error.to_string())))?;
    index_beside(&symbols);
    let has = symbols.build_id_text().unwrap_or_default();
    if !head.build_id.is_empty() && has != head.build_id {
        return Err(Trouble::new(
            format!("reading {}", vmlinux.display()),
            format!("its build-id is {has}, the recording's {}", head.build_id),
            "name the vmlinux of that kernel with --vmlinux",
        ));
    }
    if let Some(path) = &options.profile {
        symbols = symbols.with_profile(profile_file::read(path)?);
    }
    Ok(symbols)
}
