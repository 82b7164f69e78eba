//! Topics, transactions and groups of the fake.
use bytes::Bytes;
use elasticflow_api::position::{Offset, TopicPartition};
use elasticflow_kafka::ports::InRecord;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::Notify;

/// The fake cluster. Clones are the same cluster.
#[derive(Clone, Default)]
pub(crate) struct FakeKafka {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

/// What the next commits do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commits {
    /// Apply, then lose the answer.
    ApplyAndLoseTheAnswer,
    /// Lose the request: not applied, no answer, the transaction stays open.
    LoseTheRequest,
    /// Refuse before the end is asked for.
    Refuse,
}

#[derive(Default)]
pub(crate) struct State {
    pub(super) topics: BTreeMap<String, Vec<Vec<Entry>>>,
    /// First offsets that are there, where that is not the first of all.
    pub(super) begins: BTreeMap<TopicPartition, usize>,
    pub(super) epochs: HashMap<String, u64>,
    pub(super) transactions: Vec<Transaction>,
    pub(super) offsets: HashMap<String, BTreeMap<TopicPartition, Offset>>,
    pub(super) groups: HashMap<String, Group>,
    pub(super) faults: Vec<Commits>,
    /// So many offers of offsets to a transaction are refused, as of a generation that is over.
    pub(super) stale: u32,
    pub(super) members: u64,
    /// Records that the producer refuses as too large.
    pub(super) value_max: Option<usize>,
    /// Transactions as they ended, with their records, control records left out.
    pub(super) committed: u64,
}

pub(super) struct Entry {
    pub(super) record: Option<InRecord>,
    pub(super) transaction: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Open,
    Committed,
    Aborted,
}

pub(super) struct Transaction {
    pub(super) id: String,
    pub(super) status: Status,
    pub(super) partitions: BTreeSet<TopicPartition>,
    pub(super) offsets: Vec<(String, BTreeMap<TopicPartition, Offset>)>,
}

#[derive(Default)]
pub(super) struct Group {
    pub(super) members: BTreeMap<u64, Member>,
}

#[derive(Default)]
pub(super) struct Member {
    pub(super) topics: Vec<String>,
    pub(super) target: BTreeSet<TopicPartition>,
    pub(super) owned: BTreeSet<TopicPartition>,
    pub(super) lost: BTreeSet<TopicPartition>,
}

impl FakeKafka {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Changes the state and wakes whoever waits for it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let answer = change(&mut self.state.lock());
        self.changed.notify_waiters();
        answer
    }

    /// Waits until a look at the state answers.
    pub(super) async fn wait<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            let answer = look(&mut self.state.lock());
            if let Some(answer) = answer {
                return answer;
            }
            changed.await;
        }
    }

    pub(crate) fn create(&self, topic: &str, partitions: usize) {
        self.change(|s| s.create(topic, partitions));
    }

    pub(crate) fn delete(&self, topic: &str) {
        self.change(|s| s.topics.remove(topic));
    }

    /// Deletes the first records of a partition, up to an offset.
    pub(crate) fn delete_records(&self, topic: &str, partition: i32, before: usize) {
        let at = TopicPartition { topic: topic.into(), partition };
        self.change(|s| s.begins.insert(at, before));
    }

    pub(crate) fn forget_group(&self, group: &str) {
        self.change(|s| s.offsets.remove(group));
    }

    /// The next commit does this.
    pub(crate) fn fault(&self, fault: Commits) {
        self.lock().faults.push(fault);
    }

    /// The next offers of offsets to a transaction come between two generations of the group.
    pub(crate) fn refuse_offsets(&self, times: u32) {
        self.lock().stale = times;
    }

    pub(crate) fn refuse_values_above(&self, bytes: usize) {
        self.lock().value_max = Some(bytes);
    }

    /// How many members have ever joined a group.
    pub(crate) fn members_ever(&self) -> u64 {
        self.lock().members
    }

    /// How many transactions were committed.
    pub(crate) fn commits(&self) -> u64 {
        self.lock().committed
    }

    /// The values of a topic as a read_committed reader sees them, partition by partition.
    pub(crate) fn values(&self, topic: &str) -> Vec<String> {
        self.records(topic).iter().map(|r| text(r.value.as_ref())).collect()
    }

    pub(crate) fn records(&self, topic: &str) -> Vec<InRecord> {
        let state = self.lock();
        let partitions = state.topics.get(topic).map(Vec::as_slice).unwrap_or_default();
        partitions.iter().flat_map(|p| state.visible(p, 0).into_iter().map(|(_, r)| r)).collect()
    }

    /// The last value of each key.
    pub(crate) fn table(&self, topic: &str) -> BTreeMap<String, String> {
        let records = self.records(topic);
        let mut rows = BTreeMap::new();
        for r in records {
            match r.value {
                Some(_) => rows.insert(text(r.key.as_ref()), text(r.value.as_ref())),
                None => rows.remove(&text(r.key.as_ref())),
            };
        }
        rows
    }

    /// Appends committed records.
    pub(crate) fn write(&self, topic: &str, records: &[(&str, &str)]) {
        self.change(|s| {
            for (key, value) in records {
                let record = InRecord {
                    offset: Offset(0),
                    timestamp_ms: Some(1_700_000_000_000),
                    key: Some(Bytes::copy_from_slice(key.as_bytes())),
                    value: Some(Bytes::copy_from_slice(value.as_bytes())),
                    headers: elasticflow_api::data::RawHeaders::default(),
                };
                s.append(topic, None, record, None);
            }
        });
    }

    pub(crate) fn group_offset(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let at = TopicPartition { topic: topic.into(), partition };
        self.lock().offsets.get(group).and_then(|o| o.get(&at)).map(|o| o.0)
    }

    /// An older or foreign owner of a transactional id takes over: everybody else of that id is fenced.
    pub(crate) fn take_over(&self, id: &str) {
        self.change(|s| s.init(id));
    }

    /// The session of every member of a group expires.
    pub(crate) fn expire(&self, group: &str) {
        self.change(|s| {
            let group = s.groups.entry(group.to_owned()).or_default();
            for member in group.members.values_mut() {
                member.lost.append(&mut member.owned);
            }
        });
    }
}

