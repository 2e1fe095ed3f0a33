//! Bytes read from the front: what DWARF's readers here have in common.

/// What is left to read. Every reader gives `None` at the end, and then says nothing of what is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A little-endian number of at most 8 bytes.
    #[inline]
    pub(super) fn fixed(&mut self, size: usize) -> Option<u64> {
        let (bytes, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(match *bytes {
            [a] => u64::from(a),
            [a, b] => u64::from(u16::from_le_bytes([a, b])),
            [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
            _ => {
                let bytes = bytes.iter().rev();
                bytes.fold(0, |value, byte| value << 8 | u64::from(*byte))
            }
        })
    }

    /// LEB128; of a signed one only its length counts here.
    #[inline]
    pub(super) fn number(&mut self) -> Option<u64> {
        let first = self.byte()?;
        if first & 0x80 == 0 {
            return Some(u64::from(first));
        }
        let (mut value, mut shift) = (u64::from(first & 0x7f), 7_u32);
        loop {
            let byte = self.byte()?;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            shift = shift.saturating_add(7);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
    }

    /// Up to a NUL, which is passed over.
    #[inline]
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(0, self.0)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        Some(text)
    }

    /// Passes over one declaration of an abbreviation and gives its code; 0 ends the table. A
    /// declaration is its code, a tag, whether it has children, and pairs of an attribute and its form
    /// up to a pair of zeros (DWARF 5, 7.5.3).
    pub(super) fn declaration(&mut self, mut each_form: impl FnMut(u64)) -> Option<u64> {
        let code = self.number()?;
        if code == 0 {
            return Some(0);
        }
        self.number()?;
        self.skip(1)?;
        loop {
            let attribute = self.number()?;
            let form = self.number()?;
            if form == u64::from(gimli::DW_FORM_implicit_const.0) {
                self.number()?;
            }
            if attribute == 0 && form == 0 {
                return Some(code);
            }
            each_form(form);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_taken_from_the_front() {
        let mut at = Cursor(&[0x34, 0x12, 0xe5, 0x8e, 0x26, b'a', 0, 7]);
        assert_eq!(at.fixed(2), Some(0x1234));
        assert_eq!(at.number(), Some(624_485));
        assert_eq!(at.text(), Some(&b"a"[..]));
        assert_eq!((at.byte(), at.byte()), (Some(7), None));
        assert_eq!(Cursor(&[0x80]).number(), None);
        assert_eq!(Cursor(b"a").text(), None);
        assert_eq!(Cursor(&[1]).fixed(2), None);
    }
}
