//! What names are looked for by.

/// A part of a name, or with `*` and `?` a whole name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    whole: bool,
}

impl Pattern {
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            whole: text.contains(['*', '?']),
        }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if self.whole {
            glob(self.text.as_bytes(), name.as_bytes())
        } else {
            name.contains(&self.text)
        }
    }
}

/// `*` is any text, `?` any one byte. Linear but for the last star, which is all that needs trying again.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                n += 1;
            }
            Some(byte) if *byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_parts_or_globs() {
        let matches = |pattern, name| Pattern::new(pattern).matches(name);
        assert!(matches("sendmsg", "tcp_sendmsg_locked"));
        assert!(!matches("sendmsg?", "tcp_sendmsg"));
        assert!(matches("tcp_*msg", "tcp_sendmsg"));
        assert!(!matches("tcp_*msg", "tcp_sendmsg_locked"));
        assert!(matches("*a*b*", "xxaxxabx"));
        assert!(matches("__x64_sys_*", "__x64_sys_write"));
        assert!(matches("wr?te", "write"));
        assert!(!matches("?", ""));
    }
}
