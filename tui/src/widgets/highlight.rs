//! What each part of a source line is, in C and in the kernel's assembly: a lexer of lines, which
//! knows no more than what colour needs.

use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    Comment,
    /// With its quotes; a single character too.
    Text,
    Number,
    Keyword,
    Type,
    /// A name with a parenthesis behind it; an instruction in assembly.
    Call,
    /// `#include`, `.section`
    Directive,
    /// `%rax`, a label
    Register,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    C,
    Assembly,
}

/// Lexes the lines of a file in order: a comment may reach over several.
#[derive(Clone, Debug)]
pub struct Highlighter {
    language: Language,
    in_comment: bool,
}

impl Language {
    /// By the file's name.
    #[must_use]
    pub fn of(file: &str) -> Self {
        match file.rsplit_once('.') {
            Some((_, "S" | "s" | "asm")) => Self::Assembly,
            _ => Self::C,
        }
    }
}

impl Highlighter {
    /// For a file's lines from anywhere within it: where a comment ends before one begins, it
    /// began above.
    pub fn new<'a>(language: Language, lines: impl IntoIterator<Item = &'a str>) -> Self {
        let in_comment = lines.into_iter().find_map(|line| {
            let (begin, end) = (line.find("/*"), line.find("*/"));
            match (begin, end) {
                (Some(begin), Some(end)) => Some(end < begin),
                (None, Some(_)) => Some(true),
                (Some(_), None) => Some(false),
                (None, None) => None,
            }
        });
        Self {
            language,
            in_comment: in_comment.unwrap_or(false),
        }
    }

    /// The parts of the next line that are something, in order; what is left out is plain.
    pub fn line(&mut self, line: &str) -> Vec<(Range<usize>, Token)> {
        let mut lexer = Lexer {
            line,
            at: 0,
            tokens: Vec::new(),
        };
        if self.in_comment {
            self.in_comment = lexer.comment(0);
        }
        match self.language {
            Language::C => self.c(&mut lexer),
            Language::Assembly => self.assembly(&mut lexer),
        }
        lexer.tokens
    }

    fn c(&mut self, lexer: &mut Lexer<'_>) {
        lexer.directive();
        while let Some(letter) = lexer.peek() {
            let start = lexer.at;
            let rest = lexer.rest();
            if rest.starts_with("//") {
                lexer.push(start, lexer.line.len(), Token::Comment);
            } else if rest.starts_with("/*") {
                self.in_comment = lexer.comment(2);
            } else if letter == '"' || letter == '\'' {
                lexer.quoted(letter);
            } else if letter.is_ascii_digit() {
                lexer.number();
            } else if is_word(letter) {
                let word = lexer.word();
                let called = lexer.rest().trim_start().starts_with('(');
                let token = match word {
                    _ if KEYWORDS.contains(&word) => Some(Token::Keyword),
                    _ if TYPES.contains(&word) || is_type(word) => Some(Token::Type),
                    _ if called => Some(Token::Call),
                    _ => None,
                };
                if let Some(token) = token {
                    lexer.push(start, lexer.at, token);
                }
            } else {
                lexer.at += letter.len_utf8();
            }
        }
    }

    fn assembly(&mut self, lexer: &mut Lexer<'_>) {
        // The first word of a statement is its instruction.
        let mut first = !lexer.directive();
        while let Some(letter) = lexer.peek() {
            let start = lexer.at;
            let rest = lexer.rest();
            if rest.starts_with("//") || letter == '#' {
                lexer.push(start, lexer.line.len(), Token::Comment);
            } else if rest.starts_with("/*") {
                self.in_comment = lexer.comment(2);
            } else if letter == '"' {
                lexer.quoted(letter);
            } else if letter == ';' {
                lexer.at += 1;
                first = true;
            } else if letter == '%' || letter == '\\' {
                lexer.at += 1;
                lexer.word();
                lexer.push(start, lexer.at, Token::Register);
            } else if letter.is_ascii_digit() {
                lexer.number();
            } else if letter == '.' || is_word(letter) {
                lexer.at += letter.len_utf8();
                lexer.word();
                let label = first && lexer.rest().starts_with(':');
                let token = match first {
                    _ if label => Some(Token::Register),
                    true if letter == '.' => Some(Token::Directive),
                    true => Some(Token::Call),
                    false => None,
                };
                if let Some(token) = token {
                    lexer.push(start, lexer.at, token);
                }
                first = label;
            } else {
                lexer.at += letter.len_utf8();
            }
        }
    }
}

