//! Who may not write any more.
use crate::support::{
    PATIENCE, committed_values, consumer, new_topic, next, owner, place, produce, send, unique, until,
};
use crate::wire::{Wire, batch};
use anyhow::{Context, Result, ensure};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::Offset;
use std::time::Duration;

pub(super) fn a_new_owner_aborts_the_old_transaction_and_shuts_the_owner_out(bs: &str) -> Result<()> {
    let (t, id) = (new_topic(bs, "taken-over")?, unique("id"));
    let old = owner(bs, &id, &[])?;
    old.begin_transaction()?;
    (0..3).try_for_each(|i| send(&old, &t, 0, "k", &format!("old{i}")))?;
    old.flush(PATIENCE)?;
    let new = owner(bs, &id, &[])?;
    new.begin_transaction()?;
    send(&new, &t, 0, "k", "new")?;
    new.commit_transaction(PATIENCE)?;
    // Sending may be refused already; the commit must be.
    let _ = send(&old, &t, 0, "k", "zombie");
    let refused = old.commit_transaction(PATIENCE);
    ensure!(matches!(&refused, Err(KafkaError::Transaction(e)) if e.is_fatal()), "{refused:?}");
    let seen = committed_values(bs, &t)?;
    ensure!(seen == ["new"], "{seen:?}");
    Ok(())
}

pub(super) fn a_zombie_is_refused_by_every_request_it_can_send(bs: &str) -> Result<()> {
    /// Older epoch, in the words of different requests and versions.
    const FENCED: [i16; 3] = [47, 90, 67];
    let (t, id) = (new_topic(bs, "zombie")?, unique("id"));
    let mut wire = Wire::connect(bs)?;
    let old = wire.init_producer(Some(&id))?;
    ensure!(wire.add_partition(&id, old, &t)? == 0);
    let first = wire.produce(&t, Some(&id), batch(old, 0, 2, true, "old")?)?;
    ensure!(first.0 == 0, "{first:?}");
    let new = wire.init_producer(Some(&id))?;
    ensure!(new.id == old.id && new.epoch > old.epoch, "{old:?} {new:?}");
    let refused = [
        wire.produce(&t, Some(&id), batch(old, 2, 2, true, "zombie")?)?.0,
        wire.add_partition(&id, old, &t)?,
        wire.end_transaction(&id, old, true)?,
    ];
    ensure!(refused.iter().all(|c| FENCED.contains(c)), "produce, add, end: {refused:?}");
    ensure!(wire.add_partition(&id, new, &t)? == 0);
    let second = wire.produce(&t, Some(&id), batch(new, 0, 2, true, "new")?)?;
    ensure!(second.0 == 0 && wire.end_transaction(&id, new, true)? == 0, "{second:?}");
    let seen = committed_values(bs, &t)?;
    ensure!(seen == ["new0", "new1"], "{seen:?}");
    Ok(())
}

pub(super) fn a_transaction_that_is_too_old_is_aborted_by_the_broker(bs: &str) -> Result<()> {
    let t = new_topic(bs, "too-old")?;
    let short = [("transaction.timeout.ms", "2000"), ("socket.timeout.ms", "2000"), ("message.timeout.ms", "2000")];
    let p = owner(bs, &unique("id"), &short)?;
    p.begin_transaction()?;
    send(&p, &t, 0, "k", "stuck")?;
    p.flush(PATIENCE)?;
    produce(bs, &t, 0, 2, "after")?;
    until("the records behind it", PATIENCE, || {
        let seen = committed_values(bs, &t)?;
        ensure!(seen == ["after0", "after1"], "{seen:?}");
        Ok(())
    })?;
    let late = p.commit_transaction(PATIENCE);
    ensure!(late.is_err(), "a commit that comes too late succeeds");
    Ok(())
}

/// KIP-447: a consumer that has lost its partitions must not commit for them, not even in a transaction.
pub(super) fn offsets_of_a_stale_generation_are_refused_in_a_transaction(bs: &str) -> Result<()> {
    let (t, group) = (new_topic(bs, "stale")?, unique("g"));
    produce(bs, &t, 0, 5, "s")?;
    let first = consumer(bs, &group, &[("session.timeout.ms", "6000")])?;
    first.subscribe(&[&t])?;
    next(&first)?;
    let membership = first.group_metadata().context("no membership")?;
    let p = owner(bs, &unique("id"), &[])?;
    first.unsubscribe();
    until("the assignment gone", PATIENCE, || {
        first.poll(Duration::from_millis(50));
        ensure!(first.assignment()?.count() == 0);
        Ok(())
    })?;
    let second = consumer(bs, &group, &[("session.timeout.ms", "6000")])?;
    second.subscribe(&[&t])?;
    next(&second)?;
    p.begin_transaction()?;
    let refused = p.send_offsets_to_transaction(&place(&t, 0, Offset::Offset(3))?, &membership, PATIENCE);
    ensure!(refused.is_err(), "the offsets were taken");
    p.abort_transaction(PATIENCE)?;
    Ok(())
}
