//! Values to be opened: a `struct fd` with its file, and an array that is longer than any screen.

use debugger::addr::Addr;
use debugger::command::PartsOf;
use debugger::event::{Event, Part, Parts, Watched};
use debugger::known::Known;

const FILE_AT: u64 = 0xffff_8880_0312_4a00;

fn part(name: &str, expression: &str, type_name: &str, value: &str, opens: bool) -> Part {
    Part {
        name: name.to_owned(),
        expression: expression.to_owned(),
        type_name: Some(type_name.to_owned()),
        value: Known::Yes(value.to_owned()),
        opens,
        address: None,
        size: None,
        changed: false,
    }
}

fn number(name: &str, expression: &str, type_name: &str, bits: u64, letter: Option<char>) -> Part {
    let text = match letter {
        Some('x' | 'a') => format!("{bits:#x}"),
        Some('t') => format!("{bits:b}"),
        _ => bits.to_string(),
    };
    part(name, expression, type_name, &text, false)
}

fn variables() -> Vec<Part> {
    vec![
        number("fd", "fd", "unsigned int", 1, None),
        part("buf", "buf", "const char *", "0x7ffffffdfea7 \"x\"", true),
        Part {
            value: Known::no("it is optimised out"),
            ..part("ret", "ret", "ssize_t", "", false)
        },
        Part {
            address: Some(Addr(0xffff_c900_0001_3ef0)),
            ..part(
                "f",
                "f",
                "struct fd",
                "{file = 0xffff888003124a00, flags = 0}",
                true,
            )
        },
        part("table", "table", "int [2000]", "{0, 1, 4, …}", true),
    ]
}

/// The parts of one of these values; none for others.
fn inside(expression: &str, letter: Option<char>) -> Option<Vec<Part>> {
    Some(match expression {
        "buf" => vec![part("*", "*buf", "const char", "120 'x'", false)],
        "f" => vec![
            Part {
                address: Some(Addr(0xffff_c900_0001_3ef0)),
                ..part(
                    "file",
                    "f.file",
                    "struct file *",
                    &format!("{FILE_AT:#x}"),
                    true,
                )
            },
            number("flags", "f.flags", "unsigned int", 0, letter),
        ],
        "f.file" => vec![
            number("f_mode", "f.file->f_mode", "fmode_t", 0x5_001f, letter),
            part(
                "f_path",
                "f.file->f_path",
                "struct path",
                "{mnt = 0xffff888003cc0820, …}",
                true,
            ),
            number("f_pos", "f.file->f_pos", "loff_t", 4096, letter),
        ],
        "table" => (0..2000)
            .map(|i| {
                number(
                    &format!("[{i}]"),
                    &format!("table[{i}]"),
                    "int",
                    i * i,
                    letter,
                )
            })
            .collect(),
        _ => return None,
    })
}

pub(crate) fn answer(asked: &[PartsOf]) -> Vec<Parts> {
    asked.iter().map(apart).collect()
}

fn apart(asked: &PartsOf) -> Parts {
    let (of, parts) = match asked.expression.as_deref() {
        None => (Part::default(), variables()),
        Some(text) => {
            let known = variables().into_iter();
            let known = known.chain(inside("f", asked.letter).unwrap_or_default());
            let known = known.chain(inside("f.file", asked.letter).unwrap_or_default());
            let of = known.into_iter().find(|part| part.expression == text);
            let nothing = || Part {
                expression: text.to_owned(),
                value: Known::no(format!("no symbol or variable is named {text}")),
                ..Part::default()
            };
            (
                of.unwrap_or_else(nothing),
                inside(text, asked.letter).unwrap_or_default(),
            )
        }
    };
    let total = parts.len() as u64;
    let from = usize::try_from(asked.from).expect("a small number");
    let count = usize::try_from(asked.count).expect("a small number");
    Parts {
        function: Some("ksys_write".to_owned()),
        of,
        from: asked.from,
        total,
        parts: parts.into_iter().skip(from).take(count).collect(),
    }
}

/// Three watch expressions as a session tells them.
pub(crate) fn watched(insns: u64, changed: bool) -> Event {
    let watched = |number, expression: &str, value, type_name: Option<&str>, opens| Watched {
        number,
        expression: expression.to_owned(),
        value,
        changed: changed && number == 2,
        type_name: type_name.map(str::to_owned),
        opens,
        letter: None,
    };
    let yes = |text: &str| Known::Yes(text.to_owned());
    Event::Watched(vec![
        watched(
            1,
            "f.file",
            yes(&format!("{FILE_AT:#x}")),
            Some("struct file *"),
            true,
        ),
        watched(
            2,
            "$_insns",
            yes(&insns.to_string()),
            Some("unsigned long"),
            false,
        ),
        watched(
            3,
            "nothing",
            Known::no(
                "evaluating 'nothing': no symbol or variable is named nothing; 'symbols PATTERN' finds names",
            ),
            None,
            false,
        ),
    ])
}
