//! Properties of the division among sources.
use elasticflow_flow::{Grantee, Source, allocate, grant};
use proptest::prelude::*;

const MB: f64 = 1e6;

fn limits() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![4 => 1.0..20.0f64, 1 => Just(f64::INFINITY)], 1..8)
        .prop_map(|limits| limits.into_iter().map(|limit| limit * MB).collect())
}

fn source(bottlenecks: usize) -> impl Strategy<Value = Source> {
    let shares = prop::collection::btree_map(0..bottlenecks, 0.1..1.0f64, 1..=bottlenecks);
    let weight = prop::sample::select(vec![1.0, 1.0, 2.0, 5.0]);
    let floor = prop::sample::select(vec![0.0, 0.01 * MB]);
    let most = prop::sample::select(vec![f64::INFINITY, 2.0 * MB]);
    let demand = prop_oneof![Just(f64::INFINITY), (0.0..3.0f64).prop_map(|d| d * MB)];
    (0u8..10, weight, floor, most, demand, shares).prop_map(|(priority, weight, floor, rate_max, demand, shares)| {
        Source { priority, weight, floor, rate_max, demand, shares: shares.into_iter().collect() }
    })
}

fn topology() -> impl Strategy<Value = (Vec<Source>, Vec<f64>)> {
    limits().prop_flat_map(|limits| (prop::collection::vec(source(limits.len()), 1..40), Just(limits)))
}

/// Bytes per second that arrive at a bottleneck when every source sends what it may and wants.
fn load(sources: &[Source], rates: &[f64], bottleneck: usize) -> f64 {
    let at = |s: &Source| s.shares.iter().find(|(b, _)| *b == bottleneck).map_or(0.0, |(_, share)| *share);
    sources.iter().zip(rates).map(|(s, rate)| rate.min(s.demand).min(s.rate_max) * at(s)).map(finite).sum()
}

fn finite(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bottleneck_gets_more_than_it_admits((sources, limits) in topology()) {
        let rates = allocate(&sources, &limits);
        for (b, limit) in limits.iter().enumerate().filter(|(_, limit)| limit.is_finite()) {
            prop_assert!(load(&sources, &rates, b) <= limit * 1.000_001);
        }
    }

    #[test]
    fn nobody_is_limited_below_its_floor((sources, limits) in topology()) {
        for (source, rate) in sources.iter().zip(allocate(&sources, &limits)) {
            prop_assert!(rate >= source.floor.min(source.rate_max) * 0.999_999);
        }
    }

    #[test]
    fn nothing_is_left_over_that_a_hungry_source_could_use((sources, limits) in topology()) {
        let rates = allocate(&sources, &limits);
        for (source, rate) in sources.iter().zip(&rates) {
            if *rate < source.demand.min(source.rate_max) - 1.0 {
                let room = source.shares.iter().map(|(b, _)| 1.0 - load(&sources, &rates, *b) / limits[*b]);
                prop_assert!(room.fold(f64::INFINITY, f64::min) <= 1e-6, "{source:?} got {rate}");
            }
        }
    }

    /// Max-min: a hungry source shares a full bottleneck on which nobody of its own class stands higher than it does,
    /// floors apart, and nobody of a lower class has more than its floor.
    #[test]
    fn a_hungry_source_is_stopped_by_equals_and_betters((sources, limits) in topology()) {
        let rates = allocate(&sources, &limits);
        let sent = |at: usize| rates[at].min(sources[at].demand);
        for (at, source) in sources.iter().enumerate() {
            if rates[at] >= source.demand.min(source.rate_max) - 1.0 { continue; }
            let base = |s: &Source| s.floor.min(s.demand).min(s.rate_max);
            let level = (sent(at) - base(source)) / source.weight;
            let fair = source.shares.iter().any(|(b, _)| {
                let full = load(&sources, &rates, *b) >= limits[*b] * (1.0 - 1e-6);
                full && sources.iter().enumerate().all(|(other, o)| {
                    let uses = o.shares.iter().any(|(x, _)| x == b);
                    let above = (sent(other) - base(o)) / o.weight;
                    !uses || o.priority > source.priority
                        || (o.priority == source.priority && above <= level + 1.0)
                        || (o.priority < source.priority && above <= 1.0)
                })
            });
            prop_assert!(fair, "source {at} {source:?} of {sources:?} got {rates:?} of {limits:?}");
        }
    }

    #[test]
    fn grants_together_fit_the_room(
        cap in 1.0..50.0f64, used in 0.0..50.0f64,
        rows in prop::collection::vec((0u8..10, 1.0..5.0f64, 0.0..1.0f64, 0.0..0.1f64, 0.0..9.0f64), 1..20),
    ) {
        let of = |&(priority, weight, outstanding, floor, want): &(u8, f64, f64, f64, f64)| Grantee {
            priority, weight, outstanding: outstanding * MB, floor: floor * MB, want: want * MB,
        };
        let sources: Vec<Grantee> = rows.iter().map(of).collect();
        let granted = grant(cap * MB, used * MB, &sources);
        let outstanding: f64 = sources.iter().map(|s| s.outstanding).sum();
        let room = (cap * MB - used * MB - outstanding).max(0.0);
        prop_assert!(granted.iter().sum::<f64>() <= room + 1e-3);
        prop_assert!(granted.iter().all(|g| *g >= 0.0));
    }
}

#[test]
fn a_room_that_is_not_known_grants_nothing() {
    let source = Grantee { priority: 5, weight: 1.0, outstanding: 0.0, floor: 1.0, want: 1.0 };
    assert_eq!(grant(f64::NAN, 0.0, &[source]), [0.0]);
    assert_eq!(grant(10.0, f64::NAN, &[source]), [0.0]);
    assert_eq!(grant(10.0, 11.0, &[source]), [0.0]);
}

#[test]
fn a_source_without_a_limited_consumer_has_no_limit_but_its_own() {
    let free = Source {
        priority: 1,
        weight: 1.0,
        floor: 0.0,
        rate_max: f64::INFINITY,
        demand: f64::INFINITY,
        shares: vec![(0, 1.0)],
    };
    let own = Source { rate_max: 7.0, shares: Vec::new(), ..free.clone() };
    assert_eq!(allocate(&[free, own], &[f64::INFINITY]), [f64::INFINITY, 7.0]);
}
