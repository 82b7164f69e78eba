//! Records that a source has written itself, in the bytes its converters would write.
use crate::data::Headers;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// How a JSON converter writes: what a source must know to write the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonForm {
    /// Every datum carries its schema: `{"schema":…,"payload":…}`.
    pub schemas: bool,
    /// Decimals are base64 of their unscaled bytes; else plain numbers.
    pub decimals_as_base64: bool,
    /// A null takes the default of its field.
    pub nulls_take_defaults: bool,
}

/// Where written records go, and what their keys and values begin with. One per version of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The topic.
    pub topic: Arc<str>,
    /// Put before each key, and `}` after it; nothing if empty.
    pub key_lead: Bytes,
    /// As for keys; a record without a value is a tombstone and has none of it.
    pub value_lead: Bytes,
}

/// Written records of a batch, in one buffer.
#[derive(Debug, Default)]
pub struct Written {
    /// Keys and values; a record is added by writing here first.
    pub bytes: Vec<u8>,
    /// Headers that each of them has.
    pub headers: Headers,
    places: Vec<Place>,
    targets: Vec<Arc<Target>>,
}

/// A record within the buffer.
#[derive(Debug, Clone)]
struct Place {
    after: usize,
    target: usize,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
}

/// A place to return to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    places: usize,
    bytes: usize,
}

/// One written record.
#[derive(Debug, Clone, Copy)]
pub struct WrittenRecord<'a> {
    /// How many of the batch's other records come before it.
    pub after: usize,
    /// Where it goes.
    pub target: &'a Arc<Target>,
    /// Its key, without what the target puts around it.
    pub key: Option<&'a [u8]>,
    /// Its value, likewise.
    pub value: Option<&'a [u8]>,
}

impl Written {
    /// Adds a record whose key and value stand in the buffer; `after` other records of the batch come before it.
    pub fn push(&mut self, target: &Arc<Target>, after: usize, key: Option<Range<usize>>, value: Option<Range<usize>>) {
        let is_last = |last: &Arc<Target>| Arc::ptr_eq(last, target);
        if !self.targets.last().is_some_and(is_last) {
            self.targets.push(Arc::clone(target));
        }
        self.places.push(Place { after, target: self.targets.len() - 1, key, value });
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many of the batch's other records come before the last one; none if there is none.
    pub fn last_after(&self) -> Option<usize> {
        self.places.last().map(|place| place.after)
    }

    /// The present end.
    pub fn mark(&self) -> Mark {
        Mark { places: self.places.len(), bytes: self.bytes.len() }
    }

    /// Drops what was added after a mark.
    pub fn truncate(&mut self, mark: Mark) {
        self.places.truncate(mark.places);
        self.bytes.truncate(mark.bytes);
    }

    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = WrittenRecord<'_>> {
        let of = |range: &Option<Range<usize>>| range.clone().and_then(|range| self.bytes.get(range));
        self.places.iter().filter_map(move |place| {
            let target = self.targets.get(place.target)?;
            Some(WrittenRecord { after: place.after, target, key: of(&place.key), value: of(&place.value) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(topic: &str) -> Arc<Target> {
        Arc::new(Target { topic: Arc::from(topic), key_lead: Bytes::new(), value_lead: Bytes::new() })
    }

    #[test]
    fn records_come_back_in_order_and_what_follows_a_mark_is_dropped() {
        let (one, two) = (target("one"), target("two"));
        let mut written = Written::default();
        written.bytes.extend_from_slice(b"k1v1");
        written.push(&one, 0, Some(0..2), Some(2..4));
        let mark = written.mark();
        written.push(&two, 3, Some(0..2), None);
        assert_eq!((written.len(), written.last_after()), (2, Some(3)));
        let shown: Vec<_> = written.iter().map(|r| (r.after, &*r.target.topic, r.key, r.value)).collect();
        assert_eq!(shown, [(0, "one", Some(&b"k1"[..]), Some(&b"v1"[..])), (3, "two", Some(&b"k1"[..]), None)]);
        written.truncate(mark);
        assert_eq!((written.len(), written.bytes.len()), (1, 4));
    }
}
