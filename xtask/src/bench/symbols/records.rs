//! Structs, unions and enumerations compared with gdb's, member by member.

use std::process::Command;

use debugger::symbols::types::{Type, TypeId};
use debugger::symbols::{Pattern, Symbols};

use super::Args;
use super::checks::{Check, Verdict, check};
use super::others::scripted;

/// A member by name, first bit, bits where it is a field of bits, size and type; or an enumeration's
/// value by name and number.
pub(super) type Part = (String, i64, u64, u64, String);

/// Members without a name are followed by those in them.
const GDB: &str = r"
gdb.execute('set pagination off')

def parts(t, base):
    t = t.strip_typedefs()
    if t.code == gdb.TYPE_CODE_ENUM:
        return [[f.name, f.enumval, 0, 0, ''] for f in t.fields()]
    out = []
    for f in t.fields():
        plain = f.type.strip_typedefs()
        nameless = plain.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION) and not plain.tag
        known = f.type.name if nameless else str(f.type)
        out.append([f.name or '', base + f.bitpos, f.bitsize, f.type.sizeof, known or ''])
        if nameless and not f.name:
            out += parts(plain, base + f.bitpos)
    return out

records = []
for name in open(NAMES):
    name = name.strip()
    try:
        t = gdb.lookup_type(name)
        records.append(parts(t, 0) + [['', 0, 0, t.sizeof, name]])
    except gdb.error:
        records.append(None)
print(json.dumps({'records': records}))
";

pub(super) fn compare(symbols: &Symbols, args: &Args) -> Option<Check> {
    let (all, _) = symbols.types_like(&Pattern::new(""), usize::MAX);
    let tagged: Vec<&String> = all
        .iter()
        .filter(|name| {
            let mut words = name.split(' ');
            matches!(words.next(), Some("struct" | "union" | "enum")) && words.next().is_some()
        })
        .collect();
    let every = (tagged.len() / args.records.max(1)).max(1);
    let names: Vec<&str> = tagged
        .iter()
        .step_by(every)
        .take(args.records)
        .map(|name| name.as_str())
        .collect();
    let list = tempfile::NamedTempFile::new().ok()?;
    std::fs::write(list.path(), names.join("\n")).ok()?;
    let script = format!(
        "import gdb, json\nNAMES = {:?}\n{GDB}",
        list.path().display().to_string()
    );
    let told = scripted(&script, args, 0, |script| {
        let mut command = Command::new("gdb");
        command.args(["-nx", "-q", "-batch"]).arg(&args.vmlinux);
        command.arg("-x").arg(script);
        command
    });
    let (_, said) = told.ok()?;
    let both = names.iter().zip(&said.records);
    let verdicts = both.filter_map(|(name, theirs)| Some(verdict(symbols, name, theirs.as_ref()?)));
    Some(check(
        "members of structs, unions and enumerations",
        "gdb",
        verdicts,
    ))
}

fn verdict(symbols: &Symbols, name: &str, theirs: &[Part]) -> Verdict {
    let all = symbols.types_named(name);
    let ours = |of: TypeId| {
        let mut parts = Vec::new();
        walk(symbols, of, 0, &mut parts);
        parts.push((String::new(), 0, 0, symbols.size_of(of), name.to_owned()));
        parts
    };
    let first = all.first().map(|(of, _)| ours(*of)).unwrap_or_default();
    if same(&first, theirs) {
        return None;
    }
    let why = match all.iter().skip(1).any(|(of, _)| same(&ours(*of), theirs)) {
        true => "several types of this name: theirs is another of those that we tell",
        false => "",
    };
    let different = first
        .iter()
        .zip(theirs)
        .find(|(ours, theirs)| !alike(ours, theirs));
    let example = match different {
        Some((ours, theirs)) => format!("{name}: {ours:?} / {theirs:?}"),
        None => format!("{name}: {} parts / {} parts", first.len(), theirs.len()),
    };
    Some((why.to_owned(), example))
}

fn same(ours: &[Part], theirs: &[Part]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| alike(a, b))
}

/// DWARF's names of base types, and gdb's.
const SPELLINGS: [(&str, &str); 6] = [
    ("long long unsigned int", "unsigned long long"),
    ("long unsigned int", "unsigned long"),
    ("short unsigned int", "unsigned short"),
    ("long long int", "long long"),
    ("long int", "long"),
    ("short int", "short"),
];

fn alike(ours: &Part, theirs: &Part) -> bool {
    let plain = |text: &str| {
        let short = SPELLINGS
            .iter()
            .fold(text.to_owned(), |text, (dwarf, gdb)| {
                text.replace(dwarf, gdb)
            });
        short.replace(' ', "")
    };
    (&ours.0, ours.1, ours.2, ours.3) == (&theirs.0, theirs.1, theirs.2, theirs.3)
        && plain(&ours.4) == plain(&theirs.4)
}

fn walk(symbols: &Symbols, of: TypeId, base: i64, parts: &mut Vec<Part>) {
    match symbols.plain_type(of).1 {
        Type::Enum { values, .. } => {
            parts.extend(
                values
                    .into_iter()
                    .map(|(name, value)| (name, value, 0, 0, String::new())),
            );
        }
        Type::Record { members, .. } => {
            for member in members {
                let (first, bits) = match member.bits {
                    Some(bits) => (bits.first, bits.count),
                    None => (member.offset * 8, 0),
                };
                let first = base + first.cast_signed();
                let nameless = matches!(
                    symbols.plain_type(member.of).1,
                    Type::Record { name, .. } if name.is_empty()
                );
                let declared = match (nameless, symbols.type_of(member.of)) {
                    (true, Type::Record { .. }) => String::new(),
                    _ => symbols.declaration(member.of, ""),
                };
                let size = symbols.size_of(member.of);
                parts.push((member.name.clone(), first, bits, size, declared));
                if nameless && member.name.is_empty() {
                    walk(symbols, member.of, first, parts);
                }
            }
        }
        _ => {}
    }
}
