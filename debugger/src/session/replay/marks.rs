//! Positions with names.

use serde::{Deserialize, Serialize};

use super::point::Point;
use crate::addr::Addr;
use crate::command::Position;
use crate::event::{Answer, StopReason};
use crate::session::engine::Engine;
use crate::session::trouble::Trouble;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    pub name: String,
    pub position: u64,
    /// The instruction executed next there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pc: Option<Addr>,
}

impl Mark {
    const fn point(&self) -> Point {
        Point {
            position: self.position,
            pc: self.pc,
        }
    }
}

impl Engine {
    /// `mark NAME`
    pub(in crate::session) fn mark(&mut self, name: &str) -> Result<Answer, Trouble> {
        self.needs_replay("marking a position")?;
        let Point { position, pc } = self.point()?;
        let Some(replay) = &mut self.replay else {
            return Ok(Answer::Text(Vec::new()));
        };
        replay.marks.retain(|mark| mark.name != name);
        replay.marks.push(Mark {
            name: name.to_owned(),
            position,
            pc,
        });
        replay.marks.sort_by_key(|mark| mark.position);
        if let Some(folder) = &replay.kept {
            folder.keep_marks(&replay.marks)?;
        }
        Ok(Answer::Done(format!(
            "{name} is position {}",
            grouped(position)
        )))
    }

    /// `marks`, `position`: where it stands, and what there is to go to.
    pub(in crate::session) fn marks(&mut self) -> Result<Answer, Trouble> {
        self.needs_replay("listing positions")?;
        let at = self.target.position()?;
        let passed = self.target.passed();
        let Some(replay) = &self.replay else {
            return Ok(Answer::Text(Vec::new()));
        };
        let end = replay.end.map_or_else(
            || "an end that is not known".to_owned(),
            |end| format!("{}, where the recording ends", grouped(end)),
        );
        let mut lines = vec![
            format!("position {} of {end}", grouped(at)),
            passed.map_or_else(
                || format!("snapshots: {}", replay.snapshots.len()),
                |passed| passed.to_string(),
            ),
        ];
        let longest = replay.marks.iter().map(|mark| mark.name.len()).max();
        lines.extend(replay.marks.iter().map(|mark| {
            let width = longest.unwrap_or(0);
            format!("{:<width$}  {:>18}", mark.name, grouped(mark.position))
        }));
        Ok(Answer::Text(lines))
    }

    /// `goto`
    pub(super) fn go_to(&mut self, place: &Position) -> Result<StopReason, Trouble> {
        let at = self.target.position()?;
        let Some(replay) = &self.replay else {
            return Ok(StopReason::Interrupted);
        };
        let end = replay.end.unwrap_or(u64::MAX);
        let point: Point = match place {
            Position::At(position) => (*position).into(),
            Position::On(count) => at.saturating_add(*count).into(),
            Position::Back(count) => at.saturating_sub(*count).into(),
            Position::End => end.into(),
            Position::Mark(name) => {
                let found = replay.marks.iter().find(|mark| mark.name == *name);
                found.map(Mark::point).ok_or_else(|| {
                    let names: Vec<&str> =
                        replay.marks.iter().map(|mark| mark.name.as_str()).collect();
                    let found = match names.as_slice() {
                        [] => "there are no marks".to_owned(),
                        names => format!("the marks are {}", names.join(", ")),
                    };
                    Trouble::new(
                        format!("going to the mark '{name}'"),
                        found,
                        "'mark NAME' makes one here; 'goto 0' goes to the beginning",
                    )
                })?
            }
        };
        let to = point.position;
        if to > end || to == u64::MAX {
            return Err(Trouble::new(
                format!("going to position {}", grouped(to)),
                format!("the recording ends at {}", grouped(end)),
                "'goto end' goes there",
            ));
        }
        let reason = match (to, to == end) {
            (0, _) => StopReason::Beginning,
            (_, true) => StopReason::End,
            _ => StopReason::Arrived,
        };
        self.arrive(point, reason, false)
    }
}

/// `265,352,447`
fn grouped(number: u64) -> String {
    crate::addr::Insns(number).to_string()
}
