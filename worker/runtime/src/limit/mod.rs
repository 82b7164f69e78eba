//! The limits of a task: read before each poll, changed from outside while the task runs.
//!
//! [`TaskLimit`] is shared by the task's loop and by whoever sets limits. The loop asks before it reads, is told how much
//! or how long to wait, and says afterwards how much it was; that costs a few atomics a batch while nothing limits, and a
//! short lock a batch while something does. Three things bound a task, each with buckets of its own, and all of them hold:
//! the rates of the connector's configuration for what changes and for snapshots, and what the controller orders.
//!
//! A task gets a share of its connector's rates: evenly by the number of tasks, until [`TaskLimit::set_share`] says
//! otherwise. The handle outlives the instances of its task, so that a failure does not give anything away.
//!
//! Absent on purpose: who decides, and where limits are stored.
mod bucket;
mod buckets;
mod ports;

pub use ports::{Allowance, Bound, Control, LimitReport};

pub(crate) use buckets::Charge;

use crate::breaker::{BreakerState, TaskBreaker};
use buckets::{Buckets, Moved};
use elasticflow_api::clock::Clock;
use elasticflow_api::context::Limits;
use elasticflow_api::source::Read;
use elasticflow_config::flow::{FlowState, RateSettings, ReasonCode};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;

/// How long after a wait a task still counts as limited: it waits again and again, and is free for moments between.
const STILL_LIMITED: Duration = Duration::from_secs(2);

/// What an open breaker does to a task.
const OPEN: Bound = Bound { state: FlowState::BreakerOpen, reason: ReasonCode::Breaker };

/// What smaller batches are to a task.
const SHRUNK: Bound = Bound { state: FlowState::Limited, reason: ReasonCode::MemoryPressure };

/// How long what is important may wait for a put of what is not.
pub(crate) const TURN: Duration = Duration::from_millis(25);

/// What a record weighs as long as nothing is known of the task's records.
const RECORD_BYTES: f64 = 512.0;

/// Answer to a loop that wants to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It may, at most this much.
    Go(Limits),
    /// It may not; ask again after that time, or when something has changed.
    Wait(Duration),
}

/// The limits of one task. See the module.
pub struct TaskLimit {
    clock: Arc<dyn Clock>,
    breaker: Arc<TaskBreaker>,
    state: Mutex<State>,
    changed: Notify,
    /// Something may limit: else the loop need not look into the state.
    binds: AtomicBool,
    /// The loop waits: the next answer ends that.
    waits: AtomicBool,
    records: AtomicU64,
    bytes: AtomicU64,
    /// Records that were read and are not counted yet.
    on_the_way: AtomicU64,
    /// Bytes that Kafka has; of sources alone.
    arrived: AtomicU64,
    /// `flow.cap.bytes`; 0 is none.
    cap: AtomicU64,
    /// How often batches are halved, since the worker's memory is nearly used up.
    halvings: AtomicU32,
    writes: AtomicBool,
    /// Bits of the mean size of a record; 0 is not known.
    mean: AtomicU64,
    precedence: Mutex<Arc<BTreeMap<String, u8>>>,
}

struct State {
    buckets: Buckets,
    blocked: Duration,
    /// Since when the loop waits, and for what.
    waiting: Option<(Duration, Bound)>,
    /// When the last wait ended.
    waited: Option<(Duration, Bound)>,
}

impl TaskLimit {
    pub(crate) fn new(clock: Arc<dyn Clock>, breaker: Arc<TaskBreaker>, settings: &RateSettings, tasks: u32) -> Self {
        let buckets = Buckets::new(settings, 1.0 / f64::from(tasks.max(1)), clock.monotonic());
        let binds = AtomicBool::new(buckets.bind());
        let state = State { buckets, blocked: Duration::ZERO, waiting: None, waited: None };
        Self {
            clock,
            breaker,
            state: Mutex::new(state),
            changed: Notify::new(),
            binds,
            waits: AtomicBool::new(false),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            on_the_way: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            cap: AtomicU64::new(0),
            halvings: AtomicU32::new(0),
            writes: AtomicBool::new(false),
            mean: AtomicU64::new(0),
            precedence: Mutex::default(),
        }
    }

