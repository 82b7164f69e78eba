//! The rules around the law.
use elasticflow_flow::Law;
use elasticflow_flow::special::{adapted, demand, is_plausible, split, step_period};

#[test]
fn a_sink_that_is_slow_by_nature_gets_a_longer_target() {
    assert_eq!(adapted(&Law::default(), 1.0, 0.0).target, 10.0);
    assert_eq!(adapted(&Law::default(), 8.0, 0.0).target, 24.0);
}

#[test]
fn a_group_that_commits_in_steps_is_judged_over_two_of_them() {
    assert_eq!(step_period(&Law::default(), 10.0), 20.0);
    assert_eq!(adapted(&Law::default(), 0.0, 10.0).target, 100.0);
    assert_eq!(step_period(&Law::default(), 0.1), 1.0);
}

#[test]
fn periods_of_a_clock_that_jumped_are_not_judged() {
    let judged = [0.1, 0.2, 1.0, 10.0, 10.1, -5.0, f64::NAN].map(|elapsed| is_plausible(elapsed, 1.0));
    assert_eq!(judged, [false, true, true, true, false, false, false]);
}

#[test]
fn a_source_that_waited_wants_more_than_it_got() {
    assert_eq!(demand(1000.0, 0.2), f64::INFINITY);
    assert_eq!(demand(1000.0, 0.01), 1.1 * 1000.0 + 1024.0);
}

#[test]
fn tasks_share_a_rate_by_what_they_send_and_an_idle_one_can_begin() {
    assert_eq!(split(100.0, &[0.0, 0.0]), [50.0, 50.0]);
    assert_eq!(split(100.0, &[10.0, 0.0]), [95.0, 5.0]);
    assert_eq!(split(f64::INFINITY, &[10.0, 0.0]), [f64::INFINITY; 2]);
    let parts = split(7.0, &[1.0, 2.0, 3.0]);
    assert!((parts.iter().sum::<f64>() - 7.0).abs() < 1e-9, "{parts:?}");
}
