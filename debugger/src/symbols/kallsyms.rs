//! The names that a kernel carries in its own memory, found there by their structure: for a kernel of
//! which nobody has the vmlinux.
//!
//! A name is the numbers of its pieces, of which there are 256; its first character is its kind.
//!
//! ```text
//! up to 6.3:  offsets 4·n │ relative_base 8 │ num_syms 4 │ names │ markers 4·⌈n/256⌉ │ (6.2: seqs) │ token_table │ token_index
//! later:      num_syms 4 │ names │ markers │ token_table │ token_index 2·256 │ offsets │ relative_base
//! ```
//! Each begins at a multiple of 8. Source: scripts/kallsyms.c, kernel/kallsyms.c.

use crate::addr::Addr;

/// A symbol as the running kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSymbol {
    pub name: String,
    pub addr: Addr,
    /// As `nm` prints it: `T` code, `D` data, a small letter where it is local.
    pub letter: u8,
}

/// What is missing of the structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNames {
    #[error(
        "there is no table of name pieces (a kernel without CONFIG_KALLSYMS, or not its read-only data)"
    )]
    NoTokens,
    #[error("no list of names goes with the table of pieces")]
    NoList,
    #[error("no list of addresses goes with the names")]
    NoAddresses,
}

/// Fewer names are taken for chance.
const FEWEST: u32 = 256;

/// What may stand at the beginning of a name.
const LETTERS: &[u8] = b"aAbBcCdDgGiInNpPrRsStTuUvVwW?";

/// The digits are pieces of their own, each at its own number.
const DIGITS: &[u8; 20] = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00";

/// All symbols, in the kernel's order. `bytes` is the kernel's read-only data.
///
/// # Errors
/// When it is not there.
pub fn find(bytes: &[u8]) -> Result<Vec<KernelSymbol>, NoNames> {
    let mut best = NoNames::NoTokens;
    for at in places(bytes, DIGITS) {
        let Some(tokens) = Tokens::around(bytes, at) else {
            continue;
        };
        best = NoNames::NoList;
        if let Some(list) = List::find(bytes, &tokens) {
            return list.symbols(bytes, &tokens).ok_or(NoNames::NoAddresses);
        }
    }
    Err(best)
}

/// Where `wanted` lies.
pub(super) fn places<'a>(bytes: &'a [u8], wanted: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    memchr::memmem::find_iter(bytes, wanted)
}

struct Tokens {
    /// Where each piece begins.
    starts: Vec<usize>,
    /// Where the table begins, and where what follows its index.
    table: usize,
    end: usize,
}

impl Tokens {
    /// `zero` is where the piece "0" lies.
    fn around(bytes: &[u8], zero: usize) -> Option<Self> {
        const ZERO: usize = b'0' as usize;
        let mut end = zero;
        for _ in ZERO..256 {
            end += bytes
                .get(end..)?
                .iter()
                .take(64)
                .position(|byte| *byte == 0)?
                + 1;
        }
        let index = end.next_multiple_of(8);
        let offset =
            |i: usize| number::<2>(bytes, index + 2 * i).and_then(|n| usize::try_from(n).ok());
        let table = zero.checked_sub(offset(ZERO)?)?;
        let starts: Vec<usize> = (0..256)
            .map(|i| Some(table + offset(i)?))
            .collect::<Option<_>>()?;
        let ascending = starts.windows(2).all(|pair| pair[0] < pair[1]);
        let ended = starts[1..]
            .iter()
            .all(|start| bytes.get(start - 1) == Some(&0));
        (starts[0] == table && ascending && ended).then_some(Self {
            starts,
            table,
            end: index + 512,
        })
    }

    fn piece<'a>(&self, bytes: &'a [u8], number: u8) -> &'a [u8] {
        let start = self.starts[usize::from(number)];
        let rest = bytes.get(start..).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

struct List {
    /// Where the count lies, which the names follow.
    at: usize,
    names: usize,
    count: u32,
}

