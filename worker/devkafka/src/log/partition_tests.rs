use super::*;
use crate::log::marker::marker;
use crate::log::split;
use crate::testing::{BatchSpec, settings};
use proptest::prelude::{any, prop, proptest};

const PLENTY: usize = 1 << 30;

fn batch(spec: &BatchSpec) -> Batch {
    split(spec.bytes()).unwrap().remove(0)
}

fn open(path: &Path) -> Partition {
    Partition::open(Some(path), settings(PLENTY)).unwrap()
}

fn append(p: &mut Partition, spec: &BatchSpec) -> i64 {
    p.append(&batch(spec), 0, false).unwrap().base
}

/// Offsets of the batches that a reader gets.
fn bases(p: &Partition, from: i64, to: i64) -> Vec<i64> {
    let bytes = p.read(from, to, PLENTY).unwrap();
    split_stored(bytes).iter().map(|b| b.header.base).collect()
}

fn split_stored(mut bytes: Bytes) -> Vec<Batch> {
    let mut all = vec![];
    while let Some(total) = Header::parse(&bytes).and_then(|h| h.total()) {
        all.push(Batch::whole(bytes.split_to(total)).unwrap());
    }
    all
}

#[test]
fn offsets_are_dense_and_reads_return_whole_batches_from_the_one_that_holds_the_offset() {
    let dir = tempfile::tempdir().unwrap();
    for mut p in [Partition::open(None, settings(PLENTY)).unwrap(), open(&dir.path().join("p.log"))] {
        assert_eq!([2, 3, 1].map(|n| append(&mut p, &BatchSpec::plain(n))), [0, 2, 5]);
        assert_eq!(p.next(), 6);
        assert_eq!(bases(&p, 3, 6), [2, 5]);
        assert_eq!(bases(&p, 0, 2), [0], "nothing from the end on");
        assert!(p.read(6, 6, PLENTY).unwrap().is_empty());
        let one = p.read(0, 6, 1).unwrap();
        assert_eq!(split_stored(one).len(), 1, "at least one batch, however little is asked for");
    }
}

#[test]
fn a_file_gives_back_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.log");
    let mut p = open(&path);
    append(&mut p, &BatchSpec::plain(2));
    append(&mut p, &BatchSpec::transactional(7, 1, 0, 3));
    p.append_marker(&marker(7, 1, false, 5), 5).unwrap();
    append(&mut p, &BatchSpec::transactional(8, 0, 0, 1));
    drop(p);
    let mut p = open(&path);
    assert_eq!((p.start(), p.next(), p.last_stable()), (0, 7, 6));
    assert_eq!(p.aborted_in(0, 7).map(|a| (a.producer_id, a.first, a.last)).collect::<Vec<_>>(), [(7, 2, 5)]);
    let again = p.append(&batch(&BatchSpec::transactional(8, 0, 0, 1)), 0, false).unwrap();
    assert_eq!(again, Appended { base: 6, duplicate: true }, "sequences are rebuilt too");
    assert_eq!(append(&mut p, &BatchSpec::transactional(8, 0, 1, 1)), 7);
}

#[test]
fn a_torn_tail_is_cut_off_wherever_it_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.log");
    let mut p = open(&path);
    append(&mut p, &BatchSpec::plain(2));
    append(&mut p, &BatchSpec::plain(2));
    drop(p);
    let whole = std::fs::read(&path).unwrap();
    let second = whole.len() / 2;
    for end in second..whole.len() {
        std::fs::write(&path, &whole[..end]).unwrap();
        let mut p = open(&path);
        assert_eq!(p.next(), 2, "torn at {end}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), second as u64);
        assert_eq!(append(&mut p, &BatchSpec::plain(1)), 2, "what follows goes where the tail was");
        drop(p);
        assert_eq!(open(&path).next(), 3);
    }
}

#[test]
fn a_batch_whose_checksum_is_wrong_ends_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.log");
    let mut p = open(&path);
    (0..3).for_each(|_| _ = append(&mut p, &BatchSpec::plain(1)));
    drop(p);
    let mut bytes = std::fs::read(&path).unwrap();
    let second = bytes.len() / 3;
    bytes[second + 65] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(open(&path).next(), 1);
}

#[test]
fn the_last_stable_offset_is_the_first_open_transaction() {
    let mut p = Partition::open(None, settings(PLENTY)).unwrap();
    append(&mut p, &BatchSpec::plain(2));
    append(&mut p, &BatchSpec::transactional(1, 0, 0, 1));
    append(&mut p, &BatchSpec::transactional(2, 0, 0, 1));
    append(&mut p, &BatchSpec::plain(1));
    assert_eq!(p.last_stable(), 2);
    p.append_marker(&marker(1, 0, true, 0), 0).unwrap();
    assert_eq!(p.last_stable(), 3);
    p.append_marker(&marker(2, 0, false, 0), 0).unwrap();
    assert_eq!(p.last_stable(), p.next());
}

