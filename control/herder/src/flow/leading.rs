//! The leader's part: look, judge, decide, publish; once a period.
use super::board::Board;
use super::capping::{Capping, Caps};
use super::decision::{Bottlenecks, add_alarms, add_caps, differs, divide, floors, is_limited, keep_since, row};
use super::incidents::{Incidents, Moment, findings};
use super::meters::Measured;
use super::picture::Picture;
use super::pressing::Pressing;
use super::quotas::Quotas;
use super::retention::{Guarded, Retention};
use super::sampling::{Look, Partitions, look};
use super::tracking::{Inputs, Judged, Tracking};
use crate::handle::HerderHandle;
use crate::options::ExactlyOnce;
use elasticflow_api::clock::Clock;
use elasticflow_flow::{Group, Law, Mode, Why};
use elasticflow_kafka::ports::Kafka;
use elasticflow_store::flow::{FlowRecord, FlowTopic, GrantRow, GroupRow, LimitRow, VERSION};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A row whose numbers tremble is written again after so many periods, so that what is shown is not old.
const REFRESH: u64 = 5;

/// Everything the leader works with.
pub(crate) struct Lead {
    pub(crate) handle: HerderHandle,
    pub(crate) kafka: Arc<dyn Kafka>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) board: Arc<Mutex<Board>>,
    pub(crate) topic: Arc<FlowTopic>,
    pub(crate) interval: Duration,
    pub(crate) tracking: Tracking,
    pub(crate) partitions: Partitions,
    pub(crate) capping: Capping,
    pub(crate) quota_memory: Quotas,
    pub(crate) retention: Retention,
    pub(crate) pressing: Pressing,
    /// `worker.cpu.goal`.
    pub(crate) goal: f64,
    pub(crate) incidents: Incidents,
    pub(crate) periods: u64,
}

impl Lead {
    /// One period. `still_leads` is asked right before anything is written.
    pub(crate) async fn period(&mut self, still_leads: impl Fn() -> bool) {
        let began = self.clock.monotonic();
        let mut picture = self.picture();
        self.resume(&picture);
        let clock = Arc::clone(&self.clock);
        let admin = self.kafka.admin();
        // Before the look, so that what they say was sent is seen to have arrived.
        let measured = self.measured(&picture);
        let look = look(&picture, &mut self.partitions, admin.as_ref(), move || clock.monotonic()).await;
        picture.derive_caps(|t| self.retention.bytes_of(t), |t| look.ends.get(t).map_or(0, BTreeMap::len));
        let guarded = Guarded {
            picture: &picture,
            look: &look,
            size: &|topic| self.tracking.size(topic),
            extended: self.board.lock().retentions.clone(),
            now_ms: self.clock.wall_ms(),
        };
        let kept = self.retention.period(&guarded, admin.as_ref()).await;
        let mut rows = self.decide(&picture, &look, &measured);
        rows.extend(self.quotas());
        rows.extend(kept);
        if !still_leads() {
            return;
        }
        for row in rows.into_iter().chain(self.incidents().await) {
            self.topic.put(&row);
        }
        self.periods += 1;
        self.board.lock().period = self.clock.monotonic().saturating_sub(began);
    }

    /// What is wrong, told where that is wanted; and breakers of connectors that are gone are forgotten.
    async fn incidents(&mut self) -> Vec<FlowRecord> {
        let (findings, forgotten) = {
            let board = self.board.lock();
            self.incidents.read_back(&board.alerts);
            let connectors = self.handle.view.all();
            let gone = board.breakers.keys().filter(|name| !connectors.contains_key(*name));
            let forget = |name: &String| FlowRecord::Breaker { connector: name.clone(), row: None };
            let past = board.acks.keys().filter(|alert| !board.alerts.contains_key(*alert));
            let past = past.map(|alert| FlowRecord::Ack { alert: alert.clone(), row: None });
            let mut findings = findings(&connectors, &board);
            for (topic, risk) in self.retention.risks() {
                findings.at_retention(topic, risk);
            }
            (findings, gone.map(forget).chain(past).collect::<Vec<_>>())
        };
        let options = &self.handle.context.options;
        let link = format!("{}/flow/v1/alerts", options.url);
        let (now, now_ms) = (self.clock.monotonic(), self.clock.wall_ms());
        let moment = Moment { now, now_ms, cluster: &options.group_id, link: &link };
        let mut rows = self.incidents.period(findings, &moment).await;
        rows.extend(forgotten);
        rows
    }

