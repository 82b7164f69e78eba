//! Compaction and retention.
use crate::support::{
    PATIENCE, READ_COMMITTED, READ_UNCOMMITTED, create, produce, producer, read_all, send, unique, until, watermarks,
};
use anyhow::{Result, ensure};
use rdkafka::producer::{BaseRecord, Producer};
use std::collections::BTreeMap;
use std::time::Duration;

/// Smallest `segment.bytes` that Kafka 4 accepts.
const SEGMENT_BYTES: &str = "1048576";
/// How long cleaning may take: Kafka looks every few seconds, and only at segments that are closed.
const CLEANED: Duration = Duration::from_secs(80);

pub(super) fn compaction_keeps_the_newest_record_of_each_key(bs: &str) -> Result<()> {
    let t = unique("compacted");
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "500"),
        ("segment.bytes", SEGMENT_BYTES),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("max.compaction.lag.ms", "1000"),
        ("min.compaction.lag.ms", "0"),
        ("delete.retention.ms", "1000"),
    ];
    create(bs, &t, 1, &configs)?;
    let p = producer(bs, &[])?;
    for i in 0..2_000 {
        send(&p, &t, 0, &format!("key{}", i % 10), &i.to_string())?;
    }
    p.flush(PATIENCE)?;
    let mut extra = 0;
    let cleaned = until("fewer records", CLEANED, || {
        // Kafka closes a segment only when it writes to the next one.
        p.send(BaseRecord::<str, str>::to(&t).partition(0).key("last").payload("x")).map_err(|e| e.0)?;
        p.flush(PATIENCE)?;
        extra += 1;
        std::thread::sleep(Duration::from_millis(700));
        let all = read_all(bs, &t, 1, READ_COMMITTED)?;
        ensure!(all.len() <= 600 + extra, "{} records", all.len());
        Ok(all)
    })?;
    let newest: BTreeMap<_, _> = cleaned.iter().map(|r| (r.key.clone(), r.value.clone())).collect();
    for k in 0..10 {
        let (found, want) = (newest.get(&Some(format!("key{k}"))), Some((1_990 + k).to_string()));
        ensure!(found == Some(&want), "key{k} is {found:?}");
    }
    ensure!(cleaned.windows(2).all(|w| w[0].offset < w[1].offset), "offsets keep their order");
    ensure!(
        cleaned.iter().filter_map(|r| Some((r.offset, r.value.as_ref()?.parse::<i64>().ok()?))).all(|(o, v)| o == v)
    );
    Ok(())
}

pub(super) fn retention_moves_the_start_of_a_partition(bs: &str) -> Result<()> {
    let t = unique("shortened");
    create(bs, &t, 1, &[("retention.ms", "3000"), ("segment.ms", "1000"), ("segment.bytes", SEGMENT_BYTES)])?;
    produce(bs, &t, 0, 500, "old")?;
    let (low, high) = until("a later start", CLEANED, || {
        produce(bs, &t, 0, 1, "new")?;
        std::thread::sleep(Duration::from_secs(1));
        let marks = watermarks(bs, &t, READ_UNCOMMITTED)?;
        ensure!(marks.0 > 0, "{marks:?}");
        Ok(marks)
    })?;
    ensure!(low <= high && high >= 500, "{low} {high}");
    Ok(())
}
