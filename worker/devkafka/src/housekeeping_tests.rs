use super::*;
use crate::clock::Moment;
use crate::config::{Config, Limits};
use crate::log::split;
use crate::testing::BatchSpec;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

fn state(limits: Limits) -> State {
    let config = Config { limits, ..Config::default() };
    State::new(&config, SocketAddr::from((Ipv4Addr::LOCALHOST, 9092)))
}

fn topic(s: &mut State, name: &str, configs: &[(&str, &str)]) {
    let configs = configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    s.create_topic(name, 1, configs).unwrap();
}

fn append(s: &mut State, topic: &str, spec: &BatchSpec) {
    let (batch, now_ms) = (split(spec.bytes()).unwrap().remove(0), s.now.wall_ms);
    s.partition(topic, 0).unwrap().append(&batch, now_ms, false).unwrap();
}

#[test]
fn each_policy_cleans_its_own_way() {
    let mut s = state(Limits::default());
    let configs = [("retention.ms", "1000"), ("min.cleanable.dirty.ratio", "0")];
    for (name, policy) in [("d", "delete"), ("c", "compact"), ("both", "compact,delete")] {
        topic(&mut s, name, &[&configs[..], &[("cleanup.policy", policy)]].concat());
        append(&mut s, name, &BatchSpec::keyed(&[("k", Some("1")), ("k", Some("2"))]));
        append(&mut s, name, &BatchSpec { timestamp: 5_000, ..BatchSpec::keyed(&[("k", Some("3"))]) });
    }
    s.now = Moment { wall_ms: 5_500, mono: Duration::from_secs(9) };
    s.tick(true);
    let left = |s: &mut State, t| {
        let p = s.partition(t, 0).unwrap();
        (p.start(), !p.read(p.start(), p.next(), 1 << 20).unwrap().is_empty())
    };
    assert_eq!(left(&mut s, "d"), (2, true));
    assert_eq!(left(&mut s, "c"), (0, true), "compaction does not move the start");
    assert_eq!(s.partition("c", 0).unwrap().bytes(), s.partition("both", 0).unwrap().bytes());
    let one = split(BatchSpec::keyed(&[("k", Some("3"))]).bytes()).unwrap().remove(0).bytes.len() as u64;
    assert_eq!(s.partition("c", 0).unwrap().bytes(), one, "the newest record of the one key");
}

#[test]
fn nothing_is_cleaned_between_cleanings() {
    let mut s = state(Limits::default());
    topic(&mut s, "d", &[("retention.ms", "1")]);
    append(&mut s, "d", &BatchSpec::plain(3));
    s.now = Moment { wall_ms: 9_000, ..Moment::default() };
    s.tick(false);
    assert_eq!(s.partition("d", 0).unwrap().start(), 0);
}

#[test]
fn empty_groups_are_forgotten_and_those_with_offsets_are_not() {
    let mut s = state(Limits { names: 2, ..Limits::default() });
    s.group("empty").unwrap();
    s.commit_offset("kept", "t", 0, crate::groups::group::Committed { offset: 1, leader_epoch: -1, metadata: None });
    assert_eq!(s.group("more").err(), Some(crate::code::POLICY_VIOLATION), "groups are limited");
    s.tick(true);
    assert_eq!(s.groups.keys().collect::<Vec<_>>(), ["kept"]);
    assert!(s.group("more").is_ok());
}

#[test]
fn partitions_are_limited_over_all_topics() {
    let mut s = state(Limits { partitions: 5, ..Limits::default() });
    s.create_topic("a", 3, BTreeMap::new()).unwrap();
    assert_eq!(s.create_topic("b", 3, BTreeMap::new()), Err(crate::code::POLICY_VIOLATION));
    assert_eq!(s.grow_topic("a", 6, false), Err(crate::code::POLICY_VIOLATION));
    assert_eq!(s.grow_topic("a", 5, false), Ok(()));
    s.delete_topic("a").unwrap();
    assert_eq!(s.create_topic("b", 5, BTreeMap::new()), Ok(()));
}
