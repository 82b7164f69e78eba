//! The JSON converters that records written by the source are compared with and read back by.
use bytes::Bytes;
use elasticflow_api::data::Record;
use elasticflow_api::source::{SourceBatch, SourceRecord};
use elasticflow_api::written::WrittenRecord;
use elasticflow_config::{Properties, parse};
use elasticflow_formats::json::JsonConverter;
use std::sync::Arc;

/// Converters of keys and values with the same settings.
pub(crate) struct Converters(pub(crate) JsonConverter, pub(crate) JsonConverter);

impl Converters {
    pub(crate) fn new(settings: &[(&str, &str)]) -> Self {
        let of = |is_key: bool| {
            let side = if is_key { "key" } else { "value" };
            let properties = Properties::from_iter(settings.iter().copied().chain([("converter.type", side)]));
            JsonConverter::new(&parse(&properties).unwrap(), is_key).unwrap()
        };
        Self(of(true), of(false))
    }

    /// All records of a batch in order, those that were written read back.
    pub(crate) fn read_back(&self, batch: &mut SourceBatch) -> Vec<SourceRecord> {
        let mut written = batch.written.iter().peekable();
        let mut all = Vec::new();
        for (at, record) in batch.records.drain(..).enumerate() {
            while let Some(earlier) = written.next_if(|w| w.after <= at) {
                all.push(self.record(&earlier));
            }
            all.push(record);
        }
        all.extend(written.map(|later| self.record(&later)));
        all
    }

    fn record(&self, written: &WrittenRecord<'_>) -> SourceRecord {
        let target = written.target;
        let record = Record {
            topic: Arc::clone(&target.topic),
            partition: None,
            key: self.0.read(framed(written.key, &target.key_lead).as_ref()).unwrap(),
            value: self.1.read(framed(written.value, &target.value_lead).as_ref()).unwrap(),
            headers: Vec::new(),
            timestamp_ms: None,
        };
        SourceRecord { record, position: None }
    }
}

/// Key or value with what its target puts around it.
pub(crate) fn framed(bytes: Option<&[u8]>, lead: &Bytes) -> Option<Bytes> {
    let end: &[u8] = if lead.is_empty() { b"" } else { b"}" };
    bytes.map(|bytes| Bytes::from([lead, bytes, end].concat()))
}
