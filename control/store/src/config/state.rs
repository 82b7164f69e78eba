//! The config topic folded to what holds now.
use super::record::{ConfigRecord, TargetState, decode};
use crate::problem::Problem;
use elasticflow_config::Properties;
use elasticflow_kafka::ports::LogRecord;
use elasticflow_plan::place::Place;
use elasticflow_plan::pools::Pool;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Revision of a target state that nobody has asked for.
const NEVER: i64 = -1;

/// A connector that exists: its connector row has not been deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connector {
    /// Configuration as stored.
    pub config: Arc<Properties>,
    /// Offset of the row: grows with every write of the configuration.
    pub revision: i64,
    /// What it is to do.
    pub target: TargetState,
    /// Offset of the row that said so: grows with every request to pause, stop or resume. -1 before the first one.
    pub target_revision: i64,
    /// Effective task configurations, in order of the index.
    pub tasks: Arc<Vec<Properties>>,
    /// Offset of the commit row behind `tasks`; `None` before the first one.
    pub tasks_revision: Option<i64>,
    /// The connector configuration that `tasks` were made from.
    pub applied: Option<Arc<Properties>>,
    /// The last commit named tasks whose rows are not there: it counts as having none until the next one.
    pub inconsistent: bool,
    /// A row of this connector that cannot be decoded: nothing of it may run.
    pub problem: Option<Problem>,
}

/// What is known about the fencing of a connector's tasks; outlives the connector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fencing {
    /// Task count of the last fencing row; `None` when there never was one.
    pub recorded: Option<u32>,
    /// A commit stands behind the last fencing row: tasks must not start before a fencing round.
    pub pending: bool,
    /// Most tasks that a row or a commit has ever shown.
    pub most: u32,
}

/// What a record changed, for a reader that acts on news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folded {
    /// Something about this connector.
    Connector(String),
    /// A restart request.
    Restart {
        /// Connector.
        name: String,
        /// Tasks too.
        include_tasks: bool,
        /// Only what has failed.
        only_failed: bool,
    },
    /// Which workers are drained.
    Drained,
    /// Rules of worker pools.
    Pools,
    /// Nothing that the state holds: rows of loggers, of Java leaders, of kinds that are not known.
    Nothing(ConfigRecord),
    /// The record cannot be decoded; the connector that it belongs to, if that can be told, has it as its problem.
    Problem(Problem),
}

/// State of the config topic.
#[derive(Debug, Clone, Default)]
pub struct ConfigState {
    connectors: BTreeMap<String, Connector>,
    /// Target states, and the offsets of their rows.
    targets: BTreeMap<String, (TargetState, i64)>,
    /// Task rows that no commit has made effective.
    deferred: BTreeMap<String, BTreeMap<u32, Properties>>,
    fencing: BTreeMap<String, Fencing>,
    version_epochs: BTreeMap<String, u16>,
    placements: BTreeMap<String, Vec<Place>>,
    drained: BTreeSet<String>,
    pools: BTreeMap<String, Pool>,
}

impl ConfigState {
    /// Connectors by name.
    pub fn connectors(&self) -> &BTreeMap<String, Connector> {
        &self.connectors
    }

    /// One connector.
    pub fn connector(&self, name: &str) -> Option<&Connector> {
        self.connectors.get(name)
    }

    /// Fencing of a connector's tasks.
    pub fn fencing(&self, name: &str) -> Fencing {
        self.fencing.get(name).copied().unwrap_or_default()
    }

    /// Epoch of the external versions of a connector's records; outlives the connector.
    pub fn version_epoch(&self, name: &str) -> u16 {
        self.version_epochs.get(name).copied().unwrap_or(0)
    }

    /// Where the tasks of a connector run, in order of the index; outlives the connector.
    pub fn places(&self, name: &str) -> &[Place] {
        self.placements.get(name).map_or(&[], Vec::as_slice)
    }

    /// Workers that are to have no tasks.
    pub fn drained(&self) -> &BTreeSet<String> {
        &self.drained
    }

    /// Rules of worker pools that have any.
    pub fn pools(&self) -> &BTreeMap<String, Pool> {
        &self.pools
    }

    /// The highest generation of any place.
    pub fn generation(&self) -> i64 {
        self.placements.values().flatten().map(|place| place.generation).max().unwrap_or(0)
    }

    /// Takes the next record of the topic.
    pub fn fold(&mut self, record: &LogRecord) -> Folded {
        match decode(&record.key, record.value.as_deref()) {
            Ok(row) => self.fold_row(record.offset.0, row),
            Err(problem) => self.fold_problem(problem),
        }
    }

