//! One instance of a sink task, from connection to release.
use super::batches::Batches;
use super::cycle::{Cycle, Kind};
use super::flow::{Flow, Held};
use super::intake::Intake;
use super::leave::Backlog;
use super::pending::starting;
use super::precedence::Precedence;
use super::rejects::Rejects;
use super::settings::SinkSettings;
use super::two_phase::TwoPhase;
use crate::dead_letters::DeadLetters;
use crate::error::{Doing, TaskError};
use crate::failpoint::failpoint;
use crate::pipeline::{Converters, Decoder, Tolerance, Transforms, parsed};
use crate::supervise::Supervision;
use elasticflow_api::context::{Errant, SinkContext, SinkFlow};
use elasticflow_api::registry::{Guarantee, Plugin, PluginKind};
use elasticflow_api::sink::{PublishKind, SinkKind};
use elasticflow_kafka::ports::{ClientProperties, Producer};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// How soon the group notices that a worker was killed; the client's default would be 45 s.
const SESSION_TIMEOUT_MS: &str = "10000";

/// Instances that follow each other to make final what stands before records above the error budget.
const BUDGET_ROUNDS_MAX: usize = 16;

/// Runs an instance. Ok is a soft stop.
///
/// A task that may not skip a bad record has records on their way that stand behind it, or in other partitions, and some
/// sinks cannot take them back. So the instance is dropped, and another one reads up to that record, makes that final and ends.
pub(crate) async fn run(task: Arc<Supervision>) -> Result<(), TaskError> {
    for _ in 1..BUDGET_ROUNDS_MAX {
        task.budget.begin();
        let ended = instance(Arc::clone(&task)).await;
        if ended.is_ok() || !task.budget.is_refused() || task.stop.is_cancelled() {
            return ended;
        }
    }
    task.budget.begin();
    instance(task).await
}

async fn instance(task: Arc<Supervision>) -> Result<(), TaskError> {
    let options = &task.services.options;
    let properties = &task.spec.properties;
    let settings = SinkSettings::new(properties, &task.spec.id.connector)?;
    let (sink, class, publishes) = connector(&task)?;
    let tolerance = Tolerance::new(parsed(properties)?, Arc::clone(&task.metrics), Arc::clone(&options.clock));
    let rejects = Arc::new(Rejects::new(&task, tolerance.clone(), DeadLetters::new(&task).await?, class));
    let mut intake = Intake {
        task: Arc::clone(&task),
        decoder: Decoder::new(Converters::new(&options.registry, properties, &options.worker)?),
        transforms: Transforms::new(&options.registry, properties)?,
        tolerance,
        rejects: Arc::clone(&rejects),
        replays: super::replay::topic_of(&task),
    };
    let flow = Arc::new(Flow::default());
    let shared: Arc<Flow> = Arc::clone(&flow);
    let cx = context(&task, rejects, shared);
    // Fencing comes before the group is joined: the first step of a take-over.
    let mut sink = match sink {
        SinkKind::Idempotent(sink) => Kind::Idempotent(sink),
        SinkKind::Transactional(sink) => Kind::Transactional(sink),
        SinkKind::TwoPhase(sink) => Kind::TwoPhase(Box::new(TwoPhase::fence(&task, sink).await?)),
    };
    if intake.transforms.pass_plain_values() && intake.decoder.converters().value.reads_json_text() {
        intake.decoder.as_text = sink.task().takes_json();
    }
    if intake.transforms.pass_headers() {
        intake.decoder.with_headers = sink.task().reads_headers();
    }
    if intake.transforms.is_empty() {
        intake.decoder.with_keys = sink.task().reads_keys() || !intake.decoder.converters().key.reads_json_text();
        if sink.task().reads_rows_alone() {
            intake.decoder.read_rows_alone();
        }
    }
    if intake.rejects.topic().is_some() && !matches!(sink, Kind::TwoPhase(_)) {
        intake.rejects.writes_with(letters_producer(&task)?).await;
    }
    let kept = task.kept.lock().take();
    let (mut consumer, adopted) = match kept {
        Some(kept) => (kept.consumer, kept.assigned),
        None => {
            let subscription = match intake.rejects.topic() {
                Some(_) => super::replay::subscription(&task, &settings.subscription).await?,
                None => settings.subscription.clone(),
            };
            let consumer = options.kafka.consumer(&settings.group, &subscription, &consumer_properties(&task));
            (consumer.doing("making a consumer")?, BTreeSet::new())
        }
    };
    let batches = Batches::new(&task, publishes).await?;
    // Dead letters carry them, and marks of batches are some.
    let has_readers = intake.rejects.topic().is_some() || batches.is_some();
    consumer.with_headers(has_readers || intake.decoder.needs_headers());
    let cycle = Cycle {
        task: Arc::clone(&task),
        settings,
        consumer,
        sink,
        cx,
        intake,
        flow,
        batches,
        assigned: BTreeSet::new(),
        adopted,
        held: BTreeSet::new(),
        backlog: Backlog::default(),
        precedence: Precedence::default(),
        consumed: BTreeMap::new(),
        durable: BTreeMap::new(),
        unflushed: 0,
        unflushed_bytes: 0,
        since: None,
        lag_asked: None,
        lag_task: None,
        topics: HashSet::new(),
    };
    start_and_cycle(&task, cycle).await
}

