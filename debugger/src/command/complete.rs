//! What a half-typed line may become.

use super::entry::{Completes, Entry};
use super::member::member;
use super::parse::take_apart;
use super::table::TABLE;

/// Where names to complete with come from.
pub trait Names {
    /// Up to `limit` symbols that begin so.
    fn symbols(&self, prefix: &str, limit: usize) -> Vec<String>;

    /// Up to `limit` types that begin so, with their keyword: `struct file`, `pid_t`.
    fn types(&self, _prefix: &str, _limit: usize) -> Vec<String> {
        Vec::new()
    }

    /// Up to `limit` source files whose path begins so, or whose name does where no `/` is in it.
    fn files(&self, _prefix: &str, _limit: usize) -> Vec<String> {
        Vec::new()
    }

    /// The variables of the selected frame.
    fn variables(&self) -> Vec<String> {
        Vec::new()
    }

    /// The members of the value that [`value_with_members`] finds in the line.
    fn members(&self) -> Vec<String> {
        Vec::new()
    }

    /// Registers' names, without the `$`.
    fn registers(&self) -> Vec<String> {
        REGISTERS.iter().map(|&name| name.to_owned()).collect()
    }
}

const LIMIT: usize = 50;

/// What the debugger knows itself of the stop, without the `$`.
pub(crate) const OF_THE_STOP: &[&str] =
    &["_cpu", "_task", "_crossing", "_kind", "_insns", "_result"];

/// `$list(` and its like.
pub(crate) const FUNCTIONS: &[&str] = &[
    "list(",
    "hlist(",
    "rbtree(",
    "xarray(",
    "maple(",
    "container_of(",
    "percpu(",
    "len(",
];

const REGISTERS: &[&str] = &[
    "rax",
    "rbx",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
    "rbp",
    "rsp",
    "r8",
    "r9",
    "r10",
    "r11",
    "r12",
    "r13",
    "r14",
    "r15",
    "rip",
    "eflags",
    "cs",
    "ss",
    "fs_base",
    "gs_base",
    "k_gs_base",
    "cr0",
    "cr2",
    "cr3",
    "cr4",
    "cr8",
    "efer",
    "pc",
    "sp",
];

/// A line whose command is typed, at its last name.
struct Argument<'a> {
    entry: &'static Entry,
    completes: Completes,
    before: &'a str,
    /// With its `$`.
    name: &'a str,
    /// No other argument stands before it.
    is_first: bool,
}

/// Whole lines that begin with `line`, best first; empty where nothing fits.
#[must_use]
pub fn complete(line: &str, names: &dyn Names) -> Vec<String> {
    let start = line.len() - line.trim_start().len();
    let (word, _) = take_apart(line);
    if start + word.len() == line.len() {
        return commands(word)
            .map(|name| format!("{}{name}", &line[..start]))
            .collect();
    }
    let Some(argument) = argument(line) else {
        return Vec::new();
    };
    let Argument {
        entry,
        completes,
        before,
        name,
        is_first,
    } = argument;
    let found: Vec<String> = match completes {
        Completes::Nothing => Vec::new(),
        Completes::Commands => commands(name).map(str::to_owned).collect(),
        Completes::Words(words) if is_first => begins(words, name),
        // `info symbol NAME`, `info line LOCATION`
        Completes::Words(_) if entry.name == "info" => names.symbols(name, LIMIT),
        Completes::Words(_) => Vec::new(),
        Completes::WordsAndSymbols(words) => {
            let mut found = if is_first {
                begins(words, name)
            } else {
                Vec::new()
            };
            found.extend(symbols(name, names));
            return places(line, before, found, names);
        }
        Completes::Symbols => return places(line, before, symbols(name, names), names),
        Completes::Expressions => expressions(&argument, names),
    };
    found
        .into_iter()
        .map(|name| format!("{before}{name}"))
        .collect()
}

