use proptest::prelude::*;

use super::field::Get;
use super::*;
use crate::addr::Addr;
use crate::crossing::{CrossingKind, Mode, Setup};
use crate::trace::call_sites::{CallSite, Enters, How};
use crate::trace::examples::{class, node, report};
use crate::trace::report::{Class, Node, Use};

fn query(text: &str) -> Query {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn send() -> Class {
    let of = |origin: &str, symbol: &str, own, children| Node {
        origin: origin.parse().unwrap(),
        ..node(symbol, own, children)
    };
    let push = of("kernel:net", "tcp_push", 700, vec![]);
    let send = of("kernel:net", "tcp_sendmsg", 40, vec![push]);
    let path = of(
        "entry",
        "entry_SYSCALL_64",
        30,
        vec![of("kernel:fs", "fdget", 9, vec![]), send],
    );
    Class {
        phases: crate::trace::report::Phases {
            entry: 60,
            service: 719,
            ..Default::default()
        },
        count: 10,
        ..class(CrossingKind::Syscall, "sendto:tcp", path)
    }
}

fn holds(text: &str) -> bool {
    let (mode, class) = (Setup::from(Mode::Bypass), send());
    let crossing = Crossing::alone(&mode, &class);
    query(text).holds(crossing)
}

#[test]
fn a_query_tells_whether_it_names_a_task() {
    let names = |text: &str| text.parse::<Query>().unwrap().names_tasks();
    assert!(names("task=redis"));
    assert!(names("call=read (insns>5 or not task~r)"));
    assert!(!names("task=3"));
    assert!(!names("call=read insns>5"));
}

#[test]
fn who_made_what_is_left_out_is_left_out() {
    let site = |address, line| CallSite {
        address: Addr(address),
        caller: "main".to_owned(),
        file: Some("/x/main.c".to_owned()),
        line: Some(line),
        how: How::Call,
        target: None,
        enters: Enters::Yes,
    };
    let named = |id: &str, call: &str| Class {
        id: id.to_owned(),
        count: 10,
        ..class(CrossingKind::Syscall, call, node("entry", 100, vec![]))
    };
    let used = |class: &str, site, count| Use {
        class: class.to_owned(),
        site: Some(site),
        task: 1,
        count,
        instructions: count * 101,
    };
    let mut all = report(Mode::Ukl, vec![named("a", "read"), named("b", "write")]);
    all.sites = vec![site(0x1000, 7), site(0x2000, 8), site(0x3000, 9)];
    all.uses = vec![used("a", 2, 6), used("b", 0, 10), used("a", 1, 4)];
    let kept = |text: &str| {
        let mut report = all.clone();
        assert_eq!(query(text).keep(&mut report), 2);
        let lines: Vec<_> = report.sites.iter().map(|site| site.line).collect();
        let uses = report.uses.iter();
        let uses: Vec<_> = uses.map(|made| (made.site, made.count)).collect();
        let counts: Vec<_> = report.classes.iter().map(|class| class.count).collect();
        let sums = report.instructions_by_class().into_values().collect();
        (lines, uses, counts, sums)
    };
    let lines = |lines: &[u32]| -> Vec<_> { lines.iter().copied().map(Some).collect() };
    assert_eq!(
        kept("call=read"),
        (
            lines(&[9, 8]),
            vec![(Some(0), 6), (Some(1), 4)],
            vec![10],
            vec![1010]
        )
    );
    assert_eq!(
        kept("site=\"main.c:8\""),
        (lines(&[8]), vec![(Some(0), 4)], vec![4], vec![404])
    );
}

#[test]
fn conditions_about_crossings() {
    for (text, expected) in [
        ("", true),
        ("kind=syscall call~\"send.*\" insns>700 exact=true", true),
        ("insns>779", false),
        ("insns>=779 instructions<=779 insns=779 insns<7,80", true),
        ("insns<1_000 insns!=5", true),
        ("call~^recv or call~tcp$", true),
        ("call~^end", false),
        ("call!~^send", false),
        ("phase.entry>50 phase.boundary=60 phase.copy=0", true),
        ("mode=bypass count>=10", true),
        ("mode=bypass and not count>=10", false),
        ("mode=ukl+ret", false),
        ("exact", true),
        ("not exact or interrupted", false),
        ("interrupted=false", true),
        ("SENDTO", true),
        ("sysc", true),
        ("\"sysc\"", true),
        ("recv", false),
        ("\"count\" or 'exact'", false),
        ("(insns>5 or count=3) and not not kind=syscall", true),
        ("not kind!=syscall and not (not kind=syscall)", true),
    ] {
        assert_eq!(holds(text), expected, "{text}");
    }
}

#[test]
fn conditions_about_functions_that_stand_together_are_about_one() {
    for (text, expected) in [
        ("node~\"tcp_.*\" own>500", true),
        ("node=tcp_sendmsg own>500", false),
        ("(node=tcp_sendmsg) own>500", true),
        ("(node=tcp_sendmsg) (node=fdget)", true),
        ("node=tcp_sendmsg node=fdget", false),
        ("origin=kernel:net depth=2 calls=1 total=700", true),
        ("origin=kernel node=fdget", true),
        ("origin=kernel node=entry_SYSCALL_64", false),
        ("origin~kernel:(fs|mm)", true),
        ("origin=kernel:mm", false),
        ("origin!=kernel:mm", true),
        ("origin!=kernel:net", false),
        ("not node=tcp_push", false),
        ("file=net/ipv4/tcp.c", false),
    ] {
        // A parenthesis belongs into quotes.
        let text = text.replace("kernel:(fs|mm)", "'kernel:(fs|mm)'");
        assert_eq!(holds(&text), expected, "{text}");
    }
}

#[test]
fn a_function_is_asked_for_itself() {
    let (mode, class) = (Setup::from(Mode::Linux), send());
    let crossing = Crossing::alone(&mode, &class);
    let holds = |text: &str, at: usize| {
        let at = At {
            node: &class.path.children[at],
            depth: 1,
        };
        query(text).holds_at(crossing, at)
    };
    assert!(holds("tcp", 1) && !holds("tcp", 0));
    assert!(holds("total>700 kind=syscall", 1) && !holds("total>700", 0));
    assert!(holds("origin!=kernel:net", 0) && !holds("origin!=kernel:net", 1));
    assert!(holds("(node=fdget) (own=9)", 0) && !holds("(node=fdget) (own=40)", 0));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, expected) in [
        (
            "kidn=syscall",
            "at character 1: 'kidn' is no field; kind is one",
        ),
        ("exact count>=x", "at character 14: 'x' is no number"),
        (
            "insns~5",
            "at character 6: insns is a number and can be compared by = != < <= > >=, not by ~",
        ),
        (
            "kind=sys",
            "at character 6: 'sys' is no kind of crossing: syscall,",
        ),
        ("mode=fast", "at character 6: 'fast' is no mode"),
        ("origin=net", "at character 8: 'net' is no origin"),
        (
            "exact=yes",
            "at character 7: 'yes' is neither true nor false",
        ),
        ("exact<true", "at character 6: exact is a true or false and"),
        (
            "call~'('",
            "at character 6: '(' is no regular expression: unclosed group",
        ),
        ("call~x{9999999}", "is no regular expression"),
        ("call=\"x", "at character 6: \" is not closed"),
        ("(insns>5 or exact", "at character 1: ( is not closed"),
        (
            "insns>5)",
            "at character 8: a condition, 'and' or 'or' is expected before ')'",
        ),
        ("insns>", "at character 7: a value is expected at the end"),
        ("insns> and exact", "no number"),
        (
            "exact call",
            "at character 11: a sign such as =, ~ or > is expected at the end",
        ),
        (
            "exact or",
            "at character 9: a condition such as insns>2000 is expected at the end",
        ),
        (
            "= 5",
            "at character 1: a condition such as insns>2000 is expected before '='",
        ),
        ("'kind'=syscall", "at character 1: 'kind' is no field"),
        ("! exact", "at character 1: '!' stands for nothing here"),
        ("()", "at character 2: a condition"),
        ("zzzzzz=5", "is no field: kind, call, mode,"),
    ] {
        let found = text.parse::<Query>().unwrap_err().to_string();
        assert!(found.contains(expected), "{text}: {found}");
    }
    let deep = format!("{}exact{}", "(".repeat(65), ")".repeat(65));
    assert!(matches!(
        deep.parse::<Query>(),
        Err(QueryError {
            at: 64,
            wrong: Wrong::Deep
        })
    ));
    assert!("not ".repeat(100_001).parse::<Query>().is_err());
}

