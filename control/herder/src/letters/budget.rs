//! How far the error budget of a connector is used, and beginning it anew.
use super::{Letters, failed};
use crate::error::HerderError;
use crate::handle::HerderHandle;
use elasticflow_config::flow::{BudgetSettings, settings_of};
use elasticflow_config::{Properties, parse};
use elasticflow_kafka::ports::{ClientProperties, KafkaError, OutRecord, SendError};
use elasticflow_protocol::{
    BUDGET_VALUE, BudgetRow, ShareKey, Sum, budget_topic, budget_window, share_topic, standing, stored_tally,
};
use elasticflow_store::follow::read_to_end;
use serde::Serialize;
use std::collections::HashMap;

/// The error budget of a connector.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BudgetView {
    /// Bad records that may be skipped; none for any number.
    pub records: Option<u64>,
    /// How many are, as far as they count; one more than `records` once a record was not skipped.
    pub used: u64,
    /// What the budget is for.
    pub window: &'static str,
    /// The share that may be bad, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Records that were read, where a share is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<u64>,
    /// Of these bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad: Option<u64>,
}

impl HerderHandle {
    /// The error budget of a connector.
    ///
    /// # Errors
    /// `NotFound`; `Failed` when Kafka cannot be read.
    pub async fn error_budget(&self, name: &str) -> Result<BudgetView, HerderError> {
        let stored = self.stored_config(name).await?.ok_or_else(|| HerderError::no_connector(name))?;
        let config = crate::admission::resolve(&stored, self.context()).await.map_err(HerderError::BadRequest)?;
        self.letters.budget(name, &config).await
    }

    /// Begins the error budget of a connector anew: what was skipped so far does not count any more.
    ///
    /// # Errors
    /// As for [`Self::error_budget`].
    pub async fn reset_error_budget(&self, name: &str) -> Result<BudgetView, HerderError> {
        let before = self.error_budget(name).await?;
        if before.used > 0 || before.read.is_some() {
            self.letters.reset_budget(name).await.map_err(|e| failed("reset the error budget", &e))?;
        }
        self.error_budget(name).await
    }
}

impl Letters {
    async fn budget(&self, name: &str, config: &Properties) -> Result<BudgetView, HerderError> {
        let settings: BudgetSettings = parse(&settings_of(config, &self.cx.options.worker))
            .map_err(|report| HerderError::BadRequest(report.to_string()))?;
        let topic = budget_topic(&self.cx.options.group_id);
        let there = self.kafka.admin().partitions_of(&topic).await.map_err(|e| failed("look a topic up", &e))?;
        let rows = match there.is_some() {
            true => self.budget_rows(&topic, name).await.map_err(|e| failed("read the topic of error budgets", &e))?,
            false => Vec::new(),
        };
        let window = budget_window(settings.window.word(), self.cx.clock.wall_ms());
        let used = standing(&rows, &window, None).used;
        let view = BudgetView {
            records: settings.most(),
            used,
            window: settings.window.word(),
            ratio: settings.share(),
            read: None,
            bad: None,
        };
        if view.ratio.is_none() {
            return Ok(view);
        }
        let marks = rows.iter().filter_map(|(row, ..)| match row {
            BudgetRow::Reset { at_ms } => Some(*at_ms),
            BudgetRow::Claim { .. } => None,
        });
        let scope = (window, marks.max().unwrap_or(0));
        let topic = share_topic(&self.cx.options.group_id);
        let sum = match there.is_some() {
            true => self.share(&topic, name, &scope).await.map_err(|e| failed("read the topic of error shares", &e))?,
            false => Sum::default(),
        };
        Ok(BudgetView { read: Some(sum.read), bad: Some(sum.bad), ..view })
    }

    /// What all tasks of a connector have counted.
    async fn share(&self, topic: &str, name: &str, (window, since): &(String, i64)) -> Result<Sum, KafkaError> {
        let log = self.kafka.log(topic).await?;
        let mut parts: HashMap<String, Sum> = HashMap::new();
        read_to_end(log.as_ref(), |record| {
            let key = ShareKey::decode(&record.key);
            let of = key.filter(|key| key.connector == name && key.window == *window && key.since == *since);
            let tally = record.value.as_deref().and_then(stored_tally);
            if let (Some(key), Some(tally)) = (of, tally) {
                parts.insert(key.part, tally.sum());
            }
        })
        .await?;
        Ok(parts.into_values().fold(Sum::default(), Sum::plus))
    }

    async fn budget_rows(&self, topic: &str, name: &str) -> Result<Vec<(BudgetRow, i64, i64)>, KafkaError> {
        let log = self.kafka.log(topic).await?;
        let mut places: HashMap<Vec<u8>, (BudgetRow, i64, i64)> = HashMap::new();
        read_to_end(log.as_ref(), |record| {
            let at = record.offset.0;
            if let Some((_, row)) = BudgetRow::decode(&record.key).filter(|(of, _)| of == name) {
                places.entry(record.key.to_vec()).or_insert((row, at, at)).2 = at;
            }
        })
        .await?;
        Ok(places.into_values().collect())
    }

    async fn reset_budget(&self, name: &str) -> Result<(), KafkaError> {
        let topic = budget_topic(&self.cx.options.group_id);
        let key = BudgetRow::Reset { at_ms: self.cx.clock.wall_ms() }.key(name);
        let mut producer = self.kafka.producer(&ClientProperties::from([("linger.ms".to_owned(), "0".to_owned())]))?;
        let (key, value) = (Some(key.as_bytes()), Some(BUDGET_VALUE));
        let record = OutRecord { topic: &topic, partition: Some(0), key, value, headers: &[], timestamp_ms: None };
        loop {
            match producer.send(record) {
                Ok(_) => return producer.drain().await,
                Err(SendError::Full) => producer.room().await?,
                Err(SendError::Kafka(error)) => return Err(error),
            }
        }
    }
}
