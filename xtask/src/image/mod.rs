//! `cargo xtask image NAME`: a demo's program, the C library and the kernel as a bootable image in the store.
//!
//! Each part is built once per key, which is a hash of all that it depends on; the kernel's tree keeps its objects, so a
//! changed demo costs a link. Nothing counts as built before its last step: a stamp or a rename.

mod application;
mod apt;
mod busybox;
mod command;
mod cpio;
mod cplusplus;
mod demo;
mod initramfs;
mod kept;
mod kernel;
mod libc;
mod patches;
mod places;
mod programs;
mod redzone;
mod sources;
mod stock;
mod variant;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use debugger::qemu::image::{Files, Image, MANIFEST, Manifest, SCHEMA, Versions};
use object::Object;

pub(crate) use self::apt::{program as fetch_package, source as fetch_source_package};
pub(crate) use self::command::{logged, output, remove, tool};
pub(crate) use self::cpio::Archive;
use self::demo::Demo;
use self::places::write_whole;
pub(crate) use self::places::{Key, Store, folder, repository};
use self::programs::Programs;
pub(crate) use self::variant::Variant;
use crate::{packages, progress};

/// Where Debian's package puts the kernel's source.
pub(crate) const LINUX_TARBALL: &str = "/usr/src/linux-source-6.1.tar.xz";

/// Part of every image's key: change it when the code here makes another image of the same inputs.
const RECIPE: &str = "3";

/// `norandmaps`: the same addresses in every boot. `panic=-1`: a panic ends QEMU, which is started with -no-reboot.
/// `no_timer_check`: where the host is busy the emulated timer is late, and the check ends in a panic.
const APPEND: &str = "console=ttyS0 panic=-1 norandmaps no_timer_check";

#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// The demo or test program: a folder of demos/ or kernel/tests/
    name: Option<String>,
    /// Lists the demos and test programs
    #[arg(long)]
    list: bool,
    /// Builds every image
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Fetches Debian's own kernel, which tests attach to
    #[arg(long, conflicts_with_all = ["name", "all"])]
    stock: bool,
    #[command(flatten)]
    options: Options,
}

/// What all that build images take.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// A tree or tarball of the kernel's source, in place of Debian's linux-source-6.1
    #[arg(long, value_name = "TREE|TARBALL")]
    pub(crate) linux_source: Option<PathBuf>,
    /// A tree or tarball of musl's source, in place of Debian's source package
    #[arg(long, value_name = "TREE|TARBALL")]
    pub(crate) musl_source: Option<PathBuf>,
    /// A tree or tarball of a demo's program, in place of the Debian source package of that name
    #[arg(long = "source", value_name = "PACKAGE=TREE|TARBALL", value_parser = given_source)]
    pub(crate) sources: Vec<(String, PathBuf)>,
    #[command(flatten)]
    kernel: variant::Choice,
    /// Builds anew what is there already
    #[arg(long)]
    pub(crate) force: bool,
}

impl Options {
    #[must_use]
    pub(crate) const fn variant(&self) -> Variant {
        self.kernel.variant()
    }

    /// The same for kernels with probes.
    fn with_probes(&self) -> Self {
        Self {
            kernel: variant::Choice::probes(),
            ..self.clone()
        }
    }
}

fn given_source(text: &str) -> Result<(String, PathBuf), String> {
    let (package, path) = text
        .split_once('=')
        .ok_or("give PACKAGE=TREE or PACKAGE=TARBALL, as in redis=redis-7.0.15.tar.gz")?;
    Ok((package.to_owned(), path.into()))
}

/// # Errors
/// When there is no such demo, or a step of the build fails.
#[expect(clippy::print_stdout, reason = "what was asked for")]
pub(crate) fn run(args: &Args) -> Result<()> {
    let demos = demo::all()?;
    if args.list {
        for demo in &demos {
            println!("{:<10} {}", demo.name, demo.spec.about);
        }
        return Ok(());
    }
    if args.stock {
        packages::ensure(&args.options)?;
        return stock();
    }
    let names: Vec<&str> = match (&args.name, args.all) {
        (Some(name), _) => vec![name],
        (None, true) => demos.iter().map(|demo| demo.name.as_str()).collect(),
        (None, false) => {
            bail!("building an image: no name given; 'cargo xtask image --list' lists them")
        }
    };
    packages::ensure(&args.options)?;
    for folder in build_all(&names, &args.options)? {
        println!("{}", folder.display());
    }
    Ok(())
}

