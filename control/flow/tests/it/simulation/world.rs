//! The plant under control: samples with delay, gaps and garbage; limits and grants applied.
use super::mutants::Decisions;
use super::plant::{Drain, Feed, Random};
use elasticflow_flow::special::{adapted, demand, step_period};
use elasticflow_flow::{Capped, Grantee, Group, Law, Mode, Sample, Source};

/// What can be unpleasant about sampling.
#[derive(Clone, Copy)]
pub(super) struct Sampling {
    /// Periods between a sample and the decision that uses it.
    pub(super) delay: usize,
    /// Share of samples that are missing.
    pub(super) missing: f64,
    /// Share of samples that are absurd.
    pub(super) garbage: f64,
}

pub(super) const PROMPT: Sampling = Sampling { delay: 1, missing: 0.0, garbage: 0.0 };

/// One period as it was.
pub(super) struct Period {
    pub(super) t: f64,
    pub(super) groups: Vec<Group>,
    pub(super) lags: Vec<f64>,
    pub(super) limits: Vec<f64>,
    pub(super) sent: Vec<f64>,
}

struct Snapshot {
    t: f64,
    /// Bytes fed to and acknowledged by each group.
    groups: Vec<(f64, f64)>,
    /// Bytes sent and time blocked of each source.
    feeds: Vec<(f64, f64)>,
    /// Unconsumed bytes of each capped topic.
    capped: Vec<f64>,
}

pub(super) struct World {
    pub(super) feeds: Vec<Feed>,
    pub(super) drains: Vec<Drain>,
    pub(super) groups: Vec<Group>,
    pub(super) log: Vec<Period>,
    /// Highest unconsumed bytes of each capped topic.
    pub(super) peaks: Vec<f64>,
    /// From this moment on no sample comes at all.
    pub(super) dark_from: f64,
    caps: Vec<(usize, f64)>,
    sampling: Sampling,
    decisions: Decisions,
    law: Law,
    random: Random,
    t: f64,
    topic_sent: Vec<f64>,
    /// Time and acknowledged bytes of each group's last valid sample.
    seen: Vec<(f64, f64)>,
    history: Vec<Snapshot>,
}

const DT: f64 = 0.1;

impl World {
    pub(super) fn new(feeds: Vec<Feed>, drains: Vec<Drain>, seed: u64, decisions: &Decisions) -> Self {
        let topics = feeds.iter().flat_map(|f| f.topics.iter().map(|(t, _)| t + 1)).max().unwrap_or(0);
        Self {
            groups: vec![Group::default(); drains.len()],
            seen: vec![(0.0, 0.0); drains.len()],
            feeds,
            drains,
            log: Vec::new(),
            peaks: Vec::new(),
            dark_from: f64::INFINITY,
            caps: Vec::new(),
            sampling: PROMPT,
            decisions: *decisions,
            law: (decisions.law)(Law::default()),
            random: Random::new(seed),
            t: 0.0,
            topic_sent: vec![0.0; topics],
            history: Vec::new(),
        }
    }

    pub(super) fn sampled(self, sampling: Sampling) -> Self {
        Self { sampling, ..self }
    }

    pub(super) fn capped(mut self, topic: usize, cap: f64) -> Self {
        self.caps.push((topic, cap));
        self.peaks.push(0.0);
        self
    }

    pub(super) fn run(mut self, seconds: f64) -> Self {
        if self.history.is_empty() {
            self.control();
        }
        for _ in 0..(seconds / self.law.period).round() as u64 {
            for _ in 0..(self.law.period / DT).round() as u64 {
                self.step();
            }
            self.control();
        }
        self
    }

    fn step(&mut self) {
        for feed in &mut self.feeds {
            let sent = feed.send(self.t, DT);
            for (topic, share) in &feed.topics {
                self.topic_sent[*topic] += sent * share;
                for drain in &mut self.drains {
                    drain.add(*topic, sent * share);
                }
            }
        }
        for drain in &mut self.drains {
            drain.drain(self.t, DT, &mut self.random);
        }
        for (at, (topic, _)) in self.caps.iter().enumerate() {
            let unconsumed = self.drains.iter().map(|d| d.unconsumed_of(*topic)).fold(0.0, f64::max);
            self.peaks[at] = self.peaks[at].max(unconsumed);
        }
        self.t += DT;
    }

