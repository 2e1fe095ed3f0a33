//! What takes long, as an editor shows it while it lasts, and the wish that it ends.

use debugger::command::Command;
use debugger::event::{Progress, Work};
use serde::Deserialize;
use serde_json::{Value, json};

use super::adapter::{Adapter, Reply};
use super::message::{Refusal, Request};
use crate::batch::text;

/// What is shown: one at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    /// Those before had lower numbers.
    number: u32,
    is_shown: bool,
}

impl Shown {
    fn id(&self) -> String {
        self.number.to_string()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Cancel {
    request_id: Option<i64>,
    progress_id: Option<String>,
}

/// What is shown of a command that lets the target run, once it takes long; none where nobody knows
/// how long it will run.
pub(super) const fn title(command: &Command) -> Option<&'static str> {
    match command {
        Command::Continue => None,
        Command::Back(_) => Some("Going back"),
        Command::Cross | Command::CrossBack => Some("Running to the crossing"),
        _ => Some("Stepping"),
    }
}

impl Adapter<'_> {
    /// `request` is the one that takes so long, where it can be named.
    pub(super) fn progress_starts(&mut self, title: &str, request: Option<i64>, is_run: bool) {
        if !self.client.shows_progress || self.progress.is_shown {
            return;
        }
        self.progress.number += 1;
        self.progress.is_shown = true;
        let mut body = json!({
            "progressId": self.progress.id(), "title": title, "cancellable": is_run,
        });
        if let Some(request) = request {
            body["requestId"] = json!(request);
        }
        self.out.event("progressStart", body);
    }

    pub(super) fn progress_ends(&mut self) {
        if std::mem::take(&mut self.progress.is_shown) {
            let body = json!({"progressId": self.progress.id()});
            self.out.event("progressEnd", body);
        }
    }

    /// Of what is opened.
    pub(super) fn progress_of_work(&mut self, work: &Work) {
        if !work.finished {
            self.progress_is(work.name.clone(), percentage(work.done, work.total));
        }
    }

    /// Of a command that lets the target run, from when it takes long on.
    pub(super) fn progress_of_run(&mut self, progress: &Progress) {
        let Some(title) = self.debuggee.as_ref().and_then(|one| one.takes_long()) else {
            return;
        };
        self.progress_starts(title, None, true);
        let total = progress.of.map_or(0, |of| of.0);
        self.progress_is(
            text::progress(progress),
            percentage(progress.stepped.0, total),
        );
    }

    fn progress_is(&mut self, message: String, percentage: Option<u64>) {
        if !self.progress.is_shown {
            return;
        }
        let mut body = json!({"progressId": self.progress.id(), "message": message});
        if let Some(percentage) = percentage {
            body["percentage"] = json!(percentage);
        }
        self.out.event("progressUpdate", body);
    }

    /// A run stops where it is, which its own end tells; what waits for its turn is not carried out.
    pub(super) fn cancel(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: Cancel = request.arguments()?;
        if let Some(seq) = asked.request_id
            && let Some(waiting) = self.take_waiting(seq)
        {
            // The protocol's word for it.
            let refusal = Refusal("cancelled".to_owned());
            self.out.respond(seq, &waiting.command, Err(refusal));
            return Ok(Reply::Body(Value::Null));
        }
        let shown = self.progress.is_shown.then(|| self.progress.id());
        let is_shown = shown.is_some() && asked.progress_id == shown;
        let run = self.debuggee.as_mut().filter(|one| one.is_under_way());
        match run {
            Some(debuggee) if is_shown || debuggee.was_asked_by(asked.request_id) => {
                debuggee.handle.send(Command::Interrupt);
                Ok(Reply::Body(Value::Null))
            }
            None if is_shown => Err(Refusal::new(
                "cancelling what is opened",
                "it cannot be left half open",
                "'disconnect' ends it",
            )),
            _ => Err(Refusal::new(
                "cancelling",
                "no such request or progress is under way",
                "'pause' stops a target that runs",
            )),
        }
    }
}

fn percentage(done: u64, total: u64) -> Option<u64> {
    (done.min(total) * 100).checked_div(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hundredths_are_told_where_the_whole_is_known() {
        assert_eq!(percentage(50, 200), Some(25));
        assert_eq!(percentage(300, 200), Some(100));
        assert_eq!(percentage(50, 0), None);
    }
}
