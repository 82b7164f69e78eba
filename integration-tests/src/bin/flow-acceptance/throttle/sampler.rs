//! How far a consumer group is behind, ten times a second, as the broker says it.
use anyhow::Result;
use elasticflow_api::position::TopicPartition;
use elasticflow_integration_tests::scenes::limits::Counter;
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::Kafka;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

const EVERY: Duration = Duration::from_millis(100);

/// Offsets of the first and of the second topic that the group has not committed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) behind: [f64; 2],
}

impl Sample {
    pub(super) fn all(&self) -> f64 {
        self.behind.iter().sum()
    }
}

pub(super) struct Sampler {
    samples: Arc<Mutex<Vec<Sample>>>,
    counter: Counter,
    sampling: JoinHandle<()>,
}

impl Sampler {
    /// Of topics with one partition.
    pub(super) async fn start(kafka: &Arc<RdKafka>, group: &'static str, topics: [String; 2]) -> Result<Self> {
        let counter = Counter::of(kafka, &topics[1]).await?;
        let (kafka, samples) = (Arc::clone(kafka), Arc::<Mutex<Vec<Sample>>>::default());
        let into = Arc::clone(&samples);
        let at = topics.map(|topic| TopicPartition { topic: topic.into(), partition: 0 });
        let sampling = tokio::spawn(async move {
            loop {
                // Progress first, as it only grows.
                let admin = kafka.admin();
                if let (Ok(read), Ok(ends)) = (admin.group_offsets(group).await, admin.end_offsets(&at).await) {
                    let of = |at: &TopicPartition| {
                        let end = ends.get(at).map_or(0, |end| end.0);
                        (end - read.get(at).map_or(0, |read| read.0)).max(0) as f64
                    };
                    let behind = [of(&at[0]), of(&at[1])];
                    into.lock().unwrap_or_else(PoisonError::into_inner).push(Sample { behind });
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        Ok(Self { samples, counter, sampling })
    }

    /// How many there are.
    pub(super) fn taken(&self) -> usize {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Those after so many.
    pub(super) fn since(&self, taken: usize) -> Vec<Sample> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).iter().skip(taken).copied().collect()
    }

    /// Bytes of a record of the second topic.
    pub(super) fn record_bytes(&self) -> f64 {
        self.counter.bytes() as f64 / self.counter.now().max(1) as f64
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.sampling.abort();
    }
}
