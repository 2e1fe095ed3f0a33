//! A plugin for QEMU's TCG that records every entry and return of known functions with an exact
//! instruction count, without a change to the guest.
//!
//! Each vCPU has a clock and a ring. The clock costs one addition per block: by the block's record where it begins with
//! one, else inline where QEMU's interface can add to a vCPU's own number, or where there is but one vCPU; by a callback
//! else. The count at instruction `i` of a block of `n` is `clock - (n - i)`, a constant that travels in the callback's
//! pointer. Where a fault leaves a block, an access to a device or a write into itself, what was not executed of it is
//! taken back ([`fault`], [`left`]). Else nothing is allocated, looked up or disassembled while the guest runs: all is
//! decided when a block is translated.
//!
//! Arguments: `shared=PATH` a mapping made by the debugger (see the crate `wire`); `clock=slow` counts
//! every instruction by an addition of its own; `clock=both` counts so too, and compares the two from each record
//! to the next one; `clock=rounds` counts as `slow`, and each round of an instruction that repeats itself; `clock=time`
//! counts nothing, and stamps records with the host's time.

pub mod choice;
pub mod edges;
pub mod fault;
pub mod first;
pub mod led;
pub mod left;
pub mod mapping;
pub mod memory;
pub mod plan;
pub mod qemu;
pub mod repeats;
pub mod rests;
pub mod ring;
pub mod vcpu;

use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use wire::record::LEFT_OUT;
use wire::{Checks, Header, Kind, Site, State, Word};

