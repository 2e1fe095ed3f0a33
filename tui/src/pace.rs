//! When to draw: at once when all that was asked for has come, so that a stop is painted once and
//! whole; else so often that nobody waits, and no more.

use std::time::{Duration, Instant};

/// At most 60 drawings a second of what comes by itself.
const BETWEEN: Duration = Duration::from_millis(16);
/// Between drawings of what was waited for.
const LEAST: Duration = Duration::from_millis(3);
/// So long a drawing waits for the answers that are under way.
const HOLD: Duration = Duration::from_millis(12);

#[derive(Debug)]
pub(crate) struct Pace {
    drawn: Instant,
    /// When the first news came that are not drawn.
    since: Option<Instant>,
    /// Somebody waits for some of the news.
    awaited: bool,
}

impl Pace {
    pub(crate) const fn new(drawn: Instant) -> Self {
        Self {
            drawn,
            since: None,
            awaited: false,
        }
    }

    pub(crate) fn news(&mut self, now: Instant, awaited: bool) {
        self.since.get_or_insert(now);
        self.awaited |= awaited;
    }

    pub(crate) const fn drawn(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// When to draw; none while there is nothing new. `quiet`: no answer is under way.
    pub(crate) fn due(&self, quiet: bool) -> Option<Instant> {
        let since = self.since?;
        Some(match (self.awaited, quiet) {
            (true, true) => self.drawn + LEAST,
            (true, false) => (self.drawn + BETWEEN).max(since + HOLD),
            (false, _) => self.drawn + BETWEEN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_drawn_when_all_answers_are_there_and_a_late_one_is_not_waited_for() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut pace = Pace::new(start);
        assert_eq!(pace.due(true), None);
        pace.news(start + ms(100), true);
        assert_eq!(
            pace.due(false),
            Some(start + ms(112)),
            "an answer is awaited"
        );
        pace.news(start + ms(104), true);
        assert!(pace.due(true).is_some_and(|due| due <= start + ms(104)));
        assert_eq!(pace.due(false), Some(start + ms(112)), "but not for ever");
        pace.drawn(start + ms(104));
        assert_eq!(pace.due(true), None);
    }

    #[test]
    fn what_comes_by_itself_is_drawn_sixty_times_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.news(start + Duration::from_millis(1), false);
        assert_eq!(pace.due(true), Some(start + BETWEEN));
        assert_eq!(pace.due(false), Some(start + BETWEEN));
    }
}
