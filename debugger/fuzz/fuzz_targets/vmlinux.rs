#![no_main]

use debugger::addr::Addr;
use debugger::symbols::Symbols;
use libfuzzer_sys::fuzz_target;

// The first two bytes choose an address to ask about; the rest is the file.
fuzz_target!(|data: &[u8]| {
    let Some((choice, file)) = data.split_at_checked(2) else { return };
    let Ok(symbols) = Symbols::from_bytes(file.to_vec(), None) else { return };
    let offset = u64::from(u16::from_le_bytes([choice[0], choice[1]]));
    for base in [0, 0x40_0000, 0xffff_ffff_8100_0000] {
        let addr = Addr(base + offset);
        let _ = symbols.at(addr);
        let _ = symbols.place(addr);
        let _ = symbols.frames(addr);
        let _ = symbols.line_range(addr);
        let _ = symbols.line_rows(addr);
    }
    let _ = (symbols.type_named("struct point"), symbols.files("main.c"));
    let _ = symbols.build_id_location();
    let _ = symbols.lookup("main");
});
