use super::*;
use elasticflow_config::{Properties, parse};

fn machine(keys: &[(&str, &str)]) -> Machine {
    Machine::new(parse(&keys.iter().copied().collect::<Properties>()).unwrap(), Duration::ZERO)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Fails at every call from an instant on; answers when calls were made, until an end.
fn attempts(machine: &mut Machine, mut now: Duration, end: Duration) -> Vec<u64> {
    let mut made = Vec::new();
    while now < end {
        match machine.ask(now) {
            Admission::Go => {
                made.push(now.as_secs());
                machine.failed(now, 0.5);
                now += Duration::from_millis(100);
            }
            Admission::Wait(wait) => now += wait.expect("an open breaker that is not forced ends by itself"),
        }
    }
    made
}

#[test]
fn it_opens_after_failures_in_a_row_and_probes_at_doubling_distances() {
    let mut machine = machine(&[("flow.breaker.consecutive", "3"), ("flow.breaker.open.max.ms", "30000")]);
    let made = attempts(&mut machine, s(0), s(130));
    assert_eq!(made, [0, 0, 0, 5, 15, 35, 65, 95, 125], "three at once, then one at a time: 5, 10, 20, 30, 30 s");
    assert_eq!(machine.times, 1, "one incident");
    assert_eq!(machine.opened(s(130)), Some(Duration::from_millis(200)));
}

#[test]
fn one_success_in_between_begins_the_row_anew() {
    let mut machine = machine(&[("flow.breaker.ratio", "1")]);
    for call in 0..100 {
        assert_eq!(machine.ask(s(0)), Admission::Go);
        if call % 5 == 4 { machine.succeeded(s(0)) } else { machine.failed(s(0), 0.5) }
    }
    assert_eq!(machine.state(s(0)), BreakerState::Closed);
}

#[test]
fn it_opens_by_the_ratio_of_the_last_minute_and_not_by_what_is_older() {
    let keys = [("flow.breaker.ratio", "0.4"), ("flow.breaker.min.calls", "10"), ("flow.breaker.consecutive", "1000")];
    let mut machine = machine(&keys);
    (0..9).for_each(|_| machine.failed(s(0), 0.5));
    assert_eq!(machine.state(s(0)), BreakerState::Closed, "too few calls to say anything");
    (0..9).for_each(|_| machine.succeeded(s(70)));
    machine.failed(s(70), 0.5);
    assert_eq!(machine.state(s(70)), BreakerState::Closed, "a tenth, since the older ones are forgotten");
    (0..5).for_each(|_| machine.failed(s(75), 0.5));
    assert_eq!(machine.state(s(75)), BreakerState::Open, "6 of 15");
}

#[test]
fn it_closes_after_enough_trials_one_at_a_time() {
    let mut machine = machine(&[("flow.breaker.successes", "2"), ("flow.breaker.open.ms", "1000")]);
    attempts(&mut machine, s(0), Duration::from_millis(500));
    assert_eq!(machine.state(Duration::from_millis(900)), BreakerState::Open);
    assert_eq!(machine.ask(s(2)), Admission::Go);
    assert_eq!(machine.state(s(2)), BreakerState::HalfOpen);
    assert_eq!(machine.ask(s(2)), Admission::Wait(None), "one at a time");
    machine.abandoned(s(2));
    assert_eq!(machine.ask(s(2)), Admission::Go, "a trial that says nothing gives its place back");
    machine.succeeded(s(2));
    assert_eq!((machine.ask(s(2)), machine.state(s(2))), (Admission::Go, BreakerState::HalfOpen));
    machine.succeeded(s(3));
    assert_eq!((machine.state(s(3)), machine.opened(s(3))), (BreakerState::Closed, None));
    assert_eq!((machine.ask(s(3)), machine.ask(s(3))), (Admission::Go, Admission::Go));
}

#[test]
fn a_call_after_the_open_time_is_a_trial_though_nobody_asked_for_it() {
    let mut machine = machine(&[("flow.breaker.successes", "2"), ("flow.breaker.consecutive", "1")]);
    machine.failed(s(0), 0.5);
    machine.succeeded(s(1));
    assert_eq!(machine.state(s(1)), BreakerState::Open, "an answer to a call of before says little");
    machine.succeeded(s(6));
    machine.succeeded(s(7));
    assert_eq!(machine.state(s(7)), BreakerState::Closed);
    machine.failed(s(8), 0.5);
    machine.failed(s(14), 0.5);
    assert_eq!(machine.wait(s(14)), Admission::Wait(Some(s(10))), "the second time twice as long");
}

#[test]
fn one_that_has_nothing_left_to_try_closes_after_the_longest_open_time() {
    let keys = [("flow.breaker.consecutive", "1"), ("flow.breaker.open.max.ms", "90000")];
    let mut tried = machine(&keys);
    let mut untried = tried.clone();
    tried.failed(s(0), 0.5);
    untried.failed(s(0), 0.5);
    assert_eq!((tried.ask(s(6)), tried.state(s(6))), (Admission::Go, BreakerState::HalfOpen));
    assert_eq!(tried.state(s(200)), BreakerState::HalfOpen, "a trial that goes on is waited for");
    tried.succeeded(s(200));
    assert_eq!((tried.state(s(289)), tried.opened(s(289))), (BreakerState::HalfOpen, Some(s(0))));
    assert_eq!((tried.state(s(290)), tried.opened(s(290))), (BreakerState::Closed, None));
    assert_eq!((tried.ask(s(291)), tried.ask(s(291))), (Admission::Go, Admission::Go));

    assert_eq!((untried.state(s(94)), untried.opened(s(94))), (BreakerState::HalfOpen, Some(s(0))));
    assert_eq!((untried.state(s(95)), untried.opened(s(95))), (BreakerState::Closed, None));
    untried.failed(s(96), 0.5);
    assert_eq!((untried.state(s(96)), untried.times), (BreakerState::Open, 2), "a new row of failures");
}

#[test]
fn a_call_that_hangs_for_longer_than_the_open_time_is_still_a_trial() {
    let keys = [("flow.breaker.consecutive", "2"), ("flow.breaker.open.max.ms", "5000")];
    let mut machine = machine(&keys);
    (0..2).for_each(|_| machine.failed(s(0), 0.5));
    assert_eq!(machine.state(s(45)), BreakerState::HalfOpen);
    machine.failed(s(45), 0.5);
    assert_eq!((machine.state(s(45)), machine.times), (BreakerState::Open, 1), "one failure opens it again");
}

#[test]
fn a_calm_while_halves_the_next_open_time_again() {
    let mut machine = machine(&[("flow.breaker.successes", "1")]);
    attempts(&mut machine, s(0), s(30));
    machine.ask(s(60));
    machine.succeeded(s(60));
    (0..8).for_each(|n| machine.succeeded(s(60 + 300 * n)));
    let made = attempts(&mut machine, s(3000), s(3009));
    assert_eq!(made, [3000, 3000, 3000, 3000, 3000, 3005]);
}

#[test]
fn chance_moves_an_open_time_by_a_fifth_at_most() {
    for (chance, wanted) in [(0.0, 4), (0.5, 5), (1.0, 6)] {
        let mut machine = machine(&[("flow.breaker.consecutive", "1")]);
        machine.failed(s(0), chance);
        assert_eq!(machine.wait(s(0)), Admission::Wait(Some(s(wanted))));
    }
}

#[test]
fn a_person_overrules_it_until_that_is_taken_back() {
    let mut machine = machine(&[("flow.breaker.consecutive", "1")]);
    machine.force(Forced::Open, s(0));
    assert_eq!((machine.state(s(9999)), machine.ask(s(9999))), (BreakerState::Open, Admission::Wait(None)));
    machine.force(Forced::Closed, s(10));
    (0..50).for_each(|_| machine.failed(s(10), 0.5));
    assert_eq!(machine.ask(s(10)), Admission::Go);
    machine.force(Forced::Auto, s(11));
    assert_eq!(machine.state(s(11)), BreakerState::Closed);
    machine.failed(s(11), 0.5);
    assert_eq!(machine.state(s(11)), BreakerState::Open);
}

#[test]
fn it_does_nothing_where_it_is_turned_off_and_ends_the_task_where_that_is_asked_for() {
    let mut off = machine(&[("flow.breaker.enable", "false")]);
    (0..50).for_each(|_| off.failed(s(1), 0.5));
    assert_eq!(off.state(s(1)), BreakerState::Closed);
    let mut patient = machine(&[("flow.breaker.fail.after.ms", "60000")]);
    attempts(&mut patient, s(0), s(59));
    assert!(!patient.is_exhausted(s(59)));
    assert!(patient.is_exhausted(s(61)));
}