/// Builds every image.
///
/// # Errors
/// As [`build_all`].
pub(crate) fn build_every(options: &Options) -> Result<Vec<PathBuf>> {
    let demos = demo::all()?;
    let names: Vec<&str> = demos.iter().map(|demo| demo.name.as_str()).collect();
    build_all(&names, options)
}

/// The image with a kernel that has probes.
///
/// # Errors
/// As [`build_all`].
pub(crate) fn with_probes(name: &str, options: &Options) -> Result<Vec<PathBuf>> {
    build_all(&[name], &options.with_probes())
}

/// Fetches Debian's own kernel, where it is not there yet.
///
/// # Errors
/// When it cannot be fetched or unpacked.
pub(crate) fn stock() -> Result<()> {
    stock::prepare(&Store::open()?)
}

/// One image, built where it is not up to date, as the debugger reads it.
///
/// # Errors
/// As [`build_all`].
pub(crate) fn built(name: &str, options: &Options) -> Result<Image> {
    let folders = build_all(&[name], options)?;
    let folder = folders.first().context("no image was built")?;
    let path = folder.join(MANIFEST);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Image::from_text(folder, &text)?)
}

/// Builds the named images and gives their folders; what is up to date is not touched.
///
/// # Errors
/// When there is no such demo, or a step of the build fails.
pub(crate) fn build_all(names: &[&str], options: &Options) -> Result<Vec<PathBuf>> {
    let demos = names
        .iter()
        .map(|name| demo::find(name))
        .collect::<Result<Vec<_>>>()?;
    let images = Store::open()?.images();
    build_into(&images, &demos, options)
}

/// Images of programs that are no demos of the repository: folders with a `demo.toml`, each named as its image, which
/// is built into `images`.
///
/// # Errors
/// When a `demo.toml` cannot be read, or a step of the build fails.
pub(crate) fn build_foreign(
    folders: &[PathBuf],
    images: &Path,
    options: &Options,
) -> Result<Vec<PathBuf>> {
    let demos = folders.iter().map(|folder| demo::read(folder));
    build_into(images, &demos.collect::<Result<Vec<_>>>()?, options)
}

fn build_into(images: &Path, demos: &[Demo], options: &Options) -> Result<Vec<PathBuf>> {
    let store = Store::open()?;
    let lock = store.lock()?;
    let made = sources::Made::read()?;
    let linux = sources::linux(&made.linux, options.linux_source.as_deref())?;
    let musl = sources::musl(&store, &made.musl, options.musl_source.as_deref())?;
    let variant = options.variant();
    let libc_key = libc::key(&musl)?;
    let parts = format!(
        "{RECIPE} {APPEND} {} {libc_key}",
        kernel::key(&linux, variant)?
    );
    let given = options.sources.iter().cloned().collect();
    let mut force = options.force;
    let mut folders = Vec::new();
    for demo in demos {
        let sources = demo
            .spec
            .build
            .as_ref()
            .map(|build| programs::Sources::find(&store, demo, build, &given, &libc_key));
        let sources = sources.transpose()?;
        let shell = demo.spec.shell.then(|| busybox::package(&store));
        let shell = shell.transpose()?;
        let key = Key::default()
            .text(&parts)
            .text(sources.as_ref().map_or("", |sources| &sources.key))
            .files(shell.as_slice())?
            .files(&demo.inputs()?)?
            .folder(&repository().join("kernel/include"))?
            .folder(&repository().join("kernel/init"))?
            .file(&repository().join("kernel/application.lds"))?
            .files(&cplusplus::inputs(demo))?
            .finish();
        let name = variant.image(&demo.name);
        let image = images.join(&name);
        if force || !up_to_date(&image, &key) {
            progress::say(&format!("Building the image {name}"));
            let libc = libc::prepare(&store, &made.musl, &musl, force)?;
            let kernel = kernel::prepare(&store, &made.linux, &linux, variant, force)?;
            // Once is enough for what the images share.
            force = false;
            let programs = demo.spec.build.as_ref().zip(sources.as_ref());
            let programs = programs.map(|(build, sources)| {
                programs::prepare(&store, demo, build, sources, &libc, options.force)
            });
            build(
                demo,
                programs.transpose()?.as_ref(),
                shell.as_deref(),
                &kernel,
                &libc,
                [&store.part(&name), &image],
                &key,
            )?;
        }
        folders.push(image);
    }
    drop(lock);
    Ok(folders)
}

/// The file that holds the key of a finished image; written last.
const KEY: &str = "key";

fn up_to_date(image: &Path, key: &str) -> bool {
    fs::read_to_string(image.join(KEY)).is_ok_and(|found| found == key)
}

