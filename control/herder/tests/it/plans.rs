//! Connectors that are asked for their tasks.
use crate::worker::{broker, options, source, until, worker, worker_with};
use elasticflow_herder::ExactlyOnce;
use elasticflow_herder::answer::RunState;

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_fails_to_plan_is_failed_with_the_reason_and_a_good_configuration_heals_it() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[("plans", "fail")])).await;
    worker.until_states("c", RunState::Failed, &[]).await;
    let trace = worker.trace("c").await;
    assert_eq!(trace, "org.apache.kafka.common.config.ConfigException: STUB-0001: no such table");
    worker.handle.put_config("c", source(&[])).await.unwrap();
    worker.until_running("c", 1).await;
    assert_eq!(worker.trace("c").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transient_failure_is_tried_again_by_itself() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[("plans", "flaky")])).await;
    until("the failure shows", || async {
        worker.states("c").await == Some((RunState::Restarting, vec![]))
            && worker.trace("c").await.contains("the database is away")
    })
    .await;
    worker.until_running("c", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connectors_that_hang_block_or_panic_leave_the_others_alone() {
    let broker = broker().await;
    let worker = worker(&broker);
    for plans in ["hang", "block", "panic"] {
        worker.create(plans, source(&[("plans", plans)])).await;
    }
    worker.create("good", source(&[])).await;
    worker.until_running("good", 1).await;
    for plans in ["hang", "block"] {
        until("it is told that there was no answer", || async {
            worker.handle.status(plans).await.is_ok() && worker.trace(plans).await.contains("did not answer within")
        })
        .await;
        assert_eq!(worker.states(plans).await, Some((RunState::Restarting, vec![])));
        worker.handle.delete(plans).await.unwrap();
    }
    worker.until_states("panic", RunState::Failed, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn required_exactly_once_is_refused_where_it_cannot_be() {
    let broker = broker().await;
    let required = |exact| source(&[("exactly.once.support", "required"), ("exact", exact)]);
    let worker = worker(&broker);
    let refused = worker.handle.put_config("c", required("false")).await.unwrap_err();
    assert_eq!(refused.status(), 400);
    assert!(refused.to_string().contains("The connector does not support exactly-once semantics"), "{refused}");
    worker.handle.put_config("c", required("true")).await.unwrap();
    worker.until_running("c", 1).await;
    worker.stop().await;

    // Stored by a worker that could; this one cannot.
    let unable = elasticflow_herder::HerderOptions { exactly_once: ExactlyOnce::Disabled, ..options() };
    let worker = worker_with(&broker.bootstrap(), unable);
    until("the connector is failed", || async { matches!(worker.states("c").await, Some((RunState::Failed, _))) })
        .await;
    assert!(worker.trace("c").await.contains("This worker does not have exactly-once source support enabled."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_cannot_be_resolved_fails_the_task_with_its_name() {
    let broker = broker().await;
    let worker = worker(&broker);
    let refused = worker.handle.put_config("c", source(&[("password", "${test:gone}")])).await.unwrap_err();
    assert_eq!(refused.status(), 400);
    assert!(refused.to_string().contains("password"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_of_fencing_stands_between_two_sets_of_tasks() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[("tables", "a,b")])).await;
    worker.until_running("c", 2).await;
    worker.handle.put_config("c", source(&[])).await.unwrap();
    until("the second set runs", || async { worker.runner.running() == ["c-0"] }).await;
    worker.until_running("c", 1).await;
    let rows = worker.rows("configs").await;
    let fencing: Vec<&str> =
        rows.iter().filter(|(k, _)| k == "tasks-fencing-c").filter_map(|(_, v)| v.as_deref()).collect();
    assert_eq!(fencing, [r#"{"task-count":2}"#, r#"{"task-count":1}"#]);
}
