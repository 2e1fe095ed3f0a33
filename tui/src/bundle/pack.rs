//! `uklscope bundle`: looks at what it is given, and packs it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use debugger::qemu::image::{Image, MANIFEST as IMAGE};
use debugger::session::replay::{Folder, MANIFEST as RUN};
use debugger::session::{store, trace_file};
use debugger::trace::recording::Head;
use serde_json::json;

use super::format::{self, About, Content, Manifest, NOTES, Named, STATE};
use crate::batch::text;
use crate::state;

#[derive(Debug, clap::Args)]
pub struct BundleArgs {
    /// What is packed: folders made by 'uklscope record', recordings of 'uklscope trace', and files of
    /// --record-wire.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The file to make: NAME.bundle.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The image that it is about; that of the recorded run where it is not given.
    #[arg(long)]
    pub image: Option<String>,
    /// Pack the image too, vmlinux and all: it opens where that image was never built.
    #[arg(long)]
    pub with_image: bool,
    /// What is to be known of it: a text in Markdown.
    #[arg(long, value_name = "FILE")]
    pub notes: Option<PathBuf>,
}

/// # Errors
/// When something cannot be read, or the bundle is there already.
pub fn pack(args: &BundleArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    if args.output.exists() {
        bail!(
            "packing {}: it is there already; give another name, or remove it",
            args.output.display()
        );
    }
    let (image, contents) = contents(args)?;
    let about = image
        .as_ref()
        .map(|image| about(image, args.with_image))
        .transpose()?;
    let packed = write(&args.output, about, &contents);
    if packed.is_err() {
        // Half of one is none.
        let _ = fs::remove_file(&args.output);
    }
    let manifest = packed?;
    let bytes = fs::metadata(&args.output)?.len();
    if json {
        let document = json!({
            "schema": 1, "bundle": args.output, "bytes": bytes, "image": manifest.image,
            "files": manifest.files,
        });
        return Ok(writeln!(out, "{document}")?);
    }
    for member in &manifest.files {
        writeln!(out, "{:>12}  {}", text::size(member.bytes), member.name)?;
    }
    writeln!(
        out,
        "{:>12}  {}, in all",
        text::size(bytes),
        args.output.display()
    )?;
    if let Some(line) = manifest.image.as_ref().and_then(not_packed) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn write(path: &Path, about: Option<About>, contents: &[Named]) -> anyhow::Result<Manifest> {
    let file = File::create_new(path).with_context(|| format!("making {}", path.display()))?;
    Ok(format::pack(BufWriter::new(file), about, contents)?)
}

/// What whoever opens it needs besides.
pub(super) fn not_packed(about: &About) -> Option<String> {
    (!about.packed).then(|| {
        format!(
            "not in it: the image {}, {} with its vmlinux (build-id {}); --with-image packs it, and a recording of 'trace' needs none",
            about.name,
            text::size(about.bytes),
            about.build_id
        )
    })
}

/// The image and all members, by name.
fn contents(args: &BundleArgs) -> anyhow::Result<(Option<Image>, Vec<Named>)> {
    let mut contents = Vec::new();
    let (mut of_a_run, mut of_states) = (None, None);
    let mut kept_as = None;
    for path in &args.files {
        let name = plain_name(path)?;
        if path.join(RUN).is_file() {
            if of_a_run.is_some() {
                bail!(
                    "packing {}: a recorded run is in it already; make a bundle of each",
                    path.display()
                );
            }
            let (_, manifest) = Folder::open(path)?;
            of_a_run = Some((manifest.image.display().to_string(), manifest.build_id));
            kept_as = Some(path.display().to_string());
            for entry in sorted(path)? {
                let file = plain_name(&entry)?;
                contents.push((format!("run/{file}"), Content::File(entry)));
            }
        } else if path.extension().is_some_and(|end| end == "wire") {
            kept_as.get_or_insert_with(|| path.display().to_string());
            contents.push((format!("wire/{name}"), Content::File(path.clone())));
        } else {
            let stored = trace_file::open(path)?;
            if stored.has_states() {
                kept_as.get_or_insert_with(|| path.display().to_string());
                of_states = of_states.or_else(|| of_recording(stored.head()));
            }
            contents.push((format!("recordings/{name}"), Content::File(path.clone())));
        }
    }
    let (of_a_run, recorded) = of_a_run.or(of_states).unzip();
    let named = args.image.clone().or(of_a_run);
    let image = named.map(|name| store::image(&name)).transpose()?;
    if let (Some(image), Some(recorded)) = (&image, recorded)
        && image.manifest.build_id != recorded
    {
        bail!(
            "packing the recorded run: it is of build-id {recorded}, the image {} has {} now; record the run again",
            image.manifest.name,
            image.manifest.build_id
        );
    }
    if args.with_image && image.is_none() {
        bail!("packing the image: none is named; give --image NAME");
    }
    if args.files.is_empty() && image.is_none() {
        bail!(
            "packing nothing: no file and no image is named; name a recording, a recorded run, or --image NAME"
        );
    }
    if let Some(image) = &image {
        contents.extend(of_image(image, args.with_image));
        kept_as.get_or_insert_with(|| image.manifest.name.clone());
    }
    if let Some(path) = &args.notes {
        let notes = fs::read_to_string(path)
            .with_context(|| format!("reading the notes {}", path.display()))?;
        contents.push((NOTES.to_owned(), Content::Text(notes)));
    }
    if let Some(kept) = kept_as.and_then(|name| kept_state(&name)) {
        contents.push((STATE.to_owned(), Content::Text(kept)));
    }
    let mut names = BTreeSet::new();
    if let Some((name, _)) = contents
        .iter()
        .find(|(name, _)| !names.insert(name.clone()))
    {
        bail!("packing {name}: two files have this name; rename one");
    }
    Ok((image, contents))
}

/// The image that the machine of a recording ran, with its build-id, where it is here.
fn of_recording(head: &Head) -> Option<(String, String)> {
    let image = store::image(&head.image).ok()?;
    let same = image.manifest.build_id == head.build_id;
    same.then(|| (head.image.clone(), head.build_id.clone()))
}

/// Breakpoints and layout, as the screen has kept them.
fn kept_state(name: &str) -> Option<String> {
    let saved = state::File::of(name)?.read().ok()?;
    let nothing = saved == state::Saved::default();
    serde_json::to_string_pretty(&saved)
        .ok()
        .filter(|_| !nothing)
}

fn of_image(image: &Image, whole: bool) -> Vec<Named> {
    let manifest = (IMAGE.to_owned(), image.folder.join(IMAGE));
    let files = parts(image);
    let packed = std::iter::once(manifest).chain(files.into_iter().filter(|_| whole));
    packed
        .map(|(name, path)| (format!("image/{name}"), Content::File(path)))
        .collect()
}

/// The files that a boot needs, by the names that the manifest gives them.
fn parts(image: &Image) -> Vec<(String, PathBuf)> {
    let files = &image.manifest.files;
    let all = [&files.kernel, &files.vmlinux, &files.initrd, &files.twin];
    let named = all
        .into_iter()
        .map(|file| (file.display().to_string(), image.folder.join(file)));
    named.filter(|(_, path)| path.is_file()).collect()
}

fn about(image: &Image, packed: bool) -> anyhow::Result<About> {
    let mut bytes = 0;
    for (_, path) in parts(image) {
        let found = fs::metadata(&path).with_context(|| format!("reading {}", path.display()))?;
        bytes += found.len();
    }
    Ok(About {
        name: image.manifest.name.clone(),
        build_id: image.manifest.build_id.clone(),
        kernel: image.manifest.versions.kernel.clone(),
        bytes,
        packed,
    })
}

fn sorted(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn plain_name(path: &Path) -> anyhow::Result<String> {
    let name = path.canonicalize().ok();
    let name = name.as_deref().unwrap_or(path).file_name();
    let name = name.with_context(|| format!("packing {}: it has no name", path.display()))?;
    Ok(name.to_string_lossy().into_owned())
}
