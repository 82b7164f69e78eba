//! Old indices: those of a dated `index.name.format` that are past `index.retention.days`.
use crate::client::{Call, Client};
use crate::error::Error;
use crate::index_name::IndexNames;
use elasticflow_api::clock::Clock;
use elasticflow_formats::calendar::DAY_MS;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::time::Duration;
use tracing::{info, warn};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

/// When old indices are looked for.
pub(crate) struct Retention {
    days: u32,
    next: Duration,
}

impl Retention {
    pub(crate) fn new(days: u32) -> Self {
        Self { days, next: Duration::ZERO }
    }

    /// What is older than this is to go, in milliseconds since 1970; `None` when it is not yet time to look.
    pub(crate) fn due(&self, clock: &dyn Clock) -> Option<i64> {
        let due = self.days > 0 && clock.monotonic() >= self.next;
        due.then(|| clock.wall_ms() - i64::from(self.days) * DAY_MS)
    }

    /// The next look is tomorrow, or in an hour if this one has failed: no reason to stop the sink.
    pub(crate) fn done(&mut self, clock: &dyn Clock, done: Result<(), Error>) {
        self.next = clock.monotonic() + if done.is_ok() { DAY } else { HOUR };
        if let Err(error) = done {
            warn!(%error, "old indices could not be deleted; tried again in an hour");
        }
    }
}

/// Deletes the indices of these topics whose day has ended before a time, if they were also made before it: what was filled
/// in later is as old as its index.
pub(crate) async fn delete_older(
    client: &Client,
    names: &IndexNames,
    topics: BTreeSet<&str>,
    limit_ms: i64,
) -> Result<(), Error> {
    for topic in topics {
        let path = format!("/{}*/_settings/index.creation_date?flat_settings=true", names.prefix(topic));
        let reply = client.ask_patiently(&Call::get(&path)).await?;
        match reply.status {
            200 => {}
            404 => continue,
            _ => return Err(reply.refusal()),
        }
        let found: Json = serde_json::from_slice(&reply.body).unwrap_or_default();
        for (index, about) in found.as_object().into_iter().flatten() {
            let made = about.pointer("/settings/index.creation_date").and_then(Json::as_str);
            let made_ms = made.and_then(|made| made.parse::<i64>().ok());
            let is_old = |ms: Option<i64>| ms.is_some_and(|ms| ms <= limit_ms);
            if !is_old(made_ms) || !is_old(names.day_end(topic, index)) {
                continue;
            }
            let reply = client.ask_patiently(&Call::delete(&format!("/{index}"))).await?;
            if reply.status != 404 && !(200..300).contains(&reply.status) {
                return Err(reply.refusal());
            }
            info!(index, "index deleted: it is older than index.retention.days");
        }
    }
    Ok(())
}