fn text(bytes: Option<&Bytes>) -> String {
    bytes.map_or_else(|| "null".to_owned(), |b| String::from_utf8_lossy(b).into_owned())
}

impl State {
    pub(super) fn create(&mut self, topic: &str, partitions: usize) {
        let logs = self.topics.entry(topic.to_owned()).or_default();
        // A topic that is there already gets the partitions that it lacks.
        logs.resize_with(partitions.max(logs.len()), Vec::new);
        let groups: Vec<String> = self.groups.keys().cloned().collect();
        groups.iter().for_each(|g| self.balance(g));
    }

    pub(super) fn append(&mut self, topic: &str, partition: Option<i32>, mut record: InRecord, tx: Option<usize>) {
        self.create(topic, 1);
        let logs = self.topics.get_mut(topic).unwrap();
        let hash = record.key.iter().flatten().fold(7usize, |h, b| h.wrapping_mul(31).wrapping_add(usize::from(*b)));
        let at = partition.map_or(hash % logs.len(), |p| usize::try_from(p).unwrap());
        record.offset = Offset(i64::try_from(logs[at].len()).unwrap());
        logs[at].push(Entry { record: Some(record), transaction: tx });
        if let Some(tx) = tx {
            let partition = TopicPartition { topic: topic.into(), partition: i32::try_from(at).unwrap() };
            self.transactions[tx].partitions.insert(partition);
        }
    }

    /// First entry of an open transaction, or the end.
    pub(super) fn stable_end(&self, log: &[Entry]) -> usize {
        let open = |e: &Entry| e.transaction.is_some_and(|t| self.transactions[t].status == Status::Open);
        log.iter().position(open).unwrap_or(log.len())
    }

    /// Committed records from an offset, each with the offset after it.
    pub(super) fn visible(&self, log: &[Entry], from: usize) -> Vec<(usize, InRecord)> {
        let end = self.stable_end(log);
        let seen = log[from.min(end)..end]
            .iter()
            .enumerate()
            .filter(|(_, e)| e.transaction.is_none_or(|t| self.transactions[t].status == Status::Committed));
        seen.filter_map(|(i, e)| Some((from + i + 1, e.record.clone()?))).collect()
    }

    pub(super) fn log(&self, at: &TopicPartition) -> &[Entry] {
        let partition = usize::try_from(at.partition).unwrap();
        self.topics.get(at.topic.as_ref()).and_then(|t| t.get(partition)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Raises the epoch and ends what is open.
    pub(super) fn init(&mut self, id: &str) -> u64 {
        for tx in 0..self.transactions.len() {
            if self.transactions[tx].id == id && self.transactions[tx].status == Status::Open {
                self.end(tx, Status::Aborted);
            }
        }
        let epoch = self.epochs.entry(id.to_owned()).or_default();
        *epoch += 1;
        *epoch
    }

    pub(super) fn end(&mut self, tx: usize, status: Status) {
        self.transactions[tx].status = status;
        for at in self.transactions[tx].partitions.clone() {
            let partition = usize::try_from(at.partition).unwrap();
            let log = &mut self.topics.get_mut(at.topic.as_ref()).unwrap()[partition];
            log.push(Entry { record: None, transaction: None });
        }
        if status == Status::Committed {
            self.committed += 1;
            for (group, offsets) in std::mem::take(&mut self.transactions[tx].offsets) {
                self.offsets.entry(group).or_default().extend(offsets);
            }
        }
    }

    /// Spreads the partitions of a group's topics over its members.
    pub(super) fn balance(&mut self, group: &str) {
        let Some(of) = self.groups.get_mut(group) else { return };
        let topics: BTreeSet<&String> = of.members.values().flat_map(|m| &m.topics).collect();
        let all = topics.iter().filter_map(|t| self.topics.get_key_value(*t));
        let all: Vec<TopicPartition> = all
            .flat_map(|(t, logs)| {
                (0..logs.len()).map(|p| TopicPartition { topic: t.as_str().into(), partition: p as i32 })
            })
            .collect();
        let count = of.members.len().max(1);
        for (n, member) in of.members.values_mut().enumerate() {
            member.target = all.iter().enumerate().filter(|(i, _)| i % count == n).map(|(_, tp)| tp.clone()).collect();
        }
    }
}
