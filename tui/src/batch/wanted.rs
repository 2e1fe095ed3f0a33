//! `--where`: which crossings a command is about.

use std::path::Path;

use anyhow::bail;
use debugger::count::{counted, either};
use debugger::trace::query::{Crossing, Query};
use debugger::trace::report::{Pair, Report};

#[derive(Clone, Debug, Default, clap::Args)]
pub struct Wanted {
    /// Only crossings that a query holds for, such as 'kind=syscall call~"send.*" insns>2000'; the book's
    /// page on queries has all it may say.
    #[arg(long = "where", value_name = "QUERY")]
    pub query: Option<Query>,
}

impl Wanted {
    /// Leaves the others out of the runs, and says so in their notes.
    ///
    /// # Errors
    /// When nothing is left of any run.
    pub fn keep(&self, runs: &mut [Report], from: &Path) -> anyhow::Result<()> {
        let Some(query) = &self.query else {
            return Ok(());
        };
        for run in &mut *runs {
            let all = query.keep(run);
            run.notes.push(format!(
                "{} of {} of crossings {} those where {query}",
                run.classes.len(),
                counted(all, "class"),
                either(run.classes.len(), "is", "are")
            ));
        }
        if runs.iter().all(|run| run.classes.is_empty()) {
            bail!(
                "looking for {query} in {}: no class of crossings is so; 'uklscope report {0} --by class' \
                 lists those there are",
                from.display()
            );
        }
        Ok(())
    }

    /// Leaves out pairs of which neither side is meant.
    pub fn keep_pairs(&self, pairs: &mut Vec<Pair>, a: &Report, b: &Report) {
        pairs.retain(|pair| self.holds_for(pair, a, b));
    }

    /// Whether either side of a pair is meant.
    #[must_use]
    pub fn holds_for(&self, pair: &Pair, a: &Report, b: &Report) -> bool {
        let Some(query) = &self.query else {
            return true;
        };
        let holds = |run: &Report, id: &str| {
            let class = run.classes.iter().find(|class| class.id == id);
            class.is_some_and(|class| query.holds(Crossing::of(run, class)))
        };
        holds(a, &pair.class_a) || holds(b, &pair.class_b)
    }
}
