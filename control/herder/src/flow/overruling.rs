//! Breakers by hand, and the list of incidents.
use super::hooks::{severity, time};
use super::port::Overruled;
use super::service::FlowHandle;
use crate::error::HerderError;
use elasticflow_store::flow::{BreakerRow, FlowRecord, VERSION};
use serde_json::{Value as Json, json};

impl FlowHandle {
    /// `GET /flow/v1/connectors/{name}/breaker`.
    ///
    /// # Errors
    /// As for [`crate::HerderHandle::info`].
    pub async fn breaker(&self, name: &str) -> Result<Json, HerderError> {
        self.herder.info(name).await?;
        let board = self.board.lock();
        let (row, measured) = (board.breakers.get(name), board.meters.connector(name));
        let state = |word: &str| match word {
            "breaker_open" => "open",
            "breaker_half_open" => "half_open",
            _ => "closed",
        };
        let tasks: Vec<Json> = measured
            .tasks
            .iter()
            .map(|(task, m)| json!({"id": task, "state": state(&m.report.state), "last_failure": m.report.detail}))
            .collect();
        let count = |wanted: &str| tasks.iter().filter(|task| task["state"] == wanted).count();
        let (open, half) = (count("open"), count("half_open"));
        let whole = match (open, half) {
            (0, 0) => "closed",
            (open, half) if (open + half) * 2 < tasks.len() => "closed",
            (0, _) => "half_open",
            _ => "open",
        };
        Ok(json!({
            "name": name,
            "state": whole,
            "forced": row.map(|row| if row.open { "open" } else { "closed" }),
            "forced_since": row.and_then(|row| time(row.since_ms)),
            "tasks": tasks,
        }))
    }

    /// Holds the breakers of a connector, or lets them be on their own again; takes effect when every worker has read it.
    ///
    /// # Errors
    /// As for [`crate::HerderHandle::info`], and when this worker has no flow control.
    pub async fn overrule(&self, name: &str, breaker: Option<Overruled>) -> Result<(), HerderError> {
        self.herder.info(name).await?;
        let off = || {
            HerderError::BadRequest(
                "there is no flow control: flow.enable=false in the worker's configuration".to_owned(),
            )
        };
        let topic = self.topic.upgrade().ok_or_else(off)?;
        let since_ms = self.clock.wall_ms();
        let row = breaker.map(|breaker| BreakerRow { v: VERSION, open: breaker == Overruled::Open, since_ms });
        tracing::info!(connector = name, ?breaker, "a person overrules the breakers of a connector");
        topic.put(&FlowRecord::Breaker { connector: name.to_owned(), row });
        Ok(())
    }

    /// `GET /flow/v1/alerts`: incidents of connectors that the caller sees, those that are open first, the newest first.
    ///
    /// # Errors
    /// As for [`crate::HerderHandle::connectors`].
    pub async fn alerts(&self, sees: impl Fn(&str) -> bool) -> Result<Json, HerderError> {
        self.herder.connectors().await?;
        let board = self.board.lock();
        let mut rows: Vec<_> = board.alerts.iter().filter(|(_, row)| sees(&row.connector)).collect();
        rows.sort_by_key(|(_, row)| (row.resolved_ms.is_some(), std::cmp::Reverse(row.since_ms)));
        let one = |(id, row): &(&String, &elasticflow_store::flow::AlertRow)| {
            json!({
                "id": id,
                "kind": row.kind,
                "severity": severity(&row.kind),
                "subject": row.subject,
                "connector": row.connector,
                "state": if row.resolved_ms.is_some() { "resolved" } else { "open" },
                "text": row.text,
                "since": time(row.since_ms),
                "resolved": row.resolved_ms.and_then(time),
                "told": row.told,
                "failed_attempts": row.attempts,
                "given_up": row.given_up,
            })
        };
        Ok(json!({ "alerts": rows.iter().map(one).collect::<Vec<_>>(), "hook": self.has_hook }))
    }
}
