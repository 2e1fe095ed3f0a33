//! Symbols of a small file with a kernel and an application in it, and of what is left of it when
//! it is damaged. `fixtures/two_worlds/` holds its sources.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use debugger::addr::{Addr, AddrRange, Slide};
use debugger::crossing::CrossingKind;
use debugger::known::Known;
use debugger::symbols::types::Type;
use debugger::symbols::unwind::{Backtrace, End, Reg, RegisterSet};
use debugger::symbols::{Found, IndexWork, Kind, Local, Pattern, Symbols, ValuePlace};
use proptest::prelude::*;

const FILE: &[u8] = include_bytes!("fixtures/two_worlds.elf");

fn open() -> Symbols {
    Symbols::from_bytes(FILE.to_vec(), None).unwrap()
}

fn addr(symbols: &Symbols, name: &str) -> Addr {
    symbols.lookup(name)[0].addr
}

#[test]
fn the_two_worlds_are_told_apart() {
    let symbols = open();
    let origin = |name| symbols.lookup(name)[0].origin.to_string();
    assert_eq!(origin("start_kernel"), "kernel:init");
    assert_eq!(origin("ksys_write"), "kernel:fs");
    assert_eq!(origin("main"), "app");
    assert_eq!(origin("write"), "libc");
    assert_eq!(origin("answer"), "app");
    assert_eq!(symbols.kernel_sources(), "/build/linux/");
    let place = symbols.place(addr(&symbols, "ksys_write"));
    assert_eq!(place.file.as_deref(), Some("fs/read_write.c"));
    let place = symbols.place(addr(&symbols, "main"));
    assert_eq!(place.file.as_deref(), Some("/build/demo/app/main.c"));
}

#[test]
fn the_parts_of_a_function_belong_to_it() {
    let symbols = open();
    let parts: Vec<_> = symbols.parts("memcpy").iter().map(|s| s.name).collect();
    assert_eq!(parts, ["memcpy", "memcpy.isra.0"]);
    assert_eq!(symbols.lookup("memcpy").len(), 1);
    let pattern = Pattern::new("memcpy*");
    assert_eq!(symbols.matching(&pattern).count(), 2);
}

#[test]
fn inlined_calls_are_frames() {
    let symbols = open();
    // `copies += count`: the compiler may move a part of it out of the inlined call's range.
    let line = 4;
    let addrs = symbols.line_addresses("fs/read_write.c", line);
    let inlined = addrs.iter().map(|addr| symbols.frames(*addr));
    let frames = inlined.max_by_key(Vec::len).unwrap();
    let names: Vec<_> = frames.iter().map(|f| f.function.as_str()).collect();
    assert_eq!(names, ["vfs_write", "ksys_write"]);
    assert_eq!(frames[0].line, Some(line));
    assert!(frames[0].inlined && !frames[1].inlined);
}

#[test]
fn a_function_is_found_where_it_is_inlined() {
    let symbols = open();
    let copies = |name, file| symbols.copies(name, file, 10).entries;
    let all = copies("vfs_write", None);
    let [copy] = all[..] else {
        panic!("one copy: {all:?}");
    };
    assert_eq!(symbols.at(copy).unwrap().name, "ksys_write");
    let frames = symbols.frames(copy);
    let names: Vec<_> = frames.iter().map(|f| f.function.as_str()).collect();
    assert_eq!(names, ["vfs_write", "ksys_write"]);
    assert_eq!(copies("vfs_write", Some("read_write.c")), all);
    assert_eq!(copies("vfs_write", Some("main.c")), []);
    assert_eq!(copies("ksys_write", None), []);
    assert_eq!(copies("nothing", None), []);
    let cut = symbols.copies("vfs_write", None, 0);
    assert!(cut.more && cut.entries.is_empty(), "{cut:?}");
    let mut moved = open();
    let slide = Slide(0x20_0000 * 7);
    moved.move_to(slide);
    let there = moved.copies("vfs_write", None, 10).entries;
    assert_eq!(there, [slide.moved(copy)]);
}

