//! What is read from the vmlinux of an image that was built.

use std::collections::BTreeSet;

use capstone::arch::BuildsCapstone as _;
use debugger::addr::{Addr, AddrRange};
use debugger::disasm::{self, Flow};
use debugger::origin::Origin;
use debugger::profile::EntryCode;
use debugger::qemu::image::Image;
use debugger::session::store;
use debugger::symbols::types::Type;
use debugger::symbols::{Kind, Pattern, Symbols};

fn image() -> Image {
    store::image("syscalls").unwrap_or_else(|error| panic!("{error}"))
}

fn open() -> Symbols {
    let image = image();
    Symbols::open(&image.vmlinux(), Some(&image.twin())).unwrap_or_else(|error| panic!("{error}"))
}

/// The origins of all symbols of a name, in the kernel's half.
fn origins(symbols: &Symbols, name: &str) -> Vec<String> {
    let found = symbols.lookup(name);
    let kernel = found.iter().filter(|symbol| symbol.addr.in_kernel_half());
    kernel.map(|symbol| symbol.origin.to_string()).collect()
}

fn function(symbols: &Symbols, name: &str) -> Addr {
    let found = symbols.lookup(name);
    let kernel = found.iter().find(|symbol| symbol.addr.in_kernel_half());
    kernel.unwrap_or_else(|| panic!("no {name}")).addr
}

#[test]
#[ignore = "boots an image"]
fn nothing_lacks_and_the_build_id_is_the_manifests() {
    let symbols = open();
    assert_eq!(symbols.lacks(), [""; 0]);
    let id = symbols.build_id().unwrap();
    let text: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(text, image().manifest.build_id);
    let place = symbols.build_id_location().unwrap();
    assert_eq!(symbols.initial(place.start, id.len()), Some(id));
    assert!(place.start >= function(&symbols, "__start_notes"));
    symbols
        .check_build_id(|at, buffer| {
            buffer.copy_from_slice(symbols.initial(at, buffer.len()).unwrap());
            true
        })
        .unwrap();
    let mismatch = symbols
        .check_build_id(|at, buffer| {
            buffer.copy_from_slice(symbols.initial(at, buffer.len()).unwrap());
            let id_at = buffer.len() - id.len();
            buffer[id_at..].fill(0xab);
            true
        })
        .unwrap_err();
    assert!(mismatch.to_string().contains(&text), "{mismatch}");
    assert!(mismatch.to_string().contains("abababab"), "{mismatch}");
    let mismatch = symbols
        .check_build_id(|_, buffer| {
            buffer.fill(0xab);
            true
        })
        .unwrap_err();
    assert!(
        mismatch.to_string().contains("no build-id note there"),
        "{mismatch}"
    );
}

/// A shortcut that a patch adds must be added to the table, or its frames are not unwound.
#[test]
#[ignore = "boots an image"]
fn the_table_of_entry_code_has_the_whole_entry_code_and_nothing_else() {
    let symbols = open();
    let profile = symbols.profile();
    let entry_code = |name: &str| profile.entry_code(name);
    let entry = symbols.boundary().entry_text;
    let ours = symbols
        .starting_in(entry)
        .filter(|symbol| symbol.name.starts_with("ukl_"));
    for symbol in ours {
        assert!(
            entry_code(symbol.name).is_some(),
            "{} is not in it",
            symbol.name
        );
    }
    for name in profile.entry_names() {
        let at = function(&symbols, name);
        let of_app = symbols.boundary().app_text.contains(at);
        assert!(entry.contains(at) || of_app, "{name} is elsewhere: {at}");
        let called = entry_code(name) == Some(EntryCode::Stub);
        assert!(!of_app || called || name == "ukl_syscall_return", "{name}");
    }
    // Functions in C that begin alike.
    let text = AddrRange::new(function(&symbols, "_text"), entry.start);
    let begin_alike = symbols
        .starting_in(text)
        .filter(|symbol| symbol.name.starts_with("ukl_") && symbol.kind.is_code());
    let begin_alike: Vec<&str> = begin_alike.map(|symbol| symbol.name).collect();
    assert!(!begin_alike.is_empty());
    for name in begin_alike {
        assert_eq!(entry_code(name), None, "{name}");
    }
}

