//! The workers of the group.
use crate::answer::Answer;
use crate::problem::Problem;
use crate::serve::Rest;
use axum::http::StatusCode;

/// Longest `host:port`.
const ID_BYTES_MAX: usize = 260;

pub(super) fn list(rest: &Rest) -> Answer {
    Answer::ok(&rest.herder.workers())
}

pub(super) fn one(rest: &Rest, id: &str) -> Result<Answer, Problem> {
    let worker = rest.herder.workers().into_iter().find(|worker| worker.id == id);
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "Unknown worker; GET /flow/v1/workers lists them");
    worker.map(|worker| Answer::ok(&worker)).ok_or_else(unknown)
}

pub(super) async fn drain(rest: &Rest, id: &str, drained: bool) -> Result<Answer, Problem> {
    if id.len() > ID_BYTES_MAX {
        return Err(Problem::bad_request("a worker is named by host:port, at most 260 bytes"));
    }
    rest.herder.drain(id, drained).await?;
    Ok(Answer::empty(StatusCode::ACCEPTED))
}