/// Starts the sink, runs the loop, stops the sink.
async fn start_and_cycle(task: &Supervision, mut cycle: Cycle) -> Result<(), TaskError> {
    let options = &task.services.options;
    let (limit, flow) = (options.limits.start_max, Arc::clone(&cycle.flow));
    let start = starting(task, &flow, cycle.sink.task().start(&cycle.cx));
    let ended = tokio::select! {
        biased;
        () = task.stop.cancelled() => Ok(false),
        started = start => started.map(|()| true).map_err(TaskError::from),
        () = options.clock.sleep(limit) => Err(TaskError::TooLong { doing: "start of the sink", limit_ms: limit.as_millis() }),
    };
    let ended = match ended {
        Ok(true) => {
            failpoint!("sink.start.after");
            task.report_target();
            cycle.run().await
        }
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    tokio::select! {
        biased;
        () = cycle.sink.task().stop() => {}
        () = options.clock.sleep(options.graceful_timeout) => {
            tracing::warn!(task = %task.spec.id, "the sink did not stop in time and is abandoned");
        }
    }
    if let Err(error) = &ended {
        cycle.leave_to_next(error);
    }
    ended
}

fn kind_word(sink: &SinkKind) -> &'static str {
    match sink {
        SinkKind::Idempotent(_) => "idempotent",
        SinkKind::Transactional(_) => "transactional",
        SinkKind::TwoPhase(_) => "two-phase",
    }
}

fn connector(task: &Supervision) -> Result<(SinkKind, &'static str, &'static [PublishKind]), TaskError> {
    let class = task.spec.properties.value("connector.class").unwrap_or_default();
    let entry = task.services.options.registry.find(PluginKind::Sink, class.trim());
    match entry.map(|e| (&e.plugin, e.class)) {
        Some((Plugin::Sink(plugin), class)) => {
            let properties = &task.spec.properties;
            let guarantee = plugin.guarantee(properties).unwrap_or(Guarantee::AtLeastOnce);
            let asked = properties.value("delivery.guarantee").unwrap_or_default().trim() == "exactly-once";
            if asked && guarantee == Guarantee::AtLeastOnce {
                let text = "delivery.guarantee=exactly-once, which the connector does not give with this configuration; set it to at-least-once";
                return Err(TaskError::Config(text.to_owned()));
            }
            let sink = plugin.task(properties, task.spec.task.clone())?;
            tracing::info!(task = %task.spec.id, guarantee = guarantee.word(), kind = kind_word(&sink), "the sink starts");
            Ok((sink, class, plugin.publishes(properties)))
        }
        _ => Err(TaskError::Config(format!("there is no sink connector {class:?} in this build"))),
    }
}

fn context(task: &Supervision, errant: Arc<dyn Errant>, flow: Arc<dyn SinkFlow>) -> SinkContext {
    let options = &task.services.options;
    SinkContext {
        task: task.spec.id.clone(),
        version_epoch: task.spec.version_epoch,
        clock: Arc::clone(&options.clock),
        errant,
        buffer_max: options.limits.sink_buffer,
        flow,
        lease: Arc::new(Held),
        endpoint: Arc::clone(&task.breaker) as _,
    }
}

fn consumer_properties(task: &Supervision) -> ClientProperties {
    let id = format!("connector-consumer-{}", task.spec.id);
    let mut client: ClientProperties = BTreeMap::from([("client.id".to_owned(), id)]);
    if task.services.options.worker.value("consumer.session.timeout.ms").is_none() {
        client.insert("session.timeout.ms".to_owned(), SESSION_TIMEOUT_MS.to_owned());
    }
    client.extend(task.spec.properties.below("consumer.override.").0);
    client.remove("group.id");
    client
}

fn letters_producer(task: &Supervision) -> Result<Box<dyn Producer>, TaskError> {
    let id = format!("connector-dlq-producer-{}", task.spec.id);
    let mut client: ClientProperties = BTreeMap::from([("client.id".to_owned(), id)]);
    client.extend(task.spec.properties.below("producer.override.").0);
    task.services.options.kafka.producer(&client).doing("making a producer of dead letters")
}
