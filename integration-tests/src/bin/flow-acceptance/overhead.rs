//! What flow control costs where nothing limits: CPU of a worker for records from a source through Kafka into a sink, with it
//! and without, in turns.
#[expect(dead_code, reason = "memory is the business of another program")]
#[path = "../bench/meter.rs"]
mod meter;

use crate::figures::{Figures, percentile};
use crate::ground::{Ground, found};
use anyhow::{Context, Result};
use elasticflow_api::position::TopicPartition;
use elasticflow_integration_tests::follow::create_topic;
use elasticflow_kafka::ports::Kafka;
use serde_json::json;

const NAME: &str = "overhead";
const RECORDS: u64 = 500_000;
/// Runs of each kind; the middle one counts.
const TURNS: usize = 5;

pub(crate) async fn measure(figures: &mut Figures) -> Result<()> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        with.push(one(true).await?);
        without.push(one(false).await?);
    }
    let (with, without) = (percentile(&with, 50), percentile(&without, 50));
    figures.add((NAME, "CPU a million records, flow.enable=true"), (with, "s"), (None, None));
    figures.add((NAME, "CPU a million records, flow.enable=false"), (without, "s"), (None, None));
    figures.add((NAME, "flow control costs"), ((with / without - 1.0) * 100.0, "%"), (None, Some(2.0)));
    Ok(())
}

/// CPU seconds a million records.
async fn one(flow: bool) -> Result<f64> {
    let mut ground = Ground::new().await?;
    ground.join(&[("flow.enable", if flow { "true" } else { "false" })]).await?;
    let (topic, out) =
        (format!("overhead_{}", ground.run), std::env::temp_dir().join(format!("overhead-{}", ground.run)));
    create_topic(&ground.kafka, &topic, 1).await?;
    std::fs::create_dir_all(&out)?;
    let sink = json!({"connector.class": "elasticflow.connectors.FileSinkConnector", "tasks.max": "1", "topics": topic,
        "output.path": out.display().to_string(), "format": "json", "commit.interval.ms": "1000",
        "consumer.override.auto.offset.reset": "earliest"});
    let source = json!({"connector.class": "datagen", "tasks.max": "1", "kafka.topic": topic, "max.interval": "0",
        "fields": "id:seq, account:int(1,50), note:text(8,8)", "schema.keyfield": "account", "random.seed": "42",
        "iterations": RECORDS.to_string()});
    let pid = ground.workers.first().context("no worker runs")?.pid();
    ground.put("sink", &sink).await?;
    let before = meter::read(pid)?.cpu_s;
    ground.put("source", &source).await?;
    let at = TopicPartition { topic: topic.as_str().into(), partition: 0 };
    let is_read = async || {
        let admin = ground.kafka.admin();
        let end = admin.end_offsets(std::slice::from_ref(&at)).await?.get(&at).map_or(0, |end| end.0);
        let read = admin.group_offsets("connect-sink").await?.get(&at).map_or(0, |read| read.0);
        // The marker of the last transaction is an offset, too, and no record.
        Ok(end > i64::try_from(RECORDS)? && read + 1 >= end)
    };
    found("all records are read", is_read).await?;
    let cpu = meter::read(pid)?.cpu_s - before;
    for name in ["source", "sink"] {
        ground.rest()?.expect("DELETE", &format!("/connectors/{name}"), None).await?;
    }
    drop(std::fs::remove_dir_all(&out));
    ground.end().await?;
    Ok(cpu / RECORDS as f64 * 1e6)
}
