//! Indices by date.
use crate::harness::{Harness, at_time, flat, key, record, tombstone};
use crate::real::{ask, contents, put, remove, server};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY_MS: i64 = 86_400_000;

#[tokio::test]
async fn a_document_goes_to_the_index_of_its_records_day() {
    let mut sink =
        Harness::new(&[("index.name.format", "${topic}-${timestamp:yyyy.MM.dd}"), ("key.ignore", "true")]).await;
    let records = [Some(0), Some(DAY_MS), Some(1), None]
        .into_iter()
        .enumerate()
        .map(|(i, ms)| at_time(record(i.try_into().unwrap(), tombstone(), flat(1, 1)), ms));
    sink.put_and_flush(records.collect()).await.unwrap();
    let ids = |index: &str| sink.server.lock().unwrap().live(index).into_keys().collect::<Vec<_>>();
    assert_eq!(ids("orders-1970.01.01"), ["Orders+0+0", "Orders+0+2"]);
    assert_eq!(ids("orders-1970.01.02"), ["Orders+0+1"]);
    let [(3, reason)] = &sink.rejections()[..] else { panic!("{:?}", sink.rejections()) };
    assert!(reason.contains("no time"), "{reason}");
}

#[tokio::test]
async fn a_raised_epoch_writes_numbered_documents_again() {
    let mut sink = Harness::new(&[("key.ignore", "true")]).await;
    sink.put_and_flush(vec![record(4, tombstone(), flat(1, 1))]).await.unwrap();
    sink.put_and_flush(vec![record(4, tombstone(), flat(1, 2))]).await.unwrap();
    assert_eq!(sink.server.lock().unwrap().live("orders")["Orders+0+4"].1["n"], 1);
    sink.cx.version_epoch = 1;
    sink.put_and_flush(vec![record(4, tombstone(), flat(1, 2))]).await.unwrap();
    assert_eq!(sink.server.lock().unwrap().live("orders")["Orders+0+4"], ((1 << 48) + 4, json!({"id": 1, "n": 2})));
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// Which of the indices are there.
async fn present(url: &str, names: &[String]) -> Vec<bool> {
    let mut found = Vec::new();
    for name in names {
        found.push(ask(reqwest::Method::GET, &format!("{url}/{name}/_settings")).await["error"].is_null());
    }
    found
}

#[tokio::test]
async fn a_real_server_loses_the_indices_that_are_past_their_days_and_no_other() {
    let Some((url, base)) = server("old indices") else { return };
    let format = format!("{base}-${{timestamp:yyyy.MM.dd}}");
    let mut sink = Harness::at(
        &url,
        Arc::default(),
        &[("index.name.format", &format), ("key.ignore", "true"), ("index.retention.days", "5")],
    )
    .await;
    let names =
        ["-2001.01.01", "-2001.01.32", "-2001.01.01-hand", "-more-2001.01.01"].map(|end| format!("{base}{end}"));
    for name in &names {
        put(&format!("{url}/{name}"), &json!({})).await;
    }
    let write = |offset, ms| vec![at_time(record(offset, tombstone(), flat(1, 1)), Some(ms))];
    sink.clock.wall_ms.store(now_ms(), Ordering::Relaxed);
    // Its day is long past, and the index is new: what is filled in later stays for as long.
    sink.put_and_flush(write(0, 978_400_000_000)).await.unwrap();
    assert_eq!(present(&url, &names).await, [true, true, true, true]);
    sink.clock.wall_ms.store(now_ms() + 6 * DAY_MS, Ordering::Relaxed);
    sink.put_and_flush(write(1, now_ms() + 3 * DAY_MS)).await.unwrap();
    assert_eq!(present(&url, &names).await, [true, true, true, true], "once a day is enough");
    sink.cx.clock.sleep(Duration::from_secs(86_400)).await;
    sink.put_and_flush(write(2, now_ms() + 3 * DAY_MS)).await.unwrap();
    assert_eq!(present(&url, &names).await, [false, true, true, true]);
    assert_eq!(contents(&url, &format!("{base}-2*")).await.len(), 2, "the index of the last days stays");
    remove(&url, &format!("{base}*")).await;
}

#[tokio::test]
async fn only_the_first_task_deletes() {
    let Some((url, base)) = server("the first task") else { return };
    let format = format!("{base}-${{timestamp:yyyy.MM.dd}}");
    let mut sink =
        Harness::at(&url, Arc::default(), &[("index.name.format", &format), ("index.retention.days", "5")]).await;
    sink.cx.task.task.0 = 1;
    sink.clock.wall_ms.store(now_ms() + 6 * DAY_MS, Ordering::Relaxed);
    put(&format!("{url}/{base}-2001.01.01"), &json!({})).await;
    sink.put_and_flush(vec![record(0, key(1), flat(1, 1))]).await.unwrap();
    assert_eq!(present(&url, &[format!("{base}-2001.01.01")]).await, [true]);
    remove(&url, &format!("{base}*")).await;
}
