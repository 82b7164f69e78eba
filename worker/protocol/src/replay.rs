//! The replay topic of a sink connector: dead letters that are put again, and what became of them.
//!
//! One compacted topic a connector, read by that connector alone beside its own topics. The key is the id of the dead
//! letter. A record to put again carries everything that was read the first time; a later record of the same key says how
//! it ended, if it did not end well. So the state of a letter is a pure function of this topic and the group's offset in
//! it, and replaying is one write: there is nothing that could be done by half.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The one format that is written and read.
const FORMAT: u32 = 1;
/// Longest name that Kafka gives to a topic.
const NAME_MAX: usize = 249;

/// Name of the topic of a connector.
pub fn replay_topic(group: &str, connector: &str) -> String {
    let plain = format!("{group}-replay-{connector}");
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if plain.len() <= NAME_MAX && plain.chars().all(legal) {
        return plain;
    }
    // Different connectors keep different topics although not every name is one of a topic.
    let hash = plain.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let readable: String = plain.chars().map(|c| if legal(c) { c } else { '_' }).take(NAME_MAX - 17).collect();
    format!("{readable}-{hash:016x}")
}

/// Name of a dead letter: where it lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    /// The dead letter topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Offset there.
    pub offset: i64,
}

impl LetterId {
    /// From `<topic>-<partition>-<offset>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, offset) = text.rsplit_once('-')?;
        let (topic, partition) = rest.rsplit_once('-')?;
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then_some(());
        number(offset).and(number(partition))?;
        Some(Self { topic: topic.to_owned(), partition: partition.parse().ok()?, offset: offset.parse().ok()? })
    }
}

impl std::fmt::Display for LetterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.topic, self.partition, self.offset)
    }
}

/// A record of the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayEntry {
    /// Put this again.
    Put(Replayed),
    /// A person has dealt with it otherwise.
    Discarded,
    /// It was put again and the destination already held something newer.
    Superseded,
    /// It was put again and became a dead letter again.
    FailedAgain,
}

/// A record that is put again, as it was read the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of a record")]
pub struct Replayed {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: Option<i64>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(String, Option<Bytes>)>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<StoredRecord>,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum State {
    Put,
    Discarded,
    Superseded,
    FailedAgain,
}

#[derive(Serialize, Deserialize)]
struct StoredRecord {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

impl ReplayEntry {
    /// As stored.
    pub fn encode(&self) -> Vec<u8> {
        let text = |bytes: &Option<Bytes>| bytes.as_ref().map(|b| STANDARD.encode(b));
        let (state, record) = match self {
            Self::Put(r) => {
                let headers = r.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
                let record = StoredRecord {
                    topic: r.topic.clone(),
                    partition: r.partition,
                    offset: r.offset,
                    timestamp: r.timestamp_ms,
                    key: text(&r.key),
                    value: text(&r.value),
                    headers,
                };
                (State::Put, Some(record))
            }
            Self::Discarded => (State::Discarded, None),
            Self::Superseded => (State::Superseded, None),
            Self::FailedAgain => (State::FailedAgain, None),
        };
        // Texts and numbers: it can always be written.
        serde_json::to_vec(&Stored { v: FORMAT, state, record }).unwrap_or_default()
    }

    /// From what is stored; `None` for what is not understood, such as the format of a later version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(bytes).ok()?;
        if stored.v != FORMAT {
            return None;
        }
        Some(match (stored.state, stored.record) {
            (State::Put, Some(r)) => {
                let headers = r.headers.into_iter().map(|(name, value)| Some((name, raw(value)?)));
                Self::Put(Replayed {
                    topic: r.topic,
                    partition: r.partition,
                    offset: r.offset,
                    timestamp_ms: r.timestamp,
                    key: raw(r.key)?,
                    value: raw(r.value)?,
                    headers: headers.collect::<Option<_>>()?,
                })
            }
            (State::Put, None) => return None,
            (State::Discarded, _) => Self::Discarded,
            (State::Superseded, _) => Self::Superseded,
            (State::FailedAgain, _) => Self::FailedAgain,
        })
    }
}

fn raw(text: Option<String>) -> Option<Option<Bytes>> {
    match text {
        None => Some(None),
        Some(text) => STANDARD.decode(text).ok().map(|bytes| Some(Bytes::from(bytes))),
    }
}

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterState {
    /// Nobody has dealt with it.
    Open,
    /// It waits in the replay topic.
    Replaying,
    /// It was put again and is in the destination.
    Replayed,
    /// The destination held something newer, which stays.
    Superseded,
    /// It became a dead letter again, with an id of its own.
    FailedAgain,
    /// Dealt with otherwise.
    Discarded,
}

impl LetterState {
    /// All of them by name.
    pub const ALL: [(&'static str, Self); 6] = [
        ("open", Self::Open),
        ("replaying", Self::Replaying),
        ("replayed", Self::Replayed),
        ("superseded", Self::Superseded),
        ("failed_again", Self::FailedAgain),
        ("discarded", Self::Discarded),
    ];

    /// As shown.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, state)| *state == self).map_or("", |(name, _)| name)
    }

