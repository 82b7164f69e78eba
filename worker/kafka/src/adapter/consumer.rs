//! The group consumer.
//!
//! Two queues: what happens to the member (rebalances, errors) is taken by the client's thread at all times, so that the
//! member stays alive however long its owner is busy; records stay in librdkafka's own bounded queue until `next` takes
//! them on the owner's task. Rebalances are only forwarded: they end when the owner calls `start_at` or `confirm_revoked`.
use super::batch::Gathering;
use super::client::{Alive, Client, Complaint, Happenings};
use super::errors;
use super::producer::call;
use super::settings::Settings;
use crate::native::{Code, Event, EventKind, Handle, Kind, Message, Partition, Partitions, Queue, Refusal};
use crate::ports::{Consumed, Consumer, GroupMetadata, InRecord, KafkaError, Subscription};
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long leaving the group may take before the client is destroyed all the same.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Errors that nobody has taken yet; later ones say the same again.
const ERRORS_MAX: usize = 16;

/// What the thread hands to the owner.
enum Happening {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
    Failed(KafkaError),
}

struct Member {
    happenings: Mutex<VecDeque<Happening>>,
    ready: Arc<Notify>,
    complaint: Complaint,
    group: String,
}

impl Member {
    fn push(&self, happening: Happening) {
        let mut happenings = self.happenings.lock();
        if matches!(happening, Happening::Failed(_)) && happenings.len() >= ERRORS_MAX {
            return;
        }
        happenings.push_back(happening);
        drop(happenings);
        self.ready.notify_one();
    }

    fn on_rebalance(&self, client: &Arc<Handle>, event: &Event<'_>) {
        let partitions: Vec<_> = event.partitions().into_iter().map(|row| row.at).collect();
        let is_assignment = event.code() == Code::AssignPartitions;
        let is_lost = !is_assignment && client.is_assignment_lost();
        // Nothing to wait for: nothing is given, or it is gone already.
        if partitions.is_empty() || is_lost {
            answer(client, is_assignment, &partitions);
        }
        match (is_assignment, is_lost) {
            _ if partitions.is_empty() => {}
            (true, _) => self.push(Happening::Assigned(partitions)),
            (false, false) => self.push(Happening::Revoked(partitions)),
            (false, true) => self.push(Happening::Lost(partitions)),
        }
    }

    fn cannot_consume(&self, refusal: &Refusal) -> KafkaError {
        errors::refused_plainly(&format!("cannot consume as a member of consumer group `{}`", self.group), refusal)
    }

    fn on_error(&self, client: &Arc<Handle>, refusal: &Refusal) {
        self.complaint.note(refusal);
        if refusal.fatal || refusal.code == Code::Fatal {
            let refusal = client.fatal().unwrap_or_else(|| refusal.clone());
            self.push(Happening::Failed(errors::refused("the consumer cannot go on", &refusal)));
        } else if matches!(refusal.code, Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) {
            // A sink may be started before its source has created the topic: the subscription waits for it.
            tracing::warn!("a subscribed topic does not exist yet, and is waited for: {}", refusal.text);
        } else if let error @ KafkaError::Config(_) = self.cannot_consume(refusal) {
            self.push(Happening::Failed(error));
        }
    }
}

/// Ends a rebalance on the spot.
fn answer(client: &Arc<Handle>, is_assignment: bool, partitions: &[TopicPartition]) {
    let list = Partitions::of(partitions.iter().map(|at| (at, Partitions::COMMITTED)));
    let done = list.and_then(|list| if is_assignment { client.assign(&list) } else { client.unassign(&list) });
    if let Err(refusal) = done {
        tracing::warn!("a rebalance could not be ended: {}", refusal.text);
    }
}

impl Happenings for Member {
    fn on_event(&self, client: &Arc<Handle>, event: Event<'_>) {
        match event.kind() {
            EventKind::Rebalance => self.on_rebalance(client, &event),
            EventKind::Error => self.on_error(client, &event.refusal()),
            EventKind::Delivery | EventKind::Fetch | EventKind::Other => {}
        }
    }

