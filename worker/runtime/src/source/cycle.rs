//! The writer's loop: batches in, transactions out.
use super::boundary::{Caps, Next, Open, Rule, after, before, due};
use super::marks::Marks;
use super::offsets::Pending;
use super::poller::{Polled, Poller};
use super::rejects::{Bad, Rejects};
use super::topics::Topics;
use super::transaction::Transaction;
use crate::error::TaskError;
use crate::event::Happening;
use crate::failpoint::failpoint;
use crate::pipeline::{Encoder, Failed, Transforms};
use crate::supervise::{Supervision, target_changed};
use elasticflow_api::error::Stage;
use elasticflow_api::source::{Boundary, Rejected, SourceBatch, SourceRecord};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The writer of one instance.
pub(super) struct Cycle {
    pub(super) task: Arc<Supervision>,
    pub(super) transaction: Transaction,
    pub(super) encoder: Encoder,
    pub(super) transforms: Transforms,
    pub(super) rejects: Rejects,
    pub(super) topics: Topics,
    pub(super) rule: Rule,
    pub(super) caps: Caps,
    pub(super) open: Open,
    /// Bytes of the open transaction by topic, where a cap bounds them.
    pub(super) of_topics: BTreeMap<Arc<str>, u64>,
    pub(super) since: Duration,
    pub(super) pending: Pending,
    /// The connector promises exactly-once: its transactions end only where a position says how to go on.
    pub(super) positioned: bool,
    /// A bad record is above the error budget: what stands before it is committed, and then the task ends.
    pub(super) over_budget: bool,
    /// Everything was delivered; reported once it is committed.
    pub(super) end_of_data: bool,
    /// A run is over; its batch ends once it is committed.
    pub(super) end_of_run: bool,
    /// Of a source whose runs are batches.
    pub(super) marks: Option<Marks>,
}

