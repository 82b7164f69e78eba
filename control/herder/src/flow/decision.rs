//! From what the law says of groups to a limit for each source, with the reason in words.
use super::meters::{Measured, Meter};
use super::picture::{Picture, SourceView};
use super::pressing::Pressed;
use super::tracking::Judged;
use elasticflow_config::flow::LagControl;
use elasticflow_flow::special::{demand, split};
use elasticflow_flow::{Mode, Source, Why, allocate};
use elasticflow_store::flow::{CapRow, LimitRow, ReasonRow, VERSION};
use std::collections::BTreeMap;

/// A floor that is not set is this part of a consumer's capacity, divided among its sources.
const FLOOR_SHARE: f64 = 0.02;
/// And at least one record in so many seconds.
const FLOOR_RECORD_EVERY: f64 = 10.0;
/// A limit shows as limiting when so much of it is used, or when the source waited for so much of the time.
const USED: f64 = 0.9;
const WAITED: f64 = 0.05;

/// What has been decided about one source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decided {
    pub(crate) limit: f64,
    pub(crate) floor: f64,
    /// What binds it, if anything does.
    pub(crate) by: Option<Bottleneck>,
}

/// What keeps a source from going faster.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Bottleneck {
    /// A consumer group is behind.
    Group(String),
    /// A worker is at the end of its processors.
    Worker(String),
}

/// Everything that admits only so much.
#[derive(Clone, Copy)]
pub(crate) struct Bottlenecks<'a> {
    pub(crate) groups: &'a BTreeMap<String, Judged>,
    pub(crate) workers: &'a BTreeMap<String, Pressed>,
}

impl Bottlenecks<'_> {
    fn name(&self, at: usize) -> Option<Bottleneck> {
        let group = || self.groups.keys().nth(at).cloned().map(Bottleneck::Group);
        let worker = || self.workers.keys().nth(at.checked_sub(self.groups.len())?).cloned();
        group().or_else(|| worker().map(Bottleneck::Worker))
    }
}

/// Floors of all sources, bytes per second. `capacity` and `size` are those of groups and topics.
pub(crate) fn floors(
    picture: &Picture,
    capacity: impl Fn(&str) -> f64,
    size: impl Fn(&str) -> f64,
) -> BTreeMap<String, f64> {
    let of = |(name, source): (&String, &SourceView)| {
        let auto = || {
            let feeds = picture.groups.iter().filter(|(_, g)| g.steers && !g.topics.is_disjoint(&source.topics));
            let shares = feeds.map(|(group, view)| {
                let count = picture.sources.values().filter(|s| !s.topics.is_disjoint(&view.topics)).count();
                FLOOR_SHARE * capacity(group) / count.max(1) as f64
            });
            let least = source.topics.iter().map(|t| size(t)).fold(0.0, f64::max) / FLOOR_RECORD_EVERY;
            let smallest = shares.fold(f64::INFINITY, f64::min);
            if smallest.is_finite() { smallest.max(least) } else { least }
        };
        (name.clone(), source.floor.unwrap_or_else(auto))
    };
    picture.sources.iter().map(of).collect()
}

/// Divides what groups and workers admit.
pub(crate) fn divide(
    picture: &Picture,
    bottlenecks: Bottlenecks<'_>,
    measured: &BTreeMap<String, Measured>,
    floors: &BTreeMap<String, f64>,
) -> BTreeMap<String, Decided> {
    let Bottlenecks { groups, workers } = bottlenecks;
    let of_workers = workers.values().map(|worker| worker.limit);
    let limits: Vec<f64> = groups.values().map(|group| group.state.limit).chain(of_workers).collect();
    let taking: Vec<(&String, &SourceView)> =
        picture.sources.iter().filter(|(_, s)| s.control != LagControl::Off).collect();
    let source = |(name, view): &(&String, &SourceView)| {
        let now = measured.get(*name).cloned().unwrap_or_default();
        let shares = groups.values().map(|group| &group.shares).chain(workers.values().map(|worker| &worker.shares));
        Source {
            priority: view.priority,
            weight: view.weight,
            floor: floors.get(*name).copied().unwrap_or(0.0),
            rate_max: view.rate_max,
            demand: demand(now.bytes_per_second, now.held_back),
            shares: shares.enumerate().filter_map(|(at, of)| Some((at, *of.get(*name)?))).collect(),
        }
    };
    let sources: Vec<Source> = taking.iter().map(source).collect();
    let rates = allocate(&sources, &limits);
    let decide = |((name, _), (source, rate)): (&(&String, &SourceView), (&Source, f64))| {
        let binds = |(at, _): &&(usize, f64)| limits.get(*at).is_some_and(|limit| limit.is_finite());
        let tightest = source.shares.iter().filter(binds).min_by(|a, b| {
            let admits = |(at, share): &(usize, f64)| limits.get(*at).copied().unwrap_or(f64::INFINITY) / share;
            admits(a).total_cmp(&admits(b))
        });
        let by = tightest.and_then(|(at, _)| bottlenecks.name(*at));
        // Its own static limit is enforced by itself: what is decided here is what others admit.
        let limit = if by.is_some() { rate } else { f64::INFINITY };
        ((*name).clone(), Decided { limit, floor: source.floor, by })
    };
    let off = picture.sources.iter().filter(|(_, s)| s.control == LagControl::Off).map(|(name, _)| {
        let floor = floors.get(name).copied().unwrap_or(0.0);
        (name.clone(), Decided { limit: f64::INFINITY, floor, by: None })
    });
    taking.iter().zip(sources.iter().zip(rates)).map(decide).chain(off).collect()
}