#[test]
fn every_field_is_in_the_book_is_completed_and_can_be_asked_for() {
    let book = reference();
    for field in FIELDS {
        assert!(book.contains(&format!("`{}`", field.name)), "{field:?}");
        let value = match field.get {
            Get::Number(_) | Get::NodeNumber(_) | Get::UseTask => "5",
            Get::Flag(_) => "true",
            Get::Text(_) | Get::NodeText(_) | Get::UseText(_) => "x",
            Get::Kind(_) => "fault",
            Get::Mode(_) => "ukl",
            Get::NodeOrigin(_) => "app",
        };
        let text = format!("{}={value}", field.name);
        assert_eq!(query(&text).to_string(), text);
        let beginning = &field.name[..field.name.len() - 1];
        let completed = complete(&format!("exact ({beginning}"));
        let whole = format!("exact ({}", field.name);
        assert!(
            completed.iter().any(|line| line.starts_with(&whole)),
            "{completed:?}"
        );
    }
    assert_eq!(complete("kind=sy"), ["kind=syscall"]);
    assert_eq!(complete("not mode=b"), ["not mode=bypass"]);
    assert_eq!(complete("origin=kernel:n"), ["origin=kernel:net"]);
    assert_eq!(complete("nosuch=b"), [""; 0]);
    assert_eq!(
        complete("exact o"),
        ["exact origin=", "exact own>", "exact or "]
    );
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_:.*]{1,8}",
        Just("and".to_owned()),
        "[ -~&&[^'\"]]{0,8}",
        "[a-z ']{1,5}",
        "\\PC{0,4}".prop_filter("one of both quotes", |text| !text.contains(['"', '\'']))
    ]
}

