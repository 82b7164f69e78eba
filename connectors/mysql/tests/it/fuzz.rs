//! What the fuzzer looks for, on its corpus and on bytes changed from there; `make fuzz` goes on where this ends.
#[path = "../../fuzz/targets/mod.rs"]
#[allow(unreachable_pub, clippy::expect_used, reason = "a crate of its own for the fuzzer")]
mod targets;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use targets::ALL;

/// Bytes that mean something somewhere: ends of ranges, lengths, kinds of events.
const NOTABLE: [u8; 12] = [0, 1, 2, 4, 19, 30, 31, 127, 128, 252, 253, 255];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn changed(corpus: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
    let mut bytes = corpus.choose(random).unwrap().clone();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = random.random(),
            2 if at < bytes.len() => bytes[at] = *NOTABLE.choose(random).unwrap(),
            3 => bytes.truncate(at),
            4 => bytes.insert(at, *NOTABLE.choose(random).unwrap()),
            5 => {
                let end = random.random_range(at..=bytes.len().min(at + 16));
                bytes.drain(at..end);
            }
            _ => {
                let other = corpus.choose(random).unwrap();
                let from = random.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}

/// So many seconds a target: `EF_FUZZ_SECONDS`.
fn fuzz(name: &str) {
    let (_, target) = ALL.iter().find(|(known, _)| *known == name).unwrap();
    let corpus = corpus(name);
    assert!(corpus.len() > 1, "the corpus of {name} is there");
    corpus.iter().for_each(|bytes| target(bytes));
    let seconds = std::env::var("EF_FUZZ_SECONDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let (end, mut rounds) = (Instant::now() + Duration::from_secs(seconds), 0_u64);
    while Instant::now() < end {
        // The seed of a round is its number: what fails, fails again.
        for _ in 0..100 {
            let bytes = changed(&corpus, &mut SmallRng::seed_from_u64(rounds));
            if std::panic::catch_unwind(|| target(&bytes)).is_err() {
                panic!("round {rounds} of {name} breaks on {bytes:02x?}");
            }
            rounds += 1;
        }
    }
    println!("{name}: {} inputs of the corpus and {rounds} changed ones", corpus.len());
}

#[test]
fn streams_of_events_are_read_alike_in_both_ways_or_refused() {
    fuzz("binlog_stream");
}

#[test]
fn rows_of_known_tables_are_read_alike_in_both_ways_or_refused() {
    fuzz("row_image");
}

#[test]
fn whatever_is_read_of_binary_json_is_json() {
    fuzz("json_binary");
}

#[test]
fn sets_of_transactions_obey_the_laws_of_sets() {
    fuzz("gtid_set");
}

#[test]
fn texts_of_any_charset_and_statement_are_read_or_refused() {
    fuzz("charset");
}
