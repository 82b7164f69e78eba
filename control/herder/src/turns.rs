//! What users ask for: checked against the state, turned into rows of the config topic, answered when those are read.
mod offsets;

use crate::answer::{ConnectorStatus, InitialState, Put, RunState};
use crate::command::{Answer, Command, PutKind, Restart};
use crate::error::HerderError;
use crate::handle::{info_of, status_of};
use crate::herder::{Herder, Then, reply, write_failed};
use crate::lanes::{Progress, Turn};
use elasticflow_config::Properties;
use elasticflow_plan::reconcile::Phase;
use elasticflow_plan::restart::{Covered, Request, covered};
use elasticflow_plan::tasks::{Stored, differs};
use elasticflow_store::config::{ConfigRecord, TargetState, WriteError};

impl Herder {
    /// A command has arrived.
    pub(crate) fn on_command(&mut self, command: Command) {
        let name = match &command {
            Command::Put { name, .. }
            | Command::Delete { name, .. }
            | Command::Target { name, .. }
            | Command::Restart { name, .. }
            | Command::AlterOffsets { name, .. } => name.clone(),
            Command::RestartTask { .. }
            | Command::Sync { .. }
            | Command::Current { .. }
            | Command::ResetTopics { .. }
            | Command::Offsets { .. }
            | Command::Loss { .. }
            | Command::StoredConfig { .. }
            | Command::Pools { .. }
            | Command::Replan { .. } => return self.at_once(command),
            // A lane of its own: no connector has an empty name.
            Command::Drain { .. } | Command::SetLevel { .. } | Command::SetPool { .. } => String::new(),
        };
        self.enter(&name, Turn::Command(command));
    }

    /// Gives a turn its place in the connector's lane.
    pub(crate) fn enter(&mut self, name: &str, turn: Turn) {
        match self.lanes.enter(name, turn) {
            Ok(Some(turn)) => self.take_turns(name, turn),
            Ok(None) => {}
            Err(Turn::Command(command)) => refuse(command, &write_failed(&WriteError::Busy)),
            // Plans and fencing rounds are asked for again.
            Err(Turn::Tasks { revision, .. }) => self.plan_later(name, revision),
            Err(Turn::Fencing { .. }) => self.fence_later(name),
            Err(Turn::Pause) => tracing::warn!(connector = name, "it is not paused: too many changes wait"),
        }
    }

    /// A turn has ended.
    pub(crate) fn leave(&mut self, name: &str) {
        if let Some(turn) = self.lanes.leave(name) {
            self.take_turns(name, turn);
        }
    }

    fn take_turns(&mut self, name: &str, first: Turn) {
        let mut turn = Some(first);
        while let Some(next) = turn {
            let progress = match next {
                Turn::Command(command) => self.turn(command),
                Turn::Tasks { revision, tasks } => self.store_tasks(name, revision, tasks),
                Turn::Fencing { revision } => self.store_fencing(name, revision),
                Turn::Pause => self.pause_now(name),
            };
            if progress == Progress::Busy {
                return;
            }
            turn = self.lanes.leave(name);
        }
    }

    fn turn(&mut self, command: Command) -> Progress {
        // Whoever has gone has asked elsewhere by now: done late, a deletion would undo what was created after it.
        if !command.is_awaited() {
            return Progress::Done;
        }
        if !self.is_leader() {
            refuse(command, &HerderError::Moving);
            return Progress::Done;
        }
        match command {
            Command::Put { name, config, kind, answer } => self.put(&name, config, &kind, answer),
            Command::Delete { name, answer } => self.delete(&name, answer),
            Command::Target { name, state, answer } => self.target(&name, state, answer),
            Command::Restart { name, restart, answer } => self.restart(&name, restart, answer),
            Command::AlterOffsets { name, alter, answer } => self.alter(&name, alter, answer),
            Command::Drain { worker, drained, answer } => self.drain(worker, drained, answer),
            Command::SetPool { name, rules, answer } => self.set_pool(name, rules, answer),
            Command::SetLevel { logger, level, answer } => {
                self.write("", vec![ConfigRecord::Logger { logger, level }], Then::Answer(answer))
            }
            other => {
                self.at_once(other);
                Progress::Done
            }
        }
    }

