//! Index against table, row by row.
use crate::{STEP_MAX, Scene, say};
use anyhow::{Result, bail};
use elasticflow_integration_tests::worker::Worker;
use mysql_async::prelude::Queryable;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Pause between two comparisons.
const AGAIN_EVERY: Duration = Duration::from_millis(500);

type Rows = BTreeMap<i64, String>;
type TableRow = (i64, String, Option<String>, String, i64);

/// What differs.
#[derive(Default, PartialEq, Eq)]
struct Differences {
    missing: usize,
    extra: usize,
    changed: usize,
}

/// Waits until the index equals the table, then says so with counts and checksums.
pub(crate) async fn await_equal(scene: &Scene, worker: &Worker) -> Result<()> {
    let began = Instant::now();
    let table = table_rows(scene).await?;
    loop {
        scene.search.refresh(&scene.index).await?;
        let index = index_rows(scene).await?;
        let found = compare(&table, &index);
        if found == Differences::default() {
            say(&format!(
                "index = table: {} documents, {} rows, 0 missing, 0 extra, 0 changed",
                index.len(),
                table.len()
            ));
            say(&format!("  sha256 table {}\n  sha256 index {}", checksum(&table), checksum(&index)));
            return Ok(());
        }
        if began.elapsed() > STEP_MAX {
            let Differences { missing, extra, changed } = found;
            bail!("index and table differ: {missing} missing, {extra} extra, {changed} changed\n{}", worker.log_tail());
        }
        tokio::time::sleep(AGAIN_EVERY).await;
    }
}

async fn table_rows(scene: &Scene) -> Result<Rows> {
    let mut connection = scene.database.connect().await?;
    let query = format!("SELECT id, name, city, CAST(balance AS CHAR), change_no FROM {}.customers", scene.schema);
    let rows: Vec<TableRow> = connection.query(query).await?;
    connection.disconnect().await?;
    let text = |(id, name, city, balance, change): TableRow| {
        (id, format!("{name}|{}|{balance}|{change}", city.unwrap_or_else(|| "∅".to_owned())))
    };
    Ok(rows.into_iter().map(text).collect())
}

async fn index_rows(scene: &Scene) -> Result<Rows> {
    let documents = scene.search.all(&scene.index, "id").await?;
    let text = |(_, d): (String, Value)| {
        let city = d["city"].as_str().unwrap_or("∅").to_owned();
        let (name, balance) = (d["name"].as_str().unwrap_or_default(), d["balance"].as_str().unwrap_or_default());
        (d["id"].as_i64().unwrap_or_default(), format!("{name}|{city}|{balance}|{}", d["change_no"]))
    };
    Ok(documents.into_iter().map(text).collect())
}

fn compare(table: &Rows, index: &Rows) -> Differences {
    Differences {
        missing: table.keys().filter(|id| !index.contains_key(id)).count(),
        extra: index.keys().filter(|id| !table.contains_key(id)).count(),
        changed: table.iter().filter(|(id, row)| index.get(id).is_some_and(|other| other != *row)).count(),
    }
}

/// SHA-256 over all rows in key order.
fn checksum(rows: &Rows) -> String {
    let mut sum = Sha256::new();
    for (id, row) in rows {
        sum.update(id.to_be_bytes());
        sum.update(row.as_bytes());
        sum.update([0]);
    }
    sum.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
