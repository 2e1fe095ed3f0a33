//! Which functions are recorded, and which ones start and stop it: marks in the site table, so that what is
//! not wanted costs the guest nothing.

use std::sync::Arc;

use wire::{Kind, SiteFlags};

use super::fold::{IMPLEMENTATION, names_a_call};
use super::functions::Function;
use super::sites::SiteTable;
use crate::origin::Origin;
use crate::pattern::Pattern;
use crate::profile::EntryCode;

/// Functions, by name, by `*` and `?` in it, or by where they come from: `kernel`, `kernel:net`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Origin(Origin),
    Kernel,
    Name(String),
    Glob(Pattern),
}

/// What is asked for of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// These alone are recorded, where there are any.
    pub only: Vec<Wanted>,
    /// These are not.
    pub not: Vec<Wanted>,
    /// Of the application's calls these alone are recorded to their ends, where there are any: by their names, by
    /// `*` and `?` in them.
    pub only_calls: Vec<Wanted>,
    /// Tasks of these names alone are recorded, where there are any.
    pub only_tasks: Vec<String>,
    /// Recording begins when one of these is entered; it is off until then.
    pub start_at: Vec<Wanted>,
    /// Recording ends when one of these is entered, until one of the former is.
    pub stop_at: Vec<Wanted>,
}

/// What was asked for and is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nothing {
    #[error(
        "{option} '{wanted}' is no function that is recorded; 'uklscope symbols IMAGE {wanted}' finds names"
    )]
    Function {
        option: &'static str,
        wanted: String,
    },
    #[error(
        "--only-calls '{wanted}' is no call of this kernel; 'uklscope symbols IMAGE {IMPLEMENTATION}{wanted}' finds \
         names, without that in front"
    )]
    Call { wanted: String },
    #[error(
        "--not '{wanted}' leaves nothing out: the entry code, the application's functions and those that a system call is \
         named by are always recorded; name functions of the kernel"
    )]
    Kept { wanted: String },
}

/// Without these it would not be known where the application is.
const ALWAYS: [&str; 3] = ["execve", "execveat", "rt_sigreturn"];

impl std::str::FromStr for Wanted {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match (text, text.parse::<Origin>()) {
            ("kernel", _) => Self::Kernel,
            (_, Ok(origin)) => Self::Origin(origin),
            _ if text.contains(['*', '?']) => Self::Glob(Pattern::new(text)),
            _ => Self::Name(text.to_owned()),
        })
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Origin(origin) => origin.fmt(f),
            Self::Kernel => f.write_str("kernel"),
            Self::Name(name) => f.write_str(name),
            Self::Glob(pattern) => f.write_str(pattern.text()),
        }
    }
}

impl Wanted {
    fn is(&self, function: &Function) -> bool {
        match self {
            Self::Origin(origin) => function.origin == *origin,
            Self::Kernel => function.origin.is_kernel_side(),
            Self::Name(_) | Self::Glob(_) => self.is_name(&function.name),
        }
    }

    fn is_name(&self, one: &str) -> bool {
        match self {
            Self::Origin(_) | Self::Kernel => false,
            Self::Name(name) => name == one,
            Self::Glob(pattern) => pattern.matches(one),
        }
    }
}

impl Filter {
    /// Whether recording is off until a function is entered.
    #[must_use]
    pub const fn begins_off(&self) -> bool {
        !self.start_at.is_empty()
    }

    /// By which option functions are.
    #[must_use]
    pub fn leaves_out_functions(&self) -> Option<String> {
        let told = |option: &str, list: &[Wanted]| {
            let names: Vec<String> = list.iter().map(ToString::to_string).collect();
            (!names.is_empty()).then(|| format!("{option} {}", names.join(",")))
        };
        let both = [told("--only", &self.only), told("--not", &self.not)];
        let both: Vec<String> = both.into_iter().flatten().collect();
        (!both.is_empty()).then(|| both.join(" "))
    }

