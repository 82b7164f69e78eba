//! Three brokers of one cluster, from `scripts/services`: killed, frozen, restarted one after the other.
use crate::worker::signal;
use anyhow::{Context, Result, bail, ensure};
use std::process::Command;
use std::time::{Duration, Instant};

mod metadata;

pub use metadata::{Metadata, coordinator_partition};

/// Pause between two looks at the cluster.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A cluster whose brokers all run has every replica in sync by then.
const WHOLE_MAX: Duration = Duration::from_secs(120);
const SERVICES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services");

/// Number of a broker: 1, 2 or 3.
pub type Node = i32;
/// All of them.
pub const NODES: [Node; 3] = [1, 2, 3];

/// The brokers; those that this started end with it.
pub struct Brokers {
    addresses: Vec<String>,
    ours: bool,
    frozen: Option<(Node, libc::pid_t)>,
}

impl Brokers {
    /// Starts the brokers at the addresses of `EF_KAFKA3`, unless they run.
    ///
    /// # Errors
    /// One does not start: what it said is in the text.
    pub async fn up(addresses: &str) -> Result<Self> {
        let ran = NODES.iter().all(|node| pid(*node).is_ok());
        let addresses: Vec<String> = addresses.split(',').map(str::to_owned).collect();
        ensure!(addresses.len() == NODES.len(), "EF_KAFKA3 names {} brokers instead of three", addresses.len());
        let brokers = Self { addresses, ours: !ran, frozen: None };
        services(&["up", "kafka3"]).await?;
        brokers.whole().await?;
        Ok(brokers)
    }

    /// All addresses, as `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.addresses.join(",")
    }

    /// Ends a broker as an upgrade does, and starts it again.
    ///
    /// # Errors
    /// It does not come back.
    pub async fn restart(&self, node: Node) -> Result<()> {
        services(&["restart", &name(node)]).await
    }

    /// Kills a broker with -9.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&self, node: Node) -> Result<()> {
        signal(pid(node)?, libc::SIGKILL)
    }

    /// Starts a broker that was killed.
    ///
    /// # Errors
    /// It does not come back.
    pub async fn start(&self, node: Node) -> Result<()> {
        services(&["up", &name(node)]).await
    }

    /// Stops every thread of a broker where it stands: connections to it stay, and nothing is answered.
    ///
    /// # Errors
    /// It does not run, or another one is frozen.
    pub fn freeze(&mut self, node: Node) -> Result<()> {
        ensure!(self.frozen.is_none(), "another broker is frozen");
        let pid = pid(node)?;
        signal(pid, libc::SIGSTOP)?;
        self.frozen = Some((node, pid));
        Ok(())
    }

    /// Lets the frozen broker go on.
    ///
    /// # Errors
    /// It is gone.
    pub fn thaw(&mut self) -> Result<()> {
        match self.frozen.take() {
            Some((_, pid)) => signal(pid, libc::SIGCONT),
            None => Ok(()),
        }
    }

    /// The cluster as a broker that answers sees it.
    ///
    /// # Errors
    /// None answers.
    pub async fn metadata(&self) -> Result<Metadata> {
        let frozen = self.frozen.map(|(node, _)| node);
        for (node, address) in NODES.iter().zip(&self.addresses) {
            if Some(*node) == frozen {
                continue;
            }
            if let Ok(metadata) = Metadata::of(address).await {
                return Ok(metadata);
            }
        }
        bail!("no broker of {} answers", self.bootstrap())
    }

    /// Waits until every broker is there and every replica in sync: only then may the next one go.
    ///
    /// # Errors
    /// They are not in time.
    pub async fn whole(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            let missing = match self.metadata().await {
                Ok(metadata) => metadata.missing(NODES.len()),
                Err(error) => Some(error.to_string()),
            };
            let Some(missing) = missing else { return Ok(()) };
            ensure!(began.elapsed() < WHOLE_MAX, "the cluster is not whole after {WHOLE_MAX:?}: {missing}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The leader of a partition.
    ///
    /// # Errors
    /// There is none in time.
    pub async fn leader(&self, topic: &str, partition: i32) -> Result<Node> {
        let began = Instant::now();
        loop {
            if let Some(node) = self.metadata().await?.leader(topic, partition) {
                return Ok(node);
            }
            ensure!(began.elapsed() < WHOLE_MAX, "partition {partition} of topic {topic} has no leader");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The broker that coordinates a group, or what has a transactional id: the leader of its partition of an internal
    /// topic (`__consumer_offsets`, `__transaction_state`).
    ///
    /// # Errors
    /// The topic is not there in time.
    pub async fn coordinator(&self, topic: &str, id: &str) -> Result<Node> {
        let partitions = self.metadata().await?.partitions(topic).with_context(|| format!("no topic {topic}"))?;
        self.leader(topic, coordinator_partition(id, partitions)).await
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        drop(self.thaw());
        if self.ours {
            drop(Command::new(SERVICES).args(["down", "kafka3"]).output());
        }
    }
}

fn name(node: Node) -> String {
    format!("kafka3-{node}")
}

/// Runs `scripts/services`.
async fn services(arguments: &[&str]) -> Result<()> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let said = format!("scripts/services {}", arguments.join(" "));
    let run = tokio::task::spawn_blocking(move || Command::new(SERVICES).args(arguments).output());
    let output = run.await?.with_context(|| format!("cannot run {said}"))?;
    ensure!(output.status.success(), "{said}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The process of a broker, as `scripts/services status` tells it: name, state, pid.
fn pid(node: Node) -> Result<libc::pid_t> {
    let output = Command::new(SERVICES).args(["status", &name(node)]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let row = text.lines().find(|line| line.starts_with(&name(node))).unwrap_or_default();
    let pid = row.split_whitespace().nth(2).and_then(|word| word.parse().ok());
    pid.with_context(|| format!("broker {node} does not run: {row}"))
}
