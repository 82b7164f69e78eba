//! A batch being filled from files.
use super::decode::Row;
use super::options::Options;
use super::place::{Place, partition};
use super::reader::Reader;
use crate::config::Timestamps;
use crate::dir::Identity;
use crate::error::{Error, unread};
use bytes::Bytes;
use elasticflow_api::context::Limits;
use elasticflow_api::data::Record;
use elasticflow_api::position::{SourcePartition, SourcePosition};
use elasticflow_api::source::{Rejected, SourceBatch, SourceRecord};
use std::sync::Arc;
use std::time::Duration;

/// Records between two positions; between them a batch cannot be cut. A position costs as much as several short records.
const POSITION_EVERY: usize = 64;

/// The time of a poll.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) wall_ms: i64,
    pub(crate) monotonic: Duration,
}

/// What records of a file have in common.
pub(crate) struct Stream {
    pub(crate) partition: Arc<SourcePartition>,
    topic: Arc<str>,
}

impl Stream {
    /// Of a file.
    pub(crate) fn of(name: &str, options: &Options) -> Self {
        Self { partition: partition(name), topic: topic(&options.topic, name) }
    }

    /// A position of the file.
    pub(crate) fn position(&self, place: &Place) -> SourcePosition {
        SourcePosition { partition: Arc::clone(&self.partition), offset: Arc::new(place.stored()) }
    }
}

/// The topic of a file: its name and directory stand for `${name}` and `${dir}`.
fn topic(template: &str, name: &str) -> Arc<str> {
    if !template.contains("${") {
        return Arc::from(template);
    }
    let legal = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
    };
    let (dir, file) = name.rsplit_once('/').unwrap_or(("", name));
    template.replace("${name}", &legal(file)).replace("${dir}", &legal(dir)).into()
}

/// A batch being filled.
pub(crate) struct Filling {
    pub(crate) batch: SourceBatch,
    bytes: usize,
    limits: Limits,
}

impl Filling {
    /// Within limits.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { batch: SourceBatch::default(), bytes: 0, limits }
    }

    /// Whether another record may come.
    pub(crate) fn has_room(&self) -> bool {
        self.news() < self.limits.records.max(1) && self.bytes < self.limits.bytes.max(1)
    }

    /// Records, good and bad.
    pub(crate) fn news(&self) -> usize {
        self.batch.records.len() + self.batch.rejected.len()
    }

    /// Adds a bad record that was just met; reading goes on after it.
    pub(crate) fn reject(
        &mut self,
        error: Error,
        stream: &Stream,
        reader: &mut Reader,
        at: &Moment<'_>,
    ) -> Result<(), Error> {
        let before = reader.place().byte;
        let value = reader.pass_bad();
        self.bytes += value.as_ref().map_or(0, Bytes::len);
        let is_passed = reader.place().byte > before;
        let position = if is_passed { Some(stream.position(&reader.stored_place(at.identity)?)) } else { None };
        self.batch.rejected.push(Rejected {
            after: self.batch.records.len(),
            topic: Arc::clone(&stream.topic),
            value,
            timestamp_ms: Some(at.timestamp_ms),
            error: unread(error),
            position,
        });
        Ok(())
    }

    /// Adds a record that was just read.
    pub(crate) fn push(
        &mut self,
        row: Row,
        stream: &Stream,
        reader: &mut Reader,
        at: &Moment<'_>,
    ) -> Result<(), Error> {
        self.bytes += row.bytes;
        let record = Record {
            topic: Arc::clone(&stream.topic),
            partition: None,
            key: row.key,
            value: row.value,
            headers: Vec::new(),
            timestamp_ms: Some(at.timestamp_ms),
        };
        let is_marked = self.batch.records.len() % POSITION_EVERY == POSITION_EVERY - 1;
        let position = if is_marked { Some(stream.position(&reader.stored_place(at.identity)?)) } else { None };
        self.batch.records.push(SourceRecord { record, position });
        Ok(())
    }

    /// Gives the last record the place after it, or tells the place alone when no record came before it.
    pub(crate) fn mark(&mut self, stream: &Stream, place: &Place, has_record: bool) {
        let position = stream.position(place);
        match self.batch.records.last_mut() {
            Some(last) if has_record => last.position = Some(position),
            _ => self.batch.progress.push(position),
        }
    }
}

/// What the records of one poll of a file share.
pub(crate) struct Moment<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) timestamp_ms: i64,
}

impl<'a> Moment<'a> {
    /// By the configured kind of timestamps.
    pub(crate) fn new(kind: Timestamps, now: Now, identity: &'a Identity) -> Self {
        let timestamp_ms = match kind {
            Timestamps::ProcessTime => now.wall_ms,
            Timestamps::FileTime => i64::try_from(identity.modified_ns.div_euclid(1_000_000)).unwrap_or(now.wall_ms),
        };
        Self { identity, timestamp_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_takes_the_name_and_directory_of_the_file_without_illegal_characters() {
        assert_eq!(&*topic("in", "a/b.csv"), "in");
        assert_eq!(&*topic("in.${dir}.${name}", "a/b/c d.csv"), "in.a_b.c_d.csv");
        assert_eq!(&*topic("${name}", "x.csv"), "x.csv");
    }
}
