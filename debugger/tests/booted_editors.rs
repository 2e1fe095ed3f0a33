//! The recipes of the guide, carried out as the adapters' sources do: what they ask of gdb and lldb, in their order.
//! cppdbg is of Microsoft's C/C++ extension (<https://github.com/microsoft/MIEngine>), CodeLLDB
//! <https://github.com/vadimcn/codelldb>. The adapters themselves are not run.

mod debuggee;
mod peers;
mod recorded;

use std::path::Path;

use debugger::crossing::Mode;
use debugger::event::{Answer, Event, Run};
use debugger::session::{BootOptions, ReplayOptions};
use peers::mi::{Mi, field};
use peers::{Served, has, said};
use serde_json::Value;

/// The application's line that calls `write`.
const WRITES: &str = "bad += write(null";

/// Left to those who join, at the application's main.
fn served() -> Served {
    let options = BootOptions {
        mode: Some(Mode::Ukl),
        smp: 2,
        ..BootOptions::default()
    };
    Served::unattended("syscalls", options)
}

/// The configuration that the guide gives for an adapter, for this image and port.
fn recipe(adapter: &str, served: &Served, port: u16) -> Value {
    let page = include_str!("../../docs/src/guide/joining.md");
    let (_, list) = page.split_once("`.vscode/launch.json`").expect("the list");
    let (_, list) = list.split_once("```json").expect("its start");
    let (list, _) = list.split_once("```").expect("its end");
    let image = "${env:HOME}/.cache/uklscope/images/syscalls/vmlinux";
    let list = list
        .replace(image, &served.vmlinux().display().to_string())
        .replace("localhost:1234", &format!("localhost:{port}"));
    let list: Value = serde_json::from_str(&list).expect("it is read");
    let name = format!("join uklscope ({adapter})");
    let all = list["configurations"].as_array().expect("some").iter();
    let one = all.clone().find(|one| one["name"] == name.as_str());
    one.expect("it is among them").clone()
}

fn text<'a>(recipe: &'a Value, key: &str) -> &'a str {
    recipe[key].as_str().expect(key)
}

/// The line of the application's source with this text.
fn line_of(text: &str) -> usize {
    let source = std::fs::read_to_string("../demos/syscalls/main.c").expect("the demo's source");
    let at = source.lines().position(|line| line.contains(text));
    at.expect("it is there") + 1
}

fn until_ended(served: &Served) -> String {
    served.until("the machine ends", |event| match event {
        Event::Run(Run::Ended(why)) => Some(why),
        _ => None,
    })
}

/// Who has left, by whatever way, has left nothing behind and the target running.
fn left_without_a_trace(served: &mut Served) {
    served.until_running();
    served.until_alone();
    let Answer::Breakpoints(list) = served.debuggee.ask("info breakpoints") else {
        panic!("breakpoints were asked for");
    };
    assert!(list.is_empty(), "{list:?}");
}

/// Up to the stop at which it joins.
fn cppdbg_launches(recipe: &Value) -> Mi {
    assert_eq!(text(recipe, "request"), "launch");
    let mut gdb = Mi::start();
    gdb.done("-gdb-set mi-async on");
    for setup in recipe["setupCommands"].as_array().expect("a list") {
        gdb.console(text(setup, "text"));
    }
    gdb.console("set pagination off");
    gdb.done("-gdb-set auto-solib-add on");
    let program = text(recipe, "program");
    let folder = Path::new(program).parent().expect("a folder").display();
    gdb.done(&format!("-gdb-set solib-search-path {folder}:"));
    gdb.done("-environment-cd /");
    gdb.done(&format!("-file-exec-and-symbols {program}"));
    assert!(gdb.console("show architecture").contains("x86-64"));
    let main = gdb.done("-break-insert -f main");
    assert_eq!(field(&main, "number"), "1");
    let server = text(recipe, "miDebuggerServerAddress");
    gdb.connected(&format!("-target-select remote {server}"));
    gdb
}

/// What it asks at a stop before it tells the editor of it: how many frames there are.
fn cppdbg_stops(gdb: &mut Mi) -> usize {
    let stack = gdb.done("-stack-list-frames 0 1000");
    stack.matches("frame={level=").count()
}

/// The editor's view of the stack: the arguments of each frame, whose types are variables' for a moment.
fn cppdbg_shows_the_stack(gdb: &mut Mi, frames: usize) {
    let all = gdb.done(&format!("-stack-list-arguments 0 0 {}", frames - 1));
    let levels: Vec<&str> = all.split("frame={level=").skip(1).collect();
    assert_eq!(levels.len(), frames, "{all}");
    for (level, arguments) in levels.iter().enumerate() {
        for name in arguments.split("name=\"").skip(1) {
            let name = name.split('"').next().unwrap_or_default();
            gdb.done(&format!("-stack-select-frame {level}"));
            let variable = gdb.done(&format!("-var-create - * \"{name}\""));
            assert!(!field(&variable, "type").is_empty(), "{variable}");
            gdb.done(&format!("-var-delete {}", field(&variable, "name")));
        }
    }
    gdb.done("-stack-select-frame 0");
}

