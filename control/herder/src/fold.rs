//! Taking in the config topic and the status topic, and showing what changed.
use crate::answer::RunState;
use crate::herder::Herder;
use crate::lanes::Turn;
use crate::queue::terms;
use crate::secrets::hide;
use elasticflow_config::Properties;
use elasticflow_config::flow::ReasonCode;
use elasticflow_kafka::ports::LogRecord;
use elasticflow_plan::restart::Request;
use elasticflow_store::config::{ConfigRecord, ConfigState, Folded, TargetState};
use elasticflow_store::status::{StatusRecord, StatusRow};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Herder {
    /// The config topic is read from its start: what is known stays in force until everything is read.
    pub(crate) fn on_config_restarted(&mut self) {
        self.staging = Some(ConfigState::default());
    }

    pub(crate) fn on_config_record(&mut self, record: &LogRecord) {
        if let Some(staging) = &mut self.staging {
            // Requests that were made before this worker read the topic were for those who ran then.
            self.staged = record.offset.0;
            return report(&staging.fold(record));
        }
        let folded = self.state.fold(record);
        report(&folded);
        self.read_to = record.offset.0;
        match folded {
            Folded::Connector(name) => self.on_changed(&name),
            Folded::Restart { name, include_tasks, only_failed } => {
                self.on_restart(&name, Request { include_tasks, only_failed });
            }
            Folded::Problem(_) => {
                let names: Vec<String> = self.state.connectors().keys().cloned().collect();
                names.iter().for_each(|name| self.on_changed(name));
            }
            Folded::Drained | Folded::Pools => {
                self.publish_workers();
                self.view.pools.write().clone_from(self.state.pools());
                self.group_changed();
            }
            Folded::Nothing(ConfigRecord::Logger { logger, level }) => {
                if self.levels.try_send((logger, level)).is_err() {
                    tracing::warn!("a log level for every worker was not set: too many at once");
                }
            }
            Folded::Nothing(_) => {}
        }
    }

    pub(crate) fn on_config_caught_up(&mut self) {
        let Some(staged) = self.staging.take() else { return };
        let before = std::mem::replace(&mut self.state, staged);
        let names: BTreeSet<String> =
            before.connectors().keys().chain(self.state.connectors().keys()).cloned().collect();
        for name in names {
            self.on_changed(&name);
        }
        self.view.pools.write().clone_from(self.state.pools());
        self.read_to = self.staged;
        self.start.config = true;
        self.mapping.due = true;
    }

    /// Something that is stored of a connector has changed.
    pub(crate) fn on_changed(&mut self, name: &str) {
        self.adjust(name);
        // What goes makes room.
        self.mapping.due |= self.mapping.queue.is_waited_in();
        // Its tasks may have other places.
        self.mapping.untold |= self.has_instances(name);
        let Some(connector) = self.state.connector(name) else {
            self.mapping.terms.remove(name);
            if self.wanted.remove(name).is_some() {
                self.statuses.forget(name, self.is_leader());
                self.view.connectors.write().remove(name);
            }
            self.forget_fencing(name);
            self.dirty.insert(name.to_owned());
            return;
        };
        if self.wanted.get(name).is_none_or(|known| known.revision != connector.revision) {
            let terms = Arc::new(terms(connector, &self.cx.options.worker));
            // A task that stays where it is may ask for something else.
            let known = self.mapping.terms.insert(name.to_owned(), Arc::clone(&terms));
            self.mapping.due |= known.is_some_and(|known| known != terms);
        }
        let wanted = self.want(name, connector);
        let count = connector.tasks.len();
        if wanted.tasks.is_none_or(|set| set.fenced) || self.wanted.get(name).and_then(|w| w.tasks) != wanted.tasks {
            self.forget_fencing(name);
        }
        // A task that comes again has its former place, where it may not be welcome any more.
        self.mapping.due |= self.wanted.get(name).and_then(|w| w.tasks) != wanted.tasks;
        self.wanted.insert(name.to_owned(), wanted);
        self.mapping.due |= self.state.places(name).len() < count;
        self.forget_surplus(name, count);
        self.publish_config(name);
        self.dirty.insert(name.to_owned());
    }

    fn forget_fencing(&mut self, name: &str) {
        self.actual.fencing.remove(name);
        self.fence_failed.remove(name);
    }

    /// Statuses of tasks that are not stored any more and have no instance that could still speak.
    fn forget_surplus(&mut self, name: &str, count: usize) {
        let known = self.statuses.of(name).map(|parts| parts.tasks.keys().copied().collect::<Vec<u32>>());
        let surplus = known.unwrap_or_default().into_iter().filter(|i| usize::try_from(*i).is_ok_and(|i| i >= count));
        for index in surplus {
            if !self.actual.tasks.contains_key(&(name.to_owned(), index)) && !self.runs_elsewhere(name, index) {
                self.statuses.forget_task(name, index);
            }
        }
    }

    /// A restart that a leader asked for: every worker restarts what it runs of it.
    fn on_restart(&mut self, name: &str, request: Request) {
        if self.state.connector(name).is_none() {
            return;
        }
        let covered = self.covered(name, request);
        if covered.connector && self.owns(name, None) {
            self.show_connector(name, RunState::Restarting, None);
            self.restart_connector(name);
        }
        for index in covered.tasks {
            if self.owns(name, Some(index)) {
                self.restart_instance(name, index);
            }
        }
        self.publish_status(name);
    }

    /// A task has paused itself for an error budget: the leader pauses the connector, so that a resume lets all of it go on.
    pub(crate) fn pause_held(&mut self, name: &str) {
        let is_started = self.state.connector(name).is_some_and(|c| c.target == TargetState::Started);
        if !is_started || !self.is_leader() {
            return;
        }
        tracing::warn!(connector = name, "its error budget is used up: it is paused");
        self.enter(name, Turn::Pause);
    }

    /// A row of the status topic.
    pub(crate) fn on_status_record(&mut self, record: StatusRecord) {
        if let StatusRecord::Unknown { key } = &record {
            tracing::warn!(key, "a record of a kind that is not known in the status topic is left alone");
        }
        let record = match record {
            StatusRecord::Worker { id, row } => return self.on_worker(id, row),
            StatusRecord::Released { name, index, row } => return self.on_released((name, index), row),
            other => other,
        };
        let held = match &record {
            StatusRecord::Task { name, row: Some(row), .. } if is_held(row) => Some(name.clone()),
            _ => None,
        };
        let runs_here = match &record {
            StatusRecord::Connector { name, .. } => self.owns(name, None),
            StatusRecord::Task { name, index, .. } => self.owns(name, Some(*index)),
            _ => false,
        };
        let read = self.statuses.read(record, runs_here);
        if let Some(name) = held.filter(|_| !runs_here) {
            self.pause_held(&name);
        }
        if let Some(name) = read {
            self.publish_status(&name);
            if self.is_leader() {
                self.dirty.insert(name);
                // The next ones leave when the first have arrived.
                self.mapping.due |= !self.state.drained().is_empty();
            }
        }
    }

    /// Shows the configuration of a connector.
    fn publish_config(&mut self, name: &str) {
        let Some(connector) = self.state.connector(name) else { return };
        let redact = self.cx.options.redact_secrets;
        let shown = |p: &Properties| if redact { hide(p, &self.cx.registry) } else { p.clone() };
        let (kind, _) = self.kind_and_version(connector);
        let config = shown(&connector.config);
        let tasks: Vec<Properties> = connector.tasks.iter().map(shown).collect();
        let mut view = self.view.connectors.write();
        let known = Arc::make_mut(view.entry(name.to_owned()).or_default());
        known.waiting = self.waiting_of(name, connector.tasks.len(), &known.waiting);
        known.config = config;
        known.kind = kind;
        known.tasks = tasks;
    }

    /// Shows the statuses of a connector: of its tasks only those that are stored.
    pub(crate) fn publish_status(&mut self, name: &str) {
        let Some(parts) = self.statuses.of(name) else {
            if let Some(known) = self.view.connectors.write().get_mut(name) {
                Arc::make_mut(known).topics.clear();
            }
            return;
        };
        let mut view = self.view.connectors.write();
        let Some(known) = view.get_mut(name).map(Arc::make_mut) else { return };
        let count = known.tasks.len();
        known.status.clone_from(&parts.connector);
        let stored = parts.tasks.iter().filter(|(index, _)| usize::try_from(**index).is_ok_and(|i| i < count));
        known.task_statuses = stored.map(|(index, status)| (*index, status.clone())).collect();
        known.topics.clone_from(&parts.topics);
    }
}

/// Whether a task has paused itself.
fn is_held(row: &StatusRow) -> bool {
    let code = ReasonCode::ErrorBudget.code();
    row.state == RunState::Paused.name() && row.trace.as_deref().is_some_and(|trace| trace.contains(code))
}

fn report(folded: &Folded) {
    match folded {
        Folded::Problem(problem) => {
            tracing::error!(%problem, "a record of the config topic cannot be decoded; what it belongs to does not run");
        }
        Folded::Nothing(ConfigRecord::Unknown { key }) => {
            tracing::warn!(key, "a record of a kind that is not known in the config topic is left alone");
        }
        Folded::Nothing(_) | Folded::Drained | Folded::Pools | Folded::Connector(_) | Folded::Restart { .. } => {}
    }
}
