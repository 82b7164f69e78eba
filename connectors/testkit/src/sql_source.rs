//! Bodies of tests that every SQL batch source passes on its own server.
use crate::context::{Stored, source_context, task_id};
use crate::source::{Covered, SourceCase, check_source, stored_after};
use async_trait::async_trait;
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::data::{Record, Value};
use elasticflow_api::registry::{DynSourceConnector, TaskConfig};
use elasticflow_api::source::SourceTask;
use elasticflow_config::Properties;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest that rows may take to be read.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with an empty schema of the case's own.
#[async_trait]
pub trait SqlSourceCase: Send + Sync {
    /// The connector.
    fn source(&self) -> &dyn DynSourceConnector;
    /// Where it connects to.
    fn connection(&self) -> Properties;
    /// Runs a statement.
    async fn run(&self, sql: &str);
    /// Type of a time with microseconds.
    fn time_type(&self) -> &'static str;
    /// Whether every table has a growing value, named or not.
    fn numbers_every_row(&self) -> bool {
        false
    }
}

fn context() -> ConnectorContext {
    ConnectorContext { clock: Arc::new(crate::context::TestClock::default()), replan: Arc::new(|| {}) }
}

struct Planned<'a> {
    case: &'a dyn SqlSourceCase,
    properties: Properties,
    task: TaskConfig,
    records: usize,
}

impl SourceCase for Planned<'_> {
    fn task(&self) -> Box<dyn SourceTask> {
        self.case.source().task(&self.properties, self.task.clone()).expect("the settings are good")
    }
    fn records(&self) -> usize {
        self.records
    }
}

async fn planned<'a>(case: &'a dyn SqlSourceCase, table: &str, more: &[(&str, &str)], records: usize) -> Planned<'a> {
    let mut properties = case.connection();
    let shared = [
        ("topic.prefix", "db."),
        ("table.whitelist", table),
        ("batch.max.rows", "10"),
        ("poll.interval.ms", "50"),
        ("timestamp.delay.interval.ms", "0"),
        ("incrementing.delay.interval.ms", "0"),
    ];
    for (key, value) in shared.iter().chain(more) {
        properties = properties.with(key, *value);
    }
    let report = case.source().validate(&properties, &context()).await;
    assert!(report.is_ok(), "{report}");
    let tasks = case.source().plan(&properties, 3, &context()).await.expect("the tables are planned");
    assert_eq!(tasks.len(), 1, "one table is one task");
    Planned { case, properties, task: tasks.into_iter().next().unwrap_or_default(), records }
}

/// Reads until `wanted` records have come, and a little longer.
async fn read(planned: &Planned<'_>, stored: Stored, wanted: usize) -> Vec<Covered> {
    let cx = source_context(task_id("source", 0), stored);
    let mut task = planned.task();
    task.start(&cx).await.expect("the source starts");
    let (began, mut seen, mut quiet) = (Instant::now(), Vec::new(), 0);
    while (seen.len() < wanted || quiet < 3) && began.elapsed() < PATIENCE {
        let batch = task.poll(&cx).await.expect("the source polls");
        quiet = if batch.records.is_empty() { quiet + 1 } else { 0 };
        seen.extend(batch.records.into_iter().map(|r| (r.record, r.position)));
    }
    task.stop().await;
    seen
}

fn id_of(record: &Record) -> i64 {
    let Value::Struct(row) = &record.value.value else { panic!("a row is a struct") };
    match row.values.first() {
        Some(Value::Int64(id)) => *id,
        Some(Value::Int32(id)) => i64::from(*id),
        other => panic!("the first column is the id: {other:?}"),
    }
}

fn ids(seen: &[Covered]) -> Vec<i64> {
    seen.iter().map(|(record, _)| id_of(record)).collect()
}

/// Every body.
///
/// # Panics
/// When one of them finds a broken promise.
pub async fn check_sql_source(case: &dyn SqlSourceCase) {
    incrementing_reads_every_row_once(case).await;
    equal_times_at_the_edge_of_a_page_are_not_lost(case).await;
    time_and_id_together_need_no_distinct_times(case).await;
    rows_younger_than_the_delay_wait(case).await;
    if !case.numbers_every_row() {
        rows_that_come_behind_the_cursor_are_counted(case).await;
    }
    a_bulk_read_goes_on_after_the_last_key(case).await;
    wrong_settings_are_named(case).await;
}