    /// Commands that write nothing to the config topic.
    fn at_once(&mut self, command: Command) {
        match command {
            Command::RestartTask { name, task, answer } => reply(answer, self.restart_task(&name, task)),
            Command::ResetTopics { name, answer } => {
                self.statuses.forget_topics(&name);
                self.publish_status(&name);
                reply(answer, Ok(()));
            }
            Command::Offsets { name, answer } => self.read_offsets(&name, answer),
            Command::Loss { name, answer } => self.look_for_loss(&name, answer),
            Command::StoredConfig { name, answer } => {
                reply(answer, Ok(self.state.connector(&name).map(|c| (*c.config).clone())));
            }
            Command::Sync { answer } => self.sync(answer),
            Command::Pools { answer } => reply(answer, Ok(self.pools())),
            Command::Current { task, generation, answer } => reply(answer, Ok(self.is_current(&task, generation))),
            Command::Replan { name } => {
                self.actual.plans.remove(&name);
                self.dirty.insert(name);
            }
            Command::Put { .. }
            | Command::Delete { .. }
            | Command::Target { .. }
            | Command::Restart { .. }
            | Command::Drain { .. }
            | Command::SetLevel { .. }
            | Command::SetPool { .. }
            | Command::AlterOffsets { .. } => {}
        }
    }

    fn put(&mut self, name: &str, config: Properties, kind: &PutKind, answer: Answer<Put>) -> Progress {
        let known = self.state.connector(name);
        let refused = match (kind, known) {
            (PutKind::Create(_), Some(_)) => Some(HerderError::Conflict(format!("Connector {name} already exists"))),
            (PutKind::Patched { .. }, None) => Some(HerderError::no_connector(name)),
            // Another request has changed it meanwhile: the patch is laid over what there is now.
            (PutKind::Patched { base }, Some(connector)) if *connector.config != *base => Some(HerderError::Moving),
            _ => None,
        };
        if let Some(refused) = refused {
            reply(answer, Err(refused));
            return Progress::Done;
        }
        let created = known.is_none();
        let mut rows = Vec::new();
        if let PutKind::Create(state @ (InitialState::Paused | InitialState::Stopped)) = kind {
            rows.push(ConfigRecord::Target { name: name.to_owned(), state: Some(stored_state(*state)) });
        }
        rows.push(ConfigRecord::Connector { name: name.to_owned(), config: Some(config) });
        self.write(name, rows, Then::Put { created, answer })
    }

    fn delete(&mut self, name: &str, answer: Answer<()>) -> Progress {
        if self.state.connector(name).is_none() {
            reply(answer, Err(HerderError::no_connector(name)));
            return Progress::Done;
        }
        let name = name.to_owned();
        let rows = vec![
            ConfigRecord::Connector { name: name.clone(), config: None },
            ConfigRecord::Target { name: name.clone(), state: None },
        ];
        self.write(&name, rows, Then::Answer(answer))
    }

    fn target(&mut self, name: &str, state: InitialState, answer: Answer<()>) -> Progress {
        if self.state.connector(name).is_none() {
            reply(answer, Err(HerderError::NotFound(format!("Unknown connector {name}"))));
            return Progress::Done;
        }
        let name = name.to_owned();
        let mut rows = Vec::new();
        if state == InitialState::Stopped {
            rows.push(ConfigRecord::Commit { name: name.clone(), tasks: 0 });
        }
        rows.push(ConfigRecord::Target { name: name.clone(), state: Some(stored_state(state)) });
        self.write(&name, rows, Then::Answer(answer))
    }

    /// Nobody has asked for it, and nobody waits for an answer.
    fn pause_now(&mut self, name: &str) -> Progress {
        let is_started = self.state.connector(name).is_some_and(|c| c.target == TargetState::Started);
        if !is_started || !self.is_leader() {
            return Progress::Done;
        }
        let (answer, _) = tokio::sync::oneshot::channel();
        self.target(name, InitialState::Paused, answer)
    }

