//! Where built things are kept: images, the kernels they are linked from, the last image's name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::qemu::image::{Image, ImageError, MANIFEST};

/// Names the folder of the store, before any default.
pub const HOME_VARIABLE: &str = "UKLSCOPE_HOME";

/// The folder of the store that holds a distribution's kernel: `vmlinuz`, and `initrd.gz` for it.
pub const STOCK: &str = "stock/cloud";

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "looking for the store: none of {HOME_VARIABLE}, XDG_CACHE_HOME and HOME is set; set {HOME_VARIABLE} to a folder that may be written"
    )]
    NoHome,
    #[error(
        "looking for the image '{name}': {images} has {}; {}",
        list(known),
        next_step(name, known)
    )]
    UnknownImage {
        name: String,
        images: PathBuf,
        known: Vec<String>,
    },
    #[error(
        "opening the last image: none was opened yet, {images} has {}; name one, or build one with 'cargo xtask image NAME'",
        list(known)
    )]
    NoLastImage { images: PathBuf, known: Vec<String> },
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("reading {path}: {source}; check its permissions, or build the image again")]
    Read { path: PathBuf, source: io::Error },
    #[error("writing {path}: {source}; check the folder's permissions and the space left")]
    Write { path: PathBuf, source: io::Error },
}

fn list(known: &[String]) -> String {
    if known.is_empty() {
        "no image".to_owned()
    } else {
        known.join(", ")
    }
}

/// What follows the name of an image, by the option that makes such images.
const VARIANTS: [(&str, &str); 3] = [
    ("+debug", "--debug-kernel"),
    ("+voluntary", "--voluntary"),
    ("+probes", "--probes"),
];

fn next_step(name: &str, known: &[String]) -> String {
    let built = VARIANTS.iter().find_map(|(suffix, option)| {
        let demo = name.strip_suffix(suffix)?;
        Some(format!("{demo} {option}"))
    });
    let name = built.as_deref().unwrap_or(name);
    if name.contains('/') {
        "give the folder that holds image.toml".to_owned()
    } else if known.is_empty() {
        format!("build it with 'cargo xtask image {name}'")
    } else {
        format!("name one of these, or build it with 'cargo xtask image {name}'")
    }
}

/// The store on this machine; other folders in tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// `$UKLSCOPE_HOME`, else `$XDG_CACHE_HOME/uklscope`, else `~/.cache/uklscope`.
    ///
    /// # Errors
    /// When none of the three variables is set.
    pub fn open() -> Result<Self, StoreError> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self::from_variables(
            set(HOME_VARIABLE).map(PathBuf::from),
            set("XDG_CACHE_HOME").map(PathBuf::from),
            set("HOME").map(PathBuf::from),
        )
    }

    fn from_variables(
        own: Option<PathBuf>,
        cache: Option<PathBuf>,
        home: Option<PathBuf>,
    ) -> Result<Self, StoreError> {
        own.or_else(|| cache.map(|cache| cache.join("uklscope")))
            .or_else(|| home.map(|home| home.join(".cache/uklscope")))
            .map(Self::at)
            .ok_or(StoreError::NoHome)
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    #[must_use]
    pub fn images_dir(&self) -> PathBuf {
        self.root.join("images")
    }

    /// The image of that name in the store, or the one in that folder (or beside that `image.toml`).
    ///
    /// # Errors
    /// When there is none, or its manifest cannot be read.
    pub fn image(&self, name_or_path: &str) -> Result<Image, StoreError> {
        let path = Path::new(name_or_path);
        if path.file_name().is_some_and(|file| file == MANIFEST) && path.is_file() {
            return open_folder(path.parent().unwrap_or(Path::new(".")));
        }
        let is_path = name_or_path.contains('/') || name_or_path == "." || name_or_path == "..";
        let folder = if is_path {
            path.to_owned()
        } else {
            self.images_dir().join(path)
        };
        if name_or_path.is_empty() || !folder.is_dir() {
            return Err(StoreError::UnknownImage {
                name: name_or_path.to_owned(),
                images: self.images_dir(),
                known: self.images(),
            });
        }
        open_folder(&folder)
    }

    /// The names of the images there are, sorted; a folder without a manifest is none.
    #[must_use]
    pub fn images(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.images_dir())
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().join(MANIFEST).is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// What `image` takes to open the image that was opened last.
    ///
    /// # Errors
    /// When none was.
    pub fn last_image(&self) -> Result<String, StoreError> {
        let name = fs::read_to_string(self.root.join("last-image")).unwrap_or_default();
        if name.trim().is_empty() {
            return Err(StoreError::NoLastImage {
                images: self.images_dir(),
                known: self.images(),
            });
        }
        Ok(name.trim().to_owned())
    }

    /// # Errors
    /// When the store cannot be written.
    pub fn set_last_image(&self, name: &str) -> Result<(), StoreError> {
        let path = self.root.join("last-image");
        fs::create_dir_all(&self.root)
            .and_then(|()| fs::write(&path, format!("{name}\n")))
            .map_err(|source| StoreError::Write { path, source })
    }
}