/// The value whose members [`complete`] asks for: `current->files` of `print current->files->fd`.
#[must_use]
pub fn value_with_members(line: &str) -> Option<&str> {
    let argument = argument(line)?;
    let is_expression = argument.completes == Completes::Expressions;
    is_expression.then(|| member(line))?.map(|(value, _)| value)
}

fn argument(line: &str) -> Option<Argument<'_>> {
    let start = line.len() - line.trim_start().len();
    let (word, _) = take_apart(line);
    let end = start + word.len();
    let entry = super::parse::find(word).ok()?;
    let argument_start = line[end..]
        .char_indices()
        .find(|(_, c)| c.is_whitespace())
        .map_or(line.len(), |(at, c)| end + at + c.len_utf8());
    let name_start = line
        .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '$')))
        .map_or(0, |at| {
            at + line[at..].chars().next().map_or(1, char::len_utf8)
        });
    if name_start < argument_start {
        return None;
    }
    let (before, name) = line.split_at(name_start);
    let others = &before[argument_start..];
    Some(Argument {
        entry,
        // `break ksys_write if CONDITION`
        completes: match others.contains(" if ") {
            true => Completes::Expressions,
            false => entry.completes,
        },
        before,
        name,
        is_first: others.trim().is_empty(),
    })
}

/// What the last name of an expression may become.
fn expressions(argument: &Argument<'_>, names: &dyn Names) -> Vec<String> {
    let (before, piece) = (argument.before, argument.name);
    if let Some(keyword) = keyword(before) {
        let types = names.types(&format!("{keyword} {piece}"), LIMIT);
        let types = types.iter().filter_map(|name| name.split_once(' '));
        return types.map(|(_, name)| name.to_owned()).collect();
    }
    let mut found = Vec::new();
    if let Some((_, begun)) = member(&format!("{before}{piece}")) {
        let of = &piece[..piece.len() - begun.len()];
        let members = names.members().into_iter();
        let members = members.filter(|name| name.starts_with(begun));
        found.extend(members.map(|name| format!("{of}{name}")));
    }
    if before.ends_with("->") {
        return found;
    }
    if let Some(prefix) = piece.strip_prefix('$') {
        let registers = names.registers().into_iter();
        let own = OF_THE_STOP.iter().chain(FUNCTIONS);
        let all = registers.chain(own.map(|&name| name.to_owned()));
        let fitting = all.filter(|name| name.starts_with(prefix));
        found.extend(fitting.map(|name| format!("${name}")));
        return found;
    }
    let own = names.variables().into_iter();
    found.extend(own.filter(|name| name.starts_with(piece)));
    found.extend(symbols(piece, names));
    if matches!(argument.entry.name, "ptype" | "whatis") && !piece.is_empty() {
        found.extend(names.types(piece, LIMIT));
    }
    found
}

