//! `space`: the regions of the one address space, and what one address is.

use super::engine::Engine;
use super::trouble::Trouble;
use crate::event::{AddressInfo, Answer};
use crate::known::Known;

impl Engine {
    pub(super) fn space(&mut self, expression: Option<&str>) -> Result<Answer, Trouble> {
        let Some(text) = expression else {
            return Ok(Answer::Space(Vec::new()));
        };
        let at = self.address(text)?;
        Ok(Answer::Address(AddressInfo {
            place: self.place(at),
            region: None,
            walk: Known::no("the page tables were not read"),
            physical: Known::no("the page tables were not read"),
        }))
    }
}
