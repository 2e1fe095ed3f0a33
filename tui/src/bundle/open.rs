//! `uklscope open FILE.bundle`, `uklscope unpack`: a bundle on another machine.
//!
//! What someone else has made is opened with care: paths in it are set to what is here, and of what the screen
//! kept only what stops and shows is taken up again.

use std::fs::{self, File};
use std::io::{BufReader, Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use debugger::command::{BreakCommand, Command, parse};
use debugger::qemu::image::{Image, MANIFEST as IMAGE};
use debugger::session::replay::{Folder, MANIFEST as RUN};
use debugger::session::wire::Head;
use debugger::session::{store, trace_file};
use serde_json::json;
use tempfile::TempDir;

use super::format::{self, Manifest, NOTES, STATE};
use super::pack::not_packed;
use crate::args::{AttachArgs, Family, OpenArgs, ReplayArgs, ScreenArgs, Wire};
use crate::{batch, open as screens, state};

#[derive(Debug, clap::Args)]
pub struct UnpackArgs {
    /// A file made by 'uklscope bundle'.
    pub file: PathBuf,
    /// The folder to make.
    #[arg(short, long, value_name = "FOLDER")]
    pub output: PathBuf,
}

/// # Errors
/// When it is no bundle, or cannot be unpacked there.
pub fn unpack(args: &UnpackArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let unpacked = Unpacked::new(&args.file, &args.output)?;
    // A recording needs none, and its bundle may name none.
    let names_one = unpacked.manifest.image.is_some();
    let lacks = unpacked.image.as_ref().err().filter(|_| names_one);
    let lacks = lacks.map(ToString::to_string);
    if json {
        let Manifest { image, files, .. } = &unpacked.manifest;
        let document = json!({
            "schema": 1, "folder": args.output, "image": image, "files": files, "lacks": lacks,
        });
        return Ok(writeln!(out, "{document}")?);
    }
    for member in &unpacked.manifest.files {
        writeln!(out, "{}", args.output.join(&member.name).display())?;
    }
    if let (Some(about), Some(lacks)) = (&unpacked.manifest.image, lacks) {
        let told = not_packed(about).unwrap_or_default();
        writeln!(out, "{told}\n{lacks}")?;
    }
    Ok(())
}

/// Opens a bundle's view; what was unpacked for it is gone when it is closed.
///
/// # Errors
/// When it is no bundle, what it needs is not here, or there is no terminal.
pub fn open(file: &Path, look: ScreenArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let place = tempfile::tempdir().context("making a folder to unpack to")?;
    let folder = place.path().join("bundle");
    let unpacked = Unpacked::new(file, &folder)?;
    if let Ok(notes) = fs::read_to_string(folder.join(NOTES)) {
        // Seen again when the screen is closed.
        writeln!(out, "{}", plain(&notes))?;
    }
    let made = &unpacked.manifest;
    let paths = |kind: &str| -> Vec<PathBuf> {
        let names = made.within(kind);
        names.map(|name| folder.join(kind).join(name)).collect()
    };
    if !paths("run").is_empty() {
        unpacked
            .image
            .map_err(|error| error.context("opening the recorded run"))?;
        let run = folder.join("run");
        keep_state(&folder, &run)?;
        let family = Family::default();
        return screens::replay(
            &ReplayArgs {
                target: run,
                family,
            },
            look,
        );
    }
    let recordings = paths("recordings");
    if let Some(path) = recordings.iter().find(|path| has_states(path)) {
        keep_state(&folder, path)?;
        return screens::states(path, unpacked.image.ok(), look);
    }
    if !recordings.is_empty() {
        let import = batch::stacks::Import::default();
        let args = OpenArgs {
            files: recordings,
            import,
        };
        return screens::open(&args, look);
    }
    let Some(wire) = paths("wire").into_iter().next() else {
        bail!(
            "opening {}: no run, recording or wire log is in it; 'uklscope unpack' gives what is",
            file.display()
        );
    };
    unpacked
        .image
        .map_err(|error| error.context("opening the wire log"))?;
    keep_state(&folder, &wire)?;
    let args = AttachArgs {
        address: wire.display().to_string(),
        vmlinux: None,
        force: false,
        wire: Wire::default(),
    };
    screens::attach(&args, look)
}

/// What of a bundle is opened as a target, and where it was unpacked to.
#[derive(Debug)]
pub struct Bundled {
    pub place: TempDir,
    pub path: PathBuf,
    /// What it is about, where it is here.
    pub image: Option<Image>,
}

/// Unpacks a bundle for a session without a screen.
///
/// # Errors
/// When it is no bundle, or holds nothing with registers and memory.
pub fn target(file: &Path) -> anyhow::Result<Bundled> {
    let place = tempfile::tempdir().context("making a folder to unpack to")?;
    let folder = place.path().join("bundle");
    let Unpacked { manifest, image } = Unpacked::new(file, &folder)?;
    let run = manifest.within("run").next().map(|_| folder.join("run"));
    let recordings = manifest
        .within("recordings")
        .map(|name| folder.join("recordings").join(name));
    let states = recordings.into_iter().find(|path| has_states(path));
    let wire = manifest.within("wire").next();
    let wire = wire.map(|name| folder.join("wire").join(name));
    let needs_image = states.is_none();
    let Some(path) = run.or(states).or(wire) else {
        bail!(
            "opening {}: nothing in it has registers and memory; 'uklscope open' shows what is in it",
            file.display()
        );
    };
    let image = match image {
        Err(error) if needs_image => {
            return Err(error.context(format!("opening {}", file.display())));
        }
        image => image.ok(),
    };
    Ok(Bundled { place, path, image })
}

fn has_states(recording: &Path) -> bool {
    trace_file::open(recording).is_ok_and(|stored| stored.has_states())
}

struct Unpacked {
    manifest: Manifest,
    /// What it is about: packed, or built here and the same.
    image: anyhow::Result<Image>,
}

impl Unpacked {
    fn new(file: &Path, folder: &Path) -> anyhow::Result<Self> {
        let opened = File::open(file).with_context(|| format!("opening {}", file.display()))?;
        let manifest = format::unpack(BufReader::new(opened), folder)
            .with_context(|| format!("opening {}", file.display()))?;
        let image = image(&manifest, folder);
        if let Ok(image) = &image
            && let Err(error) = settle(&manifest, folder, image)
        {
            // As with one that is damaged, nothing of it stays.
            let _ = fs::remove_dir_all(folder);
            return Err(error);
        }
        Ok(Self { manifest, image })
    }
}

/// Sets the paths in what was unpacked to what is here.
fn settle(manifest: &Manifest, folder: &Path, image: &Image) -> anyhow::Result<()> {
    if manifest.within("run").next().is_some() {
        set_image(&folder.join("run"), image)?;
    }
    for name in manifest.within("wire") {
        set_head(&folder.join("wire").join(name), image)?;
    }
    Ok(())
}

/// # Errors
/// When it is neither packed nor built here, or another was built here.
fn image(manifest: &Manifest, folder: &Path) -> anyhow::Result<Image> {
    let about = manifest.image.as_ref().ok_or_else(|| {
        anyhow!("looking for the image: the bundle names none; pack it again with --image NAME")
    })?;
    let image = match about.packed {
        true => {
            let packed = folder.join("image");
            let text = fs::read_to_string(packed.join(IMAGE))
                .context("reading the packed image: it has no manifest; pack it again")?;
            let packed = std::path::absolute(&packed)?;
            let image = Image::from_text(&packed, &text)?;
            let files = &image.manifest.files;
            for file in [&files.kernel, &files.vmlinux, &files.initrd, &files.twin] {
                if file.components().count() != 1 || file.has_root() {
                    bail!("reading the packed image: it names {}, which is not in it; it was not made by uklscope", file.display());
                }
            }
            image
        }
        false => store::image(&about.name).map_err(|error| {
            anyhow!(
                "looking for the image {}, which is not packed: {error}; or have it packed with --with-image",
                about.name
            )
        })?,
    };
    let here = &image.manifest.build_id;
    if *here != about.build_id {
        bail!(
            "looking for the image {}: the bundle is about build-id {}, the one here has {here}; have it packed with --with-image",
            about.name,
            about.build_id
        );
    }
    Ok(image)
}

/// A recorded run says where its image lies, which is another place here.
fn set_image(run: &Path, image: &Image) -> anyhow::Result<()> {
    let (_, mut manifest) = Folder::open(run)?;
    if manifest.build_id != image.manifest.build_id {
        bail!(
            "opening the recorded run: it is of build-id {}, the image has {}; pack it again",
            manifest.build_id,
            image.manifest.build_id
        );
    }
    manifest.image.clone_from(&image.folder);
    let path = run.join(RUN);
    let text = toml::to_string(&manifest).context("writing where the image lies")?;
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    alone(&run.join("snapshots.qcow2"))
}

/// A file of snapshots may name others, which QEMU would open: the one that we make names none.
///
/// The header of qcow2: bytes 0-3 `QFI\xfb`, 8-15 where the name of a backing file stands, 72-79 features of
/// which bit 2 is a data file of its own (docs/interop/qcow2.txt).
fn alone(path: &Path) -> anyhow::Result<()> {
    const DATA_FILE: u8 = 1 << 2;
    let mut head = [0; 80];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.with_context(|| format!("reading {}", path.display()))?;
    let is_qcow2 = head.starts_with(b"QFI\xfb");
    let has_backing = head[8..16].iter().any(|byte| *byte != 0);
    if !is_qcow2 || has_backing || head[79] & DATA_FILE != 0 {
        bail!(
            "opening the recorded run: its snapshots are no file of their own; it was not made by uklscope"
        );
    }
    Ok(())
}

/// A wire log begins with where the kernel's files lie, which is another place here.
fn set_head(wire: &Path, image: &Image) -> anyhow::Result<()> {
    let failed = || format!("reading the wire log {}", wire.display());
    let text = fs::read_to_string(wire).with_context(failed)?;
    let Some(mut head) = Head::read(&text) else {
        bail!("{}: it is none; pack it again", failed());
    };
    let place = |path: PathBuf| Some(path.display().to_string());
    head.vmlinux = head.vmlinux.and(place(image.vmlinux()));
    head.twin = head.twin.and(place(image.twin()));
    head.source = head.source.and(place(image.manifest.files.source.clone()));
    let rest = text
        .split_inclusive('\n')
        .skip_while(|line| line.starts_with("# "));
    let text = head.text() + &rest.collect::<String>();
    fs::write(wire, text).with_context(|| format!("writing {}", wire.display()))
}

/// Breakpoints and layout, as the sender's screen had them, for the one that is opened by this name.
fn keep_state(folder: &Path, opened: &Path) -> anyhow::Result<()> {
    let Ok(text) = fs::read_to_string(folder.join(STATE)) else {
        return Ok(());
    };
    let mut saved: state::Saved =
        serde_json::from_str(&text).context("reading what the sender's screen kept")?;
    saved.breakpoints.retain(|line| is_harmless(line));
    saved.watches.retain(|line| is_harmless(line));
    let name = opened.display().to_string();
    let file = state::File::of(&name);
    file.map_or(Ok(()), |mut file| file.write(&saved))
        .map_err(|trouble| anyhow!(trouble))
}

/// It stops or shows, and lets nothing else be carried out.
fn is_harmless(line: &str) -> bool {
    matches!(
        parse(line),
        Ok(Command::Break { .. }
            | Command::Watch { .. }
            | Command::Display { .. }
            | Command::Breaks(
                BreakCommand::Log { .. }
                    | BreakCommand::Pattern(_)
                    | BreakCommand::Ignore { .. }
                    | BreakCommand::Enable { .. }
            ))
    )
}

/// Someone else's text for a terminal: without what a terminal would carry out.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}
