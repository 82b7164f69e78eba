//! The transaction journal at every crash point, and what else a start has to put right.
use super::*;
use crate::clock::Moment;
use crate::code;
use crate::config::Config;
use crate::log::split;
use crate::testing::BatchSpec;
use crate::txn::{Identity, NamesFencing};
use std::net::{Ipv4Addr, SocketAddr};

const NAMES: NamesFencing = NamesFencing(true);

fn start(dir: &Path) -> State {
    try_start(dir).unwrap()
}

fn try_start(dir: &Path) -> Result<State, Error> {
    let config = Config { dir: Some(dir.into()), ..Config::default() };
    let mut state = State::new(&config, SocketAddr::from((Ipv4Addr::LOCALHOST, 9092)));
    state.now = Moment { wall_ms: 1_000, ..Moment::default() };
    state.recover(dir)?;
    Ok(state)
}

fn append(s: &mut State, topic: &str, spec: &BatchSpec) {
    let batch = split(spec.bytes()).unwrap().remove(0);
    s.partition(topic, 0).unwrap().append(&batch, 0, false).unwrap();
}

/// Two topics; a transaction with a record in each and an offset of a group.
fn transaction(s: &mut State) -> Identity {
    for t in ["a", "b"] {
        s.create_topic(t, 1, BTreeMap::new()).unwrap();
    }
    let who = s.take_over("id", 1_000, None, NAMES).unwrap();
    s.extend_txn("id", |x| {
        x.partitions.extend([("a".to_owned(), 0), ("b".to_owned(), 0)]);
        x.groups.insert("g".into());
    });
    for t in ["a", "b"] {
        append(s, t, &BatchSpec::transactional(who.producer_id, who.epoch, 0, 2));
    }
    let pending = Pending { topic: "a".into(), partition: 0, committed: committed(7, -1, None) };
    s.journal.write(&Line::txn_offset(who.producer_id, "g", "a", 0, &pending.committed));
    s.group("g").unwrap().pending_offsets.entry(who.producer_id).or_default().push(pending);
    who
}

/// What readers can see: last stable offset, end and aborted ranges of both partitions, and the group's offset.
fn view(s: &mut State) -> (Vec<(i64, i64, usize)>, Option<i64>) {
    let of = |s: &mut State, t| {
        let p = s.partition(t, 0).unwrap();
        (p.last_stable(), p.next(), p.aborted_in(0, 100).count())
    };
    let parts = vec![of(s, "a"), of(s, "b")];
    (parts, s.groups.get("g").and_then(|g| g.offsets.get(&("a".into(), 0))).map(|c| c.offset))
}

/// The folder as it was when the journal had its first `lines` and each log its first `bytes`.
fn cut(from: &Path, journal: &str, lines: usize, logs: [u64; 2]) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    let text: String = journal.split_inclusive('\n').take(lines).collect();
    std::fs::write(to.path().join(FILE), text).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".log") {
            let bytes = std::fs::read(&path).unwrap();
            let keep = logs[usize::from(name.starts_with('b'))] as usize;
            std::fs::write(to.path().join(&name), &bytes[..keep]).unwrap();
        }
    }
    to
}

fn log_bytes(dir: &Path) -> [u64; 2] {
    let size = |topic: char| {
        let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap());
        let ours = |e: &std::fs::DirEntry| {
            let name = e.file_name().to_str().unwrap().to_owned();
            name.starts_with(topic) && name.ends_with(".log")
        };
        entries.filter(ours).map(|e| e.metadata().unwrap().len()).sum()
    };
    [size('a'), size('b')]
}

/// Ends a transaction, then replays every state of the folder that a kill could have left behind.
fn every_crash_point(commit: bool) {
    let dir = tempfile::tempdir().unwrap();
    let mut s = start(dir.path());
    let who = transaction(&mut s);
    let before = log_bytes(dir.path());
    let lines_before = std::fs::read_to_string(dir.path().join(FILE)).unwrap().lines().count();
    s.end("id", who, commit, NAMES).unwrap();
    drop(s);
    let after = log_bytes(dir.path());
    let journal = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
    let lines_after = journal.lines().count();
    assert_eq!(lines_after - lines_before, if commit { 3 } else { 2 }, "prep, the offset of a commit, txn");
    let ended = if commit { (vec![(3, 3, 0); 2], Some(7)) } else { (vec![(3, 3, 1); 2], None) };

    let undecided = cut(dir.path(), &journal, lines_before, before);
    assert_eq!(view(&mut start(undecided.path())), (vec![(0, 2, 0); 2], None), "not decided: still open");
    for marker_in_a in [before[0], before[0] + 20, after[0]] {
        for marker_in_b in [before[1], before[1] + 20, after[1]] {
            let crashed = cut(dir.path(), &journal, lines_before + 1, [marker_in_a, marker_in_b]);
            let mut s = start(crashed.path());
            assert_eq!(view(&mut s), ended, "markers cut at {marker_in_a} and {marker_in_b}");
            drop(s);
            assert_eq!(view(&mut start(crashed.path())), ended, "a second start changes nothing");
        }
    }
    for lines in lines_before + 2..=lines_after {
        let crashed = cut(dir.path(), &journal, lines, after);
        let mut s = start(crashed.path());
        assert_eq!(view(&mut s), ended, "{lines} lines");
        assert_eq!(s.end("id", who, commit, NAMES), Ok(()), "the owner may ask again for the end it asked for");
        assert_eq!(s.end("id", who, !commit, NAMES), Err(code::INVALID_TXN_STATE));
    }
}

#[test]
fn a_decided_commit_is_finished_after_a_crash_at_any_step() {
    every_crash_point(true);
}

