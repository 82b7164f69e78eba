//! What every sink promises, by kind.
use crate::context::{sink_context, task_id};
use async_trait::async_trait;
use elasticflow_api::ErrorClass;
use elasticflow_api::context::SinkContext;
use elasticflow_api::position::{CommitEpoch, ConsumedOffsets, Offset, OwnerEpoch, TaskIndex, TopicPartition, UnitId};
use elasticflow_api::sink::{
    Committed, IdempotentSink, SinkBatch, SinkKind, SinkRecord, SinkTask, StartAt, TransactionalSink, TwoPhaseSink,
};
use std::collections::BTreeSet;

/// A sink over a destination that the case owns.
#[async_trait]
pub trait SinkCase: Send + Sync {
    /// Empties the destination.
    async fn reset(&self);
    /// A fresh instance of the same task.
    fn task(&self) -> SinkKind;
    /// Records to put, all of one topic partition, offsets from 0 without a gap; at least four.
    fn records(&self) -> Vec<SinkRecord>;
    /// What a reader of the destination sees, in an order of the case's choice.
    async fn contents(&self) -> Vec<String>;
}

/// Checks every promise of the kind; panics with the one that is broken.
///
/// # Panics
/// When a promise is broken.
pub async fn check_sink(case: &dyn SinkCase) {
    case.reset().await;
    match case.task() {
        SinkKind::Idempotent(_) => check_idempotent(case).await,
        SinkKind::Transactional(_) => check_transactional(case).await,
        SinkKind::TwoPhase(_) => check_two_phase(case).await,
    }
}

fn batch(records: &[SinkRecord]) -> SinkBatch {
    let consumed = records.iter().map(|r| (r.origin.at.clone(), Offset(r.origin.offset.0 + 1))).collect();
    SinkBatch { records: records.to_vec(), consumed: ConsumedOffsets(consumed) }
}

