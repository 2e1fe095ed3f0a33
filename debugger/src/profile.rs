//! What a family of kernels calls the places that matter at the boundary: rules of origin and of
//! crossings as data. The families' tables lie beside this file; a user may give one of his own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use crate::crossing::{CrossingKind, Mode, Phase, PhaseRule};

/// A table, as `profile/ukl.toml` holds it. What it does not have is not there in such kernels.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub name: String,
    pub title: String,
    /// The table that this one adds to: lists are made longer, single values replaced.
    #[serde(default)]
    pub base: Option<String>,
    /// Names by any of which this family is known.
    #[serde(default)]
    pub recognised_by: Vec<String>,
    #[serde(default)]
    pub boundary: BoundaryNames,
    #[serde(default)]
    pub prefix: Prefix,
    #[serde(default)]
    pub sources: Sources,
    #[serde(default)]
    pub doors: Vec<DoorRule>,
    #[serde(default)]
    arrivals: Vec<Arrival>,
    #[serde(default)]
    pub calls: Calls,
    /// Functions and beginnings of functions, and which part of a path each is.
    #[serde(default)]
    pub phases: BTreeMap<String, PhaseRule>,
    /// The first that fits a row of a difference holds.
    #[serde(default)]
    pub reasons: Vec<Reason>,
    /// The first that fits a row that no reason does holds.
    #[serde(default)]
    pub chances: Vec<Chance>,
    #[serde(default)]
    pub task: TaskRules,
    #[serde(default)]
    entry: BTreeMap<String, EntryCode>,
}

/// The symbols at the two ends of a range.
pub type Ends = Option<(String, String)>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BoundaryNames {
    pub app_text: Ends,
    pub app_data: Ends,
    /// Where the application's unwind table begins, if it lies among its data.
    pub app_eh_frame: Option<String>,
    pub entry_text: Ends,
    pub text: Ends,
}

/// What the application's symbols were given in front when they were linked; DWARF does not have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prefix {
    pub text: String,
    pub kernel: Names,
}

/// Where sources lie.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sources {
    /// A function of the kernel and the path of its source in the kernel's tree.
    pub kernel: BTreeMap<String, String>,
    pub libc_folders: Vec<String>,
    pub libc_files: Vec<String>,
    pub libc_functions: Vec<String>,
    pub libc_first: Vec<String>,
}

/// First instructions in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DoorRule {
    pub names: Names,
    pub kind: CrossingKind,
    pub from: FromPlace,
    /// It leads to another of the doors, by which the same crossing is seen.
    #[serde(default)]
    pub jumps_on: bool,
}

/// Where the calling instruction's address is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromPlace {
    Rcx,
    Stack,
}

/// First instructions in the kernel that the application does not call: exceptions and interrupts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Arrival {
    names: Names,
    pub kind: CrossingKind,
    /// Bytes between the stack pointer and the frame that the processor has pushed.
    #[serde(default)]
    pub above: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calls {
    pub entry: Names,
    pub entry_by_call: Names,
    pub program_start: Names,
    pub thread_start: Names,
    pub returns_to_app: Names,
    pub bypass: Names,
    pub bypass_prefix: String,
    pub bypass_return: Names,
    pub exit_work: Names,
    pub full_path: Names,
    pub full_path_return: Names,
    pub gate: Names,
    pub shortcut_prefix: String,
    pub shortcut_service: String,
    pub arrival_prefix: String,
    pub helpers: Names,
}

/// A part of paths that only some modes, kinds of crossings or options pass through: why it is in one path
/// and not in another. A list that is left out is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reason {
    pub modes: Vec<Mode>,
    pub kinds: Vec<CrossingKind>,
    /// An option of the kernel's that must be given.
    pub option: Option<String>,
    /// One that must not be.
    pub unless: Option<String>,
    /// The functions that are passed through.
    pub names: Names,
    /// More of them, by what the table of phases says of their names.
    pub phases: Vec<Phase>,
    /// Functions of every path, whose own instructions are others there.
    pub cost: Names,
    /// Follows 'with' or 'without'.
    pub what: String,
}

