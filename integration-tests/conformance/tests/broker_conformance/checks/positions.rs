//! Where a partition begins and ends, and how a reader moves in it.
use crate::support::{
    PATIENCE, READ_UNCOMMITTED, admin, admin_options, consumer, new_topic, next, place, produce, producer, read_all,
    reader, unique, wait, watermarks,
};
use crate::wire::{NOBODY, Wire, batch, now_ms, topic};
use anyhow::{Context, Result, ensure};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{ApiKey, BrokerId, ListOffsetsRequest, ListOffsetsResponse};
use rdkafka::consumer::Consumer;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::topic_partition_list::Offset;
use std::time::{Duration, Instant};

pub(super) fn offsets_are_found_by_time(bs: &str) -> Result<()> {
    let t = new_topic(bs, "timed")?;
    let base = now_ms() - 3_600_000;
    for (range, linger) in [(0..10i64, "0"), (10..20, "50")] {
        let p = producer(bs, &[("linger.ms", linger)])?;
        for i in range {
            let record = BaseRecord::<str, str>::to(&t).partition(0).key("k").payload("v").timestamp(base + i * 1_000);
            p.send(record).map_err(|e| e.0)?;
            if linger == "0" {
                p.flush(PATIENCE)?; // a batch each
            }
        }
        p.flush(PATIENCE)?;
    }
    let c = consumer(bs, &unique("g"), &[])?;
    for (time, want) in [(-5_000, 0), (0, 0), (4_500, 5), (14_500, 15), (15_000, 15)] {
        let found = c.offsets_for_times(place(&t, 0, Offset::Offset(base + time))?, PATIENCE)?;
        let found = found.elements()[0].offset();
        ensure!(found == Offset::Offset(want), "{time} ms: {found:?}, not {want}");
    }
    let beyond = c.offsets_for_times(place(&t, 0, Offset::Offset(base + 99_000))?, PATIENCE)?.elements()[0].offset();
    ensure!(matches!(beyond, Offset::End | Offset::Invalid), "beyond the newest: {beyond:?}");
    Ok(())
}

pub(super) fn the_start_the_end_and_the_largest_timestamp_are_found(bs: &str) -> Result<()> {
    let t = new_topic(bs, "ends")?;
    let p = producer(bs, &[])?;
    let base = now_ms() - 60_000;
    for (i, time) in [1, 5, 9, 3, 2].into_iter().enumerate() {
        let value = i.to_string();
        p.send(BaseRecord::<str, str>::to(&t).partition(0).payload(&value).timestamp(base + time)).map_err(|e| e.0)?;
        p.flush(PATIENCE)?;
    }
    let mut wire = Wire::connect(bs)?;
    for (asked, want) in [(-2, (0, -1)), (-1, (5, -1)), (-3, (2, base + 9))] {
        let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(asked);
        let topics = vec![ListOffsetsTopic::default().with_name(topic(&t)).with_partitions(vec![partition])];
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics);
        let r: ListOffsetsResponse = wire.call(ApiKey::ListOffsets, 7, &request)?;
        let p = r.topics.first().and_then(|t| t.partitions.first()).context("no partition")?;
        ensure!(p.error_code == 0 && (p.offset, p.timestamp) == want, "{asked}: {p:?}, not {want:?}");
    }
    Ok(())
}

pub(super) fn deleted_records_are_gone_and_the_rest_stays(bs: &str) -> Result<()> {
    let t = new_topic(bs, "cut")?;
    produce(bs, &t, 0, 20, "v")?;
    let r = wait(admin(bs)?.delete_records(&place(&t, 0, Offset::Offset(12))?, &admin_options()))?;
    ensure!(r.elements()[0].offset() == Offset::Offset(12), "{r:?}");
    let marks = watermarks(bs, &t, READ_UNCOMMITTED)?;
    ensure!(marks == (12, 20), "{marks:?}");
    let offsets: Vec<i64> = read_all(bs, &t, 1, READ_UNCOMMITTED)?.iter().map(|r| r.offset).collect();
    ensure!(offsets == (12..20).collect::<Vec<_>>(), "{offsets:?}");
    Ok(())
}

pub(super) fn a_consumer_seeks_pauses_and_resumes(bs: &str) -> Result<()> {
    let t = new_topic(bs, "sought")?;
    produce(bs, &t, 0, 10, "v")?;
    let c = reader(bs, &t, Offset::Beginning, &[])?;
    ensure!(next(&c)?.offset() == 0);
    c.seek(&t, 0, Offset::Offset(8), PATIENCE)?;
    ensure!(next(&c)?.offset() == 8);
    let here = place(&t, 0, Offset::Invalid)?;
    c.pause(&here)?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        ensure!(!matches!(c.poll(Duration::from_millis(100)), Some(Ok(_))), "a record while paused");
    }
    c.resume(&here)?;
    ensure!(next(&c)?.offset() == 9);
    Ok(())
}

pub(super) fn a_consumer_starts_in_the_middle_of_a_batch(bs: &str) -> Result<()> {
    let t = new_topic(bs, "middle")?;
    let mut wire = Wire::connect(bs)?;
    for _ in 0..2 {
        let stored = wire.produce(&t, None, batch(NOBODY, -1, 10, false, "v")?)?;
        ensure!(stored.0 == 0, "{stored:?}");
    }
    for from in [0, 5, 9, 10, 15] {
        let first = next(&reader(bs, &t, Offset::Offset(from), &[])?)?.offset();
        ensure!(first == from, "from {from}: {first}");
    }
    Ok(())
}

pub(super) fn a_position_out_of_range_is_reset(bs: &str) -> Result<()> {
    let t = new_topic(bs, "beyond")?;
    produce(bs, &t, 0, 10, "v")?;
    let first = next(&reader(bs, &t, Offset::Offset(5_000), &[])?)?.offset();
    ensure!(first == 0, "{first}");
    Ok(())
}
