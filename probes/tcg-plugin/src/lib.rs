//! A plugin for QEMU's TCG that records every entry and return of known functions with an exact
//! instruction count, without a change to the guest.
//!
//! The clock costs one inline addition per block; the count at instruction `i` of a block of `n` is
//! `clock - (n - i)`, a constant that travels in the callback's pointer. Nothing is allocated, looked up
//! or disassembled while the guest runs: all is decided when a block is translated.
//!
//! Arguments: `shared=PATH` a mapping made by the debugger (see the crate `wire`); `clock=slow` counts
//! every instruction by an addition of its own, to check the fast clock against.

pub mod plan;
pub mod qemu;
pub mod ring;

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::fs::OpenOptions;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap};
use wire::{Kind, Shape, Site, State, Word};

use plan::{Listed, Sites, What};
use qemu::{Api, Block, Id, Info};
use ring::Ring;

/// Read by QEMU before it calls anything: the interface this plugin was written for.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = 1;

/// Counts executed instructions: QEMU's generated code adds to it.
static CLOCK: AtomicU64 = AtomicU64::new(0);

/// Everything the callbacks use. One vCPU, so one thread translates and executes.
struct Plugin {
    api: Api,
    ring: Ring,
    sites: &'static [Site],
    slow: bool,
    /// Where the stack pointer of the task being switched from was stored.
    saved_at: u64,
    listed: Vec<Listed>,
    hooks: Vec<plan::Hook>,
}

static mut PLUGIN: *mut Plugin = ptr::null_mut();

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
        Ok(plugin) => {
            // SAFETY: no vCPU runs yet.
            unsafe { PLUGIN = Box::into_raw(Box::new(plugin)) };
            0
        }
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

fn install(id: Id, info: &Info, arguments: &[(String, String)]) -> Result<Plugin, String> {
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
    if info.smp_vcpus != 1 {
        return Err(format!(
            "the exact clock of this interface counts one vCPU, the machine has {}: use -smp 1",
            info.smp_vcpus
        ));
    }
    let api =
        Api::find().map_err(|name| format!("this QEMU has no {name}: QEMU 7.2 to 8.2 has"))?;
    let (mapping, shape) = map(path)?;
    // SAFETY: the table lies inside the mapping, which is checked, never unmapped, and its sites are
    // written before QEMU is started.
    let sites = unsafe {
        std::slice::from_raw_parts(
            mapping
                .add(usize::try_from(shape.sites_offset()).unwrap_or(0))
                .cast::<Site>(),
            usize::try_from(shape.sites).unwrap_or(0),
        )
    };
    if !sites.is_sorted_by_key(|site| site.address) {
        return Err(format!("{path}: the site table is not sorted"));
    }
    api.register(id, on_block, on_idle, on_exit);
    // SAFETY: the mapping begins with a header.
    let header = unsafe { &*mapping.cast::<wire::Header>() };
    header.state.store(State::Running as u32, Ordering::Release);
    Ok(Plugin {
        api,
        // SAFETY: a mapping of that shape, never unmapped.
        ring: unsafe { Ring::new(mapping, shape, 0) },
        sites,
        slow,
        saved_at: 0,
        listed: Vec::new(),
        hooks: Vec::new(),
    })
}

fn map(path: &str) -> Result<(*mut u8, Shape), String> {
    let failed = |what: &str, why: &dyn std::fmt::Display| format!("{what} {path}: {why}");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| failed("opening", &error))?;
    let length = file
        .metadata()
        .map_err(|error| failed("opening", &error))?
        .len();
    let mut head = [0; 64];
    std::io::Read::read_exact(&mut &file, &mut head).map_err(|error| failed("reading", &error))?;
    let shape = Shape::decode(&head, length).map_err(|damage| failed("reading", &damage))?;
    // SAFETY: a new mapping at an address of the kernel's choice. Pre-faulted: no page fault while the
    // guest runs.
    let mapping = unsafe {
        mmap(
            ptr::null_mut(),
            usize::try_from(shape.total_bytes()).map_err(|error| failed("mapping", &error))?,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED | MapFlags::POPULATE,
            &file,
            0,
        )
    }
    .map_err(|error| failed("mapping", &error))?;
    Ok((mapping.cast(), shape))
}

/// The one plugin. Callbacks come from one thread at a time: there is one vCPU.
fn plugin() -> &'static mut Plugin {
    // SAFETY: set before QEMU runs anything, never changed after; no two callbacks run at once.
    unsafe { &mut *PLUGIN }
}

#[inline]
fn clock() -> u64 {
    CLOCK.load(Ordering::Relaxed)
}

/// A word, and how many instructions the clock is ahead of the stamp.
fn pack(word: Word, ahead: i16) -> u64 {
    u64::from(word.0) | u64::from(ahead.cast_unsigned()) << 32
}

/// The stamp and the word of packed data.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "packed fields")]
fn unpack(data: *mut c_void) -> (u64, u32) {
    let packed = data as u64;
    let ahead = i64::from((packed >> 32) as u16 as i16);
    (clock().wrapping_sub(ahead.cast_unsigned()), packed as u32)
}

extern "C" fn on_record(_vcpu: c_uint, data: *mut c_void) {
    let (stamp, word) = unpack(data);
    plugin().ring.push(stamp, word);
}

extern "C" fn on_stack_saved(_vcpu: c_uint, _info: u32, address: u64, _data: *mut c_void) {
    plugin().saved_at = address;
}

extern "C" fn on_stack_loaded(_vcpu: c_uint, _info: u32, address: u64, data: *mut c_void) {
    let (stamp, word) = unpack(data);
    let plugin = plugin();
    plugin
        .ring
        .push_switch(stamp, word, plugin.saved_at, address);
    plugin.saved_at = 0;
}

/// A guest that sleeps should not sit on what it recorded.
extern "C" fn on_idle(_id: Id, _vcpu: c_uint) {
    plugin().ring.flush(clock());
}

extern "C" fn on_exit(_id: Id, _data: *mut c_void) {
    plugin().ring.finish(clock());
}

extern "C" fn on_block(_id: Id, block: Block) {
    let plugin = plugin();
    let api = plugin.api;
    plugin.listed.clear();
    for i in 0..api.length(block) {
        let instruction = api.instruction(block, i);
        let mut bytes = [0; 16];
        let size = api.bytes(instruction, &mut bytes);
        plugin.listed.push(Listed {
            address: api.address(instruction),
            bytes,
            size,
        });
    }
    let n = plan::executed(&plugin.listed);
    plan::hooks(&plugin.listed[..n], Sites(plugin.sites), &mut plugin.hooks);
    if !plugin.slow {
        api.count_block(block, &CLOCK, n as u64);
    }
    let mut planted = plugin.hooks.iter().peekable();
    for i in 0..n {
        let instruction = api.instruction(block, i);
        // The slow clock is behind by nothing at an instruction's start: it adds after the callbacks.
        let rest = if plugin.slow {
            0
        } else {
            i16::try_from(n - i).unwrap_or(i16::MAX)
        };
        while let Some(hook) = planted.next_if(|hook| hook.at == i) {
            match hook.what {
                What::Record { word, after } => {
                    api.call_at(instruction, on_record, pack(word, rest - i16::from(after)));
                }
                What::StackSaved => {
                    api.call_on_access(instruction, on_stack_saved, 0);
                }
                What::StackLoaded => {
                    let data = pack(Word::new(Kind::Switch, 0), rest);
                    api.call_on_access(instruction, on_stack_loaded, data);
                }
            }
        }
        if plugin.slow {
            api.count_instruction(instruction, &CLOCK);
        }
    }
}