fn test() -> impl Strategy<Value = Expr> {
    let compare = prop_oneof![
        Just(Compare::Equal),
        Just(Compare::Less),
        Just(Compare::AtMost),
        Just(Compare::More),
        Just(Compare::AtLeast),
    ];
    let field = (0..FIELDS.len()).prop_map(|at| &FIELDS[at]);
    (field, compare, 0u64.., text(), any::<bool>()).prop_map(
        |(field, compare, number, text, flag)| {
            let value = match field.get {
                Get::Number(_) | Get::NodeNumber(_) => Value::Number(compare, number),
                Get::UseTask if number % 2 == 0 => Value::Number(compare, number),
                Get::Flag(_) => Value::Flag(flag),
                _ if flag => Value::Pattern(Box::new(Regex::new(&regex::escape(&text)).unwrap())),
                Get::Text(_) | Get::NodeText(_) | Get::UseText(_) => Value::Text(text),
                Get::UseTask => Value::Text(format!("t{text}")),
                Get::Kind(_) => Value::Text("bypass".to_owned()),
                Get::Mode(_) => Value::Text("ukl+ret".to_owned()),
                Get::NodeOrigin(_) => match number % 2 {
                    0 => Value::Origin(OneOrigin::Kernel),
                    _ => Value::Origin(OneOrigin::This(Origin::Libc)),
                },
            };
            Expr::Test(Test { field, value })
        },
    )
}

fn expr() -> impl Strategy<Value = Expr> {
    let named = (0..FIELDS.len()).prop_map(|at| FIELDS[at].name.to_owned());
    let word = prop_oneof![4 => text(), 1 => named].prop_map(Expr::Word);
    let leaf = prop_oneof![3 => test(), 1 => word];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let several = prop::collection::vec(inner.clone(), 2..4);
        let alone = |expr: Expr| match expr {
            Expr::Test(_) => Expr::All(vec![expr]),
            other => other,
        };
        let negated = |expr: Expr| match expr {
            Expr::Not(_) => expr,
            other => Expr::Not(Box::new(other)),
        };
        prop_oneof![
            several.clone().prop_map(Expr::All),
            several.prop_map(Expr::Either),
            inner.clone().prop_map(alone),
            inner.prop_map(negated),
        ]
    })
}

proptest! {
    #[test]
    fn a_query_reads_back_as_itself(root in expr()) {
        let root = match root {
            Expr::All(mut parts) if parts.len() == 1 => parts.remove(0),
            root => root,
        };
        let query = Query { root: Some(root) };
        let text = query.to_string();
        let read = text.parse::<Query>();
        prop_assert_eq!(read.as_ref(), Ok(&query), "{}", text);
    }

    #[test]
    fn any_text_is_a_query_or_says_where_it_is_none(text in "\\PC{0,40}") {
        match text.parse::<Query>() {
            Ok(query) => {
                let again: Query = query.to_string().parse().unwrap();
                prop_assert_eq!(again, query);
            }
            Err(error) => prop_assert!(error.at <= text.len()),
        }
        prop_assert!(complete(&text).iter().all(|line| line.starts_with(&text)));
    }
}
