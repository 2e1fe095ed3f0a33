//! The manifest of a bootable image: `image.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::crossing::{Mode, RequestSpec};

pub const MANIFEST: &str = "image.toml";
pub const SCHEMA: u32 = 1;

/// The guest's address on QEMU's network, set by the kernel: no DHCP, the same in every boot.
const NETWORK: &str = "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off";

/// The contents of `image.toml`; file names are relative to its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub schema: u32,
    pub name: String,
    /// One line: what it shows.
    pub about: String,
    pub modes: Vec<Mode>,
    pub default_mode: Mode,
    /// The kernel's command line, without `ukl.mode=`.
    pub append: String,
    /// The vmlinux's GNU build-id, in hexadecimal.
    pub build_id: String,
    pub memory_mib: u32,
    /// The kernel's command-line parameter that carries `--calls N`, such as `n`; none where the program takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_parameter: Option<String>,
    /// TCP ports that the application listens on, to be reached from the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// The system call that a shortcut stands for, by the shortcut's symbol: `ukl_tcp_sendmsg` for `sendmsg`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shortcuts: BTreeMap<String, String>,
    /// What a request is, where the application is a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestSpec>,
    pub files: Files,
    pub versions: Versions,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    pub kernel: PathBuf,
    pub vmlinux: PathBuf,
    pub initrd: PathBuf,
    /// The same program as a static ring-3 executable, as an ELF file with DWARF: mode linux runs it.
    pub twin: PathBuf,
    /// The kernel's source tree, absolute, for source lines; may be gone.
    pub source: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// `6.1.192 (Debian linux-source-6.1 6.1.192-2)`
    pub kernel: String,
    pub compiler: String,
    pub libc: String,
}

/// A manifest and the folder it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub folder: PathBuf,
    pub manifest: Manifest,
}

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error(
        "opening the image {folder}: it has no {MANIFEST}; build one with 'cargo xtask image NAME'"
    )]
    NoManifest { folder: PathBuf },
    #[error("reading {path}: {found}; build the image again with 'cargo xtask image NAME'")]
    BadManifest { path: PathBuf, found: String },
    #[error(
        "reading {path}: its schema is {found}, this program reads {SCHEMA}; build the image again with 'cargo xtask image NAME'"
    )]
    OtherSchema { path: PathBuf, found: u32 },
}

impl Image {
    /// Decodes the text of `folder/image.toml`.
    ///
    /// # Errors
    /// When the text is no manifest of this schema.
    pub fn from_text(folder: &Path, text: &str) -> Result<Self, ImageError> {
        let path = folder.join(MANIFEST);
        let manifest: Manifest = toml::from_str(text).map_err(|error| ImageError::BadManifest {
            path: path.clone(),
            found: error.message().to_owned(),
        })?;
        if manifest.schema != SCHEMA {
            return Err(ImageError::OtherSchema {
                path,
                found: manifest.schema,
            });
        }
        Ok(Self {
            folder: folder.to_owned(),
            manifest,
        })
    }

    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.folder.join(&self.manifest.files.kernel)
    }

    #[must_use]
    pub fn vmlinux(&self) -> PathBuf {
        self.folder.join(&self.manifest.files.vmlinux)
    }

    #[must_use]
    pub fn initrd(&self) -> PathBuf {
        self.folder.join(&self.manifest.files.initrd)
    }

    #[must_use]
    pub fn twin(&self) -> PathBuf {
        self.folder.join(&self.manifest.files.twin)
    }

    /// The kernel's command line for one mode.
    #[must_use]
    pub fn append(&self, mode: Mode, calls: Option<u64>) -> String {
        let mut line = format!("{} ukl.mode={mode}", self.manifest.append);
        if let (Some(parameter), Some(calls)) = (&self.manifest.calls_parameter, calls) {
            line.push_str(&format!(" {parameter}={calls}"));
        }
        if !self.manifest.ports.is_empty() {
            line.push_str(&format!(" {NETWORK}"));
        }
        line
    }
}
