//! `complete`: what a half-typed line may become, with the variables of the selected frame and the
//! members of values.

use super::engine::Engine;
use super::expression::{self, Type, Value};
use super::handle::SymbolNames;
use super::parts::member_names;
use super::trouble::Trouble;
use crate::command::{Names, complete, value_with_members};
use crate::event::Answer;
use crate::symbols::Symbols;
use crate::symbols::types::{Type as Plain, TypeId};

/// All names, and those of the selected frame.
struct InSight {
    all: SymbolNames,
    variables: Vec<String>,
    members: Vec<String>,
}

impl Names for InSight {
    fn symbols(&self, prefix: &str, limit: usize) -> Vec<String> {
        self.all.symbols(prefix, limit)
    }

    fn types(&self, prefix: &str, limit: usize) -> Vec<String> {
        Names::types(&self.all, prefix, limit)
    }

    fn files(&self, prefix: &str, limit: usize) -> Vec<String> {
        Names::files(&self.all, prefix, limit)
    }

    fn variables(&self) -> Vec<String> {
        self.variables.clone()
    }

    fn members(&self) -> Vec<String> {
        self.members.clone()
    }
}

impl Engine {
    /// Where nothing fits because a value has no members or cannot be evaluated, that is told.
    pub(super) fn complete(&mut self, line: &str) -> Result<Answer, Trouble> {
        let members = match value_with_members(line).map(|value| self.members_of(value)) {
            Some(Err(Trouble::Failed(failure))) => Err(failure),
            Some(told) => Ok(told?),
            None => Ok(Vec::new()),
        };
        let locals = match self.frame_locals() {
            Err(Trouble::Failed(_)) => Vec::new(),
            told => told?.1,
        };
        let (members, why_none) = match members {
            Ok(members) => (members, None),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        let names = InSight {
            all: self.port.names.clone(),
            variables: locals.into_iter().map(|local| local.name).collect(),
            members,
        };
        match (complete(line, &names), why_none) {
            (lines, Some(failure)) if lines.is_empty() => Err(Trouble::Failed(failure)),
            (lines, _) => Ok(Answer::Text(lines)),
        }
    }

    /// Of a record, or of one that a pointer points at. Its type alone tells: it need not be there.
    fn members_of(&mut self, text: &str) -> Result<Vec<String>, Trouble> {
        let tried = || format!("completing behind '{text}'");
        let failed = |error| Trouble::expression(text, &error);
        if expression::parse(text).map_err(failed)?.assigns() {
            return Err(Trouble::new(
                tried(),
                "it changes what it shows",
                "complete it without the assignment",
            ));
        }
        let value = self.evaluate(text)?;
        let symbols = self.symbols_or(tried)?;
        let names = record(symbols, &value).map_or(Vec::new(), |of| member_names(symbols, of));
        match names.is_empty() {
            false => Ok(names),
            true => Err(Trouble::new(
                tried(),
                format!("{} has no members", value.type_),
                "'whatis EXPRESSION' tells a type",
            )),
        }
    }
}

fn record(symbols: &Symbols, value: &Value) -> Option<TypeId> {
    let Some(typed) = &value.typed else {
        return match &value.type_ {
            Type::Pointer(to) => symbols.type_named(&to.to_string()),
            other => symbols.type_named(&other.to_string()),
        };
    };
    match symbols.plain_type(typed.of).1 {
        Plain::Pointer { to, .. } => Some(to),
        _ => Some(typed.of),
    }
}
