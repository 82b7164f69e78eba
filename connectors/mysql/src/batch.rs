//! The batch being filled.
use elasticflow_api::context::Limits;
use elasticflow_api::position::SourcePosition;
use elasticflow_api::source::{Boundary, SourceBatch, SourceRecord};
use elasticflow_api::written::{Mark, Written};

/// Bytes that the envelope of a record takes beside its images, about.
const ENVELOPE_BYTES: usize = 512;

/// Records with their count and size.
pub struct Batch {
    /// What is in it.
    pub records: Vec<SourceRecord>,
    /// Those that are written already, among the others.
    pub written: Written,
    bytes: usize,
    max: Limits,
    /// Whether an earlier batch ends inside the transaction with which this one begins.
    pub began_inside: bool,
    /// Where the transaction being read begins.
    begin: (usize, Mark),
    /// Whether that transaction is the one with which the batch begins.
    pub transaction_is_first: bool,
}

impl Batch {
    /// An empty one.
    pub fn new(max: Limits, began_inside: bool) -> Self {
        Self {
            records: Vec::new(),
            written: Written::default(),
            bytes: 0,
            max,
            began_inside,
            begin: (0, Mark::default()),
            transaction_is_first: true,
        }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len() + self.written.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A transaction begins.
    pub fn transaction_begins(&mut self) {
        self.begin = (self.records.len(), self.written.mark());
    }

    /// Drops the records of the transaction being read.
    pub fn roll_back(&mut self) {
        let (records, written) = self.begin;
        self.records.truncate(records);
        self.written.truncate(written);
    }

    /// Counts the images of records that were added.
    pub fn count(&mut self, records: usize, image_bytes: usize) {
        self.bytes += image_bytes + records * ENVELOPE_BYTES;
    }

    /// A transaction has ended.
    pub fn transaction_ended(&mut self) {
        self.transaction_is_first = false;
    }

    /// Whether nothing more fits.
    pub fn is_full(&self) -> bool {
        self.len() >= self.max.records || self.bytes.max(self.written.bytes.len()) >= self.max.bytes
    }

    /// Whether it ends well at the end of a transaction: later ones would mostly not fit as a whole.
    pub fn ends_at_commit(&self) -> bool {
        self.began_inside || self.len() >= self.max.records / 2 || self.bytes >= self.max.bytes / 2
    }

    /// Room left, in records.
    pub fn room(&self) -> usize {
        self.max.records.saturating_sub(self.len())
    }

    /// Hands it over with the position after its last record.
    pub fn finish(mut self, position: Option<SourcePosition>, boundary: Boundary) -> SourceBatch {
        let mut progress = Vec::new();
        let is_last = self.written.last_after() != Some(self.records.len());
        match self.records.last_mut().filter(|_| is_last) {
            Some(last) => last.position = position,
            None => progress.extend(position),
        }
        SourceBatch { records: self.records, written: self.written, progress, boundary, ..SourceBatch::default() }
    }
}
