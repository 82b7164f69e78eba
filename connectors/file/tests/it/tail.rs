//! Growing files and their rotations.
use crate::fakes::Source;
use elasticflow_api::ErrorClass;
use elasticflow_api::config::Properties;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use tempfile::tempdir;

fn tail(input: &Path, pattern: &str) -> Properties {
    Properties::from_iter([
        ("input.path", input.to_str().unwrap()),
        ("input.file.pattern", pattern),
        ("topic", "t"),
        ("mode", "tail"),
        ("tail.partial.line.ms", "1000"),
        ("empty.poll.wait.ms", "10"),
    ])
}

fn append(file: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(file).unwrap().write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn half_a_line_is_held_until_it_ends() {
    let dir = tempdir().unwrap();
    let log = dir.path().join("app.log");
    append(&log, "one\ntw");
    let mut source = Source::start(&tail(dir.path(), r"app\.log"), &[]).await.unwrap();
    source.drain().await.unwrap();
    assert_eq!(source.texts(), ["one"]);
    append(&log, "o\nthree\nfo");
    source.drain().await.unwrap();
    assert_eq!(source.texts(), ["one", "two", "three"]);
    let mut next = Source::start(&tail(dir.path(), r"app\.log"), &source.stored).await.unwrap();
    append(&log, "ur\n");
    next.drain().await.unwrap();
    assert_eq!(next.texts(), ["four"]);
}

#[tokio::test]
async fn a_renamed_file_is_read_to_its_end_before_the_one_that_takes_its_name() {
    let dir = tempdir().unwrap();
    let log = dir.path().join("app.log");
    append(&log, "1\n");
    let mut source = Source::start(&tail(dir.path(), r"app\.log"), &[]).await.unwrap();
    source.drain().await.unwrap();
    append(&log, "2\n");
    fs::rename(&log, dir.path().join("app.log.1")).unwrap();
    append(&log, "4\n");
    source.poll().await.unwrap();
    // The writer has not noticed the rotation yet.
    append(&dir.path().join("app.log.1"), "3 without an end");
    source.clock.leap(10);
    source.drain().await.unwrap();
    source.clock.leap(2000);
    source.drain().await.unwrap();
    assert_eq!(source.texts(), ["1", "2", "3 without an end", "4"]);
    let mut next = Source::start(&tail(dir.path(), r"app\.log"), &source.stored).await.unwrap();
    append(&log, "5\n");
    next.drain().await.unwrap();
    assert_eq!(next.texts(), ["5"]);
}

#[tokio::test]
async fn a_rotation_while_no_task_runs_loses_and_repeats_nothing() {
    for pattern in [r"app\.log", r"app\.log.*"] {
        let dir = tempdir().unwrap();
        let log = dir.path().join("app.log");
        append(&log, "1\n");
        let mut first = Source::start(&tail(dir.path(), pattern), &[]).await.unwrap();
        first.drain().await.unwrap();
        append(&log, "2\n");
        fs::rename(&log, dir.path().join("app.log.1")).unwrap();
        append(&log, "3\n");
        let mut second = Source::start(&tail(dir.path(), pattern), &first.stored).await.unwrap();
        second.drain().await.unwrap();
        second.clock.leap(2000);
        second.drain().await.unwrap();
        let mut texts = second.texts();
        texts.sort();
        assert_eq!(texts, ["2", "3"], "{pattern}");
        let mut third = Source::start(&tail(dir.path(), pattern), &second.stored).await.unwrap();
        third.drain().await.unwrap();
        third.clock.leap(2000);
        third.drain().await.unwrap();
        assert_eq!(third.texts(), [""; 0], "{pattern}");
    }
}

#[tokio::test]
async fn a_chain_of_renames_among_wanted_names_repeats_nothing() {
    let dir = tempdir().unwrap();
    let log = dir.path().join("app.log");
    let numbered = |n: u32| dir.path().join(format!("app.log.{n}"));
    let pattern = r"app\.log.*";
    let mut stored = Vec::new();
    let mut all = Vec::new();
    for round in 0..4 {
        append(&log, &format!("{round}a\n"));
        let mut source = Source::start(&tail(dir.path(), pattern), &stored).await.unwrap();
        source.drain().await.unwrap();
        append(&log, &format!("{round}b\n"));
        for n in (1..4).rev() {
            if numbered(n).exists() {
                fs::rename(numbered(n), numbered(n + 1)).unwrap();
            }
        }
        fs::rename(&log, numbered(1)).unwrap();
        if round % 2 == 0 {
            // The task sees this rotation, the other one happens between two tasks.
            source.clock.leap(10);
            source.drain().await.unwrap();
            source.clock.leap(2000);
            source.drain().await.unwrap();
        }
        all.extend(source.texts());
        stored = source.stored;
    }
    let mut last = Source::start(&tail(dir.path(), pattern), &stored).await.unwrap();
    last.drain().await.unwrap();
    all.extend(last.texts());
    all.sort();
    assert_eq!(all, ["0a", "0b", "1a", "1b", "2a", "2b", "3a", "3b"]);
}

#[tokio::test]
async fn a_file_that_is_cut_is_read_from_its_beginning_or_stops_the_task() {
    let dir = tempdir().unwrap();
    let log = dir.path().join("app.log");
    append(&log, "one\ntwo\n");
    let properties = tail(dir.path(), r"app\.log");
    let mut source = Source::start(&properties, &[]).await.unwrap();
    let mut strict = Source::start(&properties.clone().with("tail.rotation", "rename"), &[]).await.unwrap();
    source.drain().await.unwrap();
    strict.drain().await.unwrap();
    fs::write(&log, "new\n").unwrap();
    source.drain().await.unwrap();
    assert_eq!(source.texts(), ["one", "two", "new"]);
    let error = strict.drain().await.unwrap_err();
    assert_eq!((error.class, error.code), (ErrorClass::Definite, "FILE-0021"));
    // Cut and grown beyond what was read: the beginning tells.
    fs::write(&log, "other\nlonger\nthan before\n").unwrap();
    let mut next = Source::start(&properties, &source.stored).await.unwrap();
    next.drain().await.unwrap();
    assert_eq!(next.texts(), ["other", "longer", "than before"]);
}

#[tokio::test]
async fn a_deleted_file_is_finished_and_one_that_vanished_half_read_stops_the_task() {
    let dir = tempdir().unwrap();
    let log = dir.path().join("app.log");
    append(&log, "1\n2\n3\n4\n5\n");
    let properties = tail(dir.path(), r"app\.log");
    let mut source = Source::start(&properties, &[]).await.unwrap();
    source.poll().await.unwrap();
    assert_eq!(source.texts(), ["1", "2", "3"]);
    fs::remove_file(&log).unwrap();
    let mut late = Source::start(&properties, &source.stored).await.unwrap();
    let error = late.drain().await.unwrap_err();
    assert_eq!((error.class, error.code), (ErrorClass::Definite, "FILE-0021"));
    source.drain().await.unwrap();
    source.clock.leap(2000);
    source.drain().await.unwrap();
    assert_eq!(source.texts(), ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn reading_from_the_end_begins_at_the_next_whole_line_and_stays_there() {
    let dir = tempdir().unwrap();
    let log = dir.path().join("app.log");
    append(&log, "old\nhal");
    let properties = tail(dir.path(), r"app\..*").with("tail.from", "end");
    let mut source = Source::start(&properties, &[]).await.unwrap();
    source.drain().await.unwrap();
    append(&log, "f\nnew\n");
    append(&dir.path().join("app.second"), "whole\n");
    source.drain().await.unwrap();
    let mut texts = source.texts();
    texts.sort();
    assert_eq!(texts, ["new", "whole"]);
    append(&dir.path().join("app.third"), "third\n");
    let mut next = Source::start(&properties, &source.stored).await.unwrap();
    next.drain().await.unwrap();
    assert_eq!(next.texts(), ["third"]);
}

#[tokio::test]
async fn a_new_file_with_the_inode_of_one_that_is_gone_is_read_from_its_beginning() {
    let (dir, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
    append(&dir.path().join("app.1"), "same\n");
    let mut source = Source::start(&tail(dir.path(), "app.*"), &[]).await.unwrap();
    source.drain().await.unwrap();
    let hidden = elsewhere.path().join("hidden");
    fs::rename(dir.path().join("app.1"), &hidden).unwrap();
    source.drain().await.unwrap();
    source.clock.leap(2000);
    source.drain().await.unwrap();
    // What comes back has the inode, as a new file has that the file system gives the inode of a deleted one to.
    append(&hidden, "more\n");
    fs::rename(&hidden, dir.path().join("app.9")).unwrap();
    source.drain().await.unwrap();
    assert_eq!(source.texts(), ["same", "same", "more"]);
}

#[tokio::test]
async fn a_compressed_neighbour_is_left_alone() {
    let dir = tempdir().unwrap();
    append(&dir.path().join("app.log"), "1\n");
    fs::write(dir.path().join("app.log.2.gz"), [0x1f, 0x8b, 8, 0, 255]).unwrap();
    let mut source = Source::start(&tail(dir.path(), "app.*"), &[]).await.unwrap();
    source.drain().await.unwrap();
    assert_eq!(source.texts(), ["1"]);
}

#[tokio::test]
async fn a_place_told_under_a_new_name_does_not_undo_the_records_read_after_it() {
    let dir = tempdir().unwrap();
    let log = dir.path().join("app.log");
    append(&log, "1\n");
    let mut first = Source::start(&tail(dir.path(), "app.*"), &[]).await.unwrap();
    first.drain().await.unwrap();
    append(&log, "2\n");
    fs::rename(&log, dir.path().join("app.log.1")).unwrap();
    let mut second = Source::start(&tail(dir.path(), "app.*"), &first.stored).await.unwrap();
    while second.records.is_empty() {
        second.poll().await.unwrap();
    }
    assert_eq!(second.texts(), ["2"]);
    let mut third = Source::start(&tail(dir.path(), "app.*"), &second.stored).await.unwrap();
    third.drain().await.unwrap();
    assert_eq!(third.texts(), [""; 0]);
}
