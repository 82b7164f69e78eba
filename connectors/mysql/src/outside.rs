//! Tables that come to be while a snapshot runs: all their rows are in the log, and go out.
//!
//! They are stored with its progress. After a new start they are among the tables of the server like any other, and are read
//! as those are; but their changes must not be held back until then: a row that has gone out would stay for ever if its
//! deletion were left out.
use crate::table::Table;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Database and name.
type Name = (String, String);

/// Which tables those are.
#[derive(Debug, Default)]
pub struct Outside {
    /// Tables of the snapshot, and others that do not matter, as `db.table`.
    known: HashSet<Arc<str>>,
    /// Tables up to this one had been read when the task started.
    done: Option<Name>,
    found: BTreeMap<Arc<str>, Name>,
}

impl Outside {
    /// Before the first event of a start: what is planned, what was read before, what was found before.
    pub(crate) fn new<'a>(planned: impl Iterator<Item = &'a Name>, done: Option<&Name>, found: &[Name]) -> Self {
        let id = |(db, name): &Name| Arc::from(format!("{db}.{name}"));
        Self {
            known: planned.map(id).collect(),
            done: done.cloned(),
            found: found.iter().map(|name| (id(name), name.clone())).collect(),
        }
    }

    /// A change of a table goes out; `reads` tells whether snapshots read such tables at all.
    pub(crate) fn pass(&mut self, table: &Table, reads: impl FnOnce(&str, &str) -> bool) {
        let (db, name) = (&*table.db, &*table.name);
        let is_done = || self.done.as_ref().is_some_and(|done| (db, name) <= (done.0.as_str(), done.1.as_str()));
        if self.known.contains(&table.id) || self.found.contains_key(&table.id) || is_done() {
            return;
        }
        if reads(db, name) {
            self.found.insert(Arc::clone(&table.id), (db.to_owned(), name.to_owned()));
        } else {
            self.known.insert(Arc::clone(&table.id));
        }
    }

    /// What was found.
    pub(crate) fn found(&self) -> Vec<Name> {
        self.found.values().cloned().collect()
    }
}
