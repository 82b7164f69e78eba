//! Division of what all bottlenecks admit among the sources that feed them.
//!
//! Floors first; then classes of priority from high to low, and inside a class the rates rise together in proportion
//! to weight until its demand, its maximum or a full bottleneck stops each: weighted max-min fair over all bottlenecks
//! at once, and nothing is left that a source could use. All sources of a class stand at one common level, so every
//! stop has a level at which it happens; stops are taken in that order from two heaps, O((S + E) log (S + E)) for S
//! sources with E shares of bottlenecks.
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A source as the allocation sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// 0 to 9, 9 the most important.
    pub priority: u8,
    /// Share inside its class, greater than 0.
    pub weight: f64,
    /// Bytes per second below which it is never limited.
    pub floor: f64,
    /// Its own maximum, bytes per second.
    pub rate_max: f64,
    /// Bytes per second that it would send.
    pub demand: f64,
    /// Bytes at a bottleneck, by its number, per byte sent.
    pub shares: Vec<(usize, f64)>,
}

impl Source {
    fn wants(&self) -> f64 {
        self.demand.min(self.rate_max)
    }
}

/// Limits of all sources, in their order; `limits` are the bottlenecks' bytes per second, infinite ones bind nobody.
pub fn allocate(sources: &[Source], limits: &[f64]) -> Vec<f64> {
    let mut filling = Filling::new(sources, limits);
    let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); usize::from(u8::MAX) + 1];
    for (at, source) in sources.iter().enumerate() {
        by_class[usize::from(source.priority)].push(at);
    }
    let mut rates = vec![0.0; sources.len()];
    for class in by_class.iter().rev().filter(|class| !class.is_empty()) {
        let bound: Vec<usize> = class.iter().copied().filter(|at| filling.is_bound(*at)).collect();
        filling.fill(&bound);
        for at in class {
            rates[*at] = filling.ceiling(*at);
        }
    }
    rates
}

/// A number that orders; inputs are never NaN.
#[derive(Clone, Copy, PartialEq)]
struct Level(f64);

impl Eq for Level {}
impl PartialOrd for Level {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Level {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// A finite bottleneck while a class is filled.
#[derive(Clone, Default)]
struct Bottleneck {
    /// Bytes per second not given away yet, as of `level`.
    left: f64,
    level: f64,
    /// Bytes per second that it takes for one step of the level.
    slope: f64,
    /// Sources that still rise and use it.
    rising: usize,
    users: Vec<usize>,
    /// Number of the last change; what was foreseen before it is not true any more.
    change: u32,
}

impl Bottleneck {
    fn advance(&mut self, level: f64) {
        if self.rising > 0 {
            self.left = (self.left - (level - self.level) * self.slope).max(0.0);
        }
        self.level = level;
    }

    fn full_at(&self) -> f64 {
        self.level + self.left / self.slope
    }
}

struct Filling<'a> {
    sources: &'a [Source],
    /// By number; `None` for those that bind nobody.
    bottlenecks: Vec<Option<Bottleneck>>,
    /// What each source has; while a class is filled, what it had before.
    rates: Vec<f64>,
    rising: Vec<bool>,
    sated: Vec<bool>,
    stops: BinaryHeap<Reverse<(Level, usize)>>,
    fulls: BinaryHeap<Reverse<(Level, usize, u32)>>,
}

impl<'a> Filling<'a> {
    fn new(sources: &'a [Source], limits: &[f64]) -> Self {
        let rates: Vec<f64> = sources.iter().map(|s| s.floor.min(s.wants())).collect();
        let finite = |limit: &f64| limit.is_finite().then(|| Bottleneck { left: *limit, ..Bottleneck::default() });
        let mut bottlenecks: Vec<Option<Bottleneck>> = limits.iter().map(finite).collect();
        for (source, rate) in sources.iter().zip(&rates) {
            for (b, share) in &source.shares {
                if let Some(Some(bottleneck)) = bottlenecks.get_mut(*b) {
                    bottleneck.left -= rate * share;
                }
            }
        }
        for bottleneck in bottlenecks.iter_mut().flatten() {
            bottleneck.left = bottleneck.left.max(0.0);
        }
        Self {
            sources,
            bottlenecks,
            rates,
            rising: vec![false; sources.len()],
            sated: vec![false; sources.len()],
            stops: BinaryHeap::new(),
            fulls: BinaryHeap::new(),
        }
    }

    /// Bottlenecks that bind a source, with its share.
    fn binding(&self, at: usize) -> impl Iterator<Item = (usize, f64)> + use<'a, '_> {
        let shares = self.sources[at].shares.iter().copied();
        shares.filter(|(b, share)| *share > 0.0 && self.bottlenecks.get(*b).is_some_and(Option::is_some))
    }

