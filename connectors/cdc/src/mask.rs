//! Masks of text columns: stars, truncation, hashes.
use crate::filter::Patterns;
use elasticflow_api::data::{Text, Value};
use md5::Digest as _;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use std::collections::BTreeMap;

/// What happens to the text of a column.
#[derive(Debug, Clone)]
pub enum Mask {
    /// So many stars, also for null.
    Stars(usize),
    /// So many UTF-16 units at most, never half a pair.
    Truncate(usize),
    /// Digest of salt and value in lower-case hexadecimal.
    Hash(Algorithm, String, HashVersion),
}

/// Digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum Algorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// How the value enters the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashVersion {
    /// As a serialised Java string.
    One,
    /// As its UTF-8 bytes.
    Two,
}

/// Masks by column name `db.table.column`.
#[derive(Debug, Clone, Default)]
pub struct Masks(Vec<(Patterns, Mask)>);

impl Masks {
    /// Reads keys such as `column.mask.with.10.chars`, with the leading `column.` taken off.
    ///
    /// # Errors
    /// The key and the reason.
    pub fn parse(keys: &BTreeMap<String, String>) -> Result<Self, (String, String)> {
        let mut masks = Vec::new();
        for (key, patterns) in keys {
            let mask = rule(key).map_err(|reason| (key.clone(), reason))?;
            masks.push((Patterns::parse(patterns).map_err(|reason| (key.clone(), reason))?, mask));
        }
        Ok(Self(masks))
    }

    /// The mask of a column.
    pub fn of(&self, column: &str) -> Option<&Mask> {
        self.0.iter().find(|(patterns, _)| patterns.matches(column)).map(|(_, mask)| mask)
    }
}

fn rule(key: &str) -> Result<Mask, String> {
    let number = |text: &str| text.strip_suffix(".chars").and_then(|n| n.parse::<usize>().ok());
    if let Some(n) = key.strip_prefix("mask.with.").and_then(number) {
        return Ok(Mask::Stars(n));
    }
    if let Some(n) = key.strip_prefix("truncate.to.").and_then(number) {
        return Ok(Mask::Truncate(n));
    }
    let Some(rest) = key.strip_prefix("mask.hash.") else {
        return Err(
            "must be column.mask.with.N.chars, column.truncate.to.N.chars or column.mask.hash.ALGORITHM.with.salt.SALT"
                .to_owned(),
        );
    };
    let (rest, version) = match rest.strip_prefix("v2.") {
        Some(rest) => (rest, HashVersion::Two),
        None => (rest, HashVersion::One),
    };
    let (algorithm, salt) = rest.split_once(".with.salt.").ok_or("the salt is missing: .with.salt.SALT")?;
    let algorithm = match algorithm.to_ascii_uppercase().as_str() {
        "MD5" => Algorithm::Md5,
        "SHA-1" | "SHA1" | "SHA" => Algorithm::Sha1,
        "SHA-224" => Algorithm::Sha224,
        "SHA-256" => Algorithm::Sha256,
        "SHA-384" => Algorithm::Sha384,
        "SHA-512" => Algorithm::Sha512,
        other => {
            return Err(format!(
                "the digest {other} is not supported; known: MD5, SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512"
            ));
        }
    };
    Ok(Mask::Hash(algorithm, salt.to_owned(), version))
}

impl Mask {
    /// Masks a value; `length` is the column's length in characters, to which a hash is cut.
    pub fn apply(&self, value: Value, length: Option<usize>) -> Value {
        match (self, value) {
            (Self::Stars(n), _) => Value::String(Text::from("*".repeat(*n))),
            (Self::Truncate(n), Value::String(text)) => Value::String(truncate(&text, *n)),
            (Self::Hash(algorithm, salt, version), Value::String(text)) => {
                let mut hex = digest(*algorithm, salt, &text, *version);
                hex.truncate(length.unwrap_or(hex.len()));
                Value::String(Text::from(hex))
            }
            (_, other) => other,
        }
    }
}

