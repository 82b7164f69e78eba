//! Error budgets as a share: how many of the records that all tasks of a connector have read were bad.
//!
//! A sink counts by partition, so that a record is counted once however often it is read, and writes what is bad before
//! anything behind it becomes final. A source writes what it counts in the transaction of the records. So no restart and
//! no kill makes a budget larger; the records of the last second before a kill may be missing from those that were read,
//! which makes it smaller. Each task judges its own records at once, and knows those of the others by what they wrote about a
//! second ago.
use crate::error::{Doing, TaskError};
use crate::services::Services;
use crate::table::Table;
use bytes::Bytes;
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_config::flow::BudgetSettings;
use elasticflow_kafka::ports::TopicSpec;
use elasticflow_protocol::{Met, ShareKey, Sum, Tally, share_topic, stored_tally};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A source writes what it has read at most so often where nothing was bad.
const WRITTEN_EVERY: Duration = Duration::from_secs(1);

/// The part of a source's task.
pub(crate) fn part_of_task(task: u32) -> String {
    format!("task-{task}")
}

/// The part of a sink's partition.
fn part_of(at: &TopicPartition) -> String {
    format!("{}/{}", at.topic, at.partition)
}

/// What one task counts. It outlives instances.
pub(crate) struct Share {
    services: Arc<Services>,
    connector: Arc<str>,
    ratio: Option<f64>,
    least: u64,
    table: Mutex<Option<Arc<Table>>>,
    counting: Mutex<Counting>,
}

/// Of which window, and since when it is counted.
pub(crate) type Scope = (String, i64);

#[derive(Default)]
struct Counting {
    scope: Scope,
    parts: BTreeMap<String, Tally>,
    /// Parts of which more is known than is written.
    unwritten: BTreeSet<String>,
    /// In the open transaction of a source.
    transit: Sum,
    written_at: Duration,
    written_bad: u64,
    /// What the other tasks have written.
    others: Sum,
    /// Keys of a window that is over.
    past: Vec<String>,
}

impl Counting {
    fn sum(&self) -> Sum {
        self.parts.values().fold(self.others.plus(self.transit), |sum, part| sum.plus(part.sum()))
    }
}

impl Share {
    pub(crate) fn new(services: Arc<Services>, connector: Arc<str>, settings: &BudgetSettings) -> Self {
        let (ratio, least) = (settings.share(), settings.min_records);
        Self { services, connector, ratio, least, table: Mutex::default(), counting: Mutex::default() }
    }

    /// Whether a share is set.
    pub(crate) fn is_set(&self) -> bool {
        self.ratio.is_some()
    }

    /// What is counted, if it is too much.
    pub(crate) fn excess(&self) -> Option<Sum> {
        let sum = self.counting.lock().sum();
        self.ratio.filter(|ratio| sum.is_above(*ratio, self.least)).map(|_| sum)
    }

    // --- sinks -----------------------------------------------------------------------------------------------------

    /// Learns what is known of partitions that have come.
    pub(crate) async fn join(&self, new: &[TopicPartition], scope: Scope) -> Result<(), TaskError> {
        if !self.is_set() {
            return Ok(());
        }
        let table = self.table().await?;
        table.read_to_end().await?;
        let stored = self.stored(&table, &scope);
        self.enter(scope);
        let mut counting = self.counting.lock();
        for part in new.iter().map(part_of) {
            let known = stored.get(&part);
            let own = counting.parts.entry(part).or_default();
            if let Some(known) = known.filter(|known| known.is_ahead_of(own)) {
                *own = known.clone();
            }
        }
        counting.others = others(&stored, &counting.parts);
        Ok(())
    }

    /// Partitions go to somebody else, who goes on with what is written.
    pub(crate) async fn leave(&self, gone: &[TopicPartition]) -> Result<(), TaskError> {
        if self.is_set() {
            self.write().await?;
            self.forget(gone);
        }
        Ok(())
    }

