//! Opens what a command line names: an image, a stub's address, or a kernel's files.

use std::ops::{Deref, DerefMut};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use anyhow::{Context, bail};
use debugger::crossing::{Mode, Setup};
use debugger::qemu::image::{Files, Image, Manifest, SCHEMA, Versions};
use debugger::session::replay::MANIFEST;
use debugger::session::target::Endpoint;
use debugger::session::{
    AttachOptions, BootOptions, Handle, ReplayOptions, Session, StatesOptions, StopAt, store,
};
use tempfile::TempDir;

use crate::args::{Accel, Boot, Wire};
use crate::bundle;

/// What a session without a screen is opened on, and where it stands first.
#[derive(Debug, clap::Args)]
pub struct Opened {
    /// An image's name or folder, a stub's address, a recorded run, a recording made by 'trace --state' or by
    /// --record-wire, or a bundle.
    #[arg(required_unless_present = "vmlinux")]
    pub target: Option<String>,
    /// How many operations the application does.
    #[arg(long, value_name = "N")]
    pub calls: Option<u64>,
    /// Where it stands first: at the application's main, or at the kernel's start_kernel.
    #[arg(long, value_enum, default_value_t)]
    pub from: Start,
    /// Copy the guest's serial line to standard error.
    #[arg(long)]
    pub serial: bool,
    #[command(flatten)]
    pub boot: Boot,
    #[command(flatten)]
    pub wire: Wire,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Start {
    #[default]
    Main,
    Kernel,
}

impl Opened {
    /// # Errors
    /// When nothing of that name can be opened.
    pub fn open(&self) -> anyhow::Result<Open> {
        let target = self.target.as_deref();
        let packed = target.map(Path::new).filter(|path| bundle::is_one(path));
        let bundled = packed.map(bundle::target).transpose()?;
        let path = bundled.as_ref().map(|one| one.path.display().to_string());
        let (place, image) = bundled.map(|one| (one.place, one.image)).unzip();
        Ok(Open {
            handle: self.open_one(path.as_deref().or(target), image.flatten())?,
            _place: place,
        })
    }

    /// `image`: of a bundle.
    fn open_one(&self, target: Option<&str>, image: Option<Image>) -> anyhow::Result<Handle> {
        let stop_at = match self.from {
            Start::Main => StopAt::Main,
            Start::Kernel => StopAt::Kernel,
        };
        if let Some(path) = target.map(Path::new).filter(|path| is_recording(path)) {
            return self.states(path, image);
        }
        open(target, &self.boot, &self.wire, self.calls, stop_at)
    }

