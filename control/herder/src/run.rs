//! Start, loop and end of the herder.
use crate::answer::HealthState;
use crate::command::Command;
use crate::handle::{HerderHandle, Leader, WorkerContext};
use crate::herder::{Done, Herder, Start, reply};
use crate::lanes::{Lanes, Progress};
use crate::letters::Letters;
use crate::mapping::Mapping;
use crate::news::TaskNews;
use crate::options::{HerderOptions, HerderPorts};
use crate::positions::Positions;
use crate::statuses::Statuses;
use crate::view::View;
use elasticflow_api::clock::Clock;
use elasticflow_kafka::ports::{Kafka, KafkaError};
use elasticflow_store::InternalTopic;
use elasticflow_store::config::{ConfigEvent, ConfigTopic, ConfigTopicOptions, WriteError, WriteToken};
use elasticflow_store::status::{StatusEvent, StatusTopic};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Requests that may wait for the loop.
const COMMANDS_MAX: usize = 1024;
/// Log levels that may wait to be set; one that finds no room is dropped.
const LEVELS_MAX: usize = 64;
const BACKOFF: Duration = Duration::from_millis(250);
/// Longest wait at the end for Kafka to confirm the last statuses.
const LAST_STATUSES: Duration = Duration::from_secs(2);

/// The running herder.
pub struct HerderService {
    stop: CancellationToken,
    run: JoinHandle<Result<(), String>>,
}

/// What the loop listens to.
struct Inbox {
    config: mpsc::Receiver<ConfigEvent>,
    status: mpsc::Receiver<StatusEvent>,
    news: TaskNews,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
}

impl HerderService {
    /// Asks it to stop: tasks end softly, then hard, and their statuses say so.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for the end; cancel-safe.
    ///
    /// # Errors
    /// Why the worker cannot go on without a change by a person, such as an internal topic that is not compacted.
    pub async fn ended(&mut self) -> Result<(), String> {
        match (&mut self.run).await {
            Ok(outcome) => outcome,
            Err(error) => Err(format!("the herder ended unexpectedly: {error}")),
        }
    }
}

/// Starts a herder. Answers at once: requests wait until the internal topics are read, however long Kafka is away.
pub fn start(options: HerderOptions, ports: HerderPorts) -> (HerderHandle, HerderService) {
    let HerderPorts { kafka, registry, runner, news, membership, references, clock } = ports;
    let (commands, asked) = mpsc::channel(COMMANDS_MAX);
    let (ready, is_ready) = watch::channel(false);
    let (leader, known_leader) = watch::channel(Leader::Unknown);
    let (levels, asked_levels) = mpsc::channel(LEVELS_MAX);
    let view = Arc::new(View::starting(clock.wall_ms()));
    *view.levels.lock() = Some(asked_levels);
    let cx = Arc::new(WorkerContext { options, registry, references, clock });
    let stop = CancellationToken::new();
    let (config_topic, config) = open_config(&kafka, &cx);
    let (status_topic, status) =
        StatusTopic::open(Arc::clone(&kafka), cx.options.status_topic.clone(), Arc::clone(&cx.clock));
    let letters = Arc::new(Letters::new(Arc::clone(&kafka), Arc::clone(&cx)));
    let inbox = Inbox { config, status, news, commands: asked, stop: stop.clone() };
    let herder = Herder {
        kafka: Arc::clone(&kafka),
        runner,
        membership: Arc::clone(&membership),
        leases: Default::default(),
        fresh: Default::default(),
        leading: false,
        mapping: Mapping::offering(crate::queue::room(&cx.options.worker)),
        leader,
        syncs: Default::default(),
        view: Arc::clone(&view),
        levels,
        commands: commands.downgrade(),
        config_topic,
        state: Default::default(),
        staging: None,
        staged: -1,
        read_to: -1,
        wanted: Default::default(),
        live: Default::default(),
        actual: Default::default(),
        generations: Default::default(),
        generation_last: 0,
        statuses: Statuses::new(status_topic, &cx.options.worker_id),
        positions: Arc::new(Positions::new(Arc::clone(&kafka), Arc::clone(&cx))),
        lanes: Lanes::default(),
        writes: Default::default(),
        token_last: 0,
        dirty: Default::default(),
        attempts: Default::default(),
        fence_failed: Default::default(),
        jobs: JoinSet::new(),
        planners: Arc::new(Semaphore::new(crate::planning::PLANS_MAX)),
        start: Start::default(),
        ready,
        cx: Arc::clone(&cx),
    };
    let run = tokio::spawn(herder.run(inbox));
    let handle =
        HerderHandle { commands, view, context: cx, letters, ready: is_ready, leader: known_leader, membership };
    (handle, HerderService { stop, run })
}

