//! What a broker needs to start, and every limit it keeps.
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// What is forced to the disk before an answer leaves the broker.
///
/// Whatever the choice, everything acknowledged survives `kill -9` of the process: it is written to the operating system
/// before the answer. The choice matters when the machine itself stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Nothing is forced. A power loss may take the last seconds of everything.
    #[default]
    Never,
    /// The metadata journal at every line, and the partitions of a transaction before it counts as decided: topics,
    /// group offsets and committed transactions survive a power loss; the tail of plain batches may be lost.
    Journal,
    /// Also every batch before it is acknowledged.
    Always,
}

/// Limits that keep a broken or hostile client from taking the process down.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at once; one more is closed at once with a warning in the log.
    pub connections: usize,
    /// Largest Produce request. Every other request is limited by [`CONTROL_FRAME_BYTES_MAX`].
    pub frame_bytes: usize,
    /// Bytes of requests and answers held at once for all connections; more wait their turn.
    pub in_flight_bytes: usize,
    /// Bytes of records (without a folder) and of the index (always) held in memory; more batches are refused.
    pub memory_bytes: usize,
    /// Partitions of all topics together: each holds a file open.
    pub partitions: usize,
    /// Consumer groups, and transactional ids.
    pub names: usize,
    /// Members of one group.
    pub group_members: usize,
}

/// Largest request that is not Produce: names and numbers only.
pub const CONTROL_FRAME_BYTES_MAX: usize = 4 << 20;

/// Largest answer to one Fetch, unless its first batch alone is larger. Kafka's `fetch.max.bytes`.
pub const FETCH_BYTES_MAX: usize = 55 << 20;

/// Array elements in one request, all arrays together: bounds what decoding it allocates.
pub const REQUEST_ELEMENTS_MAX: usize = 100_000;

/// Bytes a compressed batch may expand to when the broker looks inside (compaction, search by time).
pub const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

impl Default for Limits {
    /// Room for about a hundred clients on a developer's machine.
    fn default() -> Self {
        Limits {
            connections: 1_000,
            frame_bytes: 100 << 20,
            in_flight_bytes: 256 << 20,
            memory_bytes: 1 << 30,
            partitions: 4_000,
            names: 10_000,
            group_members: 500,
        }
    }
}

/// What a broker needs to start.
///
/// ```
/// # use elasticflow_devkafka::Config;
/// let in_memory = Config::default();
/// let kept = Config { dir: Some("/tmp/broker".into()), ..Config::default() };
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// Loopback address to listen on; port 0 takes a free one, see [`Broker::addr`](crate::Broker::addr).
    pub listen: SocketAddr,
    /// Where logs and the journal live; `None` keeps everything in memory.
    pub dir: Option<PathBuf>,
    /// Partitions of a topic that is created without a count, or on first use.
    pub partitions: i32,
    /// How long an empty classic group waits for more members before its first generation.
    pub initial_rebalance: Duration,
    /// How often compaction and retention run.
    pub cleaning_interval: Duration,
    /// What is forced to the disk.
    pub fsync: Fsync,
    /// Limits on clients and memory.
    pub limits: Limits,
}

impl Default for Config {
    /// In memory, on a free port of 127.0.0.1.
    fn default() -> Self {
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            dir: None,
            partitions: 1,
            initial_rebalance: Duration::from_millis(50),
            cleaning_interval: Duration::from_secs(3),
            fsync: Fsync::Never,
            limits: Limits::default(),
        }
    }
}
