//! A broker that is killed with -9 while transactions run. The ledger knows what was acknowledged.
use crate::client::{Client, Owner, batch};
use anyhow::Result;
use elasticflow_devkafka::{Broker, Config};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const KILLS: usize = 20;
const DIR: &str = "DEVKAFKA_TEST_DIR";
const ADDR: &str = "DEVKAFKA_TEST_ADDR";

/// Not a test of its own: the process that [`committed_transactions_are_whole_and_once_after_kills`] kills.
#[test]
fn broker_process() {
    let (Ok(dir), Ok(addr)) = (std::env::var(DIR), std::env::var(ADDR)) else { return };
    let config = Config { listen: addr.parse().unwrap(), dir: Some(dir.into()), ..Config::default() };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let _broker = Broker::start(config).await.unwrap();
        std::future::pending::<()>().await;
    });
}

fn start(dir: &Path, addr: SocketAddr) -> Child {
    let mut broker = Command::new(std::env::current_exe().unwrap());
    broker.args(["--exact", "kill::broker_process"]).env(DIR, dir).env(ADDR, addr.to_string());
    broker.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Connects as soon as the broker is there.
fn connect(addr: SocketAddr) -> Client {
    let start = Instant::now();
    loop {
        match Client::connect(addr).and_then(|mut c| c.ping().map(|()| c)) {
            Ok(c) => return c,
            Err(e) => assert!(start.elapsed() < Duration::from_secs(30), "the broker does not come back: {e:#}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What was asked for and what was promised.
#[derive(Default)]
struct Ledger {
    next: u64,
    acknowledged: BTreeSet<u64>,
    /// Asked for, no answer.
    unknown: BTreeSet<u64>,
}

impl Ledger {
    /// Writes numbers to both topics, one a transaction, until something fails; every fifth is aborted.
    fn write(&mut self, c: &mut Client, stop: &AtomicBool) -> Result<()> {
        let who = c.own("ledger")?;
        for sequence in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let n = self.next;
            self.next += 1;
            self.transaction(c, who, sequence, n)?;
        }
        Ok(())
    }

    fn transaction(&mut self, c: &mut Client, who: Owner, sequence: i32, n: u64) -> Result<()> {
        c.add("ledger", who, &["left", "right"])?;
        for t in ["left", "right"] {
            let (code, _) = c.produce(t, Some("ledger"), batch(Some((who, sequence)), &n.to_string()))?;
            anyhow::ensure!(code == 0, "code {code}");
        }
        if n % 5 == 4 {
            return c.end("ledger", who, false);
        }
        self.unknown.insert(n);
        c.end("ledger", who, true)?;
        self.unknown.remove(&n);
        self.acknowledged.insert(n);
        Ok(())
    }

    fn check(&self, left: &[String], right: &[String]) {
        assert_eq!(left, right, "a transaction is visible in both topics or in none");
        let seen: Vec<u64> = left.iter().map(|n| n.parse().unwrap()).collect();
        assert!(seen.windows(2).all(|w| w[0] < w[1]), "once each, in order: {seen:?}");
        let seen: BTreeSet<u64> = seen.into_iter().collect();
        let lost: Vec<_> = self.acknowledged.difference(&seen).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let strange: Vec<_> =
            seen.iter().filter(|n| !self.acknowledged.contains(n) && !self.unknown.contains(n)).collect();
        assert!(strange.is_empty(), "never committed and visible: {strange:?}");
    }
}

#[test]
fn committed_transactions_are_whole_and_once_after_kills() {
    let seed = rand::random();
    println!("seed {seed}");
    let dir = tempfile::tempdir().unwrap();
    let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (stop, mut ledger) = (AtomicBool::new(false), Ledger::default());
    let mut broker = start(dir.path(), addr);
    let mut c = connect(addr);
    ["left", "right"].iter().for_each(|t| drop(c.metadata(t).unwrap()));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Any failure means the broker is gone: the next owner finishes or aborts what is open.
                let _ = ledger.write(&mut connect(addr), &stop);
            }
        });
        let mut random = SmallRng::seed_from_u64(seed);
        for _ in 0..KILLS {
            drop(connect(addr));
            std::thread::sleep(Duration::from_millis(random.random_range(5..80)));
            broker.kill().unwrap();
            broker.wait().unwrap();
            broker = start(dir.path(), addr);
        }
        drop(connect(addr));
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
    let mut c = connect(addr);
    c.own("ledger").unwrap(); // aborts what the last owner left open
    let (left, right) = (c.committed("left").unwrap(), c.committed("right").unwrap());
    broker.kill().unwrap();
    broker.wait().unwrap();
    println!("{} acknowledged, {} unknown, {} visible", ledger.acknowledged.len(), ledger.unknown.len(), left.len());
    assert!(!ledger.acknowledged.is_empty(), "nothing was written between the kills");
    ledger.check(&left, &right);
}