    fn picture(&self) -> Picture {
        let worker = &self.handle.context.options.worker;
        Picture::of(&self.handle.view.all(), worker, self.interval.as_secs_f64())
    }

    /// Groups that this leader does not know go on from their row; without one, from the limits in force.
    fn resume(&mut self, picture: &Picture) {
        let board = self.board.lock();
        for (name, view) in picture.groups.iter().filter(|(_, view)| view.steers) {
            if self.tracking.knows(name) {
                continue;
            }
            let feeding = picture.sources.iter().filter(|(_, s)| !s.topics.is_disjoint(&view.topics));
            let in_force = || feeding.filter_map(|(n, _)| board.limits.get(n)?.bytes_per_second).sum::<f64>();
            let state = match board.groups.get(name) {
                Some(row) => stored(row),
                None => Group::adopt(Some(in_force()).filter(|sum| *sum > 0.0).unwrap_or(f64::INFINITY)),
            };
            self.tracking.resume(name, state);
        }
    }

    /// How sources fare, by the last reports.
    fn measured(&self, picture: &Picture) -> BTreeMap<String, Measured> {
        let mut board = self.board.lock();
        board.meters.forget_silent(self.clock.monotonic());
        picture.sources.keys().map(|n| (n.clone(), board.meters.connector(n))).collect()
    }

    fn decide(&mut self, picture: &Picture, look: &Look, measured: &BTreeMap<String, Measured>) -> Vec<FlowRecord> {
        let mut board = self.board.lock();
        let sinks = picture.groups.values().filter_map(|g| g.sink.as_ref());
        let taken: BTreeMap<_, _> = sinks.map(|n| (n.clone(), board.meters.total(n))).collect();
        let floors = floors(picture, |g| self.tracking.capacity(g), |t| self.tracking.size(t));
        let law = Law { period: self.interval.as_secs_f64(), ..Law::default() };
        let inputs = Inputs { picture, look, measured, taken: &taken, law, floors: &floors };
        let judged = self.tracking.period(&inputs);
        board.invalid_samples += judged.values().filter(|g| g.state.age > 0.0).count() as u64;
        let pressed = self.pressing.period(&board.meters, self.goal, |name| picture.sources.contains_key(name));
        let bottlenecks = Bottlenecks { groups: &judged, workers: &pressed };
        let decided = divide(picture, bottlenecks, measured, &floors);
        let caps = Caps {
            picture,
            look,
            measured,
            grants: &board.grants,
            period: self.interval.as_secs_f64(),
            now: look.at,
            floors: &floors,
            fenced: self.handle.context.options.exactly_once == ExactlyOnce::Enabled,
        };
        let mut granted = self.capping.period(&caps);
        let (now_ms, refresh) = (self.clock.wall_ms(), self.periods.is_multiple_of(REFRESH));
        let mut rows = group_rows(picture, &judged, &board, now_ms, refresh);
        for (name, decided) in &decided {
            let now = measured.get(name).cloned().unwrap_or_default();
            let mut new = row(name, decided, picture, bottlenecks, &now);
            let caps = granted.remove(name).unwrap_or_default();
            match picture.sources.get(name).is_some_and(|source| source.holds) {
                true => add_caps(&mut new, caps.caps, &now),
                false => add_alarms(&mut new, caps.caps),
            }
            let own = picture.sources.get(name).into_iter().flat_map(|source| &source.topics);
            new.reasons.extend(own.filter_map(|topic| Some(self.retention.risks().get(topic)?.reason(topic))));
            rows.extend(grant_row(name, caps.row, board.grants.get(name)));
            let old = board.limits.get(name);
            keep_since(&mut new, old, now_ms);
            tell(name, &new, old);
            let is_news = match old {
                None => new.bytes_per_second.is_some() || !new.caps.is_empty() || !new.reasons.is_empty(),
                Some(old) => {
                    differs(&new, old) || (refresh && !(new.bytes_per_second.is_none() && new.caps.is_empty()))
                }
            };
            if is_news {
                rows.push(FlowRecord::Limit { connector: name.clone(), row: Some(new) });
            }
        }
        let gone = board.limits.keys().filter(|name| !decided.contains_key(*name));
        rows.extend(gone.map(|name| FlowRecord::Limit { connector: name.clone(), row: None }));
        let gone = board.grants.keys().filter(|name| !decided.contains_key(*name));
        rows.extend(gone.map(|name| FlowRecord::Grant { connector: name.clone(), row: None }));
        rows
    }
}

