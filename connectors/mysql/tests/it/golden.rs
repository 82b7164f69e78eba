//! Golden records: scripts run against a real server, records compared with what Debezium recorded.
use crate::matching::Matcher;
use crate::render;
use crate::support::{Harness, Offsets, Server};
use elasticflow_api::position::SourcePosition;
use elasticflow_api::source::{SourceRecord, SourceTask};
use elasticflow_mysql::position::LogPosition;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Cases that are not met, and why.
const NOT_MET: &[(&str, &str)] = &[
    ("events/foreign_key_cascade", "the server logs cascades as rows from MySQL 9.6 on"),
    ("types/types_vector", "the server has VECTOR from MySQL 9.0 on"),
    ("types/tinyint1_to_boolean", "converters of single columns are refused"),
];

struct Case {
    name: String,
    config: HashMap<String, String>,
    script: String,
    expected: Vec<Json>,
    schemas: Json,
}

fn load(folder: &Path) -> Case {
    let text = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let case: Json = serde_json::from_str(&text("case.json")).unwrap();
    let config = case["config"].as_object().unwrap();
    let parts: Vec<_> =
        folder.components().rev().take(2).map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
    Case {
        name: format!("{}/{}", parts[1], parts[0]),
        config: config
            .iter()
            .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
            // Other tests have databases of their own on the server.
            .chain([("schema.history.internal.store.only.captured.databases.ddl".to_owned(), "true".to_owned())])
            .collect(),
        script: text("script.sql"),
        expected: text("expected.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect(),
        schemas: serde_json::from_str(&text("schemas.json")).unwrap(),
    }
}

fn cases(maria: bool) -> Vec<Case> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir() && p.ends_with("mariadb") == maria)
        .flat_map(|p| std::fs::read_dir(p).unwrap().map(|e| e.unwrap().path()))
        .collect();
    folders.sort();
    folders.iter().map(|f| load(f)).collect()
}

/// What one case needs while its script runs.
struct Run {
    server: Server,
    sessions: HashMap<String, Conn>,
    current: String,
    offsets: Arc<Offsets>,
    config: HashMap<String, String>,
    harness: Option<Harness>,
    records: Vec<(SourceRecord, Option<Json>)>,
}

impl Run {
    async fn conn(&mut self) -> &mut Conn {
        if !self.sessions.contains_key(&self.current) {
            let conn = self.server.connect_as("root", "elasticflow").await;
            self.sessions.insert(self.current.clone(), conn);
        }
        self.sessions.get_mut(&self.current).unwrap()
    }

    async fn end_of_log(&mut self) -> LogPosition {
        let conn = self.conn().await;
        let mut row: mysql_async::Row = conn.query_first("SHOW MASTER STATUS").await.unwrap().unwrap();
        LogPosition::new(&row.take::<String, _>(0).unwrap(), row.take(1).unwrap())
    }

    async fn directive(&mut self, line: &str) {
        let mut words = line.split_whitespace().skip(1);
        match words.next().unwrap() {
            "@start" => {
                let pairs: Vec<(&str, &str)> = self.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                let mut harness = Harness::new(self.server.config(&pairs), &self.offsets, 1);
                harness.cx.poll_max = Duration::from_millis(20);
                harness.start().await.unwrap();
                self.harness = Some(harness);
                self.wait().await;
            }
            "@wait" => self.wait().await,
            "@stop" => self.stop().await,
            "@session" => self.current = words.next().unwrap().to_owned(),
            "@sleep" => {}
            other => panic!("unknown directive {other}"),
        }
    }