#[test]
fn the_last_row_of_an_address_holds() {
    let symbols = open();
    for function in symbols.functions().collect::<Vec<_>>() {
        for offset in 0..function.size {
            let addr = function.addr + offset;
            let held = symbols.line_rows(addr).last().map(|row| row.line);
            // Line 0 is no line.
            assert_eq!(
                symbols.place(addr).line,
                held.filter(|line| *line > 0),
                "{addr}"
            );
        }
    }
    assert!(symbols.line_rows(Addr(0x10)).is_empty());
}

#[test]
fn many_addresses_give_what_each_gives_alone() {
    let symbols = open();
    let functions: Vec<_> = symbols.functions().map(|f| (f.addr, f.size)).collect();
    let mut addrs: Vec<Addr> = functions
        .iter()
        .flat_map(|(addr, size)| (0..*size).map(|offset| *addr + offset))
        .collect();
    // Nothing is known of these, between others.
    addrs.insert(1, Addr(0x10));
    addrs.push(Addr(u64::MAX));
    addrs.reverse();
    let together = symbols.frames_of(&addrs);
    assert_eq!(together.len(), addrs.len());
    assert!(together.iter().any(|frames| frames.len() == 2));
    for (addr, frames) in addrs.iter().zip(&together) {
        assert_eq!(&symbols.frames(*addr), frames, "{addr:?}");
    }
}

#[test]
fn files_are_known_with_those_that_hold_no_unit() {
    let symbols = open();
    assert_eq!(symbols.files("fs/read_write.c"), ["fs/read_write.c"]);
    assert_eq!(symbols.files("write.c").len(), 1);
    assert!(symbols.files("rite.c").is_empty());
}

#[test]
fn an_index_made_beside_is_the_same() {
    let (first, second) = (open(), open());
    let work = second.index_work();
    let beside = std::thread::spawn(|| work.into_iter().for_each(IndexWork::run));
    let id = first.type_named("struct point").unwrap();
    assert_eq!(second.type_named("struct point"), Some(id));
    assert_eq!(first.files(""), second.files(""));
    beside.join().unwrap();
    assert!(second.index_work().is_empty());
    // The work keeps what it needs.
    let work = open().index_work();
    work.into_iter().for_each(IndexWork::run);
}

#[test]
fn what_lacks_is_said() {
    let lacks = open().lacks();
    assert!(lacks.iter().any(|l| l.contains("ORC")), "{lacks:?}");
    assert!(lacks.iter().any(|l| l.contains("build-id")), "{lacks:?}");
    assert!(!lacks.iter().any(|l| l.contains("DWARF")), "{lacks:?}");
}

/// The file with its sections of DWARF renamed, so that they are not found.
fn without_dwarf() -> Symbols {
    let mut bytes = FILE.to_vec();
    let name = b".debug_";
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(name.len()).position(|w| w == name) {
        at += found;
        bytes[at + 1..at + 7].copy_from_slice(b"hidden");
    }
    Symbols::from_bytes(bytes, None).unwrap()
}

#[test]
fn without_dwarf_symbols_still_work() {
    let symbols = without_dwarf();
    assert!(symbols.lacks().iter().any(|l| l.contains("no DWARF")));
    let main = addr(&symbols, "main");
    let place = symbols.place(main + 4);
    assert_eq!(place.symbol.as_deref(), Some("main"));
    assert_eq!((place.offset, place.line), (4, None));
    assert_eq!(symbols.frames(main).len(), 1);
    // By the order of linking: the application before libc.
    assert_eq!(symbols.origin(main).to_string(), "app");
    let libc = addr(&symbols, "__libc_start_main");
    assert_eq!(symbols.origin(libc).to_string(), "libc");
    assert_eq!(symbols.type_named("struct point"), None);
}

