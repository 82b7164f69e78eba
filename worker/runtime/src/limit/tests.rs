use super::*;
use elasticflow_api::clock::Boxed;
use elasticflow_config::flow::Rates;
use elasticflow_config::{Properties, parse};

/// A clock that a test moves.
#[derive(Default)]
struct Hand(Mutex<Duration>);

impl Clock for Hand {
    fn wall_ms(&self) -> i64 {
        0
    }
    fn monotonic(&self) -> Duration {
        *self.0.lock()
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        *self.0.lock() += for_;
        Box::pin(std::future::ready(()))
    }
}

const MOST: Limits = Limits { records: 4096, bytes: 4 << 20 };

fn settings(keys: &[(&str, &str)]) -> RateSettings {
    parse(&keys.iter().copied().collect::<Properties>()).unwrap()
}

fn limit(keys: &[(&str, &str)], tasks: u32) -> (Arc<Hand>, TaskLimit) {
    let clock = Arc::new(Hand::default());
    let none = Properties::default();
    let random = Arc::new(crate::SeededRandom::new(1));
    let breaker = TaskBreaker::new(parse(&none).unwrap(), Arc::clone(&clock) as _, random);
    let limit = TaskLimit::new(Arc::clone(&clock) as _, Arc::new(breaker), &settings(keys), tasks);
    (clock, limit)
}

