//! The destination has done what it was asked for, and the answer is lost: nothing is missing afterwards and nothing is there twice.
use elasticflow_integration_tests::proxy::Proxy;
use elasticflow_integration_tests::scenes::one_sink::{SETTLE_MAX, Scene};
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::search::Search;
use elasticflow_integration_tests::servers::setting;
use elasticflow_integration_tests::tables::{System, Tables, runs};
use serde_json::json;
use std::time::{Duration, Instant};

const NAME: &str = "lost-answer";
const ROUNDS: i64 = 3;

/// Two records a round, numbered through.
fn records(round: i64) -> [(String, String); 2] {
    [0, 1].map(|n| {
        let id = round * 2 + n;
        (id.to_string(), format!(r#"{{"id":{id},"n":1}}"#))
    })
}

/// Sends records round by round; each time the answer that makes them final is lost.
async fn lose_answers(scene: &Scene, cut: &Proxy, needle: &str) {
    for round in 0..=ROUNDS {
        let records = records(round);
        let records: Vec<_> = records.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        if round > 0 {
            cut.lose_the_answer_to(needle);
        }
        scene.send(&records).await.unwrap();
        scene.await_offset((round + 1) * 2).await.unwrap();
        assert_eq!(cut.lost() as i64, round, "one answer a round");
    }
    scene.await_task(|state, trace| state == "RUNNING" && trace.is_empty()).await.unwrap();
}

async fn table(system: System) {
    let bootstrap = setting("EF_KAFKA").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let tables = Tables::create(system, &format!("lost_{}", run_number())).await.unwrap();
    let server = setting(system.variable()).unwrap();
    let cut = Proxy::before(&server).await.unwrap();
    let (user, password) = tables.account();
    // Without a key: a row that is written twice stands there twice.
    let mut own = json!({
        "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector",
        "connection.url": tables.url().replace(&server, cut.address()),
        "connection.user": user, "connection.password": password, "ssl.mode": "disabled",
        "table.name.format": "t", "insert.mode": "insert", "pk.mode": "none",
    });
    if system == System::Postgresql {
        own.as_object_mut().unwrap().remove("ssl.mode");
    }
    tables.run("CREATE TABLE t (id BIGINT, n BIGINT)").await.unwrap();
    let scene = Scene::start(dir.path(), &bootstrap, NAME, own).await.unwrap();
    lose_answers(&scene, &cut, "COMMIT").await;
    let found = tables.numbers("SELECT COUNT(*), COUNT(DISTINCT id), SUM(id), SUM(n) FROM t").await.unwrap().unwrap();
    let count = (ROUNDS + 1) * 2;
    assert_eq!(found, [count, count, count * (count - 1) / 2, count]);
    assert!(scene.worker.stop().await.unwrap());
    tables.drop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_mysql_whose_answer_is_lost_is_neither_lost_nor_repeated() {
    if setting("EF_KAFKA").is_err() || !runs(System::Mysql) {
        return println!("skipped: lost answers of MySQL need EF_KAFKA and EF_MYSQL");
    }
    table(System::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_postgresql_whose_answer_is_lost_is_neither_lost_nor_repeated() {
    if setting("EF_KAFKA").is_err() || !runs(System::Postgresql) {
        return println!("skipped: lost answers of PostgreSQL need EF_KAFKA and EF_POSTGRESQL");
    }
    table(System::Postgresql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_request_whose_answer_is_lost_is_neither_lost_nor_repeated() {
    let (Ok(bootstrap), Ok(url)) = (setting("EF_KAFKA"), setting("EF_ELASTICSEARCH")) else {
        return println!("skipped: lost answers of an index need EF_KAFKA and EF_ELASTICSEARCH");
    };
    let (dir, search) = (tempfile::tempdir().unwrap(), Search::new(&url));
    let server = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let cut = Proxy::before(&server).await.unwrap();
    let own = json!({
        "connector.class": "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector",
        "connection.url": format!("http://{}", cut.address()), "schema.ignore": "true",
    });
    let scene = Scene::start(dir.path(), &bootstrap, NAME, own).await.unwrap();
    lose_answers(&scene, &cut, "/_bulk").await;
    let began = Instant::now();
    let count = (ROUNDS + 1) * 2;
    loop {
        search.refresh(&scene.topic).await.unwrap();
        let documents = search.all(&scene.topic, "id").await.unwrap();
        let sum: i64 = documents.iter().filter_map(|(_, d)| d["n"].as_i64()).sum();
        if (documents.len() as i64, sum) == (count, count) {
            break;
        }
        assert!(began.elapsed() < SETTLE_MAX, "{documents:?}\n{}", scene.worker.log_tail());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    search.call("DELETE", &format!("/{}", scene.topic), None).await.unwrap();
    assert!(scene.worker.stop().await.unwrap());
}
