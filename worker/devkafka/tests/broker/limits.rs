//! Limits that a client runs into.
use crate::client::{Client, batch};
use elasticflow_devkafka::{Broker, CONTROL_FRAME_BYTES_MAX, Config, Limits};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

async fn broker(limits: Limits) -> Broker {
    Broker::start(Config { limits, ..Config::default() }).await.unwrap()
}

/// Whether the broker has closed the connection.
fn closed(c: &mut Client) -> bool {
    matches!(c.stream.read(&mut [0]), Ok(0)) || c.stream.take_error().unwrap().is_some()
}

/// Runs blocking code beside the broker.
async fn beside<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(f).await.unwrap()
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_a_free_place_is_taken_again() {
    let b = broker(Limits { connections: 2, ..Limits::default() }).await;
    let addr = b.addr();
    beside(move || {
        let mut open: Vec<Client> = (0..2).map(|_| Client::connect(addr).unwrap()).collect();
        open.iter_mut().for_each(|c| c.ping().unwrap());
        assert!(Client::connect(addr).unwrap().ping().is_err(), "the third is refused");
        open.iter_mut().for_each(|c| c.ping().unwrap());
        open.pop();
        let start = Instant::now();
        while Client::connect(addr).unwrap().ping().is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "the place is never free");
        }
    })
    .await;
}

#[tokio::test]
async fn frames_that_are_too_large_or_unknown_close_their_connection_alone() {
    let b = broker(Limits { frame_bytes: 1_000, ..Limits::default() }).await;
    let addr = b.addr();
    beside(move || {
        let mut other = Client::connect(addr).unwrap();
        let control = u32::try_from(CONTROL_FRAME_BYTES_MAX).unwrap() + 1;
        // Length, API key and version; Produce has a limit of its own.
        for (length, key, version) in [(control, 3u16, 9u16), (1_001, 0, 9), (7, 3, 9), (100, 3, 99), (100, 777, 0)] {
            let mut c = Client::connect(addr).unwrap();
            let head = [&length.to_be_bytes()[..], &key.to_be_bytes(), &version.to_be_bytes(), &[0; 4]].concat();
            c.stream.write_all(&head).unwrap();
            assert!(closed(&mut c), "{length} {key} {version}");
            other.ping().unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn an_array_that_is_longer_than_its_frame_closes_the_connection() {
    let b = broker(Limits::default()).await;
    let addr = b.addr();
    beside(move || {
        let mut c = Client::connect(addr).unwrap();
        // Metadata 4, no client id, 2,147,483,647 topics.
        let body = [&[0, 3, 0, 4, 0, 0, 0, 1, 0xff, 0xff][..], &i32::MAX.to_be_bytes(), &[0]].concat();
        c.stream.write_all(&[&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()).unwrap();
        assert!(closed(&mut c));
        Client::connect(addr).unwrap().ping().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_full_memory_refuses_records_and_serves_everything_else() {
    const POLICY_VIOLATION: i16 = 44;
    let b = broker(Limits { memory_bytes: 10_000, ..Limits::default() }).await;
    let addr = b.addr();
    beside(move || {
        let mut c = Client::connect(addr).unwrap();
        c.metadata("t").unwrap();
        let codes: Vec<i16> =
            (0..200).map(|i| c.produce("t", None, batch(None, &format!("value {i}"))).unwrap().0).collect();
        let stored = codes.iter().filter(|code| **code == 0).count();
        assert!((10..200).contains(&stored), "{stored}");
        assert!(codes[stored..].iter().all(|code| *code == POLICY_VIOLATION));
        assert_eq!(c.committed("t").unwrap().len(), stored);
    })
    .await;
}

#[tokio::test]
async fn requests_share_little_room_and_all_get_through() {
    let b = broker(Limits { in_flight_bytes: 4_096, ..Limits::default() }).await;
    let addr = b.addr();
    beside(move || {
        Client::connect(addr).unwrap().metadata("t").unwrap();
        std::thread::scope(|scope| {
            for w in 0..4 {
                scope.spawn(move || {
                    let mut c = Client::connect(addr).unwrap();
                    for i in 0..20 {
                        let value = format!("{w}-{i}-{}", "x".repeat(3_000));
                        assert_eq!(c.produce("t", None, batch(None, &value)).unwrap().0, 0);
                    }
                });
            }
        });
        assert_eq!(Client::connect(addr).unwrap().committed("t").unwrap().len(), 80);
    })
    .await;
}