    /// Polls until everything written so far has been read.
    async fn wait(&mut self) {
        let target = self.end_of_log().await;
        let deadline = Instant::now() + Duration::from_secs(20);
        let Some(harness) = &mut self.harness else { return };
        loop {
            let standing = harness.task.standing().unwrap();
            if !standing.snapshot && standing.between && standing.position >= target {
                return;
            }
            assert!(Instant::now() < deadline, "not at {target} after 20 s: {standing:?}");
            let batch = harness.task.poll(&harness.cx).await.unwrap();
            let shown = |p: &SourcePosition| Json::Object(p.offset.0.clone());
            for record in batch.records {
                let offset = record.position.as_ref().map(shown);
                if let Some(p) = &record.position {
                    self.offsets.set(p);
                }
                self.records.push((record, offset));
            }
            for p in &batch.progress {
                self.offsets.set(p);
            }
        }
    }

    async fn stop(&mut self) {
        self.wait().await;
        if let Some(mut harness) = self.harness.take() {
            harness.task.stop().await;
        }
    }

    async fn script(&mut self, script: &str) {
        let mut statement = String::new();
        for line in script.lines() {
            if line.starts_with("-- @") {
                self.directive(line).await;
                continue;
            }
            statement.push_str(line);
            statement.push('\n');
            if let Some(whole) = statement.trim_end().strip_suffix(';') {
                let whole = whole.to_owned();
                self.conn().await.query_drop(&whole).await.unwrap_or_else(|e| panic!("{whole}: {e}"));
                statement.clear();
            }
        }
    }
}

/// Drops the databases of a script, so that it can be run again.
async fn clean(conn: &mut Conn, script: &str) {
    for line in script.lines() {
        if let Some(rest) = line.strip_prefix("CREATE DATABASE ") {
            let name = rest.trim_end_matches(';').split_whitespace().next().unwrap();
            conn.query_drop(format!("DROP DATABASE IF EXISTS {name}")).await.unwrap();
        }
    }
    conn.query_drop("FLUSH BINARY LOGS").await.unwrap();
}

async fn run(server: &Server, case: &Case) -> Result<(), String> {
    let mut main = server.connect_as("root", "elasticflow").await;
    clean(&mut main, &case.script).await;
    let mut matcher = Matcher::of(&mut main).await;
    let mut run = Run {
        server: server.clone(),
        sessions: HashMap::from([("main".to_owned(), main)]),
        current: "main".to_owned(),
        offsets: Arc::default(),
        config: case.config.clone(),
        harness: None,
        records: Vec::new(),
    };
    run.script(&case.script).await;
    run.stop().await;
    let mut main = run.sessions.remove("main").unwrap();
    clean(&mut main, &case.script).await;
    let mut expected: Vec<&Json> = case.expected.iter().collect();
    if case.config.contains_key("notification.enabled.channels") {
        // Notifications go beside the rows: the order counts within each topic.
        run.records.sort_by(|(a, _), (b, _)| a.record.topic.cmp(&b.record.topic));
        expected.sort_by_key(|e| e["topic"].to_string());
    }
    // Heartbeats repeat; the recording has the first one.
    let mut beats = 0;
    run.records.retain(|(r, _)| {
        let beat = r.record.topic.starts_with("__debezium-heartbeat");
        beats += usize::from(beat);
        !beat || beats == 1
    });
    // Other tests have databases of their own on the server.
    let own = |db: &str| db.is_empty() || case.script.contains(&format!("CREATE DATABASE {db}"));
    run.records.retain(|(r, _)| {
        &*r.record.topic != "srv" || own(render::datum(&r.record.key)["databaseName"].as_str().unwrap())
    });
    if run.records.len() != expected.len() {
        let shown: Vec<String> = run.records.iter().map(|(r, _)| render::datum(&r.record.value).to_string()).collect();
        return Err(format!("{} records, expected {}:\n{}", run.records.len(), expected.len(), shown.join("\n")));
    }
    // Records of one row share the offset of the last of them.
    for i in (0..run.records.len().saturating_sub(1)).rev() {
        if run.records[i].1.is_none() && expected[i]["offset"].get("snapshot").is_none() {
            run.records[i].1 = run.records[i + 1].1.clone();
        }
    }
    for (i, ((record, offset), expected)) in run.records.iter().zip(expected).enumerate() {
        compare(&mut matcher, record, offset.as_ref(), expected, &case.schemas)
            .map_err(|e| format!("record {i}: {e}"))?;
    }
    Ok(())
}

