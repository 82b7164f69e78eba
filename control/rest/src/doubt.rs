//! Requests that were passed on and whose answer was lost: the other worker may have carried them out before it ended.
//!
//! Such a request is asked for again, since all of them have the same effect twice as once. What differs is the answer: a
//! connector that was created exists by then, one that was deleted does not. That is the answer that was lost.
use crate::answer::Answer;
use crate::body;
use crate::handlers::stored_at;
use crate::problem::Problem;
use crate::resource::Resource;
use crate::serve::Rest;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};

/// What is answered to a request after it was asked for again.
pub(crate) async fn settle(
    rest: &Rest,
    (resource, parts, body): (&Resource, &Parts, &[u8]),
    outcome: Result<Answer, Problem>,
) -> Result<Answer, Problem> {
    let status = outcome.as_ref().map_or_else(Problem::status, Answer::status);
    match resource {
        Resource::Connectors if parts.method == Method::POST && status == StatusCode::CONFLICT => {
            created(rest, parts, body).await.map_or(outcome, Ok)
        }
        Resource::Connector(_) if parts.method == Method::DELETE && status == StatusCode::NOT_FOUND => {
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        }
        _ => outcome,
    }
}

/// The answer to the creation of a connector that is stored exactly as it was posted.
async fn created(rest: &Rest, parts: &Parts, body: &[u8]) -> Option<Answer> {
    let request = body::create(body).ok()?;
    rest.herder.sync().await.ok()?;
    if !rest.herder.stores(&request.name, &request.config.values).await {
        return None;
    }
    let info = rest.herder.info(&request.name).await.ok()?;
    Some(Answer::json(StatusCode::CREATED, &info).located(&stored_at(
        &request.name,
        &parts.headers,
        crate::forward::is_https(parts),
    )))
}
