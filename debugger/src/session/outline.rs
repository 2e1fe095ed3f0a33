//! Types written out, and functions and types by pattern.

use super::engine::Engine;
use super::expression::{Type, Value};
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::event::Answer;
use crate::symbols::Pattern;
use crate::symbols::types::TypeId;

/// The most names listed at once.
const MOST: usize = 2_000;

impl Engine {
    /// `ptype` and `whatis`: of a type's name or of an expression.
    pub(super) fn type_answer(
        &mut self,
        text: &str,
        whole: bool,
        offsets: bool,
    ) -> Result<Answer, Trouble> {
        let tried = || format!("looking for the type of '{text}'");
        let symbols = self.symbols_or(tried)?;
        let (name, stars) = apart(text);
        let found = symbols.types_named(&name);
        let keyword = ["struct", "union", "enum"].contains(&first_word(&name));
        // A variable comes before a typedef of the same name, as in C.
        if found.is_empty() || !(keyword || stars > 0) {
            match self.evaluate(text) {
                Ok(value) => return self.type_of_value(&value, whole, offsets),
                Err(trouble) if found.is_empty() && !keyword => return Err(trouble),
                Err(_) => {}
            }
        }
        if found.is_empty() {
            self.types_or(tried)?;
            return Err(Trouble::new(
                tried(),
                "vmlinux defines no type of this name",
                "'info types PATTERN' finds names",
            ));
        }
        let symbols = self.symbols_or(tried)?;
        let several = found.len() > 1;
        let mut lines = Vec::new();
        for (of, place) in found {
            if several {
                lines.push(format!("/* {place} */"));
            }
            if !whole {
                lines.push(format!("{}{}", symbols.declaration(of, ""), tail(stars)));
                continue;
            }
            let mut outline = symbols.outline(of, offsets);
            if let Some(last) = outline.last_mut() {
                last.push_str(&tail(stars));
            }
            lines.extend(outline);
        }
        Ok(Answer::Text(lines))
    }

    fn type_of_value(
        &mut self,
        value: &Value,
        whole: bool,
        offsets: bool,
    ) -> Result<Answer, Trouble> {
        let symbols = self.symbols_or(|| "telling a type".to_owned())?;
        if let (Type::Function, Some(at)) = (&value.type_, value.at)
            && let Some(declaration) = symbols.function_declaration(at)
        {
            return Ok(Answer::Text(vec![declaration]));
        }
        let named = |type_: &Type| -> Option<TypeId> {
            let (name, _) = apart(&type_.to_string());
            symbols.type_named(&name)
        };
        let lines = match (&value.typed, whole) {
            (Some(typed), true) => symbols.outline(typed.of, offsets),
            (Some(typed), false) => vec![symbols.declaration(typed.of, "")],
            (None, false) => vec![value.type_.to_string()],
            (None, true) => match named(&value.type_) {
                Some(of) => {
                    let mut outline = symbols.outline(of, offsets);
                    let (_, stars) = apart(&value.type_.to_string());
                    if let Some(last) = outline.last_mut() {
                        last.push_str(&tail(stars));
                    }
                    outline
                }
                None => vec![value.type_.to_string()],
            },
        };
        Ok(Answer::Text(lines))
    }

    /// `info functions`
    pub(super) fn functions_like(&self, pattern: &str) -> Result<Answer, Trouble> {
        let tried = || format!("looking for functions like '{pattern}'");
        let symbols = self.symbols_or(tried)?;
        let pattern_of = Pattern::new(pattern);
        let (found, more) = symbols.functions_like(&pattern_of, MOST);
        let mut lines = Vec::new();
        let mut file = None;
        for function in &found {
            if file != Some(&function.file) {
                lines.push(format!("File {}:", function.file));
                file = Some(&function.file);
            }
            lines.push(format!("{:>6}: {}", function.line, function.declaration));
        }
        // Assembly and code without debug information have symbols alone.
        let known: Vec<Addr> = symbols
            .matching(&pattern_of)
            .filter(|symbol| symbol.kind.is_code())
            .filter(|symbol| symbols.function_declaration(symbol.addr).is_none())
            .map(|symbol| symbol.addr)
            .take(MOST)
            .collect();
        if !known.is_empty() {
            lines.push("Without debug information:".to_owned());
        }
        for addr in known {
            if let Some(symbol) = symbols.at(addr) {
                lines.push(format!("{:#x}  {}", addr.0, symbol.name));
            }
        }
        listed(lines, more, tried())
    }

    /// `info types`
    pub(super) fn types_like(&self, pattern: &str) -> Result<Answer, Trouble> {
        let tried = || format!("looking for types like '{pattern}'");
        let symbols = self.types_or(tried)?;
        let (lines, more) = symbols.types_like(&Pattern::new(pattern), MOST);
        listed(lines, more, tried())
    }
}

fn listed(mut lines: Vec<String>, more: bool, tried: String) -> Result<Answer, Trouble> {
    if lines.is_empty() {
        return Err(Trouble::new(
            tried,
            "there are none",
            "a pattern is a part of a name, or with * and ? a whole one",
        ));
    }
    if more {
        lines.push(format!(
            "and more: only the first {MOST} names were taken; write more of the name"
        ));
    }
    Ok(Answer::Text(lines))
}

/// A type's name without its stars, and how many there are.
fn apart(text: &str) -> (String, usize) {
    let name = text
        .trim()
        .trim_end_matches(|c: char| c == '*' || c.is_whitespace());
    let stars = text[name.len()..].matches('*').count();
    let words: Vec<&str> = name
        .split_whitespace()
        .filter(|word| !matches!(*word, "const" | "volatile"))
        .collect();
    (words.join(" "), stars)
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or("")
}

fn tail(stars: usize) -> String {
    match stars {
        0 => String::new(),
        stars => format!(" {}", "*".repeat(stars)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_taken_apart_from_its_stars() {
        assert_eq!(apart("struct file **"), ("struct file".to_owned(), 2));
        assert_eq!(apart(" const struct  file"), ("struct file".to_owned(), 0));
        assert_eq!(apart("*"), (String::new(), 1));
    }
}