fn partitions(records: &[SinkRecord]) -> Vec<TopicPartition> {
    records.iter().map(|r| r.origin.at.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

async fn opened<T: SinkTask + ?Sized>(task: &mut T, records: &[SinkRecord], cx: &SinkContext) -> Option<StartAt> {
    task.start(cx).await.expect("the sink starts");
    let all = partitions(records);
    let start = task.open(&all, cx).await.expect("the sink opens its partitions");
    all.first().and_then(|at| start.get(at).copied())
}

fn idempotent(case: &dyn SinkCase) -> Box<dyn IdempotentSink> {
    match case.task() {
        SinkKind::Idempotent(task) => task,
        _ => panic!("the kind of a sink does not change"),
    }
}

async fn check_idempotent(case: &dyn SinkCase) {
    let records = case.records();
    let (cx, ..) = sink_context(task_id("case", 0));
    let mut task = idempotent(case);
    opened(task.as_mut(), &records, &cx).await;
    task.put(batch(&records), &cx).await.expect("the sink takes records");
    let durable = task.flush(&cx).await.expect("the sink flushes");
    assert_eq!(durable, batch(&records).consumed, "after a flush everything that was put is durable");
    task.stop().await;
    let whole = case.contents().await;
    assert!(!whole.is_empty(), "what was flushed can be read");

    let mut again = idempotent(case);
    opened(again.as_mut(), &records, &cx).await;
    again.put(batch(&records), &cx).await.expect("the sink takes records again");
    again.flush(&cx).await.expect("the sink flushes again");
    again.stop().await;
    assert_eq!(case.contents().await, whole, "a replay changes nothing");

    case.reset().await;
    let mut dies = idempotent(case);
    opened(dies.as_mut(), &records, &cx).await;
    dies.put(batch(&records[..records.len() / 2]), &cx).await.expect("the sink takes records");
    drop(dies);
    let mut next = idempotent(case);
    opened(next.as_mut(), &records, &cx).await;
    next.put(batch(&records), &cx).await.expect("the sink takes records");
    next.flush(&cx).await.expect("the sink flushes");
    next.stop().await;
    assert_eq!(case.contents().await, whole, "a crash between put and flush loses nothing and doubles nothing");
}

fn transactional(case: &dyn SinkCase) -> Box<dyn TransactionalSink> {
    match case.task() {
        SinkKind::Transactional(task) => task,
        _ => panic!("the kind of a sink does not change"),
    }
}

async fn check_transactional(case: &dyn SinkCase) {
    let records = case.records();
    let half = records.len() / 2;
    let (cx, ..) = sink_context(task_id("case", 0));
    let mut first = transactional(case);
    let start = opened(first.as_mut(), &records, &cx).await;
    assert!(!matches!(start, Some(StartAt::Stored(o)) if o.0 > 0), "an empty destination has stored no offset");
    first.put(batch(&records[..half]), &cx).await.expect("the sink takes records");

    let mut second = transactional(case);
    let start = opened(second.as_mut(), &records, &cx).await;
    let expected = Some(StartAt::Stored(Offset(i64::try_from(half).unwrap_or(i64::MAX))));
    assert_eq!(start, expected, "a new owner starts at the offset that was committed with the rows");
    let zombie = first.put(batch(&records[half..]), &cx).await.expect_err("an older owner cannot write");
    assert_eq!(zombie.class, ErrorClass::Fenced, "an older owner is told that it is fenced");
    drop(first);

    second.put(batch(&records), &cx).await.expect("records below the stored offset are skipped");
    second.put(batch(&records), &cx).await.expect("a replay is skipped");
    second.stop().await;
    let replayed = case.contents().await;

    case.reset().await;
    let mut plain = transactional(case);
    opened(plain.as_mut(), &records, &cx).await;
    plain.put(batch(&records), &cx).await.expect("the sink takes records");
    plain.stop().await;
    assert_eq!(replayed, case.contents().await, "a crash and a replay end in the same rows as a plain run");
}

fn two_phase(case: &dyn SinkCase) -> Box<dyn TwoPhaseSink> {
    match case.task() {
        SinkKind::TwoPhase(task) => task,
        _ => panic!("the kind of a sink does not change"),
    }
}

fn unit(owner: u64, commit: u64) -> UnitId {
    let connector = "test/case".into();
    UnitId { connector, task: TaskIndex(0), owner: OwnerEpoch(owner), commit: CommitEpoch(commit) }
}

async fn check_two_phase(case: &dyn SinkCase) {
    let records = case.records();
    let (cx, ..) = sink_context(task_id("case", 0));
    let empty = case.contents().await;
    let mut dies = two_phase(case);
    opened(dies.as_mut(), &records, &cx).await;
    dies.put(batch(&records), &cx).await.expect("the sink takes records");
    let left = dies.prepare(&unit(1, 1), &cx).await.expect("the sink prepares").expect("there is something to prepare");
    assert_eq!(case.contents().await, empty, "what is prepared cannot be seen");
    drop(dies);

    let mut next = two_phase(case);
    opened(next.as_mut(), &records, &cx).await;
    let doubt = next.in_doubt().await.expect("the sink lists what is in doubt");
    let found = doubt.iter().find(|h| h.unit == left.unit).expect("a prepared unit survives its task and is listed");
    next.abort(found).await.expect("an undecided unit is removed");
    next.abort(found).await.expect("removing it again is fine");
    assert!(
        !next.in_doubt().await.expect("the sink lists").iter().any(|h| h.unit == left.unit),
        "an aborted unit is gone"
    );
    assert_eq!(case.contents().await, empty, "an aborted unit was never seen");

    next.put(batch(&records), &cx).await.expect("the sink takes records");
    let handle =
        next.prepare(&unit(2, 1), &cx).await.expect("the sink prepares").expect("there is something to prepare");
    drop(next);
    let mut other = two_phase(case);
    opened(other.as_mut(), &records, &cx).await;
    assert_eq!(
        other.commit(&handle).await.expect("anybody may commit"),
        Committed::Now,
        "the first commit applies the unit"
    );
    let whole = case.contents().await;
    assert_ne!(whole, empty, "a committed unit can be seen");
    assert_eq!(other.commit(&handle).await.expect("committing again is fine"), Committed::Before, "the second says so");
    assert_eq!(case.contents().await, whole, "a second commit changes nothing");
    other.stop().await;
}