async fn incrementing_reads_every_row_once(case: &dyn SqlSourceCase) {
    case.run("CREATE TABLE inc (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(20))").await;
    let rows: Vec<String> = (1..=25).map(|id| format!("({id}, 'n{id}')")).collect();
    case.run(&format!("INSERT INTO inc VALUES {}", rows.join(","))).await;
    let planned = planned(case, "inc", &[("mode", "incrementing"), ("incrementing.column.name", "id")], 25).await;
    check_source(&planned).await;
    let seen = read(&planned, Stored::default(), 25).await;
    assert_eq!(ids(&seen), (1..=25).collect::<Vec<_>>());
    assert_eq!(&*seen[0].0.topic, "db.inc");
    let (stored, _) = stored_after(&seen, seen.len());
    case.run("INSERT INTO inc VALUES (27, 'later'), (26, 'late')").await;
    assert_eq!(ids(&read(&planned, stored, 2).await), [26, 27], "only what is above the cursor comes");
}

async fn equal_times_at_the_edge_of_a_page_are_not_lost(case: &dyn SqlSourceCase) {
    let kind = case.time_type();
    case.run(&format!("CREATE TABLE tied (id BIGINT NOT NULL PRIMARY KEY, at {kind} NOT NULL)")).await;
    // Groups of 7, 3, 15 and 8 equal times: ends of pages of ten fall inside groups, one group is longer than a page.
    let groups = [(1..=7, 1), (8..=10, 2), (11..=25, 3), (26..=33, 4)];
    let row = |id: i64, second: i32| format!("({id}, '2024-01-02 03:04:0{second}.123456')");
    let rows: Vec<String> = groups.iter().flat_map(|(ids, s)| ids.clone().map(|id| row(id, *s))).collect();
    case.run(&format!("INSERT INTO tied VALUES {}", rows.join(","))).await;
    let planned = planned(case, "tied", &[("mode", "timestamp"), ("timestamp.column.name", "at")], 33).await;
    let seen = read(&planned, Stored::default(), 33).await;
    let mut all = ids(&seen);
    all.sort_unstable();
    assert_eq!(all, (1..=33).collect::<Vec<_>>(), "every row comes once");
    for cut in 0..=33 {
        let (stored, covered) = stored_after(&seen, cut);
        let rest = read(&planned, stored, 33 - covered).await;
        let mut both: Vec<i64> = ids(&seen)[..covered].iter().copied().chain(ids(&rest)).collect();
        both.sort_unstable();
        assert_eq!(both, (1..=33).collect::<Vec<_>>(), "a cut after {cut} loses nothing and doubles nothing");
    }
}

async fn time_and_id_together_need_no_distinct_times(case: &dyn SqlSourceCase) {
    let kind = case.time_type();
    case.run(&format!("CREATE TABLE both_of (id BIGINT NOT NULL PRIMARY KEY, at {kind} NOT NULL)")).await;
    let rows: Vec<String> = (1..=30).map(|id| format!("({id}, '2024-01-02 03:04:05.5')")).collect();
    case.run(&format!("INSERT INTO both_of VALUES {}", rows.join(","))).await;
    let settings = [
        ("mode", "timestamp+incrementing"),
        ("timestamp.column.name", "at"),
        ("incrementing.column.name", "id"),
        ("key.columns", "id"),
    ];
    let planned = planned(case, "both_of", &settings, 30).await;
    check_source(&planned).await;
    let seen = read(&planned, Stored::default(), 30).await;
    assert_eq!(ids(&seen), (1..=30).collect::<Vec<_>>());
    let (stored, _) = stored_after(&seen, 30);
    case.run("UPDATE both_of SET at = '2024-01-02 03:04:06' WHERE id = 3").await;
    assert_eq!(ids(&read(&planned, stored, 1).await), [3], "a changed row comes again");
}

async fn rows_younger_than_the_delay_wait(case: &dyn SqlSourceCase) {
    let kind = case.time_type();
    case.run(&format!("CREATE TABLE young (id BIGINT NOT NULL PRIMARY KEY, at {kind} NOT NULL)")).await;
    case.run("INSERT INTO young VALUES (1, '2024-01-02 03:04:05'), (2, '2999-01-02 03:04:05')").await;
    let settings = [("mode", "timestamp"), ("timestamp.column.name", "at"), ("timestamp.delay.interval.ms", "5000")];
    let planned = planned(case, "young", &settings, 1).await;
    assert_eq!(
        ids(&read(&planned, Stored::default(), 1).await),
        [1],
        "what the database's clock has not reached waits"
    );
}

