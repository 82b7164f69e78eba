use crate::{assert_clean, source_points};
use elasticflow_integration_tests::chaos::Kills;
use elasticflow_integration_tests::scenes::mysql::Scene;
use elasticflow_integration_tests::servers::{has, setting};

/// Whether both servers run; says so if not.
fn is_possible(test: &str) -> bool {
    let missing: Vec<_> = ["EF_MYSQL", "EF_KAFKA"].into_iter().filter(|name| !has(name)).collect();
    if !missing.is_empty() {
        println!("skipped: {test} needs {}", missing.join(" and "));
    }
    missing.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_under_load_lose_no_change_and_double_none() {
    if !is_possible("twenty_kills_under_load_lose_no_change_and_double_none") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::start(dir.path(), &setting("EF_KAFKA").unwrap()).await.unwrap();
    let kills = Kills { count: 20, within_ms: 1_000, seed: 11 };
    assert_clean(&scene.under_kills(&kills, |_| {}).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_at_every_named_point_under_load_loses_no_change_and_doubles_none() {
    if !is_possible("an_end_at_every_named_point_under_load_loses_no_change_and_doubles_none") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::start(dir.path(), &setting("EF_KAFKA").unwrap()).await.unwrap();
    assert_clean(&scene.at_points(&source_points()).await.unwrap());
}
