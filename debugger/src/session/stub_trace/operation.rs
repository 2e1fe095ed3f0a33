//! One operation, stepped through to its last instruction: what the tracer by counts leaves out.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use wire::{Site, SiteFlags};

use super::{PATIENCE, StubTracer, TraceError, TraceOptions, tracer};
use crate::addr::Addr;
use crate::crossing::Mode;
use crate::disasm::Resolved;
use crate::event::Vcpu;
use crate::origin::Origin;
use crate::qemu::image::Image;
use crate::session::process::Qemu;
use crate::session::target::{StopCause, Target, TargetError};
use crate::session::trace_table::site_table;
use crate::trace::fold::Fold;
use crate::trace::report::Class;
use crate::trace::steps::Steps;

/// The operation that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub call: String,
    /// Its class, where one path of several is meant.
    pub id: String,
    /// Of one such operation: what takes far longer is another call.
    pub instructions: u64,
}

/// What one operation has executed.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its path, as a tracer folds it; the count is 1.
    pub class: Class,
    /// The address of each instruction, in the order of execution. A repeated string instruction stands here
    /// once more than it moved something, as it is counted.
    pub executed: Vec<Addr>,
    /// The code of every function that was passed through, as it stood in memory.
    pub functions: Vec<FunctionCode>,
    /// What jumps and calls may lead to: every function's first address, rising.
    pub names: Vec<(Addr, Resolved)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionCode {
    pub name: String,
    pub origin: Origin,
    pub start: Addr,
    pub bytes: Vec<u8>,
}

/// A first instruction in the kernel, and the call's number.
type Entry = (Addr, u64);

/// Entries, as far as it is known what they are.
#[derive(Default)]
struct Entries {
    /// By which the wanted call is made: all of these are stepped through.
    its_own: HashSet<Entry>,
    /// By which another one is.
    others: HashSet<Entry>,
}

/// Without the protocol behind it: `sendmsg` of `sendmsg:tcp`.
fn name(call: &str) -> &str {
    call.split_once(':').map_or(call, |(name, _)| name)
}

/// Steps that a crossing may take in any case.
const SHORT: u64 = 500;

/// Walks after which one of another path is taken, if there was one.
const MOST_TRIES: usize = 200;

/// Boots the image without a plugin and steps through one operation. Where the wanted path is not among
/// the first calls, another one of the same call is given: its class says which.
///
/// # Errors
/// As [`super::trace_by_stub`], and when the run ends without the call.
pub fn step_operation(
    image: &Image,
    options: &TraceOptions,
    wanted: &Wanted,
    cancel: &AtomicBool,
) -> Result<Operation, TraceError> {
    let twin = (options.setup.mode == Mode::Linux).then(|| image.twin());
    let profile = options.profile.as_deref();
    let (table, app) = site_table(&image.vmlinux(), twin.as_deref(), profile)?;
    let qemu = Qemu::start(&options.machine(image))?;
    let endpoint = qemu.gdb().cloned().ok_or(TraceError::NoStub)?;
    let target = Target::connect(&endpoint, PATIENCE)?;
    let mut tracer = tracer(target, (&table, app), options);
    tracer.log = Some(Vec::new());
    tracer.longest = wanted.instructions.saturating_mul(2).saturating_add(SHORT);
    tracer.plant()?;
    let found = tracer.look_for(wanted, cancel)?;
    found.ok_or_else(|| TraceError::NotMade {
        image: image.manifest.name.clone(),
        mode: options.setup.clone(),
        call: wanted.call.clone(),
    })
}

