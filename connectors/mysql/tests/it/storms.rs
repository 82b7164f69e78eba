//! Storms of DDL: columns come, go, move, change their names and types, tables are renamed, emptied and made anew, while rows
//! are written. Every record must have the columns and values that its row had at that moment.
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use elasticflow_api::data::{Kind, Value};
use elasticflow_api::source::SourceRecord;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const STEPS: usize = 70;
const TYPES: &[&str] = &[
    "INT",
    "BIGINT",
    "SMALLINT UNSIGNED",
    "VARCHAR(20)",
    "VARCHAR(300) CHARACTER SET latin1",
    "TEXT",
    "CHAR(12) CHARACTER SET utf8mb4",
    "DECIMAL(12,3)",
    "DOUBLE",
    "ENUM('7','12','40','x')",
    "VARCHAR(30) NOT NULL DEFAULT '5'",
    "INT NOT NULL DEFAULT 9",
];

/// Columns and values of a row, as text.
type Image = Vec<(String, Option<String>)>;

/// One table as the storm knows it.
struct Subject {
    name: String,
    ids: Vec<i64>,
}

struct Storm {
    conn: Conn,
    db: String,
    random: SmallRng,
    tables: Vec<Subject>,
    fresh: i64,
    /// Images of each row, in order; none where it was deleted.
    expected: BTreeMap<i64, Vec<Option<Image>>>,
}

impl Storm {
    async fn new(server: &Server, db: &str, seed: u64) -> Self {
        let conn = server.database(db).await;
        let random = SmallRng::seed_from_u64(seed);
        let (db, expected) = (db.to_owned(), BTreeMap::new());
        let mut storm = Self { conn, db, random, tables: Vec::new(), fresh: 0, expected };
        for name in ["a", "b"] {
            storm.create(name).await;
        }
        storm
    }

    fn number(&mut self) -> i64 {
        self.fresh += 1;
        self.fresh
    }

    async fn create(&mut self, name: &str) {
        let columns = format!("id BIGINT PRIMARY KEY, c{} {}", self.number(), self.any_type());
        self.conn.query_drop(format!("CREATE TABLE {name} ({columns})")).await.unwrap();
        self.tables.push(Subject { name: name.to_owned(), ids: Vec::new() });
    }

