//! JSON as the server stores it, and steps that change it.
use elasticflow_mysql::binlog::{jsonb, jsondiff};
use serde::de::IgnoredAny;

const BEFORE: &str = r#"{"a":[1,2.50,"x]"],"b c":{"d":null},"\"":"\\u00e4"}"#;

/// A document in the server's form, or steps to a known document.
///
/// # Panics
/// What is made of it is no JSON.
pub fn json_binary(data: &[u8]) {
    if let Ok(text) = jsonb::text(data) {
        is_json(&text);
        drop(jsondiff::apply(&text, data));
    }
    if let Ok(text) = jsondiff::apply(BEFORE, data) {
        is_json(&text);
    }
    drop(jsondiff::apply(&String::from_utf8_lossy(data), &[0, 4, b'$', b'.', b'a', b'b', 3, 5, 1, 0]));
}

fn is_json(text: &str) {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        panic!("{error}: {text}");
    }
}
