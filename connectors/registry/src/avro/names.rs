//! The names by which Connect's metadata travel in Avro schemas.
use crate::avro::schema::is_name;
use elasticflow_formats::FormatError;

/// Name of structs without one; the second is `…2`.
pub(crate) const UNNAMED: &str = "io.confluent.connect.avro.ConnectDefault";
/// Entry of a map whose keys are not plain texts.
pub(crate) const MAP_ENTRY: &str = "io.confluent.connect.avro.MapEntry";
/// Data without a schema.
pub(crate) const ANYTHING: &str = "io.confluent.connect.avro.Anything";
/// Struct that stands for a union.
pub(crate) const UNION: &str = "io.confluent.connect.avro.Union";
/// Parameter with the name of an enum; `….<symbol>` for each symbol.
pub(crate) const ENUM: &str = "io.confluent.connect.avro.Enum";
/// Parameter: the default came from Avro's field, not from Connect's metadata.
pub(crate) const FIELD_DEFAULT: &str = "io.confluent.connect.avro.field.default";
/// Parameter with a record's documentation.
pub(crate) const RECORD_DOC: &str = "io.confluent.connect.avro.record.doc";
/// Prefix of parameters with the documentation of fields.
pub(crate) const FIELD_DOC: &str = "io.confluent.connect.avro.field.doc.";
/// Parameter with the size of a fixed type.
pub(crate) const FIXED_SIZE: &str = "connect.fixed.size";
/// Parameter with a decimal's precision.
pub(crate) const PRECISION: &str = "connect.decimal.precision";
/// Precision of decimals that name none.
pub(crate) const PRECISION_DEFAULT: i64 = 64;

pub(crate) const P_DOC: &str = "connect.doc";
pub(crate) const P_VERSION: &str = "connect.version";
pub(crate) const P_PARAMETERS: &str = "connect.parameters";
pub(crate) const P_DEFAULT: &str = "connect.default";
pub(crate) const P_NAME: &str = "connect.name";
pub(crate) const P_TYPE: &str = "connect.type";
pub(crate) const P_INTERNAL_TYPE: &str = "connect.internal.type";
/// Value of [`P_INTERNAL_TYPE`] on entries of maps.
pub(crate) const MAP_ENTRY_TYPE: &str = "MapEntry";
pub(crate) const P_LOGICAL: &str = "logicalType";

/// Whether the name of an Avro record stands for a struct without a name.
pub(crate) fn is_unnamed(full: &str) -> bool {
    full.strip_prefix(UNNAMED).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
}

/// A full name as Avro takes it.
pub(crate) fn full_name(text: &str, scrub: bool) -> Result<String, FormatError> {
    let parts: Result<Vec<String>, FormatError> = text.split('.').map(|part| name(part, scrub)).collect();
    Ok(parts?.join("."))
}

/// A name as Avro takes it: as it is, or with what is not allowed replaced.
pub(crate) fn name(text: &str, scrub: bool) -> Result<String, FormatError> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    if !scrub {
        return Err(FormatError::data(format!(
            "{text:?} is no name in Avro (letters, digits and _, no digit first); set scrub.invalid.names=true, or \
             schema.name.adjustment.mode=avro and field.name.adjustment.mode=avro at the connector"
        )));
    }
    Ok(scrubbed(text))
}

/// Letters and digits stay, other ASCII becomes `_` or, with other bytes, its percent code with `_` for the sign.
fn scrubbed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => out.push(char::from(byte)),
            b'-' | b'*' | b' ' => out.push('_'),
            _ => out.push_str(&format!("_{byte:02X}")),
        }
    }
    if !out.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') {
        out.insert(0, 'x');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrubbed_names_are_names() {
        for (text, scrub) in [("a-b", "a_b"), ("1a", "x1a"), ("é", "_C3_A9"), ("a b", "a_b"), ("", "x"), ("$x", "_24x")]
        {
            assert_eq!(name(text, true).unwrap(), scrub);
            assert!(is_name(scrub));
        }
        assert_eq!(full_name("my-db.1t.Value", true).unwrap(), "my_db.x1t.Value");
    }

    #[test]
    fn an_invalid_name_is_refused_with_what_to_set() {
        assert!(name("a-b", false).unwrap_err().to_string().contains("scrub.invalid.names"));
    }
}