    /// Partitions are somebody else's.
    pub(crate) fn forget(&self, gone: &[TopicPartition]) {
        let mut counting = self.counting.lock();
        for part in gone.iter().map(part_of) {
            counting.unwritten.remove(&part);
            if let Some(tally) = counting.parts.remove(&part) {
                counting.others = counting.others.plus(tally.sum());
            }
        }
    }

    /// Counts records of a partition.
    pub(crate) fn read(&self, at: &TopicPartition, offsets: impl Iterator<Item = i64>) {
        if !self.is_set() {
            return;
        }
        let (mut counting, part) = (self.counting.lock(), part_of(at));
        counting.parts.entry(part.clone()).or_default().read(offsets);
        counting.unwritten.insert(part);
    }

    /// Whether a bad record may be skipped; it is counted once.
    pub(crate) fn allows(&self, at: &TopicPartition, offset: Offset) -> bool {
        let Some(ratio) = self.ratio else { return true };
        let (mut counting, part) = (self.counting.lock(), part_of(at));
        counting.unwritten.insert(part.clone());
        if counting.parts.entry(part.clone()).or_default().meet(offset.0) == Met::Before {
            return true;
        }
        let may = !counting.sum().is_above(ratio, self.least);
        counting.parts.entry(part).or_default().judged(offset.0, may);
        may
    }

    /// What stands below is going to be final.
    pub(crate) fn settle(&self, below: &ConsumedOffsets) {
        if !self.is_set() {
            return;
        }
        let mut counting = self.counting.lock();
        for (at, offset) in &below.0 {
            if let Some(tally) = counting.parts.get_mut(&part_of(at)) {
                tally.settle(offset.0);
            }
        }
    }

    /// Writes what is known, if some of it is bad and not written yet.
    pub(crate) async fn write_bad(&self) -> Result<(), TaskError> {
        let is_due = {
            let counting = self.counting.lock();
            self.is_set() && own_bad(&counting) != counting.written_bad
        };
        if is_due { self.write().await } else { Ok(()) }
    }

    /// Writes what is known, and takes in what the others have written.
    pub(crate) async fn look(&self, scope: Scope) -> Result<Option<Sum>, TaskError> {
        let table = self.table().await?;
        self.enter(scope.clone());
        self.write().await?;
        table.read_to_end().await?;
        let stored = self.stored(&table, &scope);
        {
            let mut counting = self.counting.lock();
            counting.others = others(&stored, &counting.parts);
        }
        Ok(self.excess())
    }

    async fn write(&self) -> Result<(), TaskError> {
        let (rows, past) = {
            let mut counting = self.counting.lock();
            let parts = std::mem::take(&mut counting.unwritten);
            counting.written_bad = own_bad(&counting);
            let row = |part: &String| Some((self.key(&counting.scope, part), counting.parts.get(part)?.value()));
            let rows: Vec<_> = parts.iter().filter_map(row).collect();
            (rows, std::mem::take(&mut counting.past))
        };
        if rows.is_empty() && past.is_empty() {
            return Ok(());
        }
        let rows = rows.iter().map(|(key, value)| (key.as_str(), Some(value.as_str())));
        let rows: Vec<_> = rows.chain(past.iter().map(|key| (key.as_str(), None))).collect();
        self.services.append(&share_topic(&self.services.options.group), &rows).await
    }

    // --- sources ---------------------------------------------------------------------------------------------------

    /// An instance of a source begins with what is committed.
    pub(crate) async fn begin(&self, part: String, scope: Scope) -> Result<(), TaskError> {
        if !self.is_set() {
            return Ok(());
        }
        let table = self.table().await?;
        table.read_to_end().await?;
        let stored = self.stored(&table, &scope);
        let mut tally = stored.get(&part).cloned().unwrap_or_default();
        tally.refuse(false);
        let parts = BTreeMap::from([(part, tally)]);
        let others = others(&stored, &parts);
        *self.counting.lock() = Counting { scope, parts, others, ..Counting::default() };
        Ok(())
    }

