//! What a partition remembers of its producers: sequences, open transactions, aborted ranges.
//!
//! All of it is rebuilt from batch headers and control markers when a file is read.
use super::batch::{Batch, Header};
use super::marker;
use crate::code::{self, Code};
use std::collections::{HashMap, VecDeque};

/// Batches of a producer that are recognised when they come again; librdkafka keeps five in flight.
const RECENT: usize = 5;
/// An idle producer's sequences are forgotten after this time; Kafka's `producer.id.expiration.ms`.
pub(crate) const EXPIRATION_MS: i64 = 86_400_000;

/// A transaction that was aborted in this partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    pub(crate) first: i64,
    /// Offset of the marker.
    pub(crate) last: i64,
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    last_sequence: Option<i32>,
    /// (first sequence, last sequence, base offset).
    recent: VecDeque<(i32, i32, i64)>,
    seen_ms: i64,
}

impl Producer {
    fn new(epoch: i16) -> Self {
        Producer { epoch, last_sequence: None, recent: VecDeque::new(), seen_ms: 0 }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Producers {
    known: HashMap<i64, Producer>,
    /// Producer id -> first offset of its open transaction.
    open: HashMap<i64, i64>,
    /// In the order of their markers.
    aborted: VecDeque<Aborted>,
}

impl Producers {
    /// Checks a client's batch against the producer's last ones; `Some(base)` if it is here already.
    pub(crate) fn admit(&self, h: &Header) -> Result<Option<i64>, Code> {
        if h.producer_id < 0 || h.control() {
            return Ok(None);
        }
        let Some(p) = self.known.get(&h.producer_id) else { return Ok(None) };
        if h.epoch < p.epoch {
            return Err(code::INVALID_PRODUCER_EPOCH);
        }
        if h.epoch > p.epoch {
            return if h.sequence == 0 { Ok(None) } else { Err(code::OUT_OF_ORDER_SEQUENCE) };
        }
        let (first, last) = (h.sequence, h.last_sequence());
        if let Some(again) = p.recent.iter().find(|r| (r.0, r.1) == (first, last)) {
            return Ok(Some(again.2));
        }
        let expected = p.last_sequence.map_or(0, |last| last.wrapping_add(1) & i32::MAX);
        if first == expected { Ok(None) } else { Err(code::OUT_OF_ORDER_SEQUENCE) }
    }

    /// Takes note of a batch that stands in the log.
    pub(crate) fn note(&mut self, batch: &Batch, at_ms: i64) {
        let h = &batch.header;
        if h.producer_id < 0 {
            return;
        }
        let p = self.known.entry(h.producer_id).or_insert_with(|| Producer::new(h.epoch));
        if h.epoch > p.epoch {
            *p = Producer::new(h.epoch);
        }
        p.seen_ms = at_ms;
        if h.control() {
            if let Some(first) = self.open.remove(&h.producer_id).filter(|_| marker::aborts(batch)) {
                self.aborted.push_back(Aborted { producer_id: h.producer_id, first, last: h.last() });
            }
            return;
        }
        p.last_sequence = Some(h.last_sequence());
        p.recent.push_back((h.sequence, h.last_sequence(), h.base));
        if p.recent.len() > RECENT {
            p.recent.pop_front();
        }
        if h.transactional() {
            self.open.entry(h.producer_id).or_insert(h.base);
        }
    }

    /// First offset of the oldest open transaction.
    pub(crate) fn first_open(&self) -> Option<i64> {
        self.open.values().min().copied()
    }

    /// Aborted transactions that touch `from..to`.
    pub(crate) fn aborted_in(&self, from: i64, to: i64) -> impl Iterator<Item = Aborted> + '_ {
        let start = self.aborted.partition_point(|a| a.last < from);
        self.aborted.range(start..).filter(move |a| a.first < to).copied()
    }

    /// Whether a batch belongs to an aborted transaction.
    pub(crate) fn is_aborted(&self, h: &Header) -> bool {
        h.transactional() && self.aborted_in(h.base, h.last().saturating_add(1)).any(|a| a.producer_id == h.producer_id)
    }

    /// Forgets what lies below the start of the log, and idle producers.
    pub(crate) fn forget(&mut self, start: i64, now_ms: i64) {
        while self.aborted.front().is_some_and(|a| a.last < start) {
            self.aborted.pop_front();
        }
        let open = &self.open;
        self.known.retain(|id, p| open.contains_key(id) || p.seen_ms.saturating_add(EXPIRATION_MS) > now_ms);
    }

    #[cfg(test)]
    pub(crate) fn knows(&self, producer_id: i64) -> bool {
        self.known.contains_key(&producer_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::split;
    use crate::testing::BatchSpec;

    fn batch(epoch: i16, sequence: i32, n: usize, base: i64) -> Batch {
        let spec = BatchSpec { producer: 1, epoch, sequence, attributes: 0x10, ..BatchSpec::plain(n) };
        split(spec.bytes()).unwrap().remove(0).placed(base, None)
    }

    fn with(batches: &[Batch]) -> Producers {
        let mut p = Producers::default();
        batches.iter().for_each(|b| p.note(b, 0));
        p
    }

    #[test]
    fn a_batch_that_comes_again_gets_its_first_offset() {
        let p = with(&[batch(0, 0, 3, 0), batch(0, 3, 2, 3)]);
        assert_eq!(p.admit(&batch(0, 0, 3, 0).header), Ok(Some(0)));
        assert_eq!(p.admit(&batch(0, 3, 2, 0).header), Ok(Some(3)));
    }

    #[test]
    fn only_the_next_sequence_is_admitted() {
        let p = with(&[batch(0, 0, 3, 0)]);
        assert_eq!(p.admit(&batch(0, 3, 1, 0).header), Ok(None));
        for wrong in [1, 2, 4, 100] {
            assert_eq!(p.admit(&batch(0, wrong, 1, 0).header), Err(code::OUT_OF_ORDER_SEQUENCE), "{wrong}");
        }
    }

    #[test]
    fn sequences_begin_again_behind_the_largest() {
        let p = with(&[batch(0, i32::MAX, 1, 0)]);
        assert_eq!(p.admit(&batch(0, 0, 1, 0).header), Ok(None));
        assert_eq!(batch(0, i32::MAX, 3, 0).header.last_sequence(), 1);
    }

    #[test]
    fn an_older_epoch_is_refused_and_a_newer_one_begins_at_zero() {
        let p = with(&[batch(4, 0, 3, 0)]);
        assert_eq!(p.admit(&batch(3, 3, 1, 0).header), Err(code::INVALID_PRODUCER_EPOCH));
        assert_eq!(p.admit(&batch(5, 3, 1, 0).header), Err(code::OUT_OF_ORDER_SEQUENCE));
        assert_eq!(p.admit(&batch(5, 0, 1, 0).header), Ok(None));
    }

    #[test]
    fn a_marker_of_a_raised_epoch_shuts_the_old_producer_out() {
        let mut p = with(&[batch(0, 0, 1, 0)]);
        p.note(&marker::marker(1, 1, false, 0).placed(1, None), 0);
        assert_eq!(p.admit(&batch(0, 1, 1, 0).header), Err(code::INVALID_PRODUCER_EPOCH));
    }

    #[test]
    fn an_abort_leaves_its_range_and_a_commit_leaves_none() {
        let mut p = with(&[batch(0, 0, 2, 5)]);
        assert_eq!(p.first_open(), Some(5));
        p.note(&marker::marker(1, 0, false, 0).placed(7, None), 0);
        assert_eq!(p.first_open(), None);
        assert_eq!(p.aborted_in(0, 100).collect::<Vec<_>>(), [Aborted { producer_id: 1, first: 5, last: 7 }]);
        assert_eq!(p.aborted_in(8, 100).count() + p.aborted_in(0, 5).count(), 0);
        p.note(&batch(0, 2, 1, 8), 0);
        p.note(&marker::marker(1, 0, true, 0).placed(9, None), 0);
        assert_eq!(p.aborted_in(8, 100).count(), 0);
        assert!(p.is_aborted(&batch(0, 0, 2, 5).header) && !p.is_aborted(&batch(0, 2, 1, 8).header));
    }

    #[test]
    fn idle_producers_are_forgotten_and_open_ones_are_not() {
        let mut p = with(&[batch(0, 0, 1, 0)]);
        p.forget(0, EXPIRATION_MS + 1);
        assert!(p.knows(1), "its transaction is open");
        p.note(&marker::marker(1, 0, true, 0).placed(1, None), 0);
        p.forget(0, EXPIRATION_MS + 1);
        assert!(!p.knows(1));
    }
}
