//! The whole control plane in virtual time: real herders, memberships, topic owners and plans over a Kafka that is played.
//!
//! A run is a function of its seed: one thread, a clock that moves when nothing is left to do, and dice for everything
//! that happens: messages that take long or whose answer is lost, workers that are killed, frozen, cut off or ended and
//! started again, some of them in pools and with room for so many tasks, while users create, pause, restart and delete connectors through whichever worker they meet. What must
//! hold is checked all the time; a seed with which it does not is printed, and `EF_SEED=<seed>` plays it again.
mod group;
mod kafka;
mod network;
mod play;
mod pools;
mod tasks;
mod trace;
mod worker;

use play::{Flaw, Play};
use std::time::{Duration, Instant};

/// Seeds of the test; `EF_SEEDS` asks for more.
const SEEDS: u64 = 200;
/// A slow machine plays fewer of them, rather than for ever.
const PLAY_MAX: Duration = Duration::from_secs(20);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Plays one seed; what did not hold.
fn play(seed: u64, flaw: Flaw) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let outcome = runtime.block_on(Play::new(seed, flaw).run());
    runtime.shutdown_background();
    outcome
}

#[test]
fn whatever_happens_every_task_runs_once_and_every_request_is_answered() {
    if let Some(seed) = number("EF_SEED") {
        play(seed, Flaw::None).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        return;
    }
    let (began, asked) = (Instant::now(), number("EF_SEEDS"));
    let mut played = 0;
    for seed in 1..=asked.unwrap_or(SEEDS) {
        if asked.is_none() && began.elapsed() > PLAY_MAX {
            break;
        }
        play(seed, Flaw::None).unwrap_or_else(|why| panic!("EF_SEED={seed} plays it again: {why}"));
        played += 1;
    }
    println!("{played} seeds in {:?}", began.elapsed());
    assert!(played > 0);
}

/// A seed among the first ones that shows a flaw.
fn finds(flaw: Flaw) -> bool {
    (1..=240).any(|seed| play(seed, flaw).is_err())
}

#[test]
fn a_worker_that_is_gone_for_good_is_forgotten() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let left = runtime.block_on(Play::new(1, Flaw::None).lose_one_for_good());
    runtime.shutdown_background();
    assert_eq!(left, [["127.0.0.1:9001", "127.0.0.1:9002"]; 2]);
}

#[test]
fn the_simulation_sees_slots_that_are_given_away_before_they_are_let_go() {
    assert!(finds(Flaw::SlotsAreNotAskedBack));
}

#[test]
fn the_simulation_sees_a_worker_that_trusts_its_leases_for_ever() {
    assert!(finds(Flaw::LeasesNeverExpire));
}

#[test]
fn the_simulation_sees_a_writer_that_is_not_fenced() {
    assert!(finds(Flaw::WritersAreNotFenced));
}
