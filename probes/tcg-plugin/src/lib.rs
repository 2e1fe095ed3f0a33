//! A plugin for QEMU's TCG that records every entry and return of known functions with an exact
//! instruction count, without a change to the guest.
//!
//! Each vCPU has a clock and a ring. The clock costs one addition per block: inline where QEMU's interface
//! can add to a vCPU's own number, or where there is but one vCPU; by a callback else. The count at
//! instruction `i` of a block of `n` is `clock - (n - i)`, a constant that travels in the callback's
//! pointer. Nothing is allocated, looked up or disassembled while the guest runs: all is decided when a
//! block is translated.
//!
//! Arguments: `shared=PATH` a mapping made by the debugger (see the crate `wire`); `clock=slow` counts
//! every instruction by an addition of its own, to check the fast clock against.

pub mod mapping;
pub mod plan;
pub mod qemu;
pub mod ring;
pub mod vcpu;

use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use wire::{Header, Kind, Site, State, Word};

use mapping::Mapping;
use plan::{Hook, Listed, Sites, What};
use qemu::{Api, Block, Callbacks, Id, Info};
use vcpu::{Clock, pack};

/// Read by QEMU before it calls anything: the version of the interface that this plugin was written for.
/// QEMU 9.0 and later take no 1, earlier ones nothing else.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: AtomicI32 = AtomicI32::new(1);

/// Run by the loader, before QEMU looks at anything in here.
#[used]
#[unsafe(link_section = ".init_array")]
static SET_VERSION: extern "C" fn() = set_version;

extern "C" fn set_version() {
    qemu_plugin_version.store(qemu::version(), Ordering::Relaxed);
}

/// What the translation of a block uses, on whichever vCPU's thread.
struct Plugin {
    api: Api,
    header: &'static Header,
    sites: &'static [Site],
    slow: bool,
    vcpus: u32,
}

static PLUGIN: OnceLock<Plugin> = OnceLock::new();

/// Kept from block to block; vCPUs translate at the same time.
#[derive(Default)]
struct Workspace {
    listed: Vec<Listed>,
    hooks: Vec<Hook>,
}

thread_local! {
    static WORKSPACE: RefCell<Workspace> = RefCell::default();
}

/// QEMU's entry point.
///
/// # Safety
/// Called by QEMU, with its own structures.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: Id,
    info: *const Info,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: QEMU passes its arguments and information, valid during the call.
    let (arguments, info) = unsafe { (qemu::arguments(argc, argv), &*info) };
    match install(id, info, &arguments) {
        Ok(()) => 0,
        Err(why) => {
            report(&why);
            1
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the only way a plugin that cannot start can say why"
)]
fn report(why: &str) {
    eprintln!("uklscope's plugin: {why}");
}

fn install(id: Id, info: &Info, arguments: &[(String, String)]) -> Result<(), String> {
    let mut shared = None;
    let mut slow = false;
    for (name, value) in arguments {
        match (name.as_str(), value.as_str()) {
            ("shared", path) => shared = Some(path),
            ("clock", "slow") => slow = true,
            ("clock", "fast") => slow = false,
            _ => {
                return Err(format!(
                    "'{name}={value}' is no argument: shared=PATH, clock=fast|slow"
                ));
            }
        }
    }
    let path =
        shared.ok_or("shared=PATH is missing: uklscope gives it, start it by 'uklscope trace'")?;
    if !info.system_emulation {
        return Err("this QEMU runs a program, not a machine: use qemu-system-x86_64".to_owned());
    }
    let mapping = Mapping::open(path)?;
    let vcpus = mapping.vcpus();
    let most = info.max_vcpus.max(info.smp_vcpus);
    if u32::try_from(most).is_ok_and(|most| most > vcpus) {
        return Err(format!(
            "the machine may have {most} vCPUs, {path} has rings for {vcpus}: start it by 'uklscope trace --smp {most}'"
        ));
    }
    let clocks: &'static [Clock] = (0..vcpus)
        .map(|_| Clock::default())
        .collect::<Vec<_>>()
        .leak();
    let only = match clocks {
        [only] => Some(&only.0),
        _ => None,
    };
    let api = Api::find(info.version_current, only, vcpu::on_count)
        .map_err(|name| format!("this QEMU has no {name}: QEMU 7.2 and later have"))?;
    vcpu::set_up(&mapping, clocks);
    api.register(
        id,
        &Callbacks {
            on_vcpu,
            on_block,
            on_idle,
            on_exit,
        },
    );
    let header = mapping.header();
    header.state.store(State::Running as u32, Ordering::Release);
    let plugin = Plugin {
        api,
        header,
        sites: mapping.sites(),
        slow,
        vcpus,
    };
    PLUGIN
        .set(plugin)
        .map_err(|_| "it is given twice: once is enough".to_owned())
}

extern "C" fn on_vcpu(_id: Id, number: c_uint) {
    // Those of the vCPUs before may have moved; none runs yet.
    let Some(plugin) = PLUGIN.get() else { return };
    for number in 0..=number {
        if let Some(clock) = plugin.api.counter(number) {
            vcpu::count_at(number, clock);
        }
    }
}

extern "C" fn on_idle(_id: Id, number: c_uint) {
    vcpu::rest(number);
}

extern "C" fn on_exit(_id: Id, _data: *mut c_void) {
    let Some(plugin) = PLUGIN.get() else { return };
    let insns = vcpu::finish(plugin.vcpus);
    plugin.header.insns.store(insns, Ordering::Relaxed);
    plugin
        .header
        .state
        .store(State::Finished as u32, Ordering::Release);
}

extern "C" fn on_block(_id: Id, block: Block) {
    let Some(plugin) = PLUGIN.get() else { return };
    WORKSPACE.with_borrow_mut(|workspace| plugin.plant(block, workspace));
}

impl Plugin {
    fn plant(&self, block: Block, Workspace { listed, hooks }: &mut Workspace) {
        let api = &self.api;
        listed.clear();
        for i in 0..api.length(block) {
            let instruction = api.instruction(block, i);
            let mut bytes = [0; 16];
            let size = api.bytes(instruction, &mut bytes);
            listed.push(Listed {
                address: api.address(instruction),
                bytes,
                size,
            });
        }
        let n = plan::executed(listed);
        plan::hooks(&listed[..n], Sites(self.sites), hooks);
        if !self.slow {
            api.count_block(block, n as u64);
        }
        let mut planted = hooks.iter().peekable();
        for i in 0..n {
            let instruction = api.instruction(block, i);
            // The slow clock is behind by nothing at an instruction's start: it adds after the callbacks,
            // and before the instruction's accesses.
            let (rest, at_access) = if self.slow {
                (0, 1)
            } else {
                let rest = i16::try_from(n - i).unwrap_or(i16::MAX);
                (rest, rest)
            };
            while let Some(hook) = planted.next_if(|hook| hook.at == i) {
                match hook.what {
                    What::Record { word, after } => {
                        let data = pack(word, rest - i16::from(after));
                        api.call_at(instruction, vcpu::on_record, data);
                    }
                    What::Gate { open } => {
                        api.call_at(instruction, vcpu::on_gate, u64::from(open));
                    }
                    What::StackSaved => {
                        api.call_on_access(instruction, vcpu::on_stack_saved, 0);
                    }
                    What::StackLoaded => {
                        let data = pack(Word::new(Kind::Switch, 0), at_access);
                        api.call_on_access(instruction, vcpu::on_stack_loaded, data);
                    }
                }
            }
            if self.slow {
                api.count_instruction(instruction);
            }
        }
    }
}
