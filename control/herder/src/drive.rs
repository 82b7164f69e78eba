//! Carrying out what reconciliation decides, and taking in what became of it.
use crate::answer::RunState;
use crate::command::Command;
use crate::failure::trace;
use crate::herder::{Done, Herder};
use crate::lanes::Turn;
use crate::options::ExactlyOnce;
use crate::planning::{NoPlan, Question, plan};
use crate::ports::{TaskChange, TaskEvent, TaskKind, TaskSpec};
use crate::statuses::Shown;
use elasticflow_api::ErrorClass;
use elasticflow_api::registry::TaskConfig;
use elasticflow_config::Properties;
use elasticflow_config::flow::{is_live, with_live_of};
use elasticflow_kafka::ports::KafkaError;
use elasticflow_plan::reconcile::{self, Action, Instance, Phase, Plan, Target, TaskName, TaskSet, WantedConnector};
use elasticflow_plan::tasks::ids_to_fence;
use elasticflow_store::config::{Connector, TargetState};
use std::sync::Arc;
use std::time::Duration;

/// Waits between attempts to plan, as Kafka Connect has them.
const PLAN_AGAIN_FIRST: Duration = Duration::from_millis(250);
const PLAN_AGAIN_MOST: Duration = Duration::from_secs(60);
/// Wait before a fencing round is tried again.
const FENCE_AGAIN: Duration = Duration::from_secs(1);
/// Wait before a task that was fenced although it belongs here gets another instance: two workers that fence each
/// other in turn must not do so as fast as they can.
const AFTER_FENCED: Duration = Duration::from_secs(2);