impl List {
    fn find(bytes: &[u8], tokens: &Tokens) -> Option<Self> {
        let last = tokens.table.saturating_sub(8) / 8;
        (0..last).rev().map(|word| word * 8).find_map(|at| {
            let count = u32::try_from(number::<8>(bytes, at)?).ok()?;
            if count < FEWEST || count as usize > (tokens.table - at) / 2 {
                return None;
            }
            let list = Self {
                at,
                names: at + 8,
                count,
            };
            list.holds(bytes, tokens).then_some(list)
        })
    }

    /// Whether so many names follow, and after them the place of each 256th.
    fn holds(&self, bytes: &[u8], tokens: &Tokens) -> bool {
        let mut at = self.names;
        let mut second = None;
        for i in 0..self.count {
            if i == FEWEST {
                second = Some(at - self.names);
            }
            let Some((name, next)) = entry(bytes, at) else {
                return false;
            };
            let letter = name
                .first()
                .and_then(|first| tokens.piece(bytes, *first).first());
            if next > tokens.table || !letter.is_some_and(|letter| LETTERS.contains(letter)) {
                return false;
            }
            at = next;
        }
        let markers = at.next_multiple_of(8);
        let marker =
            |i: usize| number::<4>(bytes, markers + 4 * i).and_then(|n| usize::try_from(n).ok());
        marker(0) == Some(0) && (second.is_none() || marker(1) == second)
    }

    fn symbols(&self, bytes: &[u8], tokens: &Tokens) -> Option<Vec<KernelSymbol>> {
        let addresses = self.addresses(bytes, tokens)?;
        let mut symbols = Vec::with_capacity(addresses.len());
        let mut at = self.names;
        for addr in addresses {
            let (name, next) = entry(bytes, at)?;
            let pieces = name.iter().map(|piece| tokens.piece(bytes, *piece));
            let text = pieces.collect::<Vec<_>>().concat();
            let (letter, name) = text.split_first()?;
            symbols.push(KernelSymbol {
                name: String::from_utf8_lossy(name).into_owned(),
                addr,
                letter: *letter,
            });
            at = next;
        }
        Some(symbols)
    }

    fn addresses(&self, bytes: &[u8], tokens: &Tokens) -> Option<Vec<Addr>> {
        let room = (self.count as usize * 4).next_multiple_of(8);
        let before = self
            .at
            .checked_sub(8)
            .and_then(|base| Some((base.checked_sub(room)?, base)));
        let after = tokens.end.next_multiple_of(8);
        let after = Some((after, after + room));
        let orders = [before, after].into_iter().flatten();
        orders
            .into_iter()
            .find_map(|(offsets, base)| self.at_base(bytes, offsets, number::<8>(bytes, base)?))
    }

    /// The addresses, if these are offsets to that base: they ascend.
    fn at_base(&self, bytes: &[u8], offsets: usize, base: u64) -> Option<Vec<Addr>> {
        if base < 0xffff_ffff_8000_0000 || !base.is_multiple_of(0x1000) {
            return None;
        }
        let raw = bytes.get(offsets..offsets + self.count as usize * 4)?;
        let raw: Vec<i32> = raw
            .chunks_exact(4)
            .map(|word| word.try_into().map_or(0, i32::from_le_bytes))
            .collect();
        // CONFIG_KALLSYMS_ABSOLUTE_PERCPU: what is not negative is no offset but the value itself.
        let per_cpu = raw.iter().any(|offset| *offset < 0);
        let addr = |offset: i32| match offset {
            0.. if per_cpu => Addr(u64::from(offset.unsigned_abs())),
            0.. => Addr(base).wrapping_add(u64::from(offset.unsigned_abs())),
            _ => Addr(base.wrapping_sub(1).wrapping_add_signed(-i64::from(offset))),
        };
        let addrs: Vec<Addr> = raw.into_iter().map(addr).collect();
        addrs.is_sorted().then_some(addrs)
    }
}