/// Functions that branch at what is random in each run, and the same in all of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chance {
    pub names: Names,
    /// By how many of their own instructions two runs differ.
    pub instructions: Vec<u64>,
    pub what: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskRules {
    /// A variable of the kernel: `mm->binfmt` of the application's tasks points to it.
    pub format: Option<String>,
    /// A field of `task_struct`: 0 for tasks that are not the application's.
    pub mode_field: Option<String>,
}

/// How control comes to a piece of the assembly between the application and the kernel, and what it
/// has saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryCode {
    /// The application calls it. It saves what a call must keep, and no whole frame.
    Stub,
    /// The label of the instruction by which a stub returns.
    StubReturn,
    /// Stubs jump to it.
    StubPart,
    /// Entered and left with the frame of the kernel's own entry.
    Frame,
}

/// Names, and beginnings of names with a `*` behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Names(Vec<String>);

#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("it is no table of a profile: {}", .0.message())]
    Toml(#[from] toml::de::Error),
    #[error("its base '{0}' is none of linux, ukl and upstream-ukl")]
    Base(String),
}

/// The likelier of two comes first; the last is any Linux.
const TABLES: [&str; 3] = [
    include_str!("profile/ukl.toml"),
    include_str!("profile/upstream-ukl.toml"),
    include_str!("profile/linux.toml"),
];

static FAMILIES: LazyLock<Vec<Arc<Profile>>> = LazyLock::new(|| {
    let tables = TABLES.iter().map(|text| Profile::parse(text));
    let read = tables.map(|read| Arc::new(read.expect("a test reads each of the tables")));
    read.collect()
});

impl Profile {
    /// # Errors
    /// When the text is no table of this kind, or builds upon one that there is not.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let table = complete(text)?;
        Ok(toml::Value::Table(table).try_into()?)
    }

    /// The family with a name among those that are there; any Linux, where there is none.
    #[must_use]
    pub fn recognise(is_there: impl Fn(&str) -> bool) -> Arc<Self> {
        let mut families = FAMILIES.iter();
        let known = families.find(|family| family.recognised_by.iter().any(|name| is_there(name)));
        known.cloned().unwrap_or_else(Self::linux)
    }

    /// Any Linux.
    #[must_use]
    pub fn linux() -> Arc<Self> {
        let last = FAMILIES.last().expect("there are families");
        Arc::clone(last)
    }

    /// How the kernel is entered there without being called; the first rule with the name holds.
    #[must_use]
    pub fn arrival(&self, name: &str) -> Option<&Arrival> {
        self.arrivals.iter().find(|rule| rule.names.has(name))
    }

    /// What a symbol of the entry assembly is, if the family's patches have added it.
    #[must_use]
    pub fn entry_code(&self, name: &str) -> Option<EntryCode> {
        self.entry.get(name).copied()
    }

    /// Whether a task's first code in the application has that name, or a bypass goes on there by the full path.
    #[must_use]
    pub fn begins_in_app(&self, name: &str) -> bool {
        let calls = &self.calls;
        let any = [&calls.program_start, &calls.thread_start, &calls.full_path];
        any.into_iter().any(|names| names.has(name))
    }

    /// Every such symbol.
    pub fn entry_names(&self) -> impl Iterator<Item = &str> {
        self.entry.keys().map(String::as_str)
    }

    /// A name as it is shown, without the application's prefix; `None` where it does not have it.
    #[must_use]
    pub fn unprefixed<'a>(&self, name: &'a str) -> Option<&'a str> {
        let prefix = Some(self.prefix.text.as_str()).filter(|prefix| !prefix.is_empty())?;
        let rest = name.strip_prefix(prefix)?;
        (!self.prefix.kernel.has(name)).then_some(rest)
    }

    /// A name as the application's symbol table has it, if it has a prefix.
    #[must_use]
    pub fn prefixed(&self, name: &str) -> Option<String> {
        let prefix = &self.prefix.text;
        (!prefix.is_empty()).then(|| format!("{prefix}{name}"))
    }

    /// The function that a shortcut's stub calls, which is what the shortcut is known as.
    #[must_use]
    pub fn shortcut<'a>(&self, stub: &'a str) -> &'a str {
        without(&self.calls.shortcut_prefix, stub).unwrap_or(stub)
    }

    /// The stub of a shortcut to that function; `None` where shortcuts have no stubs.
    #[must_use]
    pub fn shortcut_stub(&self, function: &str) -> Option<String> {
        let prefix = &self.calls.shortcut_prefix;
        (!prefix.is_empty()).then(|| format!("{prefix}{function}"))
    }

    /// The function in C that does what a shortcut's stub is there for, where it is another than the one
    /// that the shortcut is known as.
    #[must_use]
    pub fn shortcut_service(&self, function: &str) -> Option<String> {
        let prefix = &self.calls.shortcut_service;
        (!prefix.is_empty()).then(|| format!("{prefix}{function}"))
    }

    /// The function behind a first instruction in the kernel, by their names: `exc_page_fault` of
    /// `asm_exc_page_fault`.
    #[must_use]
    pub fn behind<'a>(&self, door: &'a str) -> Option<&'a str> {
        let calls = &self.calls;
        without(&calls.arrival_prefix, door).or_else(|| without(&calls.shortcut_prefix, door))
    }

    /// Whether the application makes system calls by that name's first instruction.
    #[must_use]
    pub fn is_syscall_door(&self, name: &str) -> bool {
        let mut rules = self.doors.iter();
        rules.any(|rule| rule.kind == CrossingKind::Syscall && rule.names.has(name))
    }

    /// What the application calls in place of a system call, to bypass the entry's work.
    #[must_use]
    pub fn bypass_door(&self, call: &str) -> String {
        let prefix = &self.calls.bypass_prefix;
        if !prefix.is_empty() {
            return format!("{prefix}{call}");
        }
        let mut rules = self.doors.iter();
        let rule = rules.find(|rule| rule.kind == CrossingKind::Bypass && !rule.jumps_on);
        let name = rule.and_then(|rule| rule.names.iter().next());
        name.unwrap_or("the kernel").to_owned()
    }
}

