//! What stands in the blocks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::crossing::{RequestSpec, Setup};
use crate::origin::Origin;
use crate::profile::Profile;
use crate::trace::functions::{Function, Functions};
use crate::trace::report::Report;
use crate::trace::timeline::{Bucket, TaskState};

/// Kinds of blocks. A reader passes over those it does not know.
pub(super) const HEAD: u8 = 1;
/// A run's report without its classes, at the run's end.
pub(super) const RUN: u8 = 2;
pub(super) const CLASSES: u8 = 3;
/// The last one. Its meta is where the index begins.
pub(super) const END: u8 = 4;
/// How a run is made, and what its records mean: before its records.
pub(super) const MADE: u8 = 5;
pub(super) const STRETCH: u8 = 6;
pub(super) const SUMMARY: u8 = 7;
pub(super) const INDEX: u8 = 8;
/// Numbers of a run's tasks, and where their stack pointers are kept: after its records.
pub(super) const TASKS: u8 = 9;
/// What holds at all of a run's states: before the first of them.
pub(super) const MACHINE: u8 = 10;
/// Some of a run's states.
pub(super) const STATES: u8 = 11;

/// What the runs were made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The image's name.
    pub image: String,
    pub build_id: String,
    /// `kernel`, `compiler`, `libc`, `qemu`: the version it was built of, with or run by.
    pub versions: BTreeMap<String, String>,
    /// The version of the program that wrote it.
    pub tool: String,
    #[serde(default)]
    pub runs: usize,
    /// The image's `image.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
}

/// How a run is made, and what its records mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    pub mode: Setup,
    /// What writes the records: `plugin`.
    pub engine: String,
    /// The versions of QEMU, and of the probe.
    pub qemu: String,
    pub plugin: String,
    /// The kernel's command line.
    pub append: String,
    /// The names of the kernel's family, and which part of a path each is.
    #[serde(with = "as_json")]
    pub profile: Profile,
    /// What a request is, where it is known.
    pub request: Option<RequestSpec>,
    /// By number.
    pub functions: Vec<Named>,
}

/// A function that records name by its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub name: String,
    pub origin: Origin,
    pub label: bool,
    pub file: Option<String>,
    /// Where it is entered; 0 where it is not known.
    pub address: u64,
}

/// Records of one vCPU that follow each other, as it is known without unpacking them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    pub run: u32,
    pub vcpu: u32,
    /// Counts a vCPU's stretches from 0.
    pub sequence: u64,
    /// The whole clock of the first record and of the last one.
    pub first: u64,
    pub last: u64,
    /// Records lost right before it.
    pub lost: u64,
    pub count: u32,
    /// Numbers of the tasks that ran in it.
    pub tasks: Vec<u32>,
    /// Functions that may have been entered in it.
    pub functions: Filter,
}

/// A set of functions that may have more than were put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter(Vec<u64>);

const FILTER_WORDS: usize = 16;

/// A stretch's payload: the tasks as they were when each first ran in it, and the records.
#[derive(Serialize, Deserialize)]
pub(super) struct Records {
    /// The whole clock at which the first of the tasks was as it says: that of the record before.
    pub(super) clock: u64,
    pub(super) tasks: Vec<TaskState>,
    pub(super) columns: Vec<u8>,
}

/// Buckets of one vCPU and scale that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) run: u32,
    pub(super) vcpu: u32,
    pub(super) scale: u8,
    /// Numbers of the first bucket and of the last one.
    pub(super) first: u64,
    pub(super) last: u64,
}

pub(super) type Buckets = Vec<Bucket>;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Index {
    /// Where each block of another kind begins.
    pub(super) others: Vec<(u8, u64)>,
    pub(super) stretches: Vec<(u64, Stretch)>,
    pub(super) parts: Vec<(u64, Part)>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RunHead {
    /// Without its classes.
    pub(super) report: Report,
    pub(super) classes: usize,
}

impl Filter {
    pub(super) fn put(&mut self, function: u32) {
        let (word, bit) = place(function);
        self.0[word] |= bit;
    }

    /// False: it was not entered there.
    #[must_use]
    pub fn may_have(&self, function: u32) -> bool {
        let (word, bit) = place(function);
        self.0.get(word).is_none_or(|bits| bits & bit != 0)
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self(vec![0; FILTER_WORDS])
    }
}

const fn place(function: u32) -> (usize, u64) {
    let mixed = function.wrapping_mul(0x9e37_79b1) >> 22;
    (mixed as usize / 64, 1 << (mixed % 64))
}

impl Made {
    /// As the fold and the walk want them.
    #[must_use]
    pub fn functions(&self) -> Functions {
        let mut functions = Functions::of(std::sync::Arc::new(self.profile.clone()));
        for named in self.functions.iter().skip(1) {
            functions.push(Function {
                name: named.name.clone(),
                origin: named.origin,
                label: named.label,
                file: named.file.clone(),
            });
        }
        functions
    }

    /// With the addresses at which they are entered.
    #[must_use]
    pub fn named(functions: &Functions, sites: &[wire::Site]) -> Vec<Named> {
        let mut addresses = vec![0; functions.len()];
        for site in sites.iter().rev() {
            if let Some(address) = addresses.get_mut(site.word().function() as usize) {
                *address = site.address;
            }
        }
        let named = functions
            .iter()
            .zip(addresses)
            .map(|(function, address)| Named {
                name: function.name.clone(),
                origin: function.origin,
                label: function.label,
                file: function.file.clone(),
                address,
            });
        named.collect()
    }
}

/// For what says of itself which of several things it is: the format of the rest does not.
mod as_json {
    use serde::de::{DeserializeOwned, Error as _};
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        serde_json::to_string(value)
            .map_err(S::Error::custom)?
            .serialize(to)
    }

    pub(super) fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        serde_json::from_str(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}