/// Reads as fast as it may until an instant, records of a size; answers how many.
fn run(clock: &Hand, limit: &TaskLimit, read: Read, size: usize, until: Duration) -> u64 {
    let before = limit.report().records;
    while clock.monotonic() < until {
        match limit.ask(read, MOST) {
            Leave::Go(most) => {
                let charge = limit.charge(read, most.records);
                limit.settle(charge, most.records, most.records * size);
                *clock.0.lock() += Duration::from_micros(200);
            }
            Leave::Wait(wait) => {
                let wait = wait.min(until - clock.monotonic());
                *clock.0.lock() += wait;
            }
        }
    }
    limit.report().records - before
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn assert_near(measured: u64, wanted: f64, what: &str) {
    let off = (measured as f64 / wanted - 1.0).abs();
    assert!(off < 0.10, "{what}: {measured} instead of {wanted}");
}

/// Prints the table of set against measured, window by window, over every kind of rate and number of tasks.
#[test]
fn what_is_measured_in_every_five_seconds_is_what_is_set() {
    println!("set                            tasks  measured a second in windows of 5 s");
    for (key, rate, read, size) in [
        ("flow.rate.records", 100.0, Read::Stream, 100),
        ("flow.rate.records", 5_000.0, Read::Stream, 100),
        ("flow.rate.records", 50_000.0, Read::Stream, 100),
        ("flow.rate.bytes", 1_048_576.0, Read::Stream, 100),
        ("flow.rate.bytes", 1_048_576.0, Read::Stream, 20_000),
        ("flow.rate.snapshot.records", 5_000.0, Read::Snapshot, 100),
        ("flow.rate.snapshot.bytes", 1_048_576.0, Read::Snapshot, 1_000),
    ] {
        for tasks in [1, 4] {
            let text = format!("{rate:.0}");
            let all: Vec<_> = (0..tasks).map(|_| limit(&[(key, text.as_str())], tasks)).collect();
            let per_record = if key.ends_with("bytes") { size as f64 } else { 1.0 };
            let mut windows = Vec::new();
            for window in 1..=4 {
                let sum: u64 = all.iter().map(|(clock, limit)| run(clock, limit, read, size, s(window * 5))).sum();
                windows.push(format!("{:.0}", sum as f64 * per_record / 5.0));
                assert_near(sum, rate * 5.0 / per_record, key);
            }
            println!("{:<30} {tasks:>5}  {}", format!("{key}={rate:.0}"), windows.join(" "));
        }
    }
}

#[test]
fn a_live_change_holds_within_two_seconds() {
    let (clock, limit) = limit(&[("flow.rate.records", "5000")], 1);
    run(&clock, &limit, Read::Stream, 100, s(10));
    for (rate, begin) in [("500", 10), ("20000", 20), ("100", 30)] {
        limit.set_rates(&settings(&[("flow.rate.records", rate)]));
        run(&clock, &limit, Read::Stream, 100, s(begin + 2));
        let after = run(&clock, &limit, Read::Stream, 100, s(begin + 7));
        println!("live change to {rate}: {} a second between the 2nd and the 7th second", after as f64 / 5.0);
        assert_near(after, rate.parse::<f64>().unwrap() * 5.0, rate);
    }
    limit.set_rates(&settings(&[]));
    assert_eq!(limit.ask(Read::Stream, MOST), Leave::Go(MOST));
}

#[test]
fn rates_of_a_snapshot_and_of_the_stream_do_not_touch_each_other() {
    let both = [("flow.rate.records", "1000"), ("flow.rate.snapshot.records", "100")];
    let (clock, held) = limit(&both, 1);
    assert_near(run(&clock, &held, Read::Snapshot, 100, s(5)), 500.0, "snapshot");
    assert_near(run(&clock, &held, Read::Stream, 100, s(10)), 5_000.0, "stream");
    let (clock, limit) = limit(&both[..1], 1);
    assert_near(run(&clock, &limit, Read::Snapshot, 100, s(5)), 5_000.0, "a snapshot without a rate of its own");
}

#[test]
fn the_burst_is_what_goes_at_once_after_a_pause() {
    for (burst, wanted) in [("250", 250), ("2000", 2_000)] {
        let (clock, limit) = limit(&[("flow.rate.records", "1000"), ("flow.rate.burst.ms", burst)], 1);
        *clock.0.lock() = s(60);
        assert_eq!(limit.ask(Read::Stream, MOST), Leave::Go(Limits { records: wanted, bytes: MOST.bytes }));
    }
}

#[test]
fn the_lowest_of_configured_and_ordered_rates_holds_and_the_reason_says_which() {
    let (clock, limit) = limit(&[("flow.rate.records", "1000")], 1);
    let control = |rate| Control {
        rates: Rates { records: Some(rate), bytes: None },
        reason: Some(ReasonCode::CpuPressure),
        ..Control::default()
    };
    limit.set_control(control(100.0));
    assert_near(run(&clock, &limit, Read::Stream, 100, s(5)), 500.0, "ordered");
    assert_eq!(limit.report().reason, Some(ReasonCode::CpuPressure));
    limit.set_control(control(5_000.0));
    run(&clock, &limit, Read::Stream, 100, s(10));
    assert_near(run(&clock, &limit, Read::Stream, 100, s(15)), 5_000.0, "configured");
    let report = limit.report();
    assert_eq!((report.state, report.reason), (FlowState::Limited, Some(ReasonCode::Rate)));
}

#[test]
fn a_share_is_what_one_task_has_of_the_rate() {
    let (clock, limit) = limit(&[("flow.rate.records", "1000")], 4);
    limit.set_share(0.7);
    assert_near(run(&clock, &limit, Read::Stream, 100, s(5)), 3_500.0, "seven tenths");
}

#[test]
fn a_held_task_waits_until_it_is_let_go_and_its_time_counts_as_blocked() {
    let (clock, limit) = limit(&[], 1);
    assert_eq!(limit.ask(Read::Stream, MOST), Leave::Go(MOST));
    limit.set_control(Control { held: Some(ReasonCode::Quota), ..Control::default() });
    assert!(matches!(limit.ask(Read::Stream, MOST), Leave::Wait(wait) if wait > s(60)));
    *clock.0.lock() += s(7);
    let report = limit.report();
    assert_eq!((report.state, report.reason, report.blocked), (FlowState::Held, Some(ReasonCode::Quota), s(7)));
    limit.set_control(Control::default());
    *clock.0.lock() += s(7);
    let report = limit.report();
    assert_eq!((report.state, report.reason, report.blocked), (FlowState::Free, None, s(7)));
}

#[test]
fn no_more_is_sent_than_was_granted() {
    let (_, limit) = limit(&[], 1);
    limit.count(Read::Stream, 10, 1_000);
    limit.set_control(Control { granted_bytes: Some(3_000), ..Control::default() });
    assert_eq!(limit.ask(Read::Stream, MOST), Leave::Go(Limits { records: 20, bytes: 2_000 }));
    limit.count(Read::Stream, 20, 2_000);
    assert!(matches!(limit.ask(Read::Stream, MOST), Leave::Wait(_)));
    assert_eq!(limit.report().reason, Some(ReasonCode::Cap));
}

#[test]
fn what_was_read_and_is_not_sent_yet_counts_for_a_grant() {
    let (_, limit) = limit(&[], 1);
    limit.count(Read::Stream, 10, 1_000);
    limit.set_control(Control { granted_bytes: Some(3_000), ..Control::default() });
    let read = limit.charge(Read::Stream, 15);
    assert_eq!(limit.ask(Read::Stream, MOST), Leave::Go(Limits { records: 5, bytes: 500 }));
    let more = limit.charge(Read::Stream, 5);
    assert!(matches!(limit.ask(Read::Stream, MOST), Leave::Wait(_)));
    limit.settle(read, 15, 900);
    limit.settle(more, 5, 300);
    assert!(matches!(limit.ask(Read::Stream, MOST), Leave::Go(_)), "less has come of it");
}

#[test]
fn records_that_a_filter_drops_do_not_count() {
    let (clock, limit) = limit(&[("flow.rate.records", "100")], 1);
    let mut polled = 0;
    while clock.monotonic() < s(10) {
        match limit.ask(Read::Stream, MOST) {
            Leave::Go(most) => {
                let charge = limit.charge(Read::Stream, most.records);
                limit.settle(charge, usize::from(polled % 10 == 0), 100);
                polled += most.records;
                *clock.0.lock() += Duration::from_micros(200);
            }
            Leave::Wait(wait) => *clock.0.lock() += wait,
        }
    }
    assert!(limit.report().records <= 1_030 && polled > 2_000, "{} of {polled}", limit.report().records);
}

#[test]
fn a_breaker_that_is_open_holds_the_task_and_says_so() {
    let (clock, limit) = limit(&[], 1);
    limit.breaker.force(crate::Forced::Open);
    assert!(matches!(limit.ask(Read::Stream, MOST), Leave::Wait(_)));
    *clock.0.lock() += s(5);
    let report = limit.report();
    let shown = (report.state, report.reason, report.blocked);
    assert_eq!(shown, (FlowState::BreakerOpen, Some(ReasonCode::Breaker), s(5)));
    limit.breaker.force(crate::Forced::Auto);
    assert_eq!(limit.ask(Read::Stream, MOST), Leave::Go(MOST));
    assert_eq!(limit.report().state, FlowState::Free);
}

#[test]
fn batches_are_halved_as_often_as_is_ordered_and_that_is_said() {
    let (_, limit) = limit(&[], 1);
    let most = Limits { records: 1_000, bytes: 3 };
    let order = |halvings| limit.set_control(Control { halvings, ..Control::default() });
    order(2);
    assert_eq!(limit.ask(Read::Snapshot, most), Leave::Go(Limits { records: 250, bytes: 1 }), "never nothing at all");
    let report = limit.report();
    assert_eq!((report.state, report.reason), (FlowState::Limited, Some(ReasonCode::MemoryPressure)));
    order(0);
    assert_eq!(limit.ask(Read::Stream, most), Leave::Go(most));
    assert_eq!(limit.report().state, FlowState::Free);
}
