//! What every check needs: clients with short time-outs, names of its own, reading to the end, waiting for a condition.
use anyhow::{Context, Result, anyhow, bail, ensure};
use futures_util::FutureExt;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long anything that is bound to happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);
const STEP: Duration = Duration::from_millis(50);

pub(crate) const READ_COMMITTED: &str = "read_committed";
pub(crate) const READ_UNCOMMITTED: &str = "read_uncommitted";

/// Settings beyond the defaults.
pub(crate) type Settings<'a> = &'a [(&'a str, &'a str)];

/// A name that nobody else uses on any broker.
pub(crate) fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("{prefix}-{}-{since}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn config(bootstrap: &str, settings: Settings<'_>) -> ClientConfig {
    let mut c = ClientConfig::new();
    c.set("bootstrap.servers", bootstrap)
        .set("socket.timeout.ms", "15000")
        .set_log_level(rdkafka::config::RDKafkaLogLevel::Critical);
    for (k, v) in settings {
        c.set(*k, *v);
    }
    c
}

pub(crate) fn admin(bootstrap: &str) -> Result<AdminClient<DefaultClientContext>> {
    Ok(config(bootstrap, &[]).create()?)
}

pub(crate) fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

/// Waits for an administrative call; librdkafka's own threads complete it.
pub(crate) fn wait<F: Future>(f: F) -> F::Output {
    let mut f = Box::pin(f);
    loop {
        match f.as_mut().now_or_never() {
            Some(out) => return out,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Creates a topic.
pub(crate) fn create(bootstrap: &str, topic: &str, partitions: i32, configs: Settings<'_>) -> Result<()> {
    let new =
        configs.iter().fold(NewTopic::new(topic, partitions, TopicReplication::Fixed(1)), |n, (k, v)| n.set(k, v));
    let results = wait(admin(bootstrap)?.create_topics(&[new], &admin_options()))?;
    results.into_iter().try_for_each(|r| r.map(drop).map_err(|(name, code)| anyhow!("creating {name}: {code:?}")))
}

/// A topic of one partition with a name of its own.
pub(crate) fn new_topic(bootstrap: &str, prefix: &str) -> Result<String> {
    let t = unique(prefix);
    create(bootstrap, &t, 1, &[])?;
    Ok(t)
}

pub(crate) fn producer(bootstrap: &str, settings: Settings<'_>) -> Result<BaseProducer> {
    let mut c = config(bootstrap, &[("message.timeout.ms", "20000"), ("acks", "all"), ("linger.ms", "0")]);
    settings.iter().for_each(|(k, v)| _ = c.set(*k, *v));
    Ok(c.create()?)
}

/// A transactional producer that owns its id.
pub(crate) fn owner(bootstrap: &str, id: &str, settings: Settings<'_>) -> Result<BaseProducer> {
    let mut c = config(bootstrap, &[("transactional.id", id), ("transaction.timeout.ms", "30000"), ("linger.ms", "0")]);
    settings.iter().for_each(|(k, v)| _ = c.set(*k, *v));
    let p: BaseProducer = c.create()?;
    p.init_transactions(PATIENCE).context("init_transactions")?;
    Ok(p)
}

pub(crate) fn consumer(bootstrap: &str, group: &str, settings: Settings<'_>) -> Result<BaseConsumer> {
    let mut c =
        config(bootstrap, &[("group.id", group), ("enable.auto.commit", "false"), ("auto.offset.reset", "earliest")]);
    c.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "200");
    settings.iter().for_each(|(k, v)| _ = c.set(*k, *v));
    Ok(c.create()?)
}

/// A consumer without a group that reads partition 0 from an offset.
pub(crate) fn reader(bootstrap: &str, topic: &str, from: Offset, settings: Settings<'_>) -> Result<BaseConsumer> {
    let c = consumer(bootstrap, &unique("reader"), settings)?;
    c.assign(&place(topic, 0, from)?)?;
    Ok(c)
}

pub(crate) fn place(topic: &str, partition: i32, offset: Offset) -> Result<TopicPartitionList> {
    let mut l = TopicPartitionList::new();
    l.add_partition_offset(topic, partition, offset)?;
    Ok(l)
}

/// Sends a record; waits while the queue is full.
pub(crate) fn send(p: &BaseProducer, topic: &str, partition: i32, key: &str, value: &str) -> Result<()> {
    loop {
        match p.send(BaseRecord::to(topic).partition(partition).key(key).payload(value)) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => p.poll(STEP),
            Err((e, _)) => return Err(e.into()),
        }
    }
}

/// Produces `n` records `prefix0`, `prefix1`, ...
pub(crate) fn produce(bootstrap: &str, topic: &str, partition: i32, n: usize, prefix: &str) -> Result<()> {
    let p = producer(bootstrap, &[])?;
    for i in 0..n {
        send(&p, topic, partition, &format!("k{i}"), &format!("{prefix}{i}"))?;
    }
    Ok(p.flush(PATIENCE)?)
}

/// A record as a check looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
}

