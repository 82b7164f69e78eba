//! What a unit's file says: what came of each partition and generator task since the unit before.
use super::numbers::Numbers;
use elasticflow_api::position::{CommitEpoch, OwnerEpoch, TaskIndex, TopicPartition, UnitId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The one format that is written and read.
const FORMAT: u32 = 1;
/// Times are counted by powers of two of a millisecond.
const TIMES: usize = 40;

/// A partition, and a task of the generator.
pub(crate) type Stream = (TopicPartition, u32);

/// What came of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) seen: Numbers,
    pub(crate) records: u64,
    pub(crate) duplicates: u64,
    pub(crate) corrupt: u64,
    pub(crate) order: u64,
    /// Records by how long they were on their way.
    pub(crate) times: Vec<u64>,
}

impl Entry {
    /// Adds what came later. What is in both came twice.
    pub(crate) fn add(&mut self, later: &Self) {
        self.duplicates += later.duplicates + self.seen.add(&later.seen);
        self.records += later.records;
        self.corrupt += later.corrupt;
        self.order += later.order;
        self.times.resize(self.times.len().max(later.times.len()), 0);
        for (own, more) in self.times.iter_mut().zip(&later.times) {
            *own += more;
        }
    }

    /// Counts how long a record was on its way.
    pub(crate) fn took(&mut self, ms: i64) {
        let at = usize::try_from(u64::BITS - ms.max(0).cast_unsigned().leading_zeros()).unwrap_or(0).min(TIMES - 1);
        self.times.resize(self.times.len().max(at + 1), 0);
        if let Some(count) = self.times.get_mut(at) {
            *count += 1;
        }
    }
}

/// Entries by stream.
pub(crate) type Entries = BTreeMap<Stream, Entry>;

/// A unit's file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Page {
    v: u32,
    connector: String,
    task: u32,
    owner: u64,
    commit: u64,
    entries: Vec<Line>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    topic: String,
    partition: i32,
    /// Of the generator.
    task: u32,
    entry: Entry,
}

impl Page {
    pub(crate) fn new(unit: &UnitId, entries: &Entries) -> Self {
        let line = |((at, task), entry): (&Stream, &Entry)| Line {
            topic: at.topic.to_string(),
            partition: at.partition,
            task: *task,
            entry: entry.clone(),
        };
        Self {
            v: FORMAT,
            connector: unit.connector.to_string(),
            task: unit.task.0,
            owner: unit.owner.0,
            commit: unit.commit.0,
            entries: entries.iter().map(line).collect(),
        }
    }

    /// From what is stored; `None` for what is not understood.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|page: &Self| page.v == FORMAT)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        // Texts and numbers: it can always be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn unit(&self) -> UnitId {
        UnitId {
            connector: self.connector.as_str().into(),
            task: TaskIndex(self.task),
            owner: OwnerEpoch(self.owner),
            commit: CommitEpoch(self.commit),
        }
    }

    /// Adds its entries, those of wanted partitions alone.
    pub(crate) fn add_to(self, all: &mut Entries, wanted: impl Fn(&TopicPartition) -> bool) {
        for Line { topic, partition, task, entry } in self.entries {
            let at = TopicPartition { topic: topic.into(), partition };
            if wanted(&at) {
                all.entry((at, task)).or_default().add(&entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_it_was_written_and_junk_is_none() {
        let unit = UnitId { connector: "g/c".into(), task: TaskIndex(2), owner: OwnerEpoch(3), commit: CommitEpoch(4) };
        let mut entry = Entry { records: 3, duplicates: 1, ..Entry::default() };
        for n in [1, 5000] {
            entry.seen.insert(n);
        }
        entry.took(17);
        let at = TopicPartition { topic: "t".into(), partition: 1 };
        let entries = Entries::from([((at.clone(), 0), entry)]);
        let page = Page::read(&Page::new(&unit, &entries).bytes()).unwrap();
        assert_eq!(page.unit(), unit);
        let mut all = Entries::new();
        page.clone().add_to(&mut all, |other| *other == at);
        assert_eq!(all, entries);
        let mut none = Entries::new();
        page.add_to(&mut none, |_| false);
        assert!(none.is_empty());
        for junk in ["", "{", "[]", r#"{"v":2,"connector":"c","task":0,"owner":1,"commit":1,"entries":[]}"#] {
            assert!(Page::read(junk.as_bytes()).is_none(), "{junk}");
        }
    }
}
