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
/// Answers that are lost.
const ROUNDS: i64 = 3;

/// Two records a round, numbered through.
fn records(round: i64) -> [(String, String); 2] {
    [0, 1].map(|n| {
        let id = round * 2 + n;
        (id.to_string(), format!(r#"{{"id":{id},"n":1}}"#))
    })
}

/// Sends records round by round; each time but the first the answer to what stands beside the round is lost.
async fn lose_answers(scene: &Scene, cut: &Proxy, needles: [&str; ROUNDS as usize]) {
    for round in 0..=ROUNDS {
        let records = records(round);
        let records: Vec<_> = records.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        if let Some(needle) = usize::try_from(round - 1).ok().and_then(|at| needles.get(at)) {
            cut.lose_the_answer_to(needle);
        }
        scene.send(&records).await.unwrap();
        scene.await_offset((round + 1) * 2).await.unwrap();
        // What is decided by the offset is committed after it.
        let began = Instant::now();
        while cut.lost() as i64 != round {
            assert!(began.elapsed() < SETTLE_MAX, "one answer a round\n{}", scene.worker.log_tail());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    scene.await_task(|state, trace| state == "RUNNING" && trace.is_empty()).await.unwrap();
}

async fn table(system: System, more: &[(&str, &str)], needles: [&str; ROUNDS as usize]) {
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
        "connection.user": user, "connection.password": password,
        "table.name.format": "t", "insert.mode": "insert", "pk.mode": "none",
    });
    for (key, value) in more {
        own[*key] = (*value).into();
    }
    tables.run("CREATE TABLE t (id BIGINT, n BIGINT)").await.unwrap();
    let scene = Scene::start(dir.path(), &bootstrap, NAME, own).await.unwrap();
    lose_answers(&scene, &cut, needles).await;
    let count = (ROUNDS + 1) * 2;
    let began = Instant::now();
    loop {
        let found =
            tables.numbers("SELECT COUNT(*), COUNT(DISTINCT id), SUM(id), SUM(n) FROM t").await.unwrap().unwrap();
        if found == [count, count, count * (count - 1) / 2, count] {
            break;
        }
        assert!(found[0] <= count && began.elapsed() < SETTLE_MAX, "{found:?}\n{}", scene.worker.log_tail());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(scene.worker.stop().await.unwrap());
    // Waits for whatever is still prepared.
    tables.drop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_mysql_whose_answer_is_lost_is_neither_lost_nor_repeated() {
    if setting("EF_KAFKA").is_err() || !runs(System::Mysql) {
        return println!("skipped: lost answers of MySQL need EF_KAFKA and EF_MYSQL");
    }
    table(System::Mysql, &[("ssl.mode", "disabled")], ["COMMIT"; 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_a_branch_whose_answer_is_lost_is_neither_lost_nor_repeated() {
    if setting("EF_KAFKA").is_err() || !runs(System::Mysql) {
        return println!("skipped: lost answers of branches need EF_KAFKA and EF_MYSQL");
    }
    let branches = [("ssl.mode", "disabled"), ("delivery.technique", "xa")];
    table(System::Mysql, &branches, ["XA COMMIT", "XA PREPARE", "XA END"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_postgresql_whose_answer_is_lost_is_neither_lost_nor_repeated() {
    if setting("EF_KAFKA").is_err() || !runs(System::Postgresql) {
        return println!("skipped: lost answers of PostgreSQL need EF_KAFKA and EF_POSTGRESQL");
    }
    table(System::Postgresql, &[], ["COMMIT"; 3]).await;
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
    lose_answers(&scene, &cut, ["/_bulk"; 3]).await;
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
