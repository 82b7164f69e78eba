//! What the answer to a `_bulk` request says about each item.
use serde::Deserialize;

/// What becomes of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Written, by this request.
    Done,
    /// Written before, by this record or a later one; with the version that is there, if the server tells.
    AlreadyApplied { current: Option<u64> },
    /// May succeed later.
    Again { status: u16 },
    /// The index takes no writes for the time being.
    Blocked(String),
    /// The index is not there.
    IndexMissing,
    /// This document will never be taken.
    Refused(String),
    /// The whole sink may not do this.
    Forbidden { status: u16, kind: String, reason: String },
}

/// A bulk answer, as far as it is asked for.
#[derive(Debug, Deserialize)]
struct Answer {
    items: Vec<Tagged>,
}

/// An item's answer under the name of its action.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tagged {
    Index(ItemAnswer),
    Create(ItemAnswer),
    Delete(ItemAnswer),
    Update(ItemAnswer),
}

/// The answer to one item.
#[derive(Debug, Deserialize)]
pub(crate) struct ItemAnswer {
    status: u16,
    error: Option<serde_json::Value>,
}

/// The error of an answer, of an item or of a whole request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerError {
    pub(crate) kind: String,
    pub(crate) reason: String,
}

impl ServerError {
    /// From the value of `error`: an object, or a text as some versions send it.
    pub(crate) fn from_json(json: &serde_json::Value) -> Self {
        let text = |name: &str| json.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        match json.as_str() {
            Some(reason) => Self { kind: "error".to_owned(), reason: without_quotations(reason) },
            None => {
                let cause = json.get("caused_by").and_then(|c| c.get("reason")).and_then(|r| r.as_str());
                let reason = without_quotations(&text("reason"));
                let reason = match cause.map(without_quotations) {
                    Some(cause) if !cause.is_empty() && reason == "failed to parse" => format!("{reason}: {cause}"),
                    _ => reason,
                };
                Self { kind: text("type"), reason }
            }
        }
    }

    /// From the body of a failed request.
    pub(crate) fn from_body(body: &[u8]) -> Self {
        let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        json.get("error").map(Self::from_json).unwrap_or_default()
    }
}

/// The server quotes what it was sent; nothing of a record may reach a log. Its words are cut where it begins to quote.
fn without_quotations(reason: &str) -> String {
    let quotes = ['\'', '"', '\n', '`'];
    let cut = reason.find(quotes).and_then(|at| reason.get(..at)).unwrap_or(reason);
    // `[doc-id]: version conflict` and `Preview of field's value` begin with what was sent.
    let cut = cut.find("Preview of").and_then(|at| cut.get(..at)).unwrap_or(cut);
    let cut = match cut.strip_prefix('[') {
        Some(rest) => rest.split_once("]: ").map_or("", |(_, words)| words),
        None => cut,
    };
    let cut = cut.split(" in document with id").next().unwrap_or(cut);
    cut.trim_end_matches([' ', ':', '.']).to_owned()
}

/// Reads an answer.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(body: &[u8], items: usize) -> Result<Vec<ItemAnswer>, String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| format!("not a bulk answer, {error}"))?;
    if answer.items.len() != items {
        return Err(format!("{} items answered of {items}", answer.items.len()));
    }
    let untagged = answer.items.into_iter().map(|item| match item {
        Tagged::Index(answer) | Tagged::Create(answer) | Tagged::Delete(answer) | Tagged::Update(answer) => answer,
    });
    Ok(untagged.collect())
}

impl ItemAnswer {
    /// What becomes of the item.
    pub(crate) fn fate(&self, is_delete: bool) -> Fate {
        let error = || self.error.as_ref().map(ServerError::from_json).unwrap_or_default();
        match self.status {
            200..=299 => Fate::Done,
            404 if is_delete && self.error.is_none() => Fate::Done,
            409 => Fate::AlreadyApplied { current: self.current_version() },
            status => of_error(status, error()),
        }
    }
}

impl ItemAnswer {
    /// From `version conflict, current version [10] is higher or equal to the one provided [9]`.
    fn current_version(&self) -> Option<u64> {
        let reason = self.error.as_ref()?.get("reason")?.as_str()?;
        let (_, rest) = reason.rsplit_once("current version [")?;
        rest.split_once(']')?.0.parse().ok()
    }
}

