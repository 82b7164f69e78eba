//! Messages that carry their schema: `{"schema":…,"payload":…}`.
//!
//! The schema part of most messages of a topic is the same, byte for byte: it is compared with the parts already read,
//! the last one first, and read anew only when it is unknown.
use crate::error::FormatError;
use crate::json::cursor::{Cursor, Token};
use crate::json::reader::{ReadStyle, Reader};
use crate::json::schema_reader::read_schema;
use bytes::Bytes;
use elasticflow_api::data::{Datum, Value};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

const NOT_AN_ENVELOPE: &str = "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not \
     contain additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your \
     converter configuration.";
/// How the product and Connect begin a message.
const LEAD: &[u8] = b"{\"schema\":";
/// What stands between schema and payload.
const BETWEEN: &[u8] = b",\"payload\":";

/// Readers by the JSON of their schema; bounded, emptied when full.
pub(crate) struct Envelopes {
    known: RwLock<Known>,
    max: usize,
    replace_null: bool,
    /// Of change events only what says what became of the row is read.
    rows_alone: bool,
}

#[derive(Default)]
struct Known {
    /// The JSON of the schema that was used last, and its reader.
    last: Option<(Bytes, Arc<Reader>)>,
    by_json: HashMap<Bytes, Arc<Reader>>,
}

impl Envelopes {
    pub(crate) fn new(max: usize, replace_null: bool) -> Self {
        Self { known: RwLock::default(), max: max.max(1), replace_null, rows_alone: false }
    }

    /// Others that read of change events `op` and `after` alone.
    pub(crate) fn rows_alone(&self) -> Self {
        Self { rows_alone: true, ..Self::new(self.max, self.replace_null) }
    }

    /// Reads a message.
    pub(crate) fn read(&self, bytes: &Bytes) -> Result<Datum, FormatError> {
        if let Some(datum) = self.read_as_last(bytes)? {
            return Ok(datum);
        }
        let (schema, payload) = parts(bytes)?;
        if schema.as_ref() == b"null" {
            return Ok(Datum { schema: None, value: Cursor::new(&payload).value()? });
        }
        let reader = self.reader(&schema)?;
        let value = reader.read(&mut Cursor::new(&payload))?;
        Ok(datum(&reader, value))
    }

    /// The short way: the message begins as the last one did.
    fn read_as_last(&self, bytes: &Bytes) -> Result<Option<Datum>, FormatError> {
        let Some(rest) = bytes.strip_prefix(LEAD) else { return Ok(None) };
        let reader = {
            let known = self.known.read();
            let Some((json, reader)) = &known.last else { return Ok(None) };
            if !rest.strip_prefix(json.as_ref()).is_some_and(|rest| rest.starts_with(BETWEEN)) {
                return Ok(None);
            }
            let start = LEAD.len() + json.len() + BETWEEN.len();
            (start, Arc::clone(reader))
        };
        let mut cursor = Cursor::new(bytes);
        cursor.jump(reader.0);
        let value = reader.1.read(&mut cursor)?;
        // Anything but the closing brace is for the long way to judge.
        Ok(if cursor.take(b'}') { Some(datum(&reader.1, value)) } else { None })
    }

    fn reader(&self, json: &Bytes) -> Result<Arc<Reader>, FormatError> {
        // A statement of its own: within `if let` the guard would live on, and the lock be waited for by its own holder.
        let known = self.known.read().by_json.get(json).map(Arc::clone);
        if let Some(reader) = known {
            // The lock is taken again for writing: another schema may have become the last one meanwhile, which is fine.
            return Ok(self.remember_last(json, reader));
        }
        let style = ReadStyle { replace_null_with_default: self.replace_null, ..ReadStyle::CONNECT };
        let prepare = if self.rows_alone { Reader::of_events } else { Reader::new };
        let reader = Arc::new(prepare(&read_schema(json)?, style));
        // A copy of its own: the slice would keep the whole message.
        let json = Bytes::copy_from_slice(json);
        let mut known = self.known.write();
        if known.by_json.len() >= self.max {
            known.by_json.clear();
        }
        known.by_json.insert(json.clone(), Arc::clone(&reader));
        known.last = Some((json, Arc::clone(&reader)));
        Ok(reader)
    }

    fn remember_last(&self, json: &Bytes, reader: Arc<Reader>) -> Arc<Reader> {
        let mut known = self.known.write();
        let json = known.by_json.get_key_value(json).map(|(json, _)| json.clone());
        if let Some(json) = json {
            known.last = Some((json, Arc::clone(&reader)));
        }
        reader
    }
}

fn datum(reader: &Reader, value: Value) -> Datum {
    Datum { schema: Some(Arc::clone(&reader.schema)), value }
}

/// Schema and payload, still as JSON.
fn parts(bytes: &Bytes) -> Result<(Bytes, Bytes), FormatError> {
    let not_an_envelope = || FormatError::data(NOT_AN_ENVELOPE);
    let mut cursor = Cursor::new(bytes);
    if cursor.at_end() {
        return Err(not_an_envelope());
    }
    if cursor.token()? != Token::Object {
        cursor.skip()?;
        return Err(not_an_envelope());
    }
    let (mut schema, mut payload, mut other) = (None, None, false);
    cursor.object(|cursor, name| {
        let name = name.owned(cursor)?;
        cursor.token()?;
        let start = cursor.at();
        cursor.skip()?;
        let json = bytes.slice(start..cursor.at());
        match &*name {
            "schema" => schema = Some(json),
            "payload" => payload = Some(json),
            _ => other = true,
        }
        Ok::<_, FormatError>(())
    })?;
    match (schema, payload) {
        (Some(schema), Some(payload)) if !other => Ok((schema, payload)),
        _ => Err(not_an_envelope()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    fn message(field: &str, value: u32) -> Bytes {
        let schema = format!(r#"{{"type":"struct","fields":[{{"type":"int32","field":"{field}"}}]}}"#);
        Bytes::from(format!(r#"{{"schema":{schema},"payload":{{"{field}":{value}}}}}"#))
    }

    #[test]
    fn messages_of_two_schemas_in_turns_are_read() {
        let (done, ended) = mpsc::channel();
        // On a thread of its own, so that waiting for ever is a failure and not a hanging test.
        std::thread::spawn(move || {
            let envelopes = Envelopes::new(8, true);
            let fields = ["a", "b", "a", "a", "b", "a"];
            let read = |(n, field): (usize, &&str)| envelopes.read(&message(field, n as u32)).unwrap();
            let names: Vec<_> = fields.iter().enumerate().map(read).map(|datum| datum.schema.is_some()).collect();
            done.send(names).unwrap();
        });
        let names = ended.recv_timeout(Duration::from_secs(30)).expect("the converter does not wait for itself");
        assert_eq!(names, [true; 6]);
    }
}
