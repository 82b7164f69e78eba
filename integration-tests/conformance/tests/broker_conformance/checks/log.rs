//! Produce and fetch.
use crate::support::{
    PATIENCE, READ_COMMITTED, READ_UNCOMMITTED, create, new_topic, next, produce, producer, read_all, reader, send,
    unique,
};
use crate::wire::{NOBODY, Producer, Wire, batch};
use anyhow::{Context, Result, anyhow, ensure};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage, Timestamp};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::Offset;
use std::collections::HashMap;
use std::time::{Duration, Instant};

pub(super) fn an_idempotent_producer_keeps_order_and_dense_offsets(bs: &str) -> Result<()> {
    let t = new_topic(bs, "idempotent")?;
    let p = producer(bs, &[("enable.idempotence", "true"), ("linger.ms", "1"), ("batch.num.messages", "50")])?;
    (0..5_000).try_for_each(|i| send(&p, &t, 0, "k", &format!("v{i}")))?;
    p.flush(PATIENCE)?;
    let all = read_all(bs, &t, 1, READ_COMMITTED)?;
    ensure!(all.len() == 5_000, "{} records", all.len());
    for (i, r) in (0i64..).zip(&all) {
        ensure!(r.offset == i && r.value == Some(format!("v{i}")), "at {i}: {r:?}");
    }
    Ok(())
}

pub(super) fn a_repeated_batch_is_stored_once_and_a_gap_is_refused(bs: &str) -> Result<()> {
    let t = new_topic(bs, "repeated")?;
    produce(bs, &t, 0, 1, "x")?;
    let mut wire = Wire::connect(bs)?;
    let who = wire.init_producer(None)?;
    let first = wire.produce(&t, None, batch(who, 0, 3, false, "a")?)?;
    let again = wire.produce(&t, None, batch(who, 0, 3, false, "a")?)?;
    let gap = wire.produce(&t, None, batch(who, 9, 3, false, "gap")?)?;
    let next = wire.produce(&t, None, batch(who, 3, 3, false, "b")?)?;
    ensure!(first == (0, 1) && again == first, "first {first:?}, again {again:?}");
    ensure!(gap.0 == 45 && next == (0, 4), "gap {gap:?}, next {next:?}");
    let raised = Producer { epoch: who.epoch + 1, ..who };
    let newer = wire.produce(&t, None, batch(raised, 0, 1, false, "newer")?)?;
    let older = wire.produce(&t, None, batch(who, 6, 1, false, "older")?)?;
    ensure!(newer.0 == 0 && older.0 == 47, "newer epoch {newer:?}, older epoch {older:?}");
    let n = read_all(bs, &t, 1, READ_UNCOMMITTED)?.len();
    ensure!(n == 8, "{n} records");
    Ok(())
}

fn send_as_is(p: &BaseProducer, record: BaseRecord<'_, [u8], [u8]>) -> Result<()> {
    p.send(record).map_err(|(e, _)| e.into())
}

fn next_owned(c: &rdkafka::consumer::BaseConsumer, n: usize) -> Result<Vec<OwnedMessage>> {
    (0..n).map(|_| Ok(next(c)?.detach())).collect()
}

pub(super) fn headers_keys_values_and_timestamps_come_back_as_they_were(bs: &str) -> Result<()> {
    const TIME: i64 = 1_234_567_890_123;
    let t = new_topic(bs, "headers")?;
    let p = producer(bs, &[])?;
    let sent: [(&str, Option<&[u8]>); 5] =
        [("a", Some(b"1")), ("a", Some(b"2")), ("null", None), ("binary", Some(&[0, 255, 7])), ("empty", Some(b""))];
    let headers = sent
        .iter()
        .fold(OwnedHeaders::new(), |h, (key, value)| h.insert(Header { key, value: value.as_ref().copied() }));
    let to = || BaseRecord::<[u8], [u8]>::to(&t).partition(0);
    send_as_is(&p, to().key(b"key").payload(b"value").headers(headers).timestamp(TIME))?;
    send_as_is(&p, to().key(b"tombstone"))?;
    send_as_is(&p, to().payload(b"without key"))?;
    send_as_is(&p, to().key(b"").payload(b""))?;
    p.flush(PATIENCE)?;
    let got = next_owned(&reader(bs, &t, Offset::Beginning, &[])?, 4)?;
    let back: Vec<(String, Option<Vec<u8>>)> =
        got[0].headers().context("no headers")?.iter().map(|h| (h.key.into(), h.value.map(<[u8]>::to_vec))).collect();
    let want: Vec<(String, Option<Vec<u8>>)> = sent.iter().map(|(k, v)| ((*k).into(), v.map(<[u8]>::to_vec))).collect();
    ensure!(back == want, "{back:?}");
    ensure!(got[0].timestamp() == Timestamp::CreateTime(TIME), "{:?}", got[0].timestamp());
    ensure!(got[1].payload().is_none() && got[1].key() == Some(b"tombstone"), "a tombstone has no value");
    ensure!(got[2].key().is_none() && got[2].payload() == Some(b"without key"), "no key stays no key");
    ensure!(got[3].key() == Some(b"") && got[3].payload() == Some(b""), "empty is not null");
    Ok(())
}

