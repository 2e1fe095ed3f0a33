//! `cross …` where a breakpoint's place stands: the crossings it stops at.

use super::breakpoint::Only;
use super::parse::WhatFound;
use crate::crossing::CrossingKind;
use crate::origin::Origin;
use crate::pattern::Pattern;

/// A side of the boundary, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Territory {
    /// The application with its C library.
    App,
    Kernel,
    /// The C library alone, or a part of the kernel.
    Origin(Origin),
}

/// Which crossings are meant; all that the application asks for, and its faults, where nothing
/// is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrossFilter {
    pub from: Option<Territory>,
    pub to: Option<Territory>,
    /// None named: [`CrossFilter::kinds`] says which are meant.
    pub kinds: Vec<CrossingKind>,
    /// A call's name, or with `*` and `?` several.
    pub call: Option<String>,
    /// From the kernel to the application.
    pub out: bool,
}

/// What is meant where no kind is named: what the application does of its own.
const USUAL: &[CrossingKind] = &[
    CrossingKind::Syscall,
    CrossingKind::Bypass,
    CrossingKind::Shortcut,
    CrossingKind::Fault,
];

/// On the way out faults and interrupts share their last instructions.
const USUAL_OUT: &[CrossingKind] = &[
    CrossingKind::Syscall,
    CrossingKind::Bypass,
    CrossingKind::Shortcut,
];

const BREAKABLE: &[CrossingKind] = &[
    CrossingKind::Syscall,
    CrossingKind::Bypass,
    CrossingKind::Shortcut,
    CrossingKind::Fault,
    CrossingKind::Interrupt,
    CrossingKind::Signal,
];

impl Territory {
    /// Whether this is the application's side.
    #[must_use]
    pub const fn is_app_side(self) -> bool {
        match self {
            Self::App => true,
            Self::Kernel => false,
            Self::Origin(origin) => origin.is_app_side(),
        }
    }

    /// Whether an instruction of that origin, of which the side is known to be this one, lies in it.
    #[must_use]
    pub fn holds(self, origin: Origin) -> bool {
        match self {
            Self::App | Self::Kernel => true,
            Self::Origin(one) => one == origin,
        }
    }

    fn typed(self) -> String {
        match self {
            Self::App => "app".to_owned(),
            Self::Kernel => "kernel".to_owned(),
            Self::Origin(origin) => origin.to_string(),
        }
    }
}

impl CrossFilter {
    #[must_use]
    pub fn kinds(&self) -> &[CrossingKind] {
        match (self.kinds.is_empty(), self.out) {
            (false, _) => &self.kinds,
            (true, false) => USUAL,
            (true, true) => USUAL_OUT,
        }
    }

    /// Whether one of a call's names is meant.
    #[must_use]
    pub fn names(&self, names: &[impl AsRef<str>]) -> bool {
        let Some(wanted) = &self.call else {
            return true;
        };
        let mut names = names.iter();
        match wanted.contains(['*', '?']) {
            true => {
                let pattern = Pattern::new(wanted);
                names.any(|name| pattern.matches(name.as_ref()))
            }
            false => names.any(|name| name.as_ref() == wanted),
        }
    }

    /// As it is typed: `cross from=app to=kernel:net`.
    #[must_use]
    pub fn typed(&self) -> String {
        let mut text = "cross".to_owned();
        if let Some(from) = self.from {
            text.push_str(&format!(" from={}", from.typed()));
        }
        if let Some(to) = self.to {
            text.push_str(&format!(" to={}", to.typed()));
        }
        if !self.kinds.is_empty() {
            let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
            text.push_str(&format!(" kind={}", kinds.join("|")));
        }
        if let Some(call) = &self.call {
            text.push_str(&format!(" call={call}"));
        }
        if self.out {
            text.push_str(" dir out");
        }
        text
    }
}

/// The words behind `cross`, in any order; `None` where the text does not begin so.
pub(super) fn crossing(text: &str) -> Result<Option<(CrossFilter, Only, bool)>, WhatFound> {
    let mut words = text.split_whitespace();
    if words.next() != Some("cross") {
        return Ok(None);
    }
    let (mut filter, mut only, mut pending) = (CrossFilter::default(), Only::default(), false);
    let mut direction: Option<bool> = None;
    while let Some(word) = words.next() {
        if word == "pending" {
            pending = true;
            continue;
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value),
            None => (word, words.next().unwrap_or_default()),
        };
        if value.is_empty() && WORDS.contains(&name) {
            return Err(format!("nothing stands behind '{name}'"));
        }
        match name {
            "from" => filter.from = Some(territory(value)?),
            "to" => filter.to = Some(territory(value)?),
            "kind" => filter.kinds = kinds(value)?,
            "call" => filter.call = Some(value.to_owned()),
            "dir" => {
                direction = Some(match value {
                    "in" => false,
                    "out" => true,
                    _ => return Err(format!("'{value}' is no direction: in or out")),
                });
            }
            "cpu" => {
                let number = value.parse();
                only.vcpu = Some(number.map_err(|_| format!("'{value}' is no vCPU's number"))?);
            }
            "task" => only.task = Some(value.to_owned()),
            _ => {
                return Err(format!(
                    "'{name}' says nothing of a crossing: {}, or pending",
                    WORDS.join(", ")
                ));
            }
        }
    }
    filter.out = way(&filter, direction)?;
    Ok(Some((filter, only, pending)))
}