    fn snapshot(&self) -> Snapshot {
        let fed = |drain: &Drain| drain.backlog.iter().map(|(topic, _)| self.topic_sent[*topic]).sum();
        let unconsumed = |topic: usize| self.drains.iter().map(|d| d.unconsumed_of(topic)).fold(0.0, f64::max);
        Snapshot {
            t: self.t,
            groups: self.drains.iter().map(|drain| (fed(drain), drain.acked)).collect(),
            feeds: self.feeds.iter().map(|feed| (feed.sent, feed.blocked)).collect(),
            capped: self.caps.iter().map(|(topic, _)| unconsumed(*topic)).collect(),
        }
    }

    fn control(&mut self) {
        self.history.push(self.snapshot());
        let length = self.history.len();
        if length < self.sampling.delay + 2 {
            if length == 1 {
                self.apply_caps(0);
            }
            return;
        }
        let now = length - 1 - self.sampling.delay;
        let per_second = |at: usize| {
            let (new, old) = (self.history[now].feeds[at], self.history[now - 1].feeds[at]);
            ((new.0 - old.0) / self.law.period, (new.1 - old.1) / self.law.period)
        };
        let measured: Vec<(f64, f64)> = (0..self.feeds.len()).map(per_second).collect();
        for at in 0..self.drains.len() {
            self.step_group(at, now, &measured);
        }
        self.apply_limits(&measured);
        self.apply_caps(now);
        self.note();
    }

    fn step_group(&mut self, at: usize, now: usize, measured: &[(f64, f64)]) {
        let drain = &self.drains[at];
        let ours = || self.feeds.iter().zip(measured).filter(|(feed, _)| !feed.foreign);
        let floors = ours().map(|(feed, _)| feed.floor * drain.share(feed)).sum();
        let inflow = ours().map(|(feed, (rate, _))| rate * drain.share(feed)).sum();
        let (t, (fed, acked), (then, before)) = (self.history[now].t, self.history[now].groups[at], self.seen[at]);
        let elapsed = t - then;
        let law = adapted(&self.law, drain.latency, drain.commit_every);
        if drain.commit_every > 0.0 && elapsed < step_period(&self.law, drain.commit_every) - 1e-9 {
            return;
        }
        let drained = (acked - before) / elapsed.max(1e-9);
        let mut sample = Sample { lag: Some((fed - acked).max(0.0)), drained, inflow, floors, elapsed };
        let chance = self.random.unit();
        let missing = if self.t > self.dark_from { 1.0 } else { self.sampling.missing };
        if chance < missing {
            sample = Sample { lag: None, drained: 0.0, inflow: 0.0, elapsed: 1.0, ..sample };
        } else if chance < missing + self.sampling.garbage {
            let absurd = self.random.choice(&[f64::NAN, -5.0, f64::INFINITY]);
            sample = Sample { lag: Some(absurd), drained: 0.0, inflow: 0.0, elapsed: 1.0, ..sample };
        } else {
            self.seen[at] = (t, acked);
        }
        self.groups[at] = self.decisions.group(&self.groups[at], &sample, &law);
    }

    fn apply_limits(&mut self, measured: &[(f64, f64)]) {
        let ours: Vec<usize> = (0..self.feeds.len()).filter(|at| !self.feeds[*at].foreign).collect();
        let view = |at: &usize| {
            let (feed, (rate, blocked)) = (&self.feeds[*at], measured[*at]);
            let shares = self.drains.iter().enumerate().map(|(b, drain)| (b, drain.share(feed)));
            Source {
                priority: feed.priority,
                weight: feed.weight,
                floor: feed.floor,
                rate_max: feed.rate_max,
                demand: demand(rate, blocked),
                shares: shares.filter(|(_, share)| *share > 0.0).collect(),
            }
        };
        let sources: Vec<Source> = ours.iter().map(view).collect();
        let limits: Vec<f64> = self.groups.iter().map(|group| group.limit).collect();
        for (at, limit) in ours.into_iter().zip(self.decisions.allocate(&sources, &limits)) {
            self.feeds[at].limit = limit;
        }
    }

