//! Watches the index: when was each change found by a search?
use crate::Scene;
use crate::load::Commits;
use anyhow::{Result, bail};
use elasticflow_integration_tests::search::Search;
use mysql_async::prelude::Queryable;
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Pause between two searches; the error of every latency figure.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Refresh of the index: without it Elasticsearch makes documents searchable once a second.
const REFRESH: &str = "50ms";
/// Documents of one look.
const PAGE: usize = 2000;

/// When each change was first found.
pub(crate) type Seen = HashMap<u64, Instant>;

/// A running watch.
pub(crate) struct Watch {
    stop: oneshot::Sender<()>,
    running: JoinHandle<Seen>,
}

impl Watch {
    /// Begins to look.
    pub(crate) fn start(scene: &Scene) -> Self {
        let (search, index) = (scene.search.clone(), scene.index.clone());
        let (stop, mut stopped) = oneshot::channel();
        let running = tokio::spawn(async move {
            let refresh = json!({"index": {"refresh_interval": REFRESH}});
            drop(search.call("PUT", &format!("/{index}/_settings"), Some(&refresh)).await);
            let (mut seen, mut last) = (Seen::new(), 0);
            while stopped.try_recv().is_err() {
                // A look that fails is made again; it only makes the figures larger.
                drop(look(&search, &index, &mut last, &mut seen).await);
                tokio::time::sleep(LOOK_EVERY).await;
            }
            seen
        });
        Self { stop, running }
    }

    /// Ends it; what was seen.
    pub(crate) async fn stop(self) -> Seen {
        let _ = self.stop.send(());
        self.running.await.unwrap_or_default()
    }
}

/// Waits until what is committed when it is called can be found.
pub(crate) async fn await_caught_up(scene: &Scene, most: Duration) -> Result<()> {
    let mut connection = scene.database.connect().await?;
    let query = format!("SELECT MAX(change_no) FROM {}.customers", scene.schema);
    let committed: Option<u64> = connection.query_first(query).await?.flatten();
    connection.disconnect().await?;
    let began = Instant::now();
    let highest = json!({"size": 0, "aggs": {"highest": {"max": {"field": "change_no"}}}});
    loop {
        let answer = scene.search.call("POST", &format!("/{}/_search", scene.index), Some(&highest)).await?;
        #[expect(clippy::cast_precision_loss, reason = "numbers of changes are far below 2^53")]
        let committed = committed.unwrap_or(0) as f64;
        if answer["aggregations"]["highest"]["value"].as_f64().is_some_and(|found| found >= committed) {
            return Ok(());
        }
        if began.elapsed() > most {
            bail!("the index does not catch up");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Changes above the largest one seen. Bulks in flight may arrive out of order, so each look goes back a little.
async fn look(search: &Search, index: &str, last: &mut u64, seen: &mut Seen) -> Result<()> {
    const BACK: u64 = 500;
    let query = json!({
        "size": PAGE, "_source": false, "docvalue_fields": ["change_no"], "sort": [{"change_no": "asc"}],
        "query": {"range": {"change_no": {"gt": last.saturating_sub(BACK)}}},
    });
    let answer = search.call("POST", &format!("/{index}/_search"), Some(&query)).await?;
    let now = Instant::now();
    for hit in answer["hits"]["hits"].as_array().into_iter().flatten() {
        if let Some(change) = hit["fields"]["change_no"][0].as_u64() {
            seen.entry(change).or_insert(now);
            *last = (*last).max(change);
        }
    }
    Ok(())
}

/// A line with the figures of the changes committed from a moment on. A change that was overwritten before a look saw it
/// is not counted.
pub(crate) fn latency(title: &str, commits: &Commits, seen: &Seen, from: Option<Instant>) -> String {
    let counted = commits.at.iter().filter(|(_, at)| from.is_none_or(|from| **at >= from));
    let mut millis: Vec<u128> =
        counted.filter_map(|(change, at)| Some(seen.get(change)?.saturating_duration_since(*at).as_millis())).collect();
    millis.sort_unstable();
    let at = |share: usize| {
        millis.get((millis.len() * share / 100).min(millis.len().saturating_sub(1))).copied().unwrap_or(0)
    };
    format!("{title}: p50 {} ms, p99 {} ms over {} changes (index refresh {REFRESH})", at(50), at(99), millis.len())
}
