//! A Kafka that carries out, or does not, and loses the answer: what the caller is told is what the log says.
use crate::runner::Runner;
use crate::stubs::registry;
use crate::worker::{Time, broker, kafka, options, rows, sink, until};
use async_trait::async_trait;
use elasticflow_api::context::Limits;
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_herder::answer::InitialState;
use elasticflow_herder::ports::{NoReferences, SingleWorker};
use elasticflow_herder::{HerderError, HerderHandle, HerderPorts, HerderService, start};
use elasticflow_kafka::ports::{
    Admin, ClientProperties, CommitError, Consumer, GroupMetadata, Kafka, KafkaError, OutRecord, Producer, RecordPage,
    SendError, Sequence, Subscription, TopicLog, TransactionalProducer,
};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What becomes of the next commit.
const FINE: u8 = 0;
const APPLIED: u8 = 1;
const NOT_APPLIED: u8 = 2;
const FENCED: u8 = 3;

/// Loses answers to commits of transactions.
#[derive(Clone)]
struct Forgetful {
    kafka: Arc<dyn Kafka>,
    next: Arc<AtomicU8>,
}

#[async_trait]
impl Kafka for Forgetful {
    fn producer(&self, overrides: &ClientProperties) -> Result<Box<dyn Producer>, KafkaError> {
        self.kafka.producer(overrides)
    }
    fn transactional_producer(
        &self,
        id: &str,
        overrides: &ClientProperties,
    ) -> Result<Box<dyn TransactionalProducer>, KafkaError> {
        let producer = self.kafka.transactional_producer(id, overrides)?;
        Ok(Box::new(ForgetfulProducer { producer: Some(producer), next: Arc::clone(&self.next) }))
    }
    fn consumer(
        &self,
        group: &str,
        of: &Subscription,
        overrides: &ClientProperties,
    ) -> Result<Box<dyn Consumer>, KafkaError> {
        self.kafka.consumer(group, of, overrides)
    }
    fn admin(&self) -> Arc<dyn Admin> {
        self.kafka.admin()
    }
    async fn log(&self, topic: &str) -> Result<Box<dyn TopicLog>, KafkaError> {
        self.kafka.log(topic).await
    }
    async fn read(&self, at: &TopicPartition, from: Option<Offset>, limits: Limits) -> Result<RecordPage, KafkaError> {
        self.kafka.read(at, from, limits).await
    }
    async fn cluster_id(&self) -> Result<String, KafkaError> {
        self.kafka.cluster_id().await
    }
}

struct ForgetfulProducer {
    producer: Option<Box<dyn TransactionalProducer>>,
    next: Arc<AtomicU8>,
}

impl ForgetfulProducer {
    fn inner(&mut self) -> &mut Box<dyn TransactionalProducer> {
        self.producer.as_mut().unwrap()
    }
}

#[async_trait]
impl Producer for ForgetfulProducer {
    fn send(&mut self, record: OutRecord<'_>) -> Result<Sequence, SendError> {
        self.inner().send(record)
    }
    async fn room(&mut self) -> Result<(), KafkaError> {
        self.inner().room().await
    }
    fn acknowledged(&self) -> Result<Sequence, KafkaError> {
        self.producer.as_ref().unwrap().acknowledged()
    }
    async fn drain(&mut self) -> Result<(), KafkaError> {
        self.inner().drain().await
    }
}

#[async_trait]
impl TransactionalProducer for ForgetfulProducer {
    async fn init(&mut self) -> Result<(), KafkaError> {
        self.inner().init().await
    }
    fn begin(&mut self) -> Result<(), KafkaError> {
        self.inner().begin()
    }
    async fn send_offsets(&mut self, offsets: &ConsumedOffsets, group: &GroupMetadata) -> Result<(), KafkaError> {
        self.inner().send_offsets(offsets, group).await
    }
    async fn commit(&mut self) -> Result<(), CommitError> {
        let lost = || CommitError::Unknown("the answer is lost".to_owned());
        match self.next.swap(FINE, Ordering::Relaxed) {
            APPLIED => self.inner().commit().await.and(Err(lost())),
            NOT_APPLIED => Err(lost()),
            FENCED => Err(CommitError::Fenced),
            _ => self.inner().commit().await,
        }
    }
    async fn abort(&mut self) -> Result<(), KafkaError> {
        self.inner().abort().await
    }
}

