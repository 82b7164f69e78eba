//! The worker itself.
use super::Call;
use crate::answer::Answer;
use crate::problem::Problem;
use crate::serve::Rest;
use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat};
use elasticflow_herder::answer::{Health, HealthState};
use serde_json::json;

pub(super) async fn root(rest: &Rest) -> Result<Answer, Problem> {
    // The cluster's id is known once the worker has started.
    rest.herder.connectors().await?;
    Ok(Answer::ok(&rest.herder.server_info()))
}

pub(super) fn health(rest: &Rest) -> Answer {
    let health = rest.herder.health();
    let (code, status, text) = match health.state {
        HealthState::Ready => {
            (StatusCode::OK, "healthy", "Worker has completed startup and is ready to handle requests.".to_owned())
        }
        HealthState::Starting => {
            (StatusCode::SERVICE_UNAVAILABLE, "starting", format!("Worker is still starting up. {}", stage(&health)))
        }
        HealthState::Unhealthy => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "unhealthy",
            format!(
                "Worker was unable to handle this request and may be unable to handle other requests. {}",
                stage(&health)
            ),
        ),
    };
    Answer::json(code, &json!({"status": status, "message": text}))
}

fn stage(health: &Health) -> String {
    let since = DateTime::from_timestamp_millis(health.since_ms).unwrap_or_default();
    let since = since.to_rfc3339_opts(SecondsFormat::Millis, true);
    format!("The worker is currently {}, which began at {since}", health.reason)
}

pub(super) async fn metrics(rest: &Rest) -> Result<Answer, Problem> {
    let mut text = (rest.metrics)();
    // A worker that is starting knows of no connectors; the rest does not wait for them.
    if rest.herder.health().state == HealthState::Ready {
        crate::metrics::render(rest, &mut text).await?;
    }
    Ok(Answer::text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text))
}

/// Batches of the connectors that the caller sees.
pub(super) async fn batches(rest: &Rest, id: Option<&str>, call: &Call) -> Result<Answer, Problem> {
    let mut batches = rest.herder.batches(id).await?;
    batches.retain(|batch| call.caller.sees(&batch.connector));
    for batch in &mut batches {
        batch.published.retain(|sink, _| call.caller.sees(sink));
    }
    match (id, batches.first()) {
        (None, _) => Ok(Answer::ok(&json!({ "batches": batches }))),
        (Some(_), Some(batch)) => Ok(Answer::ok(batch)),
        (Some(id), None) => Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no batch {id}"))),
    }
}

/// Gives a batch up, if the caller sees its source.
pub(super) async fn abort_batch(rest: &Rest, id: &str, call: &Call) -> Result<Answer, Problem> {
    // Answers 404 for what the caller does not see.
    batches(rest, Some(id), call).await?;
    rest.herder.abort_batch(id).await?;
    batches(rest, Some(id), call).await
}
