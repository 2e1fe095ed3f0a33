//! What a session is to be opened on.

use std::path::PathBuf;

use crate::crossing::Mode;

/// Where a booted image is first handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopAt {
    /// At the kernel's `start_kernel`.
    Kernel,
    /// At the application's `main`.
    #[default]
    Main,
    /// Not at all: it runs.
    Nowhere,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootOptions {
    /// The image's own default when not given.
    pub mode: Option<Mode>,
    /// How many operations the application does, where it can be told.
    pub calls: Option<u64>,
    pub smp: u32,
    /// `tcg` or `kvm`.
    pub accelerator: String,
    /// More for the kernel's command line.
    pub append: Option<String>,
    pub stop_at: StopAt,
    /// The QEMU that is started, in place of the usual one.
    pub qemu: Option<PathBuf>,
    /// Go on though the build-id in the guest is not the vmlinux's.
    pub force: bool,
    /// A table of the kernel's family, in place of the one that its symbols choose.
    pub profile: Option<PathBuf>,
    /// A file for every byte that passes between us and the stub, from where it is first handed over.
    pub record: Option<PathBuf>,
}

impl Default for BootOptions {
    fn default() -> Self {
        Self {
            mode: None,
            calls: None,
            smp: 1,
            accelerator: "tcg".to_owned(),
            append: None,
            stop_at: StopAt::Main,
            qemu: None,
            force: false,
            profile: None,
            record: None,
        }
    }
}

/// Of a recorded run: all else is as it was then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayOptions {
    pub stop_at: StopAt,
    /// A table of the kernel's family, in place of the one that its symbols choose.
    pub profile: Option<PathBuf>,
    /// The QEMU that is started, in place of the usual one.
    pub qemu: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachOptions {
    /// The kernel that runs there, with symbols; without it they come from `debug_files`, or from the
    /// kernel's own memory.
    pub vmlinux: Option<PathBuf>,
    /// The ring-3 executable whose symbols hold in the user half.
    pub twin: Option<PathBuf>,
    /// The kernel's source tree, for source lines.
    pub source: Option<PathBuf>,
    /// Go on though the build-id in the guest is not the vmlinux's.
    pub force: bool,
    /// Where distributions put files with debugging information, for want of a vmlinux.
    pub debug_files: PathBuf,
    /// A table of the kernel's family, in place of the one that its symbols choose.
    pub profile: Option<PathBuf>,
    /// A file for every byte that passes between us and the stub.
    pub record: Option<PathBuf>,
}

impl Default for AttachOptions {
    fn default() -> Self {
        Self {
            vmlinux: None,
            twin: None,
            source: None,
            force: false,
            debug_files: PathBuf::from("/usr/lib/debug"),
            profile: None,
            record: None,
        }
    }
}
