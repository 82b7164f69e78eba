//! One supervisor a task: starts instances, answers their end, reports states. The only home of spawned tasks.
//!
//! An instance that fails is dropped and never repaired; what follows is decided by the class of its error alone
//! ([`crate::policy`]). A panic ends the instance that panicked and nothing else.
use crate::breaker::TaskBreaker;
use crate::budget::Budget;
use crate::error::TaskError;
use crate::event::{Happening, TaskEvent, TaskState};
use crate::limit::TaskLimit;
use crate::metrics::TaskMetrics;
use crate::policy::{Attempts, Cause, Failure, Verdict, decide};
use crate::runtime::StopOutcome;
use crate::services::Services;
use crate::spec::{TaskKind, TaskSpec};
use crate::{sink, source};
use elasticflow_api::ErrorClass;
use elasticflow_config::flow::{LagSettings, TaskSettings, settings_of};
use elasticflow_config::{Properties, parse};
use parking_lot::Mutex;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A task under supervision.
pub(crate) struct Supervised {
    task: Arc<Supervision>,
    paused: watch::Sender<bool>,
    join: JoinHandle<()>,
}

/// What supervisor, instance and handle share.
pub(crate) struct Supervision {
    pub(crate) spec: TaskSpec,
    pub(crate) services: Arc<Services>,
    pub(crate) metrics: Arc<TaskMetrics>,
    /// Rates; outlives instances, as the breaker does.
    pub(crate) limit: Arc<TaskLimit>,
    pub(crate) breaker: Arc<TaskBreaker>,
    /// Bad records that may be skipped; outlives instances.
    pub(crate) budget: Budget,
    settings: TaskSettings,
    /// The place in the consumer group, between two instances of a sink.
    pub(crate) kept: Mutex<Option<sink::Kept>>,
    /// What is wrong with the settings that the supervisor reads: no instance is made.
    refused: Option<String>,
    /// Soft stop.
    pub(crate) stop: CancellationToken,
    /// Target state.
    pub(crate) paused: watch::Receiver<bool>,
    /// How often the task was told to go on: a pause that a resume has overtaken leaves no other trace.
    resumed: watch::Sender<u64>,
    state: Mutex<TaskState>,
}

/// A spawned task that ends with its owner.
pub(crate) struct Owned<T>(Option<JoinHandle<T>>);

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if let Some(running) = &self.0 {
            running.abort();
        }
    }
}

impl<T> Owned<T> {
    /// Waits for its end; a panic is its error. Cancel-safe; answers once.
    pub(crate) async fn join(&mut self) -> Result<T, TaskError> {
        let Some(running) = self.0.as_mut() else { return Err(TaskError::Bug("the task had ended before".to_owned())) };
        let ended = running.await;
        self.0 = None;
        ended.map_err(|e| match e.try_into_panic() {
            Ok(panic) => panicked(panic.as_ref()),
            Err(_) => TaskError::Bug("the task was cancelled".to_owned()),
        })
    }
}

/// Spawns a part of a task.
pub(crate) fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Owned<T> {
    Owned(Some(tokio::spawn(future)))
}

/// What a panic means for its task.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> TaskError {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    TaskError::Panic(text.unwrap_or_else(|| "no text".to_owned()))
}

/// Starts a supervisor.
pub(crate) fn start(spec: TaskSpec, services: Arc<Services>) -> Supervised {
    let (paused, watched) = watch::channel(spec.paused);
    let metrics = Arc::new(TaskMetrics::new(spec.id.clone(), spec.kind));
    let (settings, refused) = settings(&spec, &services);
    let (clock, random) = (Arc::clone(&services.options.clock), Arc::clone(&services.options.random));
    let breaker = Arc::new(TaskBreaker::new(settings.breaker.clone(), Arc::clone(&clock), random));
    let limit = Arc::new(TaskLimit::new(clock, Arc::clone(&breaker), &settings.rate, spec.tasks));
    limit.set_cap(cap(&settings_of(&spec.properties, &services.options.worker)));
    let budget = Budget::new(Arc::clone(&services), Arc::clone(&spec.id.connector), settings.budget.clone());
    let task = Arc::new(Supervision {
        spec,
        services,
        metrics,
        limit,
        breaker,
        budget,
        settings,
        kept: Mutex::default(),
        refused,
        stop: CancellationToken::new(),
        paused: watched,
        resumed: watch::channel(0).0,
        state: Mutex::new(TaskState::Restarting { trace: String::new() }),
    });
    let join = tokio::spawn(run(Arc::clone(&task)));
    Supervised { task, paused, join }
}