pub(super) fn log_append_time_replaces_the_clients_timestamps(bs: &str) -> Result<()> {
    let t = unique("stamped");
    create(bs, &t, 1, &[("message.timestamp.type", "LogAppendTime")])?;
    let before = crate::wire::now_ms();
    let p = producer(bs, &[])?;
    send_as_is(&p, BaseRecord::<[u8], [u8]>::to(&t).partition(0).key(b"k").payload(b"v").timestamp(1_000))?;
    p.flush(PATIENCE)?;
    let got = next_owned(&reader(bs, &t, Offset::Beginning, &[])?, 1)?;
    let stamp = got[0].timestamp();
    ensure!(matches!(stamp, Timestamp::LogAppendTime(x) if x >= before - 1_000), "{stamp:?}");
    Ok(())
}

pub(super) fn every_codec_is_stored_and_read_back(bs: &str) -> Result<()> {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let t = new_topic(bs, codec)?;
        let p = producer(bs, &[("compression.codec", codec), ("linger.ms", "20")])?;
        (0..2_000).try_for_each(|i| send(&p, &t, 0, "k", &format!("payload payload payload {i}")))?;
        p.flush(PATIENCE)?;
        let all = read_all(bs, &t, 1, READ_UNCOMMITTED)?;
        ensure!(all.len() == 2_000, "{codec}: {} records", all.len());
        let last = all.last().and_then(|r| r.value.as_deref());
        ensure!(last == Some("payload payload payload 1999"), "{codec}: {last:?}");
    }
    Ok(())
}

pub(super) fn large_records_pass_and_too_large_ones_are_refused(bs: &str) -> Result<()> {
    let t = unique("large");
    create(bs, &t, 1, &[("max.message.bytes", "12000000")])?;
    let payload = |megabytes: usize| -> Vec<u8> { (0..megabytes * 1_000_000).map(|i| (i * 31 % 251) as u8).collect() };
    let p = producer(bs, &[("message.max.bytes", "12000000")])?;
    for megabytes in [1, 5, 10] {
        send_as_is(&p, BaseRecord::<[u8], [u8]>::to(&t).partition(0).key(b"k").payload(&payload(megabytes)))?;
        p.flush(PATIENCE).with_context(|| format!("{megabytes} MB"))?;
    }
    let room = [
        ("fetch.message.max.bytes", "20000000"),
        ("fetch.max.bytes", "30000000"),
        ("receive.message.max.bytes", "40000000"),
    ];
    let got = next_owned(&reader(bs, &t, Offset::Beginning, &room)?, 3)?;
    for (message, megabytes) in got.iter().zip([1, 5, 10]) {
        ensure!(message.payload() == Some(&payload(megabytes)[..]), "{megabytes} MB came back changed");
    }
    let small = unique("small");
    create(bs, &small, 1, &[("max.message.bytes", "1000")])?;
    let refused =
        Wire::connect(bs)?.produce(&small, None, batch(NOBODY, -1, 100, false, "twenty-four characters..")?)?;
    ensure!(refused.0 == 10, "{refused:?} is not MESSAGE_TOO_LARGE");
    Ok(())
}

/// A fetch that may wait for 30 s must not: the record comes in the middle of it.
pub(super) fn a_waiting_fetch_returns_as_soon_as_there_is_a_record(bs: &str) -> Result<()> {
    let t = new_topic(bs, "waiting")?;
    produce(bs, &t, 0, 1, "warm")?;
    let c = reader(bs, &t, Offset::Beginning, &[("fetch.wait.max.ms", "30000"), ("socket.timeout.ms", "60000")])?;
    next(&c)?;
    let p = producer(bs, &[])?;
    for i in 0..5 {
        let start = Instant::now();
        send(&p, &t, 0, "k", &i.to_string())?;
        p.flush(PATIENCE)?;
        let offset = next(&c)?.offset();
        ensure!(offset == i + 1 && start.elapsed() < Duration::from_secs(15), "{offset} after {:?}", start.elapsed());
    }
    Ok(())
}

pub(super) fn four_producers_keep_their_own_order_in_one_partition(bs: &str) -> Result<()> {
    let t = new_topic(bs, "order")?;
    let write = |w: usize| -> Result<()> {
        let p = producer(bs, &[("enable.idempotence", "true"), ("linger.ms", "1"), ("batch.num.messages", "20")])?;
        (0..1_000).try_for_each(|i| send(&p, &t, 0, &format!("w{w}"), &i.to_string()))?;
        Ok(p.flush(PATIENCE)?)
    };
    std::thread::scope(|s| {
        let writers: Vec<_> = (0..4).map(|w| s.spawn(move || write(w))).collect();
        writers.into_iter().try_for_each(|w| w.join().map_err(|_| anyhow!("a producer panicked"))?)
    })?;
    let all = read_all(bs, &t, 1, READ_COMMITTED)?;
    ensure!(all.len() == 4_000, "{} records", all.len());
    let mut expected: HashMap<&str, usize> = HashMap::new();
    for (i, r) in (0i64..).zip(&all) {
        let n = expected.entry(r.key.as_deref().context("no key")?).or_default();
        ensure!(r.offset == i && r.value == Some(n.to_string()), "at {i}: {r:?}, expected {n}");
        *n += 1;
    }
    Ok(())
}
