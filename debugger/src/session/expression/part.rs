//! The parts of the general registers by their own names: `eax`, `ax`, `al`, `ah`, `r8d`.

/// Which bits of which register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Part {
    pub(in crate::session) whole: &'static str,
    pub(in crate::session) shift: u32,
    pub(in crate::session) bits: u32,
}

impl Part {
    pub(in crate::session) const fn of(self, whole: u64) -> u64 {
        (whole >> self.shift) & self.mask()
    }

    /// The whole register with this part changed. Writing the lower half of a register clears the
    /// upper one in the machine; a debugger that is told to change a part changes that part.
    pub(in crate::session) const fn put(self, whole: u64, part: u64) -> u64 {
        (whole & !(self.mask() << self.shift)) | ((part & self.mask()) << self.shift)
    }

    const fn mask(self) -> u64 {
        (1 << self.bits) - 1
    }
}

/// 64 bits, 16 bits, the lowest byte (Intel SDM vol. 1, 3.4.1).
const OLD: [(&str, &str, &str); 8] = [
    ("rax", "ax", "al"),
    ("rbx", "bx", "bl"),
    ("rcx", "cx", "cl"),
    ("rdx", "dx", "dl"),
    ("rsi", "si", "sil"),
    ("rdi", "di", "dil"),
    ("rbp", "bp", "bpl"),
    ("rsp", "sp", "spl"),
];
const NEW: [&str; 8] = ["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

/// What a name is the part of. `sp` is the whole stack pointer, as in gdb.
pub(in crate::session) fn part(name: &str) -> Option<Part> {
    let of = |whole, shift, bits| Part { whole, shift, bits };
    for (whole, word, byte) in OLD {
        if name.strip_prefix('e') == Some(word) {
            return Some(of(whole, 0, 32));
        }
        if name == byte {
            return Some(of(whole, 0, 8));
        }
        if name == word && name != "sp" {
            return Some(of(whole, 0, 16));
        }
        let high = word.strip_suffix('x').zip(name.strip_suffix('h'));
        if high.is_some_and(|(letter, named)| letter == named) {
            return Some(of(whole, 8, 8));
        }
    }
    NEW.iter()
        .find_map(|whole| match name.strip_prefix(whole)? {
            "d" => Some(of(whole, 0, 32)),
            "w" => Some(of(whole, 0, 16)),
            "b" | "l" => Some(of(whole, 0, 8)),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_names_of_their_own() {
        let of = |name: &str| part(name).unwrap().of(0x1122_3344_5566_7788);
        assert_eq!(of("eax"), 0x5566_7788);
        assert_eq!(of("ax"), 0x7788);
        assert_eq!(of("al"), 0x88);
        assert_eq!(of("ah"), 0x77);
        assert_eq!(of("r8d"), 0x5566_7788);
        assert_eq!(of("sil"), 0x88);
        assert_eq!(part("ah").unwrap().put(0, 0x1ff), 0xff00);
        for name in ["rax", "sp", "r8", "eh", "sih", "r16d", ""] {
            assert_eq!(part(name), None, "{name}");
        }
    }
}
