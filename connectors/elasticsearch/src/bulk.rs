//! The body of a `_bulk` request, built line by line in one buffer.
use bytes::{BufMut, Bytes, BytesMut};
use elasticflow_api::sink::SinkRecord;
use elasticflow_formats::json::write_string;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is done to one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Written under an external version.
    Index { version: u64 },
    /// Deleted under an external version.
    Delete { version: u64 },
    /// Added; there already means done.
    Create,
    /// Added under an `_id` of the server's choice.
    CreateAnonymous,
    /// Merged into what is there.
    Upsert,
    /// Deleted without a version.
    DeleteUnversioned,
}

impl Action {
    pub(crate) fn is_delete(self) -> bool {
        matches!(self, Self::Delete { .. } | Self::DeleteUnversioned)
    }
}

/// Whether the task still owns a partition; shared by the partition's items.
pub(crate) type Ownership = Arc<AtomicBool>;

/// One write of a request, with the record it comes from.
pub(crate) struct Item {
    pub(crate) lines: Range<usize>,
    pub(crate) index: Arc<str>,
    pub(crate) action: Action,
    pub(crate) owned: Ownership,
    /// For a dead letter; its decoded value is taken out, the bytes as read are kept.
    pub(crate) record: SinkRecord,
}

impl Item {
    /// Whether it may still be sent.
    pub(crate) fn is_owned(&self) -> bool {
        self.owned.load(Ordering::Acquire)
    }
}

/// Items and their lines, in order.
#[derive(Default)]
pub(crate) struct Bulk {
    pub(crate) body: BytesMut,
    pub(crate) items: Vec<Item>,
}

/// Where an action goes.
pub(crate) struct Target<'a> {
    pub(crate) index: &'a Arc<str>,
    pub(crate) id: &'a str,
    /// Elasticsearch 6 wants a type.
    pub(crate) typed: bool,
}

impl Bulk {
    /// Appends the line that says what is done.
    pub(crate) fn write_action(&mut self, action: Action, target: &Target<'_>) {
        let out = &mut self.body;
        out.put_slice(match action {
            Action::Index { .. } => b"{\"index\":{\"_index\":".as_slice(),
            Action::Delete { .. } | Action::DeleteUnversioned => b"{\"delete\":{\"_index\":",
            Action::Create | Action::CreateAnonymous => b"{\"create\":{\"_index\":",
            Action::Upsert => b"{\"update\":{\"_index\":",
        });
        write_string(target.index, out);
        if target.typed {
            out.put_slice(b",\"_type\":\"_doc\"");
        }
        if action != Action::CreateAnonymous {
            out.put_slice(b",\"_id\":");
            write_string(target.id, out);
        }
        match action {
            Action::Index { version } | Action::Delete { version } => {
                out.put_slice(b",\"version\":");
                out.put_slice(itoa::Buffer::new().format(version).as_bytes());
                out.put_slice(b",\"version_type\":\"external\"");
            }
            Action::Upsert => out.put_slice(b",\"retry_on_conflict\":3"),
            Action::Create | Action::CreateAnonymous | Action::DeleteUnversioned => {}
        }
        out.put_slice(b"}}\n");
    }

    /// Splits the finished request off.
    pub(crate) fn take(&mut self) -> Request {
        Request { body: self.body.split().freeze(), items: std::mem::take(&mut self.items) }
    }
}

/// A request that is not changed any more.
pub(crate) struct Request {
    pub(crate) body: Bytes,
    pub(crate) items: Vec<Item>,
}

impl Request {
    /// The lines of some of the items; all of them cost no copy.
    pub(crate) fn body_of(&self, chosen: &[usize]) -> Bytes {
        if chosen.len() == self.items.len() {
            return self.body.clone();
        }
        let ranges = || chosen.iter().filter_map(|i| self.items.get(*i)).map(|item| item.lines.clone());
        let mut out = BytesMut::with_capacity(ranges().map(|range| range.len()).sum());
        for range in ranges() {
            out.put_slice(self.body.get(range).unwrap_or_default());
        }
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(action: Action, typed: bool) -> String {
        let mut bulk = Bulk::default();
        bulk.write_action(action, &Target { index: &"i".into(), id: "a\"b", typed });
        String::from_utf8(bulk.body.to_vec()).unwrap()
    }

    #[test]
    fn every_action_has_its_line() {
        let cases = [
            (
                Action::Index { version: 7 },
                r#"{"index":{"_index":"i","_id":"a\"b","version":7,"version_type":"external"}}"#,
            ),
            (
                Action::Delete { version: 7 },
                r#"{"delete":{"_index":"i","_id":"a\"b","version":7,"version_type":"external"}}"#,
            ),
            (Action::Create, r#"{"create":{"_index":"i","_id":"a\"b"}}"#),
            (Action::CreateAnonymous, r#"{"create":{"_index":"i"}}"#),
            (Action::Upsert, r#"{"update":{"_index":"i","_id":"a\"b","retry_on_conflict":3}}"#),
            (Action::DeleteUnversioned, r#"{"delete":{"_index":"i","_id":"a\"b"}}"#),
        ];
        for (action, expected) in cases {
            assert_eq!(line(action, false), format!("{expected}\n"));
        }
        assert!(line(Action::Create, true).contains(r#""_type":"_doc""#));
    }
}