    /// Leaves the group, so that others need not wait for the session's end.
    fn on_stop(&self, queue: &Queue) {
        let client = queue.client();
        let deadline = Instant::now() + CLOSE_LIMIT;
        if client.close(queue).is_err() {
            return;
        }
        while !client.is_closed() && Instant::now() < deadline {
            let Some(event) = queue.poll(Duration::from_millis(100)) else { continue };
            if event.kind() == EventKind::Rebalance {
                let partitions: Vec<_> = event.partitions().into_iter().map(|row| row.at).collect();
                answer(client, event.code() == Code::AssignPartitions, &partitions);
            }
        }
    }
}

/// A member of a group.
pub(crate) struct RdConsumer {
    /// Before the client: given back first.
    records: Queue,
    client: Client,
    member: Arc<Member>,
    group: String,
    batch_records: usize,
    limit: Duration,
    /// Given, not started yet.
    given: BTreeSet<TopicPartition>,
    /// Asked back, not confirmed yet, oldest first.
    asked_back: VecDeque<Vec<TopicPartition>>,
    /// Being read.
    active: BTreeSet<TopicPartition>,
    paused: BTreeSet<TopicPartition>,
    /// Taken from the library, not handed out yet: one batch, and more only while partitions are paused.
    taken: VecDeque<(TopicPartition, Vec<InRecord>)>,
    /// Bytes of the last batch.
    expected: usize,
}

impl RdConsumer {
    pub(crate) fn start(
        group: &str,
        subscription: &Subscription,
        settings: &Settings,
        alive: &Arc<Alive>,
    ) -> Result<Self, KafkaError> {
        let no_queue = || KafkaError::Fatal("a Kafka client has no queue".to_owned());
        let handle = settings.start(Kind::Consumer, EventKind::CONSUMER)?;
        let events = handle.group_queue().ok_or_else(no_queue)?;
        let mut records = handle.fresh_queue().ok_or_else(no_queue)?;
        let ready = Arc::new(Notify::new());
        records.notify(&ready);
        let (happenings, complaint) = (Mutex::default(), Complaint::default());
        let member = Arc::new(Member { happenings, ready, complaint, group: group.to_owned() });
        let consumer = Self {
            records,
            client: Client::run(events, Arc::clone(&member) as _, alive)?,
            member,
            group: group.to_owned(),
            batch_records: settings.batch_records,
            limit: settings.call_limit,
            given: BTreeSet::new(),
            asked_back: VecDeque::new(),
            active: BTreeSet::new(),
            paused: BTreeSet::new(),
            taken: VecDeque::new(),
            expected: 0,
        };
        consumer.subscribe(subscription)?;
        Ok(consumer)
    }

    fn subscribe(&self, subscription: &Subscription) -> Result<(), KafkaError> {
        let list = match subscription {
            Subscription::Topics(topics) => Partitions::names(topics.iter().map(String::as_str)),
            // A leading ^ makes it a pattern; Connect's patterns match whole names.
            Subscription::Pattern(pattern) => Partitions::names([format!("^({pattern})$").as_str()]),
        };
        list.and_then(|list| self.client.handle().subscribe(&list))
            .map_err(|refusal| errors::refused_plainly("cannot subscribe", &refusal))
    }

