//! Whatever is granted, no topic holds more than its cap.
use super::super::picture::{Control, GroupView, Guard, SourceView};
use super::*;
use elasticflow_api::position::TopicPartition;
use elasticflow_store::flow::TaskReport;

const CAP: f64 = 10e6;

fn picture() -> Picture {
    let source = SourceView {
        priority: 5,
        weight: 1.0,
        floor: None,
        control: Control::Auto,
        rate_max: f64::INFINITY,
        tasks: 1,
        topics: ["t".to_owned()].into(),
        foreign: Vec::new(),
        target: 10.0,
        cap: Some(CAP),
        holds: true,
        counts: Default::default(),
        cap_ratio: 0.0,
        derived: BTreeMap::new(),
        guard: Guard::Alarm,
    };
    let group = GroupView {
        sink: Some("k".to_owned()),
        topics: ["t".to_owned()].into(),
        target: 10.0,
        steers: true,
        state: "running",
    };
    Picture { sources: [("s".to_owned(), source)].into(), groups: [("g".to_owned(), group)].into() }
}

fn measured(instance: u64, arrived: u64, sent: u64) -> BTreeMap<String, Measured> {
    let report = TaskReport {
        connector: "s".to_owned(),
        task: 0,
        instance,
        records: sent / 100,
        bytes: sent,
        arrived: None,
        blocked_ms: 0,
        state: "free".to_owned(),
        reason: None,
        detail: None,
    };
    let meter = Meter {
        since: Duration::ZERO,
        report,
        arrived,
        sent: std::collections::VecDeque::new(),
        bytes_per_second: (sent - arrived) as f64,
        records_per_second: 0.0,
        blocked_share: 0.0,
    };
    [("s".to_owned(), Measured { tasks: [(0, meter)].into(), ..Measured::default() })].into()
}

fn look(end: Option<i64>, committed: i64) -> Look {
    let at = TopicPartition { topic: "t".into(), partition: 0 };
    let ends = end.map(|end| ("t".to_owned(), [(at.clone(), end)].into())).into_iter().collect();
    Look { at: Duration::ZERO, progress: [("g".to_owned(), [(at, committed)].into())].into(), ends }
}

fn period(
    capping: &mut Capping,
    look: &Look,
    measured: &BTreeMap<String, Measured>,
    grants: &BTreeMap<String, GrantRow>,
    second: u64,
) -> Granted {
    let picture = picture();
    let caps = Caps {
        picture: &picture,
        look,
        measured,
        grants,
        period: 1.0,
        now: Duration::from_secs(second),
        floors: &BTreeMap::new(),
    };
    capping.period(&caps, |_, _| Some(1.0)).remove("s").unwrap()
}

fn bytes(granted: &Granted) -> u64 {
    granted.row.as_ref().unwrap().tasks[0].bytes
}

/// A source that sends all it may, a sink that is dead: whatever is granted together stays below the cap.
#[test]
fn what_is_granted_never_passes_the_cap() {
    let (mut capping, mut grants, mut sent, mut before) = (Capping::default(), BTreeMap::new(), 0, 0);
    for second in 0..60 {
        // What the broker has is what was reported before: the newest bytes are on their way.
        let granted =
            period(&mut capping, &look(Some(before as i64 / 100), 0), &measured(1, before, sent), &grants, second);
        let may = bytes(&granted);
        assert!(may >= sent, "nothing is taken back");
        (before, sent) = (sent, may);
        grants.insert("s".to_owned(), granted.row.unwrap());
        assert!(sent as f64 + ON_THE_WAY * 100.0 <= CAP * 1.0001, "second {second}: {sent}");
    }
    assert!(sent as f64 > 0.85 * CAP, "the cap is used: {sent}");
}

#[test]
fn what_is_not_known_is_no_room() {
    let mut capping = Capping::default();
    let granted = period(&mut capping, &look(None, 0), &measured(1, 1_000, 1_000), &BTreeMap::new(), 0);
    assert_eq!(bytes(&granted), 1_000, "what it has sent already");
}

#[test]
fn a_source_whose_topics_are_not_known_begins_with_one_batch() {
    let mut picture = picture();
    picture.sources.get_mut("s").unwrap().topics.clear();
    let (mut capping, look, measured) = (Capping::default(), Look::default(), measured(1, 0, 0));
    let mut grants = BTreeMap::new();
    for _ in 0..3 {
        let now = Duration::ZERO;
        let caps = Caps {
            picture: &picture,
            look: &look,
            measured: &measured,
            grants: &grants,
            period: 1.0,
            now,
            floors: &BTreeMap::new(),
        };
        let granted = capping.period(&caps, |_, _| None).remove("s").unwrap();
        assert_eq!(bytes(&granted), 1);
        grants.insert("s".to_owned(), granted.row.unwrap());
    }
}