fn open_folder(folder: &Path) -> Result<Image, StoreError> {
    let path = folder.join(MANIFEST);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Image::from_text(folder, &text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ImageError::NoManifest {
            folder: folder.to_owned(),
        }
        .into()),
        Err(source) => Err(StoreError::Read { path, source }),
    }
}

/// [`Store::root`] of this machine's store.
///
/// # Errors
/// See [`Store::open`].
pub fn root() -> Result<PathBuf, StoreError> {
    Ok(Store::open()?.root)
}

/// [`Store::images_dir`] of this machine's store.
///
/// # Errors
/// See [`Store::open`].
pub fn images_dir() -> Result<PathBuf, StoreError> {
    Ok(Store::open()?.images_dir())
}

/// [`Store::image`] of this machine's store.
///
/// # Errors
/// See [`Store::image`].
pub fn image(name_or_path: &str) -> Result<Image, StoreError> {
    Store::open()?.image(name_or_path)
}

/// [`Store::images`] of this machine's store.
///
/// # Errors
/// See [`Store::open`].
pub fn images() -> Result<Vec<String>, StoreError> {
    Ok(Store::open()?.images())
}

/// [`Store::last_image`] of this machine's store.
///
/// # Errors
/// See [`Store::last_image`].
pub fn last_image() -> Result<String, StoreError> {
    Store::open()?.last_image()
}

/// [`Store::set_last_image`] of this machine's store.
///
/// # Errors
/// See [`Store::set_last_image`].
pub fn set_last_image(name: &str) -> Result<(), StoreError> {
    Store::open()?.set_last_image(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = r#"
schema = 1
name = "hello"
about = "says hello"
modes = ["linux", "ukl"]
default_mode = "ukl"
append = "console=ttyS0"
build_id = "0123"
memory_mib = 256

[files]
kernel = "bzImage"
vmlinux = "vmlinux"
initrd = "initrd"
twin = "hello"
source = "/nowhere"

[versions]
kernel = "6.1"
compiler = "gcc"
libc = "musl"
"#;

    fn store_with_hello() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let hello = store.images_dir().join("hello");
        fs::create_dir_all(&hello).unwrap();
        fs::write(hello.join(MANIFEST), HELLO).unwrap();
        fs::create_dir_all(store.images_dir().join("half-built")).unwrap();
        (folder, store)
    }

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let path = |text: &str| Some(PathBuf::from(text));
        let root = |own, cache, home| Store::from_variables(own, cache, home).unwrap().root;
        assert_eq!(
            root(path("/a"), path("/b"), path("/c")),
            PathBuf::from("/a")
        );
        assert_eq!(
            root(None, path("/b"), path("/c")),
            PathBuf::from("/b/uklscope")
        );
        assert_eq!(
            root(None, None, path("/c")),
            PathBuf::from("/c/.cache/uklscope")
        );
        assert!(Store::from_variables(None, None, None).is_err());
    }

    #[test]
    fn an_image_opens_by_name_folder_and_manifest() {
        let (_folder, store) = store_with_hello();
        let folder = store.images_dir().join("hello");
        let manifest = folder.join(MANIFEST);
        for given in [
            "hello",
            folder.to_str().unwrap(),
            manifest.to_str().unwrap(),
        ] {
            let image = store.image(given).unwrap();
            assert_eq!(image.manifest.name, "hello");
            assert_eq!(image.kernel(), folder.join("bzImage"));
        }
    }

    #[test]
    fn an_unknown_image_is_answered_with_those_there_are() {
        let (_folder, store) = store_with_hello();
        let error = store.image("helo").unwrap_err().to_string();
        assert!(error.contains("has hello;"), "{error}");
        assert!(error.contains("cargo xtask image helo"), "{error}");

        let error = store.image("hello+debug").unwrap_err().to_string();
        let option = "cargo xtask image hello --debug-kernel";
        assert!(error.contains(option), "{error}");

        let error = store.image("half-built").unwrap_err().to_string();
        assert!(error.contains("it has no image.toml"), "{error}");

        let empty = Store::at("/nowhere/at/all");
        let error = empty.image("hello").unwrap_err().to_string();
        assert!(error.contains("has no image"), "{error}");
    }

    #[test]
    fn the_last_image_is_remembered() {
        let (_folder, store) = store_with_hello();
        assert!(matches!(
            store.last_image(),
            Err(StoreError::NoLastImage { .. })
        ));
        store.set_last_image("hello").unwrap();
        assert_eq!(store.last_image().unwrap(), "hello");
    }
}
