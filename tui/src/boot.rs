//! From the command line's words to what a session is opened on; shared by all that boot.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use debugger::crossing::Mode;
use debugger::qemu::image::{Files, Image, Manifest, SCHEMA, Versions};
use debugger::session::{BootOptions, StopAt, store};

use crate::args::{Accel, Boot};

/// Enough for a distribution's kernel with a small initrd.
const FOREIGN_MEMORY_MIB: u32 = 1024;

impl Boot {
    /// The image of that name or folder; without one, the files that stand for an image.
    ///
    /// # Errors
    /// When there is no such image, or a file is not given.
    pub fn image(&self, name: Option<&str>) -> anyhow::Result<Image> {
        match (name, &self.kernel) {
            (Some(name), None) => Ok(store::image(name)?),
            (Some(name), Some(kernel)) => bail!(
                "opening {name}: --kernel {} stands for an image of its own; give one of the two",
                kernel.display()
            ),
            (None, Some(kernel)) => self.foreign(kernel),
            (None, None) => bail!("opening an image: none is named; 'uklscope images' lists them"),
        }
    }

    /// Where to stop: a kernel of someone else's may have no application linked in.
    #[must_use]
    pub fn options(&self) -> BootOptions {
        let mut append: Vec<&str> = self.append.as_deref().into_iter().collect();
        append.extend(self.app_args.iter().map(String::as_str));
        BootOptions {
            mode: self.mode,
            calls: None,
            smp: self.smp,
            accelerator: match self.accel {
                Accel::Tcg => "tcg".to_owned(),
                Accel::Kvm => "kvm".to_owned(),
            },
            append: (!append.is_empty()).then(|| append.join(" ")),
            stop_at: if self.kernel.is_some() {
                StopAt::Kernel
            } else {
                StopAt::Main
            },
            force: self.force,
        }
    }

    fn foreign(&self, kernel: &Path) -> anyhow::Result<Image> {
        let vmlinux = self
            .vmlinux
            .clone()
            .context("booting a kernel of someone else's: no --vmlinux; give its ELF file")?;
        let initrd = self.initrd.clone().context(
            "booting a kernel of someone else's: no --initrd; give what it is to run from",
        )?;
        for file in [kernel, vmlinux.as_path(), initrd.as_path()] {
            if !file.is_file() {
                bail!("opening {}: it is no file; check its path", file.display());
            }
        }
        let name = kernel
            .file_name()
            .map_or("kernel".into(), |name| name.to_string_lossy());
        let unknown = || "unknown".to_owned();
        let manifest = Manifest {
            schema: SCHEMA,
            name: name.into_owned(),
            about: "a kernel given by its files".to_owned(),
            modes: Mode::ALL.to_vec(),
            default_mode: Mode::Ukl,
            append: "console=ttyS0 nokaslr".to_owned(),
            build_id: String::new(),
            memory_mib: FOREIGN_MEMORY_MIB,
            calls_parameter: None,
            shortcuts: std::collections::BTreeMap::new(),
            files: Files {
                kernel: absolute(kernel)?,
                vmlinux: absolute(&vmlinux)?,
                initrd: absolute(&initrd)?,
                twin: PathBuf::new(),
                source: PathBuf::new(),
            },
            versions: Versions {
                kernel: unknown(),
                compiler: unknown(),
                libc: unknown(),
            },
        };
        Ok(Image {
            folder: PathBuf::from("/"),
            manifest,
        })
    }
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("finding {}", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command, RunArgs};

    fn parsed(line: &str) -> RunArgs {
        let words = ["uklscope", "run"].into_iter().chain(line.split(' '));
        match Args::try_parse_from(words).unwrap().command {
            Some(Command::Run(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_options_are_those_of_the_line() {
        let options = parsed("syscalls --mode bypass --smp 2 --append quiet -- n=7")
            .boot
            .options();
        assert_eq!(options.mode, Some(Mode::Bypass));
        assert_eq!(options.smp, 2);
        assert_eq!(options.append.as_deref(), Some("quiet n=7"));
        assert_eq!(options.stop_at, StopAt::Main);
    }

    #[test]
    fn a_kernel_given_by_its_files_needs_all_of_them() {
        let error = |line| parsed(line).boot.image(None).unwrap_err().to_string();
        assert!(error("--kernel /k --vmlinux /v").contains("--initrd"));
        assert!(error("--kernel /k --vmlinux /v --initrd /i").contains("/k"));
        let both = parsed("x --kernel /k --vmlinux /v").boot.image(Some("x"));
        assert!(both.unwrap_err().to_string().contains("one of the two"));
    }
}
