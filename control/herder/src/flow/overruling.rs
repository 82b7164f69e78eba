//! Breakers by hand, and the list of incidents.
use super::hooks::{severity, time, trial};
use super::port::Overruled;
use super::service::FlowHandle;
use crate::error::HerderError;
use elasticflow_store::flow::{AckRow, BreakerRow, FlowRecord, VERSION};
use serde_json::{Value as Json, json};

/// The webhook of the worker's properties.
const HOOK: &str = "default";

fn no_flow() -> HerderError {
    HerderError::BadRequest("there is no flow control: flow.enable=false in the worker's configuration".to_owned())
}

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
        let topic = self.topic.upgrade().ok_or_else(no_flow)?;
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
                "acknowledged": board.acks.get(*id).map(|ack| json!({"by": ack.by, "at": time(ack.at_ms)})),
            })
        };
        Ok(json!({ "alerts": rows.iter().map(one).collect::<Vec<_>>(), "hook": self.hook.is_some() }))
    }

    /// `POST /flow/v1/alerts/{id}/ack`: somebody has taken note of an incident.
    ///
    /// # Errors
    /// It does not exist for the caller, and when this worker has no flow control.
    pub fn acknowledge(&self, alert: &str, by: &str, sees: impl Fn(&str) -> bool) -> Result<(), HerderError> {
        let is_known = self.board.lock().alerts.get(alert).is_some_and(|row| sees(&row.connector));
        if !is_known {
            return Err(HerderError::NotFound(format!("there is no incident {alert}")));
        }
        let topic = self.topic.upgrade().ok_or_else(no_flow)?;
        let row = Some(AckRow { v: VERSION, by: by.to_owned(), at_ms: self.clock.wall_ms() });
        tracing::info!(alert, by, "an incident is acknowledged");
        topic.put(&FlowRecord::Ack { alert: alert.to_owned(), row });
        Ok(())
    }

    /// `GET /flow/v1/hooks`: where incidents are told, and what of them still is to be.
    ///
    /// # Errors
    /// As for [`crate::HerderHandle::connectors`].
    pub async fn hooks(&self) -> Result<Json, HerderError> {
        self.herder.connectors().await?;
        let board = self.board.lock();
        let rows = board.alerts.values();
        let waiting = rows.clone().filter(|row| super::hooks::next(row).is_some());
        let hook = json!({
            "id": HOOK,
            "waiting": waiting.clone().count(),
            "failing": waiting.filter(|row| row.attempts > 0).count(),
            "given_up": rows.map(|row| u64::from(row.given_up)).sum::<u64>(),
        });
        Ok(json!({ "hooks": self.hook.iter().map(|_| &hook).collect::<Vec<_>>() }))
    }

    /// `POST /flow/v1/hooks/{id}/test`: tells the webhook something of no weight, from this worker, and answers what came
    /// of it.
    ///
    /// # Errors
    /// There is no such webhook.
    pub async fn test_hook(&self, id: &str) -> Result<Json, HerderError> {
        let hook = self.hook.as_ref().filter(|_| id == HOOK);
        let none =
            || HerderError::NotFound(format!("there is no webhook {id}; flow.hook.url makes the webhook {HOOK}"));
        let hook = hook.ok_or_else(none)?;
        let options = &self.herder.context.options;
        let (name, body) = trial(self.clock.wall_ms(), &options.group_id, &format!("{}/flow/v1/hooks", options.url));
        let answer = hook.tell(&name, body.to_string().into_bytes()).await;
        Ok(json!({ "id": name, "delivered": answer.is_ok(), "error": answer.err() }))
    }
}
