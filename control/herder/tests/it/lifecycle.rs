//! From creation to deletion.
use crate::runner::Call;
use crate::worker::{broker, sink, source, until, worker};
use elasticflow_herder::HerderError;
use elasticflow_herder::answer::{ConnectorKind, InitialState, RunState};
use elasticflow_herder::ports::{TaskChange, TaskKind};
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread")]
async fn a_created_connector_runs_with_the_tasks_that_it_plans() {
    let broker = broker().await;
    let worker = worker(&broker);
    let put = worker.handle.create("c", source(&[("tables", "a,b")]), InitialState::Running).await.unwrap();
    assert!(put.created);
    assert_eq!(put.info.config.value("name"), Some("c"));
    worker.until_running("c", 2).await;

    let info = worker.handle.info("c").await.unwrap();
    assert_eq!((info.kind, info.tasks.len()), (ConnectorKind::Source, 2));
    let spec = worker.runner.spec("c-1");
    assert_eq!(spec.kind, TaskKind::Source);
    assert_eq!(spec.task.0.get("table").map(String::as_str), Some("b"));
    assert_eq!(spec.task.0.get("task.class").map(String::as_str), Some("test.StubSourceTask"));
    assert_eq!(worker.handle.connectors().await.unwrap(), ["c"]);
    assert_eq!(worker.handle.task_status("c", 1).await.unwrap().part.version, "1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connector_of_the_same_name_is_refused() {
    let broker = broker().await;
    let worker = worker(&broker);
    let (first, second) = tokio::join!(
        worker.handle.create("c", source(&[]), InitialState::Running),
        worker.handle.create("c", source(&[]), InitialState::Running),
    );
    let refused = [first, second].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(refused, [HerderError::Conflict("Connector c already exists".to_owned())]);
    worker.until_running("c", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_restarts_the_tasks_and_an_equal_one_does_not() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[])).await;
    worker.until_running("c", 1).await;
    worker.runner.forget_calls();

    let put = worker.handle.put_config("c", source(&[])).await.unwrap();
    assert!(!put.created);
    let put = worker.handle.put_config("c", source(&[("tables", "a,b")])).await.unwrap();
    assert_eq!(put.info.tasks.len(), 1, "the answer shows the tasks that are there");
    worker.until_running("c", 2).await;
    let expected = [Call::Stop("c-0".to_owned()), Call::Start("c-0".to_owned()), Call::Start("c-1".to_owned())];
    assert_eq!(worker.runner.calls(), expected);

    let patch = BTreeMap::from([("tables".to_owned(), Some("b".to_owned())), ("tasks.max".to_owned(), None)]);
    let info = worker.handle.patch_config("c", &patch).await.unwrap();
    assert_eq!(info.config.value("tasks.max"), None);
    until("the first task alone runs, with the change", || async {
        let running = worker.runner.running() == ["c-0"];
        running && worker.runner.spec("c-0").task.0.get("table").map(String::as_str) == Some("b")
    })
    .await;
    worker.until_running("c", 1).await;
    assert!(worker.handle.task_status("c", 1).await.is_err(), "the second task's status is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_rate_reaches_the_tasks_without_a_restart_and_stays_when_they_are_started_again() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[("tables", "a,b"), ("flow.rate.records", "100")])).await;
    worker.until_running("c", 2).await;
    assert_eq!(worker.runner.spec("c-1").tasks, 2, "a task knows among how many the rate is split");
    worker.runner.forget_calls();

    worker.handle.put_config("c", source(&[("tables", "a,b"), ("flow.rate.records", "7")])).await.unwrap();
    let adjusted = ["c-0", "c-1"].map(|task| Call::Adjust(task.to_owned(), "7".to_owned()));
    until("both tasks are told", || async { worker.runner.calls().len() >= 2 }).await;
    // A restart of both would have to come before the answer of this one.
    worker.handle.pause("c").await.unwrap();
    worker.until_states("c", RunState::Paused, &[RunState::Paused, RunState::Paused]).await;
    worker.handle.resume("c").await.unwrap();
    worker.until_running("c", 2).await;
    let calls = worker.runner.calls();
    assert_eq!(calls.iter().take(2).cloned().collect::<Vec<_>>(), adjusted);
    assert!(calls.iter().all(|call| !matches!(call, Call::Start(_) | Call::Stop(_))), "{calls:?}");

    worker.handle.restart_task("c", 0).await.unwrap();
    until("the first task is another instance", || async {
        worker.runner.calls().contains(&Call::Start("c-0".to_owned()))
    })
    .await;
    assert_eq!(worker.runner.spec("c-0").properties.value("flow.rate.records"), Some("7"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_and_resume_keep_the_tasks_and_stop_takes_them_away() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[])).await;
    worker.until_running("c", 1).await;
    worker.runner.forget_calls();

    worker.handle.pause("c").await.unwrap();
    worker.until_states("c", RunState::Paused, &[RunState::Paused]).await;
    worker.handle.resume("c").await.unwrap();
    worker.until_running("c", 1).await;
    assert_eq!(worker.runner.calls(), [Call::Pause("c-0".to_owned()), Call::Resume("c-0".to_owned())]);

    worker.handle.stop("c").await.unwrap();
    worker.until_states("c", RunState::Stopped, &[]).await;
    assert!(worker.runner.running().is_empty());
    assert!(worker.handle.tasks("c").await.unwrap().is_empty());

    worker.handle.pause("c").await.unwrap();
    worker.until_states("c", RunState::Paused, &[]).await;
    worker.handle.resume("c").await.unwrap();
    worker.until_running("c", 1).await;
}

/// A task may have paused itself, and somebody may resume the connector before anybody has paused it.
#[tokio::test(flavor = "multi_thread")]
async fn a_resume_reaches_tasks_that_nobody_has_told_to_pause() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[])).await;
    worker.until_running("c", 1).await;
    worker.runner.forget_calls();
    worker.handle.resume("c").await.unwrap();
    until("the task is told to go on", || async { !worker.runner.calls().is_empty() }).await;
    assert_eq!(worker.runner.calls(), [Call::Resume("c-0".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_is_shown_only_once_the_tasks_have_ended() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[])).await;
    worker.until_running("c", 1).await;
    worker.runner.hold_stops();
    worker.handle.stop("c").await.unwrap();
    until("the task is told to stop", || async { worker.runner.calls().contains(&Call::Stop("c-0".to_owned())) }).await;
    assert_eq!(worker.states("c").await, Some((RunState::Running, vec![])));
    let refused = worker.handle.reset_offsets("c").await.unwrap_err();
    assert!(matches!(refused, HerderError::BadRequest(_)), "{refused:?}");
    worker.runner.release_stops();
    worker.until_states("c", RunState::Stopped, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_can_be_born_paused_or_stopped() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.handle.create("p", source(&[]), InitialState::Paused).await.unwrap();
    worker.handle.create("s", source(&[]), InitialState::Stopped).await.unwrap();
    worker.until_states("p", RunState::Paused, &[]).await;
    worker.until_states("s", RunState::Stopped, &[]).await;
    worker.handle.resume("p").await.unwrap();
    worker.until_running("p", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_connector_leaves_no_status_and_its_name_can_be_used_at_once() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[("tables", "a,b")])).await;
    worker.until_running("c", 2).await;
    worker.runner.report("c-0", TaskChange::TopicsUsed(vec!["t1".to_owned()]));
    until("the topic is known", || async { !worker.handle.topics("c").await.unwrap().is_empty() }).await;

    worker.handle.delete("c").await.unwrap();
    assert_eq!(worker.handle.status("c").await.unwrap_err().to_string(), "No status found for connector c");
    assert_eq!(worker.handle.info("c").await.unwrap_err(), HerderError::no_connector("c"));
    assert_eq!(worker.handle.delete("c").await.unwrap_err(), HerderError::no_connector("c"));
    worker.create("c", source(&[])).await;
    worker.until_running("c", 1).await;
    assert!(worker.handle.topics("c").await.unwrap().is_empty(), "a new connector starts empty");
    assert_eq!(worker.runner.running(), ["c-0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_connectors_are_told_in_the_words_of_connect() {
    let broker = broker().await;
    let worker = worker(&broker);
    let text = |error: HerderError| {
        assert_eq!(error.status(), 404);
        error.to_string()
    };
    let handle = &worker.handle;
    assert_eq!(text(handle.info("nope").await.unwrap_err()), "Connector nope not found");
    assert_eq!(text(handle.tasks("nope").await.unwrap_err()), "Connector nope not found");
    assert_eq!(text(handle.offsets("nope").await.unwrap_err()), "Connector nope not found");
    assert_eq!(text(handle.patch_config("nope", &BTreeMap::new()).await.unwrap_err()), "Connector nope not found");
    assert_eq!(text(handle.pause("nope").await.unwrap_err()), "Unknown connector nope");
    assert_eq!(text(handle.restart("nope", true, false).await.unwrap_err()), "Unknown connector: nope");
    assert_eq!(text(handle.restart_task("nope", 0).await.unwrap_err()), "Unknown connector: nope");
    assert_eq!(text(handle.task_status("nope", 0).await.unwrap_err()), "No status found for task nope-0");
    assert!(handle.topics("nope").await.unwrap().is_empty());
    handle.reset_topics("nope").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_hidden_in_answers_kept_on_the_way_back_and_given_to_the_task() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[("password", "hunter2")])).await;
    worker.until_running("c", 1).await;
    let shown = worker.handle.info("c").await.unwrap().config;
    assert_eq!(shown.value("password"), Some("[hidden]"));
    assert_eq!(worker.handle.tasks("c").await.unwrap()[0].config.value("password"), Some("[hidden]"));

    worker.handle.put_config("c", shown.with("tables", "b")).await.unwrap();
    until("the task has the change", || async {
        let running = worker.runner.running() == ["c-0"];
        running && worker.runner.spec("c-0").task.0.get("table").map(String::as_str) == Some("b")
    })
    .await;
    assert_eq!(worker.runner.spec("c-0").properties.value("password"), Some("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn references_are_resolved_for_the_task_and_stored_as_they_were_posted() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[("password", "${test:pw}"), ("tables", "${test:t}")])).await;
    worker.until_running("c", 1).await;
    let spec = worker.runner.spec("c-0");
    assert_eq!(spec.properties.value("password"), Some("value of pw"));
    assert_eq!(spec.task.0.get("table").map(String::as_str), Some("value of t"));
    assert_eq!(worker.handle.info("c").await.unwrap().config.value("password"), Some("${test:pw}"));
    let rows = worker.rows("configs").await;
    assert!(rows.iter().all(|(_, value)| !value.as_deref().unwrap_or("").contains("value of pw")), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_life_stand_in_the_order_of_connect() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.handle.create("s", sink(&[]), InitialState::Stopped).await.unwrap();
    worker.handle.resume("s").await.unwrap();
    worker.until_running("s", 1).await;
    worker.handle.stop("s").await.unwrap();
    worker.handle.delete("s").await.unwrap();
    let rows = worker.rows("configs").await.into_iter().map(|(key, _)| key);
    // This product's own row is one that Connect passes over.
    let keys: Vec<String> = rows.filter(|key| key != "placement-s").collect();
    let expected = [
        "target-state-s",
        "connector-s",
        "target-state-s",
        "task-s-0",
        "commit-s",
        "commit-s",
        "target-state-s",
        "connector-s",
        "target-state-s",
    ];
    assert_eq!(keys, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_in_use_are_tracked_until_they_are_reset() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[])).await;
    worker.until_running("c", 1).await;
    worker.runner.report("c-0", TaskChange::TopicsUsed(vec!["t1".to_owned(), "t2".to_owned()]));
    until("topics are known", || async { worker.handle.topics("c").await.unwrap().len() == 2 }).await;
    worker.handle.reset_topics("c").await.unwrap();
    assert!(worker.handle.topics("c").await.unwrap().is_empty());
    until("the reset is stored", || async {
        let rows = worker.rows("statuses").await;
        rows.iter().any(|(key, value)| key == "status-topic-t1:connector-c" && value.is_none())
    })
    .await;
}
