//! Transaction metadata: BEGIN and END records, and the block that numbers the changes of a transaction.
use elasticflow_api::data::{Datum, Kind, Record, SchemaRef, Struct, Text, Value};
use elasticflow_api::source::SourceRecord;
use elasticflow_cdc::envelope::at;
use elasticflow_cdc::schema::{Shape, field, of, structure};
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// Field of the offset: the transaction that is open.
const ID_FIELD: &str = "transaction_id";
/// Prefix of fields of the offset: changes of a table so far.
const ORDER_FIELD: &str = "transaction_data_collection_order_";

/// What an offset says of the open transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    id: Option<String>,
    tables: Vec<(String, i64)>,
}

impl Stored {
    /// Reads the fields of an offset.
    pub fn read(offset: &Map<String, Json>) -> Self {
        let order = |(key, value): (&String, &Json)| {
            key.strip_prefix(ORDER_FIELD).zip(value.as_i64()).map(|(table, n)| (table.to_owned(), n))
        };
        Self {
            id: offset.get(ID_FIELD).and_then(Json::as_str).map(str::to_owned),
            tables: offset.iter().filter_map(order).collect(),
        }
    }
}

#[derive(Debug)]
struct Counts {
    id: Text,
    total: i64,
    tables: Vec<(Arc<str>, i64)>,
}

/// Counts the changes of transactions.
pub struct TxMeta {
    topic: Arc<str>,
    key: SchemaRef,
    value: SchemaRef,
    collection: SchemaRef,
    block: SchemaRef,
    current: Option<Counts>,
    stored: Option<Stored>,
}

impl TxMeta {
    /// Writes to a topic; `stored` is the transaction that an earlier start left open.
    pub fn new(topic: String, block: &SchemaRef, stored: Stored) -> Self {
        let collection = Arc::new(
            structure(vec![field("data_collection", of(Kind::String)), field("event_count", of(Kind::Int64))])
                .named("event.collection", 1)
                .nullable(true),
        );
        let list = of(Kind::Array(Arc::clone(&collection))).nullable(true);
        let value = structure(vec![
            field("status", of(Kind::String)),
            field("id", of(Kind::String)),
            field("event_count", of(Kind::Int64).nullable(true)),
            field("data_collections", list),
            field("ts_ms", of(Kind::Int64)),
        ])
        .named("io.debezium.connector.common.TransactionMetadataValue", 1);
        let key = structure(vec![field("id", of(Kind::String))])
            .named("io.debezium.connector.common.TransactionMetadataKey", 1);
        Self {
            topic: Arc::from(topic),
            key: Arc::new(key),
            value: Arc::new(value),
            collection,
            block: Arc::clone(block),
            current: None,
            stored: Some(stored),
        }
    }

    /// A transaction begins; no record if an earlier start has written it.
    pub fn begin(&mut self, id: Text, ts_ms: i64) -> Option<SourceRecord> {
        let stored = self.stored.take().filter(|s| s.id.as_deref() == Some(&*id));
        let tables: Vec<(Arc<str>, i64)> =
            stored.iter().flat_map(|s| &s.tables).map(|(t, n)| (Arc::from(t.as_str()), *n)).collect();
        let total = tables.iter().map(|(_, n)| n).sum();
        let record = stored.is_none().then(|| self.record("BEGIN", &id, (Value::Null, Value::Null), ts_ms));
        self.current = Some(Counts { id, total, tables });
        record
    }

    /// Numbers the changes among records of a table.
    pub fn number(&mut self, table: &Arc<str>, records: &mut [SourceRecord]) {
        let Some(counts) = &mut self.current else { return };
        let place = match counts.tables.iter().position(|(t, _)| t == table) {
            Some(place) => place,
            None => {
                counts.tables.push((Arc::clone(table), 0));
                counts.tables.len() - 1
            }
        };
        for record in records {
            // Tombstones are no changes of their own.
            let Value::Struct(envelope) = &mut record.record.value.value else { continue };
            let Some((_, order)) = counts.tables.get_mut(place) else { continue };
            counts.total += 1;
            *order += 1;
            let values = vec![Value::String(counts.id.clone()), Value::Int64(counts.total), Value::Int64(*order)];
            if let Some(slot) = envelope.values.get_mut(at::TRANSACTION) {
                *slot = Value::Struct(Struct { schema: Arc::clone(&self.block), values });
            }
        }
    }

    /// The transaction ends.
    pub fn end(&mut self, ts_ms: i64) -> Option<SourceRecord> {
        let counts = self.current.take()?;
        let of_table = |(table, n): &(Arc<str>, i64)| {
            let values = vec![Value::String(Text::from(table.as_ref())), Value::Int64(*n)];
            Value::Struct(Struct { schema: Arc::clone(&self.collection), values })
        };
        let list = Value::Array(counts.tables.iter().map(of_table).collect());
        Some(self.record("END", &counts.id, (Value::Int64(counts.total), list), ts_ms))
    }

    /// The open transaction is read again from its beginning; what has been counted of it stays.
    pub fn interrupt(&mut self) {
        if let Some(counts) = self.current.take() {
            let tables = counts.tables.iter().map(|(table, n)| (table.to_string(), *n)).collect();
            self.stored = Some(Stored { id: Some(counts.id.to_string()), tables });
        }
    }

    /// The transaction was rolled back.
    pub fn forget(&mut self) {
        self.current = None;
    }

    /// Adds what a restart needs inside a transaction.
    pub fn store(&self, offset: &mut Map<String, Json>) {
        if let Some(counts) = &self.current {
            offset.insert(ID_FIELD.to_owned(), Json::String(counts.id.to_string()));
            for (table, n) in &counts.tables {
                offset.insert(format!("{ORDER_FIELD}{table}"), (*n).into());
            }
        }
    }

    fn record(&self, status: &'static str, id: &Text, (count, list): (Value, Value), ts_ms: i64) -> SourceRecord {
        let datum = |schema: &SchemaRef, values| Datum {
            schema: Some(Arc::clone(schema)),
            value: Value::Struct(Struct { schema: Arc::clone(schema), values }),
        };
        let id = || Value::String(id.clone());
        let values = vec![Value::String(Text::from_static(status)), id(), count, list, Value::Int64(ts_ms)];
        let record = Record {
            topic: Arc::clone(&self.topic),
            partition: None,
            key: datum(&self.key, vec![id()]),
            value: datum(&self.value, values),
            headers: Vec::new(),
            timestamp_ms: None,
        };
        SourceRecord { record, position: None }
    }
}
