//! Restarts and topics.
use super::Call;
use crate::answer::Answer;
use crate::problem::Problem;
use crate::serve::Rest;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

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
