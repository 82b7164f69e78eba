//! Error budgets of sources.
use crate::testing::{Fixture, scripted_batch, scripted_source, until};
use crate::{TaskKind, TaskState};
use elasticflow_api::data::{Datum, Value};
use elasticflow_api::source::Boundary;

/// Up to ten records a poll; of each ten the sixth is one that the converter refuses, wherever a read begins.
fn fixture(end: u64) -> Fixture {
    let fixture = Fixture::new(Some(scripted_source(move |at| {
        let mut batch = scripted_batch(at, (at / 10 + 1) * 10, Boundary::Complete);
        for (_, record) in (at..).zip(&mut batch.records).filter(|(n, _)| n % 10 == 5) {
            record.record.value = Datum { schema: None, value: Value::String("bad".into()) };
        }
        Ok((at < end).then_some(batch))
    })));
    fixture.kafka.create("dead", 1);
    fixture
}

const KEYS: [(&str, &str); 2] = [("errors.tolerance", "all"), ("errors.deadletterqueue.topic.name", "dead")];

#[tokio::test(start_paused = true)]
async fn a_source_ends_right_before_the_record_above_its_budget_and_goes_on_there() {
    let fixture = fixture(100);
    let runtime = fixture.runtime();
    let keys: Vec<_> = KEYS.into_iter().chain([("flow.errors.budget.records", "3")]).collect();
    runtime.start_task(fixture.spec(TaskKind::Source, &keys)).unwrap();
    let trace = fixture.failure().await;
    assert!(trace.contains("FLOW-0050 ERROR_BUDGET"), "{trace}");
    assert_eq!(fixture.kafka.values("dead").len(), 3);
    assert_eq!(fixture.kafka.values("out").len(), 9 * 3 + 5, "everything before the fourth bad record");
    runtime.stop_task(&fixture.id("c", 0)).await;
    let keys: Vec<_> = KEYS.into_iter().chain([("flow.errors.budget.records", "10")]).collect();
    runtime.start_task(fixture.spec(TaskKind::Source, &keys)).unwrap();
    until("all is sent", || fixture.kafka.values("out").len() == 90).await;
    assert_eq!(fixture.kafka.values("dead").len(), 10);
    assert_eq!(fixture.states().last(), Some(&TaskState::Running));
}

#[tokio::test(start_paused = true)]
async fn a_share_of_bad_records_ends_every_run_of_the_task_until_it_is_raised() {
    let fixture = fixture(100_000);
    let with = |share: &'static str| {
        let own = [("flow.errors.budget.ratio", share), ("flow.errors.budget.min.records", "50")];
        KEYS.into_iter().chain(own).collect::<Vec<_>>()
    };
    for run in 0..3 {
        let runtime = fixture.runtime();
        runtime.start_task(fixture.spec(TaskKind::Source, &with("0.05"))).unwrap();
        let trace = fixture.failure().await;
        assert!(trace.contains("FLOW-0050 ERROR_BUDGET") && trace.contains("flow.errors.budget.ratio"), "{trace}");
        // At 50 records, the fifth: one in ten is bad, and one in twenty may be.
        let (sent, letters) = (fixture.kafka.values("out").len(), fixture.kafka.values("dead").len());
        assert_eq!((sent, letters), (9 * 4 + 5, 4), "run {run}");
        runtime.shut_down().await;
        fixture.forget_events();
    }
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &with("0.2"))).unwrap();
    until("it goes on", || fixture.kafka.values("out").len() > 500).await;
    assert_eq!(fixture.states().last(), Some(&TaskState::Running));
}

#[tokio::test(start_paused = true)]
async fn too_few_records_are_no_share() {
    let fixture = fixture(100);
    let runtime = fixture.runtime();
    let keys: Vec<_> = KEYS.into_iter().chain([("flow.errors.budget.ratio", "0.01")]).collect();
    runtime.start_task(fixture.spec(TaskKind::Source, &keys)).unwrap();
    until("all is sent", || fixture.kafka.values("out").len() == 90).await;
    assert_eq!(fixture.states().last(), Some(&TaskState::Running));
}
