//! Documents from a topic into Elasticsearch.
use super::{filled, with_json};
use crate::outcome::Outcome;
use crate::scenarios::{LOOK_EVERY, WORK_MAX, figures, options, stamp};
use crate::{Bench, meter, say};
use anyhow::{Context, Result, bail};
use elasticflow_integration_tests::search::Search;
use elasticflow_integration_tests::servers::setting;
use elasticflow_integration_tests::worker::Worker;
use serde_json::{Value, json};
use std::time::Instant;

/// The rows of the reference table as documents, JSON without schemas, from POST of the sink to the last document; says
/// what the server used of the CPU meanwhile.
pub(crate) async fn index(bench: &Bench) -> Result<Outcome> {
    let run = format!("index{}", stamp()?);
    let search = Search::new(&setting("EF_ELASTICSEARCH")?);
    let worker = Worker::start(options(bench, &run)?).await?;
    let topic = filled(bench, &worker, &run, false).await?;
    let (before, servers) = (meter::read(worker.pid())?, server_cpu(&search).await?);
    let began = Instant::now();
    worker.rest().create(&run, &with_json(sink(search.url(), &topic), false)).await?;
    let seconds = await_documents(bench, &search, &topic, began).await?;
    let mut outcome = figures(&worker, "sink-index", bench.rows, seconds, before)?;
    let servers = server_cpu(&search).await? - servers;
    worker.stop().await?;
    let own = meter_share(&outcome);
    say(&format!(
        "sink-index: CPU seconds: worker {own:.1}, Elasticsearch {servers:.1}; the worker's are {:.0} % of the server's",
        own / servers * 100.0
    ));
    outcome.lost = bench.rows.saturating_sub(search.count(&topic).await?);
    search.call("DELETE", &format!("/{topic}"), None).await?;
    Ok(outcome)
}

fn sink(url: &str, topic: &str) -> Value {
    json!({
        "connector.class": "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector", "tasks.max": "1",
        "topics": topic, "connection.url": url, "key.ignore": "false", "behavior.on.null.values": "delete",
        "transforms": "unwrap,key", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
        "transforms.key.type": "org.apache.kafka.connect.transforms.ExtractField$Key", "transforms.key.field": "id",
        "consumer.override.auto.offset.reset": "earliest",
    })
}

/// CPU seconds of the work itself.
#[expect(clippy::cast_precision_loss, reason = "record counts are far below 2^53")]
fn meter_share(outcome: &Outcome) -> f64 {
    outcome.cpu_s_per_million * outcome.records as f64 / 1e6
}

/// CPU seconds of every node so far.
async fn server_cpu(search: &Search) -> Result<f64> {
    let stats = search.call("GET", "/_nodes/stats/process", None).await?;
    let nodes = stats["nodes"].as_object().context("the server tells nothing of its nodes")?;
    Ok(nodes.values().filter_map(|node| node["process"]["cpu"]["total_in_millis"].as_f64()).sum::<f64>() / 1000.0)
}

/// Waits until the server has taken every document; a look makes them visible.
async fn await_documents(bench: &Bench, search: &Search, index: &str, began: Instant) -> Result<f64> {
    loop {
        let stats = search.call("GET", &format!("/{index}/_stats/indexing"), None).await?;
        let taken = stats["_all"]["primaries"]["indexing"]["index_total"].as_u64().unwrap_or(0);
        if taken >= bench.rows {
            let seconds = began.elapsed().as_secs_f64();
            search.refresh(index).await?;
            return Ok(seconds);
        }
        if began.elapsed() > WORK_MAX {
            bail!("{index}: {taken} of {} documents after {} s", bench.rows, WORK_MAX.as_secs());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