    fn handle(&self) -> &Arc<Handle> {
        self.client.handle()
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} of consumer group `{}`", self.group)
    }

    /// The next thing that happened to the member, noted here first.
    fn happened(&mut self) -> Option<Result<Consumed, KafkaError>> {
        let happening = self.member.happenings.lock().pop_front()?;
        Some(Ok(match happening {
            Happening::Assigned(partitions) => {
                self.given.extend(partitions.iter().cloned());
                Consumed::Assigned(partitions)
            }
            Happening::Revoked(partitions) => {
                self.stop_reading(&partitions);
                self.asked_back.push_back(partitions.clone());
                Consumed::Revoked(partitions)
            }
            Happening::Lost(partitions) => {
                self.stop_reading(&partitions);
                self.asked_back.clear();
                Consumed::Lost(partitions)
            }
            Happening::Failed(error) => return Some(Err(error)),
        }))
    }

    /// From here on no record of these partitions is handed out; those not handed out yet belong to the next owner.
    fn stop_reading(&mut self, partitions: &[TopicPartition]) {
        for at in partitions {
            self.active.remove(at);
            self.given.remove(at);
            self.paused.remove(at);
        }
        self.taken.retain(|(at, _)| self.active.contains(at));
    }

    fn handed_out(&mut self) -> Option<Consumed> {
        let index = self.taken.iter().position(|(at, _)| !self.paused.contains(at))?;
        let (at, records) = self.taken.remove(index)?;
        Some(Consumed::Records(at, records))
    }

    /// Takes records from the library's queue until a batch is complete or the queue is empty.
    fn take(&mut self) -> Result<(), KafkaError> {
        let mut gathering: Option<Gathering> = None;
        while let Some(mut event) = self.records.poll(Duration::ZERO) {
            if event.kind() == EventKind::Error {
                let refusal = event.refusal();
                finish(gathering.take(), &mut self.taken);
                self.member.on_error(self.client.handle(), &refusal);
                continue;
            }
            let Some(message) = event.next_message() else { continue };
            if message.code() != Code::NoError {
                self.member.on_error(self.client.handle(), &Refusal::of(message.code()));
                continue;
            }
            if gathering.as_ref().is_none_or(|gathering| !gathering.is_of(message)) {
                let complete = gathering.take();
                let is_complete = complete.is_some();
                finish(complete, &mut self.taken);
                gathering = self.begin(message);
                if let (true, Some(gathering)) = (is_complete, gathering.as_mut()) {
                    gathering.push(message);
                    break;
                }
            }
            let Some(current) = gathering.as_mut() else { continue };
            current.push(message);
            if current.is_full(self.batch_records) {
                break;
            }
        }
        self.expected = gathering.as_ref().map_or(0, Gathering::bytes);
        finish(gathering, &mut self.taken);
        Ok(())
    }

    /// A batch for the partition of this record, if it is being read here.
    fn begin(&self, message: Message<'_>) -> Option<Gathering> {
        let at = TopicPartition { topic: message.topic().into(), partition: message.partition() };
        self.active.get(&at).cloned().map(|at| Gathering::new(at, self.expected))
    }

    fn list(&self, what: &str, rows: &BTreeMap<TopicPartition, i64>) -> Result<Partitions, KafkaError> {
        Partitions::of(rows.iter().map(|(at, offset)| (at, *offset)))
            .map_err(|refusal| errors::refused_plainly(&self.doing(what), &refusal))
    }

    /// Ends the rebalance that gave `rows`.
    fn assign(&mut self, rows: &BTreeMap<TopicPartition, i64>) -> Result<(), KafkaError> {
        let what = "cannot start partitions";
        let list = self.list(what, rows)?;
        let handle = self.client.handle();
        rows.keys()
            .try_for_each(|at| handle.forward(at, &self.records))
            .and_then(|()| handle.assign(&list))
            .map_err(|refusal| errors::refused_plainly(&self.doing(what), &refusal))?;
        self.active.extend(rows.keys().cloned());
        self.given.clear();
        Ok(())
    }

    /// Moves partitions that are being read already.
    async fn seek(&mut self, rows: BTreeMap<TopicPartition, i64>) -> Result<(), KafkaError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.taken.retain(|(at, _)| !rows.contains_key(at));
        let what = "cannot move the position";
        let list = self.list(what, &rows)?;
        let limit = self.limit;
        call(self.handle(), move |handle| handle.seek(&list, limit))
            .await?
            .map_err(|refusal| errors::refused_plainly(&self.doing(what), &refusal))
    }

    /// Where a partition without a given offset starts when it is moved: at the committed offset, else at the beginning.
    async fn committed_or_beginning(&self, at: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, i64>, KafkaError> {
        let committed = self.stable_offsets(at, self.limit).await?;
        Ok(committed.into_iter().map(|(at, offset)| (at, offset.map_or(Partitions::BEGINNING, |o| o.0))).collect())
    }

    async fn on_rows(
        &self,
        what: &str,
        rows: &BTreeMap<TopicPartition, i64>,
        run: impl FnOnce(&Handle, &Partitions) -> Result<(), Refusal> + Send + 'static,
    ) -> Result<(), KafkaError> {
        let list = self.list(what, rows)?;
        call(self.handle(), move |handle| run(handle, &list))
            .await?
            .map_err(|refusal| errors::refused_plainly(&self.doing(what), &refusal))
    }
}

