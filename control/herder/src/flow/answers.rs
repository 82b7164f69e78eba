//! What is said of limits: the same in REST, command line, metrics.
use super::picture::Picture;
use super::service::FlowHandle;
use crate::answer::ConnectorKind;
use crate::error::HerderError;
use elasticflow_store::flow::{CapRow, GroupRow, LimitRow, ReasonRow};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// Reasons that a runtime gives by itself, in words.
const OF_TASKS: &[(&str, &str, &str)] = &[
    ("RATE", "a rate of its configuration is reached", "raise flow.rate.records or flow.rate.bytes"),
    ("OVERRIDE", "a rate that an operator has set is reached", "change or delete the limit"),
    (
        "CAP",
        "a topic holds as many unconsumed bytes as it may",
        "start or stop the sink named, or raise flow.cap.bytes",
    ),
];

/// State and reasons of a connector.
struct Standing {
    state: String,
    reasons: Vec<ReasonRow>,
}

impl FlowHandle {
    /// `GET /flow/v1/connectors/{name}`.
    ///
    /// # Errors
    /// As for [`crate::HerderHandle::info`].
    pub async fn connector(&self, name: &str) -> Result<Json, HerderError> {
        let info = self.herder.info(name).await?;
        let status = self.herder.status(name).await.ok();
        let (flow, tasks) = (self.flow_of(name), self.tasks_of(name));
        let picture = self.picture();
        let mut answer = json!({
            "name": name,
            "type": info.kind,
            "state": status.as_ref().map(|s| s.connector.state),
        });
        if let (Some(source), Some(members)) = (picture.sources.get(name), answer.as_object_mut()) {
            members.insert("priority".to_owned(), json!(source.priority));
            members.insert("weight".to_owned(), json!(source.weight));
        }
        let own = flow.as_object().cloned().unwrap_or_default();
        if let Some(members) = answer.as_object_mut() {
            members.extend(own);
            members.insert("tasks".to_owned(), tasks);
        }
        let consumers = match info.kind {
            ConnectorKind::Source => {
                self.groups_where(|_, topics| picture.sources.get(name).is_some_and(|s| !s.topics.is_disjoint(topics)))
            }
            ConnectorKind::Sink | ConnectorKind::Unknown => self.groups_where(|view, _| view.as_deref() == Some(name)),
        };
        if let Some(members) = answer.as_object_mut() {
            members.insert("groups".to_owned(), consumers);
        }
        Ok(answer)
    }

    /// `GET /flow/v1/throttle`: who is limited, by whom, why.
    ///
    /// # Errors
    /// As for [`crate::HerderHandle::connectors`].
    pub async fn throttle(&self, sees: impl Fn(&str) -> bool) -> Result<Json, HerderError> {
        let mut limited = Vec::new();
        for name in self.herder.connectors().await?.iter().filter(|name| sees(name)) {
            let flow = self.flow_of(name);
            if flow.pointer("/flow/state").and_then(Json::as_str) != Some("free") {
                let mut row = Map::from_iter([("name".to_owned(), json!(name))]);
                row.extend(flow.as_object().cloned().unwrap_or_default());
                limited.push(Json::Object(row));
            }
        }
        Ok(json!({ "limited": limited, "groups": self.groups_where(|sink, _| sink.as_deref().is_none_or(&sees)) }))
    }

    /// `GET /flow/v1/lag/groups`.
    ///
    /// # Errors
    /// As for [`crate::HerderHandle::connectors`].
    pub async fn lag(&self, sees: impl Fn(&str) -> bool) -> Result<Json, HerderError> {
        self.herder.connectors().await?;
        Ok(self.groups_where(|sink, _| sink.as_deref().is_none_or(&sees)))
    }

    fn picture(&self) -> Picture {
        let worker = &self.herder.context.options.worker;
        Picture::of(&self.herder.view.connectors.read(), worker, self.interval.as_secs_f64())
    }

    /// The members `flow`, `limit`, `measured`, `blocked_ratio` of a connector.
    fn flow_of(&self, name: &str) -> Json {
        let board = self.board.lock();
        let (row, measured) = (board.limits.get(name), board.meters.connector(name));
        let of_tasks = measured.tasks.values().map(|m| (m.report.state.as_str(), m.report.reason.as_deref()));
        let standing = standing(row, of_tasks, self.clock.wall_ms());
        let mut answer = json!({
            "flow": {
                "state": standing.state,
                "reasons": standing.reasons.iter().map(reason).collect::<Vec<_>>(),
            },
            "measured": {
                "bytes_per_second": measured.bytes_per_second.round(),
                "records_per_second": measured.records_per_second.round(),
            },
            "blocked_ratio": (measured.blocked_share * 100.0).round() / 100.0,
        });
        if let (Some(row), Some(members)) = (row, answer.as_object_mut()) {
            let limit = json!({
                "bytes_per_second": row.bytes_per_second.map(f64::round),
                "by": "controller",
                "enforced": !row.observed,
                "floor": row.floor.round(),
            });
            members.insert("limit".to_owned(), limit);
            let cap = |cap: &CapRow| {
                let used = if cap.bytes > 0.0 { (cap.used / cap.bytes * 1000.0).round() / 1000.0 } else { 0.0 };
                json!({"topic": cap.topic, "bytes": cap.bytes, "used": used, "by": cap.by})
            };
            members.insert("caps".to_owned(), row.caps.iter().map(cap).collect());
        }
        answer
    }

