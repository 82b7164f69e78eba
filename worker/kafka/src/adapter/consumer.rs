//! The group consumer.
//!
//! Two queues: what happens to the member (rebalances, errors) is taken by the client's thread at all times, so that the
//! member stays alive however long its owner is busy; records stay in librdkafka's own bounded queue until `next` takes
//! them on the owner's task. Rebalances are only forwarded: they end when the owner calls `start_at` or `confirm_revoked`.
use super::batch::Gathering;
use super::client::{Alive, Client, Complaint};
use super::commit;
use super::errors;
use super::lanes::Lanes;
use super::member::{Happening, Member};
use super::producer::call;
use super::settings::Settings;
use crate::native::{Code, EventKind, Fetched, Handle, Kind, Message, Partition, Partitions};
use crate::ports::{Consumed, Consumer, GroupMetadata, InRecord, KafkaError, Subscription};
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Most records that are taken from the library in one go, and about how many bytes they may have.
const AT_ONCE: usize = 100;
const AT_ONCE_BYTES: usize = 128 * 1024;

/// A member of a group.
pub(crate) struct RdConsumer {
    /// Before the client: given back first.
    pub(super) lanes: Lanes,
    pub(super) client: Client,
    member: Arc<Member>,
    pub(super) group: String,
    batch_records: usize,
    /// Most records of the next batch, below that.
    most: usize,
    pub(super) limit: Duration,
    /// Where partitions begin for which the group has no offset; `None` is nowhere.
    pub(super) begin: Option<i64>,
    /// Given, not started yet.
    pub(super) given: BTreeSet<TopicPartition>,
    /// Asked back, not confirmed yet, oldest first.
    asked_back: VecDeque<Vec<TopicPartition>>,
    /// Losses that were told.
    losses: u64,
    /// Being read.
    pub(super) active: BTreeSet<TopicPartition>,
    paused: BTreeSet<TopicPartition>,
    /// Taken from the library, not handed out yet: one batch, and more only while partitions are paused.
    pub(super) taken: VecDeque<(TopicPartition, Vec<InRecord>)>,
    /// Offsets behind what was handed out, or where a partition was started.
    pub(super) next: BTreeMap<TopicPartition, i64>,
    /// Whose next record is not there: told after what was taken before.
    pub(super) gone: VecDeque<(TopicPartition, Offset)>,
    /// Bytes of the last batch.
    expected: usize,
    fetched: Fetched,
    with_headers: bool,
    /// Records that are taken from the library in one go.
    at_once: usize,
}