/// The cap that holds a source; what is wrong with it is told when the configuration is read.
pub(crate) fn cap(settings: &Properties) -> Option<u64> {
    parse::<LagSettings>(settings).ok()?.holding_cap()
}

/// What the supervisor reads of the configuration; the defaults, and the reason, when it cannot be read.
fn settings(spec: &TaskSpec, services: &Services) -> (TaskSettings, Option<String>) {
    match TaskSettings::read(&settings_of(&spec.properties, &services.options.worker)) {
        Ok(settings) => (settings, None),
        Err(report) => (TaskSettings::default(), Some(format!("configuration is not valid: {report}"))),
    }
}

impl Supervised {
    pub(crate) fn runs(&self) -> bool {
        !self.join.is_finished()
    }
    pub(crate) fn state(&self) -> TaskState {
        self.task.state.lock().clone()
    }
    pub(crate) fn metrics(&self) -> Arc<TaskMetrics> {
        Arc::clone(&self.task.metrics)
    }
    pub(crate) fn breaker(&self) -> Arc<TaskBreaker> {
        Arc::clone(&self.task.breaker)
    }
    pub(crate) fn limit(&self) -> Arc<TaskLimit> {
        Arc::clone(&self.task.limit)
    }
    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.send_if_modified(|known| std::mem::replace(known, paused) != paused);
        if !paused {
            self.task.resumed.send_modify(|times| *times += 1);
        }
    }

    /// Soft, then hard.
    pub(crate) async fn stop(mut self, graceful: Duration) -> StopOutcome {
        if !self.runs() {
            return StopOutcome::NotRunning;
        }
        self.task.stop.cancel();
        let too_late = self.task.services.options.clock.sleep(graceful);
        tokio::select! {
            biased;
            _ = &mut self.join => StopOutcome::Soft,
            () = too_late => {
                self.join.abort();
                tracing::warn!(task = %self.task.spec.id, "the task did not stop in time and is abandoned");
                self.task.report(TaskState::Stopped);
                StopOutcome::Hard
            }
        }
    }
}

/// A runtime that is dropped takes its tasks along, hard.
impl Drop for Supervised {
    fn drop(&mut self) {
        self.task.stop.cancel();
        self.join.abort();
    }
}

