//! The scenarios with their bars.
use super::mutants::Decisions;
use super::plant::{Drain, Feed, Random, always, steps};
use super::world::{Sampling, World};
use elasticflow_flow::{Grantee, Group, Mode, Pressure, Source};

const MB: f64 = 1e6;
/// Target drain time of the law, seconds.
const TARGET: f64 = 10.0;
/// More than any source offers.
const ENDLESS: f64 = f64::INFINITY;

pub(super) type Figures = Vec<f64>;

/// A bar: name of a figure, lowest and highest that is accepted.
pub(super) type Bar = (&'static str, f64, f64);

pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) run: fn(u64, &Decisions) -> Figures,
    pub(super) bars: &'static [Bar],
}

const MOST: f64 = 1e9;

#[rustfmt::skip]
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "L1", about: "sink falls from 20 to 4 MB/s at 60 s under an endless source", run: l1, bars: &[("react_s", 0.0, 8.0), ("settle_s", 0.0, 65.0), ("use", 0.97, 1.03), ("swing", 0.0, 0.15), ("over", 0.0, 1.1)] },
    Scenario { name: "L2", about: "sink stops for 60 s and comes back", run: l2, bars: &[("release_s", -MOST, 15.0), ("floor", 0.99, 1.01), ("caught_up", 0.0, 1.0)] },
    Scenario { name: "L3", about: "one sink of 4 MB/s: important live source of 2 MB/s, unimportant endless one", run: l3, bars: &[("important", 0.95, 1.05), ("other", 0.9, 1.05), ("floor", 1.0, MOST), ("swing", 0.0, 0.25)] },
    Scenario { name: "L4", about: "8 equal endless sources; three with weights 1, 2, 4", run: l4, bars: &[("fair", 0.99, 1.0), ("fair_weighted", 0.99, 1.0)] },
    Scenario { name: "L5", about: "capacity with 50 % noise that drifts between 10 and 5 MB/s", run: l5, bars: &[("drain_max", 0.0, 1.3), ("drain_min", 0.65, 9.0), ("use", 0.95, 1.05)] },
    Scenario { name: "L6", about: "3 periods of delay, 20 % of samples missing, 2 % absurd", run: l6, bars: &[("over", 0.0, 1.1), ("under", 0.85, 9.0), ("swing", 0.0, 0.3)] },
    Scenario { name: "L7", about: "foreign group that commits every 10 s", run: l7, bars: &[("over", 0.0, 1.1), ("under", 0.85, 9.0), ("swing", 0.0, 0.15), ("use", 0.97, 1.03)] },
    Scenario { name: "L8", about: "source with two topics and two sinks, a second source on the fast sink", run: l8, bars: &[("first", 0.95, 1.05), ("second", 0.95, 1.05)] },
    Scenario { name: "L9", about: "the important source bursts tenfold for 30 s", run: l9, bars: &[("burst", 0.95, 1.02), ("back", 0.95, 1.05), ("floor", 1.0, MOST)] },
    Scenario { name: "L10", about: "hard cap of 50 MB, sink dead for 60 s", run: l10, bars: &[("peak", 0.0, 1.0), ("after", 0.9, 1.05), ("floor", 0.95, MOST)] },
    Scenario { name: "L11", about: "no lag data at all from 60 s on", run: l11, bars: &[("safe", 0.45, 0.55)] },
    Scenario { name: "L12", about: "light load", run: l12, bars: &[("limited", 0.0, 0.0)] },
    Scenario { name: "L13", about: "worker at the end of its processors", run: l13, bars: &[("important", 0.95, 1.01), ("load", 0.78, 0.92), ("peak", 0.0, 1.15), ("fair", 0.97, 1.0)] },
    Scenario { name: "L14", about: "first contact: sink 1000 times slower than the source", run: l14, bars: &[("peak", 0.0, 1.0), ("react_s", 0.0, 5.0)] },
    Scenario { name: "L15", about: "random topologies", run: l15, bars: &[("load", 0.0, 1.0001), ("floor", 0.9999, MOST), ("waste", 0.0, 1e-4), ("over", -MOST, 1e-3)] },
    Scenario { name: "L16", about: "new leader: limits in force, state lost", run: l16, bars: &[("over", 0.0, 1.1), ("use", 0.95, 1.05), ("swing", 0.0, 0.25)] },
    Scenario { name: "L17", about: "a foreign producer takes 30 % of the sink", run: l17, bars: &[("over", 0.0, 1.1), ("under", 0.9, 9.0), ("ours", 0.97, 1.03)] },
    Scenario { name: "L18", about: "sink becomes ten times faster", run: l18, bars: &[("flaps", 0.0, 0.0), ("up_s", 0.0, 15.0), ("use", 0.97, 1.03)] },
    Scenario { name: "L19", about: "burst of 0.2 to 8 MB/s into a batching sink of 10 MB/s", run: l19, bars: &[("got", 0.97, 1.03), ("limited", 0.0, 3.0)] },
    Scenario { name: "L20", about: "slow overload of 5 %", run: l20, bars: &[("over", 0.0, 1.1), ("use", 0.97, 1.03)] },
    Scenario { name: "L21", about: "bursts into sinks whose progress shows 3 s and 8 s late", run: l21, bars: &[("first", 0.7, 1.05), ("second", 0.98, 1.05), ("late", 0.8, 1.05)] },
    Scenario { name: "L22", about: "a source turns at once from a topic without a cap to one that had 1 % and a cap of 60 MB, whose sink is dead for 60 s", run: l22, bars: &[("peak", 0.0, 1.0), ("use", 0.9, 1.05), ("back", 0.9, 1.05)] },
];