#[test]
fn a_cut_head_cannot_be_read_and_the_next_offset_survives_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.log");
    let mut p = open(&path);
    (0..3).for_each(|_| _ = append(&mut p, &BatchSpec::plain(2)));
    assert_eq!(p.cut_head(3, 0), 3);
    assert_eq!(bases(&p, 3, 6), [2, 4], "the batch that holds the new start stays whole");
    assert_eq!(p.cut_head(100, 0), 6, "no further than the end");
    assert_eq!((p.start(), p.next()), (6, 6));
    p.reclaim_above(1).unwrap();
    drop(p);
    let mut p = open(&path);
    assert_eq!(p.cut_head(6, 0), 6);
    assert_eq!(append(&mut p, &BatchSpec::plain(1)), 6);
    assert_eq!(bases(&p, 6, 7), [6]);
}

#[test]
fn reclaiming_gives_the_space_of_a_cut_head_back_and_keeps_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.log");
    let mut p = open(&path);
    (0..10).for_each(|_| _ = append(&mut p, &BatchSpec::plain(1)));
    let full = std::fs::metadata(&path).unwrap().len();
    p.cut_head(8, 0);
    p.reclaim_above(1).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), full / 5);
    assert_eq!(bases(&p, 8, 10), [8, 9]);
    assert_eq!(append(&mut p, &BatchSpec::plain(1)), 10);
    drop(p);
    assert_eq!(bases(&open(&path), 8, 11), [8, 9, 10]);
}

#[test]
fn retention_cuts_old_and_surplus_batches_and_stops_at_an_open_transaction() {
    let mut p = Partition::open(None, settings(PLENTY)).unwrap();
    for t in [100, 200, 300] {
        append(&mut p, &BatchSpec { timestamp: t, ..BatchSpec::plain(1) });
    }
    assert_eq!(p.expired(1_000, 750, -1), 2, "older than 250");
    let each = i64::try_from(p.bytes()).unwrap() / 3;
    assert_eq!(p.expired(0, -1, each), 2, "only one fits");
    assert_eq!(p.expired(i64::MAX, -1, -1), 0, "without limits nothing goes");
    append(&mut p, &BatchSpec::transactional(1, 0, 0, 1));
    assert_eq!(p.expired(i64::MAX, 0, -1), 3);
}

#[test]
fn a_full_memory_refuses_batches_and_never_markers() {
    let mut p = Partition::open(None, settings(500)).unwrap();
    let mut stored = 0;
    let refused = loop {
        match p.append(&batch(&BatchSpec::plain(1)), 0, false) {
            Ok(_) => stored += 1,
            Err(e) => break e,
        }
    };
    assert_eq!(refused, code::POLICY_VIOLATION);
    assert!((1..10).contains(&stored), "{stored}");
    p.append_marker(&marker(1, 0, true, 0), 0).unwrap();
    p.cut_head(p.next(), 0);
    assert!(p.append(&batch(&BatchSpec::plain(1)), 0, false).is_ok(), "what is cut off gives its memory back");
}

#[test]
fn a_dropped_partition_gives_its_memory_back() {
    let shared = settings(PLENTY);
    let mut p = Partition::open(None, shared.clone()).unwrap();
    append(&mut p, &BatchSpec::plain(5));
    assert!(shared.memory.used.load(Ordering::Relaxed) > 0);
    drop(p);
    assert_eq!(shared.memory.used.load(Ordering::Relaxed), 0);
}

#[test]
fn search_by_time_finds_the_first_record_not_older() {
    let mut p = Partition::open(None, settings(PLENTY)).unwrap();
    for t in [100, 300, 200] {
        append(&mut p, &BatchSpec { timestamp: t, ..BatchSpec::plain(2) });
    }
    assert_eq!(p.at_time(0, 6), Some((0, 100)));
    assert_eq!(p.at_time(150, 6), Some((2, 300)));
    assert_eq!(p.at_time(301, 6), None);
    assert_eq!(p.at_time(150, 2), None, "not beyond the end that may be seen");
    assert_eq!(p.at_max_time(), Some((2, 300)));
    p.cut_head(4, 0);
    assert_eq!((p.at_time(150, 6), p.at_max_time()), (Some((4, 200)), Some((4, 200))));
}

proptest! {
    #[test]
    fn any_file_opens_and_takes_batches(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.log");
        std::fs::write(&path, &bytes).unwrap();
        let mut p = open(&path);
        assert_eq!(p.next(), 0, "random bytes have no sound batch");
        assert_eq!(append(&mut p, &BatchSpec::plain(1)), 0);
    }

    #[test]
    fn a_mutated_file_opens_as_a_prefix_of_what_was_written(at in 0usize..300, flip in 1u8..) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.log");
        let mut p = open(&path);
        (0..3).for_each(|n| _ = append(&mut p, &BatchSpec::transactional(1, 0, n, 1)));
        drop(p);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        std::fs::write(&path, &bytes).unwrap();
        let p = open(&path);
        // Base offset and leader epoch lie outside the checksum: a changed base may only grow.
        assert!(p.entries.len() <= 3 && p.next() >= p.entries.len() as i64);
    }
}