fn truncate(text: &Text, units: usize) -> Text {
    let mut left = units;
    let mut end = 0;
    for (i, c) in text.char_indices() {
        let Some(rest) = left.checked_sub(c.len_utf16()) else { break };
        left = rest;
        end = i + c.len_utf8();
    }
    if end == text.len() { text.clone() } else { text.get(..end).map_or_else(|| text.clone(), Text::from) }
}

fn digest(algorithm: Algorithm, salt: &str, value: &str, version: HashVersion) -> String {
    let mut input = salt.as_bytes().to_vec();
    match version {
        HashVersion::Two => input.extend_from_slice(value.as_bytes()),
        HashVersion::One => java_string(value, &mut input),
    }
    let bytes: Vec<u8> = match algorithm {
        Algorithm::Md5 => md5::Md5::digest(&input).to_vec(),
        Algorithm::Sha1 => Sha1::digest(&input).to_vec(),
        Algorithm::Sha224 => Sha224::digest(&input).to_vec(),
        Algorithm::Sha256 => Sha256::digest(&input).to_vec(),
        Algorithm::Sha384 => Sha384::digest(&input).to_vec(),
        Algorithm::Sha512 => Sha512::digest(&input).to_vec(),
    };
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A serialised Java string: stream header, string tag, length, modified UTF-8.
fn java_string(value: &str, out: &mut Vec<u8>) {
    let mut text = Vec::with_capacity(value.len());
    for unit in value.encode_utf16() {
        match unit {
            1..=0x7f => text.push(unit.to_be_bytes()[1]),
            0 | 0x80..=0x7ff => text.extend_from_slice(&two_bytes(unit)),
            _ => {
                text.push(0xe0 | low(unit >> 12));
                text.push(0x80 | low(unit >> 6 & 0x3f));
                text.push(0x80 | low(unit & 0x3f));
            }
        }
    }
    out.extend_from_slice(&[0xac, 0xed, 0x00, 0x05, 0x74]);
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(&text);
}

fn two_bytes(unit: u16) -> [u8; 2] {
    [0xc0 | low(unit >> 6), 0x80 | low(unit & 0x3f)]
}

fn low(v: u16) -> u8 {
    v.to_be_bytes()[1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(key: &str, text: &str, length: Option<usize>) -> Value {
        let masks = Masks::parse(&BTreeMap::from([(key.to_owned(), "d\\.t\\.c".to_owned())])).unwrap();
        masks.of("d.t.c").unwrap().apply(Value::String(Text::from(text.to_owned())), length)
    }

    #[test]
    fn stars_stand_for_null_too() {
        let mask = rule("mask.with.3.chars").unwrap();
        assert_eq!(mask.apply(Value::Null, None), Value::String(Text::from_static("***")));
    }

    #[test]
    fn truncation_never_cuts_a_surrogate_pair() {
        assert_eq!(masked("truncate.to.2.chars", "a😀b", None), Value::String(Text::from_static("a")));
        assert_eq!(masked("truncate.to.3.chars", "a😀b", None), Value::String(Text::from_static("a😀")));
    }

    #[test]
    fn a_hash_is_cut_to_the_column_and_unknown_digests_are_refused() {
        let Value::String(hash) = masked("mask.hash.v2.SHA-256.with.salt.s", "x", Some(10)) else { panic!("text") };
        assert_eq!(hash.len(), 10);
        assert!(rule("mask.hash.MD4.with.salt.s").is_err());
    }

    #[test]
    fn every_digest_of_java_hashes_salt_and_value() {
        let hash = |key: &str| match masked(key, "x", None) {
            Value::String(text) => text.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(hash("mask.hash.v2.MD5.with.salt.s"), "2c38b9e45cec1b324dde4e3d5b22c648");
        assert_eq!(hash("mask.hash.v2.SHA-1.with.salt.s"), "c7fff82d4ff238624e10a856b42c5699d784a428");
        for (name, digits) in [("SHA-224", 56), ("SHA-256", 64), ("SHA-384", 96), ("SHA-512", 128)] {
            assert_eq!(hash(&format!("mask.hash.{name}.with.salt.s")).len(), digits, "{name}");
        }
    }
}
