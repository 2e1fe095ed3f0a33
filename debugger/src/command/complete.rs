//! What a half-typed line may become.

use super::entry::Completes;
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

/// Whole lines that begin with `line`, best first; empty where nothing fits.
#[must_use]
pub fn complete(line: &str, names: &dyn Names) -> Vec<String> {
    let start = line.len() - line.trim_start().len();
    let (word, _) = take_apart(line);
    let end = start + word.len();
    if end == line.len() {
        return commands(word)
            .map(|name| format!("{}{name}", &line[..start]))
            .collect();
    }
    let Ok(entry) = super::parse::find(word) else {
        return Vec::new();
    };
    let argument_start = line[end..]
        .char_indices()
        .find(|(_, c)| c.is_whitespace())
        .map_or(line.len(), |(at, c)| end + at + c.len_utf8());
    // The piece under the cursor: a name, with its `$`.
    let piece_start = line
        .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '$')))
        .map_or(0, |at| {
            at + line[at..].chars().next().map_or(1, char::len_utf8)
        });
    if piece_start < argument_start {
        return Vec::new();
    }
    let (before, piece) = line.split_at(piece_start);
    let first = before[argument_start..].trim().is_empty();
    let found: Vec<String> = match entry.completes {
        Completes::Nothing => Vec::new(),
        Completes::Commands => commands(piece).map(str::to_owned).collect(),
        Completes::Words(words) if first => begins(words, piece),
        // `info symbol NAME`, `info line LOCATION`
        Completes::Words(_) if entry.name == "info" => names.symbols(piece, LIMIT),
        Completes::Words(_) => Vec::new(),
        Completes::WordsAndSymbols(words) => {
            let mut found = if first {
                begins(words, piece)
            } else {
                Vec::new()
            };
            found.extend(symbols(piece, names));
            return places(line, before, found, names);
        }
        Completes::Symbols => return places(line, before, symbols(piece, names), names),
        Completes::Expressions if keyword(before).is_some() => {
            let keyword = keyword(before).unwrap_or_default();
            let types = names
                .types(&format!("{keyword} {piece}"), LIMIT)
                .into_iter();
            types
                .filter_map(|name| Some(name.split_once(' ')?.1.to_owned()))
                .collect()
        }
        Completes::Expressions => match piece.strip_prefix('$') {
            Some(prefix) => names
                .registers()
                .into_iter()
                .chain(OF_THE_STOP.iter().map(|&name| name.to_owned()))
                .chain(FUNCTIONS.iter().map(|&name| name.to_owned()))
                .filter(|name| name.starts_with(prefix))
                .map(|name| format!("${name}"))
                .collect(),
            // What stands behind is no name of its own.
            None if before.ends_with("->") || before.ends_with('.') => Vec::new(),
            None => {
                let own = names.variables().into_iter();
                let mut found: Vec<String> = own.filter(|name| name.starts_with(piece)).collect();
                found.extend(symbols(piece, names));
                if matches!(entry.name, "ptype" | "whatis") && !piece.is_empty() {
                    found.extend(names.types(piece, LIMIT));
                }
                found
            }
        },
    };
    found
        .into_iter()
        .map(|name| format!("{before}{name}"))
        .collect()
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
        check("p f->co", &[]);
        check(
            "p (struct fi",
            &["p (struct file", "p (struct files_struct"],
        );
        check("ptype pi", &["ptype pid_t"]);
        check("nothing x", &[]);
        check("help cro", &["help cross", "help crossed"]);
    }

    proptest! {
        #[test]
        fn what_completes_begins_with_the_line(line in "[ a-zé/$:]{0,10}") {
            for found in complete(&line, &Two) {
                prop_assert!(found.starts_with(&line));
            }
        }
    }
}
