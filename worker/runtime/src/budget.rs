//! Error budgets: how many bad records all tasks of a connector may skip together, exactly, over every restart.
//!
//! A bad record is claimed in a topic before it is skipped; the order of that topic decides which claims are granted
//! (`elasticflow_protocol::standing`). A crash wastes a claim at most, and only where the source cannot name its record.
//! A task that is refused a claim makes everything before that record final and ends; every other task sees the claim
//! above the budget, makes final what it has, and ends too.
use crate::error::{Doing, TaskError};
use crate::services::Services;
use crate::share::{Scope, Share, part_of_task};
use crate::table::{Placed, Table};
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_config::flow::{BudgetAction, BudgetSettings, ReasonCode};
use elasticflow_kafka::ports::TopicSpec;
use elasticflow_protocol::{BUDGET_VALUE, BudgetRow, Standing, Sum, budget_topic, budget_window, standing};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a task looks whether another one has used the budget up.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Time between two judgements of the share.
const JUDGED_EVERY: Duration = Duration::from_secs(1);

/// How long a task may take to meet the record above the budget again, which may be another task's by then.
const MET_WITHIN: Duration = Duration::from_secs(30);

/// The budget of one connector as one of its tasks sees it. It outlives instances.
pub(crate) struct Budget {
    services: Arc<Services>,
    connector: Arc<str>,
    settings: BudgetSettings,
    /// `flow.errors.budget.ratio`.
    pub(crate) share: Share,
    table: Mutex<Option<Arc<Table>>>,
    /// The first record of each partition that was not allowed.
    stops: Mutex<BTreeMap<TopicPartition, Offset>>,
    /// One of them is of the instance that runs.
    is_refused: AtomicBool,
    /// Letters that Kafka has, although the offsets of their records may not have moved; as many as the budget at most.
    written: Mutex<BTreeSet<(Arc<str>, i32, i64)>>,
}

impl Budget {
    pub(crate) fn new(services: Arc<Services>, connector: Arc<str>, settings: BudgetSettings) -> Self {
        let share = Share::new(Arc::clone(&services), Arc::clone(&connector), &settings);
        Self {
            services,
            connector,
            settings,
            share,
            table: Mutex::default(),
            stops: Mutex::default(),
            is_refused: AtomicBool::new(false),
            written: Mutex::default(),
        }
    }

    /// Whether there is a limit at all.
    pub(crate) fn is_set(&self) -> bool {
        self.settings.most().is_some() || self.share.is_set()
    }

    /// Whether the connector is paused once it is used up.
    pub(crate) fn pauses(&self) -> bool {
        self.settings.action == BudgetAction::Pause
    }

    /// Partitions of a sink have come.
    pub(crate) async fn join(&self, new: &[TopicPartition]) -> Result<(), TaskError> {
        if !self.share.is_set() {
            return Ok(());
        }
        self.share.join(new, self.scope().await?).await
    }

    /// An instance of a source begins.
    pub(crate) async fn begin_source(&self, task: u32) -> Result<(), TaskError> {
        if !self.share.is_set() {
            return Ok(());
        }
        self.share.begin(part_of_task(task), self.scope().await?).await
    }

    /// Offsets are going to be committed: what stands below them is not met again.
    pub(crate) fn settle(&self, below: &ConsumedOffsets) {
        self.share.settle(below);
        let is_past = |topic: &Arc<str>, partition: i32, offset: i64| {
            let at = TopicPartition { topic: Arc::clone(topic), partition };
            below.0.get(&at).is_some_and(|below| offset < below.0)
        };
        // The other kind of budget bounds them.
        if self.settings.most().is_none() && self.share.is_set() {
            self.written.lock().retain(|(topic, partition, offset)| !is_past(topic, *partition, *offset));
        }
    }

    /// What is counted at present: the window, and the last time that it was begun anew.
    async fn scope(&self) -> Result<Scope, TaskError> {
        let table = self.table().await?;
        table.read_to_end().await?;
        let marks = table.placed(&self.connector).into_iter().filter_map(|row| match BudgetRow::decode(&row.key)?.1 {
            BudgetRow::Reset { at_ms } => Some(at_ms),
            BudgetRow::Claim { .. } => None,
        });
        Ok((self.window(), marks.max().unwrap_or(0)))
    }

    /// Claims leave to skip a consumed record; `Err` when the budget is used up. Without limit, always `Ok`.
    pub(crate) async fn claim_consumed(&self, at: &TopicPartition, offset: Offset) -> Result<(), TaskError> {
        if self.claim(json!([&*at.topic, at.partition, offset.0])).await? && self.share.allows(at, offset) {
            return Ok(());
        }
        self.stops.lock().entry(at.clone()).and_modify(|first| *first = offset.min(*first)).or_insert(offset);
        self.is_refused.store(true, Ordering::Release);
        // The others see it there.
        self.share.write_bad().await?;
        Err(self.error())
    }

    /// Claims leave to skip a bad record that `place` names; false when the budget is used up.
    pub(crate) async fn claim(&self, place: Json) -> Result<bool, TaskError> {
        let Some(most) = self.settings.most() else { return Ok(true) };
        let table = self.table().await?;
        table.read_to_end().await?;
        let claim = BudgetRow::Claim { window: self.window(), place };
        let rank = match self.standing(&table, Some(&claim)).rank {
            Some(rank) => rank,
            None => {
                self.write(&claim).await?;
                table.read_to_end().await?;
                let missing = || TaskError::Bug("a claim that was written is not in its topic".to_owned());
                self.standing(&table, Some(&claim)).rank.ok_or_else(missing)?
            }
        };
        Ok(rank <= most)
    }

