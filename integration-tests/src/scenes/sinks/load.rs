//! Numbered records, one partition after the other, some of them no JSON.
use anyhow::{Context, Result};
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::{ClientProperties, Kafka, OutRecord, SendError};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

pub(super) const PARTITIONS: usize = 3;
/// One record in so many is no JSON and becomes a dead letter.
const BAD_EVERY: u64 = 101;

/// Records are sent until it is told to stop.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    sending: JoinHandle<Result<Sent>>,
}

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Good records of each partition, numbered from 0.
    pub(super) good: [u64; PARTITIONS],
    /// Records that are no JSON.
    pub(super) bad: u64,
}

impl Load {
    pub(super) fn start(kafka: &RdKafka, topic: &str) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut producer = kafka.producer(&ClientProperties::new())?;
        let (ended, topic) = (Arc::clone(&stop), topic.to_owned());
        let sending = tokio::spawn(async move {
            let mut sent = Sent::default();
            let mut total = 0u64;
            while !ended.load(Ordering::Acquire) {
                for partition in 0..PARTITIONS {
                    total += 1;
                    let number = sent.good.get_mut(partition).context("a partition")?;
                    let is_bad = total.is_multiple_of(BAD_EVERY);
                    let value = if is_bad {
                        "{".to_owned()
                    } else {
                        json!({"p": partition, "n": *number, "total": total}).to_string()
                    };
                    let record = OutRecord {
                        topic: &topic,
                        partition: Some(i32::try_from(partition)?),
                        key: None,
                        value: Some(value.as_bytes()),
                        headers: &[],
                        timestamp_ms: None,
                    };
                    while let Err(refused) = producer.send(record) {
                        match refused {
                            SendError::Full => producer.room().await?,
                            SendError::Kafka(error) => return Err(error.into()),
                        }
                    }
                    if is_bad { sent.bad += 1 } else { *number += 1 }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            producer.drain().await?;
            Ok(sent)
        });
        Ok(Self { stop, sending })
    }

    pub(super) async fn stop(self) -> Result<Sent> {
        self.stop.store(true, Ordering::Release);
        self.sending.await?
    }
}