use led::{Led, Repeating};
use mapping::Mapping;
use plan::{Frame, Hook, Listed, Sites, What};
use qemu::{Api, Block, Callbacks, Clock, Id, Info, Instruction, OnAccess, OnExecution};
use vcpu::{Ahead, Counted, anew, pack, timed};

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
    checks: &'static Checks,
    sites: &'static [Site],
    counted: Counted,
    /// Each round of an instruction that repeats itself counts, as for QEMU's own `icount`.
    rounds: bool,
    /// Nothing is counted: records are stamped with the host's time.
    timed: bool,
    vcpus: u32,
    led: Led,
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
    let mut counted = Counted::ByBlock;
    let (mut rounds, mut timed) = (false, false);
    for (name, value) in arguments {
        match (name.as_str(), value.as_str()) {
            ("shared", path) => shared = Some(path),
            ("clock", "fast") => counted = Counted::ByBlock,
            ("clock", "slow") => counted = Counted::ByInstruction,
            ("clock", "both") => counted = Counted::Both,
            ("clock", "rounds") => (counted, rounds) = (Counted::ByInstruction, true),
            ("clock", "time") => timed = true,
            _ => {
                return Err(format!(
                    "'{name}={value}' is no argument: shared=PATH, clock=fast|slow|both|rounds|time"
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
    let clocks = Clock::of_all(vcpus).map_err(|error| format!("making the clocks: {error}"))?;
    let only = match clocks {
        [only] => Some(only),
        _ => None,
    };
    let api = Api::find(info.version_current, only, vcpu::COUNT)
        .map_err(|name| format!("this QEMU has no {name}: QEMU 7.2 and later have"))?;
    choice::set_up(&mapping.choice());
    vcpu::set_up(&mapping, clocks, counted);
    fault::set_up(api);
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
        checks: mapping.checks(),
        sites: mapping.sites(),
        counted,
        rounds,
        timed,
        vcpus,
        led: Led::default(),
    };
    PLUGIN
        .set(plugin)
        .map_err(|_| "it is given twice: once is enough".to_owned())
}

extern "C" fn on_vcpu(_id: Id, number: c_uint) {
    // Those of the vCPUs before may have moved; none runs yet.
    let Some(plugin) = PLUGIN.get() else { return };
    for number in 0..=number {
        if let Some(clock) = plugin.api.counters(number) {
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
        let executed = &listed[..n];
        plan::hooks(executed, Sites(self.sites), hooks);
        let in_host = api.in_host(api.instruction(block, 0));
        if executed.first().is_some_and(led::is_in_image) {
            fault::find_memory(in_host);
        }
        if self.timed {
            let certain = |hook: &&Hook| plan::is_certain(&executed[hook.at], hook.what);
            for hook in hooks.iter().filter(certain) {
                let within = Sites(self.sites).is_within(executed[hook.at].address);
                self.plant_timed(api.instruction(block, hook.at), hook.what, within);
            }
            return;
        }
        let repeating = self.repeating(block, executed);
        let again = fault::translated(executed, in_host, repeating);
        let counted = led::counted(n, repeating);
        let by_blocks = self.counted != Counted::ByInstruction;
        let mut by_record = by_blocks && first::counts(executed, hooks);
        if by_blocks && counted > 0 && !by_record {
            api.count_block(block, counted as u64);
        }
        // The image's own code cannot be written to, so no block of it ends in a write into itself.
        if let [only] = executed
            && again
            && (!led::is_in_image(only) || fault::rest(only.address) > 1)
            && plan::goes_on(only)
        {
            let leads = repeating == Repeating::Next;
            if !leads || led::is_access(only) {
                self.plant_alone(api.instruction(block, 0), only.address, leads);
            }
        }
        let mut planted = hooks.iter().peekable();
        for (i, listed) in executed.iter().enumerate() {
            let instruction = api.instruction(block, i);
            if let Repeating::Last { led } = repeating
                && i + 1 == n
            {
                // Before what is recorded there: it sets the clock right.
                let further = led && n == 1;
                self.plant_repeats(instruction, listed.address, led, further);
            }
            while let Some(hook) = planted.next_if(|hook| hook.at == i) {
                let counts = std::mem::take(&mut by_record);
                self.plant_hook(instruction, hook.what, counted - i, counts);
            }
            if self.counted != Counted::ByBlock {
                if repeating == Repeating::Next && i + 1 == n {
                    let behind = listed.address.wrapping_add(listed.size as u64);
                    api.call_at(instruction, anew::on_leads, behind);
                }
                api.count_instruction(instruction);
            }
        }
    }

    /// Where nothing is counted, nothing is to be taken back where a fault was. `within`: no time is told of it.
    fn plant_timed(&self, instruction: Instruction, what: What, within: bool) {
        let api = &self.api;
        match what {
            What::Record { word, .. } | What::Fault { word, .. } | What::Framed { word } => {
                let of_app = matches!(word.kind(), Some(Kind::AppJump | Kind::AppReturn));
                let call: OnExecution = match of_app || within {
                    true => timed::on_record_untimed,
                    false => timed::on_record,
                };
                api.call_at(instruction, call, word.0.into());
            }
            What::LeaveOut => {
                let word = Word::new(Kind::Resume, LEFT_OUT);
                api.call_at(instruction, timed::on_left_out, word.0.into());
            }
            What::StackLoaded => {
                let word = Word::new(Kind::Switch, 0);
                api.call_on_access(instruction, timed::on_stack_loaded, word.0.into());
            }
            What::StackSaved => self.plant_stack_saved(instruction),
            What::Gate { open } => self.plant_gate(instruction, open),
            What::Whole { .. } | What::Pushed | What::Unpushed => {}
        }
    }

    fn plant_stack_saved(&self, instruction: Instruction) {
        self.api
            .call_on_access(instruction, vcpu::on_stack_saved, 0);
    }

    fn plant_gate(&self, instruction: Instruction, open: bool) {
        self.api
            .call_at(instruction, vcpu::on_gate, u64::from(open));
    }

    /// How the block stands to an instruction that repeats itself, where not each of its rounds counts.
    fn repeating(&self, block: Block, executed: &[Listed]) -> Repeating {
        let Some(last) = executed.last().filter(|_| !self.rounds) else {
            return Repeating::None;
        };
        let in_host = self
            .api
            .in_host(self.api.instruction(block, executed.len() - 1));
        let text = |range| fault::text(last.address, in_host, range);
        self.led.translated(executed, text).unwrap_or_else(|_| {
            self.checks.led_elsewhere.fetch_add(1, Ordering::Relaxed);
            Repeating::None
        })
    }

    /// Of a block of one instruction, that is executed again out of a block that was counted, or so by chance. `leads`:
    /// to a repeating instruction, that it counts.
    fn plant_alone(&self, instruction: Instruction, at: u64, leads: bool) {
        let on_access: OnAccess = match leads {
            true => anew::on_access_alone::<true>,
            false => anew::on_access_alone::<false>,
        };
        self.api.call_at(instruction, anew::on_alone, 0);
        self.api.call_on_access(instruction, on_access, at);
    }

    /// `further`: a round, and no first one.
    fn plant_repeats(&self, instruction: Instruction, at: u64, led: bool, further: bool) {
        if led && self.counted == Counted::ByBlock {
            return;
        }
        let call: OnExecution = match further {
            true => anew::on_further_rounds,
            false => anew::on_repeats,
        };
        self.api.call_at(instruction, call, at);
    }

    /// `left`: instructions of the block that are counted, with this one. `counts`: it is a record, and by it they are.
    fn plant_hook(&self, instruction: Instruction, what: What, left: usize, counts: bool) {
        let short = |insns: usize| i16::try_from(insns).unwrap_or(i16::MAX);
        let by_block = short(left);
        let data = |word, ahead| pack(word, ahead, self.counted);
        // What counts each instruction adds after the callbacks, and before the instruction's accesses.
        match what {
            What::Record { word, after } => {
                let ahead = match (counts, after) {
                    (true, _) => Ahead {
                        by_block,
                        by_instruction: -by_block * i16::from(after),
                    },
                    (false, _) => Ahead {
                        by_block: by_block - i16::from(after),
                        by_instruction: -i16::from(after),
                    },
                };
                let call: OnExecution = match (counts, after, self.counted) {
                    (true, false, Counted::Both) => vcpu::on_first_record::<true, false>,
                    (true, false, _) => vcpu::on_first_record::<false, false>,
                    (true, true, Counted::Both) => vcpu::on_first_record::<true, true>,
                    (true, true, _) => vcpu::on_first_record::<false, true>,
                    (false, _, Counted::Both) => vcpu::on_record::<true>,
                    (false, _, _) => vcpu::on_record::<false>,
                };
                self.api.call_at(instruction, call, data(word, ahead));
            }
            What::Whole { word, end } => {
                let ahead = Ahead {
                    by_block,
                    by_instruction: 0,
                };
                let call: OnExecution = match self.counted {
                    Counted::Both => vcpu::on_whole::<true>,
                    Counted::ByBlock | Counted::ByInstruction => vcpu::on_whole::<false>,
                };
                let end = u64::from(end as u16) << 48;
                self.api.call_at(instruction, call, data(word, ahead) | end);
            }
            What::Fault { word, frame } => {
                let by_instruction = 0;
                let ahead = Ahead {
                    by_block,
                    by_instruction,
                };
                let call: OnExecution = match frame {
                    Frame::Plain => vcpu::on_fault::<0>,
                    Frame::ErrorCode => vcpu::on_fault::<1>,
                    Frame::PageFault => vcpu::on_fault::<2>,
                    Frame::Interrupt => vcpu::on_fault::<3>,
                };
                self.api.call_at(instruction, call, data(word, ahead));
            }
            What::Framed { word } => {
                let by_instruction = 0;
                let ahead = Ahead {
                    by_block,
                    by_instruction,
                };
                self.api
                    .call_at(instruction, vcpu::on_framed, data(word, ahead));
            }
            What::Pushed => self.api.call_on_access(instruction, vcpu::on_pushed, 0),
            What::Unpushed => self.api.call_at(instruction, vcpu::on_unpushed, 0),
            What::Gate { open } => self.plant_gate(instruction, open),
            What::LeaveOut => {
                let by_instruction = 0;
                let ahead = Ahead {
                    by_block,
                    by_instruction,
                };
                let word = Word::new(Kind::Resume, LEFT_OUT);
                self.api
                    .call_at(instruction, vcpu::on_left_out, data(word, ahead));
            }
            What::StackSaved => self.plant_stack_saved(instruction),
            What::StackLoaded => {
                let ahead = Ahead {
                    by_block,
                    by_instruction: 1,
                };
                let call: OnAccess = match self.counted {
                    Counted::Both => vcpu::on_stack_loaded::<true>,
                    Counted::ByBlock | Counted::ByInstruction => vcpu::on_stack_loaded::<false>,
                };
                let word = Word::new(Kind::Switch, 0);
                self.api
                    .call_on_access(instruction, call, data(word, ahead));
            }
        }
    }
}