/// A stack as it is when `ksys_write` has just been called, from main through write.
fn stopped(symbols: &Symbols) -> (RegisterSet, Vec<(u64, u64)>) {
    let after_call = |name: &str, callee: &str| {
        let caller = symbols.lookup(name)[0];
        let code = symbols
            .initial(caller.addr, usize::try_from(caller.size).unwrap())
            .unwrap();
        let target = addr(symbols, callee);
        let at = code.windows(5).position(|w| {
            let relative = i32::from_le_bytes([w[1], w[2], w[3], w[4]]);
            w[0] == 0xe8 && relative != 0 && {
                let here = code.as_ptr_range().start as usize;
                let next = caller.addr.0 + (w.as_ptr() as usize - here) as u64 + 5;
                next.wrapping_add_signed(i64::from(relative)) == target.0
            }
        });
        caller.addr.0 + at.unwrap() as u64 + 5
    };
    let sp = 0x7fff_0000;
    let mut registers = RegisterSet::default();
    registers.set(Reg::RIP, Some(addr(symbols, "ksys_write").0));
    registers.set(Reg::RSP, Some(sp));
    registers.set(Reg::RDI, Some(1));
    registers.set(Reg::RSI, Some(sp + 0x40));
    registers.set(Reg::RDX, Some(3));
    registers.set(Reg::RBX, Some(77));
    (
        registers,
        vec![
            (0, after_call("write", "ksys_write")),
            // write keeps 0x18 bytes, rbx and rbp; main and its caller 8 bytes each.
            (0x20, 0xb0b),
            (0x28, 0xb0a),
            (0x30, after_call("main", "write")),
            (0x40, after_call("__libc_start_main", "main")),
            (0x50, after_call("_start", "__libc_start_main")),
        ],
    )
}

fn backtrace(symbols: &Symbols) -> Backtrace {
    let (registers, stack) = stopped(symbols);
    let sp = registers.sp().unwrap();
    let mut memory = |at: Addr, buffer: &mut [u8]| {
        let word = stack.iter().find(|(offset, _)| sp + *offset == at);
        let Some((_, word)) = word.filter(|_| buffer.len() == 8) else {
            return false;
        };
        buffer.copy_from_slice(&word.to_le_bytes());
        true
    };
    symbols.backtrace(&registers, &mut memory, 20)
}

#[test]
fn the_stack_leads_over_the_boundary() {
    let symbols = open();
    let backtrace = backtrace(&symbols);
    let shown = symbols.shown_frames(&backtrace);
    let names: Vec<_> = shown
        .iter()
        .map(|f| f.place.symbol.as_deref().unwrap_or("?"))
        .collect();
    assert_eq!(
        names,
        ["ksys_write", "write", "main", "__libc_start_main", "_start"]
    );
    assert!(matches!(backtrace.end, End::Start(_)), "{}", backtrace.end);
    // A kernel function called by its name is a shortcut.
    let crossing = shown[1].crossing.as_ref().unwrap();
    assert_eq!(crossing.kind, CrossingKind::Shortcut);
    assert_eq!(crossing.call, "ksys_write");
    assert!(shown[2].crossing.is_none());
    // What a function must keep is known in its caller, what it saved in its own caller.
    let rbx = |level: usize| backtrace.frames[level].registers.get(Reg::RBX);
    assert_eq!((rbx(1), rbx(2)), (Some(77), Some(0xb0b)));
    assert_eq!(backtrace.frames[1].registers.get(Reg::RDI), None);
}

#[test]
fn arguments_have_values_and_types() {
    let symbols = open();
    let backtrace = backtrace(&symbols);
    let mut memory = |_: Addr, buffer: &mut [u8]| {
        buffer.fill(0);
        buffer[0] = b'y';
        true
    };
    let locals = symbols.locals(&backtrace, 0, 0, &mut memory);
    let text: Vec<_> = locals
        .iter()
        .filter(|local| local.argument)
        .map(|local| {
            let Known::Yes(value) = local.value() else {
                panic!("{local:?}");
            };
            let value = symbols.value_text(&value, &mut memory).unwrap();
            format!("{} {} = {value}", local.type_name, local.name)
        })
        .collect();
    assert_eq!(
        text,
        [
            "unsigned int fd = 1",
            "const char * buf = 0x7fff0040 \"y\"",
            "long unsigned int count = 3"
        ]
    );
}

#[test]
fn a_variable_of_a_block_without_code_is_told_as_optimised_out() {
    let symbols = open();
    let addrs = symbols.line_addresses("fs/read_write.c", 4).into_iter();
    let inlined = addrs.max_by_key(|addr| symbols.frames(*addr).len());
    let (mut registers, _) = stopped(&symbols);
    registers.set(Reg::RIP, inlined.map(|addr| addr.0));
    let mut none = |_: Addr, _: &mut [u8]| false;
    let backtrace = symbols.backtrace(&registers, &mut none, 1);
    let locals = symbols.locals(&backtrace, 0, 0, &mut none);
    let unused = locals.iter().find(|local| local.name == "unused");
    assert_eq!(unused.unwrap().place, Known::no("optimised out"));
}

