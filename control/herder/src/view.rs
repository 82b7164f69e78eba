//! What readers see: a copy of the herder's state in the shape of answers, written by the loop alone.
use crate::answer::{ConnectorKind, Health, HealthState, PartStatus};
use crate::figures::Tally;
use crate::queue::Waiting;
use crate::workers::WorkerInfo;
use elasticflow_config::Properties;
use elasticflow_plan::pools::Pool;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// One connector as readers see it. Secrets are hidden already where the worker hides them.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectorView {
    /// Configuration for answers.
    pub(crate) config: Properties,
    /// Kind.
    pub(crate) kind: ConnectorKind,
    /// Task configurations for answers.
    pub(crate) tasks: Vec<Properties>,
    /// Status of the connector; `None` until the first one is known.
    pub(crate) status: Option<PartStatus>,
    /// Statuses of tasks by index.
    pub(crate) task_statuses: BTreeMap<u32, PartStatus>,
    /// Topics in use since creation or reset.
    pub(crate) topics: BTreeSet<String>,
    /// Tasks that wait for room.
    pub(crate) waiting: BTreeMap<u32, Waiting>,
}

/// Everything that reads are answered from.
#[derive(Debug)]
pub(crate) struct View {
    /// Connectors by name.
    pub(crate) connectors: RwLock<BTreeMap<String, Arc<ConnectorView>>>,
    /// Offset of the last record of the config topic that is shown.
    pub(crate) read_to: watch::Sender<i64>,
    /// How the worker is.
    pub(crate) health: RwLock<Health>,
    /// The cluster's id, once Kafka has told it.
    pub(crate) cluster_id: RwLock<String>,
    /// Workers of the group.
    pub(crate) workers: RwLock<Vec<WorkerInfo>>,
    /// Rules of pools that have any.
    pub(crate) pools: RwLock<BTreeMap<String, Pool>>,
    /// Log levels for every worker, on their way to whoever sets them.
    pub(crate) levels: Mutex<Option<mpsc::Receiver<(String, String)>>>,
    /// Counts for metrics.
    pub(crate) tally: Tally,
}

impl View {
    /// Every connector, for whoever has much to do with them: nobody waits meanwhile.
    pub(crate) fn all(&self) -> BTreeMap<String, Arc<ConnectorView>> {
        self.connectors.read().clone()
    }

    /// A worker that has just begun to start.
    pub(crate) fn starting(now_ms: i64) -> Self {
        Self {
            connectors: RwLock::default(),
            read_to: watch::channel(-1).0,
            health: RwLock::new(Health {
                state: HealthState::Starting,
                reason: "initializing and reading to the end of internal topics".to_owned(),
                since_ms: now_ms,
            }),
            cluster_id: RwLock::default(),
            workers: RwLock::default(),
            pools: RwLock::default(),
            levels: Mutex::default(),
            tally: Tally::default(),
        }
    }
}
