//! From looks at the brokers and reports of workers to what the law asks for.
//!
//! Offsets are counted in bytes by what the sources of a topic send while it grows, transaction markers included: the
//! same measure for lag, progress and rates, so that it cancels where it must. Sinks of this cluster are taken where they
//! stand, not where they have committed: what their tasks have taken since counts as progress.
use super::meters::{Measured, Total};
use super::picture::{GroupView, Picture};
use super::sampling::Look;
use elasticflow_api::position::TopicPartition;
use elasticflow_flow::special::{adapted, is_plausible, step_period};
use elasticflow_flow::{Group, Law, Sample};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Time constant of averages, seconds.
const SMOOTH: f64 = 10.0;
/// Bytes of a record of which nothing is known.
const RECORD_BYTES: f64 = 512.0;
/// A topic that grows slower says nothing about the size of its records, offsets per second.
const GROWS: f64 = 0.5;
/// Part that one period has in how many offsets a record takes that is read.
const WEIGHS: f64 = 0.05;
/// Commits from which the rhythm of a foreign group is judged.
const COMMITS: usize = 4;

/// A topic that sources feed.
#[derive(Debug, Clone, Default)]
struct Topic {
    end: i64,
    at: Duration,
    /// Offsets per second, averaged.
    growth: Option<f64>,
    /// Bytes and offsets per second, averaged over the same periods, so that their ratio is right from the first one on.
    weighed: (f64, f64),
    /// Bytes that one offset stands for.
    size: Option<f64>,
}

/// A source's rates, averaged like growth.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    bytes: f64,
    records: f64,
}

/// A consumer group.
#[derive(Debug, Clone, Default)]
struct Reader {
    state: Group,
    /// When it was last judged, and where it stood, in offsets over all partitions.
    seen: Option<(Duration, f64)>,
    put: f64,
    partitions: usize,
    taken: Total,
    /// Foreign groups: when commits were seen to move, and how far they were then.
    moves: VecDeque<Duration>,
    committed: f64,
    /// Whether a commit was seen at the last look.
    moved: bool,
    /// Offsets that a record takes which is read, where commits come often enough to tell.
    per_record: Option<f64>,
}

/// What the law says of a group after a period.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) state: Group,
    pub(crate) law: Law,
    pub(crate) lag_records: f64,
    /// Share of each source's bytes that comes here.
    pub(crate) shares: BTreeMap<String, f64>,
}

/// Remembers between periods.
#[derive(Default)]
pub(crate) struct Tracking {
    topics: BTreeMap<String, Topic>,
    paces: BTreeMap<String, Pace>,
    shares: BTreeMap<String, BTreeMap<String, f64>>,
    readers: BTreeMap<String, Reader>,
    last: Option<Duration>,
}

/// Everything a period looks at.
pub(crate) struct Inputs<'a> {
    pub(crate) picture: &'a Picture,
    pub(crate) look: &'a Look,
    pub(crate) measured: &'a BTreeMap<String, Measured>,
    /// What sinks have taken in all.
    pub(crate) taken: &'a BTreeMap<String, Total>,
    pub(crate) law: Law,
    /// Floors of sources, bytes per second.
    pub(crate) floors: &'a BTreeMap<String, f64>,
}

impl Tracking {
    /// Goes on from a stored state, unless the group is known already.
    pub(crate) fn resume(&mut self, group: &str, state: Group) {
        self.readers.entry(group.to_owned()).or_insert_with(|| Reader { state, ..Reader::default() });
    }

    /// Whether a group is known.
    pub(crate) fn knows(&self, group: &str) -> bool {
        self.readers.contains_key(group)
    }

    /// Estimate of a group's capacity.
    pub(crate) fn capacity(&self, group: &str) -> f64 {
        self.readers.get(group).map_or(0.0, |r| r.state.capacity)
    }

    /// Bytes that one offset of a topic stands for.
    pub(crate) fn size(&self, topic: &str) -> f64 {
        self.topics.get(topic).and_then(|t| t.size).unwrap_or(RECORD_BYTES)
    }

    /// Share of a source's bytes that goes to a topic; `None` as long as that is not known, as it is to a new leader.
    fn share(&self, source: &str, topic: &str) -> Option<f64> {
        self.shares.get(source).and_then(|s| s.get(topic)).copied()
    }