impl Herder {
    /// Looks at every connector that something has happened to.
    pub(crate) fn settle(&mut self) {
        if !self.start.complete() {
            return self.settled();
        }
        while let Some(name) = self.dirty.pop_first() {
            self.await_former(&name);
            let actions = {
                let owner = |name: &str, task| self.owns(name, task);
                reconcile::connector(&name, self.wanted.get(&name), &self.actual, &owner)
            };
            for action in actions {
                self.carry_out(action);
            }
            self.let_go(&name);
            self.show_rest(&name);
            self.show_waiting(&name);
            self.publish_status(&name);
        }
        self.map_tasks();
        self.settled();
        let read_to = self.read_to;
        self.view.read_to.send_if_modified(|known| std::mem::replace(known, read_to) != read_to);
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Stop(task) => self.stop_instance(&task, Duration::ZERO),
            Action::Start { task, revision, paused } => self.start_instance(task, revision, paused),
            Action::Pause(task) => self.hold(&task, true),
            Action::Resume(task) => self.hold(&task, false),
            Action::Fence(name) => self.fence(&name),
            Action::Plan { connector, revision } => self.ask_for_plan(&connector, revision),
            Action::ForgetPlan(name) => {
                self.actual.plans.remove(&name);
                self.attempts.remove(&name);
            }
        }
    }

    /// States that follow from what is wanted alone. STOPPED is shown once every instance has ended.
    fn show_rest(&mut self, name: &str) {
        if !self.is_leader() {
            return;
        }
        let Some(connector) = self.state.connector(name) else { return };
        let problem = connector.problem.as_ref().map(ToString::to_string);
        let target = connector.target;
        let (state, trace) = match (problem, target) {
            (Some(problem), _) => (RunState::Failed, Some(trace(ErrorClass::Definite, &problem))),
            (None, TargetState::Paused) => (RunState::Paused, None),
            (None, TargetState::Stopped) if !self.runs_anywhere(name) => (RunState::Stopped, None),
            (None, TargetState::Started | TargetState::Stopped) => return,
        };
        self.show_connector(name, state, trace);
    }

    pub(crate) fn show_connector(&mut self, name: &str, state: RunState, trace: Option<String>) {
        let version = self.version_of(name);
        self.statuses.set_connector(name, Shown { state, trace, version });
    }

    fn show_task(&mut self, task: &TaskName, state: RunState, trace: Option<String>) {
        self.view.tally.task_is(task, state, self.cx.clock.monotonic());
        let version = self.version_of(&task.0);
        self.statuses.set_task(&task.0, task.1, Shown { state, trace, version });
    }

    /// Shows a task that nobody runs as UNASSIGNED.
    pub(crate) fn show_unassigned(&mut self, name: &str, index: u32) {
        let known = self.statuses.of(name).and_then(|parts| parts.tasks.get(&index)).map(|status| status.state);
        if known != Some(RunState::Unassigned) && !self.runs_elsewhere(name, index) && !self.has_instances(name) {
            self.show_task(&(name.to_owned(), index), RunState::Unassigned, None);
        }
    }

    // --- instances -------------------------------------------------------------------------------------------------

    fn start_instance(&mut self, task: TaskName, revision: i64, paused: bool) {
        self.generation_last += 1;
        let generation = self.generation_last;
        let told = self.target_revision(&task.0);
        self.actual.tasks.insert(task.clone(), Instance { revision, phase: Phase::Up, paused, told });
        self.generations.insert(task.clone(), generation);
        self.view.tally.task_begun(&task, self.cx.clock.monotonic());
        self.note_slot(&task);
        let version = self.version_of(&task.0);
        self.statuses.expect(&task.0, Some(task.1), &version);
        let spec = match self.spec(&task, generation, paused) {
            Ok(spec) => spec,
            Err(why) => return self.failed_to_start(&task, generation, &why),
        };
        if !has_references(&spec.properties) && !has_references(&Properties(spec.task.0.clone())) {
            return self.runner.start(spec);
        }
        let cx = Arc::clone(&self.cx);
        self.jobs.spawn(async move {
            let resolved = async {
                let properties = crate::admission::resolve(&spec.properties, &cx).await?;
                let own = crate::admission::resolve(&Properties(spec.task.0.clone()), &cx).await?;
                Ok(Box::new(TaskSpec { properties, task: TaskConfig(own.0), ..spec }))
            };
            Done::Ready { task, outcome: resolved.await, generation }
        });
    }

    /// What runs: the configuration that the set of tasks was made from, not one that came after it, but for the keys that
    /// take effect while tasks run.
    fn spec(&self, task: &TaskName, generation: u64, paused: bool) -> Result<TaskSpec, String> {
        let gone = || "the task is not stored any more".to_owned();
        let connector = self.state.connector(&task.0).ok_or_else(gone)?;
        let kind = self.task_kind(connector).ok_or_else(|| {
            let class = connector.config.value("connector.class").unwrap_or("");
            format!("connector.class {class} is not among the plug-ins of this worker")
        })?;
        let own = usize::try_from(task.1).ok().and_then(|index| connector.tasks.get(index)).ok_or_else(gone)?;
        let applied = connector.applied.as_ref().unwrap_or(&connector.config);
        Ok(TaskSpec {
            id: self.task_id(task),
            kind,
            properties: with_live_of(applied, &connector.config),
            task: TaskConfig(own.0.clone()),
            tasks: u32::try_from(connector.tasks.len()).unwrap_or(u32::MAX),
            paused,
            generation,
            version_epoch: self.state.version_epoch(&task.0),
        })
    }

    /// References are resolved. An instance that was told to stop meanwhile is not started any more.
    pub(crate) fn on_ready(&mut self, task: &TaskName, generation: u64, outcome: Result<Box<TaskSpec>, String>) {
        if self.generations.get(task) != Some(&generation) {
            return;
        }
        let Some(instance) = self.actual.tasks.get(task).filter(|i| i.phase == Phase::Up) else { return };
        match outcome {
            Ok(spec) => self.runner.start(TaskSpec { paused: instance.paused, ..*spec }),
            Err(why) => self.failed_to_start(task, generation, &why),
        }
    }

    fn failed_to_start(&mut self, task: &TaskName, generation: u64, why: &str) {
        let trace = trace(ErrorClass::Config, why);
        self.on_task_event(&TaskEvent { task: self.task_id(task), generation, change: TaskChange::Failed { trace } });
    }

    fn stop_instance(&mut self, task: &TaskName, after: Duration) {
        let Some(instance) = self.actual.tasks.get_mut(task) else { return };
        instance.phase = Phase::Stopping;
        let generation = self.generations.get(task).copied().unwrap_or_default();
        let (id, runner, task) = (self.task_id(task), Arc::clone(&self.runner), task.clone());
        let wait = self.cx.clock.sleep(after);
        self.jobs.spawn(async move {
            if after > Duration::ZERO {
                wait.await;
            }
            runner.stop(&id).await;
            Done::Stopped { task, generation }
        });
    }

    /// An instance has ended: whatever is wanted in its place follows from reconciliation.
    pub(crate) fn on_stopped(&mut self, task: TaskName, generation: u64) {
        if self.generations.get(&task) != Some(&generation) {
            return;
        }
        self.generations.remove(&task);
        self.view.tally.task_ended(&task);
        self.actual.tasks.remove(&task);
        self.mapping.untold |= self.mapping.instances.remove(&task).is_some();
        let wanted = self.wanted.get(&task.0).and_then(|c| c.tasks).is_some_and(|set| task.1 < set.count);
        let state = self.statuses.of(&task.0).and_then(|parts| parts.tasks.get(&task.1)).map(|s| s.state);
        if !wanted {
            self.statuses.bury_task(&task.0, task.1);
        } else if state != Some(RunState::Restarting) {
            self.show_task(&task, RunState::Unassigned, None);
        }
        self.dirty.insert(task.0);
    }

    /// Gives the tasks that run here those keys of a new configuration that take effect without a restart.
    pub(crate) fn adjust(&mut self, name: &str) {
        let Some(connector) = self.state.connector(name) else {
            self.live.remove(name);
            return;
        };
        let live: Properties =
            connector.config.0.iter().filter(|(key, _)| is_live(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
        if self.live.get(name) == Some(&live) {
            return;
        }
        let applied = connector.applied.as_ref().unwrap_or(&connector.config);
        let properties = with_live_of(applied, &connector.config);
        if self.live.insert(name.to_owned(), live).is_none() {
            return;
        }
        let of_connector = (name.to_owned(), 0)..=(name.to_owned(), u32::MAX);
        for (task, _) in self.actual.tasks.range(of_connector).filter(|(_, i)| i.phase == Phase::Up) {
            self.runner.adjust(&self.task_id(task), &properties);
        }
    }

    fn target_revision(&self, name: &str) -> i64 {
        self.wanted.get(name).map_or(0, |connector| connector.target_revision)
    }

    fn hold(&mut self, task: &TaskName, paused: bool) {
        let told = self.target_revision(&task.0);
        let Some(instance) = self.actual.tasks.get_mut(task) else { return };
        (instance.paused, instance.told) = (paused, told);
        let id = self.task_id(task);
        if paused { self.runner.pause(&id) } else { self.runner.resume(&id) }
    }

    /// Restarts a connector: it is planned anew where it runs.
    pub(crate) fn restart_connector(&mut self, name: &str) {
        self.actual.plans.remove(name);
        self.attempts.remove(name);
        self.dirty.insert(name.to_owned());
    }

    /// Restarts a task: its instance is stopped, and reconciliation finds it missing.
    pub(crate) fn restart_instance(&mut self, name: &str, index: u32) {
        let task = (name.to_owned(), index);
        self.show_task(&task, RunState::Restarting, None);
        if self.fence_failed.remove(name) {
            self.actual.fencing.remove(name);
        }
        if self.actual.tasks.get(&task).is_some_and(|i| i.phase != Phase::Stopping) {
            self.stop_instance(&task, Duration::ZERO);
        }
        self.dirty.insert(name.to_owned());
    }

    /// News of a task. Of an instance that was told to stop only the topics count.
    pub(crate) fn on_task_event(&mut self, event: &TaskEvent) {
        let task: TaskName = (event.task.connector.to_string(), event.task.task.0);
        if self.generations.get(&task) != Some(&event.generation) {
            return;
        }
        if let TaskChange::TopicsUsed(topics) = &event.change {
            return self.on_topics(&task, topics);
        }
        if let TaskChange::Doing(words) = &event.change {
            if self.statuses.set_activity(&task.0, task.1, words) {
                self.publish_status(&task.0);
            }
            return;
        }
        let Some(instance) = self.actual.tasks.get_mut(&task).filter(|i| i.phase != Phase::Stopping) else { return };
        match &event.change {
            TaskChange::Running => self.show_task(&task, RunState::Running, None),
            TaskChange::Starting { trace } => self.show_task(&task, RunState::Unassigned, Some(trace.clone())),
            TaskChange::Pending { trace } => self.show_task(&task, RunState::Running, Some(trace.clone())),
            TaskChange::Paused => self.show_task(&task, RunState::Paused, None),
            TaskChange::Held { trace } => {
                self.show_task(&task, RunState::Paused, Some(trace.clone()));
                self.pause_held(&task.0);
            }
            TaskChange::Restarting { trace } => self.show_task(&task, RunState::Restarting, Some(trace.clone())),
            TaskChange::Failed { trace } => {
                instance.phase = Phase::Failed;
                self.show_task(&task, RunState::Failed, Some(trace.clone()));
            }
            TaskChange::Fenced => {
                tracing::warn!(connector = task.0, task = task.1, "another owner has fenced a task of this worker");
                self.stop_instance(&task, AFTER_FENCED);
            }
            TaskChange::TopicsUsed(_) | TaskChange::Doing(_) => {}
        }
        self.dirty.insert(task.0);
    }

    fn on_topics(&mut self, task: &TaskName, topics: &[String]) {
        if !self.cx.options.topic_tracking || self.state.connector(&task.0).is_none() {
            return;
        }
        let now = self.cx.clock.wall_ms();
        for topic in topics {
            self.statuses.use_topic(&task.0, task.1, topic, now);
        }
        self.publish_status(&task.0);
    }

    // --- fencing ---------------------------------------------------------------------------------------------------

    /// Fences the set of tasks before this one, then has that stored; only then do its tasks start.
    fn fence(&mut self, name: &str) {
        let Some(set) = self.wanted.get(name).and_then(|c| c.tasks) else { return };
        self.actual.fencing.insert(name.to_owned());
        let count = ids_to_fence(self.state.fencing(name).recorded, set.count);
        if count == 0 {
            return self.enter(name, Turn::Fencing { revision: set.revision });
        }
        let id = |task| format!("{}-{name}-{task}", self.cx.options.group_id);
        let ids: Vec<String> = (0..count).map(id).collect();
        let (admin, name) = (self.kafka.admin(), name.to_owned());
        self.jobs.spawn(async move {
            let outcome = admin.fence(&ids).await;
            Done::OlderFenced { name, revision: set.revision, outcome }
        });
    }

    pub(crate) fn on_older_fenced(&mut self, name: &str, revision: i64, outcome: Result<(), KafkaError>) {
        match outcome {
            Ok(()) => self.enter(name, Turn::Fencing { revision }),
            Err(KafkaError::Config(why)) => {
                self.fence_failed.insert(name.to_owned());
                let text = format!("Failed to fence former tasks: {why}");
                let count = self.wanted.get(name).and_then(|c| c.tasks).map_or(0, |set| set.count);
                for index in 0..count {
                    let trace = trace(ErrorClass::Definite, &text);
                    self.show_task(&(name.to_owned(), index), RunState::Failed, Some(trace));
                }
                self.dirty.insert(name.to_owned());
            }
            Err(error) => {
                tracing::warn!(connector = name, %error, "former tasks could not be fenced; trying again");
                self.fence_later(name);
            }
        }
    }

    pub(crate) fn fence_later(&mut self, name: &str) {
        self.later(FENCE_AGAIN, Done::FenceAgain { name: name.to_owned() });
    }

    pub(crate) fn on_fence_again(&mut self, name: String) {
        self.actual.fencing.remove(&name);
        self.dirty.insert(name);
    }

    // --- plans -----------------------------------------------------------------------------------------------------

    fn ask_for_plan(&mut self, name: &str, revision: i64) {
        let Some(connector) = self.state.connector(name) else { return };
        let config = Arc::clone(&connector.config);
        self.actual.plans.insert(name.to_owned(), Plan::Running { revision });
        self.view.tally.connector_asked();
        let version = self.version_of(name);
        self.statuses.expect(name, None, &version);
        let question =
            Question { name: name.to_owned(), config, cx: Arc::clone(&self.cx), replan: self.replan_hook(name) };
        let (name, planners) = (name.to_owned(), Arc::clone(&self.planners));
        self.jobs.spawn(async move { Done::Planned { name, revision, outcome: plan(question, planners).await } });
    }

    /// A request that finds the queue full is dropped: whoever asks because the outside world changes asks again.
    fn replan_hook(&self, name: &str) -> Arc<dyn Fn() + Send + Sync> {
        let (commands, name) = (self.commands.clone(), name.to_owned());
        Arc::new(move || {
            if let Some(commands) = commands.upgrade() {
                drop(commands.try_send(Command::Replan { name: name.clone() }));
            }
        })
    }

    /// A connector has answered; an answer to a question that is not asked any more is dropped.
    pub(crate) fn on_planned(&mut self, name: &str, revision: i64, outcome: Result<Vec<Properties>, NoPlan>) {
        if self.actual.plans.get(name) != Some(&Plan::Running { revision }) {
            return;
        }
        self.view.tally.connector_answered(outcome.is_ok());
        match outcome {
            Ok(tasks) => {
                self.attempts.remove(name);
                self.actual.plans.insert(name.to_owned(), Plan::Done { revision });
                self.show_connector(name, RunState::Running, None);
                self.enter(name, Turn::Tasks { revision, tasks });
            }
            Err(NoPlan { trace, transient: true }) => {
                self.show_connector(name, RunState::Restarting, Some(trace));
                self.plan_later(name, revision);
            }
            Err(NoPlan { trace, transient: false }) => {
                tracing::error!(connector = name, "the connector failed to plan its tasks");
                self.actual.plans.insert(name.to_owned(), Plan::Done { revision });
                self.show_connector(name, RunState::Failed, Some(trace));
            }
        }
        self.dirty.insert(name.to_owned());
    }

    pub(crate) fn plan_later(&mut self, name: &str, revision: i64) {
        self.actual.plans.insert(name.to_owned(), Plan::Running { revision });
        let attempt = self.attempts.entry(name.to_owned()).or_default();
        *attempt = attempt.saturating_add(1);
        let wait = PLAN_AGAIN_FIRST.saturating_mul(1 << (*attempt - 1).min(16)).min(PLAN_AGAIN_MOST);
        self.later(wait, Done::PlanAgain { name: name.to_owned(), revision });
    }

    pub(crate) fn on_plan_again(&mut self, name: String, revision: i64) {
        if self.actual.plans.get(&name) == Some(&Plan::Running { revision }) {
            self.actual.plans.remove(&name);
            self.dirty.insert(name);
        }
    }

    // --- what is wanted --------------------------------------------------------------------------------------------

    /// A connector as reconciliation sees it.
    pub(crate) fn want(&self, name: &str, connector: &Connector) -> WantedConnector {
        let exactly_once = self.cx.options.exactly_once == ExactlyOnce::Enabled;
        let fences = exactly_once && self.task_kind(connector) == Some(TaskKind::Source);
        let count = u32::try_from(connector.tasks.len()).unwrap_or(u32::MAX);
        let fenced = !fences || !self.state.fencing(name).pending;
        WantedConnector {
            revision: connector.revision,
            target: match connector.target {
                TargetState::Started => Target::Started,
                TargetState::Paused => Target::Paused,
                TargetState::Stopped => Target::Stopped,
            },
            target_revision: connector.target_revision,
            tasks: connector.tasks_revision.map(|revision| TaskSet { count, revision, fenced }),
            blocked: connector.problem.is_some(),
        }
    }
}

fn has_references(properties: &Properties) -> bool {
    properties.0.values().any(|value| value.contains("${"))
}
