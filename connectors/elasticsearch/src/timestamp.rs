//! `@timestamp` of documents of data streams.
use bytes::{BufMut, Bytes, BytesMut};
use elasticflow_api::RecordError;
use elasticflow_api::error::Stage;
use elasticflow_formats::FormatError;
use elasticflow_formats::json::cursor::{Cursor, Malformed};

/// The member that every document of a data stream has.
pub(crate) const TIMESTAMP: &str = "@timestamp";

/// Gives documents their `@timestamp`.
pub(crate) struct Stamp {
    /// Fields to take it from; without any it is the time of the record.
    fields: Vec<String>,
    document: BytesMut,
}

impl Stamp {
    pub(crate) fn new(fields: &[String]) -> Self {
        Self { fields: fields.to_vec(), document: BytesMut::new() }
    }

    /// Where the document is to be written first.
    pub(crate) fn document(&mut self) -> &mut BytesMut {
        self.document.clear();
        &mut self.document
    }

    /// Appends the document with the one `@timestamp` that counts.
    pub(crate) fn write(&mut self, record_ms: Option<i64>, out: &mut BytesMut) -> Result<(), RecordError> {
        let document = self.document.split().freeze();
        out.put_u8(b'{');
        let found =
            copy_members(&document, &self.fields, out).map_err(|error| FormatError::from(error).at(Stage::TaskPut))?;
        if out.last() != Some(&b'{') {
            out.put_u8(b',');
        }
        out.put_slice(b"\"@timestamp\":");
        match (found, record_ms) {
            (Some(value), _) if matches!(value.first(), Some(b'"' | b'-' | b'0'..=b'9')) => out.put_slice(&value),
            (Some(_), _) => {
                return Err(bad("the field of data.stream.timestamp.field holds neither a number nor a text"));
            }
            (None, _) if !self.fields.is_empty() => {
                return Err(bad("the document has none of the fields of data.stream.timestamp.field"));
            }
            (None, Some(ms)) => out.put_slice(itoa::Buffer::new().format(ms).as_bytes()),
            (None, None) => {
                return Err(bad(
                    "the record has no time, which @timestamp is taken from; set data.stream.timestamp.field",
                ));
            }
        }
        out.put_u8(b'}');
        Ok(())
    }
}

/// Copies all members but `@timestamp`, and finds the value of the first of the fields.
fn copy_members(document: &Bytes, fields: &[String], out: &mut BytesMut) -> Result<Option<Bytes>, Malformed> {
    let mut found: Option<(usize, Bytes)> = None;
    let mut first = true;
    Cursor::new(document).object(|cursor, name| {
        let mut owned = None;
        let name = name.bytes(cursor, &mut owned)?;
        cursor.token()?;
        let start = cursor.at();
        cursor.skip()?;
        let value = document.slice(start..cursor.at());
        if let Some(rank) = fields.iter().position(|field| field.as_bytes() == name)
            && found.as_ref().is_none_or(|(best, _)| rank <= *best)
        {
            found = Some((rank, value.clone()));
        }
        if name != TIMESTAMP.as_bytes() {
            if !first {
                out.put_u8(b',');
            }
            first = false;
            write_name(name, out);
            out.put_slice(&value);
        }
        Ok::<_, Malformed>(())
    })?;
    Ok(found.map(|(_, value)| value))
}

fn write_name(name: &[u8], out: &mut BytesMut) {
    elasticflow_formats::json::write_string(&String::from_utf8_lossy(name), out);
    out.put_u8(b':');
}

fn bad(reason: &str) -> RecordError {
    RecordError { stage: Stage::TaskPut, reason: reason.to_owned(), source: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(fields: &[&str], ms: Option<i64>, json: &str) -> Result<String, String> {
        let mut stamp = Stamp::new(&fields.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>());
        stamp.document().put_slice(json.as_bytes());
        let mut out = BytesMut::new();
        stamp.write(ms, &mut out).map_err(|error| error.reason)?;
        Ok(String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn a_document_gets_the_time_of_its_record_or_the_first_of_the_fields() {
        for (fields, json, expected) in [
            (vec![], r#"{}"#, r#"{"@timestamp":7}"#),
            (vec![], r#"{"a":{"@timestamp":1},"b":[2]}"#, r#"{"a":{"@timestamp":1},"b":[2],"@timestamp":7}"#),
            (vec![], r#"{"@timestamp":"x","a":1}"#, r#"{"a":1,"@timestamp":7}"#),
            (vec!["@timestamp"], r#"{"a":1,"\u0040timestamp":"x"}"#, r#"{"a":1,"@timestamp":"x"}"#),
            (vec!["b", "a"], r#"{"a":"1","b":2}"#, r#"{"a":"1","b":2,"@timestamp":2}"#),
            (vec!["b", "a"], r#"{"a\"":0,"a":"1"}"#, r#"{"a\"":0,"a":"1","@timestamp":"1"}"#),
        ] {
            assert_eq!(stamped(&fields, Some(7), json).unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn a_document_without_a_time_is_refused() {
        for (fields, ms, json, words) in [
            (vec![], None, "{}", "no time"),
            (vec!["a"], Some(7), "{}", "none of the fields"),
            (vec!["a"], Some(7), r#"{"a":null}"#, "neither a number"),
            (vec!["a"], Some(7), r#"{"a":[1]}"#, "neither a number"),
        ] {
            let error = stamped(&fields, ms, json).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
