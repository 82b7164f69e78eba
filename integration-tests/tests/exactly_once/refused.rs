//! A destination that does not take what was read: the connector is not done, its status says what waits and for what, and
//! everything is there once when the cause has gone.
use crate::indexed::{Indexed, indexed};
use elasticflow_integration_tests::mysql::Database;
use elasticflow_integration_tests::scenes::one_sink::{SETTLE_MAX, Scene};
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::servers::setting;
use elasticflow_integration_tests::tables::{System, Tables, runs};
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const NAME: &str = "refused";
const FIRST: [(&str, &str); 2] = [("1", r#"{"id":1,"n":1}"#), ("2", r#"{"id":2,"n":2}"#)];
const SECOND: [(&str, &str); 2] = [("1", r#"{"id":1,"n":10}"#), ("3", r#"{"id":3,"n":3}"#)];
/// All of them: rows, sum of `id`, sum of `n`.
const WHOLE: [i64; 3] = [3, 6, 15];

fn is_pending(state: &str, trace: &str) -> bool {
    state == "RUNNING" && trace.starts_with("commit_pending: ")
}

fn is_over(state: &str, trace: &str) -> bool {
    state == "RUNNING" && trace.is_empty()
}

async fn until<F: Future<Output = bool>>(what: &str, scene: &Scene, mut look: impl FnMut() -> F) {
    let began = Instant::now();
    while !look().await {
        assert!(began.elapsed() < SETTLE_MAX, "{what}: {:?}\n{}", scene.task().await, scene.worker.log_tail());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn table_sink(tables: &Tables, (user, password): (&str, &str)) -> Value {
    json!({
        "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector",
        "connection.url": tables.url(), "connection.user": user, "connection.password": password,
        "table.name.format": "t", "insert.mode": "upsert", "pk.mode": "record_value", "pk.fields": "id",
    })
}

const SUMS: &str = "SELECT COUNT(*), COALESCE(SUM(id), 0), COALESCE(SUM(n), 0) FROM t";

async fn whole(tables: &Tables) -> bool {
    tables.numbers(SUMS).await.unwrap().unwrap_or_default() == WHOLE
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_row_of_mysql_and_a_revoked_right_leave_nothing_out() {
    let Ok(bootstrap) = setting("EF_KAFKA") else { return println!("skipped: refused commits need EF_KAFKA") };
    if !runs(System::Mysql) {
        return println!("skipped: refused commits of MySQL need EF_MYSQL");
    }
    let (dir, admin) = (tempfile::tempdir().unwrap(), Database::root_of("EF_MYSQL").unwrap());
    let schema = format!("refused_{}", run_number());
    let tables = Tables::create(System::Mysql, &schema).await.unwrap();
    let user = format!("u{}", run_number());
    admin
        .run(&[
            &format!("CREATE TABLE {schema}.t (id BIGINT PRIMARY KEY, n BIGINT)"),
            &format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'Refused-1'"),
            &format!("GRANT ALL ON {schema}.* TO '{user}'@'%'"),
        ])
        .await
        .unwrap();
    let own = table_sink(&tables, (&user, "Refused-1"));
    let scene = Scene::start(dir.path(), &bootstrap, NAME, own).await.unwrap();
    scene.send(&FIRST).await.unwrap();
    scene.await_offset(2).await.unwrap();

    let mut locker = admin.connect().await.unwrap();
    locker.query_drop("BEGIN").await.unwrap();
    locker.query_drop(format!("SELECT * FROM {schema}.t WHERE id = 1 FOR UPDATE")).await.unwrap();
    scene.send(&SECOND).await.unwrap();
    scene.await_task(is_pending).await.unwrap();
    assert_eq!(scene.offset().await.unwrap(), Some(2), "no position moves beyond what is durable");
    locker.query_drop("ROLLBACK").await.unwrap();
    scene.await_task(is_over).await.unwrap();
    until("the lock is gone", &scene, || whole(&tables)).await;

    admin.run(&[&format!("REVOKE INSERT, UPDATE ON {schema}.* FROM '{user}'@'%'")]).await.unwrap();
    // MySQL looks at rights of a schema when a session chooses it: the next session feels it.
    admin.run(&[&format!("DELETE FROM {schema}.t WHERE id = 3"), &kill_of(&admin, &user).await]).await.unwrap();
    scene.send(&[("3", r#"{"id":3,"n":3}"#)]).await.unwrap();
    let trace = scene.await_task(|state, _| state == "FAILED").await.unwrap();
    assert!(trace.contains("denied"), "{trace}");
    admin.run(&[&format!("GRANT ALL ON {schema}.* TO '{user}'@'%'")]).await.unwrap();
    let restart = format!("/connectors/{NAME}/restart?includeTasks=true");
    scene.worker.rest().expect("POST", &restart, None).await.unwrap();
    scene.await_task(is_over).await.unwrap();
    until("the right is back", &scene, || whole(&tables)).await;
    assert!(scene.worker.stop().await.unwrap());
    admin.run(&[&format!("DROP USER '{user}'@'%'")]).await.unwrap();
    tables.drop_all().await.unwrap();
}

/// Ends the sessions of an account; rights that were revoked hold for new ones.
async fn kill_of(admin: &Database, user: &str) -> String {
    let mut connection = admin.connect().await.unwrap();
    let query = format!("SELECT id FROM information_schema.processlist WHERE user = '{user}'");
    let ids: Vec<u64> = connection.query(query).await.unwrap();
    ids.first().map_or_else(|| "DO 0".to_owned(), |id| format!("KILL {id}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_of_postgresql_leaves_nothing_out() {
    let Ok(bootstrap) = setting("EF_KAFKA") else { return println!("skipped: refused commits need EF_KAFKA") };
    if !runs(System::Postgresql) {
        return println!("skipped: refused commits of PostgreSQL need EF_POSTGRESQL");
    }
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::create(System::Postgresql, &format!("refused_{}", run_number())).await.unwrap();
    tables.run("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT)").await.unwrap();
    let own = table_sink(&tables, tables.account());
    let scene = Scene::start(dir.path(), &bootstrap, NAME, own).await.unwrap();
    scene.send(&FIRST).await.unwrap();
    scene.await_offset(2).await.unwrap();
    let lock = tables.hold("LOCK TABLE t IN ACCESS EXCLUSIVE MODE").await.unwrap();
    scene.send(&SECOND).await.unwrap();
    scene.await_task(is_pending).await.unwrap();
    assert_eq!(scene.offset().await.unwrap(), Some(2), "no position moves beyond what is durable");
    drop(lock);
    scene.await_task(is_over).await.unwrap();
    until("the lock is gone", &scene, || whole(&tables)).await;
    assert!(scene.worker.stop().await.unwrap());
    tables.drop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_answers_403_leaves_nothing_out() {
    let Some(Indexed { search, scene, index, dir: _dir, .. }) = indexed(NAME, "refused commits of an index").await
    else {
        return;
    };
    scene.send(&FIRST).await.unwrap();
    scene.await_offset(2).await.unwrap();
    let block = |on: Value| json!({"index.blocks.read_only_allow_delete": on});
    let settings = format!("/{index}/_settings");
    search.call("PUT", &settings, Some(&block(json!(true)))).await.unwrap();
    scene.send(&SECOND).await.unwrap();
    let waits =
        |state: &str, trace: &str| trace.contains("blocked") && (is_pending(state, trace) || state == "RESTARTING");
    scene.await_task(waits).await.unwrap();
    assert_eq!(scene.offset().await.unwrap(), Some(2), "no position moves beyond what is durable");
    search.call("PUT", &settings, Some(&block(Value::Null))).await.unwrap();
    scene.await_task(is_over).await.unwrap();
    scene.await_offset(4).await.unwrap();
    search.refresh(&index).await.unwrap();
    let documents = search.all(&index, "id").await.unwrap();
    let sums = |field: &str| documents.iter().filter_map(|(_, d)| d[field].as_i64()).sum::<i64>();
    assert_eq!([documents.len() as i64, sums("id"), sums("n")], WHOLE);
    search.call("DELETE", &format!("/{index}"), None).await.unwrap();
    assert!(scene.worker.stop().await.unwrap());
}

/// A file system of its own with little room; gone with the value.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "none"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }

    fn remount(&self, options: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.0).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0).output());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_nothing_out() {
    let Ok(bootstrap) = setting("EF_KAFKA") else { return println!("skipped: refused commits need EF_KAFKA") };
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(disk) = Small::mount(out.path()) else {
        return println!("skipped: a_full_disk_leaves_nothing_out may not mount a small file system here");
    };
    let filler = out.path().join("filler");
    let own = json!({
        "connector.class": "elasticflow.connectors.FileSinkConnector", "output.path": out.path(), "format": "json",
        "commit.interval.ms": "300",
    });
    let scene = Scene::start(dir.path(), &bootstrap, NAME, own).await.unwrap();
    scene.send(&FIRST).await.unwrap();
    scene.await_offset(2).await.unwrap();
    // As much as there is room for: the last write is cut short.
    drop(std::fs::write(&filler, vec![b'x'; 512 << 10]));
    scene.send(&SECOND).await.unwrap();
    let trace = scene.await_task(|_, trace| trace.contains("FILE-0020") || trace.contains("No space")).await.unwrap();
    assert!(!trace.is_empty());
    assert_eq!(scene.offset().await.unwrap(), Some(2), "no position moves beyond what is durable");
    disk.remount("size=4m");
    std::fs::remove_file(&filler).unwrap();
    scene.await_offset(4).await.unwrap();
    scene.await_task(is_over).await.unwrap();
    assert_eq!(lines(out.path()), 4);
    assert!(scene.worker.stop().await.unwrap());
    drop(disk);
}

/// Lines of all files that can be seen.
fn lines(dir: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        count += match entry.file_type().unwrap().is_dir() {
            true => lines(&entry.path()),
            false => std::fs::read_to_string(entry.path()).unwrap().lines().count(),
        };
    }
    count
}
