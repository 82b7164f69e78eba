//! What a connector tells of itself, on its way to metrics and to the status of its task.
use crate::event::Happening;
use crate::supervise::Supervision;
use elasticflow_api::source::SourceTask;
use std::time::Duration;

/// How often a connector is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// When the status follows while the phase stays the same: each time is a record in the status topic, so each wait is twice
/// as long as the one before it.
const FIRST: Duration = Duration::from_secs(3);
/// The longest of these waits.
const LONGEST: Duration = Duration::from_secs(30);

/// When a connector was asked, and what was said last.
#[derive(Debug, Default)]
pub(super) struct Telling {
    due: Duration,
    said: Option<Said>,
}

#[derive(Debug)]
struct Said {
    phase: &'static str,
    words: String,
    /// When other words may follow, and how long that was waited for.
    next: Duration,
    wait: Duration,
}

impl Telling {
    /// Asks, if it is time.
    pub(super) fn look(&mut self, connector: &dyn SourceTask, task: &Supervision, now: Duration) {
        if now < self.due {
            return;
        }
        self.due = now + ASK_EVERY;
        let Some(report) = connector.report() else { return };
        if self.is_news(report.phase, &report.words, now) {
            task.happened(Happening::Doing(report.words.clone()));
        }
        *task.metrics.report.lock() = Some(report);
    }

    /// Whether this is to be said; it counts as said then.
    fn is_news(&mut self, phase: &'static str, words: &str, now: Duration) -> bool {
        let wait = match &self.said {
            Some(said) if said.phase == phase && (said.words == words || now < said.next) => return false,
            Some(said) if said.phase == phase => (said.wait * 2).min(LONGEST),
            _ => FIRST,
        };
        self.said = Some(Said { phase, words: words.to_owned(), next: now + wait, wait });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_phase_is_said_at_once_and_other_words_ever_more_seldom() {
        let mut telling = Telling::default();
        let second = Duration::from_secs;
        assert!(telling.is_news("snapshot", "1 row", second(0)));
        assert!(!telling.is_news("snapshot", "2 rows", second(2)));
        assert!(telling.is_news("snapshot", "2 rows", second(3)));
        assert!(!telling.is_news("snapshot", "3 rows", second(8)));
        assert!(telling.is_news("snapshot", "3 rows", second(9)));
        assert!(telling.is_news("streaming", "3 rows", second(9)));
        assert!(telling.is_news("streaming", "4 rows", second(12)));
        let said = (13..1013).filter(|s| telling.is_news("streaming", &s.to_string(), second(*s))).count();
        assert!((30..40).contains(&said), "{said}");
    }

    #[test]
    fn the_same_words_are_not_said_again() {
        let mut telling = Telling::default();
        assert!(telling.is_news("streaming", "", Duration::ZERO));
        assert!(!telling.is_news("streaming", "", LONGEST * 2));
    }
}