    /// A recording with the machine at its crossings.
    fn states(&self, path: &Path, image: Option<Image>) -> anyhow::Result<Handle> {
        let boot = &self.boot;
        let of_a_boot = [
            ("--mode", boot.mode.is_some()),
            ("--kernel", boot.kernel.is_some()),
            ("--initrd", boot.initrd.is_some()),
            ("--append", boot.append.is_some()),
            ("--calls", self.calls.is_some()),
            ("--force", boot.force),
            ("--record-wire", self.wire.record_wire.is_some()),
            ("what is for the application", !boot.app_args.is_empty()),
        ];
        refuse(&of_a_boot, "a recording is as it was made")?;
        let options = StatesOptions {
            vmlinux: boot.vmlinux.clone(),
            image,
            profile: self.wire.family.profile.clone(),
        };
        Ok(Session::states(path.to_owned(), options))
    }
}

/// A session, and what was unpacked for it, which is gone with it.
#[derive(Debug)]
pub struct Open {
    // The first to be dropped.
    handle: Handle,
    _place: Option<TempDir>,
}

impl Deref for Open {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl DerefMut for Open {
    fn deref_mut(&mut self) -> &mut Handle {
        &mut self.handle
    }
}

/// A file that is no socket and no log of a stub's bytes.
fn is_recording(path: &Path) -> bool {
    path.is_file() && path.extension().is_none_or(|end| end != "wire")
}

fn open(
    target: Option<&str>,
    boot: &Boot,
    wire: &Wire,
    calls: Option<u64>,
    stop_at: StopAt,
) -> anyhow::Result<Handle> {
    if let Some(endpoint) = target.and_then(endpoint) {
        let of_a_boot = [
            ("--mode", boot.mode.is_some()),
            ("--kernel", boot.kernel.is_some()),
            ("--initrd", boot.initrd.is_some()),
            ("--append", boot.append.is_some()),
            ("--calls", calls.is_some()),
        ];
        refuse(&of_a_boot, "what has a stub runs already")?;
        let options = AttachOptions {
            vmlinux: boot.vmlinux.clone(),
            force: boot.force,
            profile: wire.family.profile.clone(),
            record: wire.record_wire.clone(),
            ..AttachOptions::default()
        };
        return Ok(Session::attach(endpoint, options));
    }
    if let Some(folder) = target
        .map(Path::new)
        .filter(|path| path.join(MANIFEST).is_file())
    {
        let of_a_boot = [
            ("--mode", boot.mode.is_some()),
            ("--kernel", boot.kernel.is_some()),
            ("--vmlinux", boot.vmlinux.is_some()),
            ("--initrd", boot.initrd.is_some()),
            ("--append", boot.append.is_some()),
            ("--calls", calls.is_some()),
            ("--force", boot.force),
            ("--record-wire", wire.record_wire.is_some()),
            ("what is for the application", !boot.app_args.is_empty()),
        ];
        refuse(&of_a_boot, "a recorded run has its own")?;
        let options = ReplayOptions {
            stop_at,
            profile: wire.family.profile.clone(),
            ..ReplayOptions::default()
        };
        return Ok(Session::replay(folder.to_owned(), options));
    }
    if let (None, None, Some(vmlinux)) = (target, &boot.kernel, &boot.vmlinux) {
        return Ok(Session::inspect(vmlinux.clone()));
    }
    let image = image(target, boot)?;
    let mut options = options(boot, calls, stop_at);
    options.profile.clone_from(&wire.family.profile);
    options.record.clone_from(&wire.record_wire);
    Ok(Session::boot(image, options))
}

/// The image of that name or folder; without one, the files that stand for an image.
///
/// # Errors
/// When there is none.
pub(crate) fn image(target: Option<&str>, boot: &Boot) -> anyhow::Result<Image> {
    let Some(target) = target else {
        return of_files(boot);
    };
    let of_files = [
        ("--kernel", boot.kernel.is_some()),
        ("--vmlinux", boot.vmlinux.is_some()),
        ("--initrd", boot.initrd.is_some()),
    ];
    refuse(
        &of_files,
        &format!("{target} stands for an image, which has its own"),
    )?;
    named(target)
}

/// What is given and would not be looked at is not passed over in silence.
fn refuse(options: &[(&str, bool)], why: &str) -> anyhow::Result<()> {
    match options.iter().find(|(_, given)| *given) {
        Some((option, _)) => bail!("reading {option}: {why}; leave {option} out"),
        None => Ok(()),
    }
}

pub(crate) fn options(boot: &Boot, calls: Option<u64>, stop_at: StopAt) -> BootOptions {
    let options = boot.mode.as_ref().and_then(Setup::append);
    let words: Vec<String> = options.into_iter().chain(boot.append.clone()).collect();
    let mut append = words.join(" ");
    if !boot.app_args.is_empty() {
        // The kernel hands what follows `--` to init, as its arguments.
        append.push_str(" -- ");
        append.push_str(&boot.app_args.join(" "));
    }
    BootOptions {
        mode: boot.mode.as_ref().map(|setup| setup.mode),
        calls,
        smp: boot.smp,
        accelerator: match boot.accel {
            Accel::Tcg => "tcg",
            Accel::Kvm => "kvm",
        }
        .to_owned(),
        append: Some(append).filter(|text| !text.is_empty()),
        stop_at,
        force: boot.force,
        ..BootOptions::default()
    }
}

/// `host:port`, `unix:path`, the path of a socket or of a recording; other paths are images.
fn endpoint(target: &str) -> Option<Endpoint> {
    let is_socket = || std::fs::metadata(target).is_ok_and(|found| found.file_type().is_socket());
    let is_address = target.starts_with("unix:")
        || target
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let is_recording = || {
        Path::new(target)
            .extension()
            .is_some_and(|end| end == "wire")
    };
    if is_address || is_socket() || is_recording() {
        target.parse().ok()
    } else {
        None
    }
}

pub(crate) fn named(target: &str) -> anyhow::Result<Image> {
    if Path::new(target).is_file() {
        bail!(
            "opening {target}: it is a file, and an image is a folder; 'uklscope open' shows a recording"
        );
    }
    let image = store::image(target)?;
    // Only a convenience: the last one is what `uklscope` alone opens.
    let last = match std::fs::canonicalize(target) {
        // A folder's path must hold from another folder too.
        Ok(folder) if target.contains('/') => folder.display().to_string(),
        _ => target.to_owned(),
    };
    let _ = store::set_last_image(&last);
    Ok(image)
}

/// An image that someone else built, as far as it is one.
fn of_files(boot: &Boot) -> anyhow::Result<Image> {
    let (Some(kernel), Some(vmlinux)) = (&boot.kernel, &boot.vmlinux) else {
        bail!(
            "opening a target: no image is named; name one, or give --kernel and --vmlinux; 'uklscope images' lists those there are"
        );
    };
    let absolute = |path: &Path| {
        std::path::absolute(path).with_context(|| format!("finding {}", path.display()))
    };
    let kernel = absolute(kernel)?;
    let initrd = boot
        .initrd
        .as_deref()
        .map(absolute)
        .transpose()?
        .unwrap_or_default();
    let vmlinux = absolute(vmlinux)?;
    let folder = vmlinux.parent().map(Path::to_owned).unwrap_or_default();
    let name = kernel
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let unknown = || "unknown".to_owned();
    Ok(Image {
        manifest: Manifest {
            schema: SCHEMA,
            name,
            about: "a kernel someone else built".to_owned(),
            modes: Mode::ALL.to_vec(),
            default_mode: Mode::Ukl,
            append: "console=ttyS0 panic=-1".to_owned(),
            build_id: String::new(),
            memory_mib: 256,
            calls_parameter: Some("n".to_owned()),
            ports: Vec::new(),
            shortcuts: std::collections::BTreeMap::new(),
            request: None,
            files: Files {
                kernel,
                twin: folder.join("app.linux"),
                source: folder.clone(),
                vmlinux,
                initrd,
            },
            versions: Versions {
                kernel: unknown(),
                compiler: unknown(),
                libc: unknown(),
            },
        },
        folder,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_be_looked_at_is_refused() {
        let given = [("--mode", false), ("--kernel", true)];
        let error = refuse(&given, "it runs already").unwrap_err().to_string();
        assert_eq!(
            error,
            "reading --kernel: it runs already; leave --kernel out"
        );
        assert!(refuse(&given[..1], "it runs already").is_ok());
    }

    #[test]
    fn addresses_are_told_from_images() {
        assert!(endpoint("localhost:1234").is_some());
        assert!(endpoint(":1234").is_some());
        assert!(endpoint("unix:/tmp/socket").is_some());
        assert!(endpoint("a/b.wire").is_some());
        assert!(endpoint("syscalls").is_none());
        assert!(endpoint("/no/such/folder").is_none());
    }
}