    /// Marks the table's sites.
    ///
    /// What a crossing begins and ends by, the application's functions and those that a system call is
    /// named by are always recorded: without them nothing would be known of where control is.
    ///
    /// # Errors
    /// When something that was asked for names nothing.
    pub fn mark(&self, table: &mut SiteTable) -> Result<(), Nothing> {
        let lists = [
            ("--only", &self.only),
            ("--not", &self.not),
            ("--start-at", &self.start_at),
            ("--stop-at", &self.stop_at),
        ];
        for (option, list) in lists {
            let there = |wanted: &&Wanted| table.functions.iter().skip(1).any(|one| wanted.is(one));
            if let Some(wanted) = list.iter().find(|wanted| !there(wanted)) {
                let wanted = wanted.to_string();
                return Err(Nothing::Function { option, wanted });
            }
        }
        self.mark_calls(table)?;
        let mut left_out = vec![false; self.not.len()];
        let any = |list: &[Wanted], one: &Function| list.iter().any(|wanted| wanted.is(one));
        for site in &mut table.sites {
            if site.flags & SiteFlags::END != 0 {
                continue;
            }
            let function = table.functions.get(site.word().function());
            let not: Vec<bool> = self.not.iter().map(|wanted| wanted.is(function)).collect();
            let unwanted =
                !self.only.is_empty() && !any(&self.only, function) || not.contains(&true);
            let kept = SiteFlags::LEAVES | SiteFlags::SWITCHES | SiteFlags::RETURNS;
            let may_be_left_out = site.word().kind() == Some(Kind::Entry)
                && site.flags & kept == 0
                && !names_a_call(&function.name);
            if unwanted && may_be_left_out {
                site.flags |= SiteFlags::QUIET;
                left_out
                    .iter_mut()
                    .zip(not)
                    .for_each(|(any, is)| *any |= is);
            }
            if any(&self.start_at, function) {
                site.flags |= SiteFlags::STARTS;
            }
            if any(&self.stop_at, function) {
                site.flags |= SiteFlags::STOPS;
            }
        }
        let kept = left_out.iter().position(|any| !any);
        kept.map_or(Ok(()), |at| {
            let wanted = self.not[at].to_string();
            Err(Nothing::Kept { wanted })
        })
    }

    /// Marks the calls that are left out, where they are known: a system call's implementation, a shortcut's stub.
    fn mark_calls(&self, table: &mut SiteTable) -> Result<(), Nothing> {
        let profile = Arc::clone(table.functions.profile());
        let mut found = vec![false; self.only_calls.len()];
        for site in &mut table.sites {
            let name = table.functions.get(site.word().function()).name.as_str();
            let stub = profile.entry_code(name) == Some(EntryCode::Stub)
                && !site.is_app()
                && !profile.calls.bypass.has(name);
            let call = if stub {
                Some(profile.shortcut(name))
            } else {
                name.strip_prefix(IMPLEMENTATION)
            };
            let Some(call) = call.filter(|_| site.word().kind() == Some(Kind::Entry)) else {
                continue;
            };
            let mut wanted = self.only_calls.is_empty() || ALWAYS.contains(&call);
            for (found, one) in found.iter_mut().zip(&self.only_calls) {
                *found |= one.is_name(call);
                wanted |= one.is_name(call);
            }
            if !wanted {
                site.flags |= SiteFlags::LEFT_OUT;
            }
        }
        let missing = found.iter().position(|found| !found);
        missing.map_or(Ok(()), |at| {
            let wanted = self.only_calls[at].to_string();
            Err(Nothing::Call { wanted })
        })
    }
}

#[cfg(test)]
mod tests {
    use wire::Site;

    use super::*;
    use crate::profile::Profile;
    use crate::trace::functions::Functions;

    fn table() -> SiteTable {
        let mut functions = Functions::default();
        let mut sites = Vec::new();
        let all = [
            (
                "entry_SYSCALL_64",
                "entry",
                Kind::SyscallEntry,
                SiteFlags::LEAVES,
            ),
            ("__x64_sys_read", "kernel:fs", Kind::Entry, 0),
            ("vfs_read", "kernel:fs", Kind::Entry, 0),
            ("tcp_push", "kernel:net", Kind::Entry, 0),
            ("main", "app", Kind::AppEntry, 0),
        ];
        for (at, (name, origin, kind, flags)) in all.into_iter().enumerate() {
            let number = functions.push(Function {
                name: name.to_owned(),
                origin: origin.parse().unwrap(),
                label: false,
                file: None,
            });
            sites.push(Site::new(0x1000 * (at as u64 + 1), kind, number, flags));
        }
        SiteTable {
            sites,
            functions,
            calls: Vec::new(),
        }
    }

    fn wanted(list: &str) -> Vec<Wanted> {
        let names = list.split(',').filter(|name| !name.is_empty());
        names.map(|name| name.parse().unwrap()).collect()
    }

