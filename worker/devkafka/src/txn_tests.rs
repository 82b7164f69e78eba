use super::*;
use crate::clock::Moment;
use crate::config::{Config, Limits};
use crate::log::split;
use crate::testing::BatchSpec;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

const NAMES: NamesFencing = NamesFencing(true);

fn state() -> State {
    let config = Config { limits: Limits { names: 3, ..Limits::default() }, ..Config::default() };
    let mut s = State::new(&config, SocketAddr::from((Ipv4Addr::LOCALHOST, 9092)));
    s.create_topic("t", 1, BTreeMap::new()).unwrap();
    s
}

fn at(s: &mut State, wall_ms: i64) {
    s.now = Moment { wall_ms, ..Moment::default() };
}

/// Begins a transaction with one record.
fn write(s: &mut State, id: &str, who: Identity, sequence: i32) -> Result<(), Code> {
    s.extend_txn(id, |x| _ = x.partitions.insert(("t".into(), 0)));
    s.may_write(Some(id), who, "t", 0)?;
    let batch = split(BatchSpec::transactional(who.producer_id, who.epoch, sequence, 1).bytes())?.remove(0);
    s.partition("t", 0).unwrap().append(&batch, 0, false).map(drop)
}

fn stable(s: &mut State) -> (i64, i64) {
    let p = s.partition("t", 0).unwrap();
    (p.last_stable(), p.next())
}

#[test]
fn each_owner_gets_a_higher_epoch_and_shuts_the_last_one_out() {
    let mut s = state();
    let first = s.take_over("id", 1_000, None, NAMES).unwrap();
    write(&mut s, "id", first, 0).unwrap();
    let second = s.take_over("id", 1_000, None, NAMES).unwrap();
    assert_eq!((second.producer_id, second.epoch), (first.producer_id, first.epoch + 1));
    assert_eq!(stable(&mut s), (2, 2), "its record was aborted");
    assert_eq!(s.end("id", first, true, NAMES), Err(code::PRODUCER_FENCED));
    assert_eq!(s.end("id", first, true, NamesFencing(false)), Err(code::INVALID_PRODUCER_EPOCH));
    assert_eq!(write(&mut s, "id", first, 1), Err(code::INVALID_PRODUCER_EPOCH));
    assert_eq!(write(&mut s, "id", second, 0), Ok(()));
}

#[test]
fn a_client_that_claims_what_it_does_not_own_is_refused() {
    let mut s = state();
    let who = s.take_over("id", 1_000, None, NAMES).unwrap();
    let stale = Identity { epoch: who.epoch - 1, ..who };
    assert_eq!(s.take_over("id", 1_000, Some(stale), NAMES), Err(code::PRODUCER_FENCED));
    assert_eq!(s.take_over("id", 1_000, Some(who), NAMES).unwrap().epoch, who.epoch + 1);
}

#[test]
fn a_producer_id_is_replaced_before_its_epoch_runs_out() {
    let mut s = state();
    let first = s.take_over("id", 1_000, None, NAMES).unwrap();
    s.txns.get_mut("id").unwrap().epoch = EPOCH_MAX - 1;
    let next = s.take_over("id", 1_000, None, NAMES).unwrap();
    assert!(next.producer_id != first.producer_id && next.epoch == 0);
}

#[test]
fn wrong_time_outs_and_names_are_refused() {
    let mut s = state();
    for timeout in [0, -1, TIMEOUT_MAX_MS + 1] {
        assert_eq!(s.take_over("id", timeout, None, NAMES), Err(code::INVALID_TRANSACTION_TIMEOUT));
    }
    assert_eq!(s.take_over("", 1_000, None, NAMES), Err(code::INVALID_REQUEST));
}

#[test]
fn a_transaction_that_is_too_old_is_aborted_and_its_owner_shut_out() {
    let mut s = state();
    at(&mut s, 10_000);
    let who = s.take_over("id", 1_000, None, NAMES).unwrap();
    write(&mut s, "id", who, 0).unwrap();
    at(&mut s, 11_000);
    s.expire_txns();
    assert_eq!(stable(&mut s), (0, 1), "not yet");
    at(&mut s, 11_001);
    s.expire_txns();
    assert_eq!(stable(&mut s), (2, 2));
    assert_eq!(s.end("id", who, true, NAMES), Err(code::PRODUCER_FENCED));
}

#[test]
fn a_batch_needs_an_open_transaction_that_has_its_partition() {
    let mut s = state();
    let who = s.take_over("id", 1_000, None, NAMES).unwrap();
    assert_eq!(s.may_write(None, who, "t", 0), Err(code::INVALID_TXN_STATE));
    assert_eq!(s.may_write(Some("id"), who, "t", 0), Err(code::INVALID_TXN_STATE));
    s.extend_txn("id", |x| _ = x.partitions.insert(("t".into(), 0)));
    assert_eq!(s.may_write(Some("id"), who, "t", 0), Ok(()));
    assert_eq!(s.may_write(Some("id"), who, "t", 1), Err(code::INVALID_TXN_STATE));
    let stranger = Identity { producer_id: who.producer_id + 1, ..who };
    assert_eq!(s.may_write(Some("id"), stranger, "t", 0), Err(code::INVALID_PRODUCER_ID_MAPPING));
}

#[test]
fn the_same_end_may_be_asked_for_again_and_no_other() {
    let mut s = state();
    let who = s.take_over("id", 1_000, None, NAMES).unwrap();
    assert_eq!(s.end("id", who, true, NAMES), Err(code::INVALID_TXN_STATE), "nothing was ever open");
    write(&mut s, "id", who, 0).unwrap();
    assert_eq!(s.end("id", who, true, NAMES), Ok(()));
    assert_eq!(s.end("id", who, true, NAMES), Ok(()));
    assert_eq!(s.end("id", who, false, NAMES), Err(code::INVALID_TXN_STATE));
    assert_eq!(stable(&mut s), (2, 2), "one marker");
}

#[test]
fn ids_are_limited_and_forgotten_when_nobody_uses_them() {
    let mut s = state();
    for id in ["a", "b", "c"] {
        s.take_over(id, 1_000, None, NAMES).unwrap();
    }
    assert_eq!(s.take_over("d", 1_000, None, NAMES), Err(code::POLICY_VIOLATION));
    at(&mut s, EXPIRATION_MS + 1);
    s.forget_txns();
    assert!(s.txns.is_empty());
    assert!(s.take_over("d", 1_000, None, NAMES).is_ok());
}