    fn is_bound(&self, at: usize) -> bool {
        self.binding(at).next().is_some()
    }

    /// Raises the sources of one class together until each is stopped.
    fn fill(&mut self, class: &[usize]) {
        self.begin(class);
        let mut level = 0.0;
        loop {
            let stop = self.stops.peek().map_or(f64::INFINITY, |Reverse((at, _))| at.0);
            let full = self.next_full();
            if !stop.is_finite() && full.is_none() {
                break;
            }
            match full {
                Some((at, b)) if at < stop => {
                    level = at.max(level);
                    self.close(b, level);
                }
                _ => {
                    let Some(Reverse((at, source))) = self.stops.pop() else { break };
                    if self.rising[source] {
                        level = at.0.max(level);
                        self.sated[source] = true;
                        self.stop(source, level);
                    }
                }
            }
        }
    }

    fn begin(&mut self, class: &[usize]) {
        self.stops.clear();
        self.fulls.clear();
        for bottleneck in self.bottlenecks.iter_mut().flatten() {
            let left = bottleneck.left;
            let change = bottleneck.change + 1;
            *bottleneck = Bottleneck { left, change, ..Bottleneck::default() };
        }
        for at in class {
            let source = &self.sources[*at];
            self.rising[*at] = true;
            let lacks = (source.wants() - self.rates[*at]).max(0.0);
            if lacks.is_finite() {
                self.stops.push(Reverse((Level(lacks / source.weight), *at)));
            }
            let binding: Vec<(usize, f64)> = self.binding(*at).collect();
            for (b, share) in binding {
                if let Some(Some(bottleneck)) = self.bottlenecks.get_mut(b) {
                    bottleneck.slope += source.weight * share;
                    bottleneck.rising += 1;
                    bottleneck.users.push(*at);
                }
            }
        }
        for (b, bottleneck) in self.bottlenecks.iter().enumerate() {
            if let Some(bottleneck) = bottleneck.as_ref().filter(|b| b.rising > 0) {
                self.fulls.push(Reverse((Level(bottleneck.full_at()), b, bottleneck.change)));
            }
        }
    }

    /// The bottleneck that is full first, and where.
    fn next_full(&mut self) -> Option<(f64, usize)> {
        while let Some(Reverse((at, b, change))) = self.fulls.peek().copied() {
            let is_current = |of: &Bottleneck| of.change == change && of.rising > 0;
            if self.bottlenecks.get(b).and_then(Option::as_ref).is_some_and(is_current) {
                return Some((at.0, b));
            }
            self.fulls.pop();
        }
        None
    }

    /// A bottleneck is full: nobody who uses it rises any further.
    fn close(&mut self, b: usize, level: f64) {
        let Some(Some(bottleneck)) = self.bottlenecks.get_mut(b) else { return };
        bottleneck.advance(level);
        bottleneck.left = 0.0;
        for user in std::mem::take(&mut bottleneck.users) {
            if self.rising[user] {
                self.stop(user, level);
            }
        }
    }

    fn stop(&mut self, at: usize, level: f64) {
        self.rising[at] = false;
        self.rates[at] += level * self.sources[at].weight;
        let binding: Vec<(usize, f64)> = self.binding(at).collect();
        for (b, share) in binding {
            let Some(Some(bottleneck)) = self.bottlenecks.get_mut(b) else { continue };
            bottleneck.advance(level);
            bottleneck.rising -= 1;
            // Differences of sums drift; without a user there is no slope at all.
            let slope = bottleneck.slope - self.sources[at].weight * share;
            bottleneck.slope = if bottleneck.rising == 0 { 0.0 } else { slope };
            bottleneck.change += 1;
            if bottleneck.rising > 0 {
                self.fulls.push(Reverse((Level(bottleneck.full_at()), b, bottleneck.change)));
            }
        }
    }

    /// What a source may send. One that has all it wants also gets what its class leaves over, so that it can grow at
    /// once instead of a period later.
    fn ceiling(&self, at: usize) -> f64 {
        let (source, rate) = (&self.sources[at], self.rates[at]);
        let over = |(b, share): (usize, f64)| {
            let left = self.bottlenecks.get(b).and_then(Option::as_ref).map_or(0.0, |b| b.left);
            rate + left / share
        };
        let ceiling = match (self.is_bound(at), self.sated[at]) {
            (false, _) => source.rate_max,
            (true, true) => rate.max(self.binding(at).map(over).fold(f64::INFINITY, f64::min)),
            (true, false) => rate,
        };
        source.rate_max.min(ceiling.max(source.floor.min(source.rate_max)))
    }
}
