//! A dead letter as it is shown.
use super::LetterFilter;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use elasticflow_kafka::ports::InRecord;
use elasticflow_protocol::{LetterId, LetterState};
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Prefixes of the headers that tell of the error; all others are the record's own.
const ERROR_HEADERS: [&str; 2] = ["__connect.errors.", "__flow.errors."];

/// A letter: where it came from, what went wrong, what became of it. The contents only where they may be read.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names are those of the headers")]
pub struct LetterView {
    pub id: String,
    pub state: &'static str,
    pub topic: Option<String>,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_partition: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_offset: Option<Json>,
    pub task: Option<u32>,
    pub stage: Option<String>,
    pub class: Option<String>,
    pub exception: Option<String>,
    pub reason: Option<String>,
    pub kind: Option<String>,
    pub field: Option<String>,
    pub code: Option<String>,
    pub time_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<String>,
    pub key_bytes: Option<usize>,
    pub value_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<Contents>,
}

/// What the record holds: JSON where it is that, else text, else base64.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names are those of a record")]
pub struct Contents {
    pub key: Json,
    pub value: Json,
    pub headers: Vec<(Arc<str>, Json)>,
}

/// A record of a dead letter topic.
pub(super) struct Letter<'a> {
    pub(super) id: LetterId,
    pub(super) record: &'a InRecord,
}

impl Letter<'_> {
    /// An error header as text.
    fn text(&self, name: &str) -> Option<String> {
        let is_named = |header: &str| ERROR_HEADERS.iter().any(|prefix| header.strip_prefix(prefix) == Some(name));
        let (_, value) = self.record.headers.iter().rev().find(|(header, _)| is_named(header))?;
        Some(String::from_utf8_lossy(value.as_ref()?).into_owned())
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// Whether it belongs to a connector: several may share a topic. Without context headers nobody can say.
    pub(super) fn is_of(&self, connector: &str) -> bool {
        self.text("connector.name").is_none_or(|name| name == connector)
    }

    /// Where the record was read first.
    pub(super) fn place(&self) -> Option<(String, i32, i64)> {
        Some((self.text("topic")?, self.number("partition")?, self.number("offset")?))
    }

    /// Whether the value was too large to be kept.
    pub(super) fn lacks_value(&self) -> bool {
        self.text("value.omitted").is_some()
    }

    /// Headers that the record had before it failed.
    pub(super) fn own_headers(&self) -> Vec<(Arc<str>, Option<Bytes>)> {
        let is_own = |name: &str| !ERROR_HEADERS.iter().any(|prefix| name.starts_with(prefix));
        self.record.headers.iter().filter(|(name, _)| is_own(name)).cloned().collect()
    }

    pub(super) fn passes(&self, filter: &LetterFilter, state: LetterState) -> bool {
        let is =
            |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|w| self.text(name).as_ref() == Some(w));
        let time = self.number::<i64>("time");
        is(&filter.stage, "stage")
            && is(&filter.kind, "kind")
            && is(&filter.field, "field")
            && is(&filter.code, "code")
            && filter.state.is_none_or(|wanted| wanted == state)
            && filter.since_ms.is_none_or(|since| time.is_some_and(|time| time >= since))
            && filter.before_ms.is_none_or(|before| time.is_some_and(|time| time < before))
    }

    pub(super) fn view(&self, state: LetterState, contents: bool) -> LetterView {
        let json = |name: &str| self.text(name).and_then(|text| serde_json::from_str(&text).ok());
        LetterView {
            id: self.id.to_string(),
            state: state.name(),
            topic: self.text("topic"),
            partition: self.number("partition"),
            offset: self.number("offset"),
            source_partition: json("source.partition"),
            source_offset: json("source.offset"),
            task: self.number("task.id"),
            stage: self.text("stage"),
            class: self.text("class.name"),
            exception: self.text("exception.class.name"),
            reason: self.text("exception.message"),
            kind: self.text("kind"),
            field: self.text("field"),
            code: self.text("code"),
            time_ms: self.number("time"),
            replay_of: self.text("replay.of"),
            key_bytes: self.record.key.as_ref().map(Bytes::len),
            value_bytes: self.record.value.as_ref().map(Bytes::len),
            contents: contents.then(|| self.contents()),
        }
    }

    fn contents(&self) -> Contents {
        let headers = self.own_headers().into_iter().map(|(name, value)| (name, shown(value.as_ref()))).collect();
        Contents { key: shown(self.record.key.as_ref()), value: shown(self.record.value.as_ref()), headers }
    }
}

fn shown(bytes: Option<&Bytes>) -> Json {
    let Some(bytes) = bytes else { return Json::Null };
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned())),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_api::position::Offset;

    fn record(headers: &[(&str, &str)]) -> InRecord {
        InRecord {
            offset: Offset(4),
            timestamp_ms: None,
            key: None,
            value: Some(Bytes::from_static(b"\xff")),
            headers: headers.iter().map(|(n, v)| ((*n).into(), Some(Bytes::from((*v).to_owned())))).collect(),
        }
    }

    fn letter(record: &InRecord) -> Letter<'_> {
        Letter { id: LetterId { topic: "dlq".into(), partition: 0, offset: 4 }, record }
    }

    #[test]
    fn contents_are_shown_only_when_they_may_be() {
        let record = record(&[("mine", "secret"), ("__connect.errors.stage", "TASK_PUT")]);
        let hidden = serde_json::to_string(&letter(&record).view(LetterState::Open, false)).unwrap();
        assert!(!hidden.contains("secret") && hidden.contains("TASK_PUT") && hidden.contains(r#""value_bytes":1"#));
        let shown = letter(&record).view(LetterState::Open, true).contents.unwrap();
        assert_eq!(shown.value, json!({"base64": "/w=="}));
        assert_eq!(shown.headers, [("mine".into(), json!("secret"))]);
    }

    #[test]
    fn a_letter_belongs_to_the_connector_that_it_names() {
        let named = record(&[("__connect.errors.connector.name", "a")]);
        assert!(letter(&named).is_of("a") && !letter(&named).is_of("b"));
        assert!(letter(&record(&[])).is_of("b"), "nobody can say");
    }

    #[test]
    fn everything_that_a_filter_names_must_hold() {
        let record = record(&[("__flow.errors.kind", "size"), ("__flow.errors.time", "50")]);
        let passes = |filter: LetterFilter| letter(&record).passes(&filter, LetterState::Open);
        let base =
            LetterFilter { kind: Some("size".into()), since_ms: Some(50), before_ms: Some(51), ..Default::default() };
        assert!(passes(base.clone()));
        assert!(!passes(LetterFilter { kind: Some("null".into()), ..base.clone() }));
        assert!(!passes(LetterFilter { field: Some("f".into()), ..base.clone() }));
        assert!(!passes(LetterFilter { before_ms: Some(50), ..base.clone() }));
        assert!(!passes(LetterFilter { state: Some(LetterState::Replayed), ..base }));
    }
}