/// The row of a source, in words for people.
pub(crate) fn row(
    name: &str,
    decided: &Decided,
    picture: &Picture,
    bottlenecks: Bottlenecks<'_>,
    measured: &Measured,
) -> LimitRow {
    let observed = picture.sources.get(name).is_some_and(|s| s.control == LagControl::Observe);
    let finite = decided.limit.is_finite();
    let used = measured.bytes_per_second >= USED * decided.limit || measured.held_back > WAITED;
    let is_limited = finite && used;
    let reasons = if is_limited { why(name, decided, picture, bottlenecks).into_iter().collect() } else { Vec::new() };
    let count = picture.sources.get(name).map_or(0, |s| s.tasks);
    let sent = |index: usize| {
        let task = u32::try_from(index).ok().and_then(|i| measured.tasks.get(&i));
        task.map_or(0.0, |m| m.bytes_per_second)
    };
    let sent: Vec<f64> = (0..count).map(sent).collect();
    LimitRow {
        v: VERSION,
        state: if is_limited { "limited" } else { "free" }.to_owned(),
        bytes_per_second: finite.then_some(decided.limit),
        observed,
        floor: decided.floor,
        tasks: if finite { split(decided.limit, &sent) } else { Vec::new() },
        reasons,
        caps: Vec::new(),
    }
}

/// Adds that more is unconsumed than a cap allows at which the source goes on.
pub(crate) fn add_alarms(row: &mut LimitRow, caps: Vec<CapRow>) {
    row.caps = caps;
    for cap in row.caps.iter().filter(|cap| cap.used > cap.bytes) {
        let by = if cap.by.is_empty() { "its consumers" } else { cap.by.as_str() };
        let over = cap.used - cap.bytes;
        let text = format!(
            "topic {} holds {:.1} MB that {by} has not consumed, {:.1} MB above the cap of {:.1} MB; the source goes on (flow.cap.action=alarm), and what the broker deletes is lost to them",
            cap.topic,
            cap.used / 1e6,
            over / 1e6,
            cap.bytes / 1e6
        );
        let numbers = [("used_bytes", cap.used), ("cap_bytes", cap.bytes), ("over_bytes", over)];
        let numbers = numbers.into_iter().map(|(name, n)| (name.to_owned(), n.round())).collect();
        let action = "start or stop the sink named, raise flow.cap.bytes, or set flow.cap.action=hold".to_owned();
        row.reasons.push(ReasonRow { code: "RETENTION_RISK".to_owned(), text, since_ms: 0, numbers, action });
    }
}

/// Adds what caps do to a source: it is held while a task of it waits for a grant.
pub(crate) fn add_caps(row: &mut LimitRow, caps: Vec<CapRow>, measured: &Measured) {
    let waits = |m: &Meter| m.report.state == "held" && m.report.reason.as_deref() == Some("CAP");
    row.caps = caps;
    let fullest = row.caps.iter().max_by(|a, b| (a.used / a.bytes).total_cmp(&(b.used / b.bytes)));
    let Some(cap) = fullest.filter(|_| measured.tasks.values().any(waits)) else { return };
    let mb = |bytes: f64| bytes / 1e6;
    let by = if cap.by.is_empty() { "its consumers" } else { cap.by.as_str() };
    let text = format!(
        "topic {} holds {:.1} MB that {by} has not consumed; it may hold {:.1} MB, what is on its way included",
        cap.topic,
        mb(cap.used),
        mb(cap.bytes)
    );
    let numbers = [("used_bytes".to_owned(), cap.used.round()), ("cap_bytes".to_owned(), cap.bytes)].into();
    let action = "start or stop the sink named, or raise flow.cap.bytes".to_owned();
    let reason = ReasonRow { code: "CAP".to_owned(), text, since_ms: 0, numbers, action };
    row.reasons.insert(0, reason);
    "held".clone_into(&mut row.state);
}

