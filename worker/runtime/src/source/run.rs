//! One instance of a source task, from fencing to release.
use super::cycle::Cycle;
use super::inbox::OpenInbox;
use super::marks::Marks;
use super::offsets::{Pending, Stored, owner};
use super::poller::Poller;
use super::rejects::Rejects;
use super::settings::SourceSettings;
use super::topics::Topics;
use super::transaction::{Outlet, Transaction};
use crate::error::{Doing, TaskError};
use crate::failpoint::failpoint;
use crate::pipeline::{Converters, Encoder, Transforms};
use crate::supervise::Supervision;
use elasticflow_api::context::SourceContext;
use elasticflow_api::registry::{Guarantee, Plugin, PluginKind};
use elasticflow_api::source::SourceTask;
use elasticflow_kafka::ports::{ClientProperties, CommitError, KafkaError, TopicSpec};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Partitions of a connector's own offsets topic; as of the worker's by default.
const OWN_OFFSETS_PARTITIONS: i32 = 25;

/// Runs an instance. Ok is a soft stop.
pub(crate) async fn run(task: Arc<Supervision>) -> Result<(), TaskError> {
    let options = &task.services.options;
    let properties = &task.spec.properties;
    let settings = SourceSettings::new(properties, options)?;
    let (connector, guarantee, class) = connector(&task)?;
    let given = if settings.exactly_once { guarantee } else { Guarantee::AtLeastOnce };
    if settings.required && given == Guarantee::AtLeastOnce {
        let text = "exactly.once.support is required, but the connector does not give exactly-once with this configuration; set it to requested";
        return Err(TaskError::Config(text.to_owned()));
    }
    tracing::info!(task = %task.spec.id, guarantee = given.word(), "the source starts");
    let encoder = Encoder::new(Converters::new(&options.registry, properties, &options.worker)?);
    let transforms = Transforms::new(&options.registry, properties)?;
    let mut connector = connector;
    if let Some((key, value)) = encoder.json_forms().filter(|_| transforms.is_empty()) {
        connector.written_as(key, value);
    }
    let topics = Topics::new(properties, options.topic_creation, options.kafka.admin())?;

    let Some(outlet) = fenced(&task, &settings).await? else { return Err(TaskError::Fenced) };
    let stored = Arc::new(read_offsets(&task, &settings).await?);
    task.budget.begin_source(task.spec.id.task.0).await?;
    failpoint!("source.offsets.read");
    let rejects = Rejects::new(&task, class).await?;
    let transaction = Transaction {
        outlet,
        offsets_topics: settings.own_offsets_topic.iter().cloned().chain([options.offsets_topic.clone()]).collect(),
        connector: Arc::clone(&task.spec.id.connector),
        keys: stored.keys(),
        clock: Arc::clone(&options.clock),
        metrics: Arc::clone(&task.metrics),
        value: Vec::new(),
    };
    let resumes = !stored.positions()?.is_empty();
    let marks = Marks::new(&task, given == Guarantee::ExactlyOnce, resumes).await?;
    let cycle = Cycle {
        task: Arc::clone(&task),
        transaction,
        encoder,
        transforms,
        rejects,
        topics,
        rule: settings.rule,
        caps: settings.caps,
        open: super::boundary::Open::default(),
        of_topics: BTreeMap::new(),
        since: options.clock.monotonic(),
        pending: Pending::default(),
        marks,
        positioned: guarantee == Guarantee::ExactlyOnce,
        over_budget: false,
        end_of_data: false,
        end_of_run: false,
    };
    start_and_cycle(task, connector, stored, cycle).await
}

/// Starts the connector, runs the loop, stops the connector.
async fn start_and_cycle(
    task: Arc<Supervision>,
    mut connector: Box<dyn SourceTask>,
    stored: Arc<Stored>,
    mut cycle: Cycle,
) -> Result<(), TaskError> {
    let options = &task.services.options;
    let positions = stored.positions()?;
    let cx = SourceContext {
        task: task.spec.id.clone(),
        clock: Arc::clone(&options.clock),
        offsets: stored,
        batch_max: options.limits.source_batch,
        poll_max: options.limits.poll_max,
    };
    match start(&task, connector.as_mut(), &cx).await {
        Ok(true) => {}
        stopped_or_failed => {
            stop_started(&task, connector.as_mut()).await;
            return stopped_or_failed.map(drop);
        }
    }
    failpoint!("source.start.after");
    let inbox = match opened(&task, connector.as_mut(), cycle.marks.as_ref()).await {
        Ok(inbox) => inbox,
        Err(error) => {
            stop_started(&task, connector.as_mut()).await;
            return Err(error);
        }
    };
    task.report_target();
    let mut poller = Poller::new(connector, cx, Arc::clone(&task), inbox);
    if !positions.is_empty() {
        poller.committed(positions);
    }
    let ended = cycle.run(&mut poller).await;
    if let Err(error) = &ended {
        abort_after(&mut cycle.transaction, error).await;
    }
    poller.stop(&task).await;
    ended
}

