//! The language as a page of the book.

use std::fmt::Write as _;

use super::field::{FIELDS, Field, Subject};

const HEAD: &str = "\
# Queries

A query says which crossings, or which functions on their paths, are meant. It is the same everywhere: `--where` of `report`,
`trace`, `diff`, `check`, `export` and `advise`, and the line that `/` opens on the screens Crossings and Path, where Tab completes
it.

```sh
uklscope report ukl.rec --where 'kind=syscall call~\"send.*\" insns>2000'
uklscope report ukl.rec --where 'not exact or interrupted'
uklscope report ukl.rec --where 'count>=10 phase.entry>50 (node=tcp_sendmsg) not origin=kernel:fs'
```

A condition is a field, a sign and a value. `=` and `!=` compare with all of it; `~` and `!~` look for a regular expression in it,
anywhere unless it begins with `^` or ends with `$`; `<` `<=` `>` `>=` compare numbers, which may have commas: `insns>2,000`.
Values with spaces, parentheses or signs stand between quotes, `\"…\"` or `'…'`, inside of which every letter is itself. A field that
is true or false may stand alone: `exact`. Any other word alone looks for itself, whatever its case, in a crossing's kind and call, or
in a function's symbol; between quotes so does a field's name.

Conditions side by side must all hold; `and` may stand between them. `or` binds weaker, `not` stronger, parentheses strongest.
`a!=b` is `not a=b`, and `a!~b` is `not a~b`.

Conditions about who made the crossings count those alone: `--where site~^main` keeps of each class what was made there.

Where crossings are asked for, a condition about functions holds if one of the path meets it, and `not` says that none does.
Conditions about functions that stand together are about one and the same: `origin=kernel:net own>50` wants a function of the
network that executes more than 50 instructions itself. In parentheses of their own they may be about different ones: `(node=tcp_push)
(node=__kfree_skb)`.
";

/// In Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for (subject, title) in [
        (Subject::Crossing, "Of a class of crossings"),
        (Subject::Use, "Of who made the crossings"),
        (Subject::Node, "Of a function on the path"),
    ] {
        let _ = write!(
            text,
            "\n## {title}\n\n| field | compared with | by | is |\n|---|---|---|---|\n"
        );
        let fields = FIELDS.iter().filter(|field| field.subject() == subject);
        fields.for_each(|field| row(field, &mut text));
    }
    text
}

fn row(field: &Field, text: &mut String) {
    let names = std::iter::once(&field.name).chain(field.also);
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "| {} | {} | `{}` | {} |",
        names.join(", "),
        field.values(),
        field.operators(),
        field.help
    );
}