fn why(name: &str, decided: &Decided, picture: &Picture, of: Bottlenecks<'_>) -> Option<ReasonRow> {
    match decided.by.as_ref()? {
        Bottleneck::Group(group) => lag(name, (decided, group), picture, of.groups),
        Bottleneck::Worker(worker) => {
            let pressed = of.workers.get(worker)?;
            let goes = would_be(name, decided, picture);
            let others = more_important(name, pressed.shares.keys(), picture);
            let (load, goal) = (pressed.load * 100.0, pressed.goal * 100.0);
            let text = format!("{goes}worker {worker} uses {load:.0} % of its processors (goal {goal:.0} %){others}");
            let numbers = [
                ("load", pressed.load),
                ("goal", pressed.goal),
                ("worker_limit_bytes_per_s", pressed.limit.round()),
                ("limit_bytes_per_s", decided.limit.round()),
            ];
            let numbers = numbers.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
            let action = "add a worker, or lower flow.rate.bytes of what is less important".to_owned();
            Some(ReasonRow { code: "CPU_PRESSURE".to_owned(), text, since_ms: 0, numbers, action })
        }
    }
}

/// What is said of a limit that is only looked at.
fn would_be(name: &str, decided: &Decided, picture: &Picture) -> String {
    let observed = picture.sources.get(name).is_some_and(|s| s.control == LagControl::Observe);
    if observed { format!("would be limited to {} B/s: ", decided.limit.round()) } else { String::new() }
}

fn lag(
    name: &str,
    (decided, group): (&Decided, &String),
    picture: &Picture,
    judged: &BTreeMap<String, Judged>,
) -> Option<ReasonRow> {
    let (state, view) = (judged.get(group)?, picture.groups.get(group)?);
    let who = match &view.sink {
        Some(sink) => format!("sink {sink}"),
        None => format!("consumer group {group}"),
    };
    let drain = state.state.drain_time(&state.law);
    let goes = would_be(name, decided, picture);
    let (code, text, action) = match state.state.why {
        Why::Lag | Why::Nothing => {
            let others = more_important(name, state.shares.keys(), picture);
            let target = state.law.target;
            (
                "LAG",
                format!("{goes}{who} needs {drain:.1} s to catch up (target {target} s){others}"),
                format!("raise flow.priority, give {} more tasks, or accept it", view.sink.as_deref().unwrap_or(group)),
            )
        }
        Why::NoData | Why::NoDataHeld | Why::NoDataSafe => (
            "NO_LAG_DATA",
            format!("{goes}how far {who} is behind has not been known for {:.0} s", state.state.age),
            "look at the broker and at the consumer group".to_owned(),
        ),
    };
    let numbers = [
        ("drain_ms", drain * 1000.0),
        ("target_ms", state.law.target * 1000.0),
        ("lag_bytes", state.state.lag),
        ("lag_records", state.lag_records),
        ("capacity_bytes_per_s", state.state.capacity),
        ("group_limit_bytes_per_s", state.state.limit),
        ("limit_bytes_per_s", decided.limit),
    ];
    let numbers = numbers.into_iter().filter(|(_, n)| n.is_finite()).map(|(k, n)| (k.to_owned(), n.round())).collect();
    Some(ReasonRow { code: code.to_owned(), text, since_ms: 0, numbers, action })
}

/// Names the most important of the sources of a bottleneck that is more important than this one.
fn more_important<'a>(name: &str, all: impl Iterator<Item = &'a String>, picture: &Picture) -> String {
    let own = picture.sources.get(name).map_or(0, |source| source.priority);
    let feeding = all.filter_map(|other| Some((other, picture.sources.get(other)?.priority)));
    let first = feeding.filter(|(_, priority)| *priority > own).max_by_key(|(_, priority)| *priority);
    first.map(|(name, priority)| format!("; {name} (priority {priority}) goes first")).unwrap_or_default()
}

/// Whether a row says something else than the one before it; numbers may tremble.
pub(crate) fn differs(new: &LimitRow, old: &LimitRow) -> bool {
    let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 0.002 * b.abs(),
        (a, b) => a.is_none() && b.is_none(),
    };
    let codes = |row: &LimitRow| row.reasons.iter().map(|r| r.code.clone()).collect::<Vec<_>>();
    let tasks = new.tasks.len() != old.tasks.len()
        || new.tasks.iter().zip(&old.tasks).any(|(a, b)| (a - b).abs() > 0.02 * b.abs().max(1.0));
    new.state != old.state
        || new.observed != old.observed
        || !near(new.bytes_per_second, old.bytes_per_second)
        || !near(Some(new.floor), Some(old.floor))
        || tasks
        || codes(new) != codes(old)
}

/// A reason goes on since it began.
pub(crate) fn keep_since(new: &mut LimitRow, old: Option<&LimitRow>, now_ms: i64) {
    for reason in &mut new.reasons {
        let before = old.and_then(|old| old.reasons.iter().find(|r| r.code == reason.code));
        reason.since_ms = before.map_or(now_ms, |r| r.since_ms);
    }
}

/// Whether a group limits.
pub(crate) fn is_limited(judged: &Judged) -> bool {
    judged.state.mode == Mode::Limited
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