#[test]
fn what_a_gone_instance_may_still_send_counts_for_a_while() {
    let mut capping = Capping::default();
    let first = period(&mut capping, &look(Some(0), 0), &measured(1, 0, 0), &BTreeMap::new(), 0);
    let mut grants = BTreeMap::from([("s".to_owned(), first.row.clone().unwrap())]);
    let second = period(&mut capping, &look(Some(0), 0), &measured(2, 0, 0), &grants, 1);
    let room = CAP - ON_THE_WAY * 100.0;
    assert!((bytes(&first) + bytes(&second)) as f64 <= room * 1.0001, "{} {}", bytes(&first), bytes(&second));
    grants.insert("s".to_owned(), second.row.unwrap());
    let later = period(&mut capping, &look(Some(0), 0), &measured(2, 0, 0), &grants, 40);
    assert!(bytes(&later) as f64 <= room * 1.0001);
}

/// A leader that knows no grant of an instance, or a smaller one than was used.
#[test]
fn what_was_sent_above_the_known_grant_and_has_not_arrived_is_no_room() {
    let (arrived, sent) = (1_000_000, 5_000_000);
    let task = TaskGrant { task: 0, instance: 1, bytes: 2_000_000 };
    let smaller = BTreeMap::from([("s".to_owned(), GrantRow { v: VERSION, tasks: vec![task] })]);
    for grants in [BTreeMap::new(), smaller] {
        let mut capping = Capping::default();
        let look = look(Some(arrived as i64 / 100), 0);
        // A few periods, for the wants of one are bounded.
        let mut grants = grants;
        let mut most = 0;
        for second in 0..20 {
            let granted = period(&mut capping, &look, &measured(1, arrived, sent), &grants, second);
            most = bytes(&granted).max(sent);
            grants.insert("s".to_owned(), granted.row.unwrap());
        }
        let room = CAP - ON_THE_WAY * 100.0;
        assert!(most as f64 <= room * 1.0001, "{most} of {room}");
    }
}

fn of_a_new_leader(grants: &BTreeMap<String, GrantRow>, measured: &BTreeMap<String, Measured>) -> Granted {
    let caps = Caps {
        picture: &picture(),
        look: &look(Some(9_000), 0),
        measured,
        grants,
        period: 1.0,
        now: Duration::ZERO,
        floors: &BTreeMap::new(),
    };
    Capping::default().period(&caps, |_, _| None).remove("s").unwrap()
}

/// As for a new leader: nobody has seen yet how much of the source goes to the topic.
#[test]
fn a_topic_that_is_full_gets_nothing_more_while_its_share_of_the_source_is_not_known() {
    let mut full = measured(1, 9_000_000, 9_000_000);
    full.get_mut("s").unwrap().tasks.get_mut(&0).unwrap().report.records = 9_000;
    let task = TaskGrant { task: 0, instance: 1, bytes: 9_000_000 };
    let grants = BTreeMap::from([("s".to_owned(), GrantRow { v: VERSION, tasks: vec![task] })]);
    assert_eq!(bytes(&of_a_new_leader(&grants, &full)), 9_000_000);
}

#[test]
fn a_backlog_of_records_whose_size_nobody_knows_is_no_room_but_for_one_batch() {
    let silent = measured(1, 0, 0);
    let nothing = BTreeMap::new();
    let first = of_a_new_leader(&nothing, &silent);
    assert_eq!(bytes(&first), 1);
    let again = BTreeMap::from([("s".to_owned(), first.row.unwrap())]);
    assert_eq!(bytes(&of_a_new_leader(&again, &silent)), 1);
}

#[test]
fn records_weigh_what_their_source_says() {
    let mut heavy = measured(1, 900_000, 900_000);
    heavy.get_mut("s").unwrap().tasks.get_mut(&0).unwrap().report.records = 900;
    let granted = of_a_new_leader(&BTreeMap::new(), &heavy);
    assert_eq!(granted.caps[0].used, 9e6, "9,000 records of 1,000 bytes");
}

#[test]
fn the_group_that_is_furthest_behind_is_named() {
    let mut capping = Capping::default();
    let granted = period(&mut capping, &look(Some(50_000), 10_000), &measured(1, 100, 100), &BTreeMap::new(), 0);
    assert_eq!(
        granted.caps,
        [CapRow { topic: "t".to_owned(), bytes: CAP, used: 4e6, by: "sink k (running)".to_owned() }]
    );
}
