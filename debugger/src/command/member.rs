//! The value whose member is being typed: `current->files` of `p current->files->fd`.

/// The value before the last arrow or dot, and what is typed of its member's name.
pub(super) fn member(line: &str) -> Option<(&str, &str)> {
    let (before, begun) = line.split_at(line.trim_end_matches(is_word).len());
    let of = before
        .strip_suffix("->")
        .or_else(|| before.strip_suffix('.'))?;
    let value = &of[start(of)?..];
    // `1.5` is a number.
    (!value.starts_with(|c: char| c.is_ascii_digit())).then_some((value, begun))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the names, calls, indices and members begin that `text` ends with.
fn start(text: &str) -> Option<usize> {
    let mut at = text.len();
    loop {
        let rest = &text[..at];
        if let Some(open) = bracket(rest) {
            at = open;
            let goes_on = |c: char| is_word(c) || matches!(c, ')' | ']');
            if !text[..at].ends_with(goes_on) {
                return Some(at);
            }
            continue;
        }
        let name = rest.trim_end_matches(is_word);
        if name.len() == at {
            return None;
        }
        let named = name.trim_end_matches('$');
        at = match named.strip_suffix("->").or(named.strip_suffix('.')) {
            Some(of) if named == name => of.len(),
            // `app:ksys_write`, one of several of this name.
            _ => match named.strip_suffix(':') {
                Some(origin) if !origin.contains('?') => origin.trim_end_matches(is_word).len(),
                _ => return Some(named.len()),
            },
        };
        if named.ends_with(':') {
            return Some(at);
        }
    }
}

/// Where the bracket was opened that `text` ends with.
fn bracket(text: &str) -> Option<usize> {
    if !text.ends_with([')', ']']) {
        return None;
    }
    let mut open = 0_u32;
    let found = text.char_indices().rev().find(|(_, c)| {
        match c {
            ')' | ']' => open += 1,
            '(' | '[' => open -= 1,
            _ => {}
        }
        open == 0
    });
    found.map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_member_is_typed_of_the_value_before_it() {
        let check = |line: &str, expected| assert_eq!(member(line), expected, "{line}");
        check("print $_task->co", Some(("$_task", "co")));
        check("p a[2].b->", Some(("a[2].b", "")));
        check("p *a.b", Some(("a", "b")));
        check("p a-b.c", Some(("b", "c")));
        check("p (a).b", Some(("(a)", "b")));
        check(
            "p 1+((struct x *)p)->q.r",
            Some(("((struct x *)p)->q", "r")),
        );
        check("p (struct x *)p->q", Some(("p", "q")));
        check("p $list(head.next)[0]->", Some(("$list(head.next)[0]", "")));
        check("x/4x app:one.two", Some(("app:one", "two")));
        check("p a ? b:c.d", Some(("c", "d")));
        check("p count", None);
        check("p 1.5", None);
        check("p ->x", None);
        check("p )->x", None);
    }

    proptest! {
        #[test]
        fn both_are_parts_of_the_line(line in "[ a-z$.:>()\\[\\]é-]{0,12}") {
            if let Some((value, begun)) = member(&line) {
                prop_assert!(!value.is_empty());
                prop_assert!(line.ends_with(begun) && line.contains(value));
            }
        }
    }
}