#[test]
#[ignore = "boots an image"]
fn every_side_of_the_boundary_is_told() {
    let symbols = open();
    for (name, origin) in [
        ("main", "app"),
        ("_start_c", "libc"),
        ("__libc_start_main", "libc"),
        ("ksys_write", "kernel:fs"),
        ("tcp_sendmsg", "kernel:net"),
        ("schedule", "kernel:sched"),
        ("do_syscall_64", "kernel:entry"),
        ("entry_SYSCALL_64", "entry"),
        ("ukl_entry_SYSCALL_64", "entry"),
        ("ukl_bypass_syscall", "entry"),
        ("ukl_full_syscall", "entry"),
        ("asm_exc_page_fault", "entry"),
    ] {
        assert_eq!(origins(&symbols, name), [origin], "{name}");
    }
    let boundary = symbols.boundary();
    assert!(boundary.app_text.contains(function(&symbols, "main")));
    assert!(
        boundary
            .app_text
            .contains(function(&symbols, "ukl_full_syscall"))
    );
    assert_eq!(symbols.origin(boundary.app_data.span().start), Origin::App);
    assert_eq!(symbols.origin(Addr(0)), Origin::Unknown);
    assert_eq!(symbols.origin(Addr(u64::MAX)), Origin::Unknown);
    // The twin's own: its libc has no DWARF.
    let twin = |name: &str| {
        let found = symbols.lookup(name);
        let user = found.into_iter().find(|s| !s.addr.in_kernel_half());
        user.map(|symbol| symbol.origin)
    };
    assert_eq!(twin("main"), Some(Origin::App));
    assert_eq!(twin("write"), Some(Origin::Libc));
    assert_eq!(twin("_start_c"), Some(Origin::Libc));
}

#[test]
#[ignore = "boots an image"]
fn homonyms_stand_side_by_side() {
    let symbols = open();
    assert_eq!(origins(&symbols, "memcpy"), ["kernel:arch", "libc"]);
    assert_eq!(origins(&symbols, "write"), ["libc"]);
    let found = symbols.lookup("write");
    let files: Vec<_> = found.iter().filter_map(|symbol| symbol.file).collect();
    assert_eq!(files, ["write.c"]);
    assert!(symbols.lookup("memcpy").len() >= 3, "the twin has one too");
    assert_eq!(symbols.lookup("no such name"), []);
    let tcp: BTreeSet<_> = symbols
        .matching(&Pattern::new("tcp_*msg"))
        .map(|symbol| symbol.name.to_owned())
        .collect();
    assert!(tcp.contains("tcp_sendmsg") && tcp.contains("tcp_recvmsg"));
    assert!(!tcp.contains("tcp_sendmsg_locked"));
}

#[test]
#[ignore = "boots an image"]
fn lines_lead_there_and_back() {
    let symbols = open();
    let start = function(&symbols, "ksys_write");
    let place = symbols.place(start);
    assert_eq!(place.symbol.as_deref(), Some("ksys_write"));
    assert_eq!(place.file.as_deref(), Some("fs/read_write.c"));
    let line = place.line.unwrap();
    assert!(
        symbols
            .line_addresses("read_write.c", line)
            .contains(&start)
    );
    assert_eq!(symbols.line_addresses("no_such_file.c", line), []);
    let range = symbols.line_range(start).unwrap();
    assert!(range.contains(start) && range.len() < 100);
    assert_eq!(symbols.place(range.start).line, Some(line));
    assert_ne!(symbols.place(range.end).line, Some(line));
    // SYSCALL_DEFINE3(write) is three functions, of which two are inlined.
    let write = function(&symbols, "__x64_sys_write");
    let names: Vec<_> = symbols
        .frames(write)
        .into_iter()
        .map(|f| f.function)
        .collect();
    assert_eq!(
        names,
        ["__do_sys_write", "__se_sys_write", "__x64_sys_write"]
    );
    // The application's own lines.
    let main = symbols.place(function(&symbols, "main"));
    let file = main.file.unwrap();
    assert!(file.ends_with("demos/syscalls/main.c"), "{file}");
    // Assembly has lines too.
    let entry = symbols.place(function(&symbols, "entry_SYSCALL_64"));
    assert_eq!(entry.file.as_deref(), Some("arch/x86/entry/entry_64.S"));
}

#[test]
#[ignore = "boots an image"]
fn calls_have_names_from_the_kernels_own_table() {
    let symbols = open();
    for (number, name) in [
        (0, "read"),
        (1, "write"),
        (5, "fstat"),
        (44, "sendto"),
        (45, "recvfrom"),
        (110, "getppid"),
        (231, "exit_group"),
    ] {
        assert_eq!(symbols.call_name(number).as_deref(), Some(name));
    }
    assert_eq!(symbols.call_name(100_000), None);
    assert_eq!(symbols.call_name(u64::MAX), None);
}

#[test]
#[ignore = "boots an image"]
fn types_are_read_whole() {
    let symbols = open();
    let task = symbols.type_named("struct task_struct").unwrap();
    assert!(symbols.size_of(task) > 1000);
    let (offset, comm) = symbols.field(task, "comm").unwrap();
    assert!(offset > 0);
    assert_eq!(symbols.type_name(comm), "char [16]");
    let (_, sp) = symbols.field(task, "thread.sp").unwrap();
    assert_eq!(symbols.size_of(sp), 8);
    assert_eq!(symbols.field(task, "no_such_field"), None);
    // A member of an anonymous union inside.
    let page = symbols.type_named("struct page").unwrap();
    assert!(symbols.member(page, "lru").is_some());
    let regs = symbols.type_named("struct pt_regs").unwrap();
    assert_eq!(
        symbols.size_of(regs),
        debugger::symbols::unwind::PT_REGS_SIZE
    );
    let Type::Record { members, .. } = symbols.type_of(regs) else {
        panic!("pt_regs is a struct");
    };
    assert_eq!(members[15].name, "orig_ax");
    assert_eq!(members[15].offset, 120);
    assert_eq!(
        symbols.type_named("unsigned long"),
        symbols.type_named("long unsigned int")
    );
}