/// Waits for a change of the target state; cancel-safe. The sender lives as long as the task does, but for its last moments.
pub(crate) async fn target_changed(paused: &mut watch::Receiver<bool>) {
    if paused.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Supervision {
    /// Reports a state, once per change.
    pub(crate) fn report(&self, state: TaskState) {
        {
            let mut current = self.state.lock();
            if *current == state {
                return;
            }
            current.clone_from(&state);
        }
        self.happened(Happening::State(state));
    }

    /// Reports anything.
    pub(crate) fn happened(&self, what: Happening) {
        let event = TaskEvent { id: self.spec.id.clone(), generation: self.spec.generation, what };
        (self.services.options.events)(event);
    }

    /// Whether the target state is PAUSED.
    pub(crate) fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// RUNNING or PAUSED, as the target state says.
    pub(crate) fn report_target(&self) {
        self.report(if self.is_paused() { TaskState::Paused } else { TaskState::Running });
    }
}

async fn run(task: Arc<Supervision>) {
    run_on(&task).await;
    // Whoever gives up leaves its group.
    task.kept.lock().take();
}

async fn run_on(task: &Arc<Supervision>) {
    let clock = Arc::clone(&task.services.options.clock);
    let mut attempts = Attempts::default();
    loop {
        let commits = task.metrics.transactions.value();
        let Err(error) = instance(task).await else {
            return task.report(TaskState::Stopped);
        };
        if task.stop.is_cancelled() {
            tracing::warn!(task = %task.spec.id, error = %error.trace(&task.spec.id), "the task ended with an error while it stopped");
            return task.report(TaskState::Stopped);
        }
        if matches!(error, TaskError::OverBudget(_)) && task.budget.pauses() {
            if !held(task, &error).await {
                return task.report(TaskState::Stopped);
            }
            attempts = Attempts::default();
            continue;
        }
        let cause = cause(task, &error);
        let progressed = task.metrics.transactions.value() > commits;
        attempts.failed(clock.monotonic(), progressed);
        let Some(wait) = answer(task, &error, cause, &mut attempts).await else { return };
        task.metrics.restarts.add(1);
        let mut kept = task.kept.lock().take();
        let over = async {
            clock.sleep(wait).await;
            task.breaker.ready().await;
        };
        tokio::select! {
            biased;
            () = task.stop.cancelled() => return task.report(TaskState::Stopped),
            () = over => {}
            () = sink::hold(&mut kept) => {}
        }
        *task.kept.lock() = kept;
    }
}

/// The error budget is used up, and the connector is paused for that: waits until somebody resumes it; false for a stop.
async fn held(task: &Supervision, error: &TaskError) -> bool {
    task.metrics.errors_of(error.class()).add(1);
    task.kept.lock().take();
    let trace = error.trace(&task.spec.id);
    tracing::warn!(task = %task.spec.id, error = %trace, "the task waits until its connector is resumed");
    let mut resumed = task.resumed.subscribe();
    // Before anybody can hear of it: whoever resumes it has heard.
    let before = *resumed.borrow();
    task.report(TaskState::Held { trace });
    let resumed = resumed.wait_for(|times| *times > before);
    tokio::select! {
        biased;
        () = task.stop.cancelled() => return false,
        // Its sender lives as long as the task.
        _ = resumed => {}
    }
    task.budget.go_on();
    true
}

/// Tells the breaker how the instance ended, and says whose business the failure is.
fn cause(task: &Supervision, error: &TaskError) -> Cause {
    let class = match error {
        TaskError::Connector(error) => Some(error.class),
        TaskError::TooLong { .. } => Some(error.class()),
        _ => None,
    };
    task.breaker.called(Some(class.unwrap_or(ErrorClass::Fenced)));
    if matches!(class, Some(ErrorClass::Transient { .. })) {
        task.breaker.remember(error.to_string());
    }
    match (class, error) {
        (Some(ErrorClass::Transient { .. }), _) if task.breaker.is_exhausted() => Cause::BreakerTooLong,
        (Some(ErrorClass::Transient { .. }), _) if !task.breaker.is_closed() => Cause::Breaker,
        (_, TaskError::Kafka { .. } | TaskError::Commit(_) | TaskError::Lost) => Cause::Kafka,
        _ => Cause::Task,
    }
}

/// Runs one instance to its end.
async fn instance(task: &Arc<Supervision>) -> Result<(), TaskError> {
    if let Some(refused) = &task.refused {
        return Err(TaskError::Config(refused.clone()));
    }
    let own = Arc::clone(task);
    let mut running = match task.spec.kind {
        TaskKind::Source => spawn(async move { source::run(own).await }),
        TaskKind::Sink => spawn(async move { sink::run(own).await }),
    };
    let ended = running.join().await;
    task.limit.rest();
    ended?
}

/// What follows an error: `Some(wait)` before a new instance, `None` when this was the last.
async fn answer(task: &Supervision, error: &TaskError, cause: Cause, attempts: &mut Attempts) -> Option<Duration> {
    let options = &task.services.options;
    let class = error.class();
    task.metrics.errors_of(class).add(1);
    let failure = Failure { class, cause, now: options.clock.monotonic(), jitter: options.random.unit() };
    let verdict = decide(failure, attempts, &task.settings.restart, &options.restart);
    let trace = error.trace(&task.spec.id);
    match verdict {
        Verdict::Restart(wait) => {
            attempts.restarted(options.clock.wall_ms(), &error.to_string());
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(task = %task.spec.id, error = %trace, failures = attempts.in_a_row(), wait_ms, "the task failed and is started again");
            // It waits for the system at its other end, not for its next attempt: flow control says so beside the state.
            match cause {
                Cause::Breaker => task.report_target(),
                Cause::BreakerTooLong | Cause::Kafka | Cause::Task => task.report(TaskState::Restarting { trace }),
            }
            Some(wait)
        }
        Verdict::Reconsider(wait) if options.assignment.current(&task.spec.id, task.spec.generation).await => {
            Some(wait)
        }
        Verdict::Reconsider(_) => {
            task.report(TaskState::Fenced);
            None
        }
        Verdict::Fail(reason) => {
            let loud = matches!(class, ErrorClass::Bug);
            let trace = reason.map_or_else(|| trace.clone(), |reason| attempts.explain(reason, &trace));
            tracing::error!(task = %task.spec.id, error = %trace, bug = loud, "the task failed; it runs again only when it is restarted");
            task.report(TaskState::Failed { trace });
            None
        }
    }
}