    /// One period: every group that steers is judged; groups that do not are forgotten.
    pub(crate) fn period(&mut self, inputs: &Inputs<'_>) -> BTreeMap<String, Judged> {
        let elapsed = self.last.map(|last| inputs.look.at.saturating_sub(last).as_secs_f64());
        self.last = Some(inputs.look.at);
        if let Some(elapsed) = elapsed.filter(|e| is_plausible(*e, inputs.law.period)) {
            self.average(inputs, elapsed);
        }
        self.note_ends(inputs.look);
        let steers = |group: &String| inputs.picture.groups.get(group).is_some_and(|view| view.steers);
        self.readers.retain(|group, _| steers(group));
        let names: Vec<&String> = inputs.picture.groups.keys().filter(|g| steers(g)).collect();
        names.into_iter().filter_map(|name| Some((name.clone(), self.judge(name, inputs)?))).collect()
    }

    /// Growth of topics, paces of sources, shares of sources in topics.
    fn average(&mut self, inputs: &Inputs<'_>, elapsed: f64) {
        let part = 1.0 - (-elapsed / SMOOTH).exp();
        let mut grew = BTreeMap::new();
        for (name, ends) in &inputs.look.ends {
            let Some(topic) = self.topics.get_mut(name).filter(|t| t.at > Duration::ZERO) else { continue };
            let passed = inputs.look.at.saturating_sub(topic.at).as_secs_f64();
            let grown = (ends.values().sum::<i64>() - topic.end).max(0) as f64 / passed.max(0.001);
            let growth = topic.growth.get_or_insert(grown);
            *growth += (grown - *growth) * part;
            grew.insert(name, grown);
        }
        for (name, measured) in inputs.measured {
            let now = Pace { bytes: measured.bytes_per_second, records: measured.records_per_second };
            let pace = self.paces.entry(name.clone()).or_insert(now);
            pace.bytes += (now.bytes - pace.bytes) * part;
            pace.records += (now.records - pace.records) * part;
        }
        self.paces.retain(|name, _| inputs.picture.sources.contains_key(name));
        self.divide(inputs.picture);
        self.weigh(inputs, &grew, part);
    }

    /// A source's bytes go where its topics grow; a topic of several sources grows for each as much as it sends.
    fn divide(&mut self, picture: &Picture) {
        let pace = |source: &str| self.paces.get(source).map_or(0.0, |p| p.bytes);
        let growth = |topic: &str| self.topics.get(topic).and_then(|t| t.growth).unwrap_or(0.0);
        let mut fed: BTreeMap<&str, f64> = BTreeMap::new();
        for (name, source) in &picture.sources {
            for topic in &source.topics {
                *fed.entry(topic).or_default() += pace(name);
            }
        }
        let mut shares = BTreeMap::new();
        for (name, source) in &picture.sources {
            let part = |topic: &str| {
                let sum = fed.get(topic).copied().unwrap_or(0.0);
                growth(topic) * if sum > 0.0 { pace(name) / sum } else { 0.0 }
            };
            let sum: f64 = source.topics.iter().map(|t| part(t)).sum();
            let before = self.shares.get(name);
            let of = |topic: &String| {
                let even = 1.0 / source.topics.len() as f64;
                let kept = before.and_then(|b| b.get(topic)).copied().unwrap_or(even);
                (topic.clone(), if sum > 0.0 { part(topic) / sum } else { kept })
            };
            shares.insert(name.clone(), source.topics.iter().map(of).collect());
        }
        self.shares = shares;
    }

    /// Bytes that one offset stands for: only periods count in which both are known to have moved.
    fn weigh(&mut self, inputs: &Inputs<'_>, grew: &BTreeMap<&String, f64>, part: f64) {
        let mut bytes: BTreeMap<&str, f64> = BTreeMap::new();
        for (name, source) in &inputs.picture.sources {
            let sent = inputs.measured.get(name).map_or(0.0, |m| m.bytes_per_second);
            for topic in &source.topics {
                *bytes.entry(topic).or_default() += sent * self.share(name, topic).unwrap_or(0.0);
            }
        }
        for (name, grown) in grew {
            let sent = bytes.get(name.as_str()).copied().unwrap_or(0.0);
            let Some(topic) = self.topics.get_mut(*name).filter(|_| sent > 0.0 && *grown >= GROWS) else { continue };
            let (bytes, offsets) = &mut topic.weighed;
            *bytes += (sent - *bytes) * part;
            *offsets += (grown - *offsets) * part;
            topic.size = Some(*bytes / *offsets);
        }
    }