#[test]
#[ignore = "boots an image"]
fn types_are_written_as_c_declares_them() {
    let symbols = open();
    for (name, part) in [
        // A flexible array, an array, a bit field, one in a union, a function pointer.
        ("struct linux_dirent64", "char d_name[];"),
        ("struct task_struct", "char comm[16];"),
        (
            "struct task_struct",
            "unsigned int sched_reset_on_fork : 1;",
        ),
        ("union cpuid10_eax", "unsigned int version_id : 8;"),
        (
            "struct file_operations",
            "ssize_t (*read)(struct file *, char *, size_t, loff_t *);",
        ),
        // A member without a name, and what is in it.
        ("struct page", "    union {"),
        ("struct page", "struct list_head lru;"),
        // A typedef of a typedef of a number; enumerations counted on and given.
        ("loff_t", "long long int"),
        ("enum pid_type", "{PIDTYPE_PID, PIDTYPE_TGID,"),
        ("enum hrtimer_mode", "HRTIMER_MODE_SOFT = 4"),
    ] {
        let of = symbols.type_named(name).unwrap_or_else(|| panic!("{name}"));
        let written = symbols.outline(of, false).join("\n");
        assert!(written.contains(part), "{name}: {written}");
    }
}

/// Executable symbols with a size of their own, as ranges.
fn code(symbols: &Symbols) -> Vec<AddrRange> {
    let functions = symbols
        .functions()
        .filter(|symbol| symbol.addr.in_kernel_half());
    let mut ranges: Vec<_> = functions
        .map(|symbol| AddrRange::new(symbol.addr, symbol.addr + symbol.size))
        .collect();
    ranges.dedup();
    ranges
}

/// Instructions newer than capstone's tables, and one whose operand byte it leaves out.
const CAPSTONE_LACKS: [&str; 7] = [
    "ud1",
    "serialize",
    "pvalidate",
    "rmpadjust",
    "rmpupdate",
    "tilerelease",
    "psmash",
];

#[test]
#[ignore = "boots an image"]
fn two_disassemblers_agree_on_every_length() {
    let symbols = open();
    let capstone = capstone::Capstone::new()
        .x86()
        .mode(capstone::arch::x86::ArchMode::Mode64)
        .build()
        .unwrap();
    let (mut instructions, mut returns) = (0_u64, 0_u64);
    let mut differences = Vec::new();
    for range in code(&symbols) {
        let len = usize::try_from(range.len()).unwrap();
        let Some(bytes) = symbols.initial(range.start, len) else {
            continue;
        };
        let mut at = 0;
        while let Some(found) = disasm::decode(&bytes[at..], range.start + at as u64) {
            instructions += 1;
            returns += u64::from(found.flow == Flow::Return);
            let one = &bytes[at..at + found.len];
            let other = capstone.disasm_count(one, found.addr.0, 1).unwrap();
            let same = other.iter().next().map(|i| i.bytes().len()) == Some(found.len);
            if !same {
                let text =
                    disasm::disassemble(one, found.addr, &disasm::NoNames, disasm::Syntax::Intel);
                if !CAPSTONE_LACKS.contains(&text[0].mnemonic.as_str()) {
                    differences.push(format!("{}: {one:02x?} {}", found.addr, text[0].mnemonic));
                }
            }
            at += found.len;
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(
        instructions > 500_000,
        "{instructions} instructions looked at"
    );
    assert!(returns > 10_000, "{returns} returns seen");
}

#[test]
#[ignore = "boots an image"]
fn every_function_of_the_application_disassembles() {
    let symbols = open();
    let mut crossings = 0;
    let text = symbols.boundary().app_text.span();
    for symbol in symbols
        .starting_in(text)
        .filter(|s| s.kind == Kind::Function)
    {
        let bytes = symbols
            .initial(symbol.addr, usize::try_from(symbol.size).unwrap())
            .unwrap();
        let list = disasm::disassemble(bytes, symbol.addr, &symbols, disasm::Syntax::Intel);
        for instruction in list {
            assert_ne!(instruction.flow, Flow::Invalid, "{}", symbol.name);
            let leaves = instruction
                .target
                .is_some_and(|target| !text.contains(target));
            // A weak function that is not linked; the call is jumped over.
            let nowhere = instruction.target == Some(Addr(0));
            if leaves && !nowhere && instruction.flow == Flow::Call {
                crossings += 1;
                assert!(instruction.operands.starts_with("ukl_"), "{instruction:?}");
            }
        }
    }
    // The two shortcuts, each called from at least one place.
    assert!(crossings >= 2, "{crossings}");
}