    /// The connector's own rates; takes effect with the next poll.
    pub fn set_rates(&self, settings: &RateSettings) {
        self.change(|buckets, now| buckets.set_rates(settings, now));
    }

    /// Most unconsumed bytes of a topic that the connector writes; takes effect with the next batch.
    pub fn set_cap(&self, cap: Option<u64>) {
        self.cap.store(cap.unwrap_or(0), Relaxed);
    }

    /// What one transaction can never pass.
    pub(crate) fn cap(&self) -> Option<u64> {
        Some(self.cap.load(Relaxed)).filter(|cap| *cap > 0)
    }

    /// The part of the connector's own rates that this task has, from 0 to 1.
    pub fn set_share(&self, share: f64) {
        self.change(|buckets, now| buckets.set_share(share, now));
    }

    /// What the controller orders for this task; replaces what it ordered before.
    pub fn set_control(&self, control: Control) {
        self.halvings.store(control.halvings, Relaxed);
        self.change(|buckets, now| buckets.set_control(control, now));
    }

    /// How important the topics of a sink are, 9 the most; empty while they are alike. The sink looks before each read.
    pub fn set_precedence(&self, topics: Arc<BTreeMap<String, u8>>) {
        // What is important waits for as long as what is not is put.
        let quantum = if topics.is_empty() { bucket::QUANTUM } else { TURN };
        *self.precedence.lock() = topics;
        self.change(|buckets, _| buckets.set_quantum(quantum));
    }

    pub(crate) fn precedence(&self) -> Arc<BTreeMap<String, u8>> {
        Arc::clone(&self.precedence.lock())
    }

