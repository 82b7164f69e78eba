//! Groups of several members, some of them killed.
use crate::harness::NotOffered;
use crate::members::{Group, Style, share};
use crate::support::{unique, until};
use crate::wire::{Wire, text};
use anyhow::{Result, ensure};
use kafka_protocol::messages::{ApiKey, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId};
use std::time::{Duration, Instant};

/// Joining, sharing, and taking over once a session of a few seconds is over.
const SETTLED: Duration = Duration::from_secs(45);
/// Kafka's session of a modern member is 45 s, and its members cannot choose another.
const MODERN_SETTLED: Duration = Duration::from_secs(75);

/// One member has all, two share, one is killed, the other has all.
fn share_and_replace(bs: &str, strategy: &'static str, limit: Duration) -> Result<Vec<String>> {
    let group = Group::new(bs, 4)?;
    let style = Style { strategy, instance: "-", session_ms: "6000" };
    let a = group.member(style)?;
    until("one member with everything", SETTLED, || share(&[&a], 4))?;
    let b = group.member(style)?;
    until("two members that share", SETTLED, || share(&[&a, &b], 4))?;
    let revoked = a.revoked();
    a.kill();
    until("the partitions of the killed member at the other", limit, || share(&[&b], 4))?;
    Ok(revoked)
}

pub(super) fn cooperative_members_share_and_a_killed_one_is_replaced(bs: &str) -> Result<()> {
    let revoked = share_and_replace(bs, "cooperative-sticky", SETTLED)?;
    ensure!(revoked.iter().all(|r| r.split(',').count() == 2), "only what moves is revoked: {revoked:?}");
    Ok(())
}

pub(super) fn eager_members_share_and_a_killed_one_is_replaced(bs: &str) -> Result<()> {
    share_and_replace(bs, "range,roundrobin", SETTLED).map(drop)
}

pub(super) fn a_modern_group_is_assigned_by_the_broker_and_survives_a_killed_member(bs: &str) -> Result<()> {
    offers_modern_groups(bs)?;
    share_and_replace(bs, "consumer", MODERN_SETTLED).map(drop)
}

/// A broker may know the request and have the protocol switched off: Kafka 3.9 does.
fn offers_modern_groups(bs: &str) -> Result<()> {
    const UNSUPPORTED_VERSION: i16 = 35;
    let mut wire = Wire::connect(bs)?;
    let known = wire.api_versions()?.iter().any(|o| o.0 == ApiKey::ConsumerGroupHeartbeat as i16);
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text(&unique("probe"))))
        .with_rebalance_timeout_ms(30_000)
        .with_subscribed_topic_names(Some(vec![]))
        .with_topic_partitions(Some(vec![]));
    let answer =
        |w: &mut Wire| w.call::<_, ConsumerGroupHeartbeatResponse>(ApiKey::ConsumerGroupHeartbeat, 0, &request);
    if !known || answer(&mut wire)?.error_code == UNSUPPORTED_VERSION {
        return Err(NotOffered("this broker has no KIP-848 groups".into()).into());
    }
    Ok(())
}

pub(super) fn a_static_member_that_comes_back_keeps_its_partitions_and_disturbs_nobody(bs: &str) -> Result<()> {
    let group = Group::new(bs, 4)?;
    let style = |instance| Style { strategy: "range", instance, session_ms: "20000" };
    let a = group.member(style("a"))?;
    until("one member with everything", SETTLED, || share(&[&a], 4))?;
    let b = group.member(style("b"))?;
    until("two members that share", SETTLED, || share(&[&a, &b], 4))?;
    let (had, disturbed) = (a.owns(), b.rebalances());
    a.kill();
    let again = group.member(style("a"))?;
    until("the same partitions", SETTLED, || {
        ensure!(again.owns() == had, "{:?}, not {had:?}", again.owns());
        Ok(())
    })?;
    stays(Duration::from_secs(3), || {
        ensure!(b.rebalances() == disturbed, "the other member was rebalanced");
        Ok(())
    })
}

pub(super) fn a_second_static_member_of_the_same_instance_shuts_the_first_out(bs: &str) -> Result<()> {
    let group = Group::new(bs, 2)?;
    let style = Style { strategy: "range", instance: "same", session_ms: "20000" };
    let first = group.member(style)?;
    until("one member with everything", SETTLED, || share(&[&first], 2))?;
    let second = group.member(style)?;
    until("the second with everything", SETTLED, || share(&[&second], 2))?;
    until("the first shut out", SETTLED, || {
        ensure!(first.fenced(), "it was not told");
        Ok(())
    })
}

pub(super) fn three_members_settle_and_stay_settled(bs: &str) -> Result<()> {
    let group = Group::new(bs, 6)?;
    let style = Style { strategy: "cooperative-sticky", instance: "-", session_ms: "10000" };
    let members = (0..3).map(|_| group.member(style)).collect::<Result<Vec<_>>>()?;
    let all: Vec<_> = members.iter().collect();
    until("three members that share", SETTLED, || share(&all, 6))?;
    let events = |()| members.iter().map(|m| m.rebalances()).sum::<usize>();
    stays(Duration::from_secs(3), || share(&all, 6))?;
    let settled = events(());
    stays(Duration::from_secs(2), || {
        ensure!(events(()) == settled, "somebody was rebalanced again");
        Ok(())
    })
}

/// Whether a condition holds all the time.
fn stays(time: Duration, f: impl Fn() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < time {
        f()?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