    fn restart(&mut self, name: &str, restart: Restart, answer: Answer<ConnectorStatus>) -> Progress {
        if self.state.connector(name).is_none() {
            reply(answer, Err(HerderError::NotFound(format!("Unknown connector: {name}"))));
            return Progress::Done;
        }
        let request = Request { include_tasks: restart.include_tasks, only_failed: restart.only_failed };
        if !request.include_tasks && !request.only_failed {
            self.restart_connector(name);
            reply(answer, self.status_with(name, &Covered::default()));
            return Progress::Done;
        }
        let row = ConfigRecord::Restart {
            name: name.to_owned(),
            include_tasks: request.include_tasks,
            only_failed: request.only_failed,
        };
        // The status as it is when the request comes: old traces are still in it.
        match self.status_with(name, &self.covered(name, request)) {
            Ok(status) => self.write(name, vec![row], Then::Restart { status: Box::new(status), answer }),
            Err(unknown) => {
                reply(answer, Err(unknown));
                Progress::Done
            }
        }
    }

    fn drain(&mut self, worker: String, drained: bool, answer: Answer<()>) -> Progress {
        if self.state.drained().contains(&worker) == drained {
            reply(answer, Ok(()));
            return Progress::Done;
        }
        if drained && !self.workers().contains_key(&worker) {
            reply(answer, Err(HerderError::NotFound(format!("Unknown worker: {worker}"))));
            return Progress::Done;
        }
        self.write("", vec![ConfigRecord::Drained { worker, drained }], Then::Answer(answer))
    }

    fn restart_task(&mut self, name: &str, task: u32) -> Result<(), HerderError> {
        let connector = self.state.connector(name);
        let connector = connector.ok_or_else(|| HerderError::NotFound(format!("Unknown connector: {name}")))?;
        if usize::try_from(task).is_ok_and(|index| index >= connector.tasks.len()) {
            return Err(HerderError::NotFound(format!("Unknown task: {name}-{task}")));
        }
        // A task that waits for room is started afresh as it is.
        if self.place(&(name.to_owned(), task)).is_some_and(|place| place.slot < 0) {
            return Ok(());
        }
        if !self.owns(name, Some(task)) {
            return Err(self.holder_of(&(name.to_owned(), task)).map_or(HerderError::Moving, HerderError::Elsewhere));
        }
        self.restart_instance(name, task);
        Ok(())
    }

    /// Parts that a restart request covers as things are.
    pub(crate) fn covered(&self, name: &str, request: Request) -> Covered {
        let parts = self.statuses.of(name);
        let failed = |state: Option<RunState>| state == Some(RunState::Failed);
        let connector = failed(parts.and_then(|p| p.connector.as_ref()).map(|s| s.state));
        let count = self.state.connector(name).map_or(0, |c| c.tasks.len());
        let task = |index: u32| {
            let status = parts.and_then(|p| p.tasks.get(&index)).map(|s| s.state);
            let instance = self.actual.tasks.get(&(name.to_owned(), index)).map(|i| i.phase);
            (index, failed(status) || instance == Some(Phase::Failed))
        };
        let tasks: Vec<(u32, bool)> = (0u32..).take(count).map(task).collect();
        covered(request, connector, &tasks)
    }

    /// The status with the given parts shown as restarting.
    fn status_with(&self, name: &str, covered: &Covered) -> Result<ConnectorStatus, HerderError> {
        let view = self.view.connectors.read();
        let status = view.get(name).and_then(|c| status_of(name, c));
        let mut status = status.ok_or_else(|| HerderError::NotFound(format!("Unknown connector: {name}")))?;
        if covered.connector {
            status.connector.state = RunState::Restarting;
        }
        for task in status.tasks.iter_mut().filter(|t| covered.tasks.contains(&t.id)) {
            task.part.state = RunState::Restarting;
        }
        Ok(status)
    }

