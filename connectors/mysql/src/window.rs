//! Which changes of a table belong to a chunk's snapshot and which have come after it.
//!
//! While a chunk is read by a query, the reader of the log notes the keys of every row that changes in the chunk's table.
//! When the log has reached the mark taken after the query, rows whose keys were noted by transactions that the query
//! could not see are left out of the chunk: their changes have been sent already, and nothing older may follow.
use crate::gtid::{Gtid, GtidSet};
use crate::position::LogPosition;
use elasticflow_api::data::Value;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

/// What a query could see.
#[derive(Debug, Clone)]
pub enum Mark {
    /// Every transaction of the set.
    Gtids(GtidSet),
    /// Every transaction that ends at or before the place.
    Position(LogPosition),
}

impl Mark {
    fn covers(&self, gtid: Option<&Gtid>, end: &LogPosition) -> bool {
        match (self, gtid) {
            (Self::Gtids(set), Some(Gtid::MySql(gtid))) => set.contains(gtid),
            (Self::Gtids(_), _) => false,
            (Self::Position(at), _) => end <= at,
        }
    }
}

/// A key as a number: equal keys give equal numbers, others differ but for one in 2^128.
pub fn fingerprint(key: &[Value]) -> u128 {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(seed);
        key.iter().for_each(|value| feed(value, &mut hasher));
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

fn feed(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Int64(v) => {
            hasher.write_u8(1);
            hasher.write_i64(*v);
        }
        Value::String(text) => {
            hasher.write_u8(2);
            hasher.write_usize(text.len());
            hasher.write(text.as_bytes());
        }
        Value::Bytes(bytes) => {
            hasher.write_u8(3);
            hasher.write_usize(bytes.len());
            hasher.write(bytes);
        }
        // The lossless form has no others.
        _ => hasher.write_u8(0),
    }
}

struct Noted {
    gtid: Option<Gtid>,
    end: LogPosition,
    keys: Vec<u128>,
}

/// The changes of one table since a chunk was asked for.
pub struct Window {
    /// `db.table`.
    pub table: Arc<str>,
    /// Whether the table itself may have changed, so that the chunk must be read again.
    pub broken: bool,
    noted: Vec<Noted>,
    current: Vec<u128>,
    count: usize,
    most: usize,
}

impl Window {
    /// Opens a window; more than `most` keys break it.
    pub fn new(table: Arc<str>, most: usize) -> Self {
        Self { table, broken: false, noted: Vec::new(), current: Vec::new(), count: 0, most }
    }

    /// Notes the key of an image.
    pub fn note(&mut self, key: u128) {
        self.count += 1;
        if self.count > self.most {
            self.broken = true;
            return;
        }
        self.current.push(key);
    }

    /// The transaction whose keys were noted has ended.
    pub fn commit(&mut self, gtid: Option<&Gtid>, end: &LogPosition) {
        if !self.current.is_empty() {
            let keys = std::mem::take(&mut self.current);
            self.noted.push(Noted { gtid: gtid.cloned(), end: end.clone(), keys });
        }
    }

    /// The stream is read again from an earlier place: what was noted may be incomplete.
    pub fn interrupt(&mut self) {
        self.current.clear();
        self.broken = true;
    }

    /// Keys whose rows of the chunk are outdated.
    pub fn outdated(&self, seen: &Mark) -> HashSet<u128> {
        let later = self.noted.iter().filter(|n| !seen.covers(n.gtid.as_ref(), &n.end));
        later.flat_map(|n| n.keys.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_of_transactions_that_the_query_could_not_see_are_outdated() {
        let mut window = Window::new(Arc::from("d.t"), 100);
        window.note(1);
        window.commit(None, &LogPosition::new("b.1", 100));
        window.note(2);
        window.commit(None, &LogPosition::new("b.1", 200));
        let seen = Mark::Position(LogPosition::new("b.1", 100));
        assert_eq!(window.outdated(&seen), HashSet::from([2]));
    }

    #[test]
    fn too_many_keys_break_the_window() {
        let mut window = Window::new(Arc::from("d.t"), 1);
        window.note(1);
        assert!(!window.broken);
        window.note(2);
        assert!(window.broken);
    }

    #[test]
    fn fingerprints_tell_types_and_borders_apart() {
        let text = |t: &'static str| Value::String(elasticflow_api::data::Text::from_static(t));
        assert_ne!(fingerprint(&[text("ab"), text("c")]), fingerprint(&[text("a"), text("bc")]));
        assert_ne!(fingerprint(&[Value::Int64(1)]), fingerprint(&[Value::Int64(2)]));
        assert_eq!(fingerprint(&[Value::Int64(1)]), fingerprint(&[Value::Int64(1)]));
    }
}