struct Lexer<'a> {
    line: &'a str,
    at: usize,
    tokens: Vec<(Range<usize>, Token)>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.line[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn push(&mut self, start: usize, end: usize, token: Token) {
        self.tokens.push((start..end, token));
        self.at = end;
    }

    /// `#include`, with spaces before and behind the sign.
    fn directive(&mut self) -> bool {
        let rest = self.rest();
        let Some(behind) = rest.trim_start().strip_prefix('#') else {
            return false;
        };
        let word = behind.trim_start();
        let len = word.find(|c| !is_word(c)).unwrap_or(word.len());
        if !DIRECTIVES.contains(&&word[..len]) {
            return false;
        }
        let start = self.line.len() - rest.trim_start().len();
        self.push(start, self.line.len() - word.len() + len, Token::Directive);
        true
    }

    /// A comment from here, whose sign is so long; whether it goes on in the next line.
    fn comment(&mut self, sign: usize) -> bool {
        let start = self.at;
        let body = start + sign;
        match self.line[body..].find("*/") {
            Some(found) => {
                self.push(start, body + found + 2, Token::Comment);
                false
            }
            None => {
                self.push(start, self.line.len(), Token::Comment);
                true
            }
        }
    }

    fn quoted(&mut self, quote: char) {
        let mut escaped = false;
        let end = self.line[self.at + 1..]
            .char_indices()
            .find(|(_, letter)| {
                let ends = *letter == quote && !escaped;
                escaped = *letter == '\\' && !escaped;
                ends
            })
            .map_or(self.line.len(), |(found, _)| self.at + 1 + found + 1);
        self.push(self.at, end, Token::Text);
    }

    fn number(&mut self) {
        let start = self.at;
        self.word();
        self.push(start, self.at, Token::Number);
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// `pid_t`, `u64`, `__le32`
fn is_type(word: &str) -> bool {
    word.ends_with("_t") && word.len() > 2
}

const DIRECTIVES: &[&str] = &[
    "include", "define", "undef", "if", "ifdef", "ifndef", "elif", "else", "endif", "error",
    "warning", "pragma", "line",
];

const KEYWORDS: &[&str] = &[
    "auto",
    "break",
    "case",
    "const",
    "continue",
    "default",
    "do",
    "else",
    "enum",
    "extern",
    "for",
    "goto",
    "if",
    "inline",
    "register",
    "restrict",
    "return",
    "sizeof",
    "static",
    "struct",
    "switch",
    "typedef",
    "union",
    "volatile",
    "while",
    "__always_inline",
    "asmlinkage",
    "asm",
    "noinline",
    "typeof",
    "__user",
    "__init",
    "class",
    "namespace",
    "new",
    "delete",
    "template",
    "public",
    "private",
    "using",
];

const TYPES: &[&str] = &[
    "void", "char", "short", "int", "long", "float", "double", "signed", "unsigned", "bool",
    "_Bool", "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "__u8", "__u16", "__u32",
    "__u64", "__s32", "__s64", "uint", "ulong",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(language: Language, lines: &[&str]) -> Vec<(String, Token)> {
        let mut highlighter = Highlighter::new(language, lines.iter().copied());
        let mut all = Vec::new();
        for line in lines {
            let found = highlighter.line(line);
            all.extend(
                found
                    .into_iter()
                    .map(|(range, token)| (line[range].to_owned(), token)),
            );
        }
        all
    }

    #[test]
    fn c_is_told_apart() {
        let found = parts(
            Language::C,
            &[
                "end of a comment */ static u64 f(void)",
                "\treturn g(\"a\\\"b\", 'c') + 0x1fUL; // why",
                "#include <x.h> /* from",
                "here */ }",
            ],
        );
        let expected = [
            ("end of a comment */", Token::Comment),
            ("static", Token::Keyword),
            ("u64", Token::Type),
            ("f", Token::Call),
            ("void", Token::Type),
            ("return", Token::Keyword),
            ("g", Token::Call),
            ("\"a\\\"b\"", Token::Text),
            ("'c'", Token::Text),
            ("0x1fUL", Token::Number),
            ("// why", Token::Comment),
            ("#include", Token::Directive),
            ("/* from", Token::Comment),
            ("here */", Token::Comment),
        ];
        let expected: Vec<_> = expected
            .map(|(text, token)| (text.to_owned(), token))
            .into();
        assert_eq!(found, expected);
    }

    #[test]
    fn assembly_is_told_apart() {
        let found = parts(
            Language::Assembly,
            &[
                "1:\tmovq %rsp, PER_CPU_VAR(x) /* keep */",
                "#ifdef A",
                "\t.balign 16 # pad",
            ],
        );
        let texts: Vec<_> = found.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "1",
                "movq",
                "%rsp",
                "/* keep */",
                "#ifdef",
                ".balign",
                "16",
                "# pad"
            ]
        );
        assert_eq!(found[1].1, Token::Call);
        assert_eq!(found[4].1, Token::Directive);
    }

    proptest! {
        #[test]
        fn parts_are_in_order_and_within_the_line(line in "\\PC{0,60}", assembly: bool, within: bool) {
            let language = if assembly { Language::Assembly } else { Language::C };
            let mut highlighter = Highlighter { language, in_comment: within };
            let mut end = 0;
            for (range, _) in highlighter.line(&line) {
                prop_assert!(end <= range.start && range.start <= range.end);
                prop_assert!(line.get(range.clone()).is_some());
                end = range.end;
            }
            prop_assert!(end <= line.len());
        }
    }
}