fn most(of: &[f64]) -> f64 {
    of.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
fn least(of: &[f64]) -> f64 {
    of.iter().copied().fold(f64::INFINITY, f64::min)
}
fn swing(of: &[f64], mean: f64) -> f64 {
    (most(of) - least(of)) / mean
}
/// Jain's index: 1 when all are equal.
fn fairness(of: &[f64]) -> f64 {
    of.iter().sum::<f64>().powi(2) / (of.len() as f64 * of.iter().map(|x| x * x).sum::<f64>())
}

fn endless(topic: usize) -> Feed {
    Feed::new(always(ENDLESS), &[(topic, 1.0)])
}

pub(super) fn falling_sink(seed: u64, d: &Decisions) -> World {
    let sink = Drain::new(&[0], steps(&[(0.0, 20.0 * MB), (60.0, 4.0 * MB)]), 0.1);
    World::new(vec![endless(0)], vec![sink], seed, d).run(300.0)
}

fn l1(seed: u64, d: &Decisions) -> Figures {
    let w = falling_sink(seed, d);
    let goal = TARGET * 4.0 * MB;
    let react = w.first(60.0, |p| p.groups[0].limit <= 1.1 * 4.0 * MB) - 60.0;
    let swing = swing(&w.group_limits(200.0, 300.0), 4.0 * MB);
    let over = most(&w.lags(200.0, 300.0)) / goal;
    vec![react, w.settle(60.0, goal, 0.15), w.rate(0, 200.0, 300.0) / (4.0 * MB), swing, over]
}

fn l2(seed: u64, d: &Decisions) -> Figures {
    let source = Feed::new(always(3.0 * MB), &[(0, 1.0)]).floor(0.05 * MB);
    let sink = Drain::new(&[0], steps(&[(0.0, 10.0 * MB), (60.0, 0.0), (120.0, 10.0 * MB)]), 0.1);
    let w = World::new(vec![source], vec![sink], seed, d).run(260.0);
    let free = w.first(125.0, |p| p.groups[0].mode == Mode::Free);
    let after: Vec<_> = w.between(126.0, 300.0).collect();
    let is_calm = |pair: &&[&super::world::Period]| pair[1].sent[0] - pair[0].sent[0] <= 1.1 * 3.0 * MB;
    let calm = after.windows(2).find(is_calm).map_or(1e9, |pair| pair[1].t);
    let floor = least(&w.group_limits(80.0, 119.0)) / (0.05 * MB);
    vec![free - calm, floor, w.log.last().unwrap().lags[0] / (10.0 * MB)]
}

fn l3(seed: u64, d: &Decisions) -> Figures {
    let w = two_priorities(seed, d).run(240.0);
    let floor = least(&w.limits(1, 2.0)) / (0.1 * MB);
    let swing = swing(&w.limits(1, 120.0), 2.0 * MB);
    vec![w.rate(0, 60.0, 240.0) / (2.0 * MB), w.rate(1, 120.0, 240.0) / (2.0 * MB), floor, swing]
}

fn two_priorities(seed: u64, d: &Decisions) -> World {
    let important = Feed::new(always(2.0 * MB), &[(0, 1.0)]).priority(9);
    let other = endless(1).priority(1).floor(0.1 * MB);
    World::new(vec![important, other], vec![Drain::new(&[0, 1], always(4.0 * MB), 0.1)], seed, d)
}

fn l4(seed: u64, d: &Decisions) -> Figures {
    let sink = |rate| vec![Drain::new(&[0], always(rate), 0.2)];
    let equal = World::new((0..8).map(|_| endless(0)).collect(), sink(8.0 * MB), seed, d).run(180.0);
    let weighted = (0..3).map(|n| endless(0).weight(2f64.powi(n))).collect();
    let weighted = World::new(weighted, sink(7.0 * MB), seed, d).run(180.0);
    let rates: Vec<f64> = (0..8).map(|n| equal.rate(n, 60.0, 180.0)).collect();
    let by_weight: Vec<f64> = (0..3i32).map(|n| weighted.rate(n as usize, 60.0, 180.0) / 2f64.powi(n)).collect();
    vec![fairness(&rates), fairness(&by_weight)]
}

fn drifting(t: f64) -> f64 {
    7.5 * MB + 2.5 * MB * (t / 40.0).cos()
}

fn l5(seed: u64, d: &Decisions) -> Figures {
    let w = World::new(vec![endless(0)], vec![Drain::new(&[0], Box::new(drifting), 0.5)], seed, d).run(400.0);
    let drains: Vec<f64> = w.between(100.5, 400.0).map(|p| p.lags[0] / drifting(p.t) / TARGET).collect();
    let mean = (0..300).map(|i| drifting(100.0 + f64::from(i))).sum::<f64>() / 300.0;
    vec![most(&drains), least(&drains), w.rate(0, 100.0, 400.0) / mean]
}

fn l6(seed: u64, d: &Decisions) -> Figures {
    let sink = Drain::new(&[0], steps(&[(0.0, 20.0 * MB), (100.0, 5.0 * MB)]), 0.2);
    let sampling = Sampling { delay: 3, missing: 0.2, garbage: 0.02 };
    let w = World::new(vec![endless(0)], vec![sink], seed, d).sampled(sampling).run(350.0);
    let (lags, goal) = (w.lags(250.0, 350.0), TARGET * 5.0 * MB);
    vec![most(&lags) / goal, least(&lags) / goal, swing(&w.group_limits(250.0, 350.0), 5.0 * MB)]
}

fn l7(seed: u64, d: &Decisions) -> Figures {
    let sink = Drain::new(&[0], always(5.0 * MB), 0.1).commits_every(10.0);
    let w = World::new(vec![endless(0)], vec![sink], seed, d).run(1500.0);
    let (lags, goal) = (w.lags(1000.0, 1500.0), 5.0 * 20.0 * 5.0 * MB);
    let swing = swing(&w.group_limits(1000.0, 1500.0), 5.0 * MB);
    vec![most(&lags) / goal, least(&lags) / goal, swing, w.rate(0, 1000.0, 1500.0) / (5.0 * MB)]
}

fn l8(seed: u64, d: &Decisions) -> Figures {
    let both = Feed::new(always(ENDLESS), &[(0, 0.5), (1, 0.5)]);
    let slow = Drain::new(&[0], always(2.0 * MB), 0.1);
    let fast = Drain::new(&[1], always(20.0 * MB), 0.1);
    // The slow sink is the second in the list, so that a source is not bound by its first bottleneck.
    let w = World::new(vec![both, endless(1)], vec![fast, slow], seed, d).run(300.0);
    vec![w.rate(0, 150.0, 300.0) / (4.0 * MB), w.rate(1, 150.0, 300.0) / (18.0 * MB)]
}

fn l9(seed: u64, d: &Decisions) -> Figures {
    let burst = steps(&[(0.0, 0.3 * MB), (100.0, 3.0 * MB), (130.0, 0.3 * MB)]);
    let important = Feed::new(burst, &[(0, 1.0)]).priority(9);
    let other = endless(1).priority(1).floor(0.2 * MB);
    let sink = Drain::new(&[0, 1], always(4.0 * MB), 0.1);
    let w = World::new(vec![important, other], vec![sink], seed, d).run(300.0);
    let offered = 3.0 * MB * 30.0 + 0.3 * MB * 5.0;
    let delivered = w.rate(0, 100.0, 135.0) * 35.0 / offered;
    vec![delivered, w.rate(1, 170.0, 300.0) / (3.7 * MB), least(&w.limits(1, 2.0)) / (0.2 * MB)]
}

fn l10(seed: u64, d: &Decisions) -> Figures {
    let feeds = vec![endless(0).priority(9), endless(0).priority(1).floor(0.1 * MB)];
    let sink = Drain::new(&[0], steps(&[(0.0, 10.0 * MB), (30.0, 0.0), (90.0, 10.0 * MB)]), 0.2);
    let sampling = Sampling { delay: 2, missing: 0.0, garbage: 0.0 };
    let w = World::new(feeds, vec![sink], seed, d).sampled(sampling).capped(0, 50.0 * MB).run(200.0);
    let (first, second) = (w.rate(0, 120.0, 200.0), w.rate(1, 120.0, 200.0));
    vec![w.peaks[0] / (50.0 * MB), (first + second) / (10.0 * MB), second / (0.1 * MB)]
}

fn l11(seed: u64, d: &Decisions) -> Figures {
    let sink = Drain::new(&[0], always(8.0 * MB), 0.0);
    let mut w = World::new(vec![endless(0).floor(0.5 * MB)], vec![sink], seed, d);
    w.dark_from = 60.5;
    vec![w.run(240.0).group_limits(200.0, 240.0).last().unwrap() / (8.0 * MB)]
}

fn l12(seed: u64, d: &Decisions) -> Figures {
    let wave = Feed::new(Box::new(|t: f64| 2.0 * MB * (1.0 + t.sin())), &[(0, 1.0)]);
    let w = World::new(vec![wave], vec![Drain::new(&[0], always(10.0 * MB), 0.3)], seed, d).run(120.0);
    vec![w.limited_periods()]
}

fn l13(seed: u64, d: &Decisions) -> Figures {
    const SECONDS_PER_BYTE: f64 = 1.0 / (10.0 * MB);
    const CORES: f64 = 2.0;
    let of = |priority, floor, demand| Source {
        priority,
        weight: 1.0,
        floor,
        rate_max: f64::INFINITY,
        demand,
        shares: vec![(0, 1.0)],
    };
    let sources = [of(9, 0.0, 6.0 * MB), of(1, 0.2 * MB, ENDLESS), of(1, 0.2 * MB, ENDLESS)];
    let (mut random, mut pressure) = (Random::new(seed), Pressure::default());
    let (mut got, mut loads) = ([0.0; 3], Vec::new());
    for period in 0..200 {
        let limits = d.allocate(&sources, &[pressure.limit]);
        let ask: Vec<f64> = sources.iter().zip(limits).map(|(s, l)| s.demand.min(l).min(30.0 * MB)).collect();
        let sum: f64 = ask.iter().sum();
        let load = sum * SECONDS_PER_BYTE / CORES * random.between(0.9, 1.1);
        let scale = (1.0 / load).min(1.0);
        pressure = d.pressure(&pressure, load.min(1.0), sum * scale);
        if period >= 50 {
            loads.push(load);
            for (got, ask) in got.iter_mut().zip(&ask) {
                *got += ask * scale;
            }
        }
    }
    let mean = loads.iter().sum::<f64>() / loads.len() as f64;
    vec![got[0] / 150.0 / (6.0 * MB), mean, most(&loads), got[1].min(got[2]) / got[1].max(got[2])]
}

fn l14(seed: u64, d: &Decisions) -> Figures {
    let sink = Drain::new(&[0], always(0.05 * MB), 0.2);
    let w = World::new(vec![endless(0)], vec![sink], seed, d).capped(0, 40.0 * MB).run(60.0);
    vec![w.peaks[0] / (40.0 * MB), w.first(0.0, |p| p.groups[0].limit <= 0.055 * MB)]
}

/// A random source over some bottlenecks.
fn any_source(random: &mut Random, bottlenecks: usize) -> Source {
    let mut shares = Vec::new();
    let forced = random.below(bottlenecks);
    for b in 0..bottlenecks {
        if b == forced || random.unit() < 0.5 {
            shares.push((b, random.between(0.1, 1.0)));
        }
    }
    let endless_or = random.between(0.0, 3.0) * MB;
    Source {
        priority: random.below(10) as u8,
        weight: random.choice(&[1.0, 1.0, 2.0, 5.0]),
        floor: random.choice(&[0.0, 0.01 * MB]),
        rate_max: random.choice(&[ENDLESS, 2.0 * MB]),
        demand: random.choice(&[ENDLESS, endless_or]),
        shares,
    }
}

fn l15(seed: u64, d: &Decisions) -> Figures {
    let mut random = Random::new(seed);
    let (mut worst, mut low, mut waste, mut over) = (0.0f64, 9.0f64, 0.0f64, -MOST);
    for _ in 0..50 {
        let bottlenecks = 1 + random.below(8);
        let sources: Vec<Source> = (0..=random.below(40)).map(|_| any_source(&mut random, bottlenecks)).collect();
        let limits: Vec<f64> = (0..bottlenecks).map(|_| random.between(1.0, 20.0) * MB).collect();
        let rates = d.allocate(&sources, &limits);
        let load = |b: usize| -> f64 {
            let at = |s: &Source| s.shares.iter().find(|(x, _)| *x == b).map_or(0.0, |(_, share)| *share);
            sources.iter().zip(&rates).map(|(s, rate)| rate.min(s.demand) * at(s)).sum::<f64>() / limits[b]
        };
        let loads: Vec<f64> = (0..bottlenecks).map(load).collect();
        worst = worst.max(most(&loads));
        for (source, rate) in sources.iter().zip(&rates) {
            if source.floor > 0.0 {
                low = low.min(rate / source.floor);
            }
            if *rate < source.demand.min(source.rate_max) - 1.0 {
                let rooms: Vec<f64> = source.shares.iter().map(|(b, _)| 1.0 - loads[*b]).collect();
                waste = waste.max(least(&rooms));
            }
        }
        over = over.max(granted_over(&mut random, d, &sources));
    }
    vec![worst, low, waste, over]
}

/// Bytes granted above the room that there is.
fn granted_over(random: &mut Random, d: &Decisions, sources: &[Source]) -> f64 {
    const CAP: f64 = 30.0 * MB;
    let grantee = |s: &Source, random: &mut Random| Grantee {
        priority: s.priority,
        weight: s.weight,
        outstanding: random.between(0.0, 0.5) * MB,
        floor: s.floor,
        want: random.between(0.0, 5.0) * MB,
    };
    let rows: Vec<Grantee> = sources.iter().map(|s| grantee(s, random)).collect();
    let unconsumed = random.between(0.0, 30.0) * MB;
    let room = CAP - unconsumed - rows.iter().map(|r| r.outstanding).sum::<f64>();
    d.grant(CAP, unconsumed, &rows).iter().sum::<f64>() - room.max(0.0)
}

fn l16(seed: u64, d: &Decisions) -> Figures {
    let mut w = World::new(vec![endless(0)], vec![Drain::new(&[0], always(4.0 * MB), 0.1)], seed, d).run(150.0);
    w.groups[0] = Group::adopt(w.feeds.iter().map(|feed| feed.limit).sum());
    let w = w.run(60.0);
    let over = most(&w.lags(151.0, 210.0)) / (TARGET * 4.0 * MB);
    vec![over, w.rate(0, 151.0, 210.0) / (4.0 * MB), swing(&w.group_limits(152.0, 210.0), 4.0 * MB)]
}

fn l17(seed: u64, d: &Decisions) -> Figures {
    let foreign = Feed::new(always(1.2 * MB), &[(0, 1.0)]).foreign();
    let sink = Drain::new(&[0], always(4.0 * MB), 0.1);
    let w = World::new(vec![endless(0), foreign], vec![sink], seed, d).run(500.0);
    let (lags, goal) = (w.lags(300.0, 500.0), TARGET * 4.0 * MB);
    vec![most(&lags) / goal, least(&lags) / goal, w.rate(0, 300.0, 500.0) / (2.8 * MB)]
}

fn l18(seed: u64, d: &Decisions) -> Figures {
    let sink = Drain::new(&[0], steps(&[(0.0, 2.0 * MB), (100.0, 20.0 * MB)]), 0.1);
    let w = World::new(vec![endless(0)], vec![sink], seed, d).run(220.0);
    let modes: Vec<Mode> = w.between(21.0, 300.0).map(|p| p.groups[0].mode).collect();
    let flaps = modes.windows(2).filter(|pair| pair[0] == Mode::Limited && pair[1] == Mode::Free).count();
    let up = w.first(100.0, |p| p.limits[0] >= 18.0 * MB) - 100.0;
    vec![flaps as f64, up, w.rate(0, 130.0, 220.0) / (20.0 * MB)]
}

fn l19(seed: u64, d: &Decisions) -> Figures {
    let burst = Feed::new(steps(&[(0.0, 0.2 * MB), (60.0, 8.0 * MB)]), &[(0, 1.0)]);
    let sink = Drain::new(&[0], always(10.0 * MB), 0.2).late_by(1.0);
    let w = World::new(vec![burst], vec![sink], seed, d).run(120.0);
    vec![w.rate(0, 60.0, 90.0) / (8.0 * MB), w.limited_periods()]
}

fn l20(seed: u64, d: &Decisions) -> Figures {
    let source = Feed::new(always(4.2 * MB), &[(0, 1.0)]);
    let w = World::new(vec![source], vec![Drain::new(&[0], always(4.0 * MB), 0.1)], seed, d).run(600.0);
    let over = most(&w.lags(100.0, 600.0)) / (TARGET * 4.0 * MB);
    vec![over, w.rate(0, 300.0, 600.0) / (4.0 * MB)]
}

fn l21(seed: u64, d: &Decisions) -> Figures {
    let bursts = steps(&[(0.0, 0.05 * MB), (60.0, 6.0 * MB), (80.0, 0.05 * MB), (100.0, 6.0 * MB)]);
    let sink = |late| vec![Drain::new(&[0], always(10.0 * MB), 0.2).late_by(late)];
    let w = World::new(vec![Feed::new(bursts, &[(0, 1.0)])], sink(3.0), seed, d).run(130.0);
    let burst = steps(&[(0.0, 0.05 * MB), (60.0, 6.0 * MB)]);
    let v = World::new(vec![Feed::new(burst, &[(0, 1.0)])], sink(8.0), seed, d).run(160.0);
    let part = |world: &World, from, to| world.rate(0, from, to) / (6.0 * MB);
    vec![part(&w, 60.0, 70.0), part(&w, 100.0, 110.0), part(&v, 60.0, 120.0)]
}

fn l22(seed: u64, d: &Decisions) -> Figures {
    let source = Feed::new(always(ENDLESS), &[(0, 0.99), (1, 0.01)]).turning(60.0, &[0.0, 1.0]);
    let first = Drain::new(&[0], always(10.0 * MB), 0.2);
    let second = Drain::new(&[1], steps(&[(0.0, 10.0 * MB), (60.0, 0.0), (120.0, 10.0 * MB)]), 0.2);
    let sampling = Sampling { delay: 2, missing: 0.0, garbage: 0.0 };
    let w = World::new(vec![source], vec![first, second], seed, d).sampled(sampling);
    let w = w.capped(1, 60.0 * MB).run(200.0);
    let (used, back) = (w.rate(0, 20.0, 60.0) / (10.0 * MB / 0.99), w.rate(0, 140.0, 200.0) / (10.0 * MB));
    vec![w.peaks[0] / (60.0 * MB), used, back]
}
