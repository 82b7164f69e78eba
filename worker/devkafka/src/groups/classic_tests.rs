use super::*;
use crate::groups::group::Group;
use crate::groups::join::Join;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;

const SECOND: Duration = Duration::from_secs(1);

fn group() -> Group {
    Group::new(3)
}

fn request(id: &str, instance: Option<&str>, protocols: &[(&str, &'static str)]) -> Join {
    let protocols = protocols.iter().map(|(n, m)| {
        JoinGroupRequestProtocol::default().with_name(text(*n)).with_metadata(Bytes::from_static(m.as_bytes()))
    });
    let r = JoinGroupRequest::default()
        .with_member_id(text(id))
        .with_group_instance_id(instance.map(text))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(30_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(protocols.collect());
    Join::parse(&r, 9, "client").unwrap()
}

fn ask(g: &mut Group, j: &Join) -> Reply<JoinGroupResponse> {
    g.join(j, Duration::ZERO)
}

fn now<R: std::fmt::Debug>(r: Reply<R>) -> R {
    match r {
        Reply::Now(r) => r,
        Reply::Wait(mut told) => told.try_recv().expect("an answer is there"),
    }
}

fn waits<R>(r: Reply<R>) -> Receiver<R> {
    match r {
        Reply::Now(_) => panic!("answered at once"),
        Reply::Wait(mut told) => {
            assert!(told.try_recv().is_err(), "answered at once");
            told
        }
    }
}

/// A new dynamic member: it gets an id first, then asks again with it.
fn newcomer(g: &mut Group) -> String {
    let first = now(ask(g, &request("", None, &[("range", "m")])));
    assert_eq!(first.error_code, code::MEMBER_ID_REQUIRED);
    first.member_id.to_string()
}

fn sync(g: &mut Group, id: &str, generation: i32, assign: &[(&str, &'static str)]) -> Reply<SyncGroupResponse> {
    let assignments = assign.iter().map(|(m, a)| {
        SyncGroupRequestAssignment::default().with_member_id(text(*m)).with_assignment(Bytes::from_static(a.as_bytes()))
    });
    let r = SyncGroupRequest::default()
        .with_member_id(text(id))
        .with_generation_id(generation)
        .with_assignments(assignments.collect());
    let at = g.now;
    g.classic.sync(&r, at)
}

fn beat(g: &mut Group, id: &str, generation: i32) -> Code {
    let r = HeartbeatRequest::default().with_member_id(text(id)).with_generation_id(generation);
    let at = g.now;
    g.classic.heartbeat(&r, at).err().unwrap_or(0)
}

/// A stable group of one.
fn one() -> (Group, String) {
    let mut g = group();
    let id = newcomer(&mut g);
    let joined = now(ask(&mut g, &request(&id, None, &[("range", "m")])));
    assert_eq!((joined.error_code, joined.generation_id, joined.leader.as_str()), (0, 1, id.as_str()));
    assert_eq!(now(sync(&mut g, &id, 1, &[(&id, "all")])).assignment, Bytes::from_static(b"all"));
    (g, id)
}

#[test]
fn one_member_gets_an_id_joins_leads_and_is_assigned() {
    let (mut g, id) = one();
    assert_eq!(g.state_name(), "Stable");
    assert_eq!(beat(&mut g, &id, 1), 0);
    assert_eq!(beat(&mut g, &id, 2), code::ILLEGAL_GENERATION);
    assert_eq!(beat(&mut g, "stranger", 1), code::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_second_member_rebalances_the_first_and_the_leader_stays() {
    let (mut g, a) = one();
    let b = newcomer(&mut g);
    let b_joins = waits(ask(&mut g, &request(&b, None, &[("range", "m")])));
    assert_eq!(beat(&mut g, &a, 1), code::REBALANCE_IN_PROGRESS);
    let a_joined = now(ask(&mut g, &request(&a, None, &[("range", "m")])));
    let b_joined = now(Reply::Wait(b_joins));
    assert_eq!((a_joined.generation_id, b_joined.generation_id), (2, 2));
    assert_eq!((a_joined.leader.as_str(), a_joined.members.len(), b_joined.members.len()), (a.as_str(), 2, 0));
    let b_syncs = waits(sync(&mut g, &b, 2, &[]));
    assert_eq!(now(sync(&mut g, &a, 2, &[(&a, "one"), (&b, "two")])).assignment, Bytes::from_static(b"one"));
    assert_eq!(now(Reply::Wait(b_syncs)).assignment, Bytes::from_static(b"two"));
}

#[test]
fn a_member_that_does_not_join_again_is_left_behind_after_its_time_out() {
    let (mut g, a) = one();
    let b = newcomer(&mut g);
    let b_joins = waits(ask(&mut g, &request(&b, None, &[("range", "m")])));
    g.now = 29 * SECOND;
    g.classic.touch(&a, g.now); // it heartbeats but does not join
    g.tick();
    let mut b_joins = waits(Reply::Wait(b_joins));
    g.now = 31 * SECOND;
    g.tick();
    let joined = b_joins.try_recv().expect("time is up");
    assert_eq!((joined.leader.as_str(), joined.members.len()), (b.as_str(), 1));
    assert_eq!(beat(&mut g, &a, 2), code::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_silent_member_loses_its_session_and_its_place() {
    let (mut g, a) = one();
    g.now = 10 * SECOND;
    g.tick();
    assert_eq!(g.state_name(), "Stable");
    g.now = 11 * SECOND;
    g.tick();
    assert_eq!((g.state_name(), g.has_members()), ("Empty", false));
    assert_eq!(beat(&mut g, &a, 1), code::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_member_that_leaves_is_gone_and_the_others_rebalance() {
    let (mut g, a) = one();
    let b = newcomer(&mut g);
    let _b_joins = waits(ask(&mut g, &request(&b, None, &[("range", "m")])));
    assert_eq!(now(ask(&mut g, &request(&a, None, &[("range", "m")]))).generation_id, 2);
    let at = g.now;
    assert_eq!(g.classic.leave(&a, None, at), Ok(()));
    assert_eq!(g.classic.leave(&a, None, at), Err(code::UNKNOWN_MEMBER_ID));
    assert_eq!(beat(&mut g, &b, 2), code::REBALANCE_IN_PROGRESS);
    let joined = now(ask(&mut g, &request(&b, None, &[("range", "m")])));
    assert_eq!((joined.generation_id, joined.leader.as_str()), (3, b.as_str()));
}

#[test]
fn a_static_member_that_is_back_keeps_its_assignment_without_a_rebalance() {
    let mut g = group();
    let first = now(ask(&mut g, &request("", Some("i"), &[("range", "m")])));
    let old = first.member_id.to_string();
    assert_eq!(now(sync(&mut g, &old, 1, &[(&old, "all")])).error_code, 0);
    let back = now(ask(&mut g, &request("", Some("i"), &[("range", "m")])));
    assert!(back.generation_id == 1 && back.skip_assignment, "it leads, and has nothing to compute");
    let new = back.member_id.to_string();
    assert_ne!(new, old);
    assert_eq!(now(sync(&mut g, &new, 1, &[])).assignment, Bytes::from_static(b"all"));
    let r = HeartbeatRequest::default()
        .with_member_id(text(&old))
        .with_group_instance_id(Some(text("i")))
        .with_generation_id(1);
    let at = g.now;
    assert_eq!(g.classic.heartbeat(&r, at), Err(code::FENCED_INSTANCE_ID), "the older process is shut out");
}

#[test]
fn a_static_member_that_is_back_with_another_subscription_rebalances() {
    let mut g = group();
    let first = now(ask(&mut g, &request("", Some("i"), &[("range", "m")])));
    let old = first.member_id.to_string();
    drop(now(sync(&mut g, &old, 1, &[(&old, "all")])));
    let back = now(ask(&mut g, &request("", Some("i"), &[("range", "other topics")])));
    assert_eq!((back.generation_id, back.members.len()), (2, 1));
}

#[test]
fn the_protocol_is_one_that_all_members_speak_and_most_prefer() {
    let mut g = group();
    let ids: Vec<String> = (0..3).map(|_| newcomer(&mut g)).collect();
    let wishes: [&[(&str, &'static str)]; 3] =
        [&[("x", ""), ("y", ""), ("z", "")], &[("z", ""), ("y", "")], &[("z", ""), ("y", ""), ("x", "")]];
    let mut waiting: Vec<_> = ids.iter().zip(wishes).map(|(id, w)| ask(&mut g, &request(id, None, w))).collect();
    let last = now(waiting.remove(2));
    assert_eq!(last.protocol_name.as_deref(), Some("z"));
}

#[test]
fn protocols_that_do_not_meet_and_too_many_members_are_refused() {
    let (mut g, _) = one();
    let refused = now(ask(&mut g, &request("", None, &[("roundrobin", "")])));
    assert_eq!(refused.error_code, code::INCONSISTENT_GROUP_PROTOCOL);
    for _ in 0..2 {
        let id = newcomer(&mut g);
        drop(ask(&mut g, &request(&id, None, &[("range", "m")])));
    }
    assert_eq!(now(ask(&mut g, &request("", None, &[("range", "m")]))).error_code, code::GROUP_MAX_SIZE_REACHED);
}

#[test]
fn a_first_generation_waits_for_more_members() {
    let mut g = group();
    let id = newcomer(&mut g);
    let joins = g.join(&request(&id, None, &[("range", "m")]), 3 * SECOND);
    let joins = waits(joins);
    g.now = 2 * SECOND;
    g.tick();
    let joins = waits(Reply::Wait(joins));
    g.now = 3 * SECOND;
    g.tick();
    assert_eq!(now(Reply::Wait(joins)).generation_id, 1);
}

#[test]
fn ids_that_were_handed_out_lapse() {
    let mut g = group();
    let id = newcomer(&mut g);
    g.now = 11 * SECOND;
    g.tick();
    assert_eq!(now(ask(&mut g, &request(&id, None, &[("range", "m")]))).error_code, code::UNKNOWN_MEMBER_ID);
    assert!(g.is_empty());
}

#[test]
fn only_members_of_the_generation_commit() {
    let (g, a) = one();
    assert_eq!(g.may_commit(1, &a, None), Ok(()));
    assert_eq!(g.may_commit(0, &a, None), Err(code::ILLEGAL_GENERATION));
    assert_eq!(g.may_commit(-1, "", None), Err(code::UNKNOWN_MEMBER_ID), "somebody owns the partitions");
    assert_eq!(group().may_commit(-1, "", None), Ok(()), "an empty group belongs to nobody");
}

#[test]
fn sessions_out_of_range_are_refused() {
    for ms in [0, -5, 3_600_001] {
        let r = JoinGroupRequest::default().with_session_timeout_ms(ms);
        assert_eq!(Join::parse(&r, 9, "c").unwrap_err(), code::INVALID_SESSION_TIMEOUT);
    }
}
