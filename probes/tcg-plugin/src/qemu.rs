//! QEMU's plugin interface, versions 1 (QEMU 7.2) to the current one, as far as this plugin uses it.
//!
//! Looked up in the running QEMU by name rather than linked: so one file serves all versions, it also
//! loads into a test program, and a QEMU that lacks a function is named in an error, not refused by the
//! dynamic linker. Declared here and not taken from a crate: it is some twenty functions, and what
//! changed between versions is three of them:
//!
//! - version 2 (QEMU 9.0) adds to counters of each vCPU, in a scoreboard, in place of one at an address;
//! - version 3 (QEMU 9.1) copies an instruction's bytes, where it used to point to them;
//! - version 2 refuses plugins that say they were written for version 1: [`version`] says what it finds.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem::offset_of;
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// What QEMU calls a plugin by.
pub type Id = u64;

/// A block that is being translated: QEMU's pointer, good during the callback that was given it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct Block(*mut c_void);

/// An instruction of such a block.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct Instruction(*mut c_void);

/// The head of QEMU's `qemu_info_t`.
#[repr(C)]
#[derive(Debug)]
pub struct Info {
    pub target_name: *const c_char,
    pub version_min: c_int,
    pub version_current: c_int,
    pub system_emulation: bool,
    pub smp_vcpus: c_int,
    pub max_vcpus: c_int,
}

pub type OnVcpu = extern "C" fn(Id, c_uint);
pub type OnBlock = extern "C" fn(Id, Block);
pub type OnExit = extern "C" fn(Id, *mut c_void);
pub type OnExecution = extern "C" fn(c_uint, *mut c_void);
/// What QEMU is to call.
#[derive(Clone, Copy, Debug)]
pub struct Callbacks {
    pub on_vcpu: OnVcpu,
    pub on_block: OnBlock,
    pub on_idle: OnVcpu,
    pub on_exit: OnExit,
}

/// What QEMU tells of an access, good during the callback that was given it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct Access(u32);

pub type OnAccess = extern "C" fn(c_uint, Access, u64, *mut c_void);

/// The callback reads no registers.
pub const NO_REGISTERS: c_int = 0;
/// `QEMU_PLUGIN_INLINE_ADD_U64`
const ADD_U64: c_int = 0;
/// The first version that copies an instruction's bytes.
const COPIES: c_int = 3;
/// `QEMU_PLUGIN_MEM_RW`. Asked for reads alone, QEMU 7.2 makes no call in a block where another
/// instruction is asked for writes alone: seen with the two of `__switch_to_asm`.
const READS_AND_WRITES: c_int = 3;

macro_rules! api {
    ($(#[$doc:meta])* $api:ident: $($field:ident: $name:literal => fn($($arg:ty),*) $(-> $result:ty)?;)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        struct $api {
            $($field: unsafe extern "C" fn($($arg),*) $(-> $result)?,)*
        }

        impl $api {
            /// Finds each function; the name of the first that is not there otherwise.
            fn find() -> Result<Self, &'static str> {
                Ok(Self {
                    $($field: {
                        let found = find($name).ok_or($name)?;
                        // SAFETY: QEMU exports a function of this type under this name in every version
                        // that exports it.
                        unsafe {
                            std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($arg),*) $(-> $result)?>(found)
                        }
                    },)*
                })
            }
        }
    };
}

