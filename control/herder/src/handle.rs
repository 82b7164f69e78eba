//! The herder as its clients see it.
use crate::answer::{Health, HealthState, ServerInfo};
use crate::command::{Answer, Command};
use crate::error::HerderError;
use crate::figures::Figures;
use crate::letters::Letters;
use crate::options::HerderOptions;
use crate::ports::{Membership, References};
use crate::view::View;
use elasticflow_api::clock::Clock;
use elasticflow_api::position::TaskId;
use elasticflow_api::registry::Registry;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

mod changes;
mod group;
mod offsets;
mod reads;

pub(crate) use reads::{info_of, status_of};

/// The loop has ended with a request in its hands.
pub const ENDED: &str =
    "the worker has ended before it could answer; what was asked for may have been done: look before asking again";

/// What validation needs to know of the worker.
pub struct WorkerContext {
    /// Settings.
    pub options: HerderOptions,
    /// Plug-ins.
    pub registry: Arc<Registry>,
    /// `${provider:...}`.
    pub references: Arc<dyn References>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Who leads the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leader {
    /// Nobody, or nobody knows yet.
    Unknown,
    /// This worker.
    Here,
    /// The worker whose REST endpoint has this URL.
    At(String),
}

/// A cheap clone through which a worker is asked and told; every operation of the REST endpoint is one method.
///
/// Reads are answered from memory, never behind a slow operation. What changes state goes to the loop over a bounded
/// channel and is answered once it is in the config topic. Every method waits at most `request_timeout`.
#[derive(Clone)]
pub struct HerderHandle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) view: Arc<View>,
    pub(crate) context: Arc<WorkerContext>,
    pub(crate) letters: Arc<Letters>,
    pub(crate) ready: watch::Receiver<bool>,
    pub(crate) leader: watch::Receiver<Leader>,
    pub(crate) membership: Arc<dyn Membership>,
}

impl HerderHandle {
    /// Settings, plug-ins and references of this worker.
    pub fn context(&self) -> &Arc<WorkerContext> {
        &self.context
    }

    /// How the worker is; never waits.
    pub fn health(&self) -> Health {
        self.view.health.read().clone()
    }

    /// `GET /`.
    pub fn server_info(&self) -> ServerInfo {
        ServerInfo {
            version: self.context.options.connect_version.clone(),
            commit: self.context.options.commit.clone(),
            kafka_cluster_id: self.view.cluster_id.read().clone(),
        }
    }

    /// Whether this worker leads its group; never waits.
    pub fn leads(&self) -> bool {
        *self.leader.borrow() == Leader::Here
    }

    /// Counts for metrics; never waits.
    pub fn figures(&self) -> Figures {
        let leader = match &*self.leader.borrow() {
            Leader::Unknown => None,
            Leader::Here => Some(self.context.options.url.clone()),
            Leader::At(url) => Some(url.clone()),
        };
        let figures = self.view.tally.figures(self.context.clock.monotonic());
        Figures { leader, group: self.membership.figures(), ..figures }
    }

    /// Returns once everything that is in the config topic now is shown here too.
    ///
    /// # Errors
    /// `Timeout` while Kafka is away.
    pub async fn sync(&self) -> Result<(), HerderError> {
        self.ask(|answer| Command::Sync { answer }).await
    }

    /// Offset of the last record of the config topic that is shown here; never waits.
    pub fn read_to(&self) -> i64 {
        *self.view.read_to.borrow()
    }

    /// Returns once the config topic is shown here up to an offset: sooner than [`Self::sync`], which asks for the end.
    ///
    /// # Errors
    /// `Timeout` while Kafka is away.
    pub async fn await_read(&self, offset: i64) -> Result<(), HerderError> {
        let mut read_to = self.view.read_to.subscribe();
        let reached = read_to.wait_for(|at| *at >= offset);
        match tokio::time::timeout(self.context.options.request_timeout, reached).await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.too_slow()),
        }
    }

    /// Whether an instance of a task is still the one that is to run: the lease holds by this worker's clock, and neither
    /// the set of tasks nor the mapping in the config topic says otherwise.
    pub async fn is_current(&self, task: &TaskId, generation: u64) -> bool {
        let read = self.sync().await;
        let task = task.clone();
        read.is_ok() && self.ask(|answer| Command::Current { task, generation, answer }).await.unwrap_or(false)
    }

    /// Waits until it is known who leads; an error unless it is this worker.
    pub(crate) async fn lead(&self) -> Result<(), HerderError> {
        self.readable().await?;
        let mut leader = self.leader.clone();
        let known = leader.wait_for(|leader| *leader != Leader::Unknown);
        match tokio::time::timeout(self.context.options.request_timeout, known).await {
            Ok(Ok(leader)) => match &*leader {
                Leader::At(url) => Err(HerderError::Elsewhere(url.clone())),
                Leader::Here | Leader::Unknown => Ok(()),
            },
            Ok(Err(_)) => Err(HerderError::Closing),
            Err(_) => Err(HerderError::Timeout(
                "Request timed out. The worker is currently ensuring membership in the cluster".to_owned(),
            )),
        }
    }

    async fn readable(&self) -> Result<(), HerderError> {
        let mut ready = self.ready.clone();
        let waited = tokio::time::timeout(self.context.options.request_timeout, ready.wait_for(|r| *r)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(HerderError::Closing),
            Err(_) => Err(self.too_slow()),
        }
    }

    pub(crate) async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, HerderError> {
        self.readable().await?;
        let (answer, answered) = oneshot::channel();
        let command = command(answer);
        let asked = async {
            self.commands.send(command).await.map_err(|_| HerderError::Closing)?;
            answered.await.unwrap_or_else(|_| Err(HerderError::Unavailable(ENDED.to_owned())))
        };
        match tokio::time::timeout(self.context.options.request_timeout, asked).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.too_slow()),
        }
    }

    fn too_slow(&self) -> HerderError {
        let health = self.health();
        if health.state == HealthState::Ready {
            return HerderError::Timeout("Request timed out".to_owned());
        }
        let since = crate::instant::iso_utc(health.since_ms);
        let stage = health.reason;
        HerderError::Timeout(format!("Request timed out. The worker is currently {stage}, which began at {since}"))
    }
}
