//! Starting, stopping, and what is still there afterwards.
use crate::client::{Client, batch};
use elasticflow_devkafka::{Broker, CLUSTER_ID, Config, Error, Fsync};
use std::net::SocketAddr;
use std::time::Duration;

async fn beside<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(f).await.unwrap()
}

#[tokio::test]
async fn it_listens_on_loopback_and_refuses_any_other_address() {
    for listen in ["0.0.0.0:0", "192.0.2.1:9092", "[::]:0"] {
        let listen: SocketAddr = listen.parse().unwrap();
        let refused = Broker::start(Config { listen, ..Config::default() }).await.unwrap_err();
        assert!(matches!(refused, Error::NotLoopback(a) if a == listen));
        assert!(refused.to_string().contains("use 127.0.0.1"), "{refused}");
    }
    let b = Broker::start(Config::default()).await.unwrap();
    assert!(b.addr().ip().is_loopback() && b.addr().port() > 0);
    assert_eq!(b.bootstrap(), b.addr().to_string());
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let b = Broker::start(Config::default()).await.unwrap();
    let refused = Broker::start(Config { listen: b.addr(), ..Config::default() }).await.unwrap_err();
    assert!(refused.to_string().contains(&b.bootstrap()), "{refused}");
}

#[tokio::test]
async fn a_folder_that_another_broker_uses_is_refused_until_that_one_stops() {
    let dir = tempfile::tempdir().unwrap();
    let config = || Config { dir: Some(dir.path().into()), ..Config::default() };
    let first = Broker::start(config()).await.unwrap();
    assert!(matches!(Broker::start(config()).await.unwrap_err(), Error::FolderInUse(d) if d == dir.path()));
    drop(first);
    Broker::start(config()).await.unwrap();
}

#[tokio::test]
async fn it_says_what_it_is() {
    let b = Broker::start(Config::default()).await.unwrap();
    let addr = b.addr();
    let id = beside(move || Client::connect(addr).unwrap().metadata("t").unwrap()).await;
    assert_eq!(id, CLUSTER_ID);
}

#[tokio::test]
async fn records_survive_a_stop_under_every_policy() {
    for fsync in [Fsync::Never, Fsync::Journal, Fsync::Always] {
        let dir = tempfile::tempdir().unwrap();
        let config = || Config { dir: Some(dir.path().into()), fsync, ..Config::default() };
        for round in 0..3usize {
            let b = Broker::start(config()).await.unwrap();
            let addr = b.addr();
            let seen = beside(move || {
                let mut c = Client::connect(addr).unwrap();
                c.metadata("t").unwrap();
                let who = c.own("id").unwrap();
                for (i, commit) in [(0, true), (1, false), (2, true)] {
                    c.add("id", who, &["t"]).unwrap();
                    let value = format!("{round}-{i}");
                    assert_eq!(c.produce("t", Some("id"), batch(Some((who, i)), &value)).unwrap().0, 0);
                    c.end("id", who, commit).unwrap();
                }
                c.committed("t").unwrap()
            })
            .await;
            let want: Vec<String> = (0..=round).flat_map(|r| [format!("{r}-0"), format!("{r}-2")]).collect();
            assert_eq!(seen, want, "{fsync:?}");
            b.shutdown().await;
        }
    }
}

#[tokio::test]
async fn a_stopped_broker_answers_nobody_and_frees_its_port() {
    let b = Broker::start(Config::default()).await.unwrap();
    let addr = b.addr();
    let mut c = beside(move || {
        let mut c = Client::connect(addr).unwrap();
        c.ping().unwrap();
        c
    })
    .await;
    b.shutdown().await;
    beside(move || assert!(c.ping().is_err())).await;
    let again = Broker::start(Config { listen: addr, ..Config::default() }).await.unwrap();
    assert_eq!(again.addr(), addr);
}

#[tokio::test]
async fn a_waiting_fetch_is_woken_by_a_commit() {
    let b = Broker::start(Config::default()).await.unwrap();
    let addr = b.addr();
    beside(move || {
        let mut writer = Client::connect(addr).unwrap();
        writer.metadata("t").unwrap();
        let who = writer.own("id").unwrap();
        writer.add("id", who, &["t"]).unwrap();
        writer.produce("t", Some("id"), batch(Some((who, 0)), "v")).unwrap();
        // The fetch may wait longer than its client does: only the commit can complete it.
        let reader = std::thread::spawn(move || {
            let mut c = Client::connect(addr).unwrap();
            c.stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            c.fetch("t", 0, 3_600_000).unwrap().0.len()
        });
        writer.end("id", who, true).unwrap();
        assert_eq!(reader.join().unwrap(), 2, "the record and its marker");
    })
    .await;
}