fn connector(task: &Supervision) -> Result<(Box<dyn SourceTask>, Guarantee, &'static str), TaskError> {
    let class = task.spec.properties.value("connector.class").unwrap_or_default();
    let entry = task.services.options.registry.find(PluginKind::Source, class.trim());
    match entry.map(|e| (&e.plugin, e.class)) {
        Some((Plugin::Source(plugin), class)) => {
            let guarantee = plugin.guarantee(&task.spec.properties).unwrap_or(Guarantee::AtLeastOnce);
            Ok((plugin.task(&task.spec.properties, task.spec.task.clone())?, guarantee, class))
        }
        _ => Err(TaskError::Config(format!("there is no source connector {class:?} in this build"))),
    }
}

/// Makes the producer and fences older owners; `None` when the task has moved meanwhile.
async fn fenced(task: &Supervision, settings: &SourceSettings) -> Result<Option<Outlet>, TaskError> {
    let options = &task.services.options;
    let id = &task.spec.id;
    let mut client: ClientProperties = BTreeMap::from([("client.id".to_owned(), format!("connector-producer-{id}"))]);
    if settings.exactly_once {
        let timeout = settings.transaction_timeout().as_millis().to_string();
        client.insert("transaction.timeout.ms".to_owned(), timeout);
    }
    client.extend(task.spec.properties.below("producer.override.").0);
    if !settings.exactly_once {
        return Ok(Some(Outlet::Plain(options.kafka.producer(&client).doing("making a producer")?)));
    }
    if !options.assignment.current(id, task.spec.generation).await {
        return Ok(None);
    }
    let transactional_id = format!("{}-{}-{}", options.group, id.connector, id.task.0);
    let producer = options.kafka.transactional_producer(&transactional_id, &client);
    let mut producer = producer.doing("making a transactional producer")?;
    failpoint!("source.init.before");
    producer.init().await.doing("fencing older owners of the transactional id")?;
    failpoint!("source.init.after");
    let ours = options.assignment.current(id, task.spec.generation).await;
    Ok(ours.then_some(Outlet::Transactional { producer, open: false }))
}

/// Reads the positions: after fencing, to the end.
async fn read_offsets(task: &Supervision, settings: &SourceSettings) -> Result<Stored, TaskError> {
    let services = &task.services;
    let own = match &settings.own_offsets_topic {
        None => None,
        Some(topic) => {
            let spec = TopicSpec {
                name: topic.clone(),
                partitions: OWN_OFFSETS_PARTITIONS,
                replication: None,
                configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
            };
            let admin = services.options.kafka.admin();
            admin.ensure_topic(&spec).await.doing("creating the connector's offsets topic")?;
            Some(services.tables.table(topic, owner))
        }
    };
    let worker = services.tables.table(&services.options.offsets_topic, owner);
    worker.read_to_end().await?;
    if let Some(own) = &own {
        own.read_to_end().await?;
    }
    Ok(Stored::read(&task.spec.id.connector, &worker, own.as_deref()))
}

/// What is asked of a connector that has started, before anything is read.
async fn opened(
    task: &Supervision,
    connector: &mut dyn SourceTask,
    marks: Option<&Marks>,
) -> Result<Option<OpenInbox>, TaskError> {
    if marks.is_some_and(|marks| !marks.is_open()) && connector.is_inside_run() {
        let text = "flow.batch.mode=run: the run under way began before its records were marked, and what remains of it is no whole batch; stop the connector, delete its offsets and resume it";
        return Err(TaskError::Definite(text.to_owned()));
    }
    open_inbox(task, connector).await
}

/// Opens the topic from which the connector takes instructions, if there is one.
async fn open_inbox(task: &Supervision, connector: &mut dyn SourceTask) -> Result<Option<OpenInbox>, TaskError> {
    let Some(inbox) = connector.inbox() else { return Ok(None) };
    let inbox = OpenInbox::open(task, &inbox).await?;
    connector.instruct(Vec::new(), inbox.next());
    Ok(Some(inbox))
}

/// Starts the connector within its limit; `Ok(false)` when a stop came first.
async fn start(task: &Supervision, connector: &mut dyn SourceTask, cx: &SourceContext) -> Result<bool, TaskError> {
    let options = &task.services.options;
    let limit = options.limits.start_max;
    tokio::select! {
        biased;
        () = task.stop.cancelled() => Ok(false),
        started = connector.start(cx) => Ok(started.map(|()| true)?),
        () = options.clock.sleep(limit) => Err(TaskError::TooLong { doing: "start of the source", limit_ms: limit.as_millis() }),
    }
}

async fn stop_started(task: &Supervision, connector: &mut dyn SourceTask) {
    let options = &task.services.options;
    tokio::select! {
        biased;
        () = connector.stop() => {}
        () = options.clock.sleep(options.graceful_timeout) => {
            tracing::warn!(task = %task.spec.id, "the source did not stop in time and is abandoned");
        }
    }
}

/// Ends what is open, unless a successor has taken over or the outcome is not known: then silence, and the next `init`
/// of the transactional id decides.
async fn abort_after(transaction: &mut Transaction, error: &TaskError) {
    let silent = matches!(
        error,
        TaskError::Fenced
            | TaskError::Commit(CommitError::Fenced | CommitError::Unknown(_))
            | TaskError::Kafka { source: KafkaError::Fenced | KafkaError::Fatal(_), .. }
    );
    if !silent && let Err(error) = transaction.abort().await {
        tracing::warn!(%error, "the open transaction could not be aborted; the next instance does it");
    }
}
