//! Hard caps: what each task of a source may have sent in all, so that no capped topic ever holds more unconsumed bytes
//! than it may.
//!
//! Grants are cumulative, per instance of a task, and given ahead: what is granted and not yet known to have arrived
//! counts as if it had. Of what tasks have sent, therefore, what Kafka has for certain is taken from a report that is older
//! than the look at the brokers, and room is kept for batches that overrun a grant. A task without a grant may send nothing.
use super::meters::{Measured, Meter};
use super::picture::Picture;
use super::sampling::Look;
use elasticflow_config::flow::CapCounts;
use elasticflow_flow::{Grantee, grant};
use elasticflow_store::flow::{CapRow, GrantRow, TaskGrant, VERSION};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Records that may be on their way between a poll and the count of what was sent: two full batches.
const ON_THE_WAY: f64 = 8192.0;
/// And the most bytes of them.
const ON_THE_WAY_MOST: f64 = 8_388_608.0;
/// Bytes of a record of which nothing is known.
const RECORD_BYTES: f64 = 512.0;
/// Most that may be outstanding, in seconds of the best rate.
const AHEAD: f64 = 4.0;
/// Rate that a source may reach without having shown it, bytes per second.
const RATE_LEAST: f64 = 1_048_576.0;
/// How long what was granted to an instance that is gone still counts: it may live on unseen.
const GHOST: Duration = Duration::from_secs(30);

/// What has been granted to instances that are gone, with the moment when it stops to count.
#[derive(Default)]
pub(crate) struct Capping {
    ghosts: Vec<(String, Duration, f64)>,
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
}

/// What follows for a source.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Granted {
    pub(crate) row: Option<GrantRow>,
    pub(crate) caps: Vec<CapRow>,
}

