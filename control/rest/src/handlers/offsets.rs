//! Positions of connectors.
use super::Call;
use crate::answer::Answer;
use crate::body;
use crate::problem::Problem;
use crate::serve::Rest;
use axum::http::Method;
use serde_json::json;

pub(super) async fn handle(rest: &Rest, name: &str, call: &Call) -> Result<Answer, Problem> {
    let message = if call.is(&Method::PATCH) {
        rest.herder.alter_offsets(name, body::offsets(&call.body)?).await?
    } else if call.is(&Method::DELETE) {
        rest.herder.reset_offsets(name).await?
    } else {
        return Ok(Answer::ok(&rest.herder.offsets(name).await?));
    };
    Ok(Answer::ok(&json!({ "message": message })))
}

/// What a sink has lost; or moves it over that.
pub(super) async fn loss(rest: &Rest, name: &str, call: &Call) -> Result<Answer, Problem> {
    if !call.is(&Method::POST) {
        return Ok(Answer::ok(&rest.herder.loss(name).await?));
    }
    Ok(Answer::ok(&rest.herder.accept_loss(name, body::lost(&call.body)?).await?))
}
