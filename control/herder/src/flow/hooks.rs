//! Where incidents are told, and how often that is tried.
use async_trait::async_trait;
use elasticflow_store::flow::{AlertRow, Told};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Attempts after the first one; with the waits between them about an hour.
pub(crate) const RETRIES: u32 = 10;

/// Wait before the first of them, doubled for each.
const FIRST_WAIT: Duration = Duration::from_millis(3_500);

/// A receiver of messages outside the cluster.
#[async_trait]
pub trait HookPort: Send + Sync {
    /// Delivers a message, within a time of its own; `id` stays the same when it is delivered again. The error is for the
    /// log and holds no secret.
    async fn tell(&self, id: &str, body: Vec<u8>) -> Result<(), String>;
}

/// Wait after so many failed attempts: doubled each time, a fifth more or less, which depends on the incident.
pub(crate) fn wait(id: &str, attempts: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1_u32 << attempts.saturating_sub(1).min(16));
    // FNV-1a: incidents of one outage do not come back all at once.
    let hash = id.bytes().chain(attempts.to_le_bytes());
    let hash = hash.fold(0xcbf2_9ce4_8422_2325_u64, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let share = u32::try_from(hash >> 40).unwrap_or_default() % 401;
    doubled.saturating_mul(800 + share) / 1000
}

/// What has to be told next of an incident.
pub(crate) fn next(row: &AlertRow) -> Option<Told> {
    match row.told {
        Told::Nothing => Some(Told::Opened),
        Told::Opened if row.resolved_ms.is_some() => Some(Told::Resolved),
        Told::Opened | Told::Resolved => None,
    }
}

/// Names a message, for receivers that drop what they have seen.
pub(crate) fn message_id(id: &str, what: Told) -> String {
    format!("{id}.{}", if what == Told::Resolved { "resolved" } else { "opened" })
}

/// A message; `link` leads back to the cluster.
pub(crate) fn message(id: &str, row: &AlertRow, what: Told, (cluster, link): (&str, &str)) -> Json {
    let resolved = row.resolved_ms.filter(|_| what == Told::Resolved);
    let (state, text) = match what {
        Told::Resolved => ("resolved", format!("over: {}", row.text)),
        Told::Nothing | Told::Opened => ("open", row.text.clone()),
    };
    json!({
        "event": {
            "id": message_id(id, what),
            "time": time(resolved.unwrap_or(row.since_ms)),
            "kind": row.kind,
            "severity": severity(&row.kind),
            "subject": row.subject,
            "text": text,
        },
        "alert": {
            "id": id,
            "kind": row.kind,
            "subject": row.subject,
            "connector": row.connector,
            "state": state,
            "since": time(row.since_ms),
            "resolved": resolved.map(time),
        },
        "cluster": cluster,
        "link": link,
    })
}

/// A message of no weight, with its name: whether the webhook takes any.
pub(crate) fn trial(now_ms: i64, cluster: &str, link: &str) -> (String, Json) {
    let id = format!("test-{now_ms}");
    let text = "this is a test: nothing is wrong";
    let event =
        json!({"id": id, "time": time(now_ms), "kind": "test", "severity": "info", "subject": HOOK_TEST, "text": text});
    (id, json!({"event": event, "alert": null, "cluster": cluster, "link": link}))
}

/// What a test is about.
const HOOK_TEST: &str = "webhook";

/// How bad incidents of a kind are.
pub(crate) fn severity(kind: &str) -> &'static str {
    if kind.ends_with("_failed") { "error" } else { "warning" }
}

/// As in every answer.
pub(crate) fn time(ms: i64) -> Option<String> {
    chrono::DateTime::from_timestamp_millis(ms).map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_retries_take_about_an_hour() {
        let all: Duration = (1..=RETRIES).map(|attempt| wait("breaker_open-es-1", attempt)).sum();
        assert!((2_900..4_300).contains(&all.as_secs()), "{all:?}");
        assert!((2_800..=4_200).contains(&wait("x", 1).as_millis()), "{:?}", wait("x", 1));
    }
}