/// The editor's view of the innermost frame's variables, and of what those hold.
fn cppdbg_shows_variables(gdb: &mut Mi) -> String {
    let names = gdb.done("-stack-list-variables 0");
    for name in names.split("name=\"").skip(1) {
        let name = name.split('"').next().unwrap_or_default();
        let variable = gdb.done(&format!("-var-create - * \"{name}\""));
        let own = field(&variable, "name");
        if field(&variable, "numchild") != "0" {
            gdb.done(&format!(
                "-var-list-children --simple-values \"{own}\" 0 1000"
            ));
        }
    }
    names
}

/// A view of disassembly begins before the place and ends behind it.
fn cppdbg_disassembles(gdb: &mut Mi, at: &str) {
    let found = gdb.done(&format!("-data-read-memory-bytes -o -260 {at} 286"));
    let (begin, end) = (field(&found, "begin"), field(&found, "end"));
    let instructions = gdb.done(&format!("-data-disassemble -s {begin} -e {end} -- 2"));
    has(&instructions, &["opcodes=\"", "inst=\""]);
    let lines = gdb.done(&format!("-data-disassemble -s {at} -e {end} -- 5"));
    has(&lines, &["src_and_asm_line={line=\"", "line_asm_insn=["]);
}

#[test]
#[ignore = "boots an image"]
fn cppdbg_launches_stops_steps_looks_pauses_and_leaves() {
    let mut served = served();
    let (_server, port) = served.tcp("127.0.0.1:0");
    let recipe = recipe("cppdbg", &served, port);
    let mut gdb = cppdbg_launches(&recipe);
    // What it takes for the stop at joining has no reason, and is in a file.
    let stop = gdb.stop();
    assert!(!stop.contains("reason="), "{stop}");
    has(
        &stop,
        &["frame={", "func=\"main\"", "fullname=\"", "thread-id=\"1\""],
    );
    for thread in [1, 2] {
        let one = gdb.done(&format!("-thread-info {thread}"));
        assert_eq!(field(&one, "id"), thread.to_string());
    }
    // The editor's breakpoints: by function, and by a file's name alone.
    let kernel = gdb.done("-break-insert -f ksys_write");
    let kernel = field(&kernel, "number").to_owned();
    let line = line_of(WRITES);
    let application = gdb.done(&format!("-break-insert -f main.c:{line}"));
    has(&application, &["addr=\"0x", "demos/syscalls/main.c"]);
    // It shows the line that it finds at the breakpoint's address.
    let file = field(&application, "fullname");
    let lines = gdb.done(&format!("-symbol-list-lines {file}"));
    let address = field(&application, "addr");
    has(&lines, &[&format!("pc=\"{address}\",line=\"{line}\"")]);
    let application = field(&application, "number").to_owned();
    assert_eq!(recipe["stopAtConnect"], true);
    has(&gdb.done("-thread-info"), &["current-thread-id=\"1\""]);
    let frames = cppdbg_stops(&mut gdb);
    gdb.done("-break-delete 1");
    cppdbg_shows_the_stack(&mut gdb, frames);

    // In the application, whose counter is set far beyond what the test waits for.
    let stop = gdb.moved("-exec-continue");
    has(
        &stop,
        &[
            "reason=\"breakpoint-hit\"",
            &format!("bkptno=\"{application}\""),
        ],
    );
    has(&stop, &["func=\"bench_write\"", "stopped-threads=\"all\""]);
    let frames = cppdbg_stops(&mut gdb);
    assert!(frames >= 2, "the application's frames");
    cppdbg_shows_the_stack(&mut gdb, frames);
    has(
        &cppdbg_shows_variables(&mut gdb),
        &["name=\"null\",arg=\"1\""],
    );
    let n = gdb.done("-var-create - * \"n\"");
    let n = field(&n, "name").to_owned();
    let set = gdb.done(&format!("-var-assign {n} \"100000000\""));
    assert_eq!(field(&set, "value"), "100000000");

    // In the kernel, called from there.
    let stop = gdb.moved("-exec-continue");
    has(
        &stop,
        &[&format!("bkptno=\"{kernel}\""), "func=\"ksys_write\""],
    );
    let frames = cppdbg_stops(&mut gdb);
    cppdbg_shows_the_stack(&mut gdb, frames);
    has(&cppdbg_shows_variables(&mut gdb), &["name=\"count\""]);
    let names = gdb.done("-data-list-register-names");
    has(&names, &["\"rip\"", "\"cr3\""]);
    let values = gdb.done("-data-list-register-values x");
    has(&values, &["number=\"16\",value=\"0x"]);
    let buffer = gdb.done("-data-evaluate-expression \"buf\"");
    let buffer = field(&buffer, "value")
        .split(' ')
        .next()
        .unwrap_or_default();
    let memory = gdb.done(&format!("-data-read-memory-bytes {buffer} 1"));
    assert_eq!(field(&memory, "contents"), "78", "an x");
    let pc = field(&stop, "addr").to_owned();
    cppdbg_disassembles(&mut gdb, &pc);
    has(&gdb.console("monitor uklscope why"), &["write"]);
    for (step, told) in [
        ("-exec-next", "end-stepping-range"),
        ("-exec-step-instruction", "end-stepping-range"),
        ("-exec-next-instruction", "end-stepping-range"),
        ("-exec-finish", "function-finished"),
    ] {
        let stop = gdb.moved(step);
        has(&stop, &[&format!("reason=\"{told}\"")]);
        cppdbg_stops(&mut gdb);
    }

    // Without breakpoints it runs until it is paused.
    for number in [&kernel, &application] {
        gdb.done(&format!("-break-delete {number}"));
    }
    gdb.running("-exec-continue");
    served.until_running();
    gdb.done("-exec-interrupt");
    has(
        &gdb.stop(),
        &["reason=\"signal-received\"", "signal-name=\"SIGINT\""],
    );
    cppdbg_stops(&mut gdb);

    // What the recipe tells to type in the console: the adapter sees the process end.
    gdb.console("detach");
    has(gdb.log(), &["=thread-group-exited,id=\"i1\""]);
    gdb.exit();
    left_without_a_trace(&mut served);

    // Its button ends what it has launched, here the machine.
    let mut gdb = cppdbg_launches(&recipe);
    gdb.stop();
    gdb.done("kill");
    gdb.exit();
    let why = until_ended(&served);
    assert!(why.contains("has ended the machine"), "{why}");
}