    /// Where a partition must not be read any further.
    pub(crate) fn stop_of(&self, at: &TopicPartition) -> Option<Offset> {
        self.stops.lock().get(at).copied()
    }

    /// Whether the instance that has ended was refused a claim: then another one makes final what stands before it.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Acquire)
    }

    /// A new instance begins.
    pub(crate) fn begin(&self) {
        self.is_refused.store(false, Ordering::Release);
    }

    /// Somebody lets a paused connector go on: what was not allowed is asked for anew.
    pub(crate) fn go_on(&self) {
        self.stops.lock().clear();
        self.begin();
    }

    /// Whether a letter of a record has been written by an instance before.
    pub(crate) fn has_letter(&self, topic: &Arc<str>, partition: i32, offset: i64) -> bool {
        self.is_set() && self.written.lock().contains(&(Arc::clone(topic), partition, offset))
    }

    /// A letter of a record is in its topic.
    pub(crate) fn note_letter(&self, topic: &Arc<str>, partition: i32, offset: i64) {
        if self.is_set() {
            self.written.lock().insert((Arc::clone(topic), partition, offset));
        }
    }

    /// Returns, with the error, once the budget is used up; never where there is none. Cancel-safe.
    pub(crate) async fn used_up(&self) -> TaskError {
        if !self.share.is_set() {
            return self.used_up_by_count().await;
        }
        tokio::select! {
            biased;
            error = self.used_up_by_count() => error,
            error = self.used_up_by_share() => error,
        }
    }

    /// Judges the share until there is too much of it.
    async fn used_up_by_share(&self) -> TaskError {
        let clock = Arc::clone(&self.services.options.clock);
        if !self.stops.lock().is_empty() {
            clock.sleep(MET_WITHIN).await;
        }
        loop {
            let judged = async { self.share.look(self.scope().await?).await };
            match judged.await {
                Ok(None) => clock.sleep(JUDGED_EVERY).await,
                Ok(Some(_)) => return self.error(),
                Err(error) => return error,
            }
        }
    }

    /// Returns once a claim stands above the budget.
    async fn used_up_by_count(&self) -> TaskError {
        let Some(most) = self.settings.most() else { return std::future::pending().await };
        let clock = Arc::clone(&self.services.options.clock);
        if !self.stops.lock().is_empty() {
            clock.sleep(MET_WITHIN).await;
            return self.error();
        }
        let (mut seen, mut window) = (0, String::new());
        loop {
            match self.table().await {
                Ok(table) if (table.count(&self.connector), self.window()) != (seen, window.clone()) => {
                    (seen, window) = (table.count(&self.connector), self.window());
                    if self.standing(&table, None).used > most {
                        return self.error();
                    }
                }
                Ok(_) => {}
                Err(error) => return error,
            }
            clock.sleep(LOOK_EVERY).await;
        }
    }

    /// What the task ends with.
    pub(crate) fn error(&self) -> TaskError {
        let (reason, most) = (ReasonCode::ErrorBudget, self.settings.records);
        if let Some(Sum { read, bad }) = self.share.excess() {
            return TaskError::OverBudget(format!(
                "{} {}: {bad} of {read} records are bad, and a share of {} may be (flow.errors.budget.ratio); look at the dead letters and mend the cause, then raise the budget, or reset it and restart the tasks",
                reason.number(),
                reason.code(),
                self.settings.ratio,
            ));
        }
        TaskError::OverBudget(format!(
            "{} {}: {most} bad records may be skipped (flow.errors.budget.records), and there is one more, which was not skipped; look at the dead letters and mend the cause, then raise the budget, or reset it and restart the tasks",
            reason.number(),
            reason.code(),
        ))
    }

    fn standing(&self, table: &Table, claim: Option<&BudgetRow>) -> Standing {
        let rows: Vec<_> = table
            .placed(&self.connector)
            .into_iter()
            .filter_map(|Placed { key, first, last }| Some((BudgetRow::decode(&key)?.1, first, last)))
            .collect();
        standing(&rows, &self.window(), claim)
    }

    fn window(&self) -> String {
        budget_window(self.settings.window.word(), self.services.options.clock.wall_ms())
    }

    async fn table(&self) -> Result<Arc<Table>, TaskError> {
        if let Some(table) = &*self.table.lock() {
            return Ok(Arc::clone(table));
        }
        let options = &self.services.options;
        let spec = TopicSpec {
            name: budget_topic(&options.group),
            partitions: 1,
            replication: options.decisions_replication,
            // Compaction could move the place of a claim that was written twice.
            configs: BTreeMap::from([
                ("cleanup.policy".to_owned(), "delete".to_owned()),
                ("retention.ms".to_owned(), "-1".to_owned()),
                ("retention.bytes".to_owned(), "-1".to_owned()),
            ]),
        };
        options.kafka.admin().ensure_topic(&spec).await.doing("creating the topic of error budgets")?;
        let table = self.services.tables.table(&spec.name, |key| BudgetRow::decode(key).map(|(of, _)| of));
        table.read_to_end().await?;
        *self.table.lock() = Some(Arc::clone(&table));
        Ok(table)
    }

    /// Appends a row and waits until every replica in sync has it.
    async fn write(&self, row: &BudgetRow) -> Result<(), TaskError> {
        let topic = budget_topic(&self.services.options.group);
        let value = std::str::from_utf8(BUDGET_VALUE).ok();
        self.services.append(&topic, &[(&row.key(&self.connector), value)]).await
    }
}
