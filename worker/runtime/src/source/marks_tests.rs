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
