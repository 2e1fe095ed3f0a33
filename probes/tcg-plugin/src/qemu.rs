//! QEMU's plugin interface, version 1, as far as this plugin uses it.
//!
//! Looked up in the running QEMU by name rather than linked: the plugin then also loads into a test
//! program, and a QEMU that lacks a function is named in an error, not refused by the dynamic linker.
//! Declared here and not taken from a crate: version 1 is some twenty functions and none of them will
//! change any more.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::atomic::AtomicU64;

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
pub type OnAccess = extern "C" fn(c_uint, u32, u64, *mut c_void);

/// The callback reads no registers.
pub const NO_REGISTERS: c_int = 0;
/// `QEMU_PLUGIN_INLINE_ADD_U64`
const ADD_U64: c_int = 0;
/// `QEMU_PLUGIN_MEM_RW`. Asked for reads alone, QEMU 7.2 makes no call in a block where another
/// instruction is asked for writes alone: seen with the two of `__switch_to_asm`.
const READS_AND_WRITES: c_int = 3;

macro_rules! api {
    ($($field:ident: $name:literal => fn($($arg:ty),*) $(-> $result:ty)?;)*) => {
        /// Functions of the QEMU that loaded this plugin.
        #[derive(Clone, Copy, Debug)]
        pub struct Api {
            $($field: unsafe extern "C" fn($($arg),*) $(-> $result)?,)*
        }

        impl Api {
            /// Finds each function; the name of the first that is not there otherwise.
            pub fn find() -> Result<Self, &'static str> {
                Ok(Self {
                    $($field: {
                        let found = find($name).ok_or($name)?;
                        // SAFETY: QEMU exports a function of this type under this name in every version
                        // that takes plugins of version 1.
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
    on_block: "qemu_plugin_register_vcpu_tb_trans_cb" => fn(Id, OnBlock);
    on_idle: "qemu_plugin_register_vcpu_idle_cb" => fn(Id, OnVcpu);
    on_exit: "qemu_plugin_register_atexit_cb" => fn(Id, OnExit, *mut c_void);
    block_add: "qemu_plugin_register_vcpu_tb_exec_inline" => fn(Block, c_int, *mut c_void, u64);
    block_length: "qemu_plugin_tb_n_insns" => fn(Block) -> usize;
    block_instruction: "qemu_plugin_tb_get_insn" => fn(Block, usize) -> Instruction;
    on_execution: "qemu_plugin_register_vcpu_insn_exec_cb" => fn(Instruction, OnExecution, c_int, *mut c_void);
    instruction_add: "qemu_plugin_register_vcpu_insn_exec_inline" => fn(Instruction, c_int, *mut c_void, u64);
    on_access: "qemu_plugin_register_vcpu_mem_cb" => fn(Instruction, OnAccess, c_int, c_int, *mut c_void);
    address: "qemu_plugin_insn_vaddr" => fn(Instruction) -> u64;
    bytes: "qemu_plugin_insn_data" => fn(Instruction) -> *const c_void;
    size: "qemu_plugin_insn_size" => fn(Instruction) -> usize;
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
    pub fn register(&self, id: Id, on_block: OnBlock, on_idle: OnVcpu, on_exit: OnExit) {
        // SAFETY: QEMU keeps the pointers; the functions live as long as the plugin is loaded.
        unsafe {
            (self.on_block)(id, on_block);
            (self.on_idle)(id, on_idle);
            (self.on_exit)(id, on_exit, std::ptr::null_mut());
        }
    }

    pub fn length(&self, block: Block) -> usize {
        // SAFETY: QEMU passed the block to the translation callback we are in.
        unsafe { (self.block_length)(block) }
    }

    pub fn instruction(&self, block: Block, index: usize) -> Instruction {
        // SAFETY: as above; the callers' index is below the block's length.
        unsafe { (self.block_instruction)(block, index) }
    }

    pub fn address(&self, instruction: Instruction) -> u64 {
        // SAFETY: as above.
        unsafe { (self.address)(instruction) }
    }

    /// Copies at most 15 bytes, the most an instruction has.
    pub fn bytes(&self, instruction: Instruction, into: &mut [u8; 16]) -> usize {
        // SAFETY: as above.
        let size = unsafe { (self.size)(instruction) }.min(15);
        // SAFETY: as above.
        let from = unsafe { (self.bytes)(instruction) };
        if from.is_null() {
            return 0;
        }
        // SAFETY: QEMU keeps `size` bytes of the instruction there, and `into` is longer.
        unsafe { std::ptr::copy_nonoverlapping(from.cast::<u8>(), into.as_mut_ptr(), size) };
        size
    }

    /// Adds to a counter each time the block is begun.
    pub fn count_block(&self, block: Block, counter: &'static AtomicU64, by: u64) {
        // SAFETY: the counter is a static; QEMU's generated code adds to it, on the one vCPU's thread.
        unsafe { (self.block_add)(block, ADD_U64, counter.as_ptr().cast(), by) }
    }

    /// Adds one to a counter each time the instruction is executed.
    pub fn count_instruction(&self, instruction: Instruction, counter: &'static AtomicU64) {
        // SAFETY: the counter is a static; QEMU's generated code adds to it, on the one vCPU's thread.
        unsafe { (self.instruction_add)(instruction, ADD_U64, counter.as_ptr().cast(), 1) }
    }

    pub fn call_at(&self, instruction: Instruction, call: OnExecution, data: u64) {
        // SAFETY: the number is handed back as it is, never followed.
        unsafe { (self.on_execution)(instruction, call, NO_REGISTERS, data as *mut c_void) }
    }

    /// For an instruction with one access, whichever it is.
    pub fn call_on_access(&self, instruction: Instruction, call: OnAccess, data: u64) {
        let data = data as *mut c_void;
        // SAFETY: the number is handed back as it is, never followed.
        unsafe { (self.on_access)(instruction, call, NO_REGISTERS, READS_AND_WRITES, data) }
    }
}
