use super::*;
use crate::log::marker::marker;
use crate::log::split;
use crate::testing::{BatchSpec, settings};
use std::path::Path;

const ALWAYS: Policy = Policy { delete_retention_ms: 1_000, min_lag_ms: 0, max_lag_ms: i64::MAX, dirty_ratio: 0.0 };

fn append(p: &mut Partition, spec: &BatchSpec, now_ms: i64) {
    p.append(&split(spec.bytes()).unwrap()[0], now_ms, false).unwrap();
}

/// (offset, key) of every record that is left.
fn left(p: &Partition) -> Vec<(i64, String)> {
    let mut all = vec![];
    for i in 0..p.entries.len() {
        let batch = p.batch(i).unwrap().unwrap();
        if !batch.header.control() {
            visit(&batch, |r| {
                all.push((r.offset, String::from_utf8_lossy(&r.key.unwrap()).into_owned()));
                true
            })
            .unwrap();
        }
    }
    all
}

fn both(dir: &Path) -> [Partition; 2] {
    let file = dir.join("p.log");
    [None, Some(file.as_path())].map(|path| Partition::open(path, settings(1 << 30)).unwrap())
}

fn keyed(p: &mut Partition, records: &[(&'static str, Option<&'static str>)], now_ms: i64) {
    append(p, &BatchSpec::keyed(records), now_ms);
}

#[test]
fn the_newest_record_of_each_key_stays_with_its_offset() {
    let dir = tempfile::tempdir().unwrap();
    for mut p in both(dir.path()) {
        keyed(&mut p, &[("a", Some("1")), ("b", Some("1"))], 0);
        keyed(&mut p, &[("a", Some("2")), ("a", Some("3"))], 0);
        keyed(&mut p, &[("c", Some("1"))], 0);
        assert_eq!(p.compact(ALWAYS, 0).unwrap(), 2);
        assert_eq!(left(&p), [(1, "b".into()), (3, "a".into()), (4, "c".into())]);
        assert_eq!(p.next(), 5);
        append(&mut p, &BatchSpec::keyed(&[("d", Some("1"))]), 0);
        assert_eq!(left(&p).last(), Some(&(5, "d".into())));
    }
    let reopened = Partition::open(Some(&dir.path().join("p.log")), settings(1 << 30)).unwrap();
    assert_eq!(left(&reopened), [(1, "b".into()), (3, "a".into()), (4, "c".into()), (5, "d".into())]);
}

#[test]
fn compacting_twice_changes_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    for mut p in both(dir.path()) {
        keyed(&mut p, &[("a", Some("1")), ("a", Some("2"))], 0);
        assert_eq!(p.compact(ALWAYS, 0).unwrap(), 1);
        assert_eq!(p.compact(ALWAYS, 0).unwrap(), 0);
        assert_eq!(left(&p), [(1, "a".into())]);
    }
}

#[test]
fn a_tombstone_goes_after_its_retention_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    for mut p in both(dir.path()) {
        keyed(&mut p, &[("a", Some("1"))], 0);
        keyed(&mut p, &[("a", None)], 0);
        keyed(&mut p, &[("b", Some("1"))], 0);
        assert_eq!(p.compact(ALWAYS, 500).unwrap(), 1);
        assert_eq!(left(&p), [(1, "a".into()), (2, "b".into())]);
        keyed(&mut p, &[("c", Some("1"))], 2_000);
        assert_eq!(p.compact(ALWAYS, 2_000).unwrap(), 1);
        assert_eq!(left(&p), [(2, "b".into()), (3, "c".into())]);
    }
}

