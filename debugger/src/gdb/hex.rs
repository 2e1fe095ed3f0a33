//! Bytes as pairs of hexadecimal digits, and numbers as the protocol writes them.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends two digits for each byte.
pub fn push(text: &mut Vec<u8>, bytes: &[u8]) {
    let start = text.len();
    text.resize(start + bytes.len() * 2, 0);
    for (pair, byte) in text[start..].chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[must_use]
pub fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len() * 2);
    push(&mut text, bytes);
    text
}

#[must_use]
pub fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// `None` when a character is no digit or one is left over.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

/// A big-endian number of at least one and at most 16 significant digits.
#[must_use]
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        let digit = digit(*byte)?;
        (value >> 60 == 0).then_some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_have_digits_and_fit() {
        assert_eq!(number(b"7ff"), Some(0x7ff));
        assert_eq!(number(b"ffffffffffffffff"), Some(u64::MAX));
        assert_eq!(number(b"00000000000000001"), Some(1));
        assert_eq!(number(b"1ffffffffffffffff"), None);
        assert_eq!(number(b""), None);
        assert_eq!(number(b"-1"), None);
    }

    proptest! {
        #[test]
        fn bytes_survive(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_decoded_or_refused(text: Vec<u8>) {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text.to_ascii_lowercase());
            }
        }
    }
}
