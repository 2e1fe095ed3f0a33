//! Breakpoints and watchpoints: from what the user wrote to traps in the target.

use super::book::{Breakpoint, Kind, written};
use super::engine::Engine;
use super::expression;
use super::run::traps;
use super::trouble::Trouble;
use crate::addr::Addr;
use crate::command::{Location, WatchKind};
use crate::event::{Answer, BreakpointInfo};

impl Engine {
    /// `break`, `tbreak`, `hbreak`
    pub(super) fn set_breakpoint(
        &mut self,
        location: &Location,
        temporary: bool,
        hardware: bool,
        condition: Option<String>,
    ) -> Result<Answer, Trouble> {
        if let Some(text) = &condition {
            expression::parse(text).map_err(|error| Trouble::expression(text, &error))?;
        }
        let mut places = self.locate(location)?;
        places.sort_unstable();
        places.dedup();
        // Written down as the address it was: what the expression gives later is another matter.
        let text = match location {
            Location::Expression(_) => format!("*{:#x}", places[0].0),
            other => written(other),
        };
        self.plant(Breakpoint {
            number: 0,
            text,
            kind: Kind::Code { hardware },
            places,
            temporary,
            condition,
            hits: 0,
            failed: None,
        })
    }

    /// `watch`, `rwatch`, `awatch`
    pub(super) fn set_watchpoint(
        &mut self,
        kind: WatchKind,
        text: &str,
    ) -> Result<Answer, Trouble> {
        let value = self.evaluate(text)?;
        let (at, len) = match (value.at, value.bits) {
            (Some(at), _) => (at, value.type_.size().unwrap_or(8)),
            // A bare address: the word there.
            (None, Some(bits)) if bits > 0xffff => (Addr(bits), 8),
            _ => {
                return Err(Trouble::new(
                    format!("watching '{text}'"),
                    "it does not lie in memory",
                    "watch a variable, *(TYPE *)ADDRESS, or an address",
                ));
            }
        };
        self.plant(Breakpoint {
            number: 0,
            text: text.to_owned(),
            kind: Kind::Watch { kind, len },
            places: vec![at],
            temporary: false,
            condition: None,
            hits: 0,
            failed: None,
        })
    }

    fn plant(&mut self, mut breakpoint: Breakpoint) -> Result<Answer, Trouble> {
        let mut planted = Vec::new();
        for trap in traps(&breakpoint.kind, &breakpoint.places) {
            if let Err(error) = self.target.insert(trap) {
                let trouble = Trouble::from(error);
                if let Trouble::Failed(failure) = &trouble {
                    breakpoint.failed = Some(failure.found.clone());
                    break;
                }
                return Err(trouble);
            }
            planted.push(trap);
        }
        if breakpoint.failed.is_some() {
            for trap in planted {
                self.target.remove(trap)?;
            }
        }
        let number = self.book.add(breakpoint).number;
        let info = self.breakpoint_info(number);
        Ok(Answer::Breakpoints(info.into_iter().collect()))
    }

    pub(super) fn breakpoint_info(&self, number: u32) -> Option<BreakpointInfo> {
        let breakpoint = self.book.get(number)?;
        Some(breakpoint.info(|at| self.place(*at)))
    }

    /// `condition`
    pub(super) fn set_condition(
        &mut self,
        number: u32,
        condition: Option<String>,
    ) -> Result<Answer, Trouble> {
        if let Some(text) = &condition {
            expression::parse(text).map_err(|error| Trouble::expression(text, &error))?;
        }
        let Some(breakpoint) = self.book.get_mut(number) else {
            return Err(Trouble::new(
                format!("changing breakpoint {number}"),
                "there is none of this number",
                "'info breakpoints' lists them",
            ));
        };
        breakpoint.condition = condition;
        let info = self.breakpoint_info(number);
        Ok(Answer::Breakpoints(info.into_iter().collect()))
    }
}
