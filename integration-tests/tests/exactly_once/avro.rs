//! Changes of MySQL to SQLite through Avro and a schema registry: types, deletes and a column that is added, with kills.
use elasticflow_integration_tests::mysql::Database;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::servers::{has, setting};
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use mysql_async::prelude::Queryable;
use rusqlite::types::ValueRef;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const EQUAL_MAX: Duration = Duration::from_secs(60);
const TABLE: &str = "CREATE TABLE orders (id BIGINT UNSIGNED, part VARCHAR(8), price DECIMAL(20,6), ratio DOUBLE, day DATE, \
    placed DATETIME(3), seen TIMESTAMP(6) NULL, name VARCHAR(40) CHARACTER SET latin1, note TEXT, raw VARBINARY(20), \
    state ENUM('new','paid, late'), tags SET('x','y'), open BOOLEAN, PRIMARY KEY (id, part)) CHARACTER SET utf8mb4";
const COLUMNS: &str = "id, part, price, ratio, day, placed, seen, name, note, CASE WHEN raw IS NOT NULL THEN hex(raw) END, state, tags, open";

struct Ground {
    database: Database,
    schema: String,
    file: PathBuf,
}

impl Ground {
    async fn run(&self, statements: &[String]) {
        let using = [format!("USE {}", self.schema), "SET time_zone = '+00:00'".to_owned()];
        let all: Vec<&str> = using.iter().chain(statements).map(String::as_str).collect();
        self.database.run(&all).await.unwrap();
    }

    /// Every row, its values as text.
    async fn source(&self, columns: &str) -> Vec<Vec<String>> {
        let mut connection = self.database.connect().await.unwrap();
        connection.query_drop("SET time_zone = '+00:00'").await.unwrap();
        let query = format!("SELECT {columns} FROM {}.orders ORDER BY id, part", self.schema);
        let rows: Vec<mysql_async::Row> = connection.query(query).await.unwrap();
        connection.disconnect().await.unwrap();
        rows.into_iter().map(|row| row.unwrap().into_iter().map(text_of_mysql).collect()).collect()
    }

    /// The same of the destination; nothing while there is no such table.
    fn destination(&self, columns: &str) -> Vec<Vec<String>> {
        let read = || -> rusqlite::Result<Vec<Vec<String>>> {
            let connection = rusqlite::Connection::open(&self.file)?;
            connection.busy_timeout(Duration::from_secs(20))?;
            let mut query = connection.prepare(&format!("SELECT {columns} FROM orders ORDER BY id, part"))?;
            let width = query.column_count();
            let rows = query.query_map([], |row| (0..width).map(|at| row.get_ref(at).map(text_of_sqlite)).collect())?;
            rows.collect()
        };
        read().unwrap_or_default()
    }