    fn note_ends(&mut self, look: &Look) {
        for (name, ends) in &look.ends {
            let topic = self.topics.entry(name.clone()).or_default();
            (topic.end, topic.at) = (ends.values().sum(), look.at);
        }
    }

    fn judge(&mut self, name: &str, inputs: &Inputs<'_>) -> Option<Judged> {
        let view = inputs.picture.groups.get(name)?;
        let shares = self.shares_of(view);
        let (size, per_record) = (self.mean_size(view), self.offsets_per_record(view, inputs.picture));
        let mut reader = self.readers.remove(name).unwrap_or_default();
        let interval = reader.commit_interval(view, inputs);
        let law = adapted(&Law { target: view.target, ..inputs.law }, 0.0, interval);
        let standing = reader.standing(name, view, inputs, per_record);
        let lag_records = standing.as_ref().map_or(reader.state.lag / size, |s| s.lag);
        let sum = |of: &dyn Fn(&str) -> f64| shares.iter().map(|(s, share)| of(s) * share).sum::<f64>();
        let floors = sum(&|s| inputs.floors.get(s).copied().unwrap_or(0.0));
        let inflow = sum(&|s| inputs.measured.get(s).map_or(0.0, |m| m.bytes_per_second));
        let period = if interval > 0.0 { step_period(&inputs.law, interval) } else { 0.0 };
        let sample = reader.sample(standing, (size, inflow, floors), inputs, period);
        if let Some(sample) = sample {
            reader.state = reader.state.step(&sample, &law);
        }
        let state = reader.state;
        self.readers.insert(name.to_owned(), reader);
        Some(Judged { state, law, lag_records, shares })
    }

    fn shares_of(&self, view: &GroupView) -> BTreeMap<String, f64> {
        let of = |(source, by_topic): (&String, &BTreeMap<String, f64>)| {
            let share: f64 = by_topic.iter().filter(|(t, _)| view.topics.contains(*t)).map(|(_, share)| share).sum();
            (share > 0.0).then(|| (source.clone(), share))
        };
        self.shares.iter().filter_map(of).collect()
    }

    /// Bytes of an offset over all topics of a group, by their growth.
    fn mean_size(&self, view: &GroupView) -> f64 {
        let known: Vec<(f64, f64)> = view
            .topics
            .iter()
            .filter_map(|t| self.topics.get(t))
            .map(|t| (t.growth.unwrap_or(0.0).max(1e-6), t.size.unwrap_or(RECORD_BYTES)))
            .collect();
        let weight: f64 = known.iter().map(|(growth, _)| growth).sum();
        if weight > 0.0 { known.iter().map(|(growth, size)| growth * size).sum::<f64>() / weight } else { RECORD_BYTES }
    }

    /// Offsets that one record takes, markers of transactions included.
    fn offsets_per_record(&self, view: &GroupView, picture: &Picture) -> f64 {
        let growth: f64 = view.topics.iter().filter_map(|t| self.topics.get(t)?.growth).sum();
        let feeds = |name: &&String| picture.sources.get(*name).is_some_and(|s| s.topics.is_subset(&view.topics));
        let records: f64 = self.paces.keys().filter(feeds).filter_map(|name| Some(self.paces.get(name)?.records)).sum();
        if growth >= GROWS && records >= GROWS { (growth / records).clamp(1.0, 3.0) } else { 1.0 }
    }
}

/// Where a group stands, in offsets over all partitions.
struct Standing {
    put: f64,
    lag: f64,
}

/// Why that cannot be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unclear {
    /// The brokers did not answer.
    Unknown,
    /// The group has never committed anything: whether it begins at the start or at the end is its own affair.
    NotBegun,
}

impl Reader {
    /// Seconds between commits of a foreign group, when they come in steps; 0 otherwise.
    fn commit_interval(&mut self, view: &GroupView, inputs: &Inputs<'_>) -> f64 {
        if view.sink.is_some() || self.moves.len() < COMMITS {
            return 0.0;
        }
        let mut gaps: Vec<f64> = self
            .moves
            .iter()
            .zip(self.moves.iter().skip(1))
            .map(|(earlier, later)| later.saturating_sub(*earlier).as_secs_f64())
            .collect();
        gaps.sort_by(f64::total_cmp);
        let median = gaps.get(gaps.len() / 2).copied().unwrap_or(0.0);
        if median > 1.5 * inputs.law.period { median } else { 0.0 }
    }