fn build(
    demo: &Demo,
    programs: Option<&Programs>,
    shell: Option<&Path>,
    kernel: &kernel::Kernel,
    libc: &libc::Libc,
    [part, image]: [&Path; 2],
    key: &str,
) -> Result<()> {
    command::remove(part)?;
    folder(part)?;
    let log = part.join("build.log");
    kept::copy(&kept::compiled(demo)?, part)?;
    let site = application::Site {
        folder: part,
        image,
        log: &log,
    };
    let application = application::linked(demo, programs, libc, site)?;
    let twin = part.join("app.linux");
    application::twin(demo, programs, libc, &twin, site)?;
    let others = others(programs, libc, part, &log)?;
    let shell = shell.map(|package| busybox::program(package, part, &log));
    let shell = shell.transpose()?;
    let initrd = initramfs::pack(demo, &twin, &others, shell.as_deref(), libc, site)?;
    let built = kernel.link(&application)?;
    for (from, to) in [(&built.bzimage, "bzImage"), (&built.vmlinux, "vmlinux")] {
        fs::copy(from, part.join(to)).with_context(|| {
            format!("copying {} to {}", from.display(), part.join(to).display())
        })?;
    }
    write_whole(&part.join("initrd.gz"), &initrd)?;
    if let Some(programs) = programs {
        let link = part.join("sources");
        std::os::unix::fs::symlink(programs.sources(), &link)
            .with_context(|| format!("making the link {}", link.display()))?;
    }
    // What was linked is in vmlinux; the objects have served.
    for path in places::entries(part)? {
        if path.extension().is_some_and(|extension| extension == "o") {
            command::remove(&path)?;
        }
    }
    let manifest = manifest(demo, kernel, libc, &part.join("vmlinux"))?;
    write_whole(&part.join(MANIFEST), toml::to_string(&manifest)?.as_bytes())?;
    write_whole(&part.join(KEY), key.as_bytes())?;
    command::remove(image)?;
    fs::rename(part, image)
        .with_context(|| format!("renaming {} to {}", part.display(), image.display()))
}

/// The programs beside the application: kept in the image's `bin/` for the host, and for the guest without DWARF.
fn others(
    programs: Option<&Programs>,
    libc: &libc::Libc,
    part: &Path,
    log: &Path,
) -> Result<Vec<(String, Vec<u8>)>> {
    let bin = part.join("bin");
    let mut others = Vec::new();
    for (name, object) in programs.iter().flat_map(|programs| programs.others()) {
        folder(&bin)?;
        let program = bin.join(name);
        application::executable(&[object], libc, &program, &[application::FAR_TEXT], log)?;
        others.push((
            format!("/bin/{name}"),
            application::stripped(&program, log)?,
        ));
    }
    Ok(others)
}

fn manifest(
    demo: &Demo,
    kernel: &kernel::Kernel,
    libc: &libc::Libc,
    vmlinux: &Path,
) -> Result<Manifest> {
    let append = format!("{APPEND} {}", demo.spec.append);
    Ok(Manifest {
        schema: SCHEMA,
        name: kernel.variant.image(&demo.name),
        about: demo.spec.about.clone(),
        modes: demo.spec.modes.clone(),
        default_mode: demo.spec.default_mode,
        append: append.trim().to_owned(),
        build_id: build_id(vmlinux)?,
        memory_mib: kernel.variant.memory_mib(demo.spec.memory_mib),
        calls_parameter: demo.spec.calls_parameter.clone(),
        ports: demo.spec.ports.clone(),
        shortcuts: demo.spec.shortcuts.clone(),
        request: demo.spec.request.clone(),
        files: Files {
            kernel: "bzImage".into(),
            vmlinux: "vmlinux".into(),
            initrd: "initrd.gz".into(),
            twin: "app.linux".into(),
            source: kernel.tree.clone(),
        },
        versions: Versions {
            kernel: kernel.version.clone(),
            compiler: command::version("gcc")?,
            libc: libc.version.clone(),
        },
    })
}

/// The GNU build-id note of an ELF file, in hexadecimal.
fn build_id(path: &Path) -> Result<String> {
    let what = || format!("reading the build-id of {}", path.display());
    let bytes = fs::read(path).with_context(what)?;
    let file = object::File::parse(bytes.as_slice()).with_context(what)?;
    let id = file.build_id().with_context(what)?.with_context(|| {
        format!(
            "{}: it has none; the linker must be given --build-id",
            what()
        )
    })?;
    Ok(id.iter().map(|byte| format!("{byte:02x}")).collect())
}
