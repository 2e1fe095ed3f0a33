//! Values of a booted image: expressions in C, assignment, and what the kernel's structures hold.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod debuggee;

use debuggee::Debuggee;
use debugger::crossing::Mode;
use debugger::event::{Answer, Event};
use debugger::known::Known;

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
        // Of a unit that only declares what a member points at.
        ("$_task->files->fdt->max_fds >= 3", 1),
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
    // How long a flexible array is, C does not tell.
    let flexible = "((struct ip_options *)(init_task.comm - 16))->__data";
    assert_eq!(text(d, &format!("p {flexible}")), "{…}");
    assert_eq!(d.number(&format!("{flexible}[1]")), u64::from(b'w'));
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

#[test]
#[ignore = "boots an image"]
fn the_kernels_containers_are_sequences() {
    let mut debuggee = Debuggee::in_ksys_write(Mode::Ukl);
    let d = &mut debuggee;
    let tasks = "$list(&init_task.tasks, struct task_struct, tasks)";
    let count = d.number(&format!("$len({tasks})"));
    assert!(count > 10, "{count} tasks");
    assert_eq!(d.number(&format!("{tasks}[0]->pid")), 1);
    assert_eq!(d.number(&format!("{tasks}[1].pid")), 2);
    let names = text(d, &format!("p {tasks}->comm"));
    assert!(
        names.contains("\"kthreadd\"") && names.contains(&format!("{count} in all")),
        "{names}"
    );
    // Mapped kernel areas lie in the tree by their addresses.
    let areas = "$rbtree(&vmap_area_root, struct vmap_area, rb_node)";
    let count = d.number(&format!("$len({areas})"));
    assert!(count > 2, "{count} areas");
    for i in 1..count.min(8) {
        assert_eq!(
            d.number(&format!(
                "{areas}[{}]->va_end <= {areas}[{i}]->va_start",
                i - 1
            )),
            1
        );
    }
    let first = d.number(&format!("{areas}[0]"));
    let listed = "$list(&vmap_area_list, struct vmap_area, list)";
    assert_eq!(d.number(&format!("{listed}[0]")), first);
    assert_eq!(d.number(&format!("$len({listed}) == $len({areas})")), 1);
    // A process's pid has its thread on a chain.
    let init = format!("{tasks}[0]");
    let chain = format!("$hlist(&{init}->thread_pid->tasks[0], struct hlist_node, next)");
    assert_eq!(d.number(&format!("$len({chain})")), 1);
    assert_eq!(d.number(&format!("{chain}[0] == &{init}->pid_links[0]")), 1);
    let said = failure(d, "p $list(0x10, struct task_struct, tasks)");
    assert!(said.contains("nothing readable"), "{said}");
    // A per-CPU variable as the one CPU has it.
    assert_eq!(d.number("&$percpu(runqueues, 0) == &runqueues"), 1);
    assert!(failure(d, "p $percpu(runqueues, 99)").contains("no CPU 99"));
}

#[test]
#[ignore = "boots an image"]
fn trees_of_indices_hold_what_the_kernel_counts() {
    let mut debuggee = Debuggee::in_ksys_write(Mode::Ukl);
    let d = &mut debuggee;
    let pids = "$xarray(&init_pid_ns.idr.idr_rt, struct pid)";
    assert_eq!(
        d.number(&format!(
            "$len({pids}) == init_pid_ns.pid_allocated % 0x80000000"
        )),
        1
    );
    assert_eq!(d.number(&format!("{pids}[0]->numbers[0].nr")), 1);
    assert_eq!(d.number(&format!("{pids}[1]->numbers[0].nr")), 2);
    let areas = "$maple(&$_task->mm->mm_mt, struct vm_area_struct)";
    let count = d.number(&format!("$len({areas})"));
    assert!(count > 1, "{count} areas");
    assert_eq!(d.number("$_task->mm->map_count"), count);
    for i in 1..count {
        assert_eq!(
            d.number(&format!(
                "{areas}[{}]->vm_end <= {areas}[{i}]->vm_start",
                i - 1
            )),
            1
        );
    }
}

#[test]
#[ignore = "boots an image"]
fn the_stop_is_known_to_expressions_and_conditions() {
    let mut debuggee = Debuggee::in_ksys_write(Mode::Ukl);
    let d = &mut debuggee;
    assert_eq!(d.number("$_cpu"), 0);
    assert_eq!(d.number("$_task->mm != 0"), 1);
    assert_eq!(d.number("$_crossing == \"write\" && $_kind != \"\""), 1);
    assert_eq!(d.number("$_task->comm == \"nobody\""), 0);
    d.ask("delete");
    let pid = d.number("$_task->pid");
    d.ask(&format!(
        "b vfs_write if $_task->pid == {pid} && $_crossing == \"write\""
    ));
    d.stop("c");
    assert_eq!(d.number("$_task->pid"), pid);
    assert_eq!(d.number("$pc == (unsigned long)vfs_write"), 1);
}

#[test]
#[ignore = "boots an image"]
fn what_is_displayed_is_told_at_each_stop() {
    let mut debuggee = Debuggee::in_ksys_write(Mode::Ukl);
    debuggee.ask("display $pc");
    debuggee.ask("display 1 / 0");
    assert!(debuggee.try_ask("display $rax = 1").is_err());
    let id = debuggee.send("si");
    let mut told = None;
    loop {
        match debuggee.event() {
            Event::Watched(watched) => told = Some(watched),
            Event::Answer(answered, _) if answered == id => break,
            _ => {}
        }
    }
    let told = told.unwrap();
    assert_eq!(told.len(), 2);
    assert!(told[0].changed && matches!(told[0].value, Known::Yes(_)));
    assert!(matches!(&told[1].value, Known::No(why) if why.contains("division")));
    debuggee.ask("undisplay 2");
    assert!(debuggee.try_ask("undisplay 2").is_err());
    let Answer::Text(lines) = debuggee.ask("display") else {
        panic!("lines");
    };
    assert!(
        lines.len() == 1 && lines[0].starts_with("1: $pc = 0x"),
        "{lines:?}"
    );
}

