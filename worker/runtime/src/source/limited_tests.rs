//! Rates of sources, in the time of the test.
use crate::testing::{Fixture, scripted_batch, scripted_source, until};
use crate::{Control, StopOutcome, TaskKind, TaskState};
use elasticflow_api::source::{Boundary, Read, SourceBatch};
use elasticflow_config::Properties;
use elasticflow_config::flow::{FlowState, ReasonCode};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tokio::time::Instant;

const FIVE: Duration = Duration::from_secs(5);

/// Ten records a poll, without end.
fn endless(read: Read) -> impl Fn(u64) -> elasticflow_api::Result<Option<SourceBatch>> {
    move |at| Ok(Some(SourceBatch { read, ..scripted_batch(at, at + 10, Boundary::Complete) }))
}

async fn sent_in(fixture: &Fixture, time: Duration) -> usize {
    let before = fixture.kafka.values("out").len();
    tokio::time::sleep(time).await;
    fixture.kafka.values("out").len() - before
}

fn assert_near(measured: usize, wanted: f64, what: &str) {
    let off = (measured as f64 / wanted - 1.0).abs();
    assert!(off < 0.10, "{what}: {measured} instead of {wanted}");
}

#[tokio::test(start_paused = true)]
async fn a_source_sends_what_its_rate_allows_in_every_five_seconds() {
    // Keys and values of ten records are 10 to 12 bytes each.
    for (key, rate, read, per_record, tasks) in [
        ("flow.rate.records", 100, Read::Stream, 1.0, 1),
        ("flow.rate.records", 2_000, Read::Stream, 1.0, 1),
        ("flow.rate.records", 2_000, Read::Stream, 1.0, 4),
        ("flow.rate.bytes", 5_000, Read::Stream, 0.0, 1),
        ("flow.rate.snapshot.records", 500, Read::Snapshot, 1.0, 1),
    ] {
        let fixture = Fixture::new(Some(scripted_source(endless(read))));
        let runtime = fixture.runtime();
        let spec = fixture.spec(TaskKind::Source, &[(key, &rate.to_string())]);
        runtime.start_task(crate::TaskSpec { tasks, ..spec }).unwrap();
        let mut windows = Vec::new();
        for _ in 0..3 {
            let bytes = runtime.limit(&fixture.id("c", 0)).unwrap().report().bytes;
            let records = sent_in(&fixture, FIVE).await;
            let bytes = runtime.limit(&fixture.id("c", 0)).unwrap().report().bytes - bytes;
            let measured = if per_record > 0.0 { records } else { usize::try_from(bytes).unwrap() };
            windows.push(measured / 5);
            assert_near(measured, f64::from(rate) * 5.0 / f64::from(tasks), key);
        }
        println!("{key}={rate}, one of {tasks} tasks: {windows:?} a second");
        let report = runtime.limit(&fixture.id("c", 0)).unwrap().report();
        assert_eq!((report.state, report.reason), (FlowState::Limited, Some(ReasonCode::Rate)));
        assert!(report.blocked > FIVE, "it waited nearly all the time: {report:?}");
        runtime.stop_task(&fixture.id("c", 0)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_changes_while_the_task_runs_and_the_task_is_not_started_again() {
    let script = scripted_source(endless(Read::Stream));
    let fixture = Fixture::new(Some(Arc::clone(&script)));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[("flow.rate.records", "1000")])).unwrap();
    assert_near(sent_in(&fixture, FIVE).await, 5_000.0, "at first");
    for rate in ["100", "2000"] {
        let keys: Properties = [("flow.rate.records", rate)].into_iter().collect();
        runtime.adjust(&fixture.id("c", 0), &keys).unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_near(sent_in(&fixture, FIVE).await, rate.parse::<f64>().unwrap() * 5.0, rate);
    }
    assert_eq!(script.starts.load(SeqCst), 1);
    let wrong: Properties = [("flow.rate.records", "0")].into_iter().collect();
    assert!(runtime.adjust(&fixture.id("c", 0), &wrong).is_err(), "what cannot be read changes nothing");
    assert_near(sent_in(&fixture, FIVE).await, 10_000.0, "as before");
}

#[tokio::test(start_paused = true)]
async fn it_never_waits_inside_a_transaction() {
    // Upstream transactions of fifty records at ten records a second.
    let polls: Arc<Mutex<Vec<(u64, Instant)>>> = Arc::default();
    let seen = Arc::clone(&polls);
    let script = scripted_source(move |at| {
        seen.lock().push((at, Instant::now()));
        let boundary = if at % 50 == 40 { Boundary::Complete } else { Boundary::Inside };
        Ok((at < 200).then(|| scripted_batch(at, at + 10, boundary)))
    });
    let fixture = Fixture::new(Some(script));
    let runtime = fixture.runtime();
    let began = Instant::now();
    runtime.start_task(fixture.spec(TaskKind::Source, &[("flow.rate.records", "10")])).unwrap();
    until("all is sent", || fixture.kafka.values("out").len() == 200).await;
    assert!(began.elapsed() > Duration::from_secs(14), "four transactions, the last three after a debt each");
    assert_eq!(fixture.kafka.commits(), 4, "none is cut");
    let polls = polls.lock();
    for pair in polls.windows(2) {
        let [(_, before), (at, now)] = pair else { panic!("two at a time") };
        if at % 50 != 0 {
            assert_eq!(now.duration_since(*before), Duration::ZERO, "a wait before {at}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_source_reads_nothing_and_stops_and_pauses_all_the_same() {
    let script = scripted_source(endless(Read::Stream));
    let fixture = Fixture::new(Some(script));
    let runtime = fixture.runtime();
    let id = fixture.id("c", 0);
    runtime.start_task(fixture.spec(TaskKind::Source, &[("flow.rate.records", "100")])).unwrap();
    until("it runs", || fixture.kafka.values("out").len() > 100).await;
    let limit = runtime.limit(&id).unwrap();
    limit.set_control(Control { held: Some(ReasonCode::Cap), ..Control::default() });
    tokio::time::sleep(FIVE).await;
    assert_eq!(sent_in(&fixture, FIVE * 100).await, 0);
    assert_eq!((limit.report().state, limit.report().reason), (FlowState::Held, Some(ReasonCode::Cap)));
    runtime.pause(&id).unwrap();
    until("it is paused", || fixture.states().last() == Some(&TaskState::Paused)).await;
    runtime.resume(&id).unwrap();
    limit.set_control(Control::default());
    assert_near(sent_in(&fixture, FIVE).await, 500.0, "let go");
    limit.set_control(Control { held: Some(ReasonCode::Cap), ..Control::default() });
    assert_eq!(runtime.stop_task(&id).await, StopOutcome::Soft);
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_cannot_be_read_fails_the_task() {
    let fixture = Fixture::new(Some(scripted_source(endless(Read::Stream))));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[("flow.rate.bytes", "fast")])).unwrap();
    assert!(fixture.failure().await.contains("flow.rate.bytes"));
}

#[tokio::test(start_paused = true)]
async fn a_source_whose_upstream_fails_is_tried_with_single_polls_until_it_answers() {
    let (calls, broken) = (Arc::<Mutex<Vec<Instant>>>::default(), Arc::new(AtomicBool::new(true)));
    let (seen, is_broken) = (Arc::clone(&calls), Arc::clone(&broken));
    let script = scripted_source(move |at| {
        seen.lock().push(Instant::now());
        if is_broken.load(SeqCst) {
            let class = elasticflow_api::ErrorClass::Transient { retry_after: None };
            let message = "gone".to_owned();
            return Err(elasticflow_api::ConnectorError { class, code: "TEST-0001", message, source: None });
        }
        Ok((at < 30).then(|| scripted_batch(at, at + 10, Boundary::Complete)))
    });
    let fixture = Fixture::new(Some(Arc::clone(&script)));
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("it has tried eight times", || calls.lock().len() == 8).await;
    for (pair, wanted) in calls.lock()[4..].windows(2).zip([5.0, 10.0, 20.0]) {
        let gap = pair[1].duration_since(pair[0]).as_secs_f64();
        assert!(gap >= wanted * 0.8, "{gap} s instead of {wanted}");
    }
    broken.store(false, SeqCst);
    until("all is sent", || fixture.kafka.values("out").len() == 30).await;
    let breaker = runtime.breaker(&fixture.id("c", 0)).unwrap();
    until("it is closed", || breaker.report().state == crate::BreakerState::Closed).await;
    assert_eq!(breaker.report().opened, 1);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_is_larger_than_its_cap_fails_the_task_and_nothing_of_it_is_written() {
    let one = |at: u64| Ok(Some(scripted_batch(at, at + 10_000, Boundary::Inside)));
    let fixture = Fixture::new(Some(scripted_source(one)));
    let runtime = fixture.runtime();
    let keys = [("flow.cap.bytes", "1048576"), ("transaction.max.records", "100000000")];
    runtime.start_task(fixture.spec(TaskKind::Source, &keys)).unwrap();
    let trace = fixture.failure().await;
    assert!(trace.contains("FLOW-0012 CAP_TOO_SMALL") && trace.contains("1048576"), "{trace}");
    assert!(fixture.kafka.values("out").is_empty(), "nothing that can be read");
}
