//! Restarts by users.
use crate::runner::Call;
use crate::worker::{broker, source, until, worker};
use elasticflow_herder::answer::{ConnectorStatus, RunState};
use elasticflow_herder::ports::TaskChange;

fn restarting(status: &ConnectorStatus) -> (bool, Vec<u32>) {
    let tasks = status.tasks.iter().filter(|t| t.part.state == RunState::Restarting).map(|t| t.id);
    (status.connector.state == RunState::Restarting, tasks.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_restarts_what_it_names_and_says_so() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[("tables", "a,b")])).await;
    worker.until_running("c", 2).await;
    worker.runner.report("c-1", TaskChange::Failed { trace: "X: broken".to_owned() });
    worker.until_states("c", RunState::Running, &[RunState::Running, RunState::Failed]).await;
    assert_eq!(worker.handle.task_status("c", 1).await.unwrap().part.trace.as_deref(), Some("X: broken"));

    worker.runner.forget_calls();
    assert_eq!(restarting(&worker.handle.restart("c", false, true).await.unwrap()), (false, vec![]));
    assert_eq!(restarting(&worker.handle.restart("c", true, true).await.unwrap()), (false, vec![1]));
    worker.until_running("c", 2).await;
    assert_eq!(worker.runner.calls(), [Call::Stop("c-1".to_owned()), Call::Start("c-1".to_owned())]);

    assert_eq!(restarting(&worker.handle.restart("c", true, false).await.unwrap()), (true, vec![0, 1]));
    worker.until_running("c", 2).await;
    worker.runner.forget_calls();
    worker.handle.restart("c", false, false).await.unwrap();
    worker.until_running("c", 2).await;
    assert_eq!(worker.runner.calls(), [], "the connector alone was restarted");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_task_is_restarted_and_an_unknown_one_is_refused() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[])).await;
    worker.until_running("c", 1).await;
    let first = worker.runner.spec("c-0").generation;
    worker.handle.restart_task("c", 0).await.unwrap();
    until("there is another instance", || async {
        worker.runner.running() == ["c-0"] && worker.runner.spec("c-0").generation > first
    })
    .await;
    for index in [7, -1, i64::MAX] {
        let refused = worker.handle.restart_task("c", index).await.unwrap_err();
        assert_eq!((refused.status(), refused.to_string()), (404, format!("Unknown task: c-{index}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_connector_comes_back_stopped() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[])).await;
    worker.until_running("c", 1).await;
    worker.handle.stop("c").await.unwrap();
    worker.until_states("c", RunState::Stopped, &[]).await;
    let status = worker.handle.restart("c", true, false).await.unwrap();
    assert_eq!((restarting(&status), status.tasks.len()), ((true, vec![]), 0));
    worker.until_states("c", RunState::Stopped, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_task_that_belongs_here_gets_another_instance() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[])).await;
    worker.until_running("c", 1).await;
    let first = worker.runner.spec("c-0").generation;
    worker.runner.report("c-0", TaskChange::Fenced);
    until("there is another instance", || async {
        worker.runner.running() == ["c-0"] && worker.runner.spec("c-0").generation > first
    })
    .await;
}
