//! The embedded development broker: one process, one node, the Kafka protocol on loopback, transactions included.
//!
//! For a first run without Kafka and for fast tests with real transactions; never for production, and it says so: its
//! `cluster_id` is [`CLUSTER_ID`]. One lock guards all state, one file holds a partition, one journal holds everything else.
//!
//! Invariants: a batch is acknowledged after its `write`; a transaction ends as journal `prep` -> markers -> group offsets
//! -> journal `txn`, and a `prep` without its `txn` is finished at the next start. So data survives `kill -9`; whether it
//! survives a power loss depends on the operating system. Absent on purpose: replication, TLS, SASL, ACLs, quotas, transactions
//! of KIP-890, any listener beyond loopback.
mod admin;
mod code;
mod data;
mod error;
mod group;
mod groups;
mod housekeeping;
mod journal;
mod log;
mod modern;
mod net;
mod offsets;
mod state;
mod txn;

pub use error::Error;
pub(crate) use net::put;
use state::State;
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// What the broker answers as its cluster id.
pub const CLUSTER_ID: &str = "devbroker";

/// How often timers are looked at: sessions, transaction time-outs.
const TICK: Duration = Duration::from_millis(50);

/// What a broker needs to start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Loopback address to listen on; port 0 takes a free one, see [`Broker::addr`].
    pub listen: SocketAddr,
    /// Where logs and the journal live; `None` keeps everything in memory.
    pub dir: Option<PathBuf>,
    /// Partitions of a topic that is created without a count, or on first use.
    pub partitions: i32,
    /// How long an empty classic group waits for more members before its first generation.
    pub initial_rebalance: Duration,
}
impl Default for Config {
    /// In memory, on a free port of 127.0.0.1.
    fn default() -> Self {
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            dir: None,
            partitions: 1,
            initial_rebalance: Duration::from_millis(50),
        }
    }
}

/// A running broker; dropping it stops it without waiting.
pub struct Broker {
    addr: SocketAddr,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}
impl Drop for Broker {
    fn drop(&mut self) {
        for t in &self.tasks {
            t.abort()
        }
    }
}

pub(crate) struct Shared {
    st: Mutex<State>,
    /// Woken by everything that may make a waiting Fetch complete.
    pub(crate) changed: Notify,
}
impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.st.lock().unwrap()
    }
}

/// Advertised (api key, lowest version, highest version).
pub(crate) const APIS: &[(i16, i16, i16)] = &[
    (0, 3, 9),  // Produce
    (1, 4, 12), // Fetch: names, not topic ids
    (2, 1, 8),  // ListOffsets
    (3, 0, 12), // Metadata
    (8, 2, 9),  // OffsetCommit
    (9, 1, 9),  // OffsetFetch
    (10, 0, 4), // FindCoordinator
    (11, 0, 9), // JoinGroup
    (12, 0, 4), // Heartbeat
    (13, 0, 5), // LeaveGroup
    (14, 0, 5), // SyncGroup
    (15, 0, 5), // DescribeGroups
    (16, 0, 4), // ListGroups
    (18, 0, 3), // ApiVersions
    (19, 2, 7), // CreateTopics
    (20, 1, 5), // DeleteTopics
    (21, 0, 2), // DeleteRecords
    (22, 0, 4), // InitProducerId
    (23, 2, 4), // OffsetForLeaderEpoch
    (24, 0, 3), // AddPartitionsToTxn: stops before KIP-890
    (25, 0, 3), // AddOffsetsToTxn
    (26, 0, 3), // EndTxn
    (28, 0, 3), // TxnOffsetCommit
    (32, 1, 4), // DescribeConfigs
    (33, 0, 2), // AlterConfigs
    (37, 0, 3), // CreatePartitions
    (42, 0, 2), // DeleteGroups
    (44, 0, 1), // IncrementalAlterConfigs
    (47, 0, 0), // OffsetDelete
    (60, 0, 1), // DescribeCluster
    (68, 0, 1), // ConsumerGroupHeartbeat (KIP-848)
    (69, 0, 0), // ConsumerGroupDescribe
];

impl Broker {
    /// Starts a broker on the current tokio runtime.
    pub async fn start(c: Config) -> Result<Broker, Error> {
        if !c.listen.ip().is_loopback() {
            return Err(Error::NotLoopback(c.listen));
        }
        let listen = |source| Error::Listen { address: c.listen, source };
        let l = tokio::net::TcpListener::bind(c.listen).await.map_err(listen)?;
        let addr = l.local_addr().map_err(listen)?;
        let folder = |source| Error::Folder { dir: c.dir.clone().unwrap_or_default(), source };
        if let Some(d) = &c.dir {
            std::fs::create_dir_all(d).map_err(folder)?
        }
        let mut s = State {
            topics: BTreeMap::new(),
            groups: BTreeMap::new(),
            txns: HashMap::new(),
            next_pid: 1000,
            journal: None,
            dir: c.dir.clone(),
            nparts: c.partitions,
            port: addr.port(),
            initial: c.initial_rebalance,
        };
        if let Some(d) = &c.dir {
            s.replay(d).map_err(|e| folder(std::io::Error::other(e.to_string())))?
        }
        let sh = Arc::new(Shared { st: Mutex::new(s), changed: Notify::new() });
        Ok(Broker { addr, tasks: vec![tokio::spawn(accept(Arc::clone(&sh), l)), tokio::spawn(tick(sh))] })
    }
    /// The address the broker listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
    /// `host:port`, as `bootstrap.servers` wants it.
    pub fn bootstrap(&self) -> String {
        self.addr.to_string()
    }
    /// Stops the broker and waits until it has let go of its port and files.
    pub async fn shutdown(mut self) {
        for t in self.tasks.drain(..) {
            t.abort();
            drop(t.await);
        }
    }
}
async fn accept(sh: Arc<Shared>, l: tokio::net::TcpListener) {
    let mut set = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            r = l.accept() => if let Ok((s, _)) = r {
                let sh = Arc::clone(&sh);
                set.spawn(async move {
                    if let Err(e) = net::conn(sh, s).await {
                        tracing::debug!(error = %e, "connection closed")
                    }
                });
            },
            _ = set.join_next(), if !set.is_empty() => {}
        }
    }
}
async fn tick(sh: Arc<Shared>) {
    let mut n = 0u64;
    loop {
        tokio::time::sleep(TICK).await;
        n += 1;
        if sh.state().tick(n) {
            sh.changed.notify_waiters()
        }
    }
}
