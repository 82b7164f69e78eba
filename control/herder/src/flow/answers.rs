//! What is said of limits: the same in REST, command line, metrics.
use super::picture::Picture;
use super::quotas;
use super::service::FlowHandle;
use crate::answer::ConnectorKind;
use crate::error::HerderError;
use crate::pools::rules_in_words;
use crate::queue::reason_of;
use elasticflow_config::flow::{FlowState, PlacementSettings, ReasonCode, settings_of};
use elasticflow_config::parse;
use elasticflow_store::flow::{CapRow, GroupRow, LimitRow, QuotaRow, ReasonRow};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// A reason that a runtime gives by itself, in words.
fn words(code: &str) -> &'static str {
    match code {
        "RATE" => "a rate of its configuration is reached",
        "CAP" => "a topic holds as many unconsumed bytes as it may",
        "QUOTA" => "its part of the quota is used up",
        "MEMORY_PRESSURE" => "the memory of its worker is nearly used up, and it reads smaller batches",
        "BREAKER" => "the system at the other end fails: it is left alone but for single trials",
        _ => "a limit of the task",
    }
}

/// What an open breaker rests on: a person, or what the system at the other end has said.
fn say_more(reason: &mut ReasonRow, forced_open: bool, said: Option<&str>) {
    if forced_open {
        "a person holds the breaker open: no call is made".clone_into(&mut reason.text);
        r#"POST {"action":"auto"} to /flow/v1/connectors/{name}/breaker"#.clone_into(&mut reason.action);
    } else if let Some(said) = said {
        reason.text = format!("{}: {said}", reason.text);
    }
}