#[test]
fn what_a_parameter_was_at_entry_is_told_by_the_caller() {
    let symbols = open();
    let backtrace = backtrace(&symbols);
    let mut memory = |_: Addr, _: &mut [u8]| false;
    let mut told = |level| {
        let found = symbols.parameters_at_entry(&backtrace, level, 0, &mut memory);
        let number = |local: &Local| {
            let value = local.value();
            let Known::Yes(value) = value else {
                panic!("{local:?}");
            };
            let number = symbols.value_number(&value, &mut |_, _| false).unwrap();
            (local.name.clone(), number)
        };
        found.iter().map(number).collect::<Vec<_>>()
    };
    // main calls write(1, "x", 1), of which the text is a constant of the program.
    let write = told(1);
    let named = |name: &str| write.iter().find(|told| told.0 == name).map(|told| told.1);
    assert_eq!(
        (named("fd@entry"), named("count@entry")),
        (Some(1), Some(1))
    );
    let text = Addr(named("buf@entry").unwrap());
    assert_eq!(symbols.initial(text, 2), Some(&b"x\0"[..]));
    // It is shown only beside a parameter that has no value.
    let all = symbols.locals(&backtrace, 1, 0, &mut memory);
    for local in &all {
        let entered = format!("{}@entry", local.name);
        let shown = all.iter().any(|other| other.name == entered);
        assert!(
            !(shown && matches!(local.place, Known::Yes(_))),
            "{local:?}"
        );
    }
}

#[test]
fn globals_are_read_by_their_types() {
    let symbols = open();
    let mut memory = |at: Addr, buffer: &mut [u8]| match symbols.initial(at, buffer.len()) {
        Some(bytes) => {
            buffer.copy_from_slice(bytes);
            true
        }
        None => false,
    };
    let mut text = |name: &str| {
        let found = symbols.globals(name, None, None, &mut memory);
        assert_eq!(found.len(), 1, "{name}");
        symbols.value_text(&found[0].value, &mut memory).unwrap()
    };
    assert_eq!(text("answer"), "42");
    assert_eq!(text("favourite"), "GREEN");
    let point = text("origin_point");
    assert!(point.starts_with("{x = -4, flag = 5, name = 0x"), "{point}");
    assert!(point.ends_with("inner = {text = \"inside\"}}"), "{point}");
    let point = symbols.type_named("struct point").unwrap();
    assert_eq!(symbols.size_of(point), 24);
    let (offset, of) = symbols.field(point, "inner.text").unwrap();
    assert_eq!(offset, 16);
    assert!(matches!(symbols.type_of(of), Type::Array { .. }));
}

#[test]
fn what_a_unit_only_declares_is_found_where_it_is_defined() {
    let symbols = open();
    let mut none = |_: Addr, _: &mut [u8]| false;
    let mut pointed_at = |name: &str| {
        let of = symbols.globals(name, None, None, &mut none)[0].value.of;
        match symbols.type_of(of) {
            Type::Pointer { to, .. } => to,
            other => panic!("{name}: {other:?}"),
        }
    };
    let point = pointed_at("pointed");
    assert_eq!(symbols.type_name(point), "struct point");
    assert_eq!(symbols.size_of(point), 24);
    assert_eq!(symbols.field(point, "inner.text").unwrap().0, 16);
    let nothing = pointed_at("nowhere");
    assert_eq!(symbols.type_name(nothing), "struct nothing");
    assert_eq!(
        symbols.type_of(nothing),
        Type::Unknown("struct nothing is only declared".to_owned())
    );
}

