//! What flow control does: any worker answers from what it follows.
use super::Call;
use crate::answer::Answer;
use crate::body;
use crate::problem::Problem;
use crate::serve::Rest;
use axum::http::StatusCode;
use elasticflow_herder::flow::Overruled;

/// A connector with its state, limit, rates and the reasons of both.
pub(super) async fn connector(rest: &Rest, name: &str) -> Result<Answer, Problem> {
    Ok(Answer::ok(&rest.flow.connector(name).await?))
}

/// Who is limited, by whom, why; of connectors that the caller sees.
pub(super) async fn throttle(rest: &Rest, call: &Call) -> Result<Answer, Problem> {
    Ok(Answer::ok(&rest.flow.throttle(|name| call.caller.sees(name)).await?))
}

/// How far consumer groups are behind; of sinks that the caller sees, and of groups outside the cluster.
pub(super) async fn lag(rest: &Rest, call: &Call) -> Result<Answer, Problem> {
    Ok(Answer::ok(&rest.flow.lag(|name| call.caller.sees(name)).await?))
}

/// Incidents of connectors that the caller sees.
pub(super) async fn alerts(rest: &Rest, call: &Call) -> Result<Answer, Problem> {
    Ok(Answer::ok(&rest.flow.alerts(|name| call.caller.sees(name)).await?))
}

/// Takes note of an incident of a connector that the caller sees.
pub(super) fn acknowledge(rest: &Rest, alert: &str, call: &Call) -> Result<Answer, Problem> {
    rest.flow.acknowledge(alert, &call.caller.name, |name| call.caller.sees(name))?;
    Ok(Answer::empty(StatusCode::ACCEPTED))
}

/// Opens or closes the breakers of a connector by hand, or ends that.
pub(super) async fn overrule(rest: &Rest, name: &str, call: &Call) -> Result<Answer, Problem> {
    let breaker = match body::action(&call.body)?.as_deref() {
        Some("open") => Some(Overruled::Open),
        Some("close") => Some(Overruled::Closed),
        Some("auto") => None,
        _ => return Err(Problem::bad_request("action: expected open, close or auto")),
    };
    rest.flow.overrule(name, breaker).await?;
    Ok(Answer::empty(StatusCode::ACCEPTED))
}
