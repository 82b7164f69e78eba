//! From what is wanted and what is the case to what is done next.
//!
//! The function is called after every change of either side and answers only steps that can be taken at once; what has
//! to wait (a start for the stop of the older instance, a start for a fencing round) comes out of a later call. Steps
//! that are under way stand in [`Actual`], so that calling again answers nothing.
use std::collections::{BTreeMap, BTreeSet};

/// Name of a task: connector and index.
pub type TaskName = (String, u32);

/// What a connector is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Run.
    Started,
    /// Keep tasks, do nothing.
    Paused,
    /// Have no tasks.
    Stopped,
}

/// A connector as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedConnector {
    /// Grows with every change of the configuration.
    pub revision: i64,
    /// What it is to do.
    pub target: Target,
    /// Grows with every request that it do that, or something else.
    pub target_revision: i64,
    /// Effective tasks: their number and the revision of the set. `None` before the first set.
    pub tasks: Option<TaskSet>,
    /// Something stored of it cannot be read: nothing of it may run.
    pub blocked: bool,
}

/// A set of tasks that was stored together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskSet {
    /// Number of tasks.
    pub count: u32,
    /// Grows with every set.
    pub revision: i64,
    /// Older sets cannot write any more, or never could.
    pub fenced: bool,
}

/// What is the case on this worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actual {
    /// Tasks that have an instance here.
    pub tasks: BTreeMap<TaskName, Instance>,
    /// Connectors that were planned here, or are being planned.
    pub plans: BTreeMap<String, Plan>,
    /// Connectors with a fencing round under way.
    pub fencing: BTreeSet<String>,
}

/// An instance of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance {
    /// Revision of the set that it was started from.
    pub revision: i64,
    /// What it does.
    pub phase: Phase,
    /// Whether it was last told to pause.
    pub paused: bool,
    /// The target's revision when it was told.
    pub told: i64,
}

/// What an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Starts or runs.
    Up,
    /// Has failed; stays so until it is restarted or replaced.
    Failed,
    /// Was told to stop.
    Stopping,
}

/// How far the plan of a connector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// The connector is working it out, or waits to try again.
    Running {
        /// Revision of the configuration that is planned.
        revision: i64,
    },
    /// There is one, or there is an error for a person to mend.
    Done {
        /// Revision of the configuration that was planned.
        revision: i64,
    },
}

impl Plan {
    fn revision(self) -> i64 {
        match self {
            Self::Running { revision } | Self::Done { revision } => revision,
        }
    }
}

/// Whether this worker is to run a connector (`None`) or one of its tasks.
pub type Owner<'a> = &'a dyn Fn(&str, Option<u32>) -> bool;

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tell an instance to stop; it stays in [`Actual`] as stopping until it has ended.
    Stop(TaskName),
    /// Make an instance of the current set.
    Start {
        /// Which.
        task: TaskName,
        /// Set that it is started from.
        revision: i64,
        /// Begins paused.
        paused: bool,
    },
    /// Pause an instance.
    Pause(TaskName),
    /// Let an instance go on.
    Resume(TaskName),
    /// Fence every older set of this connector's tasks.
    Fence(String),
    /// Ask the connector for its tasks.
    Plan {
        /// Connector.
        connector: String,
        /// Revision of its configuration.
        revision: i64,
    },
    /// Drop what is known of the plan: the connector is gone, or has to be planned anew when it is resumed.
    ForgetPlan(String),
}

/// What to do next, for every connector.
pub fn reconcile(wanted: &BTreeMap<String, WantedConnector>, actual: &Actual, owner: Owner<'_>) -> Vec<Action> {
    let instances = actual.tasks.keys().map(|(name, _)| name);
    let names: BTreeSet<&String> = wanted.keys().chain(instances).chain(actual.plans.keys()).collect();
    names.into_iter().flat_map(|name| connector(name, wanted.get(name), actual, owner)).collect()
}

/// What to do next for one connector, which may be gone.
pub fn connector(name: &str, wanted: Option<&WantedConnector>, actual: &Actual, owner: Owner<'_>) -> Vec<Action> {
    let instances = instances(name, actual);
    let mut actions: Vec<Action> = instances.filter_map(|(t, i)| adjust(t, *i, wanted, owner)).collect();
    match wanted {
        Some(wanted) => {
            actions.extend(begin(name, wanted, actual, owner));
            actions.extend(plan(name, wanted, actual, owner));
        }
        None => actions.extend(actual.plans.get(name).map(|_| Action::ForgetPlan(name.to_owned()))),
    }
    actions
}

fn instances<'a>(name: &str, actual: &'a Actual) -> impl Iterator<Item = (&'a TaskName, &'a Instance)> {
    actual.tasks.range((name.to_owned(), 0)..=(name.to_owned(), u32::MAX))
}

/// What becomes of an instance that is there.
fn adjust(task: &TaskName, instance: Instance, wanted: Option<&WantedConnector>, owner: Owner<'_>) -> Option<Action> {
    if instance.phase == Phase::Stopping {
        return None;
    }
    let connector = wanted.filter(|c| runnable(c) && owner(&task.0, Some(task.1)));
    let current = connector.filter(|c| c.tasks.is_some_and(|s| task.1 < s.count && s.revision == instance.revision));
    let Some(connector) = current else { return Some(Action::Stop(task.clone())) };
    let paused = connector.target == Target::Paused;
    match (instance.phase, instance.paused, paused) {
        (Phase::Up, false, true) => Some(Action::Pause(task.clone())),
        (Phase::Up, true, false) => Some(Action::Resume(task.clone())),
        // A pause and a resume that are read together: the instance may have paused itself, and wait for the resume.
        (Phase::Up, false, false) if instance.told != connector.target_revision => Some(Action::Resume(task.clone())),
        _ => None,
    }
}

/// Instances that are missing. They wait for every older instance of the connector to end, and for the fencing round.
fn begin(name: &str, connector: &WantedConnector, actual: &Actual, owner: Owner<'_>) -> Vec<Action> {
    let Some(set) = connector.tasks.filter(|s| s.count > 0 && runnable(connector)) else { return Vec::new() };
    if instances(name, actual).any(|(_, i)| i.revision != set.revision) {
        return Vec::new();
    }
    if !set.fenced {
        let fence = owner(name, None) && !actual.fencing.contains(name);
        return fence.then(|| Action::Fence(name.to_owned())).into_iter().collect();
    }
    let missing = (0..set.count).map(|index| (name.to_owned(), index));
    let missing = missing.filter(|t| !actual.tasks.contains_key(t) && owner(name, Some(t.1)));
    let paused = connector.target == Target::Paused;
    missing.map(|task| Action::Start { task, revision: set.revision, paused }).collect()
}

/// A connector is planned when it runs: once for every revision, and again after it was stopped or paused.
fn plan(name: &str, connector: &WantedConnector, actual: &Actual, owner: Owner<'_>) -> Option<Action> {
    let known = actual.plans.get(name).copied();
    if connector.target != Target::Started || connector.blocked || !owner(name, None) {
        return known.map(|_| Action::ForgetPlan(name.to_owned()));
    }
    let due = known.is_none_or(|plan| plan.revision() != connector.revision);
    due.then(|| Action::Plan { connector: name.to_owned(), revision: connector.revision })
}

fn runnable(connector: &WantedConnector) -> bool {
    connector.target != Target::Stopped && !connector.blocked
}