    fn fold_row(&mut self, offset: i64, row: ConfigRecord) -> Folded {
        let name = match row {
            ConfigRecord::Connector { name, config } => self.connector_row(name, config, offset),
            ConfigRecord::Target { name, state } => self.target_row(name, state, offset),
            ConfigRecord::Task { name, index, config } => self.task_row(name, index, config),
            ConfigRecord::Commit { name, tasks } => self.commit_row(name, tasks, offset),
            ConfigRecord::Fencing { name, tasks } => self.fencing_row(name, tasks),
            ConfigRecord::VersionEpoch { name, epoch } => {
                self.version_epochs.insert(name.clone(), epoch);
                name
            }
            ConfigRecord::Placement { name, places } => {
                self.placements.insert(name.clone(), places);
                name
            }
            ConfigRecord::Restart { name, include_tasks, only_failed } => {
                return Folded::Restart { name, include_tasks, only_failed };
            }
            ConfigRecord::Drained { worker, drained } => {
                if drained {
                    self.drained.insert(worker)
                } else {
                    self.drained.remove(&worker)
                };
                return Folded::Drained;
            }
            ConfigRecord::Pool { name, rules } => {
                match rules {
                    Some(rules) => drop(self.pools.insert(name, rules)),
                    None => drop(self.pools.remove(&name)),
                }
                return Folded::Pools;
            }
            other @ (ConfigRecord::SessionKey | ConfigRecord::Logger { .. } | ConfigRecord::Unknown { .. }) => {
                return Folded::Nothing(other);
            }
        };
        Folded::Connector(name)
    }

    fn connector_row(&mut self, name: String, config: Option<Properties>, revision: i64) -> String {
        let Some(config) = config else {
            self.connectors.remove(&name);
            self.deferred.remove(&name);
            return name;
        };
        let config = Arc::new(config);
        let (target, target_revision) = self.targets.get(&name).copied().unwrap_or((TargetState::Started, NEVER));
        let connector = self.connectors.entry(name.clone()).or_insert_with(|| Connector {
            config: Arc::clone(&config),
            revision,
            target,
            target_revision,
            tasks: Arc::default(),
            tasks_revision: None,
            applied: None,
            inconsistent: false,
            problem: None,
        });
        connector.config = config;
        connector.revision = revision;
        clear(connector, |key| key.starts_with("connector-"));
        name
    }

    fn target_row(&mut self, name: String, state: Option<TargetState>, offset: i64) -> String {
        match state {
            Some(state) => self.targets.insert(name.clone(), (state, offset)),
            None => self.targets.remove(&name),
        };
        if let Some(connector) = self.connectors.get_mut(&name) {
            connector.target = state.unwrap_or(TargetState::Started);
            connector.target_revision = offset;
            clear(connector, |key| key.starts_with("target-state-"));
        }
        name
    }

    fn task_row(&mut self, name: String, index: u32, config: Option<Properties>) -> String {
        let rows = self.deferred.entry(name.clone()).or_default();
        match config {
            Some(config) => rows.insert(index, config),
            None => rows.remove(&index),
        };
        if let Some(connector) = self.connectors.get_mut(&name) {
            clear(connector, |key| key.starts_with("task-") && key.ends_with(&format!("-{index}")));
        }
        name
    }

    /// A commit without a connector row belongs to a connector that was deleted and whose tombstone is compacted away:
    /// its task rows are dropped, so that a later connector of the same name does not get them.
    fn commit_row(&mut self, name: String, tasks: u32, revision: i64) -> String {
        let mut rows = self.deferred.remove(&name).unwrap_or_default();
        let Some(connector) = self.connectors.get_mut(&name) else { return name };
        let configs: Option<Vec<Properties>> = (0..tasks).map(|i| rows.remove(&i)).collect();
        connector.inconsistent = configs.is_none();
        connector.tasks = Arc::new(configs.unwrap_or_default());
        connector.tasks_revision = Some(revision);
        connector.applied = Some(Arc::clone(&connector.config));
        clear(connector, |key| key.starts_with("commit-"));
        let fencing = self.fencing.entry(name.clone()).or_default();
        fencing.pending = true;
        fencing.most = fencing.most.max(tasks);
        name
    }

    fn fencing_row(&mut self, name: String, tasks: u32) -> String {
        let fencing = self.fencing.entry(name.clone()).or_default();
        *fencing = Fencing { recorded: Some(tasks), pending: false, most: fencing.most.max(tasks) };
        name
    }

    fn fold_problem(&mut self, problem: Problem) -> Folded {
        if let Some(connector) = self.connector_of(&problem.key) {
            connector.problem = Some(problem.clone());
        }
        Folded::Problem(problem)
    }

    fn connector_of(&mut self, key: &str) -> Option<&mut Connector> {
        let prefixes = ["connector-", "target-state-", "tasks-fencing-", "commit-"];
        let named = prefixes.iter().find_map(|p| key.strip_prefix(p)).map(str::to_owned);
        let name = named.or_else(|| Some(super::record::task_name(key.strip_prefix("task-")?)?.0))?;
        self.connectors.get_mut(&name)
    }
}

/// A good row takes the problem of an earlier row of the same key away.
fn clear(connector: &mut Connector, same_key: impl Fn(&str) -> bool) {
    if connector.problem.as_ref().is_some_and(|p| same_key(&p.key)) {
        connector.problem = None;
    }
}
