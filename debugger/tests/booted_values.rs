//! Values of a booted image: expressions in C, assignment, and what the kernel's structures hold.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod debuggee;

use debuggee::Debuggee;
use debugger::crossing::Mode;
use debugger::event::Answer;

fn text(debuggee: &mut Debuggee, line: &str) -> String {
    match debuggee.ask(line) {
        Answer::Value(value) => value.text,
        other => panic!("{line}: {other:?}"),
    }
}

fn failure(debuggee: &mut Debuggee, line: &str) -> String {
    debuggee.try_ask(line).unwrap_err().to_string()
}

#[test]
#[ignore = "boots an image"]
fn expressions_are_those_of_c() {
    let mut debuggee = Debuggee::in_ksys_write(Mode::Ukl);
    let d = &mut debuggee;
    for (expression, expected) in [
        ("init_task.pid", 0),
        ("(&init_task)->pid + 1", 1),
        ("sizeof(struct list_head)", 16),
        ("sizeof(char[16])", 16),
        (
            "init_task.comm == \"swapper/0\" || init_task.comm == \"swapper\"",
            1,
        ),
        ("(gfp_t)0x1ffffffff == 0xffffffff", 1),
        (
            "((struct task_struct *)&init_task)->pid == ::init_task.pid",
            1,
        ),
        (
            "&init_task.tasks == &((struct task_struct *)&init_task)->tasks",
            1,
        ),
        (
            "$container_of(&init_task.tasks, struct task_struct, tasks) == &init_task",
            1,
        ),
        ("{int}&init_task.pid", 0),
        ("$pc == (unsigned long)ksys_write || 1.5 > 1", 1),
        ("($eax & 0xff) == $al", 1),
    ] {
        assert_eq!(d.number(expression), expected, "{expression}");
    }
    assert!(text(d, "p init_task.comm").starts_with("\"swapper"));
    assert!(text(d, "p (char[7])init_task.comm").starts_with("\"swapper"));
    assert!(text(d, "p init_task.comm[0]@4").starts_with("\"swap\""));
    let parts = text(d, "p/x init_task.tasks");
    assert!(
        parts.starts_with("{next = 0xffff") && parts.contains("prev = 0xffff"),
        "{parts}"
    );
    assert!(text(d, "p/i $pc").contains("<ksys_write"));
    assert_eq!(text(d, "p (enum pid_type)0"), "PIDTYPE_PID");
    assert_eq!(text(d, "p 7 / 2.0"), "3.5");
    assert_eq!(d.number("$"), 3.5_f64.to_bits());
    assert!(failure(d, "p 1 = 2").contains("no place"));
}

#[test]
#[ignore = "boots an image"]
fn what_is_assigned_is_read_back() {
    let mut debuggee = Debuggee::in_ksys_write(Mode::Ukl);
    let d = &mut debuggee;
    // A register, its parts, and a variable that lies in one.
    d.ask("set $rbx = 0x1122334455667788");
    assert_eq!(d.number("$rbx"), 0x1122_3344_5566_7788);
    d.ask("set $bl = 1");
    d.ask("set $bh = 2");
    assert_eq!(d.number("$rbx"), 0x1122_3344_5566_0201);
    assert_eq!(d.number("fd"), d.number("$edi"));
    d.ask("set var count = 3");
    assert_eq!((d.number("count"), d.number("$rdx")), (3, 3));
    // Memory: a member, a bit field beside others, and by type alone.
    let before = d.number("init_task.pid");
    assert_eq!(d.number("init_task.pid = 77"), 77);
    d.ask("set var init_task.pid += 1");
    assert_eq!(d.number("{int}&init_task.pid"), 78);
    d.ask(&format!("set {{int}}&init_task.pid = {before}"));
    assert_eq!(d.number("init_task.pid"), before);
    let neighbours = "init_task.sched_contributes_to_load * 2 + init_task.sched_migrated";
    let before = d.number(neighbours);
    let field = d.number("init_task.sched_reset_on_fork");
    d.ask(&format!(
        "set var init_task.sched_reset_on_fork = {}",
        1 - field
    ));
    assert_eq!(d.number("init_task.sched_reset_on_fork"), 1 - field);
    assert_eq!(d.number(neighbours), before);
    d.ask(&format!("set var init_task.sched_reset_on_fork = {field}"));
    assert_eq!(d.number("init_task.sched_reset_on_fork"), field);
    // Nothing can be written where nothing is mapped, and it is said.
    assert!(failure(d, "set {int}0x10 = 5").contains("0x10"));
}