fn compare(
    matcher: &mut Matcher,
    record: &SourceRecord,
    offset: Option<&Json>,
    expected: &Json,
    schemas: &Json,
) -> Result<(), String> {
    let r = &record.record;
    let schema_of = |d: &elasticflow_api::data::Datum| d.schema.as_ref().map_or(Json::Null, |s| render::schema(s));
    let named = |name: &Json| name.as_str().map_or(Json::Null, |n| schemas[n].clone());
    matcher.equal("topic", &json!(&*r.topic), &expected["topic"])?;
    matcher.equal("key", &render::datum(&r.key), &expected["key"])?;
    matcher.equal("value", &render::datum(&r.value), &expected["value"])?;
    matcher.equal("key schema", &schema_of(&r.key), &named(&expected["key_schema"]))?;
    matcher.equal("value schema", &schema_of(&r.value), &named(&expected["value_schema"]))?;
    let context = |name: &str| name.starts_with("__debezium.context.");
    let contexts = r.headers.iter().filter(|(name, _)| context(name)).count();
    matcher.equal("context", &json!(contexts == 4), &expected["context"])?;
    let own = r.headers.iter().filter(|(name, _)| !context(name));
    let headers: Json = own.map(|(name, d)| json!({"name": &**name, "value": render::datum(d)})).collect();
    let wanted: Json = expected["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| json!({"name": h["name"], "value": h["value"]}))
        .collect();
    matcher.equal("headers", &headers, &wanted)?;
    let partition = r.partition.map_or(Json::Null, |p| json!(p));
    matcher.equal("partition", &partition, expected.get("partition").unwrap_or(&Json::Null))?;
    // Inside a chunk of a snapshot there is no place to go on from; the end of a transaction and a statement outside one
    // have the place after it.
    let ends = r.topic.ends_with(".transaction") || &*r.topic == "srv";
    if let Some(offset) = offset.filter(|_| !ends && expected["offset"].is_object()) {
        let mut offset = offset.clone();
        // The progress of a snapshot may go on over empty tables after its last row.
        let mut wanted = expected["offset"].clone();
        for own in ["elasticflow", "elasticflow_filters", "elasticflow_gtid", "snapshot"] {
            offset.as_object_mut().unwrap().remove(own);
            wanted.as_object_mut().unwrap().remove(own);
        }
        matcher.equal("offset", &offset, &wanted)?;
    }
    Ok(())
}

async fn all(server: Server, maria: bool) {
    let (mut met, mut failed) = (0, Vec::new());
    let mut not_met = Vec::new();
    let only = std::env::var("EF_GOLDEN").unwrap_or_default();
    for case in cases(maria) {
        if !case.name.contains(&only) {
            continue;
        }
        if let Some((_, why)) = NOT_MET.iter().find(|(name, _)| *name == case.name) {
            not_met.push(format!("{}: {why}", case.name));
            continue;
        }
        match Box::pin(run(&server, &case)).await {
            Ok(()) => met += 1,
            Err(problem) => failed.push(format!("{}: {problem}", case.name)),
        }
    }
    println!("golden cases met: {met}");
    println!("golden cases not met: {}\n  {}", not_met.len(), not_met.join("\n  "));
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn golden_cases_of_mysql() {
    if let Some(server) = Server::of("EF_MYSQL", "golden_cases_of_mysql").await {
        Box::pin(all(server, false)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn golden_cases_of_mariadb() {
    if let Some(server) = Server::of("EF_MARIADB", "golden_cases_of_mariadb").await {
        Box::pin(all(server, true)).await;
    }
}