    fn any_type(&mut self) -> &'static str {
        TYPES[self.random.random_range(0..TYPES.len())]
    }

    async fn columns(&mut self, table: &str) -> Vec<String> {
        let sql = "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=? AND TABLE_NAME=? \
                   ORDER BY ORDINAL_POSITION";
        self.conn.exec(sql, (self.db.as_str(), table)).await.unwrap()
    }

    /// The row as it is now.
    async fn note(&mut self, table: &str, id: i64) {
        let row: Option<Row> = self.conn.query_first(format!("SELECT * FROM {table} WHERE id={id}")).await.unwrap();
        let image = row.map(|row| {
            let names: Vec<String> = row.columns_ref().iter().map(|c| c.name_str().into_owned()).collect();
            names.into_iter().zip(row.unwrap().into_iter().map(mysql_async::from_value::<Option<String>>)).collect()
        });
        self.expected.entry(id).or_default().push(image);
    }

    async fn step(&mut self) {
        let place = self.random.random_range(0..self.tables.len());
        let table = self.tables[place].name.clone();
        match self.random.random_range(0..20) {
            0..8 => self.insert(place, &table).await,
            8..11 => self.update(place, &table).await,
            11 => self.delete(place, &table).await,
            12 => {
                let name = format!("r{}", self.number());
                let sql = match self.random.random_range(0..3) {
                    0 => format!("RENAME TABLE {table} TO {name}"),
                    1 => format!("ALTER TABLE {table} RENAME {name}"),
                    _ => format!("ALTER TABLE {table} ADD COLUMN c{} INT, RENAME TO `{name}`", self.fresh),
                };
                self.conn.query_drop(sql).await.unwrap();
                self.tables[place].name = name;
            }
            13 if self.random.random_range(0..3) == 0 => {
                self.conn.query_drop(format!("TRUNCATE TABLE {table}")).await.unwrap();
                for id in std::mem::take(&mut self.tables[place].ids) {
                    self.expected.entry(id).or_default().push(None);
                }
            }
            14 if self.random.random_range(0..3) == 0 => {
                self.conn.query_drop(format!("DROP TABLE {table}")).await.unwrap();
                self.tables.remove(place);
                self.create(&table).await;
            }
            _ => self.alter(&table).await,
        }
    }

    async fn insert(&mut self, place: usize, table: &str) {
        let columns = self.columns(table).await;
        let id = self.number() + 1_000_000;
        let value = ["'7'", "'12'", "'40'", "DEFAULT"][self.random.random_range(0..4)];
        let values: Vec<String> =
            columns.iter().map(|c| if c == "id" { id.to_string() } else { value.to_owned() }).collect();
        let sql = format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(","), values.join(","));
        self.conn.query_drop(sql).await.unwrap();
        self.tables[place].ids.push(id);
        self.note(table, id).await;
    }

    async fn update(&mut self, place: usize, table: &str) {
        let columns = self.columns(table).await;
        let ids = &self.tables[place].ids;
        if ids.is_empty() || columns.len() < 2 {
            return;
        }
        let id = ids[self.random.random_range(0..ids.len())];
        let column = &columns[1 + self.random.random_range(0..columns.len() - 1)];
        let value = [7, 12, 40][self.random.random_range(0..3)];
        if column == "id" {
            return;
        }
        self.conn.query_drop(format!("UPDATE {table} SET {column}='{value}' WHERE id={id}")).await.unwrap();
        if self.conn.affected_rows() > 0 {
            self.note(table, id).await;
        }
    }

    async fn delete(&mut self, place: usize, table: &str) {
        if let Some(id) = self.tables[place].ids.pop() {
            self.conn.query_drop(format!("DELETE FROM {table} WHERE id={id}")).await.unwrap();
            self.note(table, id).await;
        }
    }

    async fn alter(&mut self, table: &str) {
        let columns = self.columns(table).await;
        let n = self.number();
        let column = columns[self.random.random_range(0..columns.len())].clone();
        let kind = self.any_type();
        let place = match self.random.random_range(0..3) {
            0 => " FIRST".to_owned(),
            1 => format!(" AFTER {column}"),
            _ => String::new(),
        };
        let change = match self.random.random_range(0..7) {
            0 | 1 => format!("ADD COLUMN c{n} {kind}{place}"),
            2 if column != "id" => format!("DROP COLUMN {column}"),
            3 if column != "id" => format!("RENAME COLUMN {column} TO c{n}"),
            4 if column != "id" => format!("MODIFY COLUMN {column} {kind}"),
            5 => {
                let moved = if column == "id" { "BIGINT" } else { kind };
                format!("MODIFY COLUMN {column} {moved} {}", if self.random.random() { "FIRST" } else { "" })
            }
            6 => "CONVERT TO CHARACTER SET utf8mb4".to_owned(),
            _ => format!("ADD INDEX i{n} (id)"),
        };
        // Values that do not fit the other type refuse it: nothing has changed then.
        let _ = self.conn.query_drop(format!("ALTER TABLE {table} {change}")).await;
    }
}

/// Values as text, as the server shows them.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Int16(n) => Some(n.to_string()),
        Value::Int32(n) => Some(n.to_string()),
        Value::Int64(n) => Some(n.to_string()),
        Value::Float64(n) => Some(n.to_string()),
        Value::String(text) => Some(text.to_string()),
        other => panic!("a value of no type of the storm: {other:?}"),
    }
}

fn after(record: &SourceRecord) -> Option<Image> {
    let Value::Struct(envelope) = &record.record.value.value else { return None };
    let Value::Struct(image) = &envelope.values[1] else { return None };
    let Kind::Struct(fields) = &image.schema.kind else { panic!("no fields") };
    Some(fields.iter().zip(&image.values).map(|(f, v)| (f.name.to_string(), shown(v))).collect())
}

