//! Values as lines of plain text: what `parts` and `display` tell.

use debugger::event::{Part, Parts, Watched};

use super::text::known;

/// The whole, then a line for each part; `+` marks those that have parts themselves.
pub(super) fn parts(list: &[Parts]) -> Vec<String> {
    let mut lines = Vec::new();
    for one in list {
        if !one.of.expression.is_empty() {
            lines.push(part(&one.of, &one.of.expression));
        }
        lines.extend(one.parts.iter().map(|inner| {
            let mark = if inner.opens { '+' } else { ' ' };
            format!("{mark} {}", part(inner, &inner.name))
        }));
        let end = one.from + one.parts.len() as u64;
        if end < one.total {
            let of = &one.of.expression;
            let line = format!("  … {} more: parts {of} from {end}", one.total - end);
            lines.push(line.replace("  from", " from"));
        }
    }
    lines
}

fn part(part: &Part, name: &str) -> String {
    let value = known(&part.value, String::clone);
    let type_name = part.type_name.as_deref().unwrap_or("of no known type");
    format!("{name} = {value}  ({type_name})")
}

/// The watch expressions after a stop.
pub(super) fn watched(list: &[Watched]) -> Vec<String> {
    let line = |one: &Watched| {
        let mark = if one.changed { '*' } else { ' ' };
        let letter = one
            .letter
            .map_or_else(String::new, |letter| format!("/{letter} "));
        let value = known(&one.value, String::clone);
        format!("{mark}{}: {letter}{} = {value}", one.number, one.expression)
    };
    list.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use debugger::known::Known;

    #[test]
    fn what_is_left_out_is_told_with_the_line_that_shows_it() {
        let part = |name: &str, opens| Part {
            name: name.to_owned(),
            expression: format!("table{name}"),
            type_name: Some("int".to_owned()),
            value: Known::Yes("1".to_owned()),
            opens,
            ..Part::default()
        };
        let whole = Parts {
            function: None,
            of: Part {
                expression: "table".to_owned(),
                value: Known::Yes("{1, …}".to_owned()),
                ..Part::default()
            },
            from: 2,
            total: 9,
            parts: vec![part("[2]", false), part("[3]", true)],
        };
        assert_eq!(
            parts(&[whole]),
            [
                "table = {1, …}  (of no known type)",
                "  [2] = 1  (int)",
                "+ [3] = 1  (int)",
                "  … 5 more: parts table from 4"
            ]
        );
    }
}