api! {
    /// What all versions have.
    Common:
    on_vcpu: "qemu_plugin_register_vcpu_init_cb" => fn(Id, OnVcpu);
    on_block: "qemu_plugin_register_vcpu_tb_trans_cb" => fn(Id, OnBlock);
    on_idle: "qemu_plugin_register_vcpu_idle_cb" => fn(Id, OnVcpu);
    on_exit: "qemu_plugin_register_atexit_cb" => fn(Id, OnExit, *mut c_void);
    block_length: "qemu_plugin_tb_n_insns" => fn(Block) -> usize;
    block_instruction: "qemu_plugin_tb_get_insn" => fn(Block, usize) -> Instruction;
    on_execution: "qemu_plugin_register_vcpu_insn_exec_cb" => fn(Instruction, OnExecution, c_int, *mut c_void);
    on_block_execution: "qemu_plugin_register_vcpu_tb_exec_cb" => fn(Block, OnExecution, c_int, *mut c_void);
    on_access: "qemu_plugin_register_vcpu_mem_cb" => fn(Instruction, OnAccess, c_int, c_int, *mut c_void);
    address: "qemu_plugin_insn_vaddr" => fn(Instruction) -> u64;
    size: "qemu_plugin_insn_size" => fn(Instruction) -> usize;
    in_host: "qemu_plugin_insn_haddr" => fn(Instruction) -> *const u8;
    accessed: "qemu_plugin_get_hwaddr" => fn(Access, u64) -> *mut c_void;
    is_store: "qemu_plugin_mem_is_store" => fn(Access) -> bool;
    size_shift: "qemu_plugin_mem_size_shift" => fn(Access) -> c_uint;
    physical: "qemu_plugin_hwaddr_phys_addr" => fn(*mut c_void) -> u64;
}

api! {
    /// Version 1: a counter at an address, the same for all vCPUs.
    Shared:
    block_add: "qemu_plugin_register_vcpu_tb_exec_inline" => fn(Block, c_int, *mut c_void, u64);
    instruction_add: "qemu_plugin_register_vcpu_insn_exec_inline" => fn(Instruction, c_int, *mut c_void, u64);
}

api! {
    /// Version 2: a counter of each vCPU.
    PerVcpu:
    new: "qemu_plugin_scoreboard_new" => fn(usize) -> *mut c_void;
    find_vcpu: "qemu_plugin_scoreboard_find" => fn(*mut c_void, c_uint) -> *mut c_void;
    block_add: "qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu" => fn(Block, c_int, Entry, u64);
    instruction_add: "qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu" => fn(Instruction, c_int, Entry, u64);
}

/// `qemu_plugin_u64`: a number in each vCPU's part of a scoreboard.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Entry {
    scoreboard: *mut c_void,
    offset: usize,
}

type PointsToBytes = unsafe extern "C" fn(Instruction) -> *const c_void;
type CopiesBytes = unsafe extern "C" fn(Instruction, *mut c_void, usize) -> usize;

#[derive(Clone, Copy, Debug)]
enum Bytes {
    Points(PointsToBytes),
    Copies(CopiesBytes),
}

/// How a vCPU's instructions are counted: by blocks, and one by one.
#[derive(Clone, Copy, Debug)]
enum Counting {
    /// QEMU's code adds to these, whichever vCPU runs it.
    Inline(Shared, &'static Clock),
    /// A callback adds: nothing inline is a vCPU's own.
    Call(Both<OnExecution>),
    /// QEMU's code adds to the vCPU's part of a scoreboard.
    PerVcpu(PerVcpu, Both<Entry>),
}

/// Something for each of the two ways to count.
#[derive(Clone, Copy, Debug)]
pub struct Both<T> {
    pub blocks: T,
    pub instructions: T,
}

/// A vCPU's instructions executed, counted by blocks and one by one: each as far as it is asked for.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct Clock {
    pub blocks: AtomicU64,
    pub instructions: AtomicU64,
}

/// Where the clocks shall lie: an address of 32 bits is the shortest in the code that adds to them.
const LOW: usize = 256 << 20;

impl Clock {
    /// All at zero, never freed.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn of_all(vcpus: u32) -> Result<&'static [Self], rustix::io::Errno> {
        let vcpus = vcpus as usize;
        // SAFETY: a new mapping, elsewhere where that address is taken; zeros are clocks, whose alignment is less than a
        // page's.
        unsafe {
            let start = mmap_anonymous(
                std::ptr::without_provenance_mut(LOW),
                vcpus.max(1) * size_of::<Self>(),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )?;
            Ok(std::slice::from_raw_parts(start.cast(), vcpus))
        }
    }
}

/// Functions of the QEMU that loaded this plugin.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    common: Common,
    bytes: Bytes,
    counting: Counting,
}

// SAFETY: QEMU's functions and its scoreboard may be used from every thread that QEMU calls us on.
unsafe impl Send for Api {}
// SAFETY: as above.
unsafe impl Sync for Api {}

