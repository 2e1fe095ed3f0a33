//! A query on a screen, while it is being typed too.

use debugger::trace::query::Query;

/// While the text is none, as much of its beginning as is one is in force.
#[derive(Debug, Default)]
pub struct Filter {
    text: String,
    query: Query,
}

impl Filter {
    pub fn set(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        let ends = text.char_indices().filter(|(_, letter)| *letter == ' ');
        let beginnings = ends.rev().map(|(end, _)| &text[..end]);
        let mut queries = std::iter::once(text)
            .chain(beginnings)
            .filter_map(|text| text.parse().ok());
        self.query = queries.next().unwrap_or_default();
    }

    /// As it was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub const fn query(&self) -> &Query {
        &self.query
    }

    /// For a panel's title, after its other words.
    #[must_use]
    pub fn title(&self) -> String {
        match self.query.is_empty() {
            true => String::new(),
            false => format!(", only {}", self.query),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_as_is_a_query_is_in_force() {
        let mut filter = Filter::default();
        assert_eq!(filter.title(), "");
        filter.set("kind=syscall insns>");
        assert_eq!(filter.title(), ", only kind=syscall");
        assert!(filter.text().ends_with('>'));
        filter.set("kind=syscall insns>5");
        assert_eq!(filter.title(), ", only kind=syscall insns>5");
        filter.set("kind=");
        assert!(filter.query().is_empty());
        filter.set("");
        assert!(filter.query().is_empty());
    }
}
