//! Hard caps: what each task of a source may have sent in all, so that no capped topic ever holds more unconsumed bytes
//! than it may.
//!
//! Grants are cumulative, per instance of a task, and given ahead: what is granted and not yet known to have arrived
//! counts as if it had. Of what tasks have sent, therefore, what Kafka has for certain is taken from a report that is older
//! than the look at the brokers, and room is kept for batches that overrun a grant. A task without a grant may send nothing.
use super::meters::{Measured, Meter};
use super::picture::{Picture, SourceView};
use super::sampling::Look;
use elasticflow_config::flow::CapCounts;
use elasticflow_flow::{Capped, Grantee, grant_among};
use elasticflow_store::flow::{CapRow, GrantRow, TaskGrant, VERSION};
use std::collections::BTreeMap;
use std::time::Duration;

/// Records that may be on their way between a poll and the count of what was sent: two full batches.
const ON_THE_WAY: f64 = 8192.0;
/// And the most bytes of them.
const ON_THE_WAY_MOST: f64 = 8_388_608.0;
/// But no more of a cap than this: the rest is to be used. What is read ahead of a count is bounded by the grant, too, by
/// what records weigh on average.
const RESERVE_MOST: f64 = 0.5;
/// Bytes of a record of which nothing is known.
const RECORD_BYTES: f64 = 512.0;
/// Most that may be outstanding, in seconds of the best rate.
const AHEAD: f64 = 4.0;
/// Rate that a source may reach without having shown it, bytes per second.
const RATE_LEAST: f64 = 1_048_576.0;
/// How long what was granted to an instance that is gone still counts at most: it may live on unseen.
const GHOST: Duration = Duration::from_secs(30);

/// What an instance that is gone may still have sent.
struct Ghost {
    source: String,
    task: u32,
    instance: u64,
    until: Duration,
    left: f64,
}

/// What a leader remembers of caps from period to period.
#[derive(Default)]
pub(crate) struct Capping {
    ghosts: Vec<Ghost>,
    /// Outstanding bytes of each instance at the last period.
    outstanding: BTreeMap<(String, u32, u64), f64>,
    best: BTreeMap<String, f64>,
}

/// What a period of caps works with.
pub(crate) struct Caps<'a> {
    pub(crate) picture: &'a Picture,
    pub(crate) look: &'a Look,
    /// As of before the look.
    pub(crate) measured: &'a BTreeMap<String, Measured>,
    pub(crate) grants: &'a BTreeMap<String, GrantRow>,
    /// Seconds.
    pub(crate) period: f64,
    pub(crate) now: Duration,
    /// Floors of sources, bytes per second.
    pub(crate) floors: &'a BTreeMap<String, f64>,
    /// An instance that has begun has fenced those before it, and brokers take nothing more of them.
    pub(crate) fenced: bool,
}

/// What follows for a source.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Granted {
    pub(crate) row: Option<GrantRow>,
    pub(crate) caps: Vec<CapRow>,
}

/// A capped topic as a period finds it.
struct Full {
    capped: Capped,
    /// The offsets that are not consumed have a size.
    weighed: bool,
    row: CapRow,
}

impl Capping {
    /// Decides on every source that has a cap.
    pub(crate) fn period(&mut self, caps: &Caps<'_>) -> BTreeMap<String, Granted> {
        self.settle(caps);
        let held: Vec<&String> = held(caps.picture);
        let topics: Vec<Full> =
            capped_topics(caps.picture).into_iter().map(|(topic, cap)| full(caps, &held, topic, cap)).collect();
        let capped: Vec<Capped> = topics.iter().map(|topic| topic.capped.clone()).collect();
        let grantees: Vec<Grantee> = held.iter().map(|name| self.grantee(name, caps)).collect();
        let further = grant_among(&capped, &grantees);
        let mut granted = BTreeMap::new();
        for (at, (name, bytes)) in held.into_iter().zip(further).enumerate() {
            let own = || topics.iter().filter(|topic| topic.capped.fed_by.contains(&at));
            // The size of records is known once something was written: an instance begins with one batch of the smallest
            // size.
            let first = if own().all(|topic| topic.weighed) { 0.0 } else { self.first(name, caps) };
            let shown = own().map(|topic| topic.row.clone()).collect();
            granted.insert(name.clone(), Granted { row: self.row(name, bytes + first, caps), caps: shown });
        }
        for name in self.untried(caps) {
            let first = self.first(&name, caps);
            granted.insert(name.clone(), Granted { row: self.row(&name, first, caps), caps: Vec::new() });
        }
        granted.into_iter().chain(alarmed(caps)).collect()
    }

