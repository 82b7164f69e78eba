//! Groups and their offsets, as administrators see them.
use crate::support::{
    PATIENCE, READ_UNCOMMITTED, admin, admin_options, committed, config, consumer, create, new_topic, next, place,
    produce, unique, until, wait, watermarks,
};
use crate::wire::{Wire, text, topic};
use anyhow::{Context, Result, ensure};
use kafka_protocol::messages as m;
use kafka_protocol::messages::{ApiKey, GroupId};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::Offset;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) fn a_group_resumes_where_it_committed(bs: &str) -> Result<()> {
    let (t, g) = (new_topic(bs, "resumed")?, unique("g"));
    produce(bs, &t, 0, 20, "v")?;
    let c = consumer(bs, &g, &[])?;
    c.subscribe(&[&t])?;
    (0..7).try_for_each(|_| next(&c).map(drop))?;
    c.commit(&place(&t, 0, Offset::Offset(7))?, CommitMode::Sync)?;
    drop(c);
    let c = consumer(bs, &g, &[])?;
    c.subscribe(&[&t])?;
    let first = next(&c)?.offset();
    ensure!(first == 7, "{first}");
    Ok(())
}

pub(super) fn a_group_is_listed_and_described(bs: &str) -> Result<()> {
    let (t, g) = (new_topic(bs, "described")?, unique("g"));
    produce(bs, &t, 0, 10, "v")?;
    let c = consumer(bs, &g, &[("client.id", "somebody")])?;
    c.subscribe(&[&t])?;
    next(&c)?;
    c.commit(&place(&t, 0, Offset::Offset(6))?, CommitMode::Sync)?;
    let asker: BaseConsumer = config(bs, &[]).create()?;
    until("a stable group", PATIENCE, || {
        c.poll(Duration::ZERO);
        let all = asker.fetch_group_list(None, PATIENCE)?;
        ensure!(all.groups().iter().any(|x| x.name() == g), "it is not listed");
        let one = asker.fetch_group_list(Some(&g), PATIENCE)?;
        let one = one.groups().first().context("not described")?;
        let members: Vec<&str> = one.members().iter().map(|m| m.client_id()).collect();
        ensure!(
            (one.state(), one.protocol_type()) == ("Stable", "consumer"),
            "{} {}",
            one.state(),
            one.protocol_type()
        );
        ensure!(members == ["somebody"] && one.members()[0].assignment().is_some_and(|a| !a.is_empty()), "{members:?}");
        Ok(())
    })?;
    let lag = watermarks(bs, &t, READ_UNCOMMITTED)?.1 - committed(bs, &g, &t, 0)?.to_raw().context("no offset")?;
    ensure!(lag == 4, "lag {lag}");
    let mut wire = Wire::connect(bs)?;
    let stable = m::ListGroupsRequest::default().with_states_filter(vec![text("Stable")]);
    let r: m::ListGroupsResponse = wire.call(ApiKey::ListGroups, 4, &stable)?;
    ensure!(r.groups.iter().any(|x| x.group_id.as_str() == g && x.group_state.as_str() == "Stable"), "by state: {r:?}");
    Ok(())
}

/// All of a group's offsets in one request, as a version with several groups gives them.
fn all_offsets(wire: &mut Wire, g: &str) -> Result<BTreeMap<i32, i64>> {
    use m::offset_fetch_request::OffsetFetchRequestGroup;
    let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text(g))).with_topics(None);
    let request = m::OffsetFetchRequest::default().with_groups(vec![group]);
    let r: m::OffsetFetchResponse = wire.call(ApiKey::OffsetFetch, 8, &request)?;
    let group = r.groups.first().context("no group")?;
    ensure!(group.error_code == 0, "code {}", group.error_code);
    let partitions = group.topics.iter().flat_map(|t| &t.partitions);
    Ok(partitions.map(|p| (p.partition_index, p.committed_offset)).collect())
}

pub(super) fn all_offsets_of_a_group_are_read_changed_and_deleted(bs: &str) -> Result<()> {
    use m::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
    let (t, g) = (unique("changed"), unique("g"));
    create(bs, &t, 2, &[])?;
    let c = consumer(bs, &g, &[])?;
    for (partition, offset) in [(0, 3), (1, 0)] {
        c.commit(&place(&t, partition, Offset::Offset(offset))?, CommitMode::Sync)?;
    }
    let mut wire = Wire::connect(bs)?;
    ensure!(all_offsets(&mut wire, &g)? == BTreeMap::from([(0, 3), (1, 0)]));
    c.commit(&place(&t, 0, Offset::Offset(1))?, CommitMode::Sync)?;
    let one = OffsetDeleteRequestPartition::default().with_partition_index(1);
    let topics = vec![OffsetDeleteRequestTopic::default().with_name(topic(&t)).with_partitions(vec![one])];
    let request = m::OffsetDeleteRequest::default().with_group_id(GroupId(text(&g))).with_topics(topics);
    let r: m::OffsetDeleteResponse = wire.call(ApiKey::OffsetDelete, 0, &request)?;
    ensure!(r.error_code == 0 && r.topics.iter().flat_map(|t| &t.partitions).all(|p| p.error_code == 0), "{r:?}");
    let left = all_offsets(&mut wire, &g)?;
    ensure!(left == BTreeMap::from([(0, 1)]), "{left:?}");
    Ok(())
}

pub(super) fn a_deleted_group_has_no_offsets(bs: &str) -> Result<()> {
    let (t, g) = (new_topic(bs, "group-deleted")?, unique("g"));
    let c = consumer(bs, &g, &[])?;
    c.commit(&place(&t, 0, Offset::Offset(3))?, CommitMode::Sync)?;
    drop(c);
    let results = wait(admin(bs)?.delete_groups(&[&g], &admin_options()))?;
    ensure!(results.iter().all(Result::is_ok), "{results:?}");
    let offset = committed(bs, &g, &t, 0)?;
    ensure!(offset == Offset::Invalid, "{offset:?}");
    Ok(())
}
