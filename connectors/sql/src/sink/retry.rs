//! When a sink connects, or tries a transaction, once more.
use crate::config::SinkKeys;
use crate::error::Error;
use crate::session::{Database, Session};
use elasticflow_api::clock::Clock;
use std::time::Duration;

/// Wait before the first retry of a transaction that lost a lock: whoever held it is done by then.
const FIRST_RETRY: Duration = Duration::from_millis(20);
/// Tries of a statement whose answer no rule covers.
const UNKNOWN_TRIES: u32 = 2;

/// A session, tried for as often as the settings say.
pub(super) async fn connected(
    database: &dyn Database,
    keys: &SinkKeys,
    clock: &dyn Clock,
) -> Result<Box<dyn Session>, Error> {
    let mut tries = 1;
    loop {
        match database.connect().await.map_err(Error::at("connecting")) {
            Ok(session) => return Ok(session),
            Err(error) if error.may_pass() && tries < keys.attempts => {
                tracing::warn!(%error, tries, "cannot connect yet");
                clock.sleep(keys.connect_backoff.duration()).await;
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// How long to wait before another try; `None` when the error stands. What is known of tables is to be forgotten after an
/// error of their structure, which is tried again once.
pub(super) fn retry_after(keys: &SinkKeys, error: &Error, tries: u32) -> Option<Duration> {
    if error.is_structure() {
        return (tries == 0).then_some(Duration::ZERO);
    }
    let most = if error.is_unknown() { UNKNOWN_TRIES } else { keys.max_retries };
    let again = (error.may_pass() || error.is_unknown()) && tries < most;
    let backoff = keys.retry_backoff.duration();
    again.then(|| if tries == 0 { FIRST_RETRY.min(backoff) } else { backoff })
}
