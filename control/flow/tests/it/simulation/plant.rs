//! What is controlled: sources with a backlog, sinks with a speed, noise from a seed.

/// Offered or possible bytes per second at a time.
pub(super) type Course = Box<dyn Fn(f64) -> f64>;

pub(super) fn always(rate: f64) -> Course {
    Box::new(move |_| rate)
}

/// A course of `(from, rate)`.
pub(super) fn steps(pairs: &'static [(f64, f64)]) -> Course {
    Box::new(move |t| pairs.iter().rev().find(|(from, _)| t >= *from).map_or(pairs[0].1, |(_, rate)| *rate))
}

/// A sequence that depends on its seed alone (SplitMix64).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1))
    }
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n - 1)
    }
    pub(super) fn choice<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// A source of the plant.
pub(super) struct Feed {
    pub(super) want: Course,
    /// Topic and share of the bytes.
    pub(super) topics: Vec<(usize, f64)>,
    /// What these are from a moment on.
    turns: Option<(f64, Vec<f64>)>,
    pub(super) priority: u8,
    pub(super) weight: f64,
    pub(super) floor: f64,
    pub(super) rate_max: f64,
    /// Somebody else's: neither measured nor limited.
    pub(super) foreign: bool,
    pub(super) queue: f64,
    pub(super) tokens: f64,
    pub(super) limit: f64,
    /// Cumulative bytes that hard caps allow.
    pub(super) allow: f64,
    pub(super) sent: f64,
    pub(super) blocked: f64,
}

impl Feed {
    pub(super) fn new(want: Course, topics: &[(usize, f64)]) -> Self {
        Self {
            want,
            topics: topics.to_vec(),
            turns: None,
            priority: 5,
            weight: 1.0,
            floor: 0.0,
            rate_max: f64::INFINITY,
            foreign: false,
            queue: 0.0,
            tokens: 0.0,
            limit: f64::INFINITY,
            allow: f64::INFINITY,
            sent: 0.0,
            blocked: 0.0,
        }
    }
    pub(super) fn priority(self, priority: u8) -> Self {
        Self { priority, ..self }
    }
    pub(super) fn weight(self, weight: f64) -> Self {
        Self { weight, ..self }
    }
    pub(super) fn floor(self, floor: f64) -> Self {
        Self { floor, ..self }
    }
    /// Goes to its topics in other shares from a moment on.
    pub(super) fn turning(self, at: f64, shares: &[f64]) -> Self {
        Self { turns: Some((at, shares.to_vec())), ..self }
    }
    pub(super) fn foreign(self) -> Self {
        Self { foreign: true, ..self }
    }

    /// Bytes sent in a step.
    pub(super) fn send(&mut self, t: f64, dt: f64) -> f64 {
        /// What a source does unthrottled, bytes per second.
        const FULL_SPEED: f64 = 50e6;
        if let Some((_, shares)) = self.turns.take_if(|(at, _)| t >= *at) {
            self.topics.iter_mut().zip(shares).for_each(|((_, share), new)| *share = new);
        }
        let want = (self.want)(t);
        self.queue = if want.is_infinite() { want } else { self.queue + want * dt };
        let mut budget = f64::INFINITY;
        if self.limit.is_finite() {
            self.tokens = (self.tokens + self.limit * dt).min(0.25 * self.limit);
            budget = self.tokens;
        }
        budget = budget.min(self.allow - self.sent);
        let full = FULL_SPEED * dt;
        let sent = self.queue.min(budget).min(full).max(0.0);
        if self.queue > sent + 1e-9 && sent < full {
            self.blocked += dt;
        }
        if self.queue.is_finite() {
            self.queue -= sent;
        }
        if self.limit.is_finite() {
            self.tokens -= sent;
        }
        self.sent += sent;
        sent
    }
}

/// A consumer group of the plant.
pub(super) struct Drain {
    pub(super) capacity: Course,
    /// Commits in steps of so many seconds; 0 reports each period.
    pub(super) commit_every: f64,
    pub(super) noise: f64,
    /// Progress is visible so much later.
    pub(super) latency: f64,
    trail: std::collections::VecDeque<f64>,
    /// Unconsumed bytes by topic; only topics that it reads.
    pub(super) backlog: Vec<(usize, f64)>,
    /// Progress as seen from outside.
    pub(super) acked: f64,
    done: f64,
    last_commit: f64,
}

impl Drain {
    pub(super) fn new(topics: &[usize], capacity: Course, noise: f64) -> Self {
        Self {
            capacity,
            commit_every: 0.0,
            noise,
            latency: 0.0,
            trail: std::collections::VecDeque::new(),
            backlog: topics.iter().map(|topic| (*topic, 0.0)).collect(),
            acked: 0.0,
            done: 0.0,
            last_commit: 0.0,
        }
    }
    pub(super) fn commits_every(self, commit_every: f64) -> Self {
        Self { commit_every, ..self }
    }
    pub(super) fn late_by(self, latency: f64) -> Self {
        Self { latency, ..self }
    }
    pub(super) fn reads(&self, topic: usize) -> bool {
        self.backlog.iter().any(|(t, _)| *t == topic)
    }
    /// Share of a source's bytes that comes here.
    pub(super) fn share(&self, feed: &Feed) -> f64 {
        feed.topics.iter().filter(|(topic, _)| self.reads(*topic)).map(|(_, share)| share).sum()
    }
    pub(super) fn unconsumed(&self) -> f64 {
        self.backlog.iter().map(|(_, bytes)| bytes).sum()
    }
    pub(super) fn unconsumed_of(&self, topic: usize) -> f64 {
        self.backlog.iter().find(|(t, _)| *t == topic).map_or(0.0, |(_, bytes)| *bytes)
    }
    pub(super) fn add(&mut self, topic: usize, bytes: f64) {
        if let Some((_, backlog)) = self.backlog.iter_mut().find(|(t, _)| *t == topic) {
            *backlog += bytes;
        }
    }

    pub(super) fn drain(&mut self, t: f64, dt: f64, random: &mut Random) {
        let speed = (self.capacity)(t) * (1.0 + self.noise * random.between(-1.0, 1.0)) * dt;
        let total = self.unconsumed();
        let drained = speed.min(total);
        if total > 0.0 {
            for (_, bytes) in &mut self.backlog {
                *bytes -= drained * *bytes / total;
            }
        }
        self.done += drained;
        if self.latency > 0.0 {
            self.trail.push_back(self.done);
            if self.trail.len() as f64 > (self.latency / dt).round() {
                self.acked = self.trail.pop_front().unwrap();
            }
        } else if self.commit_every == 0.0 {
            self.acked = self.done;
        } else if t - self.last_commit >= self.commit_every {
            (self.acked, self.last_commit) = (self.done, t);
        }
    }
}