    async fn await_equal(&self, columns: &str, worker: &Worker) {
        let began = Instant::now();
        let source = self.source(columns).await;
        while self.destination(columns) != source {
            let destination = self.destination(columns);
            let told = worker.log_tail();
            assert!(began.elapsed() < EQUAL_MAX, "source {source:#?}\ndestination {destination:#?}\n{told}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn text_of_mysql(value: mysql_async::Value) -> String {
    match value {
        mysql_async::Value::NULL => "NULL".to_owned(),
        mysql_async::Value::Bytes(bytes) => plain(&String::from_utf8(bytes).unwrap()),
        other => panic!("the text protocol gives texts, not {other:?}"),
    }
}

fn text_of_sqlite(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => format!("{number:?}"),
        ValueRef::Text(text) | ValueRef::Blob(text) => plain(std::str::from_utf8(text).unwrap()),
    }
}

/// Systems write the same floating-point number in different ways.
fn plain(text: &str) -> String {
    let number = text.contains('e').then(|| text.parse::<f64>().ok()).flatten();
    number.map_or_else(|| text.to_owned(), |number| format!("{number:?}"))
}

fn insert(id: u32) -> String {
    let odd = id % 2 == 1;
    let optional = |value: &str| if odd { value.to_owned() } else { "NULL".to_owned() };
    format!(
        "INSERT INTO orders (id, part, price, ratio, day, placed, seen, name, note, raw, state, tags, open) VALUES \
         ({id}, 'p{}', {}, {}, '1000-01-{:02}', '2024-02-29 23:59:59.{:03}', {}, {}, {}, {}, {}, {}, {})",
        id % 3,
        optional(&format!("-12345678901234.{id:06}")),
        optional(&format!("{}1.1e-300", if id % 4 == 1 { "-" } else { "" })),
        id % 28 + 1,
        id % 1000,
        optional("'2037-12-31 23:59:59.999999'"),
        optional("'Müller ÿ'"),
        optional("'it''s a \"line\"\\n😀'"),
        optional("x'00ff27'"),
        optional("'paid, late'"),
        optional("'x,y'"),
        optional("TRUE"),
    )
}

fn with_avro(mut config: Value, registry: &str) -> Value {
    for side in ["key", "value"] {
        config[format!("{side}.converter")] = "io.confluent.connect.avro.AvroConverter".into();
        config[format!("{side}.converter.schema.registry.url")] = registry.into();
    }
    config
}

fn source(ground: &Ground, run: u64) -> Value {
    let Database { host, port, user, password } = &ground.database;
    json!({
        "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "database.hostname": host, "database.port": port.to_string(),
        "database.user": user, "database.password": password,
        "database.server.id": (run % 1_000_000 + 5_000_000).to_string(), "topic.prefix": format!("avro{run}"),
        "database.include.list": ground.schema, "include.schema.changes": "false", "exactly.once.support": "required",
    })
}

fn sink(ground: &Ground, run: u64) -> Value {
    json!({
        "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", "tasks.max": "1",
        "topics": format!("avro{run}.{}.orders", ground.schema), "table.name.format": "orders",
        "connection.url": format!("jdbc:sqlite:{}", ground.file.display()),
        "insert.mode": "upsert", "pk.mode": "record_key", "delete.enabled": "true",
        "auto.create": "true", "auto.evolve": "true",
        "transforms": "unwrap", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
        "transforms.unwrap.delete.tombstone.handling.mode": "tombstone",
    })
}

async fn killed_and_started(worker: Worker) -> Worker {
    Worker::start(worker.kill().unwrap()).await.unwrap()
}

async fn ground(dir: &Path, run: u64) -> Ground {
    let ground = Ground {
        database: Database::of("EF_MYSQL").unwrap(),
        schema: format!("avro_{run}"),
        file: dir.join("orders.db"),
    };
    ground.database.run(&[&format!("CREATE DATABASE {}", ground.schema)]).await.unwrap();
    ground.run(&std::iter::once(TABLE.to_owned()).chain((0..40).map(insert)).collect::<Vec<_>>()).await;
    ground
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_and_its_changes_reach_sqlite_through_avro_while_the_worker_is_killed() {
    if let Some(missing) = ["EF_KAFKA", "EF_MYSQL", "EF_REGISTRY"].iter().find(|name| !has(name)) {
        println!("skipped: Avro from MySQL to SQLite needs {missing}");
        return;
    }
    let (dir, run) = (tempfile::tempdir().unwrap(), run_number());
    let ground = ground(dir.path(), run).await;
    let options = WorkerOptions::new(dir.path(), &setting("EF_KAFKA").unwrap(), &format!("avro-{run}")).unwrap();
    let mut worker = Worker::start(options).await.unwrap();
    let registry = setting("EF_REGISTRY").unwrap();
    worker.rest().create("orders", &with_avro(source(&ground, run), &registry)).await.unwrap();
    worker.rest().create("copy", &with_avro(sink(&ground, run), &registry)).await.unwrap();
    worker.rest().await_running("copy", EQUAL_MAX).await.unwrap();
    ground.await_equal(COLUMNS, &worker).await;

    ground.run(&(40..80).map(insert).collect::<Vec<_>>()).await;
    worker = killed_and_started(worker).await;
    let changes = [
        "DELETE FROM orders WHERE id % 7 = 0",
        "UPDATE orders SET note = NULL, price = price / 2, state = 'new' WHERE id % 5 = 0",
        "UPDATE orders SET id = id + 1000 WHERE id % 11 = 0",
    ];
    ground.run(&changes.map(str::to_owned)).await;
    worker = killed_and_started(worker).await;
    ground.await_equal(COLUMNS, &worker).await;

    let added = "ALTER TABLE orders ADD COLUMN origin VARCHAR(9) NOT NULL DEFAULT 'the web', ADD COLUMN extra TEXT";
    ground.run(&[added.to_owned(), insert(200), "UPDATE orders SET extra = 'e' WHERE id = 1".to_owned()]).await;
    ground.await_equal(&format!("{COLUMNS}, origin, extra"), &worker).await;
    assert!(worker.stop().await.unwrap());
    ground.database.run(&[&format!("DROP DATABASE {}", ground.schema)]).await.unwrap();
}