    fn apply_caps(&mut self, old: usize) {
        /// Most that may be outstanding, seconds of the best rate.
        const AHEAD: f64 = 4.0 * 50e6;
        let waits = (self.sampling.delay + 2) as f64 * self.law.period;
        let known = |f: usize| self.history[old].feeds[f].0;
        let base = |f: usize| Some(self.feeds[f].allow).filter(|a| a.is_finite()).unwrap_or_else(|| known(f));
        let grantee = |f: usize| {
            let feed = &self.feeds[f];
            Grantee {
                priority: feed.priority,
                weight: feed.weight,
                outstanding: base(f) - known(f),
                floor: feed.floor * waits,
                want: AHEAD,
            }
        };
        let fed_by = |topic: usize| {
            let writes = |f: &usize| self.feeds[*f].topics.iter().any(|(t, _)| *t == topic);
            (0..self.feeds.len()).filter(writes).collect()
        };
        let topic = |(at, (topic, cap)): (usize, &(usize, f64))| Capped {
            cap: *cap,
            unconsumed: Some(self.history[old].capped[at]),
            fed_by: fed_by(*topic),
        };
        let topics: Vec<Capped> = self.caps.iter().enumerate().map(topic).collect();
        let sources: Vec<Grantee> = (0..self.feeds.len()).map(grantee).collect();
        let share = |topic: usize, source: usize| {
            let of = self.feeds[source].topics.iter().find(|(t, _)| *t == self.caps[topic].0);
            of.map_or(0.0, |(_, share)| *share)
        };
        let granted = self.decisions.grants(&topics, &sources, &share);
        let is_capped = |f: usize| topics.iter().any(|topic| topic.fed_by.contains(&f));
        let allowed = |(f, more): (usize, f64)| if is_capped(f) { base(f) + more } else { f64::INFINITY };
        let allowed: Vec<f64> = granted.into_iter().enumerate().map(allowed).collect();
        self.feeds.iter_mut().zip(allowed).for_each(|(feed, allow)| feed.allow = allow);
    }

    fn note(&mut self) {
        self.log.push(Period {
            t: self.t,
            groups: self.groups.clone(),
            lags: self.drains.iter().map(Drain::unconsumed).collect(),
            limits: self.feeds.iter().map(|feed| feed.limit).collect(),
            sent: self.feeds.iter().map(|feed| feed.sent).collect(),
        });
    }

    // --- what scenarios ask ---------------------------------------------------------------------------------------

    pub(super) fn between(&self, from: f64, to: f64) -> impl Iterator<Item = &Period> {
        self.log.iter().filter(move |p| from - 1e-6 <= p.t && p.t <= to + 1e-6)
    }

    /// Average bytes per second of a source.
    pub(super) fn rate(&self, feed: usize, from: f64, to: f64) -> f64 {
        let all: Vec<&Period> = self.between(from, to).collect();
        let (first, last) = (all[0], all[all.len() - 1]);
        (last.sent[feed] - first.sent[feed]) / (last.t - first.t)
    }

    /// Lags of the first group.
    pub(super) fn lags(&self, from: f64, to: f64) -> Vec<f64> {
        self.between(from, to).map(|p| p.lags[0]).collect()
    }

    /// Limits of the first group.
    pub(super) fn group_limits(&self, from: f64, to: f64) -> Vec<f64> {
        self.between(from, to).map(|p| p.groups[0].limit).collect()
    }

    /// Limits of a source after a moment.
    pub(super) fn limits(&self, feed: usize, after: f64) -> Vec<f64> {
        self.log.iter().filter(|p| p.t > after + 1e-6).map(|p| p.limits[feed]).collect()
    }

    /// Seconds from a moment on until the lag stays near a goal.
    pub(super) fn settle(&self, from: f64, goal: f64, tolerance: f64) -> f64 {
        let mut away = self.log.iter().filter(|p| p.t >= from && (p.lags[0] - goal).abs() > tolerance * goal);
        away.next_back().map_or(from, |p| p.t) - from + self.law.period
    }

    /// First moment after another at which something holds.
    pub(super) fn first(&self, after: f64, holds: impl Fn(&Period) -> bool) -> f64 {
        self.log.iter().find(|p| p.t > after + 1e-6 && holds(p)).map_or(1e9, |p| p.t)
    }

    pub(super) fn limited_periods(&self) -> f64 {
        self.log.iter().filter(|p| p.groups[0].mode != Mode::Free).count() as f64
    }
}
