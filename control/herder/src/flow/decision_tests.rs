use super::super::fixtures;
use super::super::picture::GroupView;
use super::*;
use elasticflow_flow::{Group, Law};

fn source(priority: u8, control: LagControl) -> SourceView {
    SourceView { priority, control, tasks: 2, ..fixtures::source() }
}

fn scene(limit: f64) -> (Picture, BTreeMap<String, Judged>) {
    let group = GroupView { sink: Some("es".to_owned()), ..fixtures::group() };
    let picture = Picture {
        sources: [
            ("archive".to_owned(), source(1, LagControl::Auto)),
            ("live".to_owned(), source(9, LagControl::Auto)),
            ("looked-at".to_owned(), source(1, LagControl::Observe)),
        ]
        .into(),
        groups: [("connect-es".to_owned(), group)].into(),
    };
    let state = Group { capacity: 10_000.0, lag: 124_000.0, why: Why::Lag, ..Group::adopt(limit) };
    let shares = picture.sources.keys().map(|name| (name.clone(), 1.0)).collect();
    let judged = Judged { state, law: Law::default(), lag_records: 124.0, shares };
    (picture, [("connect-es".to_owned(), judged)].into())
}

/// Groups alone.
fn of(groups: &BTreeMap<String, Judged>) -> Bottlenecks<'_> {
    static NONE: BTreeMap<String, Pressed> = BTreeMap::new();
    Bottlenecks { groups, workers: &NONE }
}

fn measured(bytes_per_second: f64, held_back: f64) -> Measured {
    Measured { bytes_per_second, held_back, ..Measured::default() }
}

#[test]
fn the_important_source_goes_first_and_the_other_is_told_why() {
    let (picture, judged) = scene(1_000.0);
    let measured = [
        ("archive".to_owned(), measured(5_000.0, 0.5)),
        ("live".to_owned(), measured(100.0, 0.0)),
        ("looked-at".to_owned(), measured(0.0, 0.0)),
    ]
    .into();
    let floors = floors(&picture, |_| 1_000.0, |_| 100.0);
    assert_eq!(floors["archive"], 10.0, "a record of 100 bytes in 10 s is more than 2 % of 1000 over three sources");
    let decided = divide(&picture, of(&judged), &measured, &floors);
    assert!(decided["live"].limit > 100.0, "what it sends and room to grow");
    assert!(decided["archive"].limit < 800.0, "{decided:?}");
    let row = row("archive", &decided["archive"], &picture, of(&judged), &measured["archive"]);
    assert_eq!((row.state.as_str(), row.tasks.len()), ("limited", 2));
    let reason = &row.reasons[0];
    assert_eq!(reason.code, "LAG");
    assert_eq!(reason.text, "sink es needs 12.4 s to catch up (target 10 s); live (priority 9) goes first");
    assert_eq!(reason.numbers["lag_bytes"], 124_000.0);
}

#[test]
fn without_a_limited_group_nothing_is_limited() {
    let (picture, judged) = scene(f64::INFINITY);
    let decided = divide(&picture, of(&judged), &BTreeMap::new(), &BTreeMap::new());
    assert!(decided.values().all(|d| d.limit.is_infinite() && d.by.is_none()));
    let row = row("live", &decided["live"], &picture, of(&judged), &measured(1e9, 1.0));
    assert_eq!((row.state.as_str(), row.bytes_per_second), ("free", None));
}

#[test]
fn a_worker_at_its_end_slows_the_less_important_source_and_is_named() {
    let (picture, judged) = scene(f64::INFINITY);
    let shares = [("archive".to_owned(), 1.0), ("live".to_owned(), 1.0)].into();
    let pressed = Pressed { limit: 1_000.0, load: 0.97, goal: 0.85, shares };
    let workers = [("w:1".to_owned(), pressed)].into();
    let all = Bottlenecks { groups: &judged, workers: &workers };
    let measured = [("archive".to_owned(), measured(800.0, 0.5)), ("live".to_owned(), measured(400.0, 0.0))].into();
    let decided = divide(&picture, all, &measured, &BTreeMap::new());
    assert!(decided["live"].limit > 400.0 && decided["archive"].limit < 600.0, "{decided:?}");
    assert!(decided["looked-at"].limit.is_infinite(), "it runs elsewhere");
    let row = row("archive", &decided["archive"], &picture, all, &measured["archive"]);
    let reason = &row.reasons[0];
    assert_eq!(reason.code, "CPU_PRESSURE");
    assert_eq!(reason.text, "worker w:1 uses 97 % of its processors (goal 85 %); live (priority 9) goes first");
}

#[test]
fn an_observed_source_is_told_what_would_be() {
    let (picture, judged) = scene(300.0);
    let measured = [("looked-at".to_owned(), measured(500.0, 0.0))].into();
    let decided = divide(&picture, of(&judged), &measured, &BTreeMap::new());
    let row = row("looked-at", &decided["looked-at"], &picture, of(&judged), &measured["looked-at"]);
    assert!(row.observed && row.reasons[0].text.starts_with("would be limited to "), "{row:?}");
}

#[test]
fn a_reason_keeps_its_beginning_and_trembling_numbers_are_no_news() {
    let (picture, judged) = scene(1_000.0);
    let decided = Decided { limit: 900.0, floor: 10.0, by: Some(Bottleneck::Group("connect-es".to_owned())) };
    let mut first = row("archive", &decided, &picture, of(&judged), &measured(900.0, 0.0));
    keep_since(&mut first, None, 7);
    let decided = Decided { limit: 900.5, ..decided };
    let mut second = row("archive", &decided, &picture, of(&judged), &measured(900.0, 0.0));
    keep_since(&mut second, Some(&first), 9);
    assert_eq!((first.reasons[0].since_ms, second.reasons[0].since_ms), (7, 7));
    assert!(!differs(&second, &first));
    let decided = Decided { limit: 990.0, ..decided };
    assert!(differs(&row("archive", &decided, &picture, of(&judged), &measured(900.0, 0.0)), &first));
}