    /// Counts records of the open transaction.
    pub(crate) fn send(&self, records: usize) {
        if self.is_set() {
            self.counting.lock().transit.read += records as u64;
        }
    }

    /// Whether a bad record of the open transaction may be skipped; it is counted if so.
    pub(crate) fn allows_in_transit(&self, part: &str) -> bool {
        let Some(ratio) = self.ratio else { return true };
        let mut counting = self.counting.lock();
        counting.transit.bad += 1;
        let may = !counting.sum().is_above(ratio, self.least);
        if !may {
            counting.transit.bad -= 1;
            counting.parts.entry(part.to_owned()).or_default().refuse(true);
            counting.unwritten.insert(part.to_owned());
        }
        may
    }

    /// The transaction is going to be committed: the row that goes with it, if it says something that matters.
    pub(crate) fn commit(&self, part: &str, now: Duration) -> Option<(String, String)> {
        if !self.is_set() {
            return None;
        }
        let mut counting = self.counting.lock();
        let transit = std::mem::take(&mut counting.transit);
        let key = self.key(&counting.scope, part);
        let tally = counting.parts.entry(part.to_owned()).or_default();
        tally.add(transit);
        let value = tally.value();
        let is_due = transit.bad > 0 || now.saturating_sub(counting.written_at) >= WRITTEN_EVERY;
        if is_due {
            counting.written_at = now;
        }
        is_due.then_some((key, value))
    }

    /// The transaction was rolled back.
    pub(crate) fn roll_back(&self) {
        self.counting.lock().transit = Sum::default();
    }

    // --- both ------------------------------------------------------------------------------------------------------

    /// Begins anew where a window has ended or somebody has reset the budget.
    fn enter(&self, scope: Scope) {
        let mut counting = self.counting.lock();
        if counting.scope == scope {
            return;
        }
        if !counting.scope.0.is_empty() {
            let past: Vec<_> = counting.parts.keys().map(|part| self.key(&counting.scope, part)).collect();
            counting.past = past;
            counting.parts = counting.parts.iter().map(|(part, tally)| (part.clone(), tally.anew())).collect();
            (counting.others, counting.written_bad) = (Sum::default(), 0);
        }
        counting.scope = scope;
    }

    fn key(&self, (window, since): &Scope, part: &str) -> String {
        let (connector, window, part) = (self.connector.to_string(), window.clone(), part.to_owned());
        ShareKey { connector, window, since: *since, part }.text()
    }

    /// What is stored of a scope, by part.
    fn stored(&self, table: &Table, (window, since): &Scope) -> BTreeMap<String, Tally> {
        let row = |(key, value): (Bytes, Bytes)| {
            let key = ShareKey::decode(&key).filter(|key| key.window == *window && key.since == *since)?;
            Some((key.part, stored_tally(&value)?))
        };
        table.rows(&self.connector).into_iter().filter_map(row).collect()
    }

    async fn table(&self) -> Result<Arc<Table>, TaskError> {
        if let Some(table) = &*self.table.lock() {
            return Ok(Arc::clone(table));
        }
        let options = &self.services.options;
        let spec = TopicSpec {
            name: share_topic(&options.group),
            partitions: 1,
            replication: options.decisions_replication,
            configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        };
        options.kafka.admin().ensure_topic(&spec).await.doing("creating the topic of error shares")?;
        let table = self.services.tables.table(&spec.name, |key| ShareKey::decode(key).map(|key| key.connector));
        *self.table.lock() = Some(Arc::clone(&table));
        Ok(table)
    }
}

fn own_bad(counting: &Counting) -> u64 {
    counting.parts.values().map(|part| part.sum().bad).sum()
}

fn others(stored: &BTreeMap<String, Tally>, own: &BTreeMap<String, Tally>) -> Sum {
    let of = stored.iter().filter(|(part, _)| !own.contains_key(*part));
    of.fold(Sum::default(), |sum, (_, tally)| sum.plus(tally.sum()))
}