impl Seen {
    fn of(m: &BorrowedMessage<'_>) -> Self {
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        Seen { partition: m.partition(), offset: m.offset(), key: m.key().map(text), value: m.payload().map(text) }
    }
}

/// Everything up to the end of each partition, as the broker reports it.
pub(crate) fn read_all(bootstrap: &str, topic: &str, partitions: i32, isolation: &str) -> Result<Vec<Seen>> {
    let c = consumer(
        bootstrap,
        &unique("all"),
        &[("isolation.level", isolation), ("fetch.message.max.bytes", "20000000")],
    )?;
    let mut l = TopicPartitionList::new();
    (0..partitions).try_for_each(|p| l.add_partition_offset(topic, p, Offset::Beginning))?;
    c.assign(&l)?;
    let (mut ended, mut out, start) = (BTreeSet::new(), vec![], Instant::now());
    while ended.len() < usize::try_from(partitions)? {
        ensure!(start.elapsed() < PATIENCE, "no end of partition; {} records so far", out.len());
        match c.poll(STEP) {
            None => {}
            Some(Ok(m)) => out.push(Seen::of(&m)),
            Some(Err(KafkaError::PartitionEOF(p))) => drop(ended.insert(p)),
            Some(Err(e)) => bail!("consuming: {e}"),
        }
    }
    Ok(out)
}

/// The values that a reader of committed records sees in partition 0.
pub(crate) fn committed_values(bootstrap: &str, topic: &str) -> Result<Vec<String>> {
    Ok(values(&read_all(bootstrap, topic, 1, READ_COMMITTED)?))
}

pub(crate) fn values(all: &[Seen]) -> Vec<String> {
    all.iter().map(|r| r.value.clone().unwrap_or_default()).collect()
}

/// The next record; ends of partitions are passed over.
pub(crate) fn next(c: &BaseConsumer) -> Result<BorrowedMessage<'_>> {
    let start = Instant::now();
    loop {
        ensure!(start.elapsed() < PATIENCE, "no record");
        match c.poll(STEP) {
            Some(Ok(m)) => return Ok(m),
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(e)) => bail!("consuming: {e}"),
        }
    }
}

/// First and next offset of partition 0.
pub(crate) fn watermarks(bootstrap: &str, topic: &str, isolation: &str) -> Result<(i64, i64)> {
    let c = consumer(bootstrap, &unique("marks"), &[("isolation.level", isolation)])?;
    Ok(c.fetch_watermarks(topic, 0, PATIENCE)?)
}

/// Adds a group's offset of partition 0 to the open transaction.
pub(crate) fn send_offset(p: &BaseProducer, c: &BaseConsumer, topic: &str, offset: i64) -> Result<()> {
    let group = c.group_metadata().context("no group metadata")?;
    p.send_offsets_to_transaction(&place(topic, 0, Offset::Offset(offset))?, &group, PATIENCE)?;
    Ok(())
}

/// The offset a group has committed for a partition.
pub(crate) fn committed(bootstrap: &str, group: &str, topic: &str, partition: i32) -> Result<Offset> {
    let c = consumer(bootstrap, group, &[])?;
    let mut l = TopicPartitionList::new();
    l.add_partition(topic, partition);
    let l = c.committed_offsets(l, PATIENCE)?;
    l.elements().first().map(|e| e.offset()).context("no answer for the partition")
}

/// A topic's configurations.
pub(crate) fn describe(bootstrap: &str, topic: &str) -> Result<HashMap<String, String>> {
    let mut all = HashMap::new();
    for r in wait(admin(bootstrap)?.describe_configs(&[ResourceSpecifier::Topic(topic)], &admin_options()))? {
        let described = r.map_err(|e| anyhow!("describing: {e}"))?;
        all.extend(described.entries.into_iter().map(|e| (e.name, e.value.unwrap_or_default())));
    }
    Ok(all)
}

/// Number of partitions of a topic, 0 if there is none.
pub(crate) fn partitions(bootstrap: &str, topic: &str) -> Result<usize> {
    let c: BaseConsumer = config(bootstrap, &[("allow.auto.create.topics", "false")]).create()?;
    let all = c.fetch_metadata(None, PATIENCE)?;
    Ok(all.topics().iter().find(|t| t.name() == topic).map_or(0, |t| t.partitions().len()))
}

/// Waits until a condition holds; the last answer says why it does not.
pub(crate) fn until<T>(what: &str, limit: Duration, mut f: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match f() {
            Ok(value) => return Ok(value),
            Err(e) if start.elapsed() > limit => return Err(e.context(format!("not within {limit:?}: {what}"))),
            Err(_) => std::thread::sleep(STEP),
        }
    }
}