fn open_config(kafka: &Arc<dyn Kafka>, cx: &WorkerContext) -> (ConfigTopic, mpsc::Receiver<ConfigEvent>) {
    let options = ConfigTopicOptions {
        topic: cx.options.config_topic.clone(),
        transactional_id: format!("connect-cluster-{}", cx.options.group_id),
        clock: Arc::clone(&cx.clock),
    };
    ConfigTopic::open(Arc::clone(kafka), options)
}

impl Herder {
    async fn run(mut self, mut inbox: Inbox) -> Result<(), String> {
        self.prepare();
        let outcome = loop {
            let step = self.step(&mut inbox).await;
            if let Some(outcome) = step {
                break outcome;
            }
            self.settle();
            self.look_if_ready();
        };
        if let Err(reason) = &outcome {
            tracing::error!(reason, "the worker cannot go on");
        }
        self.end().await;
        outcome
    }

    /// Waits for one thing to happen and takes it in; every branch is cancel-safe. Answers when the loop has to end.
    async fn step(&mut self, inbox: &mut Inbox) -> Option<Result<(), String>> {
        let membership = Arc::clone(&self.membership);
        tokio::select! {
            biased;
            () = inbox.stop.cancelled() => return Some(Ok(())),
            event = inbox.config.recv() => match event {
                Some(event) => return self.on_config_event(event).err().map(Err),
                None => return Some(Err("the owner of the config topic ended unexpectedly".to_owned())),
            },
            event = inbox.status.recv() => match event {
                Some(event) => return self.on_status_event(event).err().map(Err),
                None => return Some(Err("the reader of the status topic ended unexpectedly".to_owned())),
            },
            Some(done) = self.jobs.join_next() => match done {
                Ok(done) => return self.on_done(done).err().map(Err),
                Err(error) => tracing::error!(%error, "a job of the herder ended unexpectedly"),
            },
            news = inbox.news.take() => news.iter().for_each(|event| self.on_task_event(event)),
            command = inbox.commands.recv() => match command {
                Some(command) => self.on_command(command),
                // Every handle is gone; tasks go on.
                None => inbox.stop.cancelled().await,
            },
            () = membership.changed(self.leases.version) => self.on_leases(),
            why = membership.refused() => return Some(Err(why)),
        }
        None
    }

    /// What is needed beside the config and status topics, all at once.
    fn prepare(&mut self) {
        let (kafka, clock) = (Arc::clone(&self.kafka), Arc::clone(&self.cx.clock));
        let topic = self.cx.options.offset_topic.clone();
        self.jobs.spawn(async move { Done::OffsetsTopic(ensure(kafka, &topic, clock).await) });
        let (kafka, clock) = (Arc::clone(&self.kafka), Arc::clone(&self.cx.clock));
        self.jobs.spawn(async move {
            loop {
                match kafka.cluster_id().await {
                    Ok(id) => return Done::ClusterId(id),
                    Err(_) => clock.sleep(BACKOFF).await,
                }
            }
        });
    }

    fn on_config_event(&mut self, event: ConfigEvent) -> Result<(), String> {
        match event {
            ConfigEvent::Restarted => self.on_config_restarted(),
            ConfigEvent::Record(record) => self.on_config_record(&record),
            ConfigEvent::CaughtUp => {
                self.on_config_caught_up();
                self.well_again();
            }
            ConfigEvent::Answering => self.well_again(),
            ConfigEvent::Leading(leading) => self.on_leading(leading),
            ConfigEvent::Synced(token) => self.on_synced(token),
            ConfigEvent::Written(token, outcome) => self.on_written(token, outcome),
            ConfigEvent::Waiting(reason) => self.on_waiting(&reason),
            ConfigEvent::Refused(why) => return Err(why),
        }
        Ok(())
    }

