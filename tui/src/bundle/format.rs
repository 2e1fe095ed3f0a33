//! The container: a tar archive in one zstd frame with a checksum. Its first member is the manifest, which names
//! all others in their order.
//!
//! What is read is someone else's: names are of a few known kinds, sizes are those that the manifest tells, and
//! nothing is written outside of the one new folder.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub const MANIFEST: &str = "bundle.toml";
pub const SCHEMA: u32 = 1;

/// Bytes of a manifest.
const LONGEST_MANIFEST: u64 = 1 << 20;

/// Bytes of all that is in it: a run's snapshots and an image are a hundredth of that.
const MOST: u64 = 64 << 30;

/// With its folder it stands in a header of tar, which has room for 100.
const LONGEST_NAME: usize = 80;

/// As zstd's own default; more costs minutes for a few percent.
const LEVEL: i32 = 3;

/// The members there may be: alone, or in one of these folders.
pub const NOTES: &str = "notes.md";
pub const STATE: &str = "state.json";
pub const FOLDERS: &[&str] = &["image", "run", "recordings", "wire"];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub schema: u32,
    /// `uklscope 0.1.0`
    pub made_by: String,
    /// The image that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<About>,
    #[serde(default, rename = "file")]
    pub files: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    pub name: String,
    /// Of its vmlinux, in hexadecimal.
    pub build_id: String,
    pub kernel: String,
    /// Bytes of the files that make up the image, packed or not.
    pub bytes: u64,
    pub packed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub name: String,
    pub bytes: u64,
}

/// With the name that it is packed under.
pub type Named = (String, Content);

/// What is to be packed.
#[derive(Clone, Debug)]
pub enum Content {
    File(PathBuf),
    Text(String),
}

#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("reading the bundle: it is none, or it is damaged ({0}); have it sent again")]
    Damaged(String),
    #[error(
        "reading the bundle: its schema is {0}, this program reads {SCHEMA}; open it with a newer uklscope"
    )]
    OtherSchema(u32),
    #[error(
        "reading the bundle: '{0}' is no name of a member; it was not made by uklscope, and is not unpacked"
    )]
    Name(String),
    #[error("reading the bundle: {0} bytes are more than any has; it is not unpacked")]
    TooLarge(u64),
    #[error("unpacking to {}: it is there already; give another folder, or remove it", .0.display())]
    Exists(PathBuf),
    #[error("{doing} {}: {source}; check the permissions and the space left", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("packing {}: it was {was} bytes long and is {is} now; close what writes it, and pack again", path.display())]
    Changed { path: PathBuf, was: u64, is: u64 },
}

fn damaged(error: impl ToString) -> BundleError {
    BundleError::Damaged(error.to_string())
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BundleError {
    let path = path.to_owned();
    move |source| BundleError::File {
        doing,
        path,
        source,
    }
}

/// `run/events`: one known folder at most, and letters that are no path's.
fn is_name(name: &str) -> bool {
    let is_plain = |part: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "+-_.".contains(c);
        !part.is_empty()
            && part.len() <= LONGEST_NAME
            && !part.starts_with('.')
            && part.chars().all(plain)
    };
    match name.split_once('/') {
        Some((folder, file)) => FOLDERS.contains(&folder) && is_plain(file),
        None => name == NOTES || name == STATE,
    }
}

impl Manifest {
    /// # Errors
    /// When it is none that this program can go by.
    pub fn read(text: &str) -> Result<Self, BundleError> {
        let manifest: Self = toml::from_str(text).map_err(damaged)?;
        if manifest.schema != SCHEMA {
            return Err(BundleError::OtherSchema(manifest.schema));
        }
        let mut names: Vec<&str> = Vec::new();
        for member in &manifest.files {
            if !is_name(&member.name) || names.contains(&member.name.as_str()) {
                return Err(BundleError::Name(member.name.clone()));
            }
            names.push(&member.name);
        }
        let total = manifest.bytes();
        match total <= MOST {
            true => Ok(manifest),
            false => Err(BundleError::TooLarge(total)),
        }
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        let sizes = self.files.iter().map(|member| member.bytes);
        sizes.fold(0, u64::saturating_add)
    }

    /// The members of a folder, by their names within it.
    pub fn within<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> {
        let names = self.files.iter().map(|member| member.name.as_str());
        names.filter_map(move |name| name.strip_prefix(folder)?.strip_prefix('/'))
    }
}

