//! Target states, restarts, signals and topics.
use super::Call;
use crate::answer::Answer;
use crate::problem::Problem;
use crate::serve::Rest;
use axum::http::StatusCode;
use elasticflow_herder::HerderError;
use serde_json::{Map, Value, json};

/// What was asked for is stored, and follows.
pub(super) fn accepted(stored: Result<(), HerderError>) -> Result<Answer, Problem> {
    stored?;
    Ok(Answer::empty(StatusCode::ACCEPTED))
}

pub(super) async fn stop(rest: &Rest, name: &str) -> Result<Answer, Problem> {
    rest.herder.stop(name).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn task_status(rest: &Rest, name: &str, task: i32) -> Result<Answer, Problem> {
    let mut status = rest.herder.task_status(name, i64::from(task)).await?;
    status.part.activity.take_if(|_| !rest.options.extensions);
    Ok(Answer::ok(&status))
}

pub(super) async fn signal(rest: &Rest, name: &str, call: &Call) -> Result<Answer, Problem> {
    let receipt = rest.herder.signal(name, crate::body::signal(&call.body)?).await?;
    Ok(Answer::json(StatusCode::ACCEPTED, &receipt))
}

pub(super) async fn restart(rest: &Rest, name: &str, call: &Call) -> Result<Answer, Problem> {
    let (include_tasks, only_failed) = (call.is_true("includeTasks"), call.is_true("onlyFailed"));
    let status = rest.herder.restart(name, include_tasks, only_failed).await?;
    if include_tasks || only_failed {
        return Ok(Answer::json(StatusCode::ACCEPTED, &status));
    }
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn restart_task(rest: &Rest, name: &str, task: i32) -> Result<Answer, Problem> {
    rest.herder.restart_task(name, i64::from(task)).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn topics(rest: &Rest, name: &str) -> Result<Answer, Problem> {
    let topics = rest.herder.topics(name).await?;
    let body = Map::from_iter([(name.to_owned(), json!({ "topics": topics }))]);
    Ok(Answer::ok(&Value::Object(body)))
}