    /// A plan of tasks, unless it has been overtaken.
    fn store_tasks(&mut self, name: &str, revision: i64, tasks: Vec<Properties>) -> Progress {
        let Some(connector) = self.state.connector(name) else { return Progress::Done };
        let stored = Stored {
            tasks: &connector.tasks,
            applied: connector.applied.as_deref(),
            inconsistent: connector.inconsistent,
        };
        let current = connector.revision == revision && connector.target == TargetState::Started;
        if !current || !differs(stored, &connector.config, &tasks) {
            return Progress::Done;
        }
        let name = name.to_owned();
        let count = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        let row = |(index, config)| ConfigRecord::Task { name: name.clone(), index, config: Some(config) };
        let mut rows: Vec<ConfigRecord> = self.places_for(&name, count).into_iter().collect();
        if !rows.is_empty() {
            self.mapping.placing.insert(name.clone());
        }
        rows.extend((0u32..).zip(tasks).map(row));
        rows.push(ConfigRecord::Commit { name: name.clone(), tasks: count });
        self.write(&name, rows, Then::Tasks)
    }

    /// The end of a fencing round, unless there is another set of tasks.
    fn store_fencing(&mut self, name: &str, revision: i64) -> Progress {
        let current = self.state.connector(name).filter(|c| c.tasks_revision == Some(revision));
        let Some(connector) = current else {
            self.actual.fencing.remove(name);
            self.dirty.insert(name.to_owned());
            return Progress::Done;
        };
        let tasks = u32::try_from(connector.tasks.len()).unwrap_or(u32::MAX);
        self.write(name, vec![ConfigRecord::Fencing { name: name.to_owned(), tasks }], Then::Fencing)
    }

    /// A write has ended; everything that it wrote has been folded. Busy when the turn goes on.
    pub(crate) fn finish(&mut self, name: &str, then: Then, outcome: Result<(), WriteError>) -> Progress {
        if matches!(then, Then::Tasks) {
            self.placed(name);
        }
        let failed = outcome.as_ref().err().map(write_failed);
        let outcome = |failed: Option<HerderError>| failed.map_or(Ok(()), Err);
        match then {
            Then::Answer(answer) => reply(answer, outcome(failed)),
            Then::Put { created, answer } => {
                let info = self.view.connectors.read().get(name).map(|c| info_of(name, c));
                let put = outcome(failed).and_then(|()| {
                    let info = info.ok_or_else(|| HerderError::no_connector(name))?;
                    Ok(Put { created, info })
                });
                reply(answer, put);
            }
            Then::Restart { status, answer } => reply(answer, outcome(failed).map(|()| *status)),
            Then::Text { text, answer } => reply(answer, outcome(failed).map(|()| text)),
            Then::Alter { alter, answer } => match failed {
                None => return self.alter_now(name, alter, answer),
                Some(failed) => reply(answer, Err(failed)),
            },
            Then::Tasks if failed.is_some() => {
                let revision = self.state.connector(name).map(|c| c.revision);
                revision.into_iter().for_each(|revision| self.plan_later(name, revision));
            }
            Then::Fencing if failed.is_some() => self.fence_later(name),
            Then::Places => self.mapped(failed.is_some()),
            Then::Tasks | Then::Fencing => {}
        }
        Progress::Done
    }
}

fn stored_state(state: InitialState) -> TargetState {
    match state {
        InitialState::Running => TargetState::Started,
        InitialState::Paused => TargetState::Paused,
        InitialState::Stopped => TargetState::Stopped,
    }
}

fn refuse(command: Command, error: &HerderError) {
    let error = error.clone();
    match command {
        Command::Put { answer, .. } => reply(answer, Err(error)),
        Command::Delete { answer, .. }
        | Command::Target { answer, .. }
        | Command::RestartTask { answer, .. }
        | Command::ResetTopics { answer, .. }
        | Command::Drain { answer, .. }
        | Command::SetLevel { answer, .. }
        | Command::SetPool { answer, .. }
        | Command::Sync { answer } => reply(answer, Err(error)),
        Command::Pools { answer } => reply(answer, Err(error)),
        Command::Restart { answer, .. } => reply(answer, Err(error)),
        Command::AlterOffsets { answer, .. } => reply(answer, Err(error)),
        Command::Offsets { answer, .. } => reply(answer, Err(error)),
        Command::Loss { answer, .. } => reply(answer, Err(error)),
        Command::StoredConfig { answer, .. } => reply(answer, Err(error)),
        Command::Current { answer, .. } => reply(answer, Err(error)),
        Command::Replan { .. } => {}
    }
}