/// The version of the interface that the QEMU around us has, as far as it matters here.
#[must_use]
pub fn version() -> c_int {
    match find("qemu_plugin_scoreboard_new") {
        Some(_) => 2,
        None => 1,
    }
}

impl Api {
    /// `current`: the version that QEMU says it has. Where it has no counters of each vCPU's own, it adds
    /// to `one`, the clock of the only vCPU; of several, `count` are called to add.
    ///
    /// # Errors
    /// The name of a function that QEMU lacks.
    pub fn find(
        current: c_int,
        one: Option<&'static Clock>,
        count: Both<OnExecution>,
    ) -> Result<Self, &'static str> {
        let data = find("qemu_plugin_insn_data").ok_or("qemu_plugin_insn_data")?;
        // SAFETY: the types that it has before and from that version on.
        let bytes = unsafe {
            if current >= COPIES {
                Bytes::Copies(std::mem::transmute::<*mut c_void, CopiesBytes>(data))
            } else {
                Bytes::Points(std::mem::transmute::<*mut c_void, PointsToBytes>(data))
            }
        };
        let counting = match one {
            _ if version() >= 2 => {
                let api = PerVcpu::find()?;
                // SAFETY: a scoreboard of a clock per vCPU, kept as long as QEMU runs.
                let scoreboard = unsafe { (api.new)(size_of::<Clock>()) };
                let entry = |offset| Entry { scoreboard, offset };
                let both = Both {
                    blocks: entry(offset_of!(Clock, blocks)),
                    instructions: entry(offset_of!(Clock, instructions)),
                };
                Counting::PerVcpu(api, both)
            }
            Some(clock) => Counting::Inline(Shared::find()?, clock),
            None => Counting::Call(count),
        };
        Ok(Self {
            common: Common::find()?,
            bytes,
            counting,
        })
    }

    /// QEMU's own counters of a vCPU that it has told of, where it has them. They may move while another
    /// vCPU is made.
    #[must_use]
    pub fn counters(&self, vcpu: c_uint) -> Option<Both<&'static AtomicU64>> {
        let Counting::PerVcpu(api, both) = self.counting else {
            return None;
        };
        let counter = |entry: Entry| {
            // SAFETY: QEMU has told of that vCPU, whose part of the scoreboard is a clock; its numbers are
            // aligned, and only its thread changes them.
            unsafe {
                let part: *mut u8 = (api.find_vcpu)(entry.scoreboard, vcpu).cast();
                &*part.add(entry.offset).cast::<AtomicU64>()
            }
        };
        Some(Both {
            blocks: counter(both.blocks),
            instructions: counter(both.instructions),
        })
    }
}

unsafe extern "C" {
    /// The C library's, which the standard library is linked with anyway.
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

fn find(name: &str) -> Option<*mut c_void> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: a null handle is RTLD_DEFAULT, and the name ends in a zero.
    let found = unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// The arguments given after the plugin's file name: `name=value`.
///
/// # Safety
/// `argv` holds `argc` strings of C.
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<(String, String)> {
    (0..usize::try_from(argc).unwrap_or(0))
        .map(|i| {
            // SAFETY: as the caller promises.
            let text = unsafe { CStr::from_ptr(*argv.add(i)) }.to_string_lossy();
            match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => (text.into_owned(), String::new()),
            }
        })
        .collect()
}

/// Safe faces over the calls below: a block and its instructions live while QEMU translates it, which is
/// while these are used.
impl Api {
    pub fn register(&self, id: Id, callbacks: &Callbacks) {
        // SAFETY: QEMU keeps the pointers; the functions live as long as the plugin is loaded.
        unsafe {
            (self.common.on_vcpu)(id, callbacks.on_vcpu);
            (self.common.on_block)(id, callbacks.on_block);
            (self.common.on_idle)(id, callbacks.on_idle);
            (self.common.on_exit)(id, callbacks.on_exit, std::ptr::null_mut());
        }
    }

    pub fn length(&self, block: Block) -> usize {
        // SAFETY: QEMU passed the block to the translation callback we are in.
        unsafe { (self.common.block_length)(block) }
    }

