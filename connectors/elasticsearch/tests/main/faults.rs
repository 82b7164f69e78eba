//! Failures of the server: nothing is lost, nothing is written twice, nothing is silent.
use crate::fake::Fault;
use crate::harness::{Harness, documents, flat, key, partition, record, tombstone};
use elasticflow_api::ErrorClass;
use elasticflow_api::position::Offset;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn queue_full() -> serde_json::Value {
    json!({"type": "es_rejected_execution_exception", "reason": "rejected execution"})
}

#[tokio::test]
async fn only_the_items_that_were_turned_away_are_sent_again() {
    for status in [429, 503] {
        let mut sink = Harness::new(&[]).await;
        sink.server.lock().unwrap().faults.push_back(Fault::Items(vec!["1", "3"], status, queue_full()));
        sink.put_and_flush(documents(0, 5)).await.unwrap();
        let server = sink.server.lock().unwrap();
        assert_eq!(server.requests, [vec!["0", "1", "2", "3", "4"], vec!["1", "3"]]);
        assert_eq!(server.live("orders").len(), 5);
    }
}

#[tokio::test]
async fn a_request_that_is_turned_away_is_sent_again() {
    let mut sink = Harness::new(&[]).await;
    for status in [429, 502, 503, 504, 500] {
        sink.server.lock().unwrap().faults.push_back(Fault::Status(status, queue_full()));
    }
    sink.put_and_flush(documents(0, 3)).await.unwrap();
    assert_eq!(sink.server.lock().unwrap().requests.len(), 6);
    assert_eq!(sink.server.lock().unwrap().live("orders").len(), 3);
}

#[tokio::test]
async fn overload_without_end_is_a_transient_error_after_the_retries() {
    let mut sink = Harness::new(&[("max.retries", "3")]).await;
    for _ in 0..10 {
        sink.server.lock().unwrap().faults.push_back(Fault::Items(vec!["0"], 429, queue_full()));
    }
    let error = sink.put_and_flush(documents(0, 1)).await.unwrap_err();
    assert!(matches!(error.class, ErrorClass::Transient { .. }), "{error}");
    assert_eq!(sink.server.lock().unwrap().requests.len(), 4);
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_sending_again() {
    let mut sink = Harness::new(&[]).await;
    sink.server.lock().unwrap().faults.push_back(Fault::LoseAnswer);
    let mut records = documents(0, 3);
    records.push(record(3, key(1), tombstone()));
    let consumed = sink.put_and_flush(records).await.unwrap();
    assert_eq!(consumed.0[&partition()], Offset(4));
    let server = sink.server.lock().unwrap();
    assert_eq!(server.requests.len(), 2);
    assert_eq!(server.live("orders").keys().collect::<Vec<_>>(), ["0", "2"]);
    assert!(sink.rejections().is_empty());
}

#[tokio::test]
async fn a_server_down_for_a_minute_is_waited_for_and_nothing_is_lost() {
    let mut sink = Harness::new(&[("batch.size", "10")]).await;
    sink.put_and_flush(documents(0, 10)).await.unwrap();
    sink.server.lock().unwrap().down = true;
    let server = Arc::clone(&sink.server);
    sink.clock.at(Duration::from_secs(60), move || server.lock().unwrap().down = false);
    let consumed = sink.put_and_flush(documents(10, 200)).await.unwrap();
    assert_eq!(consumed.0[&partition()], Offset(210));
    assert_eq!(sink.server.lock().unwrap().live("orders").len(), 210);
}

#[tokio::test]
async fn a_server_down_for_too_long_is_a_transient_error_and_a_successor_goes_on() {
    let mut sink = Harness::new(&[("flush.timeout.ms", "30000")]).await;
    sink.put_and_flush(documents(0, 1)).await.unwrap();
    sink.server.lock().unwrap().down = true;
    let error = sink.put_and_flush(documents(1, 5)).await.unwrap_err();
    assert!(matches!(error.class, ErrorClass::Transient { .. }), "{error}");
    assert!(error.message.contains("does not answer"), "{error}");
    sink.server.lock().unwrap().down = false;
    sink.restart().await;
    sink.put_and_flush(documents(1, 5)).await.unwrap();
    assert_eq!(sink.server.lock().unwrap().live("orders").len(), 6);
}

#[tokio::test]
async fn a_mapping_conflict_is_rejected_with_the_servers_words_and_none_of_the_record() {
    let reason = "failed to parse field [n] of type [long] in document with id '2'. Preview of field's value: 'secret'";
    let conflict = || Fault::Items(vec!["2"], 400, json!({"type": "mapper_parsing_exception", "reason": reason}));
    let mut sink = Harness::new(&[]).await;
    sink.server.lock().unwrap().faults.push_back(conflict());
    let consumed = sink.put_and_flush(documents(0, 5)).await.unwrap();
    assert_eq!(consumed.0[&partition()], Offset(5));
    assert_eq!(sink.server.lock().unwrap().live("orders").len(), 4);
    let [(offset, reason)] = sink.rejections().try_into().unwrap();
    assert_eq!(
        (offset, reason.as_str()),
        (2, "index orders: 400 mapper_parsing_exception: failed to parse field [n] of type [long]")
    );

    sink.rejected.stop.store(true, Ordering::Relaxed);
    sink.server.lock().unwrap().faults.push_back(conflict());
    let error = sink.put_and_flush(vec![record(9, key(2), flat(2, 9))]).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Record);
}

