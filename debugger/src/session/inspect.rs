//! A vmlinux alone, without a machine: its names, lines, types, code and initial data.

use std::path::{Path, PathBuf};

use super::boot::{Session, index_beside};
use super::engine::{Engine, Sources};
use super::handle::{Handle, Port};
use super::live;
use super::target::Target;
use super::trouble::{Trouble, failure_of};
use crate::event::{Event, Place, Run, Stop, StopReason, TargetInfo, Vcpu};
use crate::symbols::Symbols;

impl Session {
    /// Opens a file. What needs a machine fails, and says so.
    #[must_use]
    pub fn inspect(vmlinux: PathBuf) -> Handle {
        Handle::start(move |port| live::serve(port, |port| inspect(port, &vmlinux)))
    }
}

fn inspect(port: Port, vmlinux: &Path) -> Result<Engine, Trouble> {
    let symbols = Symbols::open(vmlinux, None)
        .map_err(|error| Trouble::from(failure_of(&error.to_string())))?;
    index_beside(&symbols);
    let target = Target::of_file(symbols.contents())?;
    let info = TargetInfo {
        name: vmlinux.display().to_string(),
        mode: None,
        accelerator: "none".to_owned(),
        vcpus: 0,
        lacks: symbols.lacks(),
        found: Vec::new(),
    };
    let sources = Sources { kernel: None };
    let engine = Engine::new(port, target, None, Some(symbols), info, sources);
    engine.announce();
    engine.port.send(Event::Run(Run::Stopped(Stop::new(
        StopReason::Attached,
        Vcpu(0),
        Place::default(),
    ))));
    Ok(engine)
}
