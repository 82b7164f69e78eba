//! Incidents: what is wrong is opened once, told once, and resolved once when it is over.
//!
//! The leader keeps them; each is a row of the flow topic, with what was told of it, so that a new leader opens none a
//! second time and tells what is still to be told. Nothing is told before its row was read back: a leader that dies right
//! after it has told of an incident that only it knows of would have its successor open another one. The rows that wait are
//! the queue: it is bounded by [`OPEN_MAX`], and one message is on its way at a time, beside the leader's periods, so that a
//! hook that fails slows nothing down.
use super::board::Board;
use super::hooks::{HookPort, RETRIES, message, message_id, next, wait};
use super::onset::{COMMIT_PENDING, Onset};
use super::quotas::used_up;
use super::retention::Risk;
use crate::answer::RunState;
use crate::view::ConnectorView;
use elasticflow_store::flow::{AlertRow, FlowRecord, Told, VERSION};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Most incidents that are open at a time; more are counted and not kept.
const OPEN_MAX: usize = 1_000;
/// Most that are over and still shown, and for how long.
const OVER_MAX: usize = 500;
const SHOWN_MS: i64 = 24 * 3_600_000;
/// A source at its cap is held and let go by turns, and a breaker before a system that fails now and then opens and closes
/// by turns: that is one incident, and over when it has not been so for so long.
const CALM: Duration = Duration::from_secs(30);
/// Longest text of an incident.
const TEXT_MAX: usize = 500;

/// Kind and subject.
pub(super) type Key = (&'static str, String);

/// Something that is wrong now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    connector: String,
    text: String,
}

/// What is wrong, and of what nothing is known: that stays as it is.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    wrong: BTreeMap<Key, Condition>,
    unknown: BTreeSet<Key>,
}

impl Findings {
    /// What was not read of a topic is about to be deleted: one incident at each share that is told.
    pub(crate) fn at_retention(&mut self, topic: &str, risk: &Risk) {
        let told = [(0.5, topic.to_owned()), (0.9, format!("{topic} (90 %)"))];
        for (_, subject) in told.into_iter().filter(|(part, _)| risk.used >= *part) {
            let condition = Condition { connector: risk.connector.clone(), text: risk.text(topic) };
            self.wrong.insert(("retention_risk", subject), condition);
        }
    }
}

/// A message on its way.
struct Flying {
    id: String,
    what: Told,
    answer: JoinHandle<Result<(), String>>,
}

/// Everything the leader knows of incidents.
pub(crate) struct Incidents {
    hook: Option<Arc<dyn HookPort>>,
    rows: BTreeMap<String, AlertRow>,
    /// What is to be told next of rows as they were read back.
    stored: BTreeMap<String, Told>,
    flying: Option<Flying>,
    /// When a message that failed is tried again.
    due: BTreeMap<String, Duration>,
    /// Since when the condition of an open incident is not there any more.
    calm: BTreeMap<String, Duration>,
    onset: Onset,
    overflowed: bool,
}

/// What a period happens in.
pub(crate) struct Moment<'a> {
    pub(crate) now: Duration,
    pub(crate) now_ms: i64,
    pub(crate) cluster: &'a str,
    pub(crate) link: &'a str,
}

impl Incidents {
    pub(crate) fn new(hook: Option<Arc<dyn HookPort>>) -> Self {
        let (rows, stored, due, calm, onset) = Default::default();
        Self { hook, rows, stored, flying: None, due, calm, onset, overflowed: false }
    }

    /// This worker begins to lead: what others have stored is what it goes on from.
    pub(crate) fn begin(&mut self, stored: &BTreeMap<String, AlertRow>) {
        self.rows.clone_from(stored);
        self.flying = None;
        self.due.clear();
        self.calm.clear();
    }

    /// What has come back of the rows that were written; before each period.
    pub(crate) fn read_back(&mut self, stored: &BTreeMap<String, AlertRow>) {
        self.stored = stored.iter().filter_map(|(id, row)| Some((id.clone(), next(row)?))).collect();
    }

    /// One period: rows that have changed.
    pub(crate) async fn period(&mut self, findings: Findings, moment: &Moment<'_>) -> Vec<FlowRecord> {
        let mut changed = BTreeSet::new();
        self.landed(moment.now, &mut changed).await;
        self.judge(findings, moment, &mut changed);
        self.tell(moment);
        let gone = self.prune(moment.now_ms);
        let row = |id: String| FlowRecord::Alert { row: self.rows.get(&id).cloned(), id };
        changed.into_iter().chain(gone).map(row).collect()
    }