const WORDS: &[&str] = &["from", "to", "kind", "call", "dir", "cpu", "task"];

/// Whether it is the way out, by what is said of the two sides and of the direction.
fn way(filter: &CrossFilter, direction: Option<bool>) -> Result<bool, WhatFound> {
    let by_from = filter.from.map(|from| !from.is_app_side());
    let by_to = filter.to.map(Territory::is_app_side);
    let mut out = None;
    for said in [direction, by_from, by_to].into_iter().flatten() {
        if out.is_some_and(|out| out != said) {
            return Err(
                "no crossing goes so: one of its sides is the application's, the other the kernel's; \
                 in is into the kernel"
                    .to_owned(),
            );
        }
        out = Some(said);
    }
    let out = out.unwrap_or(false);
    let alike = [CrossingKind::Fault, CrossingKind::Interrupt];
    if out && filter.kinds.iter().any(|kind| alike.contains(kind)) {
        return Err(
            "faults and interrupts leave the kernel by the same instructions, which do not tell them \
             apart: ask for their way in"
                .to_owned(),
        );
    }
    Ok(out)
}

fn territory(text: &str) -> Result<Territory, WhatFound> {
    match text {
        "app" => return Ok(Territory::App),
        "kernel" => return Ok(Territory::Kernel),
        _ => {}
    }
    match text.parse() {
        Ok(origin @ (Origin::Libc | Origin::Kernel(_))) => Ok(Territory::Origin(origin)),
        _ => {
            let names: Vec<_> = crate::origin::Subsystem::names().collect();
            Err(format!(
                "'{text}' is no side of a crossing: app, libc, kernel, or kernel: and one of {}",
                names.join(", ")
            ))
        }
    }
}

fn kinds(text: &str) -> Result<Vec<CrossingKind>, WhatFound> {
    let mut kinds = Vec::new();
    for word in text.split('|') {
        let found = BREAKABLE.iter().find(|kind| kind.name() == word);
        match found {
            Some(kind) if !kinds.contains(kind) => kinds.push(*kind),
            Some(_) => {}
            None => {
                let names: Vec<_> = BREAKABLE.iter().map(|kind| kind.name()).collect();
                return Err(format!(
                    "'{word}' is no kind of crossing to stop at: {}",
                    names.join(", ")
                ));
            }
        }
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Location, parse};

    fn read(line: &str) -> (CrossFilter, Only) {
        match parse(line) {
            Ok(Command::Break {
                location: Location::Crossing(filter),
                only,
                ..
            }) => (filter, only),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_filter_is_written_as_it_was_read() {
        for text in [
            "cross",
            "cross from=app to=kernel:net",
            "cross from=libc kind=syscall|fault",
            "cross call=send*",
            "cross from=kernel:net to=app call=sendto dir out",
            "cross kind=signal",
        ] {
            assert_eq!(read(&format!("b {text}")).0.typed(), text);
        }
        // Either spelling, in any order, beside what any breakpoint takes.
        let (filter, only) = read("b cross dir=out cpu 1 kind bypass task redis if $_result < 0");
        assert_eq!(filter.typed(), "cross kind=bypass dir out");
        assert_eq!(only.typed(), " cpu 1 task redis");
    }

    #[test]
    fn what_is_said_of_the_sides_is_the_direction() {
        assert!(!read("b cross from=app").0.out);
        assert!(!read("b cross to=kernel:fs").0.out);
        assert!(read("b cross to=libc").0.out);
        assert!(read("b cross from=kernel").0.out);
        let usual = |line| read(line).0.kinds().to_vec();
        assert!(usual("b cross").contains(&CrossingKind::Fault));
        assert!(!usual("b cross").contains(&CrossingKind::Interrupt));
        assert!(!usual("b cross dir out").contains(&CrossingKind::Fault));
    }

    #[test]
    fn a_wrong_filter_gets_one_clear_error() {
        let check = |line: &str, part: &str| {
            let found = parse(line).unwrap_err().to_string();
            assert!(found.contains(part), "{line}: {found}");
        };
        check("b cross kind=foo", "syscall, bypass, shortcut");
        check("b cross kind=start", "'start' is no kind");
        check("b cross to=kernel:bar", "one of sched, irq");
        check("b cross to=entry", "no side of a crossing");
        check("b cross from=app to=libc", "no crossing goes so");
        check("b cross from=app dir out", "no crossing goes so");
        check("b cross dir sideways", "in or out");
        check("b cross dir out kind=fault", "the same instructions");
        check("b cross size=5", "'size' says nothing");
        check("b cross call=", "nothing stands behind 'call'");
        check("b cross cpu one", "no vCPU's number");
        check("b cross call=read if", "no condition");
        check("log cross kind=foo, {len}", "no kind of crossing");
    }

    #[test]
    fn names_are_whole_or_patterns() {
        let (filter, _) = read("b cross call=send*");
        assert!(filter.names(&["sendto"]));
        assert!(!filter.names(&["recvfrom"]));
        let (filter, _) = read("b cross call=send");
        assert!(!filter.names(&["sendto"]));
    }
}
