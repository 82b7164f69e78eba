//! What is wrong with a stored record.

/// A stored record that cannot be decoded. The value is not in it: it may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {key:?} cannot be used: {reason}")]
pub struct Problem {
    /// The record's key, lossily as text.
    pub key: String,
    /// Why, and what to do.
    pub reason: String,
}

impl Problem {
    /// A problem with the record of a key.
    pub fn new(key: &[u8], reason: impl Into<String>) -> Self {
        Self { key: String::from_utf8_lossy(key).into_owned(), reason: reason.into() }
    }
}

/// What serde says, without the text that it quotes: messages of serde_json name types, lines and columns, but a
/// mismatched string would be quoted.
pub(crate) fn json_reason(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Syntax | Category::Eof => "not valid JSON",
        Category::Data => "JSON of another shape than Kafka Connect's",
        Category::Io => "unreadable",
    };
    format!("{what} at line {}, column {}", error.line(), error.column())
}