    pub fn instruction(&self, block: Block, index: usize) -> Instruction {
        // SAFETY: as above; the callers' index is below the block's length.
        unsafe { (self.common.block_instruction)(block, index) }
    }

    pub fn address(&self, instruction: Instruction) -> u64 {
        // SAFETY: as above.
        unsafe { (self.common.address)(instruction) }
    }

    /// Where it lies in QEMU's own memory; null where it is not in the guest's RAM.
    pub fn in_host(&self, instruction: Instruction) -> *const u8 {
        // SAFETY: as above.
        unsafe { (self.common.in_host)(instruction) }
    }

    /// The physical address of a virtual one, at an access of the vCPU whose thread this is. Only for pages
    /// that the vCPU has just accessed: QEMU looks into its TLB alone.
    pub fn physical(&self, access: Access, address: u64) -> Option<u64> {
        // SAFETY: in a callback that was given the access; the answer is used before the next question.
        unsafe {
            let found = (self.common.accessed)(access, address);
            (!found.is_null()).then(|| (self.common.physical)(found))
        }
    }

    /// How many bytes an access writes; `None` where it reads.
    pub fn written(&self, access: Access) -> Option<u64> {
        // SAFETY: in a callback that was given the access.
        unsafe {
            (self.common.is_store)(access).then(|| 1 << (self.common.size_shift)(access).min(6))
        }
    }

    /// Copies at most 15 bytes, the most an instruction has.
    pub fn bytes(&self, instruction: Instruction, into: &mut [u8; 16]) -> usize {
        // SAFETY: as above.
        let size = unsafe { (self.common.size)(instruction) }.min(15);
        match self.bytes {
            Bytes::Copies(copy) => {
                // SAFETY: as above; `into` is longer.
                unsafe { copy(instruction, into.as_mut_ptr().cast(), size) }.min(size)
            }
            Bytes::Points(point) => {
                // SAFETY: as above.
                let from = unsafe { point(instruction) };
                if from.is_null() {
                    return 0;
                }
                // SAFETY: QEMU keeps `size` bytes of the instruction there, and `into` is longer.
                unsafe {
                    std::ptr::copy_nonoverlapping(from.cast::<u8>(), into.as_mut_ptr(), size);
                }
                size
            }
        }
    }

    /// Counts so many instructions each time the block is begun.
    pub fn count_block(&self, block: Block, by: u64) {
        // SAFETY: the counters outlive the guest; each is added to by its vCPU's thread alone.
        unsafe {
            match self.counting {
                Counting::Inline(api, clock) => {
                    (api.block_add)(block, ADD_U64, clock.blocks.as_ptr().cast(), by);
                }
                Counting::PerVcpu(api, both) => (api.block_add)(block, ADD_U64, both.blocks, by),
                Counting::Call(both) => {
                    let on_block = self.common.on_block_execution;
                    on_block(block, both.blocks, NO_REGISTERS, by as *mut c_void);
                }
            }
        }
    }

    /// Counts one each time the instruction is executed, after the calls asked for so far.
    pub fn count_instruction(&self, instruction: Instruction) {
        // SAFETY: as above.
        unsafe {
            match self.counting {
                Counting::Inline(api, clock) => {
                    let counter = clock.instructions.as_ptr().cast();
                    (api.instruction_add)(instruction, ADD_U64, counter, 1);
                }
                Counting::PerVcpu(api, both) => {
                    (api.instruction_add)(instruction, ADD_U64, both.instructions, 1);
                }
                Counting::Call(both) => self.call_at(instruction, both.instructions, 1),
            }
        }
    }

    pub fn call_at(&self, instruction: Instruction, call: OnExecution, data: u64) {
        // SAFETY: the number is handed back as it is, never followed.
        unsafe { (self.common.on_execution)(instruction, call, NO_REGISTERS, data as *mut c_void) }
    }

    /// For an instruction with one access, whichever it is.
    pub fn call_on_access(&self, instruction: Instruction, call: OnAccess, data: u64) {
        let data = data as *mut c_void;
        // SAFETY: the number is handed back as it is, never followed.
        unsafe { (self.common.on_access)(instruction, call, NO_REGISTERS, READS_AND_WRITES, data) }
    }
}