fn of_error(status: u16, error: ServerError) -> Fate {
    match (status, error.kind.as_str()) {
        (_, "cluster_block_exception") => Fate::Blocked(error.reason),
        (404, "index_not_found_exception") => Fate::IndexMissing,
        (429 | 502 | 503 | 504, _)
        | (_, "es_rejected_execution_exception" | "circuit_breaking_exception" | "unavailable_shards_exception") => {
            Fate::Again { status }
        }
        // A shard that moves or a node that stops answers 500; nothing about the document is said by that.
        (500, _) => Fate::Again { status },
        (401 | 403, _) | (_, "security_exception") => {
            Fate::Forbidden { status, kind: error.kind, reason: error.reason }
        }
        _ => Fate::Refused(format!("{} {}: {}", status, error.kind, error.reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(item: &str, is_delete: bool) -> Fate {
        let body = format!("{{\"errors\":true,\"items\":[{{\"index\":{item}}}]}}");
        read(body.as_bytes(), 1).unwrap().remove(0).fate(is_delete)
    }

    #[test]
    fn every_answer_has_its_meaning() {
        let conflict = r#"{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[b]: version conflict, current version [20] is higher or equal to the one provided [15]"}}"#;
        assert_eq!(fate(r#"{"status":201}"#, false), Fate::Done);
        assert_eq!(fate(r#"{"status":404}"#, true), Fate::Done);
        assert_eq!(fate(conflict, false), Fate::AlreadyApplied { current: Some(20) });
        let rejected = r#"{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"r"}}"#;
        assert_eq!(fate(rejected, false), Fate::Again { status: 429 });
        let unavailable = r#"{"status":503,"error":{"type":"unavailable_shards_exception","reason":"r"}}"#;
        assert_eq!(fate(unavailable, false), Fate::Again { status: 503 });
        let missing = r#"{"status":404,"error":{"type":"index_not_found_exception","reason":"no such index [t]"}}"#;
        assert_eq!(fate(missing, true), Fate::IndexMissing);
        let flood = r#"{"status":429,"error":{"type":"cluster_block_exception","reason":"index [t1] blocked by: [TOO_MANY_REQUESTS/12/disk usage]"}}"#;
        assert!(matches!(fate(flood, false), Fate::Blocked(_)));
        let security = r#"{"status":403,"error":{"type":"security_exception","reason":"action is unauthorized"}}"#;
        assert!(matches!(fate(security, false), Fate::Forbidden { status: 403, .. }));
    }

    #[test]
    fn a_refusal_keeps_the_servers_words_and_none_of_the_record() {
        let mapping = r#"{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse field [n] of type [long] in document with id 'secret'. Preview of field's value: 'secret'","caused_by":{"type":"illegal_argument_exception","reason":"For input string: \"secret\""}}}"#;
        let Fate::Refused(reason) = fate(mapping, false) else { panic!("not refused") };
        assert_eq!(reason, "400 mapper_parsing_exception: failed to parse field [n] of type [long]");
        let strict = r#"{"status":400,"error":{"type":"strict_dynamic_mapping_exception","reason":"mapping set to strict, dynamic introduction of [zzz] within [_doc] is not allowed"}}"#;
        assert!(matches!(fate(strict, false), Fate::Refused(r) if r.contains("[zzz]")));
        let limit = r#"{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse","caused_by":{"reason":"Limit of total fields [3] has been exceeded"}}}"#;
        assert!(matches!(fate(limit, false), Fate::Refused(r) if r.contains("Limit of total fields")));
    }

    #[test]
    fn answers_that_are_no_bulk_answers_are_told_apart() {
        assert!(read(b"<html>", 1).unwrap_err().contains("not a bulk answer"));
        assert_eq!(read(br#"{"items":[]}"#, 1).unwrap_err(), "0 items answered of 1");
        assert!(read(br#"{"items":[{}]}"#, 1).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_refused(bytes: Vec<u8>) {
            let _ = read(&bytes, 1);
            let _ = ServerError::from_body(&bytes);
        }

        #[test]
        fn any_reason_is_cut_without_harm(reason: String) {
            let _ = without_quotations(&reason);
        }
    }
}
