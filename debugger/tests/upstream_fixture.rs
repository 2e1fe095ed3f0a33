//! Symbols of a small file as upstream's UKL is linked: application and libc under a prefix, in several ranges among
//! the kernel's, and nothing that marks where. `fixtures/upstream_ukl/` holds its sources.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::sync::Arc;

use debugger::addr::Addr;
use debugger::crossing::CrossingKind;
use debugger::profile::Profile;
use debugger::symbols::unwind::{Backtrace, Reg, RegisterSet};
use debugger::symbols::{Pattern, Symbols};

const FILE: &[u8] = include_bytes!("fixtures/upstream_ukl.elf");

fn open() -> Symbols {
    Symbols::from_bytes(FILE.to_vec(), None).unwrap()
}

fn addr(symbols: &Symbols, name: &str) -> Addr {
    symbols.lookup(name)[0].addr
}

#[test]
fn a_prefix_and_the_folders_tell_the_worlds_apart() {
    let symbols = open();
    assert_eq!(symbols.profile().name, "upstream-ukl");
    for (name, origin) in [
        ("start_kernel", "kernel:init"),
        ("ksys_write", "kernel:fs"),
        ("main", "app"),
        ("give_up", "app"),
        ("answer", "app"),
        ("write", "libc"),
        ("__libc_start_main", "libc"),
        ("ukl_entry_SYSCALL_64", "entry"),
        ("entry_SYSCALL_64", "entry"),
        // The kernel's, though they begin so.
        ("ukl_bp_write", "kernel:fs"),
        ("ukl_shortcuts_init", "kernel:core"),
        ("shortcut_tcp_sendmsg", "kernel:net"),
    ] {
        let found = symbols.lookup(name);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert_eq!(found[0].origin.to_string(), origin, "{name}");
    }
    // Cold code of the kernel's and of the application's comes before the rest of both.
    assert!(symbols.boundary().app_text.iter().count() > 1);
}

#[test]
fn names_are_shown_without_the_prefix_and_found_with_it() {
    let symbols = open();
    let main = symbols.lookup("ukl_main")[0];
    assert_eq!(main.name, "main");
    assert_eq!(symbols.lookup("main")[0].addr, main.addr);
    assert_eq!(symbols.at(main.addr).unwrap().name, "main");
    assert_eq!(symbols.place(main.addr + 1).symbol.as_deref(), Some("main"));
    let matching = |pattern: &str| symbols.matching(&Pattern::new(pattern)).count();
    assert_eq!(matching("*libc_start_main"), 1);
    assert_eq!(
        matching("ukl_m*"),
        3,
        "main, its cold part and memcmp_of_libc"
    );
}

#[test]
fn an_entry_that_was_called_leads_back_to_its_caller() {
    let symbols = open();
    let entry = addr(&symbols, "ukl_entry_SYSCALL_64");
    // In the application's write, behind its call of the entry.
    let write = symbols.lookup("write")[0];
    let code = symbols
        .initial(write.addr, usize::try_from(write.size).unwrap())
        .unwrap();
    let behind = (0..code.len() - 5)
        .find(|&i| {
            let relative = code[i + 1..i + 5]
                .try_into()
                .map(i32::from_le_bytes)
                .unwrap();
            let to = (write.addr + i as u64 + 5)
                .0
                .wrapping_add_signed(relative.into());
            code[i] == 0xe8 && to == entry.0
        })
        .map(|i| write.addr + i as u64 + 5)
        .unwrap();
    const STACK: u64 = 0x7fff_0000_0000;
    let mut registers = RegisterSet::default();
    registers.set(Reg::RIP, Some(entry.0));
    registers.set(Reg::RSP, Some(STACK));
    registers.set(Reg::RAX, Some(1));
    registers.set(Reg::RCX, Some(0xdead));
    let mut memory = |at: Addr, bytes: &mut [u8]| {
        let word = if at.0 == STACK { behind.0 } else { 0 };
        bytes.fill(0);
        let len = bytes.len().min(8);
        bytes[..len].copy_from_slice(&word.to_le_bytes()[..len]);
        at.0 >= STACK
    };
    let Backtrace { frames, .. } = symbols.backtrace(&registers, &mut memory, 4);
    assert_eq!(frames[1].pc, behind, "{frames:#x?}");
    let crossing = frames[1].crossing.as_ref().or(frames[0].crossing.as_ref());
    assert_eq!(
        crossing.map(|crossing| crossing.kind),
        Some(CrossingKind::Syscall)
    );
}

#[test]
fn a_users_own_table_takes_the_place_of_the_one_that_was_recognised() {
    let own = "name = 'mine'\ntitle = 'mine'\nbase = 'linux'\n[prefix]\ntext = 'ukl_m'\n";
    let profile = Arc::new(Profile::parse(own).unwrap());
    let symbols = open().with_profile(profile);
    assert_eq!(symbols.lookup("ain")[0].origin.to_string(), "app");
    assert_eq!(symbols.profile().to_string(), "mine: mine");
}