/// Writes a bundle; `about` and the contents make its manifest.
///
/// # Errors
/// When something cannot be read, or it cannot be written.
pub fn pack(
    out: impl Write,
    image: Option<About>,
    contents: &[Named],
) -> Result<Manifest, BundleError> {
    let mut files = Vec::new();
    for (name, content) in contents {
        if !is_name(name) {
            return Err(BundleError::Name(name.clone()));
        }
        let bytes = match content {
            Content::Text(text) => text.len() as u64,
            Content::File(path) => fs::metadata(path).map_err(failed("packing", path))?.len(),
        };
        files.push(Member {
            name: name.clone(),
            bytes,
        });
    }
    let manifest = Manifest {
        schema: SCHEMA,
        made_by: concat!("uklscope ", env!("CARGO_PKG_VERSION")).to_owned(),
        image,
        files,
    };
    let text = toml::to_string(&manifest).map_err(damaged)?;
    let written = |error: io::Error| failed("writing", Path::new("the bundle"))(error);
    let mut frame = zstd::Encoder::new(out, LEVEL).map_err(written)?;
    frame.include_checksum(true).map_err(written)?;
    let mut archive = tar::Builder::new(frame);
    append(&mut archive, MANIFEST, text.len() as u64, text.as_bytes()).map_err(written)?;
    for ((name, content), member) in contents.iter().zip(&manifest.files) {
        match content {
            Content::Text(text) => {
                append(&mut archive, name, member.bytes, text.as_bytes()).map_err(written)?;
            }
            Content::File(path) => {
                let file = File::open(path).map_err(failed("packing", path))?;
                let mut counted = Counted {
                    from: file,
                    count: 0,
                };
                let whole = counted.by_ref().take(member.bytes);
                append(&mut archive, name, member.bytes, whole).map_err(written)?;
                let is = fs::metadata(path).map_err(failed("packing", path))?.len();
                if counted.count != member.bytes || is != member.bytes {
                    return Err(BundleError::Changed {
                        path: path.clone(),
                        was: member.bytes,
                        is,
                    });
                }
            }
        }
    }
    let frame = archive.into_inner().map_err(written)?;
    let mut out = frame.finish().map_err(written)?;
    out.flush().map_err(written)?;
    Ok(manifest)
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    bytes: u64,
    from: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_mtime(0);
    archive.append_data(&mut header, name, from)
}

struct Counted<R> {
    from: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(bytes)?;
        self.count += count as u64;
        Ok(count)
    }
}

/// Unpacks into a folder that is not there yet; nothing of it stays where the bundle is not whole.
///
/// # Errors
/// When it is no bundle, is damaged, or cannot be written.
pub fn unpack(from: impl Read, folder: &Path) -> Result<Manifest, BundleError> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(BundleError::Exists(folder.to_owned()));
        }
        made => made.map_err(failed("making", folder))?,
    }
    let unpacked = read(from, &mut |name, content| {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(failed("making", parent))?;
        let mut file = File::create_new(&path).map_err(failed("unpacking to", &path))?;
        copy(content, &mut file, &path)
    });
    if unpacked.is_err() {
        // The error is what matters.
        let _ = fs::remove_dir_all(folder);
    }
    unpacked
}

/// What cannot be read is the bundle's fault, what cannot be written is not.
fn copy(from: &mut dyn Read, to: &mut File, path: &Path) -> Result<u64, BundleError> {
    let mut bytes = vec![0; 64 << 10];
    let mut total = 0;
    loop {
        let count = from.read(&mut bytes).map_err(damaged)?;
        if count == 0 {
            return Ok(total);
        }
        to.write_all(&bytes[..count])
            .map_err(failed("unpacking to", path))?;
        total += count as u64;
    }
}

/// Reads a bundle; each member's content is given to `take`, which tells how many bytes there were.
///
/// # Errors
/// When it is no bundle or is damaged, or `take` fails.
pub fn read(
    from: impl Read,
    take: &mut dyn FnMut(&str, &mut dyn Read) -> Result<u64, BundleError>,
) -> Result<Manifest, BundleError> {
    let frame = zstd::Decoder::new(from).map_err(damaged)?;
    let mut archive = tar::Archive::new(frame);
    // Long names and other extensions are none of ours, and have sizes of their own.
    let mut members = archive.entries().map_err(damaged)?.raw(true);
    let first = members.next().ok_or_else(|| damaged("it is empty"))?;
    let mut first = first.map_err(damaged)?;
    if name_of(&first)? != MANIFEST || first.size() > LONGEST_MANIFEST {
        return Err(damaged("it does not begin with a manifest"));
    }
    let mut text = String::new();
    first.read_to_string(&mut text).map_err(damaged)?;
    drop(first);
    let manifest = Manifest::read(&text)?;
    for expected in &manifest.files {
        let member = members.next();
        let member = member.ok_or_else(|| damaged(format!("{} is missing", expected.name)))?;
        let mut member = member.map_err(damaged)?;
        let name = name_of(&member)?;
        if name != expected.name
            || member.size() != expected.bytes
            || member.header().entry_type() != tar::EntryType::Regular
        {
            return Err(damaged(format!(
                "'{name}' stands where {} should",
                expected.name
            )));
        }
        let count = take(&name, &mut member)?;
        if count != expected.bytes {
            return Err(damaged(format!("{name} is cut off")));
        }
    }
    match members.next() {
        None => {}
        Some(_) => return Err(damaged("more is in it than its manifest names")),
    }
    // The checksum stands behind the last byte.
    let mut frame = archive.into_inner();
    io::copy(&mut frame, &mut io::sink()).map_err(damaged)?;
    Ok(manifest)
}

fn name_of<R: Read>(member: &tar::Entry<'_, R>) -> Result<String, BundleError> {
    let bytes = member.path_bytes();
    String::from_utf8(bytes.into_owned()).map_err(damaged)
}

#[cfg(test)]
mod tests;