/// State and reasons of a connector.
struct Standing {
    state: &'static str,
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
        Picture::of(&self.herder.view.all(), worker, self.interval.as_secs_f64())
    }

    /// The members `flow`, `limit`, `measured`, `blocked_ratio` of a connector.
    fn flow_of(&self, name: &str) -> Json {
        let board = self.board.lock();
        let (row, measured) = (board.limits.get(name), board.meters.connector(name));
        let (now, now_ms) = (self.clock.monotonic(), self.clock.wall_ms());
        let of_tasks = measured.tasks.values().filter_map(|meter| {
            let passed = i64::try_from(now.saturating_sub(meter.since).as_millis()).unwrap_or(i64::MAX);
            Some((meter.report.state.as_str(), meter.report.reason.as_deref()?, now_ms.saturating_sub(passed)))
        });
        let mut standing = standing(row, of_tasks);
        let said = |code: ReasonCode| {
            let mut of_tasks = measured.tasks.values().map(|meter| &meter.report);
            of_tasks.find(|task| task.reason.as_deref() == Some(code.code()))?.detail.as_deref()
        };
        let memory = ReasonCode::MemoryPressure;
        for reason in standing.reasons.iter_mut().filter(|reason| reason.code == memory.code()) {
            say_more(reason, false, said(memory));
        }
        let forced_open = board.breakers.get(name).is_some_and(|row| row.open);
        for reason in standing.reasons.iter_mut().filter(|reason| reason.code == ReasonCode::Breaker.code()) {
            say_more(reason, forced_open, said(ReasonCode::Breaker));
        }
        if let Some(waiting) = self.waiting(name) {
            standing.state = FlowState::Queued.word();
            standing.reasons.insert(0, waiting);
        }
        let quota = board.quotas.get(name).map(|row| (row, quotas::used(row, &measured)));
        for reason in standing.reasons.iter_mut().filter(|reason| reason.code == ReasonCode::Quota.code()) {
            if let Some((row, used)) = quota.filter(|(row, used)| quotas::is_used_up(row, *used)) {
                (reason.text, reason.numbers) = (quotas::tell(row, used), quotas::numbers(row, used));
            }
        }
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
        if let (Some((row, used)), Some(members)) = (quota, answer.as_object_mut()) {
            members.insert("quota".to_owned(), quota_of(row, used));
        }
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

    /// Why tasks of a connector wait for room in their pool, if any do.
    fn waiting(&self, name: &str) -> Option<ReasonRow> {
        let known = self.herder.view.connectors.read().get(name).cloned()?;
        let (first, count) = (known.waiting.values().min_by_key(|task| task.since_ms)?, known.waiting.len());
        let settings = settings_of(&known.config, &self.herder.context.options.worker);
        let asked = parse::<PlacementSettings>(&settings).ok()?;
        let workers =
            self.herder.view.workers.read().iter().filter(|w| w.room.pool == asked.pool && w.slots > 0).count();
        let full = match workers {
            0 => format!("no worker serves pool {}", asked.pool),
            workers => format!("none of the {workers} workers of pool {} has room", asked.pool),
        };
        let rules = self.herder.view.pools.read().get(asked.pool.as_str()).map(rules_in_words).unwrap_or_default();
        let code = reason_of(first.slot);
        #[expect(clippy::cast_precision_loss, reason = "shown")]
        let number = |number: u64| number as f64;
        Some(ReasonRow {
            code: code.code().to_owned(),
            text: format!(
                "{count} of {} tasks wait: {full} for {} capacity units and {} bytes of memory{rules}",
                known.tasks.len(),
                asked.weight,
                asked.memory
            ),
            since_ms: first.since_ms,
            numbers: BTreeMap::from([
                ("waiting".to_owned(), number(count as u64)),
                ("weight".to_owned(), f64::from(asked.weight)),
                ("memory_bytes".to_owned(), number(asked.memory)),
                ("workers".to_owned(), number(workers as u64)),
            ]),
            action: code.action().to_owned(),
        })
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

/// The leader's word first, then what the runtime says of limits of its own: state, code and since when, task by task.
/// The least free state is the connector's.
fn standing<'a>(row: Option<&LimitRow>, of_tasks: impl Iterator<Item = (&'a str, &'a str, i64)>) -> Standing {
    let mut state =
        row.filter(|row| !row.observed).and_then(|row| FlowState::of(&row.state)).unwrap_or(FlowState::Free);
    let mut reasons = row.map(|row| row.reasons.clone()).unwrap_or_default();
    for (of_task, code, since_ms) in of_tasks {
        let of_task = FlowState::of(of_task).unwrap_or(FlowState::Free);
        // The leader alone says LAG, and says it longer than the task waits.
        if of_task == FlowState::Free || (code == "LAG" && !reasons.iter().any(|r| r.code == code)) {
            continue;
        }
        state = state.max(of_task);
        match reasons.iter_mut().find(|reason| reason.code == code) {
            Some(known) => known.since_ms = known.since_ms.min(since_ms),
            None => {
                let action = ReasonCode::of(code).map(ReasonCode::action).unwrap_or_default().to_owned();
                let (code, text) = (code.to_owned(), words(code).to_owned());
                reasons.push(ReasonRow { code, text, since_ms, numbers: BTreeMap::new(), action });
            }
        }
    }
    Standing { state: state.word(), reasons }
}

fn quota_of(row: &QuotaRow, used: quotas::Both) -> Json {
    json!({
        "window": row.window,
        "time_zone": row.zone,
        "resets": row.end_ms.and_then(super::hooks::time),
        "records": row.most[0].map(|most| json!({"used": used[0], "most": most})),
        "bytes": row.most[1].map(|most| json!({"used": used[1], "most": most})),
    })
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
        let tasks = [("limited", "LAG", 5), ("limited", "RATE", 7)];
        let standing = standing(Some(&row), tasks.into_iter());
        let told: Vec<_> = standing.reasons.iter().map(|r| (r.code.as_str(), r.since_ms)).collect();
        assert_eq!((standing.state, told), ("limited", vec![("LAG", 5), ("RATE", 7)]));
    }

    #[test]
    fn a_limit_that_is_only_observed_leaves_the_connector_free() {
        let standing = standing(Some(&row("limited", true, "LAG")), [].into_iter());
        assert_eq!(standing.state, "free");
        assert_eq!(standing.reasons.len(), 1, "what would be is shown");
    }

    #[test]
    fn an_open_breaker_is_the_state_of_its_connector_and_says_why() {
        let tasks = [("limited", "RATE", 1), ("breaker_open", "BREAKER", 2), ("breaker_half_open", "BREAKER", 3)];
        let standing = standing(None, tasks.into_iter());
        assert_eq!(standing.state, "breaker_open");
        let breaker = standing.reasons.iter().find(|r| r.code == "BREAKER").unwrap();
        assert_eq!(breaker.since_ms, 2);
        assert!(breaker.text.contains("fails") && breaker.action.contains("closes by itself"), "{breaker:?}");
    }

    #[test]
    fn a_reason_says_since_when() {
        let answer = reason(&row("held", false, "CAP").reasons[0]);
        assert_eq!(answer["since"], "1970-01-01T00:00:01.000Z");
    }
}