/// A grant that has changed; none any more for a source whose cap was taken away.
fn grant_row(name: &str, new: Option<GrantRow>, old: Option<&GrantRow>) -> Option<FlowRecord> {
    (new.as_ref() != old).then(|| FlowRecord::Grant { connector: name.to_owned(), row: new })
}

/// A change of a connector's flow state is said once.
fn tell(name: &str, new: &LimitRow, old: Option<&LimitRow>) {
    let before = old.map_or("free", |row| row.state.as_str());
    if new.state == before {
        return;
    }
    match new.reasons.first() {
        Some(reason) => {
            let (code, text, limit) = (&reason.code, &reason.text, new.bytes_per_second.unwrap_or_default().round());
            tracing::info!(connector = name, state = new.state, code, limit, "flow: {text}");
        }
        None => tracing::info!(connector = name, state = new.state, "flow: no limit of the controller binds"),
    }
}

/// Rows of groups: each period while they limit, else when something has changed, and forgotten when they are.
fn group_rows(
    picture: &Picture,
    judged: &BTreeMap<String, Judged>,
    board: &Board,
    now_ms: i64,
    refresh: bool,
) -> Vec<FlowRecord> {
    let mut rows = Vec::new();
    for (name, judged) in judged {
        let sink = picture.groups.get(name).and_then(|view| view.sink.clone());
        let new = row_of(judged, sink, now_ms);
        let is_news = board.groups.get(name).is_none_or(|old| {
            is_limited(judged) || old.limited || (refresh && GroupRow { at_ms: old.at_ms, ..new.clone() } != *old)
        });
        if is_news {
            rows.push(FlowRecord::Group { name: name.clone(), row: Some(new) });
        }
    }
    let gone = board.groups.keys().filter(|name| !judged.contains_key(*name));
    rows.extend(gone.map(|name| FlowRecord::Group { name: name.clone(), row: None }));
    rows
}

fn row_of(judged: &Judged, sink: Option<String>, at_ms: i64) -> GroupRow {
    let state = &judged.state;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a target, positive")]
    let target_ms = (judged.law.target * 1000.0) as u64;
    GroupRow {
        v: VERSION,
        limited: state.mode == Mode::Limited,
        capacity: state.capacity,
        integral: state.integral,
        limit: Some(state.limit).filter(|limit| limit.is_finite()),
        lag_bytes: state.lag,
        lag_records: judged.lag_records.round(),
        calm: state.calm,
        age: state.age,
        target_ms,
        sink,
        at_ms,
    }
}

/// What a new leader goes on from.
fn stored(row: &GroupRow) -> Group {
    Group {
        mode: if row.limited { Mode::Limited } else { Mode::Free },
        capacity: row.capacity,
        integral: row.integral,
        limit: row.limit.unwrap_or(f64::INFINITY),
        lag: row.lag_bytes,
        calm: row.calm,
        age: 0.0,
        why: if row.limited { Why::Lag } else { Why::Nothing },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_leader_goes_on_from_what_is_stored() {
        let state = Group {
            mode: Mode::Limited,
            capacity: 4e6,
            integral: 0.25,
            limit: 3.5e6,
            lag: 4e7,
            calm: 2,
            age: 0.0,
            why: Why::Lag,
        };
        let judged = Judged { state, law: Law::default(), lag_records: 10.0, shares: BTreeMap::new() };
        let row = row_of(&judged, Some("es".to_owned()), 5);
        assert_eq!(stored(&row), state);
        assert_eq!((row.target_ms, row.sink.as_deref()), (10_000, Some("es")));
    }
}