/// What the records say of each row; renames are taken from the records of schema changes.
fn told(records: &[SourceRecord], db: &str) -> BTreeMap<i64, Vec<Option<Image>>> {
    let mut told: BTreeMap<i64, Vec<Option<Image>>> = BTreeMap::new();
    let mut places: BTreeMap<i64, String> = BTreeMap::new();
    for record in records {
        let (key, value) = (datum(&record.record.key), datum(&record.record.value));
        let topic = &*record.record.topic;
        if topic == "srv" {
            let ddl = value["ddl"].as_str().unwrap();
            let words: Vec<&str> = ddl.split_whitespace().collect();
            let renamed = ddl.find("RENAME ").filter(|_| !ddl.contains("RENAME COLUMN"));
            let dropped = ddl.strip_prefix("DROP TABLE ");
            if let Some(name) = dropped {
                let table = format!("srv.{}", name.replace('`', ""));
                places.retain(|_, at| *at != table);
            } else if renamed.is_some() {
                // Either form has the old name as its third word and the other one as its last.
                let (old, new) = (words[2], words[words.len() - 1].trim_matches('`'));
                let (old, new) = (format!("srv.{db}.{old}"), format!("srv.{db}.{new}"));
                places.values_mut().filter(|at| **at == old).for_each(|at| at.clone_from(&new));
            }
            continue;
        }
        if value["op"] == "t" {
            let gone: Vec<i64> = places.iter().filter(|(_, at)| *at == topic).map(|(id, _)| *id).collect();
            for id in gone {
                places.remove(&id);
                told.entry(id).or_default().push(None);
            }
            continue;
        }
        if value.is_null() {
            continue;
        }
        let id = key["id"].as_i64().unwrap();
        match after(record) {
            Some(image) => {
                places.insert(id, topic.to_owned());
                told.entry(id).or_default().push(Some(image));
            }
            None => {
                places.remove(&id);
                told.entry(id).or_default().push(None);
            }
        }
    }
    told
}

async fn storm(server: &Server, db: &str, seed: u64) {
    let mut storm = Storm::new(server, db, seed).await;
    let config = server.config(&[
        ("database.include.list", db),
        ("snapshot.mode", "no_data"),
        ("skipped.operations", "none"),
        ("decimal.handling.mode", "string"),
        ("include.schema.changes", "true"),
        ("schema.history.internal.store.only.captured.databases.ddl", "true"),
    ]);
    let offsets = Arc::new(Offsets::default());
    // Half of them have their rows written as JSON by the task itself.
    let reader = || {
        let harness = Harness::new(config.clone(), &offsets, 50);
        if seed % 4 < 2 { harness.directly(true) } else { harness }
    };
    let mut harness = reader();
    harness.cx.poll_max = Duration::from_millis(5);
    harness.start().await.unwrap();
    while harness.task.standing().unwrap().snapshot {
        harness.poll().await.unwrap();
    }
    let mut records = Vec::new();
    // Every other storm is read when it is over: the tables are other ones by then.
    let late = seed.is_multiple_of(2);
    if late {
        records.append(&mut harness.stop().await);
        for _ in 0..STEPS {
            storm.step().await;
        }
        harness = reader();
        harness.start().await.unwrap();
    } else {
        for _ in 0..STEPS {
            storm.step().await;
            harness.poll().await.unwrap();
        }
    }
    let mut root = server.connect_as("root", "elasticflow").await;
    harness.caught_up(&mut root).await;
    records.append(&mut harness.stop().await);
    let told = told(&records, db);
    for (id, images) in &storm.expected {
        assert_eq!(told.get(id), Some(images), "seed {seed}: row {id}");
    }
    let extra: Vec<_> = told.keys().filter(|id| !storm.expected.contains_key(id)).collect();
    assert!(extra.is_empty(), "seed {seed}: rows {extra:?} were never written");
}

async fn storms(prefix: &str, name: &str) {
    let Some(server) = Server::of(prefix, name).await else { return };
    let variable = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let (count, first) = (variable("EF_STORMS").unwrap_or(4), variable("EF_SEED").unwrap_or(1));
    for seed in first..first + count {
        storm(&server, "ef_storm", seed).await;
        println!("storm with seed {seed}: every record has the columns and values of its row");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_written_in_a_storm_of_ddl_keep_the_columns_of_their_moment_on_mysql() {
    storms("EF_MYSQL", "rows_written_in_a_storm_of_ddl_keep_the_columns_of_their_moment_on_mysql").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_written_in_a_storm_of_ddl_keep_the_columns_of_their_moment_on_mariadb() {
    storms("EF_MARIADB", "rows_written_in_a_storm_of_ddl_keep_the_columns_of_their_moment_on_mariadb").await;
}
