//! Configurations as they arrive in JSON.
use crate::properties::Properties;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// A configuration of a JSON body: text values, and the keys whose value was `null`.
///
/// Numbers and booleans become their source text (`1.50` stays `1.50`). The last of equal keys wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Posted {
    /// Values that are there.
    pub values: Properties,
    /// Keys posted with `null`: an error on creation, a deletion in a patch.
    pub nulls: BTreeSet<String>,
}

/// Why a JSON text is no configuration. Values are not in the message: they may be secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostedError {
    /// Not JSON.
    #[error("malformed JSON: {0}")]
    Syntax(String),
    /// JSON of another type.
    #[error("expected a JSON object of configuration keys and values")]
    NoObject,
    /// A list or an object where a value belongs.
    #[error("the value of {0:?} is a list or an object; give text, a number or a boolean")]
    Nested(String),
}

impl Posted {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// The text is no JSON object of plain values.
    pub fn from_json(text: &str) -> Result<Self, PostedError> {
        let members: Members<'_> = serde_json::from_str(text)
            .map_err(|e| if e.is_data() { PostedError::NoObject } else { PostedError::Syntax(e.to_string()) })?;
        let mut posted = Self::default();
        for (key, raw) in members.0 {
            match text_of(raw).ok_or_else(|| PostedError::Nested(key.clone()))? {
                Some(value) => {
                    posted.nulls.remove(&key);
                    posted.values.0.insert(key, value);
                }
                None => {
                    posted.values.0.remove(&key);
                    posted.nulls.insert(key);
                }
            }
        }
        Ok(posted)
    }

    /// Lays this patch over a stored configuration: a value replaces, `null` deletes.
    pub fn laid_over(&self, stored: &Properties) -> Properties {
        let mut merged = stored.clone();
        merged.0.retain(|key, _| !self.nulls.contains(key));
        merged.0.extend(self.values.0.clone());
        merged
    }
}

/// Text of a plain JSON value: `Some(None)` for `null`, `None` for lists and objects.
pub fn text_of(raw: &RawValue) -> Option<Option<String>> {
    let source = raw.get().trim();
    match source.as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(source).ok().map(Some),
        b'{' | b'[' => None,
        b'n' => Some(None),
        _ => Some(Some(source.to_owned())),
    }
}

/// Members of a JSON object in their order, values unread.
pub struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values_become_their_source_text() {
        let posted = Posted::from_json(r#"{"a":1,"b":1.50,"c":1e3,"d":true,"e":" sp ","f":"","g":"ü\n"}"#).unwrap();
        let texts: Vec<&str> = posted.values.0.values().map(String::as_str).collect();
        assert_eq!(texts, ["1", "1.50", "1e3", "true", " sp ", "", "ü\n"]);
    }

    #[test]
    fn nulls_are_kept_apart_and_the_last_of_equal_keys_wins() {
        let posted = Posted::from_json(r#"{"a":null,"b":1,"b":2,"c":1,"c":null,"d":null,"d":3}"#).unwrap();
        assert_eq!(posted.nulls, BTreeSet::from(["a".to_owned(), "c".to_owned()]));
        assert_eq!(posted.values, Properties::from_iter([("b", "2"), ("d", "3")]));
    }

    #[test]
    fn lists_objects_and_broken_json_are_refused_without_their_values() {
        for text in
            [r#"{"a":["hunter2"]}"#, r#"{"a":{"b":"hunter2"}}"#, r#""hunter2""#, "[]", "null", "", "{bad", "{} x"]
        {
            let error = Posted::from_json(text).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert_eq!(Posted::from_json(r#"{"a":[]}"#), Err(PostedError::Nested("a".to_owned())));
        assert_eq!(Posted::from_json("[]"), Err(PostedError::NoObject));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = Posted::from_json(&text);
        }

        #[test]
        fn any_flat_object_is_read_as_it_is(pairs in proptest::collection::btree_map(".*", ".*", 0..5)) {
            let posted = Posted::from_json(&serde_json::to_string(&pairs).unwrap()).unwrap();
            proptest::prop_assert_eq!(posted.values.0, pairs);
        }
    }

    #[test]
    fn a_patch_replaces_and_deletes() {
        let stored = Properties::from_iter([("a", "1"), ("b", "2")]);
        let patch = Posted::from_json(r#"{"a":null,"b":3,"c":4,"nope":null}"#).unwrap();
        assert_eq!(patch.laid_over(&stored), Properties::from_iter([("b", "3"), ("c", "4")]));
    }
}