impl Names {
    /// Those that are beginnings, with their `*`.
    pub fn beginnings(&self) -> impl Iterator<Item = &str> {
        self.iter().filter(|name| name.ends_with('*'))
    }

    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| match known.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => known == name,
        })
    }

    /// As they are written.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// `ukl: Unikernel Linux with this project's patches`
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.title)
    }
}

/// `None` without the prefix, or where there is none.
fn without<'a>(prefix: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(prefix).filter(|_| !prefix.is_empty())
}

/// The table together with those that it builds upon.
fn complete(text: &str) -> Result<toml::Table, ProfileError> {
    let table: toml::Table = toml::from_str(text)?;
    let Some(base) = table.get("base") else {
        return Ok(table);
    };
    let name = base.as_str().unwrap_or_default();
    let own_name = |text: &str| text.contains(&format!("\nname = \"{name}\"\n"));
    let found = TABLES.iter().find(|text| own_name(text));
    let found = found.filter(|found| *found != &text);
    let mut whole = complete(found.ok_or_else(|| ProfileError::Base(name.to_owned()))?)?;
    add(&mut whole, table);
    Ok(whole)
}

fn add(whole: &mut toml::Table, more: toml::Table) {
    use toml::Value::{Array, Table};
    for (key, value) in more {
        match (whole.get_mut(&key), value) {
            // A pair of ends is one value.
            (Some(Array(known)), Array(more)) if !is_pair_of_ends(&key) => known.extend(more),
            (Some(Table(known)), Table(more)) => add(known, more),
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
}

fn is_pair_of_ends(key: &str) -> bool {
    matches!(key, "app_text" | "app_data" | "entry_text" | "text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_reads_and_has_its_name_once() {
        let mut names = Vec::new();
        for text in TABLES {
            let profile = Profile::parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert!(!names.contains(&profile.name), "{}", profile.name);
            names.push(profile.name);
        }
        assert_eq!(names.last().map(String::as_str), Some("linux"));
    }

    #[test]
    fn a_family_is_known_by_what_it_has() {
        let check = |names: &[&str], family: &str| {
            assert_eq!(
                Profile::recognise(|name| names.contains(&name)).name,
                family
            );
        };
        check(&["start_kernel", "__ukl_text_start"], "ukl");
        check(&["ukl_bypass_syscall"], "ukl");
        check(&["start_kernel", "ukl_entry_SYSCALL_64"], "upstream-ukl");
        check(&["ukl_entry_SYSCALL_64", "__ukl_text_start"], "ukl");
        check(&["start_kernel"], "linux");
        check(&[], "linux");
    }

    #[test]
    fn a_table_adds_to_its_base() {
        let ukl = Profile::recognise(|name| name == "__ukl_text_start");
        assert!(ukl.calls.entry.has("entry_SYSCALL_64_after_hwframe"));
        assert!(ukl.calls.entry.has("ukl_entry_SYSCALL_64"));
        assert_eq!(ukl.doors.len(), 3);
        assert!(ukl.boundary.entry_text.is_some());
        let own = Profile::parse("name = 'x'\ntitle = 'y'\nbase = 'ukl'\n[entry]\nz = 'stub'\n");
        let own = own.unwrap();
        assert_eq!(own.entry_code("z"), Some(EntryCode::Stub));
        assert_eq!(own.entry_code("ukl_exit_work"), Some(EntryCode::StubPart));
        assert_eq!(own.name, "x");
    }

    #[test]
    fn a_table_that_is_none_is_refused() {
        let check = |text: &str, why: &str| {
            let error = Profile::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        };
        check("", "name");
        check("name = 'x'\ntitle = 'y'\nwrong = 1\n", "wrong");
        check("name = 'x'\ntitle = 'y'\nbase = 'bsd'\n", "'bsd'");
        check("name = 'x'\ntitle = 'y'\n[entry]\na = 'door'\n", "door");
    }

    #[test]
    fn a_function_of_the_kernel_is_no_stub() {
        let ukl = Profile::recognise(|name| name == "__ukl_text_start");
        assert_eq!(ukl.entry_code("ukl_bypass_syscall"), Some(EntryCode::Stub));
        for other in [
            "ukl_load_twin",
            "ukl_tcp",
            "ukl_bypass_table",
            "entry_SYSCALL_64",
            "",
        ] {
            assert_eq!(ukl.entry_code(other), None, "{other}");
        }
    }

    #[test]
    fn a_door_leads_to_a_function_and_a_function_has_a_stub() {
        let ukl = Profile::recognise(|name| name == "__ukl_text_start");
        assert_eq!(ukl.behind("asm_exc_page_fault"), Some("exc_page_fault"));
        assert_eq!(ukl.behind("ukl_tcp_sendmsg"), Some("tcp_sendmsg"));
        assert_eq!(ukl.behind("entry_SYSCALL_64"), None);
        assert_eq!(ukl.shortcut_stub("f").as_deref(), Some("ukl_f"));
        assert_eq!(ukl.shortcut_service("f").as_deref(), Some("__ukl_f"));
        assert_eq!(ukl.bypass_door("read"), "ukl_bypass_syscall");
        let upstream = Profile::recognise(|name| name == "ukl__start");
        assert_eq!(upstream.behind("shortcut_tcp_sendmsg"), Some("tcp_sendmsg"));
        assert_eq!(upstream.shortcut_service("f"), None);
        assert_eq!(upstream.bypass_door("read"), "ukl_bp_read");
        assert_eq!(Profile::linux().behind("vfs_read"), None);
        assert_eq!(Profile::linux().shortcut("vfs_read"), "vfs_read");
    }

    #[test]
    fn a_prefix_is_the_applications_alone() {
        let upstream = Profile::recognise(|name| name == "ukl__start");
        assert_eq!(upstream.unprefixed("ukl_main"), Some("main"));
        for kernel in ["ukl_bp_read", "ukl_entry_SYSCALL_64", "vfs_read"] {
            assert_eq!(upstream.unprefixed(kernel), None, "{kernel}");
        }
        assert_eq!(upstream.prefixed("main").as_deref(), Some("ukl_main"));
        let ours = Profile::recognise(|name| name == "__ukl_text_start");
        assert_eq!(ours.unprefixed("ukl_main"), None);
        assert_eq!(ours.prefixed("main"), None);
    }

    #[test]
    fn names_may_be_beginnings() {
        let names = Names(vec!["read".to_owned(), "ukl_bp_*".to_owned()]);
        assert!(names.has("read") && names.has("ukl_bp_read"));
        assert!(!names.has("reads") && !names.has("ukl_bypass"));
    }
}
