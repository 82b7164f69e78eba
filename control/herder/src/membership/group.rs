//! The member of the group.
use super::lease::{Book, Lease};
use crate::figures::GroupFigures;
use crate::ports::{Leases, Membership};
use async_trait::async_trait;
use elasticflow_api::clock::Clock;
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_kafka::ports::{ClientProperties, Consumed, Consumer, Kafka, KafkaError, Subscription};
use elasticflow_store::InternalTopic;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Proofs within the time that a lease counts: several may get lost.
const PROOFS_PER_SESSION: u32 = 5;
/// Wait before a proof is asked for again after a refusal, as during a rebalance.
const PROOF_AGAIN: Duration = Duration::from_millis(100);
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MOST: Duration = Duration::from_secs(5);

/// What a member is told at start.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// The group.
    pub group: String,
    /// Its slots, a partition each.
    pub slots_topic: InternalTopic,
    /// Leadership: one partition.
    pub leader_topic: InternalTopic,
    /// Name of a static member; `None` for a member that leaves the group when it ends.
    pub instance: Option<String>,
    /// `session.timeout.ms`.
    pub session: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat: Duration,
    /// `rebalance.timeout.ms`.
    pub rebalance: Duration,
    /// Longest that tasks take to stop.
    pub graceful: Duration,
}

impl GroupOptions {
    /// How long a proof counts: less than the session, so that a frozen worker judges itself before others take over.
    fn proof_counts(&self) -> Duration {
        self.session * 4 / 5
    }

    fn proof_every(&self) -> Duration {
        self.proof_counts() / PROOFS_PER_SESSION
    }

    fn client(&self) -> ClientProperties {
        let ms = |time: Duration| time.as_millis().to_string();
        let mut properties = ClientProperties::from([
            ("session.timeout.ms".to_owned(), ms(self.session)),
            ("heartbeat.interval.ms".to_owned(), ms(self.heartbeat)),
            ("max.poll.interval.ms".to_owned(), ms(self.rebalance.max(self.session))),
            // An answer that takes longer proves nothing.
            ("request.timeout.ms".to_owned(), ms(self.session / 2)),
            ("partition.assignment.strategy".to_owned(), COOPERATIVE.to_owned()),
        ]);
        if let Some(instance) = &self.instance {
            properties.insert("group.instance.id".to_owned(), instance.clone());
        }
        properties
    }
}

const COOPERATIVE: &str = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";

/// Membership in a consumer group over slots. Dropped or told to stop, it ends.
pub struct GroupMembership {
    book: Arc<Book>,
    handover: Duration,
    stop: CancellationToken,
    refused: watch::Receiver<Option<String>>,
}

impl GroupMembership {
    /// Joins the group in the background and answers at once.
    pub fn join(kafka: Arc<dyn Kafka>, clock: Arc<dyn Clock>, options: GroupOptions) -> Self {
        let book = Arc::new(Book::new(Arc::clone(&clock)));
        let stop = CancellationToken::new();
        let (refuse, refused) = watch::channel(None);
        // A worker that is cut off from Kafka does not read that its task has moved: it stops when its own lease ends.
        let handover = options.graceful.max(options.proof_counts());
        let member = Member { kafka, clock: Arc::clone(&clock), options, book: Arc::clone(&book), refuse };
        let ended = stop.clone();
        tokio::spawn(async move { ended.run_until_cancelled(member.run()).await });
        let (watched, ended) = (Arc::clone(&book), stop.clone());
        tokio::spawn(async move { ended.run_until_cancelled(watch_the_clock(watched, clock)).await });
        Self { book, handover, stop, refused }
    }

    /// Ends the member; a static one keeps its place until its session ends.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for GroupMembership {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl Membership for GroupMembership {
    fn leases(&self) -> Arc<Leases> {
        self.book.leases()
    }
    async fn changed(&self, since: u64) {
        self.book.changed(since).await;
    }
    fn settled(&self, version: u64, busy: BTreeSet<i32>) {
        self.book.settle(version, busy);
    }
    fn figures(&self) -> GroupFigures {
        self.book.figures()
    }
    fn handover(&self) -> Duration {
        self.handover
    }
    async fn refused(&self) -> String {
        let mut refused = self.refused.clone();
        let why = refused.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }
}

/// Shows at once when a proof has passed, whatever the member is waiting for.
async fn watch_the_clock(book: Arc<Book>, clock: Arc<dyn Clock>) {
    loop {
        let wait = book.remaining().unwrap_or(PROOF_AGAIN);
        clock.sleep(wait.max(Duration::from_millis(1))).await;
        drop(book.leases());
    }
}

/// Leases that were asked back.
struct Asked {
    leases: BTreeSet<Lease>,
    version: u64,
    deadline: Duration,
}

struct Member {
    kafka: Arc<dyn Kafka>,
    clock: Arc<dyn Clock>,
    options: GroupOptions,
    book: Arc<Book>,
    refuse: watch::Sender<Option<String>>,
}

/// One client's time in the group.
struct Session {
    consumer: Box<dyn Consumer>,
    /// Given, and not proved yet.
    given: BTreeSet<Lease>,
    asked: VecDeque<Asked>,
    /// When the next proof is due.
    due: Duration,
}

