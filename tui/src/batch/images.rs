//! `uklscope images`: what is built.

use std::io::Write;
use std::path::PathBuf;

use debugger::crossing::Mode;
use debugger::qemu::image::Image;
use debugger::session::store::Store;
use serde::Serialize;

const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document {
    schema: u32,
    store: PathBuf,
    images: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    #[serde(flatten)]
    what: What,
}

#[derive(Serialize)]
#[serde(untagged)]
enum What {
    Usable {
        about: String,
        folder: PathBuf,
        modes: Vec<Mode>,
        default_mode: Mode,
        kernel: String,
        build_id: String,
        /// The one that `uklscope` alone opens.
        last: bool,
    },
    /// It is there, and cannot be read.
    Broken { error: String },
}

/// Prints the images of the store.
///
/// # Errors
/// When there is no place for a store.
pub fn run(json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = Store::open()?;
    list(&store, json, out)
}

fn list(store: &Store, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let last = store.last_image().ok();
    let row = |name: String| {
        let what = match store.image(&name) {
            Ok(image) => usable(&image, last.as_ref() == Some(&name)),
            Err(error) => What::Broken {
                error: error.to_string(),
            },
        };
        Row { name, what }
    };
    let document = Document {
        schema: SCHEMA,
        store: store.images_dir(),
        images: store.images().into_iter().map(row).collect(),
    };
    if json {
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)?;
        return Ok(());
    }
    if document.images.is_empty() {
        writeln!(
            out,
            "no image is built in {}; 'cargo xtask image syscalls' builds one",
            document.store.display()
        )?;
    }
    for row in &document.images {
        match &row.what {
            What::Usable {
                about,
                modes,
                kernel,
                last,
                ..
            } => {
                let mark = if *last { '*' } else { ' ' };
                let modes: Vec<&str> = modes.iter().map(|mode| mode.name()).collect();
                writeln!(out, "{mark} {:<12} {about}", row.name)?;
                writeln!(out, "    {}; kernel {kernel}", modes.join(", "))?;
            }
            What::Broken { error } => writeln!(out, "! {:<12} {error}", row.name)?,
        }
    }
    Ok(())
}

fn usable(image: &Image, last: bool) -> What {
    let manifest = &image.manifest;
    What::Usable {
        about: manifest.about.clone(),
        folder: image.folder.clone(),
        modes: manifest.modes.clone(),
        default_mode: manifest.default_mode,
        kernel: manifest.versions.kernel.clone(),
        build_id: manifest.build_id.clone(),
        last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(store: &Store, json: bool) -> String {
        let mut out = Vec::new();
        list(store, json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_empty_store_says_how_to_fill_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        assert!(listed(&store, false).contains("cargo xtask image"));
        let document: serde_json::Value = serde_json::from_str(&listed(&store, true)).unwrap();
        assert_eq!(document["images"], serde_json::json!([]));
    }

    #[test]
    fn a_damaged_image_is_listed_with_its_error() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("images/half");
        std::fs::create_dir_all(&image).unwrap();
        std::fs::write(image.join("image.toml"), "schema = 1").unwrap();
        let text = listed(&Store::at(folder.path()), false);
        assert!(text.starts_with("! half"), "{text}");
    }
}