    fn judge(&mut self, findings: Findings, moment: &Moment<'_>, changed: &mut BTreeSet<String>) {
        let Findings { mut wrong, unknown } = findings;
        let open: Vec<String> =
            self.rows.iter().filter(|(_, r)| r.resolved_ms.is_none()).map(|(id, _)| id.clone()).collect();
        for id in &open {
            let Some(row) = self.rows.get_mut(id) else { continue };
            let same = |key: &&Key| key.0 == row.kind && key.1 == row.subject;
            if unknown.iter().any(|key| same(&key)) {
                self.calm.remove(id);
                continue;
            }
            if let Some(key) = wrong.keys().find(same).cloned() {
                wrong.remove(&key);
                self.calm.remove(id);
                continue;
            }
            let since = *self.calm.entry(id.clone()).or_insert(moment.now);
            let by_turns = matches!(row.kind.as_str(), "cap_reached" | "breaker_open" | COMMIT_PENDING);
            let lasts = if by_turns { CALM } else { Duration::ZERO };
            if moment.now.saturating_sub(since) >= lasts {
                self.calm.remove(id);
                row.resolved_ms = Some(moment.now_ms);
                if self.hook.is_none() {
                    row.told = Told::Resolved;
                }
                tracing::info!(kind = row.kind, subject = row.subject, "an incident is over");
                changed.insert(id.clone());
            }
        }
        self.onset.hold_back(&mut wrong, moment.now);
        let mut room = OPEN_MAX.saturating_sub(open.len());
        for ((kind, subject), condition) in wrong {
            if room == 0 {
                if !std::mem::replace(&mut self.overflowed, true) {
                    tracing::error!(most = OPEN_MAX, "too many incidents are open; further ones are not kept");
                }
                break;
            }
            room -= 1;
            tracing::warn!(kind, subject, "an incident begins: {}", condition.text);
            let id = format!("{kind}-{subject}-{}", moment.now_ms);
            let told = if self.hook.is_none() { Told::Opened } else { Told::Nothing };
            let row = AlertRow {
                v: VERSION,
                kind: kind.to_owned(),
                subject,
                connector: condition.connector,
                text: condition.text,
                since_ms: moment.now_ms,
                resolved_ms: None,
                told,
                attempts: 0,
                given_up: 0,
            };
            self.rows.insert(id.clone(), row);
            changed.insert(id);
        }
    }

    /// Takes in the answer of the message that was on its way.
    async fn landed(&mut self, now: Duration, changed: &mut BTreeSet<String>) {
        let Some(flying) = self.flying.take_if(|flying| flying.answer.is_finished()) else { return };
        let Flying { id, what, answer } = flying;
        let answer = answer.await.unwrap_or_else(|_| Err("the delivery has panicked".to_owned()));
        let Some(row) = self.rows.get_mut(&id) else { return };
        match answer {
            Ok(()) => (row.told, row.attempts) = (what, 0),
            Err(error) => {
                row.attempts += 1;
                if row.attempts > RETRIES {
                    tracing::error!(
                        message = message_id(&id, what),
                        error,
                        "the webhook does not take a message; it is given up"
                    );
                    (row.told, row.attempts, row.given_up) = (what, 0, row.given_up + 1);
                } else {
                    let wait = wait(&id, row.attempts);
                    tracing::warn!(
                        message = message_id(&id, what),
                        error,
                        again_in_s = wait.as_secs(),
                        "the webhook did not take a message"
                    );
                    self.due.insert(id.clone(), now + wait);
                }
            }
        }
        changed.insert(id);
    }

    /// Sends the next message off, unless one is on its way.
    fn tell(&mut self, moment: &Moment<'_>) {
        let (Some(hook), None) = (&self.hook, &self.flying) else { return };
        let is_due = |id: &&String| self.due.get(*id).is_none_or(|due| *due <= moment.now);
        let waiting = self.rows.iter().filter_map(|(id, row)| Some((id, row, next(row)?)));
        let waiting = waiting.filter(|(id, _, what)| is_due(id) && self.stored.get(*id) == Some(what));
        let Some((id, row, what)) = waiting.min_by_key(|(_, row, _)| row.since_ms) else { return };
        let body = message(id, row, what, (moment.cluster, moment.link)).to_string().into_bytes();
        let (hook, name, id) = (Arc::clone(hook), message_id(id, what), id.clone());
        self.due.remove(&id);
        let answer = tokio::spawn(async move { hook.tell(&name, body).await });
        self.flying = Some(Flying { id, what, answer });
    }

