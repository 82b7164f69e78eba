//! Log levels: of this worker, or of every worker of the group by way of the config topic.
use super::Call;
use crate::answer::Answer;
use crate::body;
use crate::loggers::Level;
use crate::problem::Problem;
use crate::serve::Rest;
use axum::http::StatusCode;

pub(super) fn one(rest: &Rest, name: &str) -> Result<Answer, Problem> {
    let logger = rest.loggers.one(name);
    let logger = logger.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("Logger {name} not found.")))?;
    Ok(Answer::ok(&logger))
}

pub(super) async fn set(rest: &Rest, name: &str, call: &Call) -> Result<Answer, Problem> {
    let Some(level) = body::level(&call.body)? else {
        return Err(Problem::bad_request("Desired 'level' parameter was not specified in request."));
    };
    let level = Level::named(&level)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("invalid log level '{level}'.")))?;
    let scope = call.all("scope").next().unwrap_or("worker");
    if !["worker", "cluster"].contains(&scope) {
        tracing::warn!("unknown scope of a log level, taken as worker");
    }
    let changed = rest.loggers.set(name, level, rest.herder.context().clock.wall_ms());
    let changed = changed.map_err(|refused| Problem::bad_request(refused.to_string()))?;
    if scope == "cluster" {
        rest.herder.set_level(name, level.name()).await?;
        return Ok(Answer::empty(StatusCode::NO_CONTENT));
    }
    Ok(Answer::ok(&changed))
}
