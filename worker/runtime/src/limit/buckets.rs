//! The buckets of one task, and what they say together. Time comes in as a value.
use super::bucket::{Bucket, QUANTUM};
use super::ports::{Allowance, Bound, Control};
use elasticflow_api::context::Limits;
use elasticflow_api::source::Read;
use elasticflow_config::flow::{FlowState, RateSettings, Rates, ReasonCode};
use std::time::Duration;

/// Wait of what ends only by a change of limits.
const UNTIL_CHANGED: Duration = Duration::from_secs(3600);

/// What was read, or what is put right about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Charge {
    pub(super) read: Read,
    pub(super) records: f64,
    pub(super) bytes: f64,
}

/// What a task has moved so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Moved {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Records that were read and are not counted yet.
    pub(super) on_the_way: u64,
    /// Bytes of a record, once that is known.
    pub(super) mean: Option<f64>,
}

impl Moved {
    /// What they weigh, if they are as others were.
    fn bytes_on_the_way(self) -> u64 {
        (self.on_the_way as f64 * self.mean.unwrap_or(0.0)) as u64
    }
}

/// A bucket a unit.
#[derive(Debug, Clone, Default)]
struct Pair {
    records: Option<Bucket>,
    bytes: Option<Bucket>,
}

impl Pair {
    fn set(&mut self, rates: Rates, burst: Duration, now: Duration) {
        set_one(&mut self.records, rates.records, burst, now);
        set_one(&mut self.bytes, rates.bytes, burst, now);
    }
}

fn set_one(bucket: &mut Option<Bucket>, rate: Option<f64>, burst: Duration, now: Duration) {
    match (bucket.as_mut(), rate.filter(|rate| *rate > 0.0)) {
        (Some(bucket), Some(rate)) => bucket.set(rate, burst, now),
        (None, Some(rate)) => *bucket = Some(Bucket::new(rate, burst, now)),
        (_, None) => *bucket = None,
    }
}

/// Everything that bounds a task.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    settings: RateSettings,
    share: f64,
    control: Control,
    stream: Pair,
    snapshot: Pair,
    ordered: Pair,
    /// Least that is waited for, as time at a rate.
    quantum: Duration,
}

impl Buckets {
    pub(super) fn new(settings: &RateSettings, share: f64, now: Duration) -> Self {
        let (stream, snapshot, ordered) = (Pair::default(), Pair::default(), Pair::default());
        let control = Control::default();
        let settings = settings.clone();
        let mut buckets = Self { settings, share, control, stream, snapshot, ordered, quantum: QUANTUM };
        buckets.apply(now);
        buckets
    }

    pub(super) fn set_rates(&mut self, settings: &RateSettings, now: Duration) {
        self.settings = settings.clone();
        self.apply(now);
    }

    pub(super) fn set_share(&mut self, share: f64, now: Duration) {
        self.share = share.clamp(0.0, 1.0);
        self.apply(now);
    }

    pub(super) fn set_quantum(&mut self, quantum: Duration) {
        self.quantum = quantum;
    }

    pub(super) fn set_control(&mut self, control: Control, now: Duration) {
        self.control = control;
        self.ordered.set(control.rates, self.settings.burst.duration(), now);
    }

    fn apply(&mut self, now: Duration) {
        let (share, burst) = (self.share, self.settings.burst.duration());
        self.stream.set(self.settings.stream().share(share), burst, now);
        self.snapshot.set(self.settings.snapshot().share(share), burst, now);
    }

    /// Whether anything could make the task wait.
    pub(super) fn bind(&self) -> bool {
        let of = |pair: &Pair| pair.records.is_some() || pair.bytes.is_some();
        let Control { held, granted_bytes, quota, .. } = self.control;
        let ordered = held.is_some() || granted_bytes.is_some() || quota != Allowance::default();
        ordered || of(&self.stream) || of(&self.snapshot) || of(&self.ordered)
    }