    fn tasks_of(&self, name: &str) -> Json {
        let measured = self.board.lock().meters.connector(name);
        let of = |(index, meter): (&u32, &super::meters::Meter)| {
            json!({
                "id": index,
                "flow_state": meter.report.state,
                "bytes_per_second": meter.bytes_per_second.round(),
                "records_per_second": meter.records_per_second.round(),
            })
        };
        Json::Array(measured.tasks.iter().map(of).collect())
    }

    fn groups_where(&self, wanted: impl Fn(&Option<String>, &std::collections::BTreeSet<String>) -> bool) -> Json {
        let picture = self.picture();
        let board = self.board.lock();
        let none = std::collections::BTreeSet::new();
        let topics = |group: &String| picture.groups.get(group).map_or(&none, |view| &view.topics);
        let rows = board.groups.iter().filter(|(name, row)| wanted(&row.sink, topics(name)));
        Json::Array(rows.map(|(name, row)| group(name, row)).collect())
    }
}

/// The leader's word first, then what the runtime says of limits of its own.
fn standing<'a>(
    row: Option<&LimitRow>,
    of_tasks: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    now_ms: i64,
) -> Standing {
    let mut state = row.filter(|row| !row.observed).map_or("free", |row| row.state.as_str()).to_owned();
    let mut reasons = row.map(|row| row.reasons.clone()).unwrap_or_default();
    for (of_task, code) in of_tasks {
        let Some(code) = code.filter(|_| of_task != "free") else { continue };
        let known = reasons.iter().any(|reason| reason.code == code);
        if let Some((_, text, action)) = OF_TASKS.iter().find(|(c, _, _)| *c == code).filter(|_| !known) {
            let (text, action) = ((*text).to_owned(), (*action).to_owned());
            reasons.push(ReasonRow { code: code.to_owned(), text, since_ms: now_ms, numbers: BTreeMap::new(), action });
        }
        if known || OF_TASKS.iter().any(|(c, _, _)| *c == code) {
            state = if of_task == "held" || state == "held" { "held" } else { "limited" }.to_owned();
        }
    }
    Standing { state, reasons }
}

fn reason(reason: &ReasonRow) -> Json {
    let since = chrono::DateTime::from_timestamp_millis(reason.since_ms)
        .map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
    json!({
        "code": reason.code,
        "text": reason.text,
        "since": since,
        "numbers": reason.numbers,
        "action": reason.action,
    })
}

fn group(name: &str, row: &GroupRow) -> Json {
    json!({
        "group": name,
        "sink": row.sink,
        "limited": row.limited,
        "lag_bytes": row.lag_bytes.round(),
        "lag_records": row.lag_records,
        "capacity_bytes_per_s": row.capacity.round(),
        "drain_ms": (row.lag_bytes / row.capacity.max(1024.0) * 1000.0).round(),
        "target_ms": row.target_ms,
        "limit_bytes_per_s": row.limit.map(f64::round),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str, observed: bool, code: &str) -> LimitRow {
        let reason = ReasonRow {
            code: code.to_owned(),
            text: "because".to_owned(),
            since_ms: 1_000,
            numbers: BTreeMap::new(),
            action: "act".to_owned(),
        };
        LimitRow {
            v: 1,
            state: state.to_owned(),
            bytes_per_second: Some(1.0),
            observed,
            floor: 0.0,
            tasks: Vec::new(),
            reasons: vec![reason],
            caps: Vec::new(),
        }
    }

    #[test]
    fn the_leaders_reason_comes_first_and_a_static_rate_beside_it() {
        let row = row("limited", false, "LAG");
        let tasks = [("limited", Some("LAG")), ("limited", Some("RATE"))];
        let standing = standing(Some(&row), tasks.into_iter(), 5);
        let codes: Vec<&str> = standing.reasons.iter().map(|r| r.code.as_str()).collect();
        assert_eq!((standing.state.as_str(), codes), ("limited", vec!["LAG", "RATE"]));
    }

    #[test]
    fn a_limit_that_is_only_observed_leaves_the_connector_free() {
        let standing = standing(Some(&row("limited", true, "LAG")), [].into_iter(), 5);
        assert_eq!(standing.state, "free");
        assert_eq!(standing.reasons.len(), 1, "what would be is shown");
    }

    #[test]
    fn a_reason_says_since_when() {
        let answer = reason(&row("held", false, "CAP").reasons[0]);
        assert_eq!(answer["since"], "1970-01-01T00:00:01.000Z");
    }
}
