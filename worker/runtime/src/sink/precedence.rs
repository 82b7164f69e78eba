//! What a sink puts first when it reads topics of different importance.
//!
//! The consumer hands out what is important before the rest. That is worth something only as long as little of the rest has
//! been taken already: while topics differ, no more is taken than limits let through now, and than the destination takes in
//! [`TURN`], as fast as it has been.
use super::cycle::Cycle;
use crate::error::{Doing, TaskError};
use crate::limit::{Leave, TURN};
use elasticflow_api::context::Limits;
use elasticflow_api::source::Read;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A destination whose every call takes longer would be asked for hardly anything each time: so much of its shortest call.
const TURN_IN_CALLS: u32 = 2;
/// Fewest records that are taken at a time.
const RECORDS_LEAST: usize = 20;
/// How fast an old measurement loses its weight, a put.
const FADES: f64 = 0.1;

/// Ranks of topics, and the pace of the destination.
#[derive(Default)]
pub(super) struct Precedence {
    /// What the consumer was told; nothing while all topics are alike.
    told: Arc<BTreeMap<String, u8>>,
    /// Partitions have the place that they should have.
    is_done: bool,
    pace: Pace,
}

/// How fast puts are.
#[derive(Default)]
struct Pace {
    /// Records a second.
    speed: Option<f64>,
    /// Of those of late, seconds.
    shortest: Option<f64>,
}

impl Pace {
    fn put(&mut self, records: usize, took: Duration) {
        let seconds = took.as_secs_f64().max(1e-6);
        let speed = records as f64 / seconds;
        self.speed = Some(self.speed.map_or(speed, |before| before + (speed - before) * FADES));
        self.shortest = Some(self.shortest.map_or(seconds, |before| seconds.min(before + (seconds - before) * FADES)));
    }

    /// Records that the destination takes in a turn; `None` before anything is known.
    fn records(&self) -> Option<usize> {
        let turn = TURN.as_secs_f64().max(self.shortest? * f64::from(TURN_IN_CALLS));
        Some(((self.speed? * turn) as usize).max(RECORDS_LEAST))
    }
}

impl Precedence {
    /// Whether topics differ.
    pub(super) fn ranks(&self) -> bool {
        !self.told.is_empty()
    }

    /// Notes a put.
    pub(super) fn put(&mut self, records: usize, took: Duration) {
        if self.ranks() && records > 0 {
            self.pace.put(records, took);
        }
    }

    /// Most that may be gathered now.
    pub(super) fn most(&self, most: Limits) -> Limits {
        let turn = self.pace.records().filter(|_| self.ranks());
        Limits { records: most.records.min(turn.unwrap_or(usize::MAX)), ..most }
    }
}

impl Cycle {
    /// Before each wait for records: tells the consumer of new ranks, and how much it may give. While limits let
    /// nothing through, it is not asked: False while limits let
    /// nothing through: what is taken now would stand before what is important and comes until then.
    pub(super) async fn rank(&mut self) -> Result<(), TaskError> {
        let ranks = self.task.limit.precedence();
        if !Arc::ptr_eq(&ranks, &self.precedence.told) || !self.precedence.is_done {
            self.precedence.is_done = self.consumer.prefer(&ranks).await.doing("ranking topics")?;
            if ranks.is_empty() {
                self.consumer.take_at_most(usize::MAX);
            }
            self.precedence.told = ranks;
        }
        if !self.precedence.ranks() || self.backlog.waits() || self.task.is_paused() {
            return Ok(());
        }
        let most = Limits { records: self.settings.batch_records, bytes: self.settings.batch_bytes };
        match self.task.limit.ask(Read::Stream, self.precedence.most(most)) {
            Leave::Go(most) => self.consumer.take_at_most(most.records),
            Leave::Wait(wait) => self.wait_for_leave(wait)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(puts: &[(usize, u64)]) -> Option<usize> {
        let mut pace = Pace::default();
        for (records, ms) in puts {
            pace.put(*records, Duration::from_millis(*ms));
        }
        pace.records()
    }

    #[test]
    fn no_more_is_taken_than_the_destination_takes_in_a_turn() {
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[(5_000, 5_000), (1, 1)]), Some(25), "a thousand a second");
        assert_eq!(after(&[(5_000, 10)]), Some(12_500), "a fast one is not held up");
        assert_eq!(after(&[(5_000, 700), (10, 200)]).map(|n| n > 2_000), Some(true), "slow calls are well filled");
    }
}