    /// How much may be read, or how long it may not and why.
    pub(super) fn leave(
        &mut self,
        read: Read,
        most: Limits,
        moved: Moved,
        now: Duration,
    ) -> Result<Limits, (Duration, Bound)> {
        let moves = moved.bytes.saturating_add(moved.bytes_on_the_way());
        let left = self.control.granted_bytes.map_or(u64::MAX, |granted| granted.saturating_sub(moves));
        let quota = self.quota_left(moved);
        if let Some((wait, bound)) = self.forbidden(left, quota).or_else(|| self.exhausted(read, now)) {
            return Err((wait, bound));
        }
        let (quota_records, quota_bytes) = (finite(quota.records), finite(quota.bytes));
        let granted = if left == u64::MAX { f64::INFINITY } else { left as f64 }.min(quota_bytes);
        let (records, bytes) = self.counting(read);
        let least = |buckets: [Option<&mut Bucket>; 2]| {
            buckets.into_iter().flatten().map(|bucket| bucket.level(now)).fold(f64::INFINITY, f64::min)
        };
        let (records, bytes) = (least(records).min(quota_records), least(bytes).min(granted));
        // As long as the size of a record is not known, one is tried.
        let by_bytes = if bytes.is_finite() { moved.mean.map_or(1.0, |mean| bytes / mean) } else { bytes };
        Ok(Limits { records: whole(records.min(by_bytes), most.records), bytes: whole(bytes, most.bytes) })
    }

    /// What is left of a quota once everything that is on its way has arrived.
    fn quota_left(&self, moved: Moved) -> Allowance {
        let Allowance { records, bytes } = self.control.quota;
        let weighs = moved.bytes_on_the_way();
        Allowance {
            records: records.map(|most| most.saturating_sub(moved.records).saturating_sub(moved.on_the_way)),
            bytes: bytes.map(|most| most.saturating_sub(moved.bytes).saturating_sub(weighs)),
        }
    }

    /// What no time ends.
    fn forbidden(&self, left: u64, quota: Allowance) -> Option<(Duration, Bound)> {
        let used_up = quota.records == Some(0) || quota.bytes == Some(0);
        let held = self.control.held.or((left == 0).then_some(ReasonCode::Cap));
        let held = held.or(used_up.then_some(ReasonCode::Quota));
        held.map(|reason| (UNTIL_CHANGED, Bound { state: FlowState::Held, reason }))
    }

    /// What time ends: the longest wait is the one that binds.
    fn exhausted(&mut self, read: Read, now: Duration) -> Option<(Duration, Bound)> {
        let (reason, quantum) = (self.control.reason.unwrap_or(ReasonCode::Lag), self.quantum);
        let ([records, ordered_records], [bytes, ordered_bytes]) = self.counting(read);
        let wait = |of: [Option<&mut Bucket>; 2]| of.into_iter().flatten().filter_map(|b| b.wait(quantum, now)).max();
        let own = wait([records, bytes]).map(|wait| (wait, ReasonCode::Rate));
        let ordered = wait([ordered_records, ordered_bytes]).map(|wait| (wait, reason));
        let (wait, reason) = own.into_iter().chain(ordered).max_by_key(|(wait, _)| *wait)?;
        Some((wait, Bound { state: FlowState::Limited, reason }))
    }

    /// Buckets that count what is read, of records and of bytes: the connector's own, and the controller's. A snapshot
    /// without rates of its own counts for those of the stream, unit by unit.
    fn counting(&mut self, read: Read) -> ([Option<&mut Bucket>; 2], [Option<&mut Bucket>; 2]) {
        let Self { stream, snapshot, ordered, .. } = self;
        let (records, bytes) = match read {
            Read::Stream => (stream.records.as_mut(), stream.bytes.as_mut()),
            Read::Snapshot => (
                snapshot.records.as_mut().or(stream.records.as_mut()),
                snapshot.bytes.as_mut().or(stream.bytes.as_mut()),
            ),
        };
        ([records, ordered.records.as_mut()], [bytes, ordered.bytes.as_mut()])
    }

    /// Counts what was read.
    pub(super) fn take(&mut self, charge: Charge, now: Duration) {
        let (records, bytes) = self.counting(charge.read);
        records.into_iter().flatten().for_each(|bucket| bucket.take(charge.records, now));
        bytes.into_iter().flatten().for_each(|bucket| bucket.take(charge.bytes, now));
    }
}

fn finite(left: Option<u64>) -> f64 {
    left.map_or(f64::INFINITY, |left| left as f64)
}

/// Whole tokens, at least one: what is asked for less would never be read.
fn whole(level: f64, most: usize) -> usize {
    if level.is_finite() { (level.clamp(1.0, 1e15) as usize).min(most.max(1)) } else { most }
}
