//! Sends a million records of 800 bytes in transactions of 10,000 and prints rate, CPU time per million and commit times.
//!
//! `EF_KAFKA=host:port cargo run --release -p elasticflow-kafka --example throughput`
#![expect(clippy::print_stdout, reason = "a measurement prints")]
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::{ClientProperties, Kafka, OutRecord, SendError, TopicSpec, TransactionalProducer};
use std::error::Error;
use std::time::{Duration, Instant, SystemTime};

const RECORDS: u64 = 1_000_000;
const IN_TRANSACTION: u64 = 10_000;
const BYTES: usize = 800;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bootstrap = std::env::var("EF_KAFKA").unwrap_or_else(|_| "127.0.0.1:19092".to_owned());
    let kafka = RdKafka::new(&ClientProperties::from([("bootstrap.servers".to_owned(), bootstrap)]))?;
    let run = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let topic = format!("throughput-{run}");
    let spec = TopicSpec { name: topic.clone(), partitions: 1, replication: Some(1), configs: [].into() };
    kafka.admin().ensure_topic(&spec).await?;
    let mut producer = kafka.transactional_producer(&topic, &ClientProperties::new())?;
    producer.init().await?;
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut commits = Vec::new();
    for transaction in 0..RECORDS / IN_TRANSACTION {
        producer.begin()?;
        send(&mut *producer, &topic, transaction * IN_TRANSACTION).await?;
        let start = Instant::now();
        producer.commit().await?;
        commits.push(start.elapsed());
    }
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    commits.sort();
    let middle = commits.get(commits.len() / 2).copied().unwrap_or_default();
    println!(
        "{:.0} records/s, {cpu:.2} CPU-s per million, commit of a full transaction p50 {middle:?}",
        RECORDS as f64 / wall
    );
    small_commits(&mut *producer, &topic).await
}

/// Commits of single records, where only the protocol counts.
async fn small_commits(producer: &mut dyn TransactionalProducer, topic: &str) -> Result<(), Box<dyn Error>> {
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..500 {
        producer.begin()?;
        producer.send(record(topic, b"k", b"v"))?;
        let start = Instant::now();
        producer.commit().await?;
        times.push(start.elapsed());
    }
    times.sort();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    println!("commit of one record p50 {:?}, p99 {:?}", at(50), at(99));
    Ok(())
}

async fn send(producer: &mut dyn TransactionalProducer, topic: &str, from: u64) -> Result<(), Box<dyn Error>> {
    let mut value = vec![b'x'; BYTES];
    for number in from..from + IN_TRANSACTION {
        let key = number.to_be_bytes();
        value.splice(..8, key);
        while let Err(refused) = producer.send(record(topic, &key, &value)) {
            match refused {
                SendError::Full => producer.room().await?,
                SendError::Kafka(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn record<'a>(topic: &'a str, key: &'a [u8], value: &'a [u8]) -> OutRecord<'a> {
    OutRecord { topic, partition: None, key: Some(key), value: Some(value), headers: &[], timestamp_ms: None }
}

/// User and system time of this process, from the kernel's accounting in ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