impl StubTracer<'_> {
    fn look_for(
        &mut self,
        wanted: &Wanted,
        cancel: &AtomicBool,
    ) -> Result<Option<Operation>, TargetError> {
        let mut entries = Entries::default();
        let mut other_path = None;
        for _ in 0..MOST_TRIES {
            let Some((vcpu, entry)) = self.next_entry(&entries, cancel)? else {
                break;
            };
            if let Some(log) = &mut self.log {
                log.clear();
            }
            let returned = self.walk(vcpu, entry.0)?;
            let records = self.steps.take();
            if !returned {
                continue;
            }
            let Some(class) = self.fold_one(&records) else {
                continue;
            };
            // A bypass that falls to the full path does not say which call it is.
            let is_known = !class.call.starts_with('(');
            if is_known && name(&class.call) != name(&wanted.call) {
                entries.others.insert(entry);
            }
            if class.call != wanted.call {
                continue;
            }
            entries.its_own.insert(entry);
            let is_wanted = class.id == wanted.id;
            if is_wanted || other_path.is_none() {
                let executed = self.log.clone().unwrap_or_default();
                let functions = self.code_of(&executed)?;
                other_path = Some(Operation {
                    class,
                    executed,
                    functions,
                    names: self.names(),
                });
            }
            if is_wanted {
                break;
            }
        }
        Ok(other_path)
    }

    /// Runs to the next entry that is worth a walk; `None` where the run has ended.
    fn next_entry(
        &mut self,
        entries: &Entries,
        cancel: &AtomicBool,
    ) -> Result<Option<(Vcpu, Entry)>, TargetError> {
        loop {
            self.target.resume()?;
            let stop = loop {
                if cancel.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                match self.target.wait(super::LOOK) {
                    Ok(Some(stop)) => break stop,
                    Ok(None) => {}
                    // The guest has powered off.
                    Err(
                        TargetError::Ended { .. }
                        | TargetError::Link(_)
                        | TargetError::LinkWhile { .. },
                    ) => return Ok(None),
                    Err(error) => return Err(error),
                }
            };
            if matches!(stop.cause, StopCause::Exited(_) | StopCause::Killed(_)) {
                return Ok(None);
            }
            let Some(entry) = self.entered(stop.vcpu)? else {
                continue;
            };
            let seen = self.seen.entry(entry).or_default();
            *seen += 1;
            let is_new = *seen <= super::STEPPED_FIRST && !entries.others.contains(&entry);
            if is_new || entries.its_own.contains(&entry) {
                return Ok(Some((stop.vcpu, entry)));
            }
        }
    }

    /// The one crossing of these records.
    fn fold_one(&self, records: &[u64]) -> Option<Class> {
        let mut before = Steps::new(self.table);
        before.in_app();
        let mut fold = Fold::new(self.table.functions.clone());
        fold.take(0, 0, &before.take());
        fold.take(0, 0, records);
        let report = fold.report(&self.run(Vec::new()), 1);
        report.classes.into_iter().next()
    }

    fn names(&self) -> Vec<(Addr, Resolved)> {
        let sites = self.table.sites.iter();
        let named = sites.filter(|site| site.flags & SiteFlags::END == 0);
        let name = |site: &Site| {
            let function = self.table.functions.get(site.word().function());
            let resolved = Resolved {
                name: function.name.clone(),
                offset: 0,
                origin: function.origin,
            };
            (Addr(site.address), resolved)
        };
        named.map(name).collect()
    }

    /// The code of each function that one of the addresses lies in, in the order of addresses.
    fn code_of(&mut self, executed: &[Addr]) -> Result<Vec<FunctionCode>, TargetError> {
        let sites = &self.table.sites;
        let at = |addr: &Addr| {
            sites
                .partition_point(|site| site.address <= addr.0)
                .checked_sub(1)
        };
        let passed: BTreeSet<usize> = executed.iter().filter_map(at).collect();
        let mut functions = Vec::new();
        for at in passed {
            let site = sites[at];
            let end = sites.get(at + 1).map_or(site.address, |next| next.address);
            let len = usize::try_from(end - site.address)
                .unwrap_or(0)
                .min(LONGEST_FUNCTION);
            if site.flags & SiteFlags::END != 0 || len == 0 {
                continue;
            }
            let mut bytes = vec![0; len];
            self.target.read(Addr(site.address), &mut bytes)?;
            let function = self.table.functions.get(site.word().function());
            functions.push(FunctionCode {
                name: function.name.clone(),
                origin: function.origin,
                start: Addr(site.address),
                bytes,
            });
        }
        Ok(functions)
    }
}

/// Where the table says more, what follows is no code of the function.
const LONGEST_FUNCTION: usize = 64 << 10;
