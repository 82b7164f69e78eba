//! Pools of workers.
use super::Call;
use crate::answer::Answer;
use crate::body;
use crate::problem::Problem;
use crate::serve::Rest;
use axum::http::{Method, StatusCode};
use elasticflow_herder::PoolInfo;

/// Longest name of a pool.
const NAME_BYTES_MAX: usize = 64;

/// Every pool; of the tasks that wait those of connectors that the caller sees.
pub(super) async fn list(rest: &Rest, call: &Call) -> Result<Answer, Problem> {
    Ok(Answer::ok(&seen(rest, call).await?))
}

/// One pool: told, ruled anew, or without rules from here on.
pub(super) async fn handle(rest: &Rest, name: &str, call: &Call) -> Result<Answer, Problem> {
    match call.method {
        Method::PUT => put(rest, name, call).await,
        Method::DELETE => forget(rest, name).await,
        _ => one(rest, name, call).await,
    }
}

async fn one(rest: &Rest, name: &str, call: &Call) -> Result<Answer, Problem> {
    let pool = seen(rest, call).await?.into_iter().find(|pool| pool.name == name);
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "Unknown pool; GET /flow/v1/pools lists them");
    pool.map(|pool| Answer::ok(&pool)).ok_or_else(unknown)
}

async fn put(rest: &Rest, name: &str, call: &Call) -> Result<Answer, Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if name.len() > NAME_BYTES_MAX || !name.chars().all(fits) {
        let text = "a pool is named by 1 to 64 letters, digits, dots, dashes or underscores, as worker.pool names it";
        return Err(Problem::bad_request(text));
    }
    rest.herder.set_pool(name, Some(body::pool(name, &call.body)?)).await?;
    one(rest, name, call).await
}

async fn forget(rest: &Rest, name: &str) -> Result<Answer, Problem> {
    rest.herder.set_pool(name, None).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn seen(rest: &Rest, call: &Call) -> Result<Vec<PoolInfo>, Problem> {
    let mut pools = rest.herder.pools().await?;
    for pool in &mut pools {
        pool.queued.retain(|task| call.caller.sees(&task.connector));
    }
    Ok(pools)
}