/// The keyword that a type's name stands behind.
fn keyword(before: &str) -> Option<&'static str> {
    let word = before.strip_suffix(' ')?;
    let keywords = ["struct", "union", "enum"];
    keywords.into_iter().find(|keyword| {
        let rest = word.strip_suffix(keyword);
        rest.is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// Names that a place may have, and the files whose lines it may be.
fn places(line: &str, before: &str, found: Vec<String>, names: &dyn Names) -> Vec<String> {
    let start = line.rfind(char::is_whitespace).map_or(0, |at| {
        at + line[at..].chars().next().map_or(1, char::len_utf8)
    });
    let (outside, file) = line.split_at(start);
    let mut lines = Vec::new();
    if !file.contains('/') {
        lines.extend(found.iter().map(|name| format!("{before}{name}")));
    }
    if !file.is_empty() {
        let files = names.files(file, LIMIT).into_iter();
        lines.extend(files.map(|file| format!("{outside}{file}:")));
    }
    lines
}

fn commands(prefix: &str) -> impl Iterator<Item = &'static str> {
    TABLE
        .iter()
        .map(|entry| entry.name)
        .filter(move |name| name.starts_with(prefix))
}

fn begins(words: &[&str], prefix: &str) -> Vec<String> {
    words
        .iter()
        .filter(|word| word.starts_with(prefix))
        .map(|&word| word.to_owned())
        .collect()
}

/// None for an empty prefix: every symbol of a kernel is no help.
fn symbols(prefix: &str, names: &dyn Names) -> Vec<String> {
    if prefix.is_empty() {
        Vec::new()
    } else {
        names.symbols(prefix, LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Two;

    impl Names for Two {
        fn symbols(&self, prefix: &str, limit: usize) -> Vec<String> {
            let all = ["ksys_read", "ksys_write"];
            begins(&all, prefix).into_iter().take(limit).collect()
        }

        fn types(&self, prefix: &str, limit: usize) -> Vec<String> {
            let all = ["struct file", "struct files_struct", "pid_t"];
            begins(&all, prefix).into_iter().take(limit).collect()
        }

        fn files(&self, prefix: &str, _limit: usize) -> Vec<String> {
            match prefix.contains('/') {
                true => begins(&["fs/read_write.c"], prefix),
                false => begins(&["read_write.c"], prefix),
            }
        }

        fn variables(&self) -> Vec<String> {
            vec!["count".to_owned()]
        }

        fn members(&self) -> Vec<String> {
            ["comm", "count", "pid"].map(str::to_owned).to_vec()
        }
    }

    #[test]
    fn commands_words_symbols_and_registers_complete() {
        let check =
            |line: &str, expected: &[&str]| assert_eq!(complete(line, &Two), expected, "{line}");
        check("ste", &["stepi", "step", "stepping"]);
        check("b ksys_w", &["b ksys_write"]);
        check("b\u{a0}ksys_w", &["b\u{a0}ksys_write"]);
        check("b app:ksys_r", &["b app:ksys_read"]);
        check("cross ", &["cross back"]);
        check("info reg", &["info registers"]);
        check(
            "x/8gx $cr",
            &[
                "x/8gx $cr0",
                "x/8gx $cr2",
                "x/8gx $cr3",
                "x/8gx $cr4",
                "x/8gx $cr8",
            ],
        );
        check("p 1+ksys_w", &["p 1+ksys_write"]);
        check("display $_c", &["display $_cpu", "display $_crossing"]);
        check("p $perc", &["p $percpu("]);
        check("b ", &["b cross"]);
        check("b read_w", &["b read_write.c:"]);
        check("b fs/read_w", &["b fs/read_write.c:"]);
        check("p 2*co", &["p 2*count"]);
        check("p f->co", &["p f->comm", "p f->count"]);
        check(
            "display *f.g[0].co",
            &["display *f.g[0].comm", "display *f.g[0].count"],
        );
        check("p $_task.p", &["p $_task.pid"]);
        check("p f->x", &[]);
        check("p 1.", &[]);
        check("b ksys_w if cou", &["b ksys_w if count"]);
        check("b ksys_w if f->p", &["b ksys_w if f->pid"]);
        check("cond 1 f->p", &["cond 1 f->pid"]);
        check(
            "p (struct fi",
            &["p (struct file", "p (struct files_struct"],
        );
        check("ptype pi", &["ptype pid_t"]);
        check("nothing x", &[]);
        check("help cro", &["help cross", "help crossed"]);
    }

    #[test]
    fn members_are_asked_for_in_expressions_alone() {
        assert_eq!(value_with_members("p f->co"), Some("f"));
        assert_eq!(value_with_members("b ksys_w if f.g->"), Some("f.g"));
        assert_eq!(value_with_members("b read_write.c"), None);
        assert_eq!(value_with_members("p f"), None);
        assert_eq!(value_with_members("f->co"), None);
    }

    proptest! {
        #[test]
        fn what_completes_begins_with_the_line(line in "[ a-zé/$:.>-]{0,10}") {
            for found in complete(&line, &Two) {
                prop_assert!(found.starts_with(&line));
            }
        }
    }
}