    fn on_status_event(&mut self, event: StatusEvent) -> Result<(), String> {
        match event {
            StatusEvent::Record(record) => self.on_status_record(record),
            StatusEvent::Loaded => {
                self.start.status = true;
                self.statuses.loaded();
                self.claim();
            }
            StatusEvent::Problem(problem) => {
                tracing::error!(%problem, "a record of the status topic cannot be decoded and is left alone");
            }
            // The config topic's owner tells of the same trouble.
            StatusEvent::Waiting(reason) => tracing::debug!(reason, "the status topic cannot be read"),
            StatusEvent::Refused(why) => return Err(why),
        }
        Ok(())
    }

    fn on_written(&mut self, token: WriteToken, outcome: Result<(), WriteError>) {
        let Some((name, then)) = self.writes.remove(&token) else { return };
        if self.finish(&name, then, outcome) == Progress::Done {
            self.leave(&name);
        }
    }

    fn on_waiting(&self, reason: &str) {
        let state = if *self.ready.borrow() { HealthState::Unhealthy } else { HealthState::Starting };
        let servers = self.cx.options.worker.value("bootstrap.servers").map(|s| format!(" at {s}")).unwrap_or_default();
        self.set_health(state, &format!("waiting for Kafka{servers}: {reason}"));
    }

    fn on_done(&mut self, done: Done) -> Result<(), String> {
        match done {
            Done::OffsetsTopic(outcome) => {
                outcome?;
                self.start.offsets = true;
            }
            Done::ClusterId(id) => {
                *self.view.cluster_id.write() = id;
                self.start.cluster = true;
            }
            Done::Planned { name, revision, outcome } => self.on_planned(&name, revision, outcome),
            Done::PlanAgain { name, revision } => self.on_plan_again(name, revision),
            Done::Ready { task, outcome, generation } => self.on_ready(&task, generation, outcome),
            Done::Stopped { task, generation } => self.on_stopped(task, generation),
            Done::OlderFenced { name, revision, outcome } => self.on_older_fenced(&name, revision, outcome),
            Done::FenceAgain { name } => self.on_fence_again(name),
            Done::WaitOver { name } => drop(self.dirty.insert(name)),
            Done::MapAgain => self.mapping.due = true,
            Done::ClaimAgain => self.claim_again(),
            Done::CatchUpAgain => self.catch_up(),
            Done::Sweep => self.sweep(),
            Done::Altered { name, outcome, answer } => self.on_altered(&name, outcome, answer),
            Done::Read { outcome, answer } => reply(answer, outcome),
            Done::Lost { outcome, answer } => reply(answer, outcome),
        }
        Ok(())
    }

    /// What kept a worker that was ready from its work is over.
    fn well_again(&self) {
        if *self.ready.borrow() {
            self.set_health(HealthState::Ready, "");
        }
    }

    fn look_if_ready(&mut self) {
        if !*self.ready.borrow() && self.start.complete() {
            self.settle();
            self.set_health(HealthState::Ready, "");
            self.ready.send_replace(true);
        }
    }

    /// Ends every task and says so.
    async fn end(mut self) {
        self.ready.send_replace(false);
        let mut stops = JoinSet::new();
        for task in self.actual.tasks.keys() {
            let (runner, id) = (Arc::clone(&self.runner), self.task_id(task));
            stops.spawn(async move { runner.stop(&id).await });
        }
        while stops.join_next().await.is_some() {}
        self.jobs.shutdown().await;
        self.statuses.close(LAST_STATUSES).await;
    }
}

/// Creates a topic or checks it, for as long as it takes.
async fn ensure(kafka: Arc<dyn Kafka>, topic: &InternalTopic, clock: Arc<dyn Clock>) -> Result<(), String> {
    loop {
        match kafka.admin().ensure_topic(&topic.spec()).await {
            Ok(()) => return Ok(()),
            Err(KafkaError::Config(why)) => return Err(why),
            Err(_) => clock.sleep(BACKOFF).await,
        }
    }
}