impl Capping {
    /// Decides on every source that has a cap. `share` is a topic's share of what a source sends.
    pub(crate) fn period(
        &mut self,
        caps: &Caps<'_>,
        share: impl Fn(&str, &str) -> Option<f64>,
    ) -> BTreeMap<String, Granted> {
        self.settle(caps);
        let mut granted: BTreeMap<String, (f64, Vec<CapRow>)> = BTreeMap::new();
        let mut unweighed = BTreeSet::new();
        for (topic, cap) in capped_topics(caps.picture) {
            let feeding: Vec<&String> = feeding(caps.picture, &topic);
            let size = weight(caps, &topic);
            if size.is_none() {
                unweighed.extend(feeding.iter().copied());
            }
            let counts = feeding.iter().filter_map(|name| Some(&caps.picture.sources.get(*name)?.counts));
            let counts = counts.cloned().reduce(|all, one| all.or(&one)).unwrap_or_default();
            let used = unconsumed(caps, &topic, &counts)
                .and_then(|(offsets, by)| Some((if offsets > 0.0 { offsets * size? } else { 0.0 }, by)));
            // As long as it is not known, all of it may go there.
            let part = |name: &str| share(name, &topic).unwrap_or(1.0).max(1e-6);
            let rows: Vec<Grantee> = feeding.iter().filter_map(|name| self.grantee(name, caps, part(name))).collect();
            let reserve: f64 = feeding.iter().map(|name| reserve(caps, name) * part(name).min(1.0)).sum();
            // What is not known is not room.
            let bytes = match &used {
                Some((used, _)) => grant(cap - reserve, *used, &rows),
                None => vec![0.0; rows.len()],
            };
            for (name, bytes) in feeding.iter().zip(bytes) {
                let (least, shown) = granted.entry((*name).clone()).or_insert((f64::INFINITY, Vec::new()));
                *least = least.min(bytes / part(name));
                let (used, by) = used.clone().unwrap_or_default();
                shown.push(CapRow { topic: topic.clone(), bytes: cap, used, by });
            }
        }
        for name in self.untried(caps) {
            granted.insert(name, (0.0, Vec::new()));
        }
        let decided = granted.into_iter().map(|(name, (bytes, shown))| {
            // Topics and the size of records are known once something was written: an instance begins with one batch of
            // the smallest size.
            let first = if shown.is_empty() || unweighed.contains(&name) { self.first(&name, caps) } else { 0.0 };
            (name.clone(), Granted { row: self.row(&name, bytes + first, caps), caps: shown })
        });
        decided.chain(alarmed(caps)).collect()
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
            for grant in &row.tasks {
                let key = (name.clone(), grant.task, grant.instance);
                let meter = caps.measured.get(name).and_then(|m| m.tasks.get(&grant.task));
                match meter.filter(|m| m.report.instance == grant.instance) {
                    Some(meter) => drop(outstanding.insert(key, left(grant.bytes, meter))),
                    None => {
                        let left = self.outstanding.get(&key).copied().unwrap_or(0.0);
                        if left > 0.0 {
                            self.ghosts.push((name.clone(), caps.now + GHOST, left));
                        }
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
        self.ghosts.retain(|(_, until, _)| *until > caps.now);
        for (name, measured) in caps.measured {
            let best = self.best.entry(name.clone()).or_default();
            *best = best.max(measured.bytes_per_second);
        }
    }

    /// `None` for a source that reports no task.
    fn grantee(&self, name: &str, caps: &Caps<'_>, part: f64) -> Option<Grantee> {
        let source = caps.picture.sources.get(name)?;
        let own = self.outstanding.iter().filter(|((n, _, _), _)| n == name).map(|(_, left)| left);
        let ghosts = self.ghosts.iter().filter(|(n, _, _)| n == name).map(|(_, _, left)| left);
        let outstanding = own.chain(ghosts).sum::<f64>();
        let best = self.best.get(name).copied().unwrap_or(0.0).max(RATE_LEAST);
        let runs = caps.measured.get(name).is_some_and(|m| !m.tasks.is_empty());
        let floor = caps.floors.get(name).copied().unwrap_or(0.0) * AHEAD * caps.period;
        Some(Grantee {
            priority: source.priority,
            weight: source.weight,
            outstanding: outstanding * part,
            floor: if runs { floor * part } else { 0.0 },
            want: if runs { 2.0 * best * AHEAD * caps.period * part } else { 0.0 },
        })
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

/// Sources that a cap of a topic holds: those that have one themselves.
fn feeding<'a>(picture: &'a Picture, topic: &str) -> Vec<&'a String> {
    picture.sources.iter().filter(|(_, s)| s.held_at(topic).is_some()).map(|(n, _)| n).collect()
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
mod tests {
    use super::super::picture::{Control, GroupView, Guard, SourceView};
    use super::*;
    use elasticflow_api::position::TopicPartition;
    use elasticflow_store::flow::TaskReport;

    const CAP: f64 = 10e6;

    fn picture() -> Picture {
        let source = SourceView {
            priority: 5,
            weight: 1.0,
            floor: None,
            control: Control::Auto,
            rate_max: f64::INFINITY,
            tasks: 1,
            topics: ["t".to_owned()].into(),
            foreign: Vec::new(),
            target: 10.0,
            cap: Some(CAP),
            holds: true,
            counts: Default::default(),
            cap_ratio: 0.0,
            derived: BTreeMap::new(),
            guard: Guard::Alarm,
        };
        let group = GroupView {
            sink: Some("k".to_owned()),
            topics: ["t".to_owned()].into(),
            target: 10.0,
            steers: true,
            state: "running",
        };
        Picture { sources: [("s".to_owned(), source)].into(), groups: [("g".to_owned(), group)].into() }
    }

    fn measured(instance: u64, arrived: u64, sent: u64) -> BTreeMap<String, Measured> {
        let report = TaskReport {
            connector: "s".to_owned(),
            task: 0,
            instance,
            records: sent / 100,
            bytes: sent,
            arrived: None,
            blocked_ms: 0,
            state: "free".to_owned(),
            reason: None,
            detail: None,
        };
        let meter = Meter {
            since: Duration::ZERO,
            report,
            arrived,
            sent: std::collections::VecDeque::new(),
            bytes_per_second: (sent - arrived) as f64,
            records_per_second: 0.0,
            blocked_share: 0.0,
        };
        [("s".to_owned(), Measured { tasks: [(0, meter)].into(), ..Measured::default() })].into()
    }

    fn look(end: Option<i64>, committed: i64) -> Look {
        let at = TopicPartition { topic: "t".into(), partition: 0 };
        let ends = end.map(|end| ("t".to_owned(), [(at.clone(), end)].into())).into_iter().collect();
        Look { at: Duration::ZERO, progress: [("g".to_owned(), [(at, committed)].into())].into(), ends }
    }

    fn period(
        capping: &mut Capping,
        look: &Look,
        measured: &BTreeMap<String, Measured>,
        grants: &BTreeMap<String, GrantRow>,
        second: u64,
    ) -> Granted {
        let picture = picture();
        let caps = Caps {
            picture: &picture,
            look,
            measured,
            grants,
            period: 1.0,
            now: Duration::from_secs(second),
            floors: &BTreeMap::new(),
        };
        capping.period(&caps, |_, _| Some(1.0)).remove("s").unwrap()
    }

    fn bytes(granted: &Granted) -> u64 {
        granted.row.as_ref().unwrap().tasks[0].bytes
    }

    /// A source that sends all it may, a sink that is dead: whatever is granted together stays below the cap.
    #[test]
    fn what_is_granted_never_passes_the_cap() {
        let (mut capping, mut grants, mut sent, mut before) = (Capping::default(), BTreeMap::new(), 0, 0);
        for second in 0..60 {
            // What the broker has is what was reported before: the newest bytes are on their way.
            let granted =
                period(&mut capping, &look(Some(before as i64 / 100), 0), &measured(1, before, sent), &grants, second);
            let may = bytes(&granted);
            assert!(may >= sent, "nothing is taken back");
            (before, sent) = (sent, may);
            grants.insert("s".to_owned(), granted.row.unwrap());
            assert!(sent as f64 + ON_THE_WAY * 100.0 <= CAP * 1.0001, "second {second}: {sent}");
        }
        assert!(sent as f64 > 0.85 * CAP, "the cap is used: {sent}");
    }

    #[test]
    fn what_is_not_known_is_no_room() {
        let mut capping = Capping::default();
        let granted = period(&mut capping, &look(None, 0), &measured(1, 1_000, 1_000), &BTreeMap::new(), 0);
        assert_eq!(bytes(&granted), 1_000, "what it has sent already");
    }

    #[test]
    fn a_source_whose_topics_are_not_known_begins_with_one_batch() {
        let mut picture = picture();
        picture.sources.get_mut("s").unwrap().topics.clear();
        let (mut capping, look, measured) = (Capping::default(), Look::default(), measured(1, 0, 0));
        let mut grants = BTreeMap::new();
        for _ in 0..3 {
            let now = Duration::ZERO;
            let caps = Caps {
                picture: &picture,
                look: &look,
                measured: &measured,
                grants: &grants,
                period: 1.0,
                now,
                floors: &BTreeMap::new(),
            };
            let granted = capping.period(&caps, |_, _| None).remove("s").unwrap();
            assert_eq!(bytes(&granted), 1);
            grants.insert("s".to_owned(), granted.row.unwrap());
        }
    }

    #[test]
    fn what_a_gone_instance_may_still_send_counts_for_a_while() {
        let mut capping = Capping::default();
        let first = period(&mut capping, &look(Some(0), 0), &measured(1, 0, 0), &BTreeMap::new(), 0);
        let mut grants = BTreeMap::from([("s".to_owned(), first.row.clone().unwrap())]);
        let second = period(&mut capping, &look(Some(0), 0), &measured(2, 0, 0), &grants, 1);
        let room = CAP - ON_THE_WAY * 100.0;
        assert!((bytes(&first) + bytes(&second)) as f64 <= room * 1.0001, "{} {}", bytes(&first), bytes(&second));
        grants.insert("s".to_owned(), second.row.unwrap());
        let later = period(&mut capping, &look(Some(0), 0), &measured(2, 0, 0), &grants, 40);
        assert!(bytes(&later) as f64 <= room * 1.0001);
    }

    /// A leader that knows no grant of an instance, or a smaller one than was used.
    #[test]
    fn what_was_sent_above_the_known_grant_and_has_not_arrived_is_no_room() {
        let (arrived, sent) = (1_000_000, 5_000_000);
        let task = TaskGrant { task: 0, instance: 1, bytes: 2_000_000 };
        let smaller = BTreeMap::from([("s".to_owned(), GrantRow { v: VERSION, tasks: vec![task] })]);
        for grants in [BTreeMap::new(), smaller] {
            let mut capping = Capping::default();
            let look = look(Some(arrived as i64 / 100), 0);
            // A few periods, for the wants of one are bounded.
            let mut grants = grants;
            let mut most = 0;
            for second in 0..20 {
                let granted = period(&mut capping, &look, &measured(1, arrived, sent), &grants, second);
                most = bytes(&granted).max(sent);
                grants.insert("s".to_owned(), granted.row.unwrap());
            }
            let room = CAP - ON_THE_WAY * 100.0;
            assert!(most as f64 <= room * 1.0001, "{most} of {room}");
        }
    }

    fn of_a_new_leader(grants: &BTreeMap<String, GrantRow>, measured: &BTreeMap<String, Measured>) -> Granted {
        let caps = Caps {
            picture: &picture(),
            look: &look(Some(9_000), 0),
            measured,
            grants,
            period: 1.0,
            now: Duration::ZERO,
            floors: &BTreeMap::new(),
        };
        Capping::default().period(&caps, |_, _| None).remove("s").unwrap()
    }

    /// As for a new leader: nobody has seen yet how much of the source goes to the topic.
    #[test]
    fn a_topic_that_is_full_gets_nothing_more_while_its_share_of_the_source_is_not_known() {
        let mut full = measured(1, 9_000_000, 9_000_000);
        full.get_mut("s").unwrap().tasks.get_mut(&0).unwrap().report.records = 9_000;
        let task = TaskGrant { task: 0, instance: 1, bytes: 9_000_000 };
        let grants = BTreeMap::from([("s".to_owned(), GrantRow { v: VERSION, tasks: vec![task] })]);
        assert_eq!(bytes(&of_a_new_leader(&grants, &full)), 9_000_000);
    }

    #[test]
    fn a_backlog_of_records_whose_size_nobody_knows_is_no_room_but_for_one_batch() {
        let silent = measured(1, 0, 0);
        let nothing = BTreeMap::new();
        let first = of_a_new_leader(&nothing, &silent);
        assert_eq!(bytes(&first), 1);
        let again = BTreeMap::from([("s".to_owned(), first.row.unwrap())]);
        assert_eq!(bytes(&of_a_new_leader(&again, &silent)), 1);
    }

    #[test]
    fn records_weigh_what_their_source_says() {
        let mut heavy = measured(1, 900_000, 900_000);
        heavy.get_mut("s").unwrap().tasks.get_mut(&0).unwrap().report.records = 900;
        let granted = of_a_new_leader(&BTreeMap::new(), &heavy);
        assert_eq!(granted.caps[0].used, 9e6, "9,000 records of 1,000 bytes");
    }

    #[test]
    fn the_group_that_is_furthest_behind_is_named() {
        let mut capping = Capping::default();
        let granted = period(&mut capping, &look(Some(50_000), 10_000), &measured(1, 100, 100), &BTreeMap::new(), 0);
        assert_eq!(
            granted.caps,
            [CapRow { topic: "t".to_owned(), bytes: CAP, used: 4e6, by: "sink k (running)".to_owned() }]
        );
    }
}
