//! The decisions as they are, and deliberately wrong ones: each of those must miss a bar.
use elasticflow_flow::{Capped, Grantee, Group, Law, Mode, Pressure, PressureLaw, Sample, Source, Why};

/// The share that a topic has of a source now, both by their place.
pub(super) type Share<'a> = &'a dyn Fn(usize, usize) -> f64;

/// The functions under test with a place before and after each where an error can be put.
#[derive(Clone, Copy)]
pub(super) struct Decisions {
    pub(super) name: &'static str,
    pub(super) law: fn(Law) -> Law,
    sample: fn(Sample) -> Sample,
    group: fn(&Group, &Sample, &Law, Group) -> Group,
    source: fn(Source) -> Source,
    rates: fn(&[Source], Vec<f64>) -> Vec<f64>,
    grantee: fn(Grantee) -> Grantee,
    cap: fn(f64) -> f64,
    grants: fn(&[Capped], &[Grantee], Share<'_>) -> Vec<f64>,
    worker: fn(PressureLaw) -> PressureLaw,
}

pub(super) const TRUE: Decisions = Decisions {
    name: "the law as it is",
    law: |law| law,
    sample: |sample| sample,
    group: |_, _, _, next| next,
    source: |source| source,
    rates: |_, rates| rates,
    grantee: |grantee| grantee,
    cap: |cap| cap,
    grants: |topics, sources, _| elasticflow_flow::grant_among(topics, sources),
    worker: |law| law,
};

impl Decisions {
    pub(super) fn group(&self, group: &Group, sample: &Sample, law: &Law) -> Group {
        let sample = (self.sample)(*sample);
        (self.group)(group, &sample, law, group.step(&sample, law))
    }
    pub(super) fn allocate(&self, sources: &[Source], limits: &[f64]) -> Vec<f64> {
        let wrong: Vec<Source> = sources.iter().cloned().map(self.source).collect();
        (self.rates)(&wrong, elasticflow_flow::allocate(&wrong, limits))
    }
    pub(super) fn grant(&self, cap: f64, unconsumed: f64, sources: &[Grantee]) -> Vec<f64> {
        let wrong: Vec<Grantee> = sources.iter().copied().map(self.grantee).collect();
        elasticflow_flow::grant((self.cap)(cap), unconsumed, &wrong)
    }
    pub(super) fn grants(&self, topics: &[Capped], sources: &[Grantee], share: Share<'_>) -> Vec<f64> {
        let sources: Vec<Grantee> = sources.iter().copied().map(self.grantee).collect();
        let cap = |topic: &Capped| Capped { cap: (self.cap)(topic.cap), ..topic.clone() };
        let topics: Vec<Capped> = topics.iter().map(cap).collect();
        (self.grants)(&topics, &sources, share)
    }
    pub(super) fn pressure(&self, pressure: &Pressure, load: f64, rate: f64) -> Pressure {
        pressure.step(load, rate, &(self.worker)(PressureLaw::default()))
    }
}

const fn wrong(name: &'static str) -> Decisions {
    Decisions { name, ..TRUE }
}

/// Ends a limit as soon as the lag is low, also when the limit binds.
fn released_while_binding(_: &Group, _: &Sample, law: &Law, next: Group) -> Group {
    let low = next.mode == Mode::Limited && next.drain_time(law) < law.off * law.target && next.why == Why::Lag;
    if low { Group { mode: Mode::Free, limit: f64::INFINITY, calm: 0, ..next } } else { next }
}

/// Takes the drain rate of a sink without backlog for its capacity.
fn capacity_of_the_idle(before: &Group, sample: &Sample, law: &Law, next: Group) -> Group {
    let believes = Group { capacity: sample.drained.max(1.0), ..*before };
    if sample.lag.is_some() { believes.step(sample, law) } else { next }
}

/// Takes it that a source goes on to write each of its topics in the share that the topic has of it now.
fn granted_by_share(topics: &[Capped], sources: &[Grantee], share: Share<'_>) -> Vec<f64> {
    let mut least = vec![f64::INFINITY; sources.len()];
    for (at, topic) in topics.iter().enumerate() {
        let part = |source: usize| share(at, source).max(1e-6);
        let row = |(source, g): (usize, &Grantee)| Grantee {
            outstanding: g.outstanding * part(source),
            floor: g.floor * part(source),
            want: g.want * part(source),
            ..*g
        };
        let rows: Vec<Grantee> = sources.iter().enumerate().map(row).collect();
        let granted = elasticflow_flow::grant_among(std::slice::from_ref(topic), &rows);
        topic.fed_by.iter().for_each(|source| least[*source] = least[*source].min(granted[*source] / part(*source)));
    }
    least
}

pub(super) const MUTANTS: &[Decisions] = &[
    Decisions { law: |l| Law { proportional: 5.0, ..l }, ..wrong("proportional gain times five") },
    Decisions { law: |l| Law { proportional: -1.0, ..l }, ..wrong("proportional gain of the wrong sign") },
    Decisions { law: |l| Law { proportional: 0.05, ..l }, ..wrong("hardly any proportional gain") },
    Decisions { law: |l| Law { integral: 0.0, integral_max: 0.0, ..l }, ..wrong("no integral") },
    Decisions { law: |l| Law { integral: 2.0, ..l }, ..wrong("integral gain times twenty") },
    Decisions { law: |l| Law { target: 2.0 * l.target, ..l }, ..wrong("target doubled") },
    Decisions { law: |l| Law { enter_periods: 60, ..l }, ..wrong("a limit appears a minute late") },
    Decisions { law: |l| Law { falling: 200.0, rising: 200.0, ..l }, ..wrong("capacity hardly learned") },
    Decisions { law: |l| Law { stale_safe: 1e9, ..l }, ..wrong("no safe rate without samples") },
    Decisions { law: |l| Law { off_periods: 1_000_000, ..l }, ..wrong("never released") },
    Decisions { group: released_while_binding, ..wrong("released while the limit binds") },
    Decisions { group: capacity_of_the_idle, ..wrong("an idle sink's rate taken for its capacity") },
    Decisions { sample: |s| Sample { lag: Some(s.lag.unwrap_or(0.0)), ..s }, ..wrong("missing lag read as zero") },
    Decisions { sample: |s| Sample { floors: 0.0, ..s }, ..wrong("floors left out of the law") },
    Decisions { group: |_, _, _, n| Group { limit: n.limit / 2.0, ..n }, ..wrong("half of what the law admits") },
    Decisions { source: |s| Source { priority: 9 - s.priority, ..s }, ..wrong("priorities upside down") },
    Decisions { source: |s| Source { priority: 5, ..s }, ..wrong("priorities ignored") },
    Decisions { source: |s| Source { weight: 1.0, ..s }, ..wrong("weights ignored") },
    Decisions { source: |s| Source { floor: 0.0, ..s }, ..wrong("floors ignored in the division") },
    Decisions {
        source: |s| Source { shares: s.shares.into_iter().take(1).collect(), ..s },
        ..wrong("only the first bottleneck of a source counts")
    },
    Decisions { rates: |_, r| r.iter().map(|x| x * 1.3).collect(), ..wrong("a third too much for everybody") },
    Decisions { grantee: |g| Grantee { outstanding: 0.0, ..g }, ..wrong("grants on their way forgotten") },
    Decisions { cap: |cap| cap * 1.05, ..wrong("a cap five per cent too high") },
    Decisions { grants: granted_by_share, ..wrong("grants counted by the share that a topic had of a source") },
    Decisions { worker: |w| PressureLaw { goal: 0.6, ..w }, ..wrong("a worker's goal too low") },
    Decisions { worker: |w| PressureLaw { on: 2.0, ..w }, ..wrong("a worker's load never felt") },
];
