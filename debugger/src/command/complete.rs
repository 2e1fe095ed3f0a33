//! What a half-typed line may become.

use super::entry::Completes;
use super::parse::take_apart;
use super::table::TABLE;

/// Where names to complete with come from.
pub trait Names {
    /// Up to `limit` symbols that begin so.
    fn symbols(&self, prefix: &str, limit: usize) -> Vec<String>;

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
        .find(char::is_whitespace)
        .map_or(line.len(), |at| end + at + 1);
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
            found
        }
        Completes::Symbols => symbols(piece, names),
        Completes::Expressions => match piece.strip_prefix('$') {
            Some(prefix) => names
                .registers()
                .into_iter()
                .chain(OF_THE_STOP.iter().map(|&name| name.to_owned()))
                .chain(FUNCTIONS.iter().map(|&name| name.to_owned()))
                .filter(|name| name.starts_with(prefix))
                .map(|name| format!("${name}"))
                .collect(),
            None => symbols(piece, names),
        },
    };
    found
        .into_iter()
        .map(|name| format!("{before}{name}"))
        .collect()
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
    }

    #[test]
    fn commands_words_symbols_and_registers_complete() {
        let check =
            |line: &str, expected: &[&str]| assert_eq!(complete(line, &Two), expected, "{line}");
        check("ste", &["stepi", "step", "stepping"]);
        check("b ksys_w", &["b ksys_write"]);
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
        check("nothing x", &[]);
        check("help cro", &["help cross"]);
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