impl RdConsumer {
    pub(crate) fn start(
        group: &str,
        subscription: &Subscription,
        (settings, begin): (&Settings, Option<i64>),
        alive: &Arc<Alive>,
    ) -> Result<Self, KafkaError> {
        let no_queue = || KafkaError::Fatal("a Kafka client has no queue".to_owned());
        let handle = settings.start(Kind::Consumer, EventKind::CONSUMER)?;
        let events = handle.group_queue().ok_or_else(no_queue)?;
        let ready = Arc::new(Notify::new());
        let (happenings, complaint) = (Mutex::default(), Complaint::default());
        let lanes = Lanes::new(&ready);
        let losses = AtomicU64::new(0);
        let member = Arc::new(Member { happenings, losses, ready, complaint, group: group.to_owned() });
        let consumer = Self {
            lanes,
            client: Client::run(events, Arc::clone(&member) as _, alive)?,
            member,
            group: group.to_owned(),
            batch_records: settings.batch_records,
            most: usize::MAX,
            limit: settings.call_limit,
            begin,
            given: BTreeSet::new(),
            asked_back: VecDeque::new(),
            losses: 0,
            active: BTreeSet::new(),
            paused: BTreeSet::new(),
            taken: VecDeque::new(),
            next: BTreeMap::new(),
            gone: VecDeque::new(),
            expected: 0,
            fetched: Fetched::new(AT_ONCE),
            with_headers: true,
            at_once: 1,
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

    pub(super) fn handle(&self) -> &Arc<Handle> {
        self.client.handle()
    }

    pub(super) fn doing(&self, what: &str) -> String {
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
                self.losses += 1;
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
            self.next.remove(at);
        }
        self.taken.retain(|(at, _)| self.active.contains(at));
        self.gone.retain(|(at, _)| self.active.contains(at));
    }

    fn handed_out(&mut self) -> Option<Consumed> {
        let free = self.taken.iter().enumerate().filter(|(_, (at, _))| !self.paused.contains(at));
        let (index, _) = free.rev().max_by_key(|(_, (at, _))| self.lanes.rank(&at.topic))?;
        let (at, records) = self.taken.remove(index)?;
        if let Some(last) = records.last() {
            self.next.insert(at.clone(), last.offset.0 + 1);
        }
        Some(Consumed::Records(at, records))
    }

    /// The first of those whose records before it are handed out.
    fn first_gone(&self) -> Option<usize> {
        self.gone.iter().position(|(at, _)| !self.taken.iter().any(|(taken, _)| taken == at))
    }

    fn gone(&mut self) -> Option<Consumed> {
        let (at, expected) = self.gone.remove(self.first_gone()?)?;
        Some(Consumed::Gone(at, expected))
    }

    /// Takes records from the library's queue until a batch is complete or the queue is empty.
    fn take(&mut self) -> Result<(), KafkaError> {
        let mut gathering: Option<Gathering> = None;
        let (mut bytes, mut records) = (0, 0);
        let mut fetched = std::mem::replace(&mut self.fetched, Fetched::new(0));
        let mut is_complete = false;
        while !is_complete && self.lanes.take(&mut fetched, self.at_once.min(self.most)) {
            for message in fetched.messages() {
                if message.code() != Code::NoError {
                    finish(gathering.take(), &mut self.taken);
                    self.gone.extend(self.member.on_refused(self.client.handle(), message));
                    continue;
                }
                if gathering.as_ref().is_none_or(|gathering| !gathering.is_of(message)) {
                    is_complete |= gathering.is_some();
                    finish(gathering.take(), &mut self.taken);
                    gathering = self.begin(message);
                }
                let Some(current) = gathering.as_mut() else { continue };
                current.push(message, self.with_headers);
                is_complete |= current.is_full(self.batch_records.min(self.most));
                (bytes, records) = (current.bytes(), current.records());
            }
        }
        fetched.give_back();
        self.fetched = fetched;
        self.expected = gathering.as_ref().map_or(0, Gathering::bytes);
        if let Some(mean) = bytes.checked_div(records) {
            // Large records are not taken far beyond the size of a batch.
            self.at_once = (AT_ONCE_BYTES / mean.max(1)).clamp(1, AT_ONCE);
        }
        finish(gathering, &mut self.taken);
        Ok(())
    }

    /// A batch for the partition of this record, if it is being read here.
    fn begin(&self, message: Message<'_>) -> Option<Gathering> {
        let at = TopicPartition { topic: message.topic().into(), partition: message.partition() };
        self.active.get(&at).cloned().map(|at| Gathering::new(at, self.expected))
    }

    pub(super) fn list(&self, what: &str, rows: &BTreeMap<TopicPartition, i64>) -> Result<Partitions, KafkaError> {
        Partitions::of(rows.iter().map(|(at, offset)| (at, *offset)))
            .map_err(|refusal| errors::refused_plainly(&self.doing(what), &refusal))
    }

    /// Whether partitions were lost and `next` has not said so yet.
    fn has_lost_untold(&self) -> bool {
        self.member.losses.load(Ordering::Acquire) != self.losses
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
            if let Some(next) = self.handed_out().or_else(|| self.gone()) {
                return Ok(next);
            }
            self.take()?;
            let is_paused = self.taken.iter().all(|(at, _)| self.paused.contains(at));
            if is_paused && self.first_gone().is_none() && self.member.happenings.lock().is_empty() {
                // Both queues wake this; one that did so between the checks and here has left a permit.
                self.member.ready.notified().await;
            }
        }
    }

    fn with_headers(&mut self, wanted: bool) {
        self.with_headers = wanted;
    }

    async fn prefer(&mut self, topics: &BTreeMap<String, u8>) -> Result<bool, KafkaError> {
        self.rank(topics).await
    }

    fn take_at_most(&mut self, records: usize) {
        self.most = records.max(1);
    }

    async fn start_at(&mut self, at: &BTreeMap<TopicPartition, Option<Offset>>) -> Result<(), KafkaError> {
        let raw = |offset: Option<&Option<Offset>>| offset.copied().flatten().map_or(Partitions::COMMITTED, |o| o.0);
        let mut given: BTreeMap<_, _> = self.given.iter().map(|tp| (tp.clone(), raw(at.get(tp)))).collect();
        self.begin_unread(&mut given).await?;
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
        let what = "cannot commit offsets";
        let committed = commit::while_held(self.handle(), &rows, self.limit, || !self.has_lost_untold()).await;
        committed.map_err(|refusal| errors::plain(self.member.complaint.explain(&self.doing(what), &refusal)))
    }

    fn group_metadata(&self) -> Option<GroupMetadata> {
        let metadata = self.handle().group_metadata().map(Bytes::from)?;
        // After it was read: a loss is counted before the member may join anew.
        (!self.has_lost_untold()).then_some(GroupMetadata(metadata))
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