    fn change(&self, change: impl FnOnce(&mut Buckets, Duration)) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        change(&mut state.buckets, now);
        let binds = state.buckets.bind();
        if !binds {
            state.go(now);
        }
        self.binds.store(binds, Relaxed);
        drop(state);
        self.changed.notify_one();
    }

    /// How the task fares. Counters only grow; what is between two calls is what happened between them.
    pub fn report(&self) -> LimitReport {
        let now = self.clock.monotonic();
        let state = self.state.lock();
        let waits = state.waiting.map_or(Duration::ZERO, |(since, _)| now.saturating_sub(since));
        let is_recent = |(ended, bound): &(Duration, Bound)| {
            bound.state == FlowState::Limited && now.saturating_sub(*ended) < STILL_LIMITED
        };
        let recent = state.waited.filter(is_recent);
        let tried = match self.breaker.report().state {
            BreakerState::Closed => None,
            BreakerState::HalfOpen => Some(Bound { state: FlowState::BreakerHalfOpen, reason: ReasonCode::Breaker }),
            BreakerState::Open => Some(OPEN),
        };
        let bound = tried.or(state.waiting.or(recent).map(|(_, bound)| bound));
        let bound = bound.or((self.halvings.load(Relaxed) > 0).then_some(SHRUNK));
        LimitReport {
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            arrived: self.writes.load(Relaxed).then(|| self.arrived.load(Relaxed)),
            blocked: state.blocked + waits,
            state: bound.map_or(FlowState::Free, |bound| bound.state),
            reason: bound.map(|bound| bound.reason),
        }
    }

    // --- the loop's side -------------------------------------------------------------------------------------------

    /// Asks to read, at most so much.
    pub(crate) fn ask(&self, read: Read, most: Limits) -> Leave {
        let most = self.shrunk(most);
        if let Some(wait) = self.breaker.wait() {
            let now = self.clock.monotonic();
            let mut state = self.state.lock();
            state.waiting = Some((state.waiting.map_or(now, |(since, _)| since), OPEN));
            self.waits.store(true, Relaxed);
            return Leave::Wait(wait);
        }
        if !self.binds.load(Relaxed) {
            if self.waits.load(Relaxed) {
                self.rest();
            }
            return Leave::Go(most);
        }
        let now = self.clock.monotonic();
        let moved = Moved {
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            on_the_way: self.on_the_way.load(Relaxed),
            mean: self.known_mean(),
        };
        let mut state = self.state.lock();
        match state.buckets.leave(read, most, moved, now) {
            Ok(most) => {
                state.go(now);
                Leave::Go(most)
            }
            Err((wait, bound)) => {
                let since = state.waiting.map_or(now, |(since, _)| since);
                state.waiting = Some((since, bound));
                self.waits.store(true, Relaxed);
                Leave::Wait(wait)
            }
        }
    }

    fn shrunk(&self, most: Limits) -> Limits {
        let by = |size: usize| size.checked_shr(self.halvings.load(Relaxed)).unwrap_or(0).max(1);
        Limits { records: by(most.records), bytes: by(most.bytes) }
    }

    /// The loop does not want to read for reasons of its own.
    pub(crate) fn rest(&self) {
        self.waits.store(false, Relaxed);
        self.state.lock().go(self.clock.monotonic());
    }

    /// Waits until limits or the breaker have changed; cancel-safe, for one loop.
    pub(crate) async fn changed(&self) {
        tokio::select! {
            biased;
            () = self.changed.notified() => {}
            () = self.breaker.changed() => {}
        }
    }

    /// Counts what was read before it is known how much of it is sent, and how large it is.
    pub(crate) fn charge(&self, read: Read, records: usize) -> Charge {
        self.on_the_way.fetch_add(records as u64, Relaxed);
        let records = records as f64;
        let charge = Charge { read, records, bytes: records * self.mean() };
        self.take(charge);
        charge
    }

    /// Puts right what [`Self::charge`] has guessed.
    pub(crate) fn settle(&self, charge: Charge, records: usize, bytes: usize) {
        let arrived = charge.records as u64;
        // An instance that has begun meanwhile has forgotten it.
        let _ = self.on_the_way.fetch_update(Relaxed, Relaxed, |before| Some(before.saturating_sub(arrived)));
        self.records.fetch_add(records as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
        if records > 0 {
            let now = bytes as f64 / records as f64;
            let before = f64::from_bits(self.mean.load(Relaxed));
            let mean = if before > 0.0 { before + (now - before) * 0.25 } else { now };
            self.mean.store(mean.to_bits(), Relaxed);
        }
        self.take(Charge {
            records: records as f64 - charge.records,
            bytes: bytes as f64 - charge.bytes,
            read: charge.read,
        });
        if self.waits.load(Relaxed) {
            // Less may have come of it than was thought.
            self.changed.notify_one();
        }
    }

    /// An instance of a source begins: what its predecessor had on the way was never sent, and what it had sent has
    /// arrived or never will.
    pub(crate) fn begin(&self) {
        self.on_the_way.store(0, Relaxed);
        self.writes.store(true, Relaxed);
        self.arrive();
    }

    /// Kafka has everything that was counted, or will never have it.
    pub(crate) fn arrive(&self) {
        self.arrived.store(self.bytes.load(Relaxed), Relaxed);
    }

    /// Counts what is known at once.
    pub(crate) fn count(&self, read: Read, records: usize, bytes: usize) {
        self.settle(Charge { read, records: 0.0, bytes: 0.0 }, records, bytes);
    }

    fn take(&self, charge: Charge) {
        if self.binds.load(Relaxed) {
            let now = self.clock.monotonic();
            self.state.lock().buckets.take(charge, now);
        }
    }

    fn mean(&self) -> f64 {
        self.known_mean().unwrap_or(RECORD_BYTES)
    }

    fn known_mean(&self) -> Option<f64> {
        Some(f64::from_bits(self.mean.load(Relaxed))).filter(|mean| *mean > 0.0)
    }
}

impl State {
    /// A wait has ended.
    fn go(&mut self, now: Duration) {
        if let Some((since, bound)) = self.waiting.take() {
            self.blocked += now.saturating_sub(since);
            self.waited = Some((now, bound));
        }
    }
}

#[cfg(test)]
mod tests;