#[tokio::test]
async fn refused_documents_can_be_left_out_on_purpose() {
    for behavior in ["IGNORE", "warn"] {
        let mut sink = Harness::new(&[("behavior.on.malformed.documents", behavior)]).await;
        let error = json!({"type": "strict_dynamic_mapping_exception", "reason": "mapping set to strict"});
        sink.server.lock().unwrap().faults.push_back(Fault::Items(vec!["0"], 400, error));
        sink.put_and_flush(documents(0, 2)).await.unwrap();
        assert!(sink.rejections().is_empty());
        assert_eq!(sink.server.lock().unwrap().live("orders").len(), 1);
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_halved_and_a_document_that_is_too_large_is_rejected() {
    let mut sink = Harness::new(&[]).await;
    sink.server.lock().unwrap().faults.push_back(Fault::TooLarge(500));
    sink.put_and_flush(documents(0, 20)).await.unwrap();
    assert_eq!(sink.server.lock().unwrap().live("orders").len(), 20);
    let before = sink.server.lock().unwrap().requests.len();
    sink.put_and_flush(documents(20, 20)).await.unwrap();
    let requests = sink.server.lock().unwrap().requests.len() - before;
    assert!(requests < before, "requests are made smaller from the start: {requests} after {before}");
    sink.server.lock().unwrap().faults[0] = Fault::TooLarge(10);
    sink.put_and_flush(documents(40, 1)).await.unwrap();
    assert!(sink.rejections()[0].1.contains("exceeds the server's limit"));
}

#[tokio::test]
async fn an_answer_that_cannot_be_understood_is_asked_for_twice_more_and_then_definite() {
    let mut sink = Harness::new(&[]).await;
    for _ in 0..2 {
        sink.server.lock().unwrap().faults.push_back(Fault::Nonsense);
    }
    sink.put_and_flush(documents(0, 1)).await.unwrap();
    for _ in 0..3 {
        sink.server.lock().unwrap().faults.push_back(Fault::Nonsense);
    }
    let error = sink.put_and_flush(documents(1, 1)).await.unwrap_err();
    assert_eq!((error.class, error.code), (ErrorClass::Definite, "ES-0030"));
}

#[tokio::test]
async fn rights_that_are_revoked_are_a_configuration_error() {
    let mut sink = Harness::new(&[]).await;
    sink.put_and_flush(documents(0, 1)).await.unwrap();
    let error = json!({"type": "security_exception", "reason": "action [indices:data/write/bulk] is unauthorized for user [x]"});
    sink.server.lock().unwrap().faults.push_back(Fault::Status(403, error));
    let error = sink.put_and_flush(documents(1, 1)).await.unwrap_err();
    assert_eq!((error.class, error.code), (ErrorClass::Config, "ES-0010"));
    assert!(error.message.contains("unauthorized"), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_waited_for() {
    let mut sink = Harness::new(&[]).await;
    let flood = json!({"type": "cluster_block_exception", "reason": "index [orders] blocked by: [TOO_MANY_REQUESTS/12/disk usage]"});
    for _ in 0..3 {
        sink.server.lock().unwrap().faults.push_back(Fault::Items(vec!["0"], 429, flood.clone()));
    }
    sink.put_and_flush(documents(0, 1)).await.unwrap();
    assert_eq!(sink.server.lock().unwrap().live("orders").len(), 1);
}

#[tokio::test]
async fn without_the_lease_nothing_is_sent() {
    let mut sink = Harness::new(&[]).await;
    sink.put_and_flush(documents(0, 1)).await.unwrap();
    sink.lease.0.store(false, Ordering::Relaxed);
    let error = sink.put_and_flush(documents(1, 1)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Fenced);
    assert_eq!(sink.server.lock().unwrap().live("orders").len(), 1);
}

#[tokio::test]
async fn nothing_is_written_for_a_partition_that_was_lost() {
    let mut sink = Harness::new(&[("linger.ms", "60000"), ("batch.size", "3")]).await;
    sink.put(documents(0, 3)).await.unwrap();
    sink.put(documents(3, 1)).await.unwrap();
    sink.task.close(&[partition()], true).await.unwrap();
    let consumed = sink.flush().await.unwrap();
    assert!(consumed.0.is_empty());
    assert!(!sink.server.lock().unwrap().live("orders").contains_key("3"));
}