    /// Sources with a cap whose topics are not known.
    fn untried(&self, caps: &Caps<'_>) -> Vec<String> {
        let untried = caps.picture.sources.iter().filter(|(_, s)| s.cap.is_some() && s.holds && s.topics.is_empty());
        untried.map(|(name, _)| name.clone()).collect()
    }

    /// A byte for each task that was granted nothing yet.
    fn first(&self, name: &str, caps: &Caps<'_>) -> f64 {
        let tasks = caps.measured.get(name).into_iter().flat_map(|m| m.tasks.iter());
        let has = |(index, meter): (&u32, &Meter)| {
            let row = caps.grants.get(name).map_or(&[][..], |row| &row.tasks);
            row.iter().any(|g| g.task == *index && g.instance == meter.report.instance && g.bytes > 0)
        };
        let (mut count, mut known) = (0.0, false);
        for task in tasks {
            (count, known) = (count + 1.0, known || has(task));
        }
        if known { 0.0 } else { count }
    }

    /// Takes up what each instance has left, and remembers instances that are gone.
    fn settle(&mut self, caps: &Caps<'_>) {
        let mut outstanding = BTreeMap::new();
        for (name, row) in caps.grants {
            for TaskGrant { task, instance, bytes } in &row.tasks {
                let key = (name.clone(), *task, *instance);
                let meter = caps.measured.get(name).and_then(|m| m.tasks.get(task));
                match meter.filter(|m| m.report.instance == *instance) {
                    Some(meter) => drop(outstanding.insert(key, left(*bytes, meter))),
                    None => {
                        let left = self.outstanding.get(&key).copied().unwrap_or(0.0);
                        let (source, until) = (name.clone(), caps.now + GHOST);
                        self.ghosts.push(Ghost { source, task: *task, instance: *instance, until, left });
                    }
                }
            }
        }
        for (name, measured) in caps.measured {
            for (index, meter) in &measured.tasks {
                // Without a grant that is known here, what it has sent is on its way all the same.
                let key = (name.clone(), *index, meter.report.instance);
                outstanding.entry(key).or_insert_with(|| left(0, meter));
            }
        }
        self.outstanding = outstanding;
        self.ghosts.retain(|ghost| ghost.left > 0.0 && ghost.until > caps.now && !is_fenced(ghost, caps));
        for (name, measured) in caps.measured {
            let best = self.best.entry(name.clone()).or_default();
            *best = best.max(measured.bytes_per_second);
        }
    }

    fn grantee(&self, name: &str, caps: &Caps<'_>) -> Grantee {
        let source = caps.picture.sources.get(name);
        let own = self.outstanding.iter().filter(|((n, _, _), _)| n == name).map(|(_, left)| left);
        let ghosts = self.ghosts.iter().filter(|ghost| ghost.source == name).map(|ghost| &ghost.left);
        let best = self.best.get(name).copied().unwrap_or(0.0).max(RATE_LEAST);
        let runs = caps.measured.get(name).is_some_and(|m| !m.tasks.is_empty());
        let floor = caps.floors.get(name).copied().unwrap_or(0.0) * AHEAD * caps.period;
        Grantee {
            priority: source.map_or(0, |source| source.priority),
            weight: source.map_or(1.0, |source| source.weight),
            outstanding: own.chain(ghosts).sum(),
            floor: if runs { floor } else { 0.0 },
            want: if runs { 2.0 * best * AHEAD * caps.period } else { 0.0 },
        }
    }