    /// From the last record of a letter with its offset, and the first offset that the group has not passed.
    pub fn of(last: Option<(&ReplayEntry, i64)>, passed: i64) -> Self {
        match last {
            None => Self::Open,
            Some((ReplayEntry::Put(_), offset)) if offset < passed => Self::Replayed,
            Some((ReplayEntry::Put(_), _)) => Self::Replaying,
            Some((ReplayEntry::Discarded, _)) => Self::Discarded,
            Some((ReplayEntry::Superseded, _)) => Self::Superseded,
            Some((ReplayEntry::FailedAgain, _)) => Self::FailedAgain,
        }
    }

    /// Whether it may be put again: not what has been, so that asking twice writes once.
    pub fn may_be_replayed(self) -> bool {
        matches!(self, Self::Open | Self::Discarded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put() -> ReplayEntry {
        ReplayEntry::Put(Replayed {
            topic: "orders".into(),
            partition: 3,
            offset: 9,
            timestamp_ms: Some(5),
            key: None,
            value: Some(Bytes::from_static(b"\x00\xff{")),
            headers: vec![("h".into(), Some(Bytes::from_static(b"x"))), ("n".into(), None)],
        })
    }

    #[test]
    fn what_is_written_is_read_again() {
        for entry in [put(), ReplayEntry::Discarded, ReplayEntry::Superseded, ReplayEntry::FailedAgain] {
            assert_eq!(ReplayEntry::decode(&entry.encode()), Some(entry));
        }
        for foreign in
            ["", "{}", r#"{"v":2,"state":"discarded"}"#, r#"{"v":1,"state":"put"}"#, r#"{"v":1,"state":"x"}"#]
        {
            assert_eq!(ReplayEntry::decode(foreign.as_bytes()), None, "{foreign}");
        }
    }

    #[test]
    fn every_connector_has_a_topic_of_its_own() {
        assert_eq!(replay_topic("g", "c"), "g-replay-c");
        let (a, b) = (replay_topic("g", "a b"), replay_topic("g", "a/b"));
        assert!(a != b && a.starts_with("g-replay-a_b-") && !a.contains(' '));
        assert!(replay_topic("g", &"n".repeat(300)).len() <= NAME_MAX);
    }

    #[test]
    fn an_id_names_topic_partition_and_offset() {
        let id = LetterId { topic: "dlq-a-1".into(), partition: 0, offset: 12 };
        assert_eq!(id.to_string(), "dlq-a-1-0-12");
        assert_eq!(LetterId::parse("dlq-a-1-0-12"), Some(id));
        for wrong in ["", "a", "a-1", "a-x-1", "a-1-", "a-1-+2"] {
            assert_eq!(LetterId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_letter_is_replayed_once_the_group_has_passed_it() {
        let put = put();
        assert_eq!(LetterState::of(None, 7), LetterState::Open);
        assert_eq!(LetterState::of(Some((&put, 4)), 4), LetterState::Replaying);
        assert_eq!(LetterState::of(Some((&put, 4)), 5), LetterState::Replayed);
        assert_eq!(LetterState::of(Some((&ReplayEntry::Superseded, 5)), 5), LetterState::Superseded);
        let again: Vec<_> = LetterState::ALL.iter().filter(|(_, s)| s.may_be_replayed()).map(|(n, _)| *n).collect();
        assert_eq!(again, ["open", "discarded"]);
    }
}