impl Cycle {
    /// Runs until it is stopped or fails. A soft stop commits what is complete and throws away what is not.
    pub(super) async fn run(&mut self, poller: &mut Poller) -> Result<(), TaskError> {
        let stop = self.task.stop.clone();
        let mut paused = self.task.paused.clone();
        let (task, has_budget) = (Arc::clone(&self.task), self.rejects.has_budget());
        let mut used_up = std::pin::pin!(task.budget.used_up());
        loop {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = stop.cancelled() => return self.finish(poller).await,
                error = &mut used_up, if has_budget => {
                    self.finish(poller).await?;
                    return Err(error);
                }
                () = target_changed(&mut paused) => self.task.report_target(),
                () = deadline => self.decide(poller).await?,
                polled = poller.next() => self.on_batch(polled?, poller).await?,
            }
        }
    }

    /// When the rule wants to be asked again although no batch has come.
    fn deadline(&self) -> impl Future<Output = ()> + use<> {
        let clock = Arc::clone(&self.task.services.options.clock);
        let wait = due(self.rule, &self.caps, &self.open).map(|d| d.saturating_sub(self.age()));
        async move {
            match wait {
                Some(wait) => clock.sleep(wait).await,
                None => std::future::pending().await,
            }
        }
    }

    fn age(&self) -> Duration {
        self.task.services.options.clock.monotonic().saturating_sub(self.since)
    }

    async fn on_batch(&mut self, polled: Polled, poller: &mut Poller) -> Result<(), TaskError> {
        let Polled { mut batch, charge, room: _until_written } = polled;
        if batch.boundary == Boundary::Abort {
            self.roll_back().await?;
        } else if before(&self.caps, &self.open, batch.len(), batch.boundary) {
            self.commit(poller).await?;
        }
        if self.open == Open::default() {
            self.since = self.task.services.options.clock.monotonic();
        }
        self.end_of_data |= batch.end_of_data;
        self.end_of_run |= batch.end_of_run || batch.end_of_data;
        self.task.budget.share.send(batch.len() + batch.rejected.len());
        let (boundary, progress) = (batch.boundary, std::mem::take(&mut batch.progress));
        let before = (self.open.records, self.open.bytes);
        if boundary != Boundary::Abort {
            poller.beside(self.send_all(batch)).await?;
        }
        self.task.limit.settle(charge, self.open.records - before.0, self.open.bytes - before.1);
        if self.over_budget {
            if self.open.resumable && !self.pending.is_empty() {
                self.commit(poller).await?;
            }
            return Err(self.task.budget.error());
        }
        for position in progress {
            self.pending.note(position);
            self.open.resumable = true;
        }
        self.open.positions = !self.pending.is_empty();
        self.open.inside = boundary == Boundary::Inside;
        self.decide(poller).await?;
        if self.end_of_run && self.marks.is_some() && !self.open.inside && self.open != Open::default() {
            // What comes next is of another batch.
            self.commit(poller).await?;
        }
        poller.written(self.open != Open { inside: self.open.inside, ..Open::default() });
        self.report_end(poller).await?;
        // Other tasks of the process may run.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Asks the rule and does what it says.
    async fn decide(&mut self, poller: &mut Poller) -> Result<(), TaskError> {
        let waiting = poller.has_more().await;
        match after(self.rule, &self.caps, &self.open, self.age(), waiting) {
            Next::Wait => Ok(()),
            Next::Commit => self.commit(poller).await,
            Next::Cut => {
                self.task.metrics.transactions_cut.add(1);
                tracing::info!(task = %self.task.spec.id, records = self.open.records, "an upstream transaction above the limit was cut");
                self.commit(poller).await
            }
        }
    }

    async fn send_all(&mut self, batch: SourceBatch) -> Result<(), TaskError> {
        let (count, half) = (batch.len(), batch.len() / 2);
        if count > 0 {
            self.task.metrics.batch_size.add(count as u64);
        }
        let SourceBatch { records, written, rejected, .. } = batch;
        let (mut rejected, mut ready, mut sent) = (rejected.into_iter().peekable(), written.iter().peekable(), 0);
        let next = records.into_iter().enumerate().map(|(at, record)| (at, Some(record)));
        for (at, record) in next.chain([(usize::MAX, None)]) {
            while let Some(record) = ready.next_if(|record| record.after <= at) {
                halfway(&mut sent, half);
                let resumable = std::mem::replace(&mut self.open.resumable, !self.positioned);
                self.send_written(&record, &written.headers).await?;
                if self.over_budget {
                    self.open.resumable = resumable;
                    return Ok(());
                }
            }
            while let Some(bad) = rejected.next_if(|bad| bad.after <= at) {
                self.unread(bad).await?;
                if self.over_budget {
                    return Ok(());
                }
            }
            let Some(SourceRecord { record, position }) = record else { break };
            halfway(&mut sent, half);
            let resumable = std::mem::replace(&mut self.open.resumable, position.is_some() || !self.positioned);
            self.send_one(record, position.as_ref()).await?;
            if self.over_budget {
                self.open.resumable = resumable;
                return Ok(());
            }
            if let Some(position) = position {
                self.pending.note(position);
            }
        }
        if count > 0 {
            failpoint!("source.send.after");
        }
        Ok(())
    }

    /// What the source could not read. Its position and its dead letter go into the same transaction.
    async fn unread(&mut self, mut rejected: Rejected) -> Result<(), TaskError> {
        let position = rejected.position.clone();
        // Without a position of its own it changes nothing about where the task can resume.
        let before = self.open.resumable;
        self.open.resumable = position.is_some() || before || self.open.records == 0;
        rejected.error.stage = Stage::TaskPoll;
        let (failed, bad) = self.rejects.unread(rejected);
        self.skip(failed, bad).await?;
        if self.over_budget {
            self.open.resumable = before;
            return Ok(());
        }
        if let Some(position) = position {
            self.pending.note(position);
        }
        Ok(())
    }

    pub(super) async fn skip(&mut self, failed: Failed, bad: Bad) -> Result<(), TaskError> {
        if !self.rejects.allowed(&bad).await? {
            self.over_budget = true;
            return Ok(());
        }
        if let Some((topic, letter)) = self.rejects.judge(failed, bad)? {
            self.transaction.send_letter(topic, &letter).await?;
            self.open.letters += 1;
        }
        Ok(())
    }

    /// The commit point of everything that was sent.
    async fn commit(&mut self, poller: &mut Poller) -> Result<(), TaskError> {
        let (metrics, clock) = (&self.task.metrics, &self.task.services.options.clock);
        let records = self.open.records as u64;
        metrics.active.set(i64::try_from(records).unwrap_or(i64::MAX));
        if let Some(marks) = self.marks.as_mut().filter(|_| records > 0) {
            marks.write(self.open.records, &mut self.transaction).await?;
        }
        let began = clock.monotonic();
        self.transaction.send_share(&self.task).await?;
        if let Err(error) = poller.beside(self.transaction.commit(&self.pending)).await {
            metrics.commit_failures.add(1);
            return Err(error);
        }
        metrics.commit_time.time(clock.monotonic().saturating_sub(began));
        metrics.transactions.add(1);
        metrics.transaction_size.add(records);
        metrics.written.add(records);
        metrics.committed.add(records);
        self.task.limit.arrive();
        metrics.bytes.add(self.open.bytes as u64);
        metrics.active.set(0);
        self.since = clock.monotonic();
        self.open = Open { inside: self.open.inside, ..Open::default() };
        self.of_topics.clear();
        poller.committed(self.pending.take());
        Ok(())
    }

    /// The upstream transaction was rolled back. What is open holds nothing else, see [`before`].
    async fn roll_back(&mut self) -> Result<(), TaskError> {
        if !self.open.inside {
            return Ok(());
        }
        if !self.transaction.can_abort() && self.open.records > 0 {
            tracing::warn!(task = %self.task.spec.id, records = self.open.records, "records of a rolled back upstream transaction were written already: this task is at-least-once");
            return Ok(());
        }
        self.transaction.abort().await?;
        self.task.budget.share.roll_back();
        if let Some(marks) = &mut self.marks {
            marks.rolled_back();
        }
        self.task.limit.arrive();
        self.pending.take();
        self.open = Open::default();
        self.of_topics.clear();
        Ok(())
    }

    /// A soft stop.
    async fn finish(&mut self, poller: &mut Poller) -> Result<(), TaskError> {
        if self.open.inside && self.transaction.can_abort() {
            return self.transaction.abort().await;
        }
        if self.open == Open::default() { Ok(()) } else { self.commit(poller).await }
    }

    async fn report_end(&mut self, poller: &mut Poller) -> Result<(), TaskError> {
        if self.open != Open::default() {
            return Ok(());
        }
        if std::mem::take(&mut self.end_of_run)
            && let Some(marks) = &mut self.marks
        {
            failpoint!("source.batch.end.before");
            poller.beside(marks.end(&mut self.transaction)).await?;
            failpoint!("source.batch.end.after");
        }
        if std::mem::take(&mut self.end_of_data) {
            self.task.happened(Happening::EndOfData);
        }
        Ok(())
    }
}

/// Counts a record that is about to be sent.
fn halfway(sent: &mut usize, half: usize) {
    if *sent == half {
        failpoint!("source.send.some");
    }
    *sent += 1;
}
