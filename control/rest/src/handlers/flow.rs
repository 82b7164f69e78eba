//! What flow control does: any worker answers from what it follows.
use super::Call;
use crate::answer::Answer;
use crate::problem::Problem;
use crate::serve::Rest;

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
