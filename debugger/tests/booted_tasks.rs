//! The tasks of a running image, and the stacks of those that sleep.

mod machine;

use debugger::addr::Addr;
use debugger::crossing::Mode;
use debugger::guest;
use debugger::known::Known;
use debugger::qemu::arguments::Machine;
use debugger::symbols::Symbols;
use debugger::symbols::unwind::{Certainty, RegisterSet};

#[test]
#[ignore = "boots an image"]
fn every_sleeping_task_can_be_followed() {
    let image = machine::image();
    let symbols = Symbols::open(&image.vmlinux(), None).unwrap();
    let mut booted = machine::boot(&Machine::of(&image, Mode::Ukl, Some(20)));
    let main = symbols.lookup("main");
    let main = main.iter().find(|s| s.addr.in_kernel_half()).unwrap().addr;
    booted.run_to(main);
    let registers = booted.target.registers(machine::FIRST).unwrap();
    let set = RegisterSet::from_names(|name| registers.get(name));
    let target = &mut booted.target;
    let mut memory = |addr: Addr, buffer: &mut [u8]| target.read(addr, buffer).is_ok();
    let tasks = guest::every(&symbols, 1000, &mut memory).unwrap();
    let current = guest::current(&symbols, &set, &mut memory).unwrap();
    let running: Vec<_> = tasks.iter().filter(|one| one.state.on_cpu).collect();
    assert_eq!(running.len(), 1, "{running:?}");
    assert_eq!(running[0].task, current);
    assert_eq!(running[0].task.is_app, Known::Yes(true));
    assert!(tasks.iter().any(|one| one.task.comm == "init"));
    let mut followed = 0;
    for one in &tasks {
        if one.state.on_cpu || !one.kernel_thread || one.task.pid == 0 {
            continue;
        }
        let asleep = guest::asleep(&symbols, &one.task, &mut memory).unwrap();
        let backtrace =
            symbols.backtrace_from(&asleep.registers, asleep.after_call, &mut memory, 100);
        let label = one.task.label();
        assert!(backtrace.end.is_complete(), "{label}: {}", backtrace.end);
        for frame in &backtrace.frames {
            assert_eq!(frame.certainty, Certainty::Certain, "{label}: {frame:?}");
        }
        followed += 1;
    }
    assert!(followed > 5, "{followed} kernel threads");
}