    /// What a source may send further, divided among its tasks by what they send; nobody gets less than before.
    fn row(&mut self, name: &str, bytes: f64, caps: &Caps<'_>) -> Option<GrantRow> {
        let measured = caps.measured.get(name)?;
        let before = caps.grants.get(name);
        let rates: Vec<f64> = measured.tasks.values().map(|m| m.bytes_per_second).collect();
        let parts = elasticflow_flow::special::split(bytes.min(1e15), &rates);
        let task = |((index, meter), part): ((&u32, &Meter), f64)| {
            let instance = meter.report.instance;
            let old = before.and_then(|row| row.tasks.iter().find(|g| g.task == *index && g.instance == instance));
            // A new instance begins from what it has sent already, which nobody can take back.
            let base = old.map_or(meter.report.bytes, |g| g.bytes);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite, at least zero")]
            let further = part.max(0.0) as u64;
            TaskGrant { task: *index, instance, bytes: base + further }
        };
        let tasks: Vec<TaskGrant> = measured.tasks.iter().zip(parts).map(task).collect();
        for grant in &tasks {
            if let Some(meter) = measured.tasks.get(&grant.task) {
                self.outstanding.insert((name.to_owned(), grant.task, grant.instance), left(grant.bytes, meter));
            }
        }
        Some(GrantRow { v: VERSION, tasks })
    }
}

/// What may still arrive of an instance: what it may send, or has sent above that, and Kafka does not have for certain.
fn left(granted: u64, meter: &Meter) -> f64 {
    granted.max(meter.report.bytes).saturating_sub(meter.arrived) as f64
}

/// Whether brokers have refused everything of an instance since before they were looked at: a later one of its task has
/// taken over its transactional id.
fn is_fenced(ghost: &Ghost, caps: &Caps<'_>) -> bool {
    let task = caps.measured.get(&ghost.source).and_then(|m| m.tasks.get(&ghost.task));
    // A source counts what has arrived from the moment on at which it may write.
    let begun = |meter: &&Meter| meter.report.instance > ghost.instance && meter.report.arrived.is_some();
    caps.fenced && task.filter(begun).is_some()
}

/// The lowest cap of each topic that holds a source.
fn capped_topics(picture: &Picture) -> BTreeMap<String, f64> {
    let mut caps: BTreeMap<String, f64> = BTreeMap::new();
    for source in picture.sources.values() {
        for (topic, own) in source.topics.iter().filter_map(|topic| Some((topic, source.held_at(topic)?))) {
            caps.entry(topic.clone()).and_modify(|cap| *cap = cap.min(own)).or_insert(own);
        }
    }
    caps
}

/// Sources that a cap holds.
fn held(picture: &Picture) -> Vec<&String> {
    let is_held = |source: &SourceView| source.topics.iter().any(|topic| source.held_at(topic).is_some());
    picture.sources.iter().filter(|(_, source)| is_held(source)).map(|(name, _)| name).collect()
}

