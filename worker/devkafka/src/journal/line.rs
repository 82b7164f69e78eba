//! What a journal line says. The field names are short because the lines are many; they are a stored format.
use crate::groups::group::Committed;
use crate::topics::Topic;
use crate::txn::Txn;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "k")]
pub(crate) enum Line<'a> {
    /// First line of the file.
    #[serde(rename = "format")]
    Format { v: u32 },
    /// A topic as it is from now on.
    #[serde(rename = "topic")]
    Topic { t: Cow<'a, str>, n: i32, id: uuid::Uuid, cfg: Cow<'a, BTreeMap<String, String>> },
    #[serde(rename = "del")]
    Delete { t: Cow<'a, str> },
    /// First offset of a partition whose head was cut.
    #[serde(rename = "start")]
    Start { t: Cow<'a, str>, p: i32, o: i64 },
    /// A group's committed offset.
    #[serde(rename = "off")]
    Offset { g: Cow<'a, str>, t: Cow<'a, str>, p: i32, o: i64, e: i32, m: Option<Cow<'a, str>> },
    #[serde(rename = "ofd")]
    OffsetDelete { g: Cow<'a, str>, t: Cow<'a, str>, p: i32 },
    #[serde(rename = "gdel")]
    GroupDelete { g: Cow<'a, str> },
    /// The next producer id.
    #[serde(rename = "pid")]
    NextProducer { n: i64 },
    /// A transactional id as it is from now on.
    #[serde(rename = "txn")]
    Txn {
        id: Cow<'a, str>,
        #[serde(flatten)]
        txn: Cow<'a, Txn>,
    },
    /// A transactional id that has expired.
    #[serde(rename = "tdel")]
    TxnDelete { id: Cow<'a, str> },
    /// An offset inside an open transaction.
    #[serde(rename = "txo")]
    TxnOffset { pid: i64, g: Cow<'a, str>, t: Cow<'a, str>, p: i32, o: i64, e: i32, m: Option<Cow<'a, str>> },
    /// A transaction is decided; what follows it is finished at the next start if its `txn` line is missing.
    #[serde(rename = "prep")]
    Prepared {
        id: Cow<'a, str>,
        #[serde(flatten)]
        decided: Cow<'a, Decided>,
    },
}

/// How a transaction ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decided {
    /// Producer id.
    pub(crate) pid: i64,
    /// Epoch of the markers: raised if the owner is shut out.
    pub(crate) ep: i16,
    /// Committed or aborted.
    pub(crate) c: bool,
    /// Topic, partition, and its next offset before the marker: a partition that is longer has its marker already.
    pub(crate) parts: Vec<(String, i32, i64)>,
    /// Groups whose offsets the transaction carries.
    pub(crate) groups: BTreeSet<String>,
}

impl<'a> Line<'a> {
    /// The line as it is written.
    pub(crate) fn text(&self) -> String {
        // Every field is a string, a number or a map with string keys: none of them can fail.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }

    pub(crate) fn topic(name: &'a str, t: &'a Topic) -> Line<'a> {
        Line::Topic { t: name.into(), n: t.count(), id: t.id, cfg: Cow::Borrowed(&t.configs) }
    }

    pub(crate) fn offset(group: &'a str, topic: &'a str, partition: i32, c: &'a Committed) -> Line<'a> {
        let m = c.metadata.as_deref().map(Cow::Borrowed);
        Line::Offset { g: group.into(), t: topic.into(), p: partition, o: c.offset, e: c.leader_epoch, m }
    }

    pub(crate) fn txn_offset(
        producer: i64,
        group: &'a str,
        topic: &'a str,
        partition: i32,
        c: &'a Committed,
    ) -> Line<'a> {
        let m = c.metadata.as_deref().map(Cow::Borrowed);
        Line::TxnOffset {
            pid: producer,
            g: group.into(),
            t: topic.into(),
            p: partition,
            o: c.offset,
            e: c.leader_epoch,
            m,
        }
    }

    pub(crate) fn txn(id: &'a str, txn: &'a Txn) -> Line<'a> {
        Line::Txn { id: id.into(), txn: Cow::Borrowed(txn) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stored format: a change here needs a new [`FORMAT`](super::super::FORMAT).
    #[test]
    fn lines_are_written_and_read_in_the_stored_format() {
        let stored = include_str!("../../tests/golden/journal-1.jsonl");
        for text in stored.lines() {
            let line: Line<'_> = serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(line.text().trim_end(), text);
        }
        assert_eq!(stored.lines().count(), 12, "one line of each kind");
    }
}
