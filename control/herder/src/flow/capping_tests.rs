//! Whatever is granted, no topic holds more than its cap.
use super::super::fixtures::{group, meter, picture, report, source};
use super::super::picture::{GroupView, SourceView};
use super::*;
use elasticflow_api::position::TopicPartition;

const CAP: f64 = 10e6;

fn capped() -> Picture {
    picture(SourceView { cap: Some(CAP), ..source() }, group())
}

fn measured(instance: u64, arrived: u64, sent: u64) -> BTreeMap<String, Measured> {
    let bytes_per_second = (sent - arrived) as f64;
    let meter = Meter { arrived, bytes_per_second, ..meter(report("s", instance, sent / 100, sent)) };
    [("s".to_owned(), Measured { tasks: [(0, meter)].into(), ..Measured::default() })].into()
}

fn look(end: Option<i64>, committed: i64) -> Look {
    let at = TopicPartition { topic: "t".into(), partition: 0 };
    let ends = end.map(|end| ("t".to_owned(), [(at.clone(), end)].into())).into_iter().collect();
    Look { at: Duration::ZERO, progress: [("g".to_owned(), [(at, committed)].into())].into(), ends }
}

/// What a period looks at; floors are nothing.
fn caps<'a>(
    picture: &'a Picture,
    look: &'a Look,
    measured: &'a BTreeMap<String, Measured>,
    grants: &'a BTreeMap<String, GrantRow>,
    second: u64,
) -> Caps<'a> {
    static NONE: BTreeMap<String, f64> = BTreeMap::new();
    let now = Duration::from_secs(second);
    Caps { picture, look, measured, grants, period: 1.0, now, floors: &NONE, fenced: true }
}

fn period(
    capping: &mut Capping,
    look: &Look,
    measured: &BTreeMap<String, Measured>,
    grants: &BTreeMap<String, GrantRow>,
    second: u64,
) -> Granted {
    capping.period(&caps(&capped(), look, measured, grants, second)).remove("s").unwrap()
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
    let mut picture = capped();
    picture.sources.get_mut("s").unwrap().topics.clear();
    let (mut capping, look, measured) = (Capping::default(), Look::default(), measured(1, 0, 0));
    let mut grants = BTreeMap::new();
    for _ in 0..3 {
        let granted = capping.period(&caps(&picture, &look, &measured, &grants, 0)).remove("s").unwrap();
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
    let known = bytes(&second);
    grants.insert("s".to_owned(), second.row.unwrap());
    let later = period(&mut capping, &look(Some(0), 0), &measured(2, 0, 0), &grants, 40);
    assert!(bytes(&later) as f64 <= room * 1.0001);
    assert!(bytes(&later) > known, "it does not count for ever");
}

/// The transactional id of a task is taken over before its next instance writes: what the one before has sent until then is in
/// the topic, and nothing more comes of it.
#[test]
fn what_a_gone_instance_may_still_send_counts_no_more_once_the_next_one_writes() {
    let granted_to_the_next = |writes: bool, fenced: bool| {
        let mut capping = Capping::default();
        let (none, picture) = (look(Some(0), 0), capped());
        let first = period(&mut capping, &none, &measured(1, 0, 0), &BTreeMap::new(), 0);
        let grants = BTreeMap::from([("s".to_owned(), first.row.unwrap())]);
        let mut next = measured(2, 0, 0);
        next.get_mut("s").unwrap().tasks.get_mut(&0).unwrap().report.arrived = writes.then_some(0);
        let caps = Caps { fenced, ..caps(&picture, &none, &next, &grants, 1) };
        capping.period(&caps).remove("s").map(|granted| bytes(&granted)).unwrap()
    };
    let waits = granted_to_the_next(false, true);
    assert!(granted_to_the_next(true, true) > 2 * waits, "{} beside {waits}", granted_to_the_next(true, true));
    assert_eq!(granted_to_the_next(true, false), waits, "without transactions nobody is fenced");
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
    period(&mut Capping::default(), &look(Some(9_000), 0), measured, grants, 0)
}

#[test]
fn a_topic_that_is_full_gets_nothing_more_from_a_new_leader() {
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

/// Two topics, `t` and `u`, with a sink each; offsets that the brokers have of both, and what `u`'s sink has read.
fn look_at_both(ends: [u64; 2], read: [u64; 2]) -> Look {
    let at = |topic: &str| TopicPartition { topic: topic.into(), partition: 0 };
    let part = |topic: &str, offset: u64| [(at(topic), offset as i64)].into();
    Look {
        at: Duration::ZERO,
        progress: [("g".to_owned(), part("t", read[0])), ("h".to_owned(), part("u", read[1]))].into(),
        ends: [("t".to_owned(), part("t", ends[0])), ("u".to_owned(), part("u", ends[1]))].into(),
    }
}

/// For a minute hardly anything goes to `u`, whose sink is dead, then everything at once, also what was granted before.
#[test]
fn a_source_that_turns_from_one_topic_to_another_at_once_passes_no_cap() {
    // As caps that follow from a retention: `t` has none.
    let derived = [("u".to_owned(), CAP)].into();
    let both = SourceView { derived, topics: ["t".to_owned(), "u".to_owned()].into(), ..source() };
    let mut picture = picture(both, group());
    picture.groups.insert("h".to_owned(), GroupView { topics: ["u".to_owned()].into(), ..group() });
    let (mut capping, mut grants) = (Capping::default(), BTreeMap::new());
    // Bytes of each topic: what has come by now, and by the report before.
    let (mut sent, mut before) = ([0_u64, 0], [0_u64, 0]);
    for second in 0..120 {
        let offsets = before.map(|bytes| bytes / 100);
        let look = look_at_both(offsets, [offsets[0], 0]);
        let measured = measured(1, before[0] + before[1], sent[0] + sent[1]);
        let granted = capping.period(&caps(&picture, &look, &measured, &grants, second)).remove("s").unwrap();
        let further = bytes(&granted) - sent[0] - sent[1];
        before = sent;
        let to_u = if second < 60 { further / 1_000 } else { further };
        sent = [sent[0] + further - to_u, sent[1] + to_u];
        assert!(sent[1] as f64 <= CAP - ON_THE_WAY * 100.0 + 200.0, "second {second}: {} of {CAP}", sent[1]);
        grants.insert("s".to_owned(), granted.row.unwrap());
    }
    assert!(sent[0] as f64 > 10.0 * CAP, "a topic that is read holds nobody: {}", sent[0]);
    assert!(sent[1] as f64 > 0.85 * CAP, "the cap is used: {}", sent[1]);
}

/// Records of which two batches are more than the cap.
#[test]
fn room_for_what_is_on_its_way_leaves_half_of_a_small_cap() {
    let mut heavy = measured(1, 0, 0);
    let meter = heavy.get_mut("s").unwrap().tasks.get_mut(&0).unwrap();
    (meter.report.records, meter.report.bytes, meter.arrived) = (10, 100_000, 100_000);
    let picture = picture(SourceView { cap: Some(2e6), ..source() }, group());
    let (look, none) = (look(Some(10), 10), BTreeMap::new());
    let granted = Capping::default().period(&caps(&picture, &look, &heavy, &none, 0)).remove("s").unwrap();
    assert_eq!(bytes(&granted), 100_000 + 1_000_000);
}
