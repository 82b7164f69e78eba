//! What was worked out per topic name: a router sees few names and many records.
use elasticflow_api::RecordError;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// Names remembered; a full cache is emptied, what is used comes back at once.
const NAMES_MAX: usize = 4096;

/// Results by topic name.
pub(crate) struct ByTopic<T> {
    known: RwLock<HashMap<Arc<str>, T>>,
}

impl<T> Default for ByTopic<T> {
    fn default() -> Self {
        Self { known: RwLock::new(HashMap::new()) }
    }
}

impl<T: Clone> ByTopic<T> {
    /// What belongs to a name, worked out by `make` at first.
    pub(crate) fn of(
        &self,
        topic: &Arc<str>,
        make: impl FnOnce(&str) -> Result<T, RecordError>,
    ) -> Result<T, RecordError> {
        if let Some(known) = self.known.read().get(topic) {
            return Ok(known.clone());
        }
        let made = make(topic)?;
        let mut known = self.known.write();
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        known.insert(Arc::clone(topic), made.clone());
        Ok(made)
    }
}
