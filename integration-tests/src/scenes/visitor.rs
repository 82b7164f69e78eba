//! A member that joins the group of a sink, holds partitions without reading them, and leaves, over and over: each time the
//! sink is asked for partitions.
use anyhow::Result;
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::{ClientProperties, Consumed, Consumer, Kafka, Subscription};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// It is in the group for so long, and away for as long.
const STAY: Duration = Duration::from_millis(700);
/// A join that takes longer is given up.
const JOIN_MAX: Duration = Duration::from_secs(30);

/// A visitor of a sink's group.
pub struct Visitor {
    stop: Arc<AtomicBool>,
    visiting: JoinHandle<Result<u32>>,
}

impl Visitor {
    /// Begins to come and go.
    pub fn start(kafka: &Arc<RdKafka>, connector: &str, topic: &str) -> Self {
        let (kafka, group, topic) = (Arc::clone(kafka), format!("connect-{connector}"), topic.to_owned());
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let visiting = tokio::spawn(async move {
            let mut held = 0;
            while !ended.load(Ordering::Acquire) {
                let overrides = ClientProperties::from([("session.timeout.ms".to_owned(), "6000".to_owned())]);
                let topics = Subscription::Topics(vec![topic.clone()]);
                let mut consumer = kafka.consumer(&group, &topics, &overrides)?;
                held += u32::from(visit(consumer.as_mut(), &ended).await?);
                // Its last words to the group are said where blocking is allowed.
                tokio::task::spawn_blocking(move || drop(consumer)).await?;
                tokio::time::sleep(STAY).await;
            }
            Ok(held)
        });
        Self { stop, visiting }
    }

    /// Leaves for good; how often it has held partitions.
    ///
    /// # Errors
    /// It could not join.
    pub async fn stop(self) -> Result<u32> {
        self.stop.store(true, Ordering::Release);
        self.visiting.await?
    }
}

/// Joins, stays for a while, and answers whether it was given partitions.
async fn visit(consumer: &mut dyn Consumer, ended: &AtomicBool) -> Result<bool> {
    let (began, mut held) = (tokio::time::Instant::now(), false);
    while began.elapsed() < JOIN_MAX && !ended.load(Ordering::Acquire) {
        let Ok(event) = timeout(STAY, consumer.next()).await else {
            if held {
                break;
            }
            continue;
        };
        match event? {
            Consumed::Assigned(partitions) => {
                held |= !partitions.is_empty();
                let nowhere: BTreeMap<_, _> = partitions.iter().cloned().map(|at| (at, None)).collect();
                consumer.start_at(&nowhere).await?;
                consumer.pause(&partitions)?;
            }
            Consumed::Revoked(_) => consumer.confirm_revoked().await?,
            Consumed::Records(..) | Consumed::Lost(_) | Consumed::Gone(..) => {}
        }
    }
    Ok(held)
}