fn finish(gathering: Option<Gathering>, taken: &mut VecDeque<(TopicPartition, Vec<InRecord>)>) {
    if let Some((at, records)) = gathering.map(Gathering::finish).filter(|(_, records)| !records.is_empty()) {
        taken.push_back((at, records));
    }
}

fn bare(partitions: &[TopicPartition]) -> BTreeMap<TopicPartition, i64> {
    partitions.iter().map(|at| (at.clone(), Partitions::COMMITTED)).collect()
}

#[async_trait]
impl Consumer for RdConsumer {
    async fn next(&mut self) -> Result<Consumed, KafkaError> {
        loop {
            if let Some(happened) = self.happened() {
                return happened;
            }
            if let Some(records) = self.handed_out() {
                return Ok(records);
            }
            self.take()?;
            if self.taken.iter().all(|(at, _)| self.paused.contains(at)) && self.member.happenings.lock().is_empty() {
                // Both queues wake this; one that did so between the checks and here has left a permit.
                self.member.ready.notified().await;
            }
        }
    }

    async fn start_at(&mut self, at: &BTreeMap<TopicPartition, Option<Offset>>) -> Result<(), KafkaError> {
        let raw = |offset: Option<&Option<Offset>>| offset.copied().flatten().map_or(Partitions::COMMITTED, |o| o.0);
        let given: BTreeMap<_, _> = self.given.iter().map(|tp| (tp.clone(), raw(at.get(tp)))).collect();
        let moved: Vec<_> = at.iter().filter(|(tp, _)| self.active.contains(*tp)).collect();
        let mut seek: BTreeMap<_, _> =
            moved.iter().filter_map(|(tp, offset)| Some(((*tp).clone(), offset.as_ref()?.0))).collect();
        let unknown: Vec<_> =
            moved.iter().filter(|(_, offset)| offset.is_none()).map(|(tp, _)| (*tp).clone()).collect();
        if !unknown.is_empty() {
            seek.extend(self.committed_or_beginning(&unknown).await?);
        }
        if !given.is_empty() {
            self.assign(&given)?;
        }
        self.seek(seek).await
    }

    async fn confirm_revoked(&mut self) -> Result<(), KafkaError> {
        let Some(partitions) = self.asked_back.pop_front() else { return Ok(()) };
        let what = "cannot give partitions up";
        let list = self.list(what, &bare(&partitions))?;
        self.handle().unassign(&list).map_err(|refusal| errors::refused_plainly(&self.doing(what), &refusal))
    }

    async fn stable_offsets(
        &self,
        of: &[TopicPartition],
        max: Duration,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>, KafkaError> {
        if of.is_empty() {
            return Ok(BTreeMap::new());
        }
        let what = "cannot read committed offsets";
        let list = self.list(what, &bare(of))?;
        let answer = call(self.handle(), move |handle| handle.committed(&list, max).map(|()| list.rows())).await?;
        let rows = answer.map_err(|refusal| self.member.complaint.explain(&self.doing(what), &refusal))?;
        Ok(rows.into_iter().map(|row: Partition| (row.at.clone(), row.position().map(Offset))).collect())
    }

    async fn commit(&mut self, offsets: &ConsumedOffsets) -> Result<(), KafkaError> {
        let rows: BTreeMap<_, _> = offsets.0.iter().map(|(at, offset)| (at.clone(), offset.0)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.on_rows("cannot commit offsets", &rows, |handle, list| handle.commit(list)).await
    }

    fn group_metadata(&self) -> GroupMetadata {
        GroupMetadata(self.handle().group_metadata().map(Bytes::from).unwrap_or_default())
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), KafkaError> {
        let what = "cannot pause partitions";
        let list = self.list(what, &bare(partitions))?;
        self.handle().pause(&list).map_err(|refusal| errors::refused_plainly(&self.doing(what), &refusal))?;
        self.paused.extend(partitions.iter().cloned());
        Ok(())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), KafkaError> {
        let what = "cannot resume partitions";
        let list = self.list(what, &bare(partitions))?;
        self.handle().resume(&list).map_err(|refusal| errors::refused_plainly(&self.doing(what), &refusal))?;
        for at in partitions {
            self.paused.remove(at);
        }
        Ok(())
    }
}
