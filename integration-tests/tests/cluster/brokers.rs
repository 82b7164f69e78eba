//! Three brokers that are killed, frozen and restarted below three workers under load.
use crate::{assert_clean, kafka3};
use elasticflow_integration_tests::scenes::brokers::{Disturbance, Role, Scene};
use std::time::Duration;

/// Everything goes on by then after a disturbance. The brokers alone take nine seconds to notice that one of them is gone, and
/// a machine that does other things too takes longer.
const GOES_ON_MAX: Duration = Duration::from_secs(90);
/// Records of each generator, and how many a second.
const RATE: u64 = 250;
const SHORT: u64 = 10_000;
/// Of each disturbance of the long form, so that the load outlives them.
const LONG_EACH: u64 = 10_000;

/// Disturbs one after the other; nothing is lost or doubled, no task fails, and no worker answers that it is at fault.
async fn endure(load: (u64, u64), disturbances: &[Disturbance]) {
    let Some(addresses) = kafka3() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::start(dir.path(), &addresses, load).await.unwrap();
    for disturbance in disturbances {
        let took = scene.disturb(*disturbance, GOES_ON_MAX).await.unwrap();
        println!("{disturbance:?}: everything goes on {:?} later, and {:?} after its return", took.without, took.with);
    }
    let ended = scene.finish().await.unwrap();
    let heard = &ended.heard;
    println!(
        "{} reads, the slowest {:?}; {} changes, the slowest {:?}",
        heard.reads, heard.slowest_read, heard.changes, heard.slowest_change
    );
    assert_clean(&ended.reports);
    assert!(heard.failed.is_empty(), "{:?}\n{}", heard.failed, ended.logs);
    assert!(heard.refused.is_empty(), "{:?}\n{}", heard.refused, ended.logs);
    assert!(heard.changes > 0 && heard.reads > 0);
}

/// One scene, for every run of the tests.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_coordinates_the_workers_is_killed_and_nothing_is_lost_or_doubled() {
    if std::env::var_os("EF_BROKERS").is_none() {
        endure((SHORT, RATE), &[Disturbance::Kill(Role::Group)]).await;
    }
}

/// All of them, `make brokers`: EF_BROKERS is the number of rounds.
#[tokio::test(flavor = "multi_thread")]
async fn brokers_are_restarted_killed_and_frozen_in_every_role_and_nothing_is_lost_or_doubled() {
    let Some(rounds) = std::env::var("EF_BROKERS").ok().and_then(|rounds| rounds.parse::<usize>().ok()) else {
        println!("skipped: the long form runs with `make brokers`");
        return;
    };
    let (roles, mut all) = ([Role::Group, Role::ConfigTopic, Role::Writer, Role::Source, Role::Leadership], Vec::new());
    for _ in 0..rounds {
        all.push(Disturbance::Roll);
        all.extend(roles.map(Disturbance::Kill));
        all.extend(roles.map(Disturbance::Freeze));
    }
    let records = u64::try_from(all.len()).unwrap() * LONG_EACH;
    endure((records, RATE), &all).await;
}
