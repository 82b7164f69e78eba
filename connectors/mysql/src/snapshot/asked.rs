//! What signals ask of a snapshot that is under way.
use super::Snapshot;
use crate::progress::Adhoc;
use elasticflow_cdc::filter::Patterns;
use std::collections::HashSet;

impl Snapshot {
    /// One more follows when this one is complete.
    pub(crate) fn enqueue(&mut self, adhoc: Adhoc) {
        self.progress.queue.push(adhoc);
    }

    /// Tables that the snapshot has passed already follow when it is complete; the others it comes to by itself.
    pub(crate) fn enqueue_missed(&mut self, mut adhoc: Adhoc) {
        let coming = self.tables.iter().chain(self.progress.queue.iter().flat_map(|a| &a.tables));
        let coming: HashSet<_> = coming.cloned().collect();
        adhoc.tables.retain(|t| !coming.contains(t));
        if !adhoc.tables.is_empty() {
            self.enqueue(adhoc);
        }
    }

    /// Reads no further, or reads on; the first snapshot of a connector is not paused.
    pub(crate) fn pause(&mut self, paused: bool) {
        if let Some(adhoc) = &mut self.progress.adhoc {
            adhoc.paused = paused;
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.progress.adhoc.as_ref().is_some_and(|a| a.paused)
    }

    /// Takes tables out of what signals have asked for: all of them without a pattern.
    pub(crate) fn drop_tables(&mut self, patterns: &[Patterns]) {
        let named = |(db, name): &(String, String)| {
            patterns.is_empty() || patterns.iter().any(|p| p.matches(&format!("{db}.{name}")))
        };
        self.progress.queue.iter_mut().for_each(|a| a.tables.retain(|t| !named(t)));
        self.progress.queue.retain(|a| !a.tables.is_empty());
        let Some(adhoc) = &mut self.progress.adhoc else { return };
        let current = self.tables.pop_front();
        self.tables.retain(|t| !named(t));
        self.discard = current.as_ref().is_some_and(&named);
        self.tables.extend(current);
        self.tables.rotate_right(1.min(self.tables.len()));
        self.listed = None;
        adhoc.tables = self.tables.iter().cloned().collect();
        adhoc.paused = false;
    }
}