async fn rows_that_come_behind_the_cursor_are_counted(case: &dyn SqlSourceCase) {
    let kind = case.time_type();
    case.run(&format!("CREATE TABLE audited (id BIGINT NOT NULL PRIMARY KEY, at {kind} NOT NULL)")).await;
    let insert = async |id: i64, second: i64| {
        case.run(&format!("INSERT INTO audited VALUES ({id}, '2024-01-02 03:04:{second:02}')")).await;
    };
    insert(1, 10).await;
    let settings = [("mode", "timestamp"), ("timestamp.column.name", "at"), ("late.row.audit.ms", "1")];
    let planned = planned(case, "audited", &settings, 1).await;
    let cx = source_context(task_id("source", 0), Stored::default());
    let mut task = planned.task();
    task.start(&cx).await.expect("the source starts");
    let mut seen = Vec::new();
    for (id, second) in [(2, 20), (3, 30), (4, 15), (5, 40), (6, 50), (7, 60 - 1)] {
        let (began, before) = (Instant::now(), seen.len());
        let is_late = second == 15;
        while began.elapsed() < PATIENCE && (seen.len() == before || is_late) {
            seen.extend(task.poll(&cx).await.expect("the source polls").records.into_iter().map(|r| id_of(&r.record)));
            if is_late {
                break;
            }
        }
        insert(id, second).await;
    }
    let report = task.report().expect("a source tells of itself");
    task.stop().await;
    assert!(!seen.contains(&4), "the late row is behind the cursor: {seen:?}");
    let late: Vec<f64> = report.figures.iter().map(|figure| figure.value).collect();
    assert_eq!(late, [1.0], "{seen:?} {}", report.words);
}

async fn a_bulk_read_goes_on_after_the_last_key(case: &dyn SqlSourceCase) {
    case.run("CREATE TABLE whole (id BIGINT NOT NULL, part VARCHAR(9) NOT NULL, PRIMARY KEY (id, part))").await;
    let rows: Vec<String> = (0..24).map(|n| format!("({}, 'p{}')", n / 2, n % 2)).collect();
    case.run(&format!("INSERT INTO whole VALUES {}", rows.join(","))).await;
    let planned = planned(case, "whole", &[("mode", "bulk"), ("poll.interval.ms", "600000")], 24).await;
    let seen = read(&planned, Stored::default(), 24).await;
    assert_eq!(seen.len(), 24);
    let (stored, covered) = stored_after(&seen, 13);
    let rest = read(&planned, stored, 24 - covered).await;
    let rest: Vec<&Record> = rest.iter().map(|(r, _)| r).collect();
    let expected: Vec<&Record> = seen.iter().skip(covered).map(|(r, _)| r).collect();
    assert_eq!(rest, expected, "the rest of the read comes after the last key");
}

async fn wrong_settings_are_named(case: &dyn SqlSourceCase) {
    case.run("CREATE TABLE odd_one (id BIGINT, at VARCHAR(9))").await;
    let properties = |more: &[(&str, &str)]| {
        let all = case.connection().with("topic.prefix", "x.").with("table.whitelist", "odd_one");
        more.iter().fold(all, |p, (k, v)| p.with(k, *v))
    };
    let nameless: &[(&str, &str)] = &[("mode", "incrementing")];
    let report = case.source().validate(&properties(nameless), &context()).await.to_string();
    assert_eq!(report.contains("incrementing.column.name"), !case.numbers_every_row(), "{report}");
    let audit = &[("mode", "bulk"), ("late.row.audit.ms", "1000")];
    let report = case.source().validate(&properties(audit), &context()).await.to_string();
    assert_eq!(report.contains("late.row.audit.ms"), !case.numbers_every_row(), "{report}");
    for (settings, word) in [
        (&[("mode", "incrementing"), ("incrementing.column.name", "nope")][..], "nope"),
        (&[("mode", "incrementing"), ("incrementing.column.name", "id")], "NULL"),
        (&[("mode", "timestamp")], "timestamp.column.name"),
        (&[("mode", "bulk"), ("table.whitelist", "absent")], "absent"),
    ] {
        let report = case.source().validate(&properties(settings), &context()).await;
        assert!(report.to_string().contains(word), "{settings:?}: {report}");
    }
}