fn worker(bootstrap: &str) -> (Forgetful, HerderHandle, HerderService) {
    let kafka = Forgetful { kafka: kafka(bootstrap), next: Arc::default() };
    let runner = Runner::default();
    let ports = HerderPorts {
        kafka: Arc::new(kafka.clone()),
        registry: Arc::new(registry()),
        runner: Arc::new(runner.clone()),
        news: runner.news.clone(),
        membership: Arc::new(SingleWorker),
        references: Arc::new(NoReferences),
        clock: Arc::new(Time(Instant::now())),
    };
    let (handle, service) = start(options(), ports);
    (kafka, handle, service)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_told_what_the_log_says_when_the_answer_to_a_commit_is_lost() {
    let broker = broker().await;
    let (kafka, handle, _service) = worker(&broker.bootstrap());
    let create = |name: &'static str| handle.create(name, sink(&[]), InitialState::Stopped);
    create("first").await.unwrap();
    kafka.next.store(APPLIED, Ordering::Relaxed);
    assert!(create("applied").await.unwrap().created);
    for lost in [NOT_APPLIED, FENCED] {
        kafka.next.store(lost, Ordering::Relaxed);
        assert_eq!(create("lost").await.unwrap_err(), HerderError::Moving, "{lost}");
    }
    assert!(create("lost").await.unwrap().created, "nothing of it was there");
    let stored = rows(&kafka.kafka, "configs").await;
    let of = |name: &str| stored.iter().filter(|(key, _)| *key == format!("connector-{name}")).count();
    assert_eq!((of("first"), of("applied"), of("lost")), (1, 1, 1));
}

/// Answers that callers got.
#[derive(Default)]
struct Answers {
    count: AtomicUsize,
    failed: Mutex<Vec<String>>,
}

impl Answers {
    /// Asks until it is carried out, as the endpoint does.
    async fn ask(&self, name: &str, members: &[HerderHandle]) {
        let mut at = name.len();
        loop {
            at += 1;
            match members[at % members.len()].create(name, sink(&[]), InitialState::Stopped).await {
                Ok(_) => break,
                Err(HerderError::Moving | HerderError::Elsewhere(_)) => {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                Err(error) => break self.failed.lock().unwrap().push(format!("{name}: {error}")),
            }
        }
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_because_leadership_goes_from_worker_to_worker() {
    let broker = broker().await;
    let mut cluster = crate::cluster::Cluster::start(&broker.bootstrap(), 3, 11).await;
    let (handles, answers) = (Arc::new(cluster.handles()), Arc::new(Answers::default()));
    let asking = (0..4).map(|asker| {
        let (handles, answers) = (Arc::clone(&handles), Arc::clone(&answers));
        tokio::spawn(async move {
            for number in 0..8 {
                answers.ask(&format!("c{asker}-{number}"), &handles).await;
            }
        })
    });
    let mut asking: Vec<_> = asking.collect();
    while !asking.iter().all(tokio::task::JoinHandle::is_finished) {
        // Leadership that never stays carries nothing out: after some moves it stays until somebody has an answer.
        let before = answers.count.load(Ordering::Relaxed);
        for _ in 0..3 {
            cluster.hurry_leadership();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        until("somebody has an answer", || async {
            answers.count.load(Ordering::Relaxed) > before || asking.iter().all(tokio::task::JoinHandle::is_finished)
        })
        .await;
    }
    for asked in &mut asking {
        asked.await.unwrap();
    }
    assert_eq!(*answers.failed.lock().unwrap(), Vec::<String>::new());
    assert_eq!(handles[0].connectors().await.unwrap().len(), 32);
}