/// A name's pieces, and where the next name begins. A length of 128 and more takes two bytes.
fn entry(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let first = usize::from(*bytes.get(at)?);
    let (len, start) = match first {
        0 => return None,
        128.. => (first & 0x7f | usize::from(*bytes.get(at + 1)?) << 7, at + 2),
        _ => (first, at + 1),
    };
    let end = start.checked_add(len)?;
    Some((bytes.get(start..end)?, end))
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let mut word = [0; 8];
    word[..N].copy_from_slice(bytes.get(at..at.checked_add(N)?)?);
    Some(u64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0xffff_ffff_8160_0000;

    /// Each character is its own piece.
    fn table(later: bool, symbols: &[(String, Option<u32>)]) -> Vec<u8> {
        let pad = |out: &mut Vec<u8>| out.resize(out.len().next_multiple_of(8), 0);
        let mut out = vec![0xee; 40];
        let addresses = |out: &mut Vec<u8>| {
            for (i, (_, per_cpu)) in (0_i32..).zip(symbols) {
                let offset = per_cpu.map_or(-1 - 16 * i, u32::cast_signed);
                out.extend(offset.to_le_bytes());
            }
            pad(out);
            out.extend(BASE.to_le_bytes());
        };
        if !later {
            addresses(&mut out);
        }
        out.extend((symbols.len() as u64).to_le_bytes());
        let (names, mut markers) = (out.len(), Vec::new());
        for (i, (name, _)) in symbols.iter().enumerate() {
            if i % 256 == 0 {
                markers.extend(u32::try_from(out.len() - names).unwrap().to_le_bytes());
            }
            match u8::try_from(name.len()).unwrap() {
                long @ 128.. => out.extend([long, 1]),
                short => out.push(short),
            }
            out.extend(name.bytes());
        }
        pad(&mut out);
        out.extend(markers);
        pad(&mut out);
        let (table, mut index) = (out.len(), Vec::new());
        for piece in 0..=255_u8 {
            index.extend(u16::try_from(out.len() - table).unwrap().to_le_bytes());
            match piece.is_ascii_graphic() {
                true => out.push(piece),
                false => out.extend(format!("_{piece}").bytes()),
            }
            out.push(0);
        }
        pad(&mut out);
        out.extend(index);
        if later {
            addresses(&mut out);
        }
        out.extend([0xdd; 24]);
        out
    }

    fn symbols() -> Vec<(String, Option<u32>)> {
        let mut symbols = vec![("Acurrent_task".to_owned(), Some(0x40))];
        symbols.extend((1..600).map(|i| (format!("tfunction_{i}"), None)));
        symbols.push((format!("T{}", "x".repeat(127)), None));
        symbols
    }

    #[test]
    fn names_are_found_in_both_orders() {
        for later in [false, true] {
            let found = find(&table(later, &symbols())).unwrap();
            assert_eq!(found.len(), 601, "{later}");
            assert_eq!((found[0].addr, found[0].letter), (Addr(0x40), b'A'));
            assert_eq!(found[300].name, "function_300");
            assert_eq!(found[300].addr, Addr(BASE + 16 * 300));
            assert_eq!(found[600].name.len(), 127);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(find(&[0; 4096]), Err(NoNames::NoTokens));
        assert_eq!(find(DIGITS), Err(NoNames::NoTokens));
        let whole = table(true, &symbols());
        let few = table(true, &symbols()[..9]);
        assert_eq!(find(&few), Err(NoNames::NoList));
        assert_eq!(find(&whole[..whole.len() - 40]), Err(NoNames::NoAddresses));
    }

    proptest::proptest! {
        #[test]
        fn damage_does_no_harm(hits in proptest::collection::vec((0..20_000_usize, 0..=255_u8), 1..40)) {
            let mut bytes = table(false, &symbols());
            for (at, value) in hits {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            let _ = find(&bytes);
        }
    }
}