    /// Forgets what is over and told, the oldest first.
    fn prune(&mut self, now_ms: i64) -> Vec<String> {
        let over = |row: &AlertRow| row.resolved_ms.filter(|_| row.told == Told::Resolved);
        let mut ended: Vec<(i64, String)> =
            self.rows.iter().filter_map(|(id, row)| Some((over(row)?, id.clone()))).collect();
        ended.sort();
        let surplus = ended.len().saturating_sub(OVER_MAX);
        let old = |(at, (ended, _)): &(usize, (i64, String))| *at < surplus || now_ms.saturating_sub(*ended) > SHOWN_MS;
        let gone: Vec<String> = ended.into_iter().enumerate().filter(old).map(|(_, (_, id))| id).collect();
        for id in &gone {
            self.rows.remove(id);
        }
        gone
    }
}

/// What is wrong by statuses, reports and limits.
pub(crate) fn findings(connectors: &BTreeMap<String, Arc<ConnectorView>>, board: &Board) -> Findings {
    let mut findings = Findings::default();
    for (name, view) in connectors {
        let mut found = |kind, subject: String, text: String| {
            let condition = Condition { connector: name.clone(), text: text.chars().take(TEXT_MAX).collect() };
            findings.wrong.insert((kind, subject), condition);
        };
        if let Some(status) = view.status.as_ref().filter(|s| s.state == RunState::Failed) {
            found(
                "connector_failed",
                name.clone(),
                format!("connector {name} has failed: {}", why(status.trace.as_deref())),
            );
        }
        for (task, status) in view.task_statuses.iter().filter(|(_, s)| s.state == RunState::Failed) {
            let text = format!("task {task} of {name} has failed: {}", why(status.trace.as_deref()));
            found("task_failed", format!("{name}/{task}"), text);
        }
        if let Some(reason) = board.limits.get(name).filter(|l| l.state == "held").and_then(|l| l.reasons.first()) {
            found("cap_reached", name.clone(), format!("source {name} is held: {}", reason.text));
        }
        let reasons = board.limits.get(name).into_iter().flat_map(|row| &row.reasons);
        if let Some(over) = reasons.into_iter().find(|reason| reason.numbers.contains_key("over_bytes")) {
            found("retention_risk", format!("{name} (cap)"), format!("source {name}: {}", over.text));
        }
        breaker(name, board, &mut findings);
        commits(name, view, &mut findings);
    }
    for (name, text) in used_up(board).filter(|(name, _)| connectors.contains_key(*name)) {
        let condition = Condition { connector: name.clone(), text: format!("the quota of {name}: {text}") };
        findings.wrong.insert(("quota_used_up", name.clone()), condition);
    }
    findings
}

/// What a trace says in one line: what happened, and what has caused it in the end.
fn why(trace: Option<&str>) -> String {
    let mut lines = trace.unwrap_or("no trace").lines();
    let first = lines.next().unwrap_or_default();
    let cause = lines.filter_map(|line| line.strip_prefix("Caused by: ")).next_back();
    // Only the last part of a class is worth its room.
    let plain = |text: &str| match text.split_once(": ") {
        Some((class, said)) => format!("{}: {said}", class.rsplit('.').next().unwrap_or(class)),
        None => text.to_owned(),
    };
    match cause {
        Some(cause) => format!("{first}; caused by {}", plain(cause)),
        None => first.to_owned(),
    }
}

/// Tasks whose records wait for the destination; an open breaker says as much.
fn commits(name: &str, view: &ConnectorView, findings: &mut Findings) {
    if findings.wrong.contains_key(&("breaker_open", name.to_owned())) {
        return;
    }
    for (task, status) in view.task_statuses.iter().filter(|(_, status)| status.state == RunState::Running) {
        let Some(reason) = status.trace.as_deref().and_then(|trace| trace.strip_prefix("commit_pending: ")) else {
            continue;
        };
        let text = format!("task {task} of {name} waits for its destination: {reason}");
        let condition = Condition { connector: name.to_owned(), text: text.chars().take(TEXT_MAX).collect() };
        findings.wrong.insert((COMMIT_PENDING, format!("{name}/{task}")), condition);
    }
}

/// Open when half or more of its tasks are; over when none is any more.
fn breaker(name: &str, board: &Board, findings: &mut Findings) {
    let tasks = board.meters.connector(name).tasks;
    let open: Vec<_> = tasks.values().filter(|m| m.report.state.starts_with("breaker_")).collect();
    let key = ("breaker_open", name.to_owned());
    if !open.is_empty() && open.len() * 2 >= tasks.len() {
        let said = open.iter().find_map(|m| m.report.detail.as_deref());
        let said = said.map(|said| format!(": {said}")).unwrap_or_default();
        let text = format!("the breaker of {name} is open, the system at its other end fails{said}");
        let condition = Condition { connector: name.to_owned(), text: text.chars().take(TEXT_MAX).collect() };
        findings.wrong.insert(key, condition);
    } else if tasks.is_empty() || !open.is_empty() {
        findings.unknown.insert(key);
    }
}

#[cfg(test)]
#[path = "incidents_tests.rs"]
mod tests;