impl Member {
    async fn run(self) {
        let mut backoff = BACKOFF_FIRST;
        loop {
            let began = self.clock.monotonic();
            let Err(error) = self.session().await else { continue };
            let was_proved = self.book.remaining().is_some();
            self.book.lose();
            match error {
                KafkaError::Config(why) => return self.give_up(self.explained(why)),
                // Whoever has lost its session joins anew and shuts itself out with what it has asked for before.
                KafkaError::Fenced if was_proved => return self.give_up(self.doubled()),
                error => tracing::warn!(%error, "the membership in the worker group is lost; joining again"),
            }
            if self.clock.monotonic().saturating_sub(began) > self.options.session {
                backoff = BACKOFF_FIRST;
            }
            self.clock.sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MOST);
        }
    }

    fn give_up(&self, why: String) {
        self.refuse.send_replace(Some(why));
    }

    /// A group that speaks another protocol is Kafka Connect's.
    fn explained(&self, why: String) -> String {
        if !why.to_lowercase().contains("inconsistent group protocol") {
            return why;
        }
        format!(
            "{why}: Kafka Connect workers of group.id {} run, or another program uses the group; stop all of them first, and after a kill wait for their session.timeout.ms",
            self.options.group
        )
    }

    fn doubled(&self) -> String {
        let name = self.options.instance.as_deref().unwrap_or("this worker");
        format!(
            "another worker of group {} has joined with the address {name} and taken this worker's place: a process that was started in its stead, or a second worker with the same address; give each its own rest.advertised.host.name and rest.advertised.port",
            self.options.group
        )
    }

    async fn session(&self) -> Result<(), KafkaError> {
        let topics = [&self.options.slots_topic, &self.options.leader_topic];
        let admin = self.kafka.admin();
        let (slots, leader) = (topics[0].spec(), topics[1].spec());
        let (slots, leader) = tokio::join!(admin.ensure_topic(&slots), admin.ensure_topic(&leader));
        slots?;
        leader?;
        let topics = topics.map(|topic| topic.name.clone()).to_vec();
        self.book.moving();
        let consumer =
            self.kafka.consumer(&self.options.group, &Subscription::Topics(topics), &self.options.client())?;
        let mut session =
            Session { consumer, given: BTreeSet::new(), asked: VecDeque::new(), due: self.clock.monotonic() };
        loop {
            self.step(&mut session).await?;
        }
    }

    /// Takes in one thing; every branch is cancel-safe.
    async fn step(&self, session: &mut Session) -> Result<(), KafkaError> {
        let wait = session.due.saturating_sub(self.clock.monotonic());
        let asked = session.asked.front();
        tokio::select! {
            biased;
            () = self.until_let_go(asked) => {
                session.asked.pop_front();
                session.consumer.confirm_revoked().await?;
            }
            happened = session.consumer.next() => self.on_happening(happened?, session).await?,
            () = self.clock.sleep(wait) => self.prove(session).await?,
        }
        Ok(())
    }

    async fn until_let_go(&self, asked: Option<&Asked>) {
        let Some(asked) = asked else { return std::future::pending().await };
        let limit = self.clock.sleep(asked.deadline.saturating_sub(self.clock.monotonic()));
        tokio::select! {
            biased;
            () = self.book.let_go(&asked.leases, asked.version) => {}
            () = limit => tracing::warn!("slots were asked back and their tasks have not ended in time"),
        }
    }

    async fn on_happening(&self, happened: Consumed, session: &mut Session) -> Result<(), KafkaError> {
        match happened {
            Consumed::Assigned(partitions) => {
                // Nothing is ever read: from the start, so that no committed offset is asked for, and paused.
                let at: BTreeMap<_, _> = partitions.iter().map(|at| (at.clone(), Some(Offset(0)))).collect();
                session.consumer.start_at(&at).await?;
                session.consumer.pause(&partitions)?;
                session.given.extend(self.leases(&partitions));
                self.book.moving();
                self.prove(session).await?;
            }
            Consumed::Revoked(partitions) => {
                let leases: BTreeSet<Lease> = self.leases(&partitions).collect();
                session.given.retain(|lease| !leases.contains(lease));
                let version = self.book.take(&leases);
                let deadline = self.clock.monotonic() + self.options.graceful;
                session.asked.push_back(Asked { leases, version, deadline });
            }
            Consumed::Lost(_) => {
                tracing::warn!("the session of this worker has expired; its tasks belong to others");
                session.given.clear();
                session.asked.clear();
                self.book.lose();
            }
            Consumed::Records(..) | Consumed::Gone(..) => {}
        }
        Ok(())
    }

    fn leases(&self, partitions: &[TopicPartition]) -> impl Iterator<Item = Lease> {
        let leader = &self.options.leader_topic.name;
        partitions.iter().map(move |at| if *at.topic == **leader { Lease::Leader } else { Lease::Slot(at.partition) })
    }

    /// Asks the coordinator to take an offset, which it refuses to who is not a member of this generation.
    async fn prove(&self, session: &mut Session) -> Result<(), KafkaError> {
        let asked_at = self.clock.monotonic();
        if session.given.is_empty() && self.book.is_empty() {
            session.due = asked_at + self.options.proof_every();
            return Ok(());
        }
        let at = TopicPartition { topic: self.options.slots_topic.name.as_str().into(), partition: 0 };
        let proof = ConsumedOffsets(BTreeMap::from([(at, Offset(0))]));
        let wait = match session.consumer.commit(&proof).await {
            Ok(()) => {
                self.book.prove(&mut session.given, asked_at, asked_at + self.options.proof_counts());
                self.options.proof_every()
            }
            Err(KafkaError::Fenced) => return Err(KafkaError::Fenced),
            Err(error) => {
                tracing::debug!(%error, "the membership in the worker group is not confirmed; asking again");
                PROOF_AGAIN
            }
        };
        session.due = self.clock.monotonic() + wait;
        Ok(())
    }
}