    fn standing(
        &mut self,
        name: &str,
        view: &GroupView,
        inputs: &Inputs<'_>,
        per_record: f64,
    ) -> Result<Standing, Unclear> {
        let progress = inputs.look.progress.get(name).ok_or(Unclear::Unknown)?;
        let mut ends: BTreeMap<&TopicPartition, i64> = BTreeMap::new();
        for topic in &view.topics {
            let found = inputs.look.ends.get(topic).ok_or(Unclear::Unknown)?;
            ends.extend(found.iter().map(|(at, end)| (at, *end)));
        }
        if !ends.keys().any(|at| progress.contains_key(*at)) {
            return Err(Unclear::NotBegun);
        }
        let of = |at: &TopicPartition, end: i64| progress.get(at).copied().unwrap_or(0).min(end);
        let end: f64 = ends.values().sum::<i64>() as f64;
        let committed: f64 = ends.iter().map(|(at, end)| of(at, *end)).sum::<i64>() as f64;
        let total = view.sink.as_ref().and_then(|sink| inputs.taken.get(sink)).copied().unwrap_or_default();
        let began_again = total.instances != self.taken.instances;
        if self.partitions != ends.len() || began_again || self.seen.is_none() {
            (self.partitions, self.put) = (ends.len(), committed);
            // After a rebalance or a restart records are taken again: only commits are progress.
            self.seen = None;
        } else {
            let records = total.records.saturating_sub(self.taken.records) as f64;
            let taken = records * self.per_record.unwrap_or(per_record);
            self.put = (self.put + taken).max(committed).min(end);
            if committed != self.committed {
                self.anchor(committed, taken);
                self.weigh(committed, records);
            }
        }
        self.taken = total;
        self.moved = committed != self.committed;
        if self.moved {
            self.committed = committed;
            self.moves.push_back(inputs.look.at);
            if self.moves.len() > 2 * COMMITS {
                self.moves.pop_front();
            }
        }
        Ok(Standing { put: self.put, lag: (end - self.put).max(0.0) })
    }

    /// A commit says where the group stands. What is taken is turned into offsets by what is written now, which differs from
    /// what is read now: that adds up, unless each commit puts it right.
    fn anchor(&mut self, committed: f64, taken: f64) {
        // The commit came at some moment of this period; where one comes in every period, it was the last of several.
        let since = if self.moved { 0.0 } else { taken / 2.0 };
        let ahead = (self.put - committed - since).max(0.0);
        self.put -= ahead;
        if let Some((_, before)) = &mut self.seen {
            // No record was given back.
            *before -= ahead;
        }
    }

    fn weigh(&mut self, committed: f64, records: f64) {
        if self.moved && records > 0.0 {
            let now = ((committed - self.committed) / records).clamp(0.5, 3.0);
            let known = self.per_record.get_or_insert(now);
            *known += (now - *known) * WEIGHS;
        }
    }

    /// What the law is given; `None` when there is nothing to judge yet.
    fn sample(
        &mut self,
        standing: Result<Standing, Unclear>,
        (size, inflow, floors): (f64, f64, f64),
        inputs: &Inputs<'_>,
        period: f64,
    ) -> Option<Sample> {
        let missing = Sample { lag: None, drained: 0.0, inflow, floors, elapsed: inputs.law.period };
        let Standing { put, lag } = match standing {
            Ok(standing) => standing,
            Err(Unclear::Unknown) => return Some(missing),
            Err(Unclear::NotBegun) => return None,
        };
        let Some((then, before)) = self.seen else {
            self.seen = Some((inputs.look.at, put));
            return Some(missing).filter(|_| self.state.age > 0.0);
        };
        let elapsed = inputs.look.at.saturating_sub(then).as_secs_f64();
        if period > 0.0 && elapsed < period - 1e-9 {
            return None;
        }
        self.seen = Some((inputs.look.at, put));
        let longest = inputs.law.period.max(period);
        if !is_plausible(elapsed, longest) {
            return Some(missing);
        }
        let drained = (put - before).max(0.0) * size / elapsed;
        Some(Sample { lag: Some(lag * size), drained, inflow, floors, elapsed })
    }
}

#[cfg(test)]
#[path = "tracking_tests.rs"]
mod tests;
