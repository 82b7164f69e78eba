//! Transactions: what readers see and when.
use crate::support::{
    PATIENCE, READ_COMMITTED, READ_UNCOMMITTED, committed, committed_values, consumer, create, new_topic, next, owner,
    place, produce, read_all, reader, send, send_offset, unique, until, values, watermarks,
};
use anyhow::{Context, Result, anyhow, ensure};
use rdkafka::consumer::Consumer;
use rdkafka::message::Message;
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::Offset;
use std::time::{Duration, Instant};

pub(super) fn a_committed_transaction_shows_its_records_and_offsets(bs: &str) -> Result<()> {
    let (two, one, source, group) = (unique("two"), new_topic(bs, "one")?, new_topic(bs, "source")?, unique("g"));
    create(bs, &two, 2, &[])?;
    produce(bs, &source, 0, 10, "s")?;
    let p = owner(bs, &unique("id"), &[])?;
    let c = consumer(bs, &group, &[])?;
    c.subscribe(&[&source])?;
    (0..10).try_for_each(|_| next(&c).map(drop))?;
    p.begin_transaction()?;
    for i in 0..10 {
        send(&p, &two, i % 2, "k", &format!("c{i}"))?;
        send(&p, &one, 0, "k", &format!("d{i}"))?;
    }
    send_offset(&p, &c, &source, 10)?;
    p.commit_transaction(PATIENCE)?;
    let seen = (read_all(bs, &two, 2, READ_COMMITTED)?.len(), read_all(bs, &one, 1, READ_COMMITTED)?.len());
    ensure!(seen == (10, 10), "{seen:?}");
    drop(c);
    let offset = committed(bs, &group, &source, 0)?;
    ensure!(offset == Offset::Offset(10), "{offset:?}");
    p.begin_transaction()?;
    send(&p, &two, 0, "k", "second")?;
    p.commit_transaction(PATIENCE).context("a second transaction")?;
    ensure!(read_all(bs, &two, 2, READ_COMMITTED)?.len() == 11);
    Ok(())
}

pub(super) fn an_aborted_transaction_shows_nothing(bs: &str) -> Result<()> {
    let (t, source, group) = (new_topic(bs, "aborted")?, new_topic(bs, "source")?, unique("g"));
    produce(bs, &source, 0, 5, "s")?;
    let p = owner(bs, &unique("id"), &[])?;
    let c = consumer(bs, &group, &[])?;
    for (values, commit) in [(0..5, true), (100..105, false), (5..8, true)] {
        p.begin_transaction()?;
        values.into_iter().try_for_each(|i| send(&p, &t, 0, "k", &i.to_string()))?;
        p.flush(PATIENCE)?;
        if commit {
            p.commit_transaction(PATIENCE)?;
        } else {
            send_offset(&p, &c, &source, 5)?;
            p.abort_transaction(PATIENCE)?;
        }
    }
    let seen = committed_values(bs, &t)?;
    ensure!(seen == (0..8).map(|i| i.to_string()).collect::<Vec<_>>(), "{seen:?}");
    let all = read_all(bs, &t, 1, READ_UNCOMMITTED)?.len();
    ensure!(all == 13, "{all} uncommitted");
    let offset = committed(bs, &group, &source, 0)?;
    ensure!(offset == Offset::Invalid, "{offset:?}");
    Ok(())
}

pub(super) fn an_open_transaction_holds_the_last_stable_offset(bs: &str) -> Result<()> {
    let t = new_topic(bs, "open")?;
    produce(bs, &t, 0, 3, "before")?;
    let p = owner(bs, &unique("id"), &[])?;
    p.begin_transaction()?;
    (0..4).try_for_each(|i| send(&p, &t, 0, "k", &format!("open{i}")))?;
    p.flush(PATIENCE)?;
    produce(bs, &t, 0, 2, "after")?;
    let seen = committed_values(bs, &t)?;
    ensure!(seen == ["before0", "before1", "before2"], "{seen:?}");
    let ends = (watermarks(bs, &t, READ_COMMITTED)?.1, watermarks(bs, &t, READ_UNCOMMITTED)?.1);
    ensure!(ends == (3, 9), "last stable and end: {ends:?}");
    p.commit_transaction(PATIENCE)?;
    let seen = committed_values(bs, &t)?.len();
    ensure!(seen == 9 && watermarks(bs, &t, READ_COMMITTED)?.1 == 10, "{seen} after the commit");
    Ok(())
}

pub(super) fn group_offsets_move_with_their_transaction(bs: &str) -> Result<()> {
    let (t, group) = (new_topic(bs, "source")?, unique("g"));
    produce(bs, &t, 0, 10, "s")?;
    let c = consumer(bs, &group, &[])?;
    let p = owner(bs, &unique("id"), &[])?;
    for (offset, commit, want) in [(4, true, 4), (7, false, 4), (9, true, 9)] {
        p.begin_transaction()?;
        send_offset(&p, &c, &t, offset)?;
        if commit {
            p.commit_transaction(PATIENCE)?
        } else {
            p.abort_transaction(PATIENCE)?
        }
        let found = committed(bs, &group, &t, 0)?;
        ensure!(found == Offset::Offset(want), "after {offset}: {found:?}, not {want}");
    }
    Ok(())
}