#[test]
fn a_decided_abort_is_finished_after_a_crash_at_any_step() {
    every_crash_point(false);
}

#[test]
fn an_open_transaction_stays_open_and_its_next_owner_aborts_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = start(dir.path());
    let who = transaction(&mut s);
    drop(s);
    let mut s = start(dir.path());
    assert_eq!(view(&mut s), (vec![(0, 2, 0); 2], None));
    let next = s.take_over("id", 1_000, None, NAMES).unwrap();
    assert_eq!((next.producer_id, next.epoch), (who.producer_id, who.epoch + 1));
    assert_eq!(view(&mut s), (vec![(3, 3, 1); 2], None));
    assert!(s.groups.get("g").is_none_or(|g| g.pending_offsets.is_empty()));
    assert_eq!(s.owner("id", who, NAMES), Err(code::PRODUCER_FENCED));
}

#[test]
fn a_torn_line_is_cut_off_and_what_follows_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = start(dir.path());
    s.create_topic("kept", 2, BTreeMap::new()).unwrap();
    drop(s);
    let path = dir.path().join(FILE);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], br#"{"k":"topic","t":"torn","n":1,"id""#].concat()).unwrap();
    let mut s = start(dir.path());
    assert_eq!(s.topics.keys().collect::<Vec<_>>(), ["kept"]);
    s.create_topic("later", 1, BTreeMap::new()).unwrap();
    drop(s);
    assert_eq!(start(dir.path()).topics.keys().collect::<Vec<_>>(), ["kept", "later"]);
}

#[test]
fn a_damaged_line_in_the_middle_stops_the_start_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(start(dir.path()));
    let path = dir.path().join(FILE);
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{whole}not json\n{{\"k\":\"pid\",\"n\":5}}\n")).unwrap();
    let line = whole.lines().count() + 1;
    assert!(matches!(try_start(dir.path()), Err(Error::Journal { line: l, .. }) if l == line));
    std::fs::write(&path, "{\"k\":\"format\",\"v\":99}\n").unwrap();
    let refused = try_start(dir.path()).unwrap_err().to_string();
    assert!(refused.contains("format 99, this version reads 1"), "{refused}");
}

#[test]
fn everything_in_the_journal_comes_back_and_a_rewrite_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = start(dir.path());
    s.create_topic("t", 3, BTreeMap::from([("cleanup.policy".into(), "compact".into())])).unwrap();
    s.create_topic("gone", 1, BTreeMap::new()).unwrap();
    s.delete_topic("gone").unwrap();
    append(&mut s, "t", &BatchSpec::plain(5));
    s.cut_partition("t", 0, 2).unwrap();
    s.commit_offset("g", "t", 1, committed(4, 0, Some(Cow::Borrowed("note"))));
    let who = s.take_over("id", 5_000, None, NAMES).unwrap();
    let tell = |s: &State| (s.next_producer_id, s.lines().iter().map(Line::text).collect::<Vec<_>>());
    let before = tell(&s);
    drop(s);
    for _ in 0..2 {
        let s = start(dir.path());
        assert_eq!(tell(&s), before);
        assert_eq!(s.topics["t"].partitions[0].start(), 2);
        assert_eq!(s.owner("id", who, NAMES), Ok(()));
    }
}

#[test]
fn files_of_deleted_topics_go_and_other_peoples_files_stay() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = start(dir.path());
    s.create_topic("t", 1, BTreeMap::new()).unwrap();
    drop(s);
    let put = |name: &str| std::fs::write(dir.path().join(name), b"x").unwrap();
    ["deleted-topic-0-0123abcd.log", "t-0-0123abcd.clean"].into_iter().for_each(put);
    ["server.log", "t-0.log", "notes.txt", "a-b-0123abcd.log"].into_iter().for_each(put);
    drop(start(dir.path()));
    let mut left: Vec<String> =
        std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.retain(|n| !n.starts_with("t-0-"));
    left.sort();
    assert_eq!(left, ["a-b-0123abcd.log", "broker.lock", "meta.journal", "notes.txt", "server.log", "t-0.log"]);
}

#[test]
fn a_folder_has_one_broker() {
    let dir = tempfile::tempdir().unwrap();
    let first = start(dir.path());
    assert!(matches!(try_start(dir.path()), Err(Error::FolderInUse(d)) if d == dir.path()));
    drop(first);
    start(dir.path());
}

#[test]
fn a_journal_that_cannot_be_written_stops_the_broker() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = start(dir.path());
    s.journal.file = Some(File::open(dir.path().join(FILE)).unwrap()); // read only: writing fails
    assert_eq!(s.stopped(), Ok(()));
    s.new_producer_id();
    assert!(s.stopped().unwrap_err().contains("metadata journal cannot be written"));
}

#[test]
fn an_overgrown_journal_is_rewritten_while_the_broker_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = start(dir.path());
    s.create_topic("t", 1, BTreeMap::new()).unwrap();
    for offset in 0..1_000 {
        s.commit_offset("g", "t", 0, committed(offset, -1, None));
    }
    let grown = std::fs::metadata(dir.path().join(FILE)).unwrap().len();
    assert_eq!(s.journal.bytes, grown);
    s.tick(true);
    assert_eq!(s.journal.bytes, grown, "not large enough to be worth it");
    s.journal.bytes = super::super::GROWTH_MAX + 1;
    s.tick(true);
    assert!(s.journal.bytes < grown / 10 && s.journal.bytes == std::fs::metadata(dir.path().join(FILE)).unwrap().len());
    s.commit_offset("g", "t", 0, committed(5_000, -1, None));
    drop(s);
    assert_eq!(start(dir.path()).groups["g"].offsets[&("t".into(), 0)].offset, 5_000);
}