#[test]
fn aborted_records_go_and_do_not_shadow_older_ones() {
    let dir = tempfile::tempdir().unwrap();
    for mut p in both(dir.path()) {
        keyed(&mut p, &[("a", Some("kept"))], 0);
        let aborted = BatchSpec { records: vec![(Some("a"), Some("x"))], ..BatchSpec::transactional(1, 0, 0, 0) };
        append(&mut p, &aborted, 0);
        p.append_marker(&marker(1, 0, false, 0), 0).unwrap();
        keyed(&mut p, &[("b", Some("1"))], 0);
        assert_eq!(p.compact(ALWAYS, 0).unwrap(), 1);
        assert_eq!(left(&p), [(0, "a".into()), (3, "b".into())]);
        assert_eq!(p.aborted_in(0, 10).count(), 1, "readers are still told");
    }
}

#[test]
fn nothing_at_or_above_the_last_stable_offset_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    for mut p in both(dir.path()) {
        keyed(&mut p, &[("a", Some("1")), ("a", Some("2"))], 0);
        append(
            &mut p,
            &BatchSpec { records: vec![(Some("a"), Some("open"))], ..BatchSpec::transactional(1, 0, 0, 0) },
            0,
        );
        keyed(&mut p, &[("a", Some("3")), ("a", Some("4"))], 0);
        assert_eq!(p.compact(ALWAYS, 0).unwrap(), 1);
        let offsets: Vec<i64> = left(&p).into_iter().map(|r| r.0).collect();
        assert_eq!(offsets, [1, 2, 3, 4]);
    }
}

#[test]
fn young_records_and_clean_logs_are_left_alone() {
    let mut p = Partition::open(None, settings(1 << 30)).unwrap();
    keyed(&mut p, &[("a", Some("1")), ("a", Some("2"))], 1_000);
    assert_eq!(p.compact(Policy { min_lag_ms: 600, ..ALWAYS }, 1_500).unwrap(), 0);
    assert_eq!(p.compact(Policy { min_lag_ms: 600, ..ALWAYS }, 1_700).unwrap(), 1);
    keyed(&mut p, &[("a", Some("3"))], 1_700);
    assert_eq!(p.compact(Policy { dirty_ratio: 0.9, ..ALWAYS }, 1_700).unwrap(), 0, "half is clean");
    assert_eq!(p.compact(Policy { dirty_ratio: 0.9, max_lag_ms: 100, ..ALWAYS }, 1_900).unwrap(), 1, "too long dirty");
}

#[test]
fn the_newest_batch_stays_even_without_records() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.log");
    let mut p = Partition::open(Some(&path), settings(1 << 30)).unwrap();
    keyed(&mut p, &[("a", None)], 0);
    assert_eq!(p.compact(ALWAYS, 5_000).unwrap(), 1);
    drop(p);
    let p = Partition::open(Some(&path), settings(1 << 30)).unwrap();
    assert_eq!((left(&p).len(), p.next()), (0, 1));
}

#[test]
fn a_draft_that_a_crash_left_behind_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.log");
    let mut p = Partition::open(Some(&path), settings(1 << 30)).unwrap();
    keyed(&mut p, &[("a", Some("1")), ("a", Some("2"))], 0);
    std::fs::write(path.with_extension("clean"), b"half a draft").unwrap();
    assert_eq!(p.compact(ALWAYS, 0).unwrap(), 1);
    assert_eq!(left(&p), [(1, "a".into())]);
}

#[test]
fn a_partition_with_too_many_keys_is_compacted_up_to_where_they_end() {
    let dir = tempfile::tempdir().unwrap();
    for mut p in both(dir.path()) {
        for _ in 0..3 {
            keyed(&mut p, &[("long key", Some("1")), ("long key", Some("2"))], 0);
        }
        // The first batch fills the memory for keys: of what follows nothing is known, so nothing of it goes.
        assert_eq!(p.compact_within(ALWAYS, 0, 1).unwrap(), 1);
        assert_eq!(left(&p).iter().map(|r| r.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(p.compact(ALWAYS, 0).unwrap(), 4, "the rest is still dirty");
        assert_eq!(left(&p).iter().map(|r| r.0).collect::<Vec<_>>(), [5]);
    }
}
