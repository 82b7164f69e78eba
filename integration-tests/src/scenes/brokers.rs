//! Three workers with generators and a sink on three brokers that are restarted, killed and frozen.
use super::cluster::{CALM_MAX, Expected, Group};
use crate::asking::{Asking, Heard};
use crate::brokers::{Brokers, NODES, Node};
use crate::ledger::Report;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Workers of the group.
const WORKERS: usize = 3;
/// Generators beside the sink that reads all of their topics.
const GENERATORS: usize = 4;
/// How long a broker stays frozen at least: past the session of brokers (nine seconds) and that of workers (ten).
const FROZEN_MIN: Duration = Duration::from_secs(15);

/// Whom a disturbance hits.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    /// The leader of the config topic.
    ConfigTopic,
    /// The coordinator of the workers' own group, on which their leases depend.
    Group,
    /// The coordinator of the transactions of the config topic's writer.
    Writer,
    /// The coordinator of a generator's transactions.
    Source,
    /// The leader of the topic of leases that says who leads.
    Leadership,
}

/// What is done to a broker.
#[derive(Debug, Clone, Copy)]
pub enum Disturbance {
    /// Every broker is ended as an upgrade does, one after the other, each once all replicas are in sync again.
    Roll,
    /// One is killed with -9, and started again once everything runs without it.
    Kill(Role),
    /// One is frozen, and goes on once everything runs without it.
    Freeze(Role),
}

/// How long things took after a disturbance began.
#[derive(Debug, Default)]
pub struct Took {
    /// Until all tasks were shown as RUNNING and every generator had written more.
    pub without: Duration,
    /// The same from the moment on at which the broker was there again.
    pub with: Duration,
}

/// Everything that takes part.
pub struct Scene {
    group: Group,
    expected: Expected,
    asking: Asking,
    brokers: Brokers,
}

/// How it ended.
pub struct Ended {
    /// Each generator against its topic, and against the sink.
    pub reports: BTreeMap<String, Report>,
    /// What the workers said meanwhile.
    pub heard: Heard,
    /// The ends of the workers' logs.
    pub logs: String,
}

impl Scene {
    /// Starts workers, generators and a sink.
    ///
    /// # Errors
    /// A part does not start.
    pub async fn start(dir: &Path, addresses: &str, load: (u64, u64)) -> Result<Self> {
        let brokers = Brokers::up(addresses).await?;
        let mut group = Group::new(dir, &brokers.bootstrap(), load, 3)?;
        for topic in ["config", "offset", "status"] {
            group.set(&format!("{topic}.storage.replication.factor"), "3");
        }
        for _ in 0..WORKERS {
            group.join().await?;
        }
        let expected = group.expected().await?;
        for number in 0..GENERATORS {
            group.generate(&format!("g{number}")).await?;
        }
        group.collect().await?;
        group.await_all_running(CALM_MAX).await?;
        let asking = Asking::begin(group.workers.iter().map(|worker| worker.rest()).collect()).await?;
        Ok(Self { group, expected, asking, brokers })
    }

    /// Disturbs, and waits until everything goes on: all tasks RUNNING, and more records of every generator.
    ///
    /// # Errors
    /// Something does not go on in time.
    pub async fn disturb(&mut self, how: Disturbance, within: Duration) -> Result<Took> {
        match how {
            Disturbance::Roll => {
                let mut took = Took::default();
                for node in NODES {
                    self.brokers.restart(node).await?;
                    took.without = took.without.max(self.goes_on(within).await?);
                    self.brokers.whole().await?;
                }
                took.with = self.goes_on(within).await?;
                Ok(took)
            }
            Disturbance::Kill(role) => {
                let node = self.node(role).await?;
                self.brokers.kill(node)?;
                let without = self.goes_on(within).await.with_context(|| format!("without broker {node}"))?;
                self.brokers.start(node).await?;
                self.brokers.whole().await?;
                Ok(Took { without, with: self.goes_on(within).await? })
            }
            Disturbance::Freeze(role) => {
                let node = self.node(role).await?;
                let began = Instant::now();
                self.brokers.freeze(node)?;
                let without = self.goes_on(within).await.with_context(|| format!("with broker {node} frozen"))?;
                tokio::time::sleep(FROZEN_MIN.saturating_sub(began.elapsed())).await;
                self.brokers.thaw()?;
                self.brokers.whole().await?;
                Ok(Took { without, with: self.goes_on(within).await? })
            }
        }
    }

    async fn goes_on(&mut self, within: Duration) -> Result<Duration> {
        let began = Instant::now();
        self.group.await_progress(within).await?;
        self.group.await_all_running(within.saturating_sub(began.elapsed())).await?;
        Ok(began.elapsed())
    }

    async fn node(&self, role: Role) -> Result<Node> {
        let (group, brokers) = (self.group.id(), &self.brokers);
        match role {
            Role::ConfigTopic => brokers.leader(&format!("{group}-configs"), 0).await,
            Role::Leadership => brokers.leader(&format!("{group}-leader"), 0).await,
            Role::Group => brokers.coordinator("__consumer_offsets", &group).await,
            Role::Writer => brokers.coordinator("__transaction_state", &format!("connect-cluster-{group}")).await,
            Role::Source => brokers.coordinator("__transaction_state", &format!("{group}-g0-0")).await,
        }
    }

    /// Waits until every generator has written everything, and the sink has shown it.
    ///
    /// # Errors
    /// What was acknowledged is lost, or something cannot be read.
    pub async fn finish(self) -> Result<Ended> {
        let logs = self.group.logs();
        let mut reports = self.group.collected(&self.expected).await?;
        let heard = self.asking.end().await.with_context(|| self.group.logs())?;
        reports.extend(self.group.reports(&self.expected).await?);
        Ok(Ended { reports, heard, logs })
    }
}