/// Everything that may be asked of a file.
fn ask_all(symbols: &Symbols) {
    let _ = (symbols.lacks(), symbols.build_id(), symbols.boundary());
    let _ = symbols.check_build_id(|_, _| false);
    let mut memory = |at: Addr, buffer: &mut [u8]| {
        buffer.fill(u8::try_from(at.0 & 0xff).unwrap_or(0));
        true
    };
    let all: Vec<_> = symbols
        .iter()
        .take(40)
        .map(|s| (s.name, s.addr, s.kind))
        .collect();
    for (name, addr, kind) in all {
        let _ = (symbols.lookup(name), symbols.parts(name));
        let _ = symbols.globals(name, Some(addr), None, &mut memory);
        if kind == Kind::PerCpu {
            continue;
        }
        for at in [addr, addr.wrapping_add(0x17)] {
            let _ = (symbols.at(at), symbols.place(at), symbols.frames(at));
            let _ = (symbols.line_range(at), symbols.line_rows(at));
            let mut registers = RegisterSet::default();
            registers.set(Reg::RIP, Some(at.0));
            registers.set(Reg::RSP, Some(0xffff_ffff_8100_0000));
            registers.set(Reg::RBP, Some(0xffff_ffff_8100_0040));
            let backtrace = symbols.backtrace(&registers, &mut memory, 8);
            let _ = symbols.shown_frames(&backtrace);
            for level in 0..backtrace.frames.len() {
                let _ = symbols.parameters_at_entry(&backtrace, level, 0, &mut memory);
                for local in symbols.locals(&backtrace, level, 0, &mut memory) {
                    if let Known::Yes(value) = local.value() {
                        let _ = symbols.value_text(&value, &mut memory);
                    }
                }
            }
        }
    }
    let _ = symbols.line_addresses("read_write.c", 5);
    let _ = symbols.call_name(1);
    let _ = symbols.copies("vfs_write", None, 10);
    for name in ["struct point", "enum colour", "unsigned int"] {
        if let Some(of) = symbols.type_named(name) {
            let _ = (symbols.type_name(of), symbols.size_of(of));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_truncated_file_is_refused_or_read(len in 0..FILE.len()) {
        match Symbols::from_bytes(FILE[..len].to_vec(), None) {
            Ok(symbols) => ask_all(&symbols),
            Err(found) => prop_assert!(!found.to_string().is_empty()),
        }
    }

    #[test]
    fn a_damaged_file_is_refused_or_read(
        changes in proptest::collection::vec((0..FILE.len(), any::<u8>()), 1..60)
    ) {
        let mut bytes = FILE.to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        if let Ok(symbols) = Symbols::from_bytes(bytes, None) {
            ask_all(&symbols);
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.extend(&bytes);
        prop_assert!(Symbols::from_bytes(elf, None).is_err());
        let found = Symbols::from_bytes(bytes.clone(), None);
        let told = matches!(found, Err(Found::Empty | Found::NotElf { .. }));
        prop_assert!(told, "{found:?}");
    }
}

/// As KASLR does: everything of the kernel lies higher, by the same distance.
#[test]
fn a_moved_kernel_is_told_at_its_new_addresses() {
    let linked = open();
    let mut moved = open();
    let slide = Slide(0x20_0000 * 7);
    moved.move_to(slide);
    let place = |symbols: &Symbols, at| {
        let mut place = symbols.place(at);
        place.addr = Addr(0);
        place
    };
    for name in ["start_kernel", "ksys_write", "main", "answer"] {
        let at = addr(&linked, name);
        assert_eq!(addr(&moved, name), slide.moved(at), "{name}");
        assert_eq!(place(&moved, slide.moved(at)), place(&linked, at), "{name}");
        assert_eq!(moved.frames(slide.moved(at)), linked.frames(at), "{name}");
    }
    let lines = |symbols: &Symbols| symbols.line_addresses("fs/read_write.c", 4);
    let expected: Vec<_> = lines(&linked).iter().map(|at| slide.moved(*at)).collect();
    assert_eq!(lines(&moved), expected);
    let write = addr(&linked, "ksys_write");
    let range = moved.line_range(slide.moved(write)).unwrap();
    let here = linked.line_range(write).unwrap();
    assert_eq!(
        range,
        AddrRange::new(slide.moved(here.start), slide.moved(here.end))
    );
    let global = |symbols: &Symbols| {
        let mut none = |_: Addr, _: &mut [u8]| false;
        symbols.globals("answer", None, None, &mut none)[0]
            .value
            .place
            .clone()
    };
    let (ValuePlace::Memory(there), ValuePlace::Memory(here)) = (global(&moved), global(&linked))
    else {
        panic!("a global lies in memory");
    };
    assert_eq!(there, slide.moved(here));
    moved.move_to(Slide(0));
    assert_eq!(addr(&moved, "ksys_write"), write);
}