/// A reader of committed offsets must wait for the outcome: the old value would be wrong a moment later.
pub(super) fn undecided_group_offsets_are_not_given_out(bs: &str) -> Result<()> {
    let (t, group) = (new_topic(bs, "source")?, unique("g"));
    produce(bs, &t, 0, 10, "s")?;
    let c = consumer(bs, &group, &[])?;
    let p = owner(bs, &unique("id"), &[])?;
    p.begin_transaction()?;
    send_offset(&p, &c, &t, 4)?;
    p.commit_transaction(PATIENCE)?;
    p.begin_transaction()?;
    send_offset(&p, &c, &t, 7)?;
    let ask = |limit: Duration| -> Result<Offset> {
        let c = consumer(bs, &group, &[("isolation.level", READ_COMMITTED)])?;
        let l = c.committed_offsets(place(&t, 0, Offset::Invalid)?, limit)?;
        l.elements()[0].error()?;
        Ok(l.elements()[0].offset())
    };
    let undecided = ask(Duration::from_millis(1_500));
    ensure!(undecided.is_err(), "{undecided:?}");
    let after = std::thread::scope(|s| {
        let reader = s.spawn(|| ask(PATIENCE));
        p.commit_transaction(PATIENCE)?;
        reader.join().map_err(|_| anyhow!("the reader panicked"))?
    })?;
    ensure!(after == Offset::Offset(7), "{after:?}");
    Ok(())
}

/// The end is the high watermark, never end-of-partition: a committed record can stand behind another's open transaction.
pub(super) fn a_reader_of_the_end_waits_for_open_transactions(bs: &str) -> Result<()> {
    let t = new_topic(bs, "end")?;
    let open = owner(bs, &unique("open"), &[])?;
    open.begin_transaction()?;
    send(&open, &t, 0, "k", "open")?;
    open.flush(PATIENCE)?;
    let done = owner(bs, &unique("done"), &[])?;
    done.begin_transaction()?;
    send(&done, &t, 0, "k", "decided")?;
    done.commit_transaction(PATIENCE)?;
    ensure!(committed_values(bs, &t)?.is_empty(), "the end of the partition is reported before it");
    let ends = (watermarks(bs, &t, READ_COMMITTED)?.1, watermarks(bs, &t, READ_UNCOMMITTED)?.1);
    ensure!(ends == (0, 3), "{ends:?}");
    ensure!(read_until(bs, &t, 3, Duration::from_secs(1)).is_err(), "the end was reached through an open transaction");
    open.abort_transaction(PATIENCE)?;
    let seen = read_until(bs, &t, 3, PATIENCE)?;
    ensure!(seen == ["decided"], "{seen:?}");
    let only_aborted = new_topic(bs, "only-aborted")?;
    open.begin_transaction()?;
    send(&open, &only_aborted, 0, "k", "x")?;
    open.flush(PATIENCE)?;
    open.abort_transaction(PATIENCE)?;
    let seen = read_until(bs, &only_aborted, 2, PATIENCE)?;
    ensure!(seen.is_empty(), "{seen:?}");
    Ok(())
}

/// What a reader of committed records sees until its position is `end`.
fn read_until(bs: &str, topic: &str, end: i64, limit: Duration) -> Result<Vec<String>> {
    let c = reader(bs, topic, Offset::Beginning, &[("isolation.level", READ_COMMITTED)])?;
    let mut seen = vec![];
    until("the position at the end", limit, || {
        if let Some(Ok(m)) = c.poll(Duration::from_millis(50)) {
            seen.push(String::from_utf8_lossy(m.payload().unwrap_or_default()).into_owned());
        }
        let position = c.position()?.elements()[0].offset();
        ensure!(matches!(position, Offset::Offset(o) if o >= end), "{position:?} of {end}");
        Ok(())
    })?;
    Ok(seen)
}

pub(super) fn transactions_of_several_producers_interleave_in_one_partition(bs: &str) -> Result<()> {
    const WANT: usize = 3 * 8 * 10;
    let t = new_topic(bs, "interleaved")?;
    let write = |w: usize| -> Result<()> {
        let p = owner(bs, &unique("id"), &[])?;
        for k in 0..12 {
            p.begin_transaction()?;
            let word = if k % 3 == 2 { "aborted" } else { "kept" };
            (0..10).try_for_each(|i| send(&p, &t, 0, &format!("w{w}"), &format!("{word}-{k}-{i}")))?;
            if word == "kept" {
                p.commit_transaction(PATIENCE)?;
            } else {
                p.flush(PATIENCE)?;
                p.abort_transaction(PATIENCE)?;
            }
        }
        Ok(())
    };
    let read = || -> Result<Vec<String>> {
        let c = reader(bs, &t, Offset::Beginning, &[("isolation.level", READ_COMMITTED)])?;
        let start = Instant::now();
        let mut seen = vec![];
        while seen.len() < WANT && start.elapsed() < PATIENCE {
            seen.push(String::from_utf8_lossy(next(&c)?.payload().unwrap_or_default()).into_owned());
        }
        Ok(seen)
    };
    let live = std::thread::scope(|s| {
        let live = s.spawn(read);
        let writers: Vec<_> = (0..3).map(|w| s.spawn(move || write(w))).collect();
        writers.into_iter().try_for_each(|w| w.join().map_err(|_| anyhow!("a writer panicked"))?)?;
        live.join().map_err(|_| anyhow!("the reader panicked"))?
    })?;
    let later = values(&read_all(bs, &t, 1, READ_COMMITTED)?);
    ensure!(live == later, "a live reader and a later one differ: {} and {}", live.len(), later.len());
    ensure!(later.len() == WANT && later.iter().all(|v| v.starts_with("kept")), "{} of {WANT}", later.len());
    Ok(())
}