/// How full a topic is, and who of those that are held feeds it: whoever has a cap there.
fn full(caps: &Caps<'_>, held: &[&String], topic: String, cap: f64) -> Full {
    let sources = &caps.picture.sources;
    let feeds = |name: &str| sources.get(name).is_some_and(|source| source.held_at(&topic).is_some());
    let fed_by: Vec<usize> = (0..held.len()).filter(|at| held.get(*at).is_some_and(|name| feeds(name))).collect();
    let feeding = || fed_by.iter().filter_map(|at| held.get(*at).copied());
    let counts = feeding().filter_map(|name| Some(&sources.get(name)?.counts));
    let counts = counts.cloned().reduce(|all, one| all.or(&one)).unwrap_or_default();
    let size = weight(caps, &topic);
    let used = unconsumed(caps, &topic, &counts)
        .and_then(|(offsets, by)| Some((if offsets > 0.0 { offsets * size? } else { 0.0 }, by)));
    let reserve: f64 = feeding().map(|name| reserve(caps, name)).sum();
    let capped =
        Capped { cap: cap - reserve.min(RESERVE_MOST * cap), unconsumed: used.as_ref().map(|(used, _)| *used), fed_by };
    let (used, by) = used.unwrap_or_default();
    Full { capped, weighed: size.is_some(), row: CapRow { topic, bytes: cap, used, by } }
}

/// Sources that go on at their caps: how full those are, by the sinks that count for each.
fn alarmed<'a>(caps: &'a Caps<'_>) -> impl Iterator<Item = (String, Granted)> + 'a {
    caps.picture.sources.iter().filter(|(_, source)| !source.holds).map(|(name, source)| {
        let of = |topic: &String| {
            let (offsets, by) = unconsumed(caps, topic, &source.counts)?;
            let used = if offsets > 0.0 { offsets * weight(caps, topic)? } else { 0.0 };
            Some(CapRow { topic: topic.clone(), bytes: source.cap_of(topic)?, used, by })
        };
        (name.clone(), Granted { row: None, caps: source.topics.iter().filter_map(of).collect() })
    })
}

/// Bytes that may arrive above a grant.
fn reserve(caps: &Caps<'_>, name: &str) -> f64 {
    let tasks = caps.measured.get(name).into_iter().flat_map(|m| m.tasks.values());
    let of = |meter: &Meter| {
        let (records, bytes) = (meter.report.records, meter.report.bytes);
        let mean = if records > 0 { bytes as f64 / records as f64 } else { RECORD_BYTES };
        (ON_THE_WAY * mean).min(ON_THE_WAY_MOST)
    };
    tasks.map(of).sum()
}

/// Bytes of an offset, rather too many than too few: the larger mean of the records of those who feed the topic, in all
/// and lately, though markers of transactions are offsets without bytes. `None` before one of them has written: a backlog
/// of records of unknown size is not known, and its growth beside what is reported of sources, which comes at other times,
/// is no measure to stake a cap on.
fn weight(caps: &Caps<'_>, topic: &str) -> Option<f64> {
    let feeding = caps.picture.sources.iter().filter(|(_, source)| source.topics.contains(topic));
    let tasks = feeding.filter_map(|(name, _)| caps.measured.get(name)).flat_map(|m| m.tasks.values());
    let means = tasks.flat_map(|meter| {
        let (records, bytes) = (meter.report.records as f64, meter.report.bytes as f64);
        [(bytes, records), (meter.bytes_per_second, meter.records_per_second)]
    });
    let means = means.filter(|(_, records)| *records > 0.0).map(|(bytes, records)| bytes / records);
    means.reduce(f64::max)
}

/// Offsets that the slowest counted group has not consumed for good, and who that is; `None` when it is not known.
fn unconsumed(caps: &Caps<'_>, topic: &str, counts: &CapCounts) -> Option<(f64, String)> {
    let ends = caps.look.ends.get(topic)?;
    let mut most = (0.0, String::new());
    for (group, view) in caps.picture.groups.iter().filter(|(_, view)| view.topics.contains(topic)) {
        if !counts.has(view.state) {
            continue;
        }
        let progress = caps.look.progress.get(group)?;
        let behind = |(at, end): (&_, &i64)| (end - progress.get(at).copied().unwrap_or(0)).max(0);
        let offsets = ends.iter().map(behind).sum::<i64>() as f64;
        if offsets >= most.0 {
            most = (offsets, format!("{} ({})", view.who(group), view.state));
        }
    }
    Some(most)
}

#[cfg(test)]
#[path = "capping_tests.rs"]
mod tests;