    /// Names of the functions that are left out.
    fn check(only: &str, not: &str, expected: &[&str]) {
        let mut table = table();
        let filter = Filter {
            only: wanted(only),
            not: wanted(not),
            ..Filter::default()
        };
        filter.mark(&mut table).unwrap();
        let quiet = table
            .sites
            .iter()
            .filter(|site| site.flags & SiteFlags::QUIET != 0);
        let names: Vec<_> = quiet
            .map(|site| table.functions.get(site.word().function()).name.as_str())
            .collect();
        assert_eq!(names, expected, "--only {only} --not {not}");
    }

    #[test]
    fn functions_are_left_out_but_for_those_that_tell_where_control_is() {
        check("", "", &[]);
        check("tcp_push", "", &["vfs_read"]);
        check("kernel:fs", "", &["tcp_push"]);
        check("", "kernel", &["vfs_read", "tcp_push"]);
        check("kernel", "tcp_*", &["tcp_push"]);
    }

    #[test]
    fn what_is_always_recorded_cannot_be_left_out() {
        for kept in ["entry_SYSCALL_64", "main", "app", "__x64_sys_*"] {
            let filter = Filter {
                not: wanted(&format!("tcp_push,{kept}")),
                ..Filter::default()
            };
            let wanted = kept.to_owned();
            assert_eq!(filter.mark(&mut table()), Err(Nothing::Kept { wanted }));
            assert_eq!(
                filter.leaves_out_functions(),
                Some(format!("--not tcp_push,{kept}"))
            );
        }
    }

    #[test]
    fn a_trigger_is_a_mark_of_its_own() {
        let mut table = table();
        let filter = Filter {
            start_at: wanted("vfs_*"),
            stop_at: wanted("main"),
            ..Filter::default()
        };
        assert!(filter.begins_off());
        filter.mark(&mut table).unwrap();
        let flags: Vec<_> = table.sites.iter().map(|site| site.flags).collect();
        let (starts, stops) = (SiteFlags::STARTS, SiteFlags::STOPS);
        assert_eq!(flags, [SiteFlags::LEAVES, 0, starts, 0, stops]);
    }

    /// Names of the calls that are left out, of `names`.
    fn check_calls(only: &str, names: &[&str], expected: &[&str]) {
        let ukl = Profile::recognise(|name| name == "__ukl_text_start");
        let mut functions = Functions::of(ukl);
        let number = |name: &&str| {
            functions.push(Function {
                name: (*name).to_owned(),
                origin: Origin::Entry,
                label: false,
                file: None,
            })
        };
        let numbers: Vec<u32> = names.iter().map(number).collect();
        let at = |number| Site::new(0x1000 * u64::from(number), Kind::Entry, number, 0);
        let mut table = SiteTable {
            sites: numbers.into_iter().map(at).collect(),
            functions,
            calls: Vec::new(),
        };
        let filter = Filter {
            only_calls: wanted(only),
            ..Filter::default()
        };
        filter.mark(&mut table).unwrap();
        let out = table
            .sites
            .iter()
            .filter(|site| site.flags & SiteFlags::LEFT_OUT != 0);
        let out: Vec<&str> = out
            .map(|site| table.functions.get(site.word().function()).name.as_str())
            .collect();
        assert_eq!(out, expected, "--only-calls {only}");
    }

    #[test]
    fn calls_are_left_out_but_for_those_that_tell_where_the_application_is() {
        let names = [
            "__x64_sys_read",
            "__x64_sys_pread64",
            "__x64_sys_execve",
            "vfs_read",
            "ukl_bypass_syscall",
            "ukl_tcp_sendmsg",
        ];
        check_calls("", &names, &[]);
        let shortcut = "ukl_tcp_sendmsg";
        check_calls("read", &names, &["__x64_sys_pread64", shortcut]);
        check_calls("*read*", &names, &[shortcut]);
        let both = ["__x64_sys_read", "__x64_sys_pread64"];
        check_calls("tcp_sendmsg", &names, &both);
    }

    #[test]
    fn what_names_nothing_is_an_error() {
        let filter = Filter {
            only: wanted("vfs_read,vfs_raed"),
            ..Filter::default()
        };
        let error = filter.mark(&mut table()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("--only 'vfs_raed' is no function")
        );
        let filter = Filter {
            only_calls: wanted("read,raed"),
            ..Filter::default()
        };
        let error = filter.mark(&mut table()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("--only-calls 'raed' is no call")
        );
    }
}
