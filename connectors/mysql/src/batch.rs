//! The batch being filled.
use elasticflow_api::context::Limits;
use elasticflow_api::position::SourcePosition;
use elasticflow_api::source::{Boundary, SourceBatch, SourceRecord};

/// Bytes that the envelope of a record takes beside its images, about.
const ENVELOPE_BYTES: usize = 512;

/// Records with their count and size.
pub struct Batch {
    /// What is in it.
    pub records: Vec<SourceRecord>,
    bytes: usize,
    max: Limits,
    /// Whether an earlier batch ends inside the transaction with which this one begins.
    pub began_inside: bool,
    /// Records of the transaction being read.
    pub transaction_records: usize,
    /// Whether that transaction is the one with which the batch begins.
    pub transaction_is_first: bool,
}

impl Batch {
    /// An empty one.
    pub fn new(max: Limits, began_inside: bool) -> Self {
        Self { records: Vec::new(), bytes: 0, max, began_inside, transaction_records: 0, transaction_is_first: true }
    }

    /// Counts the images of records that were added.
    pub fn count(&mut self, records: usize, image_bytes: usize) {
        self.bytes += image_bytes + records * ENVELOPE_BYTES;
        self.transaction_records += records;
    }

    /// A transaction has ended.
    pub fn transaction_ended(&mut self) {
        self.transaction_records = 0;
        self.transaction_is_first = false;
    }

    /// Whether nothing more fits.
    pub fn is_full(&self) -> bool {
        self.records.len() >= self.max.records || self.bytes >= self.max.bytes
    }

    /// Whether it ends well at the end of a transaction: later ones would mostly not fit as a whole.
    pub fn ends_at_commit(&self) -> bool {
        self.began_inside || self.records.len() >= self.max.records / 2 || self.bytes >= self.max.bytes / 2
    }

    /// Room left, in records.
    pub fn room(&self) -> usize {
        self.max.records.saturating_sub(self.records.len())
    }

    /// Hands it over with the position after its last record.
    pub fn finish(mut self, position: Option<SourcePosition>, boundary: Boundary) -> SourceBatch {
        let mut progress = Vec::new();
        match self.records.last_mut() {
            Some(last) => last.position = position,
            None => progress.extend(position),
        }
        SourceBatch { records: self.records, progress, boundary, ..SourceBatch::default() }
    }
}
