//! Batches of sources: which rows are kept, and which are forgotten.
use crate::testing::{Fixture, clock_at, scripted_batch, scripted_source, until};
use crate::{TaskKind, TaskState};
use elasticflow_api::source::Boundary;
use elasticflow_protocol::{BatchKind, BatchMark, BatchRecord, BatchRow, BatchState, PublishedRow};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

const NOW_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 86_400_000;

/// A batch of the source that ended so many days ago, at an offset of its topic.
fn ended(number: u64, days: i64, end: i64) -> BatchRow {
    let mut row = BatchRow::new("c", number, BatchKind::Append, NOW_MS - days * DAY_MS);
    (row.state, row.ended_ms, row.records) = (BatchState::Ended, Some(NOW_MS - days * DAY_MS), 5);
    row.topics.insert("out".to_owned(), BTreeMap::from([(0, end)]));
    row
}

fn told(sink: &str, row: &BatchRow) -> BatchRecord {
    let mark = BatchMark { id: row.id.clone(), attempt: 1 };
    BatchRecord::Published(PublishedRow::new(sink, &mark, NOW_MS))
}

/// Numbers of the batches that the topic tells of after another one has ended, and how many rows of sinks there are.
async fn left(rows: &[BatchRecord]) -> (Vec<u64>, usize) {
    let mut fixture = Fixture::new(Some(scripted_source(|at| {
        let mut batch = scripted_batch(at, 3, Boundary::Complete);
        batch.end_of_data = true;
        Ok((at < 3).then_some(batch))
    })));
    fixture.options.clock = clock_at(&Arc::new(AtomicI64::new(0)));
    fixture.kafka.create("g-batches", 1);
    for row in rows {
        let value = String::from_utf8(row.value()).unwrap();
        fixture.kafka.write("g-batches", &[(row.key().as_str(), value.as_str())]);
    }
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[("flow.batch.mode", "run")])).unwrap();
    let decoded = || {
        let table = fixture.kafka.table("g-batches");
        table.iter().filter_map(|(key, value)| BatchRecord::read(key.as_bytes(), value.as_bytes())).collect::<Vec<_>>()
    };
    let has_ended = |record: &BatchRecord| matches!(record, BatchRecord::Run(row) if row.state == BatchState::Ended && row.records == 3);
    until("the batch has ended", || {
        assert!(!matches!(fixture.states().last(), Some(TaskState::Failed { .. })), "{:?}", fixture.states());
        decoded().iter().any(has_ended)
    })
    .await;
    let (mut numbers, mut told) = (Vec::new(), 0);
    for record in decoded() {
        match record {
            BatchRecord::Run(row) => numbers.push(row.number),
            BatchRecord::Published(_) => told += 1,
        }
    }
    numbers.sort_unstable();
    (numbers, told)
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_forgotten_once_its_records_are_gone_and_every_sink_has_it() {
    let (old, next) = (ended(1, 9, 0), ended(2, 8, 0));
    let rows = [told("a", &old), told("a", &next), BatchRecord::Run(old), BatchRecord::Run(next)];
    assert_eq!(left(&rows).await, (vec![3], 0));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_a_sink_has_not_published_or_that_somebody_can_still_read_is_kept() {
    let (old, next) = (ended(1, 9, 0), ended(2, 8, 0));
    let rows = [told("a", &next), BatchRecord::Run(old.clone()), BatchRecord::Run(next)];
    assert_eq!(left(&rows).await, (vec![1, 2, 3], 1), "the first is waited for");
    assert_eq!(left(&[BatchRecord::Run(ended(1, 9, 1))]).await, (vec![1, 2], 0), "its record is there");
    assert_eq!(left(&[BatchRecord::Run(ended(1, 6, 0))]).await, (vec![1, 2], 0), "a sink may be slow");
    let mut aborted = ended(2, 8, 0);
    aborted.state = BatchState::Aborted;
    let rows = [BatchRecord::Run(old.clone()), BatchRecord::Run(aborted.clone())];
    assert_eq!(left(&rows).await, (vec![2, 3], 0), "nobody knows where it ends");
    let rows = [BatchRecord::Run(old), BatchRecord::Run(aborted), BatchRecord::Run(ended(3, 8, 0))];
    assert_eq!(left(&rows).await, (vec![4], 0), "a later one is gone");
}

/// A header of a record as text.
fn header(record: &elasticflow_kafka::ports::InRecord, name: &str) -> Option<String> {
    let (_, value) = record.headers.iter().find(|(n, _)| &**n == name)?;
    value.as_ref().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// What stands in each of two partitions of a run of three records: markers by name, data as `data`.
async fn marked(keys: &[(&str, &str)]) -> Vec<Vec<String>> {
    let fixture = Fixture::new(Some(scripted_source(|at| {
        let mut batch = scripted_batch(at, at + 1, Boundary::Complete);
        batch.end_of_data = at == 2;
        Ok((at < 3).then_some(batch))
    })));
    fixture.kafka.create("out", 2);
    fixture.kafka.create("g-batches", 1);
    let runtime = fixture.runtime();
    let keys: Vec<_> = keys.iter().copied().chain([("flow.batch.mode", "run")]).collect();
    runtime.start_task(fixture.spec(TaskKind::Source, &keys)).unwrap();
    until("the batch has ended", || {
        assert!(!matches!(fixture.states().last(), Some(TaskState::Failed { .. })), "{:?}", fixture.states());
        fixture.kafka.table("g-batches").values().any(|row| row.contains("\"ended\""))
    })
    .await;
    let row = fixture.kafka.table("g-batches").into_values().next().unwrap();
    let row: BatchRow = serde_json::from_str(&row).unwrap();
    let (mut partitions, mut ends): (Vec<Vec<String>>, Vec<i64>) = Default::default();
    for record in fixture.kafka.records("out") {
        if record.offset.0 == 0 {
            partitions.push(Vec::new());
            ends.push(0);
        }
        *ends.last_mut().unwrap() = record.offset.0 + 1;
        assert_eq!(header(&record, "flow.batch"), Some(row.mark().text()));
        let marker = header(&record, "flow.batch.mark").map(|which| {
            assert!(record.key.is_none() && record.value.is_none());
            which + &header(&record, "flow.batch.records").map(|count| format!(" of {count}")).unwrap_or_default()
        });
        partitions.last_mut().unwrap().push(marker.unwrap_or_else(|| "data".to_owned()));
    }
    let of_row: Vec<i64> = row.topics["out"].values().copied().filter(|end| *end > 0).collect();
    assert_eq!(of_row, ends, "the row covers everything, markers too");
    partitions
}

#[tokio::test(start_paused = true)]
async fn every_partition_is_told_where_a_batch_begins_and_ends() {
    let partitions = marked(&[("flow.batch.markers", "true")]).await;
    assert_eq!(partitions.len(), 2);
    assert_eq!(partitions.iter().flatten().filter(|what| *what == "data").count(), 3);
    for partition in partitions {
        assert_eq!(partition.first().map(String::as_str), Some("begin"));
        assert_eq!(partition.last().map(String::as_str), Some("end of 3"));
        assert!(partition[1..partition.len() - 1].iter().all(|what| what == "data"), "{partition:?}");
    }
    let plain = marked(&[]).await;
    assert!(plain.iter().flatten().all(|what| what == "data"), "{plain:?}");
}
