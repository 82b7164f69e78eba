//! Delivery reports, counted on the client's thread.
use super::client::{Complaint, Happenings};
use super::errors::{self, Class};
use crate::native::{Code, Event, EventKind, Handle, Message, Queue, Refusal, describe};
use crate::ports::KafkaError;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// A question about a partition that was sent has been counted by then.
const COUNTED: Duration = Duration::from_millis(100);

/// What became of the records of one producer.
pub(crate) struct Deliveries {
    /// In the queue or on the wire.
    open_records: AtomicU64,
    open_bytes: AtomicU64,
    settled: Mutex<Settled>,
    moved: Notify,
    transactional: bool,
    pub(crate) complaint: Complaint,
}

/// Numbers start at 1; `window` has one bit per number above `base`.
#[derive(Default)]
struct Settled {
    base: u64,
    window: VecDeque<u64>,
    failure: Option<(Class, String)>,
}

impl Settled {
    fn mark(&mut self, number: u64) {
        let Some(index) = number.checked_sub(self.base + 1) else { return };
        let (word, bit) = ((index / 64) as usize, index % 64);
        while self.window.len() <= word {
            self.window.push_back(0);
        }
        if let Some(word) = self.window.get_mut(word) {
            *word |= 1 << bit;
        }
        while self.window.front() == Some(&u64::MAX) {
            self.window.pop_front();
            self.base += 64;
        }
    }

    fn lowest(&self) -> u64 {
        self.base + self.window.front().map_or(0, |word| u64::from(word.trailing_ones()))
    }
}

impl Deliveries {
    pub(crate) fn new(transactional: bool) -> Self {
        Self {
            open_records: AtomicU64::new(0),
            open_bytes: AtomicU64::new(0),
            settled: Mutex::default(),
            moved: Notify::new(),
            transactional,
            complaint: Complaint::default(),
        }
    }

    /// Counts a record in, before it is queued: its report may come at once.
    pub(crate) fn enter(&self, bytes: u64) {
        self.open_records.fetch_add(1, Ordering::AcqRel);
        self.open_bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Counts a record out that was not queued after all.
    pub(crate) fn leave(&self, bytes: u64) {
        self.open_records.fetch_sub(1, Ordering::AcqRel);
        self.open_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Records and bytes without a report.
    pub(crate) fn open(&self) -> (u64, u64) {
        (self.open_records.load(Ordering::Acquire), self.open_bytes.load(Ordering::Acquire))
    }

    /// The highest number below which every record has its report.
    pub(crate) fn lowest(&self) -> u64 {
        self.settled.lock().lowest()
    }

    /// The first failure since the last `forgive`.
    pub(crate) fn failure(&self) -> Option<KafkaError> {
        let (class, text) = self.settled.lock().failure.clone()?;
        Some(errors::error(class, text))
    }

    /// Forgets failures: the transaction they belong to is aborted, and every report about it is awaited first.
    pub(crate) async fn forgive(&self) {
        while self.open().0 > 0 {
            self.moved.notified().await;
        }
        self.settled.lock().failure = None;
    }

    /// Waits until `enough` says so or a record has failed.
    pub(crate) async fn until(&self, enough: impl Fn(u64, u64) -> bool) -> Result<(), KafkaError> {
        loop {
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            let (records, bytes) = self.open();
            if enough(records, bytes) {
                return Ok(());
            }
            // One waiter, and a report between the check and here leaves a permit.
            self.moved.notified().await;
        }
    }

    fn take_reports(&self, client: &Arc<Handle>, mut event: Event<'_>) {
        let (mut records, mut bytes) = (0, 0);
        let mut settled = self.settled.lock();
        while let Some(message) = event.next_message() {
            records += 1;
            bytes += message.bytes();
            settled.mark(message.number());
            // An abort takes records out of the queue: that is no failure of theirs.
            let is_purged = matches!(message.code(), Code::PurgeQueue | Code::PurgeInflight);
            if message.code() != Code::NoError && !is_purged && settled.failure.is_none() {
                settled.failure = Some(self.judge(client, message));
            }
        }
        drop(settled);
        // The library counts a record as open until its event is gone; room is promised only after that.
        drop(event);
        self.open_records.fetch_sub(records, Ordering::AcqRel);
        self.open_bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.moved.notify_one();
    }

    fn judge(&self, client: &Arc<Handle>, message: Message<'_>) -> (Class, String) {
        let refusal = match message.code() {
            Code::Fatal => client.fatal().unwrap_or_else(|| Refusal::of(Code::Fatal)),
            code => Refusal::of(code),
        };
        let doing = format!("a record for topic `{}` was not delivered", message.topic());
        let class = match errors::class(&refusal) {
            // The transaction has lost a record: it can only be aborted.
            Class::Retriable | Class::Abortable if self.transactional => Class::Abortable,
            // The library has tried for delivery.timeout.ms and dropped the record.
            Class::Retriable | Class::Abortable => Class::Fatal,
            class => class,
        };
        match self.complaint.explain(&doing, &refusal) {
            KafkaError::Config(text) => (Class::Config, text),
            _ => (class, errors::sentence(&doing, &refusal)),
        }
    }

    fn take_error(&self, client: &Arc<Handle>, refusal: &Refusal) {
        if refusal.code != Code::Fatal && !refusal.fatal {
            self.complaint.note(refusal);
            return;
        }
        let refusal = client.fatal().unwrap_or_else(|| refusal.clone());
        let text = errors::sentence("the producer cannot go on", &refusal);
        tracing::warn!(code = %describe(refusal.code), "a Kafka producer cannot go on");
        self.settled.lock().failure.get_or_insert_with(|| (errors::class(&refusal), text));
        self.moved.notify_one();
    }
}

impl Happenings for Deliveries {
    fn on_event(&self, client: &Arc<Handle>, event: Event<'_>) {
        match event.kind() {
            EventKind::Delivery => self.take_reports(client, event),
            EventKind::Error => self.take_error(client, &event.refusal()),
            EventKind::Fetch | EventKind::Rebalance | EventKind::Commit | EventKind::Other => {}
        }
    }

    /// A record that was sent last may be the first of its partition in the transaction. The library asks the coordinator to
    /// add that partition and counts the question afterwards; a client that is destroyed in between ends the process, since
    /// the question is answered before it is counted. Nothing says when it is counted: it takes microseconds.
    fn on_stop(&self, _queue: &Queue) {
        if self.transactional && self.open().0 > 0 {
            std::thread::sleep(COUNTED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_number_waits_for_the_slowest_record() {
        let mut settled = Settled::default();
        for number in [2, 3, 5] {
            settled.mark(number);
        }
        assert_eq!(settled.lowest(), 0);
        settled.mark(1);
        assert_eq!(settled.lowest(), 3);
        settled.mark(4);
        assert_eq!(settled.lowest(), 5);
    }

    #[test]
    fn reports_in_any_order_end_at_the_last_number() {
        let mut settled = Settled::default();
        // 7919 is prime to 1000, so every number comes once.
        for step in 0..1000_u64 {
            settled.mark(step * 7919 % 1000 + 1);
        }
        assert_eq!(settled.lowest(), 1000);
        assert!(settled.window.len() <= 1, "settled words are given back");
    }

    #[test]
    fn a_number_reported_twice_changes_nothing() {
        let mut settled = Settled::default();
        for number in 1..=64 {
            settled.mark(number);
        }
        settled.mark(1);
        assert_eq!(settled.lowest(), 64);
    }
}