/// A session of `peers/codelldb.py`, and what it has told the editor.
fn codelldb(served: &Served, session: &str) -> String {
    let (_server, port) = served.tcp("127.0.0.1:0");
    let recipe = recipe("CodeLLDB", served, port);
    // With the other request its button would end the machine.
    assert_eq!(text(&recipe, "request"), "attach");
    let commands = |key: &str| {
        let list = recipe[key].as_array().expect(key).iter();
        let list: Vec<&str> = list.map(|one| one.as_str().expect(key)).collect();
        list.join("\n")
    };
    let lldb = peers::start_in_lldb(
        "codelldb.py",
        &[
            ("INIT", &commands("initCommands")),
            ("CREATE_TARGET", &commands("targetCreateCommands")),
            ("CREATE_PROCESS", &commands("processCreateCommands")),
            ("SESSION", session),
            ("LINE", &line_of(WRITES).to_string()),
        ],
    );
    said(lldb, "lldb")
}

#[test]
#[ignore = "boots an image"]
fn codelldb_attaches_stops_steps_looks_pauses_and_leaves() {
    let mut served = served();
    let text = codelldb(&served, "live");
    let line = line_of(WRITES);
    has(
        &text,
        &[
            "ksys_write: 1",
            &format!("line {line}: 1"),
            "joined: stopped",
            "stopped: exception signal SIGTRAP",
            "thread: 1 ",
            "thread: 2 ",
            "frame: 0 main main.c",
            // In the application, whose counter is set.
            "stopped: breakpoint ",
            &format!("frame: 0 bench_write main.c {line} 0xffffffff"),
            "frame: 1 main main.c",
            "local: null 4",
            "static: n 1000",
            "registers: general",
            "rip 0xffffffff",
            "value: 100000000",
            // In the kernel, called from there.
            "stopped: breakpoint ",
            "frame: 0 ksys_write read_write.c",
            "do_syscall_64 common.c",
            "local: fd 4",
            "local: buf \"x\"",
            "local: count 1",
            "cr3 0x",
            "value: 42",
            "memory: 64 b'x'",
            "written: 1",
            "memory: 1 b'y'",
            "instruction: push",
            "console: ",
            "write",
            // Over a line, two instructions, into a function and out of it.
            "stopped: step",
            "stopped: step",
            "stopped: step",
            "stopped: step",
            "frame: 1 ksys_write read_write.c",
            "stopped: step",
            "stopped: exception signal SIGINT",
            "frame: 0 ",
            "ended: detached",
        ],
    );
    left_without_a_trace(&mut served);
}

#[test]
#[ignore = "boots an image"]
fn codelldb_goes_back_in_a_recorded_run() {
    let root = tempfile::tempdir().expect("a folder");
    let run = root.path().join("run");
    recorded::syscalls(&run, Mode::Ukl, 10, None);
    let served = Served::replayed("syscalls", run, ReplayOptions::default());
    let text = codelldb(&served, "back");
    has(
        &text,
        &[
            "stopped: breakpoint ",
            "frame: 0 ksys_write ",
            "stopped: breakpoint ",
            "frame: 0 ksys_write ",
            // Out of the function by the way it has come.
            "stopped: step",
            "frame: 0 __do_sys_write ",
            // To the call before.
            "stopped: breakpoint ",
            "frame: 0 ksys_write ",
            "ended: detached",
        ],
    );
}