#[test]
#[ignore = "boots an image"]
fn values_are_taken_apart_part_by_part() {
    let mut debuggee = Debuggee::in_ksys_write(Mode::Ukl);
    let d = &mut debuggee;
    let apart = |d: &mut Debuggee, line: &str| match d.ask(line) {
        Answer::Parts(mut parts) if parts.len() == 1 => parts.remove(0),
        other => panic!("{line}: {other:?}"),
    };
    let variables = apart(d, "parts");
    assert_eq!(variables.function.as_deref(), Some("ksys_write"));
    let names: Vec<&str> = variables
        .parts
        .iter()
        .map(|part| part.name.as_str())
        .collect();
    assert!(names.starts_with(&["fd", "buf", "count"]), "{names:?}");
    let task = apart(d, "parts init_task");
    assert!(task.total > 100, "{}", task.total);
    // Each part's expression gives what is shown of it, wherever it is of one line.
    for part in task.parts.iter().take(60) {
        if let (Known::Yes(shown), Some("int" | "unsigned int" | "long")) =
            (&part.value, part.type_name.as_deref())
        {
            assert_eq!(
                text(d, &format!("p {}", part.expression)),
                *shown,
                "{part:?}"
            );
        }
    }
    let rest = apart(d, "parts/x init_task from 100");
    assert_eq!(
        (rest.from, rest.parts.len() as u64),
        (100, rest.total - 100)
    );
    // Behind a pointer, by the arrow; null leads nowhere.
    let mm = apart(d, "parts $_task->active_mm");
    let member = mm
        .parts
        .iter()
        .find(|part| part.name == "mm_users")
        .unwrap();
    assert_eq!(member.expression, "$_task->active_mm->mm_users");
    assert!(member.opens, "{member:?}");
    assert_eq!(apart(d, "parts (struct file *)0").total, 0);
    // A head whose entries are known leads to them, then to its own members.
    let children = apart(d, "parts init_task.children");
    let first = &children.parts[0];
    assert_eq!(
        first.expression,
        "$list(init_task.children, struct task_struct, sibling)[0]"
    );
    assert_eq!(
        text(d, &format!("p {}->parent == &init_task", first.expression)),
        "1"
    );
    let last = children.parts.last().unwrap();
    assert_eq!(last.expression, "init_task.children.prev");
    let maple = apart(d, "parts $_task->active_mm->mm_mt");
    assert!(
        maple.parts[0].expression.starts_with("$maple("),
        "{:?}",
        maple.parts[0]
    );
    let array = apart(d, "parts init_task.comm");
    assert_eq!((array.total, array.parts[0].name.as_str()), (16, "[0]"));
    assert!(failure(d, "parts init_task.nothing").contains("no member"));
    assert!(failure(d, "parts $rax = 1").contains("it changes what it shows"));
}

#[test]
#[ignore = "boots an image"]
fn a_callers_registers_are_those_it_will_have_again() {
    let mut debuggee = Debuggee::in_ksys_write(Mode::Ukl);
    let register = |debuggee: &mut Debuggee, name: &str| match debuggee.ask("info registers") {
        Answer::Registers(list) => {
            let found = list.into_iter().find(|register| register.name == name);
            found.unwrap().value
        }
        other => panic!("{other:?}"),
    };
    let caller = debuggee
        .frames()
        .into_iter()
        .find(|frame| frame.n == 3)
        .unwrap();
    let inner = register(&mut debuggee, "rsp");
    debuggee.ask("frame 3");
    assert_eq!(
        register(&mut debuggee, "rip"),
        format!("0x{:016x}", caller.place.addr.0)
    );
    assert_ne!(register(&mut debuggee, "rsp"), inner);
    // What a callee may have overwritten is not made up.
    assert_eq!(register(&mut debuggee, "rax"), "<not saved>");
}

#[test]
#[ignore = "boots an image"]
fn a_frame_tells_its_caller_and_where_its_return_address_lies() {
    let mut debuggee = Debuggee::in_ksys_write(Mode::Ukl);
    let lines = |debuggee: &mut Debuggee| match debuggee.ask("info frame") {
        Answer::Text(lines) => lines,
        other => panic!("{other:?}"),
    };
    let sp = debuggee.number("$rsp");
    let frames = debuggee.frames();
    let inner = lines(&mut debuggee);
    assert!(inner[0].starts_with("frame 0: "), "{inner:?}");
    assert!(
        inner[0].ends_with(" in ksys_write of kernel:fs"),
        "{inner:?}"
    );
    // Nothing is pushed yet.
    let slot = format!("its return address lies at {sp:#x}");
    assert!(inner.contains(&slot), "{slot}: {inner:?}");
    let main = frames
        .iter()
        .find(|one| one.place.symbol.as_deref() == Some("main"));
    let main = main.unwrap().n;
    debuggee.ask(&format!("frame {main}"));
    let outer = lines(&mut debuggee);
    assert!(
        outer[0].starts_with(&format!("frame {main}: ")),
        "{outer:?}"
    );
    assert!(outer[0].ends_with(" of app"), "{outer:?}");
    assert!(
        outer
            .iter()
            .any(|line| line.starts_with("rip ") || line.contains("  rip ")),
        "{outer:?}"
    );
    assert!(
        outer
            .iter()
            .any(|line| line.starts_with("not known in it: ")),
        "{outer:?}"
    );
}
