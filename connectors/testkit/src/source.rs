//! What every source promises.
use crate::context::{Stored, source_context, task_id};
use elasticflow_api::context::SourceContext;
use elasticflow_api::data::Record;
use elasticflow_api::position::SourcePosition;
use elasticflow_api::source::{Boundary, SourceTask};
use std::time::Duration;

/// Longest that a source may take to deliver what its case says it has.
const PATIENCE: Duration = Duration::from_secs(30);

/// A source over a fixed, finite upstream.
pub trait SourceCase: Send + Sync {
    /// A fresh instance of the same task.
    fn task(&self) -> Box<dyn SourceTask>;
    /// How many records it has to deliver from the beginning.
    fn records(&self) -> usize;
}

/// A record with the positions that cover it: its own, or progress that came right after it.
pub type Covered = (Record, Option<SourcePosition>);

/// Checks every promise; panics with the one that is broken.
///
/// # Panics
/// When a promise is broken.
pub async fn check_source(case: &dyn SourceCase) {
    let whole = read(case, Stored::default(), case.records()).await;
    assert_eq!(whole.len(), case.records(), "the source delivers everything it has");
    for cut in [0, 1, whole.len() / 3, whole.len() / 2, whole.len().saturating_sub(1), whole.len()] {
        resumes_where_it_was_cut(case, &whole, cut).await;
    }
    a_cancelled_poll_consumes_nothing(case, &whole).await;
    an_empty_poll_returns_in_time(case, &whole).await;
}

/// What is stored when the first `cut` records are committed, and how many of them it covers: a source may leave a
/// record's position to a later one.
pub fn stored_after(whole: &[Covered], cut: usize) -> (Stored, usize) {
    let mut stored = Stored::default();
    let mut covered = 0;
    for (n, (_, position)) in whole.iter().take(cut).enumerate() {
        if let Some(position) = position {
            stored.note(position);
            covered = n + 1;
        }
    }
    (stored, covered)
}

async fn resumes_where_it_was_cut(case: &dyn SourceCase, whole: &[Covered], cut: usize) {
    let (stored, covered) = stored_after(whole, cut);
    let rest = read(case, stored, whole.len() - covered).await;
    let expected: Vec<&Record> = whole.iter().skip(covered).map(|(r, _)| r).collect();
    let resumed: Vec<&Record> = rest.iter().map(|(r, _)| r).collect();
    assert!(
        same(&expected, &resumed),
        "what was delivered up to record {covered} and what a new instance delivers from there are the whole: expected {} more records, got {}",
        expected.len(),
        resumed.len()
    );
}

/// Timestamps and headers may tell when something was read; topic, key and value may not differ.
fn same(a: &[&Record], b: &[&Record]) -> bool {
    let alike = |x: &Record, y: &Record| {
        x.topic == y.topic && x.partition == y.partition && x.key == y.key && x.value.value == y.value.value
    };
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| alike(x, y))
}

async fn a_cancelled_poll_consumes_nothing(case: &dyn SourceCase, whole: &[Covered]) {
    let cx = source_context(task_id("case", 0), Stored::default());
    let mut task = case.task();
    started(task.as_mut(), &cx).await;
    let cancelled = tokio::time::timeout(Duration::from_micros(50), task.poll(&cx)).await;
    drop(cancelled);
    task.stop().await;
    let again = read(case, Stored::default(), whole.len()).await;
    assert_eq!(
        again.len(),
        whole.len(),
        "a poll that was dropped has consumed nothing that a new instance cannot read"
    );
}

async fn an_empty_poll_returns_in_time(case: &dyn SourceCase, whole: &[Covered]) {
    let (stored, covered) = stored_after(whole, whole.len());
    if covered < whole.len() {
        return;
    }
    let cx = source_context(task_id("case", 0), stored);
    let mut task = case.task();
    started(task.as_mut(), &cx).await;
    for _ in 0..3 {
        let polled = tokio::time::timeout(cx.poll_max * 20, task.poll(&cx)).await;
        let batch = polled.expect("a poll without news returns within poll_max").expect("a poll without news succeeds");
        assert!(batch.records.is_empty() && batch.rejected.is_empty(), "nothing is delivered twice");
    }
    task.stop().await;
}

async fn started(task: &mut dyn SourceTask, cx: &SourceContext) {
    task.start(cx).await.expect("the source starts");
}

/// Runs an instance from stored positions until it has delivered `wanted` records and a boundary, or says that there is no more.
///
/// # Panics
/// When it fails or takes too long.
pub async fn read(case: &dyn SourceCase, stored: Stored, wanted: usize) -> Vec<Covered> {
    let cx = source_context(task_id("case", 0), stored);
    let mut task = case.task();
    started(task.as_mut(), &cx).await;
    let reading = async {
        let mut seen: Vec<Covered> = Vec::new();
        let mut quiet = 0;
        // Two polls more than needed: what comes too much must be seen too.
        while seen.len() < wanted || quiet < 2 {
            let batch = task.poll(&cx).await.expect("the source polls");
            quiet = if batch.records.is_empty() { quiet + 1 } else { 0 };
            seen.extend(batch.records.into_iter().map(|r| (r.record, r.position)));
            if let (Some(last), Some(progress)) = (seen.last_mut(), batch.progress.into_iter().last()) {
                last.1 = Some(progress);
            }
            assert!(batch.boundary != Boundary::Abort, "a case does not roll back");
            if batch.end_of_data {
                break;
            }
        }
        seen
    };
    let seen = tokio::time::timeout(PATIENCE, reading).await.expect("the source delivers within 30 s");
    task.stop().await;
    seen
}
