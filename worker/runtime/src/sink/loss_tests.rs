//! Records that were deleted before they were read.
use crate::testing::{Fixture, Hook, SinkScript, SinkType, until};
use crate::{Runtime, TaskKind};
use std::sync::Arc;

const KINDS: [SinkType; 3] = [SinkType::Idempotent, SinkType::Transactional, SinkType::TwoPhase];
const KEYS: [(&str, &str); 2] = [("topics", "in"), ("commit.interval.ms", "50")];

fn written(fixture: &Fixture, values: std::ops::Range<usize>) {
    let all: Vec<_> = values.map(|n| (format!("k{n}"), format!("v{n:03}"))).collect();
    fixture.kafka.write("in", &all.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>());
}

/// A sink of one partition that has read twenty records.
async fn read_twenty(kind: SinkType) -> (Arc<SinkScript>, Fixture, Runtime) {
    let script = SinkScript::new(kind, |_| Hook::Go);
    let fixture = Fixture::with(script.registry());
    fixture.kafka.create("in", 1);
    written(&fixture, 0..20);
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Sink, &KEYS)).unwrap();
    until("it has read them", || fixture.kafka.group_offset("connect-c", "in", 0) == Some(20)).await;
    (script, fixture, runtime)
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_was_away_when_unread_records_were_deleted_says_how_many_and_jumps_over_none() {
    for kind in KINDS {
        let (script, fixture, runtime) = read_twenty(kind).await;
        runtime.shut_down().await;
        written(&fixture, 20..30);
        fixture.kafka.delete_records("in", 0, 27);
        let again = fixture.runtime();
        again.start_task(fixture.spec(TaskKind::Sink, &KEYS)).unwrap();
        let trace = fixture.failure().await;
        let told = "FLOW-0014 OFFSET_GONE: the next record is not in the topic any more, 7 records are lost";
        assert!(trace.contains(told), "{kind:?}: {trace}");
        assert!(trace.contains("in-0: expected offset 20, earliest 27, 7 records lost"), "{kind:?}: {trace}");
        assert!(trace.contains("POST /flow/v1/connectors/c/accept-loss"), "{kind:?}: {trace}");
        assert_eq!(fixture.kafka.group_offset("connect-c", "in", 0), Some(20), "{kind:?}");
        assert_eq!(script.values().len(), 20, "{kind:?}");
        again.shut_down().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_shorter_than_what_was_read_of_it_was_made_again() {
    for kind in KINDS {
        let (_script, fixture, runtime) = read_twenty(kind).await;
        runtime.shut_down().await;
        fixture.kafka.delete("in");
        fixture.kafka.create("in", 1);
        written(&fixture, 0..5);
        let again = fixture.runtime();
        again.start_task(fixture.spec(TaskKind::Sink, &KEYS)).unwrap();
        let trace = fixture.failure().await;
        assert!(trace.contains("FLOW-0014 OFFSET_GONE"), "{kind:?}: {trace}");
        assert!(
            trace.contains("in-0: expected offset 20, but it ends at 5 (earliest 0): it was re-created or cut"),
            "{kind:?}: {trace}"
        );
        again.shut_down().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_start_of_a_group_begins_where_the_topic_does_now() {
    let script = SinkScript::new(SinkType::Idempotent, |_| Hook::Go);
    let fixture = Fixture::with(script.registry());
    fixture.kafka.create("in", 1);
    written(&fixture, 0..20);
    fixture.kafka.delete_records("in", 0, 15);
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Sink, &KEYS)).unwrap();
    until("it has read what there is", || fixture.kafka.group_offset("connect-c", "in", 0) == Some(20)).await;
    assert_eq!(script.values().len(), 5);
}
