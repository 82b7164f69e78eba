//! Several herders on one broker, their leases dealt out by a coordinator that the test drives from a seed.
use crate::runner::{Everywhere, Runner};
use crate::stubs::registry;
use crate::worker::{Time, broker, kafka, options, sink, until};
use async_trait::async_trait;
use elasticflow_herder::answer::{InitialState, RunState};
use elasticflow_herder::ports::{Leases, Membership, NoReferences};
use elasticflow_herder::{HerderError, HerderHandle, HerderOptions, HerderPorts, HerderService, start};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const SLOTS: i32 = 8;
/// Seeds of the test; `EF_SEEDS` asks for more.
const SEEDS: u64 = 3;

/// What the group protocol has given to one worker.
struct Given {
    leases: Mutex<Arc<Leases>>,
    changed: watch::Sender<u64>,
    settled: watch::Sender<(u64, BTreeSet<i32>)>,
}

impl Given {
    fn nothing() -> Arc<Self> {
        let settled = watch::channel((0, BTreeSet::new())).0;
        Arc::new(Self { leases: Mutex::default(), changed: watch::channel(0).0, settled })
    }

    fn change(&self, change: impl FnOnce(&mut Leases)) -> u64 {
        let mut leases = self.leases.lock().unwrap();
        let mut next = Leases::clone(&leases);
        change(&mut next);
        next.version += 1;
        *leases = Arc::new(next);
        self.changed.send_replace(leases.version);
        leases.version
    }

    fn give(&self, slots: &[i32]) {
        self.change(|leases| leases.slots.extend(slots));
    }

    /// Takes slots away in order: returns once the herder has let go of them.
    async fn take(&self, slots: &[i32]) {
        let version = self.change(|leases| leases.slots.retain(|slot| !slots.contains(slot)));
        let mut settled = self.settled.subscribe();
        let gone = |(seen, busy): &(u64, BTreeSet<i32>)| *seen >= version && !slots.iter().any(|s| busy.contains(s));
        tokio::time::timeout(Duration::from_secs(10), settled.wait_for(gone)).await.expect("slots are let go").unwrap();
    }

    async fn lead(&self, leads: bool) {
        let version = self.change(|leases| leases.leads = leads);
        drop(self.settled.subscribe().wait_for(|(seen, _)| *seen >= version).await);
    }

    fn held(&self) -> Vec<i32> {
        self.leases.lock().unwrap().slots.iter().copied().collect()
    }
}

#[async_trait]
impl Membership for Given {
    fn leases(&self) -> Arc<Leases> {
        Arc::clone(&self.leases.lock().unwrap())
    }
    async fn changed(&self, since: u64) {
        drop(self.changed.subscribe().wait_for(|version| *version > since).await);
    }
    fn settled(&self, version: u64, busy: BTreeSet<i32>) {
        self.settled.send_replace((version, busy));
    }
    fn handover(&self) -> Duration {
        Duration::from_secs(1)
    }
    async fn refused(&self) -> String {
        std::future::pending().await
    }
}

struct Member {
    id: String,
    given: Arc<Given>,
    handle: HerderHandle,
    service: HerderService,
    runner: Runner,
}

impl Member {
    fn join(bootstrap: &str, number: usize, everywhere: &Everywhere) -> Self {
        let (id, given, runner) = (format!("127.0.0.1:{}", 9000 + number), Given::nothing(), Runner::default());
        runner.watched(everywhere, &id);
        let ports = HerderPorts {
            kafka: kafka(bootstrap),
            registry: Arc::new(registry()),
            runner: Arc::new(runner.clone()),
            news: runner.news.clone(),
            membership: Arc::clone(&given) as _,
            references: Arc::new(NoReferences),
            clock: Arc::new(Time(Instant::now())),
        };
        let (handle, service) =
            start(HerderOptions { worker_id: id.clone(), url: format!("http://{id}"), ..options() }, ports);
        Self { id, given, handle, service, runner }
    }
}

/// A group whose slots are always all held, and its leader.
pub(crate) struct Cluster {
    bootstrap: String,
    everywhere: Everywhere,
    members: Vec<Member>,
    leader: usize,
    started: usize,
    random: u64,
}

impl Cluster {
    pub(crate) async fn start(bootstrap: &str, workers: usize, seed: u64) -> Self {
        let everywhere = Everywhere::default();
        let members: Vec<Member> = (0..workers).map(|n| Member::join(bootstrap, n, &everywhere)).collect();
        for slot in 0..SLOTS {
            members[slot as usize % workers].given.give(&[slot]);
        }
        members[0].given.lead(true).await;
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Self { bootstrap: bootstrap.to_owned(), everywhere, members, leader: 0, started: workers, random }
    }

    /// A number below `bound`; xorshift, so that a seed is a whole run.
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 33).unwrap() % bound
    }

    async fn create(&self, name: &str, tasks: &str) {
        let config = sink(&[("tasks.max", tasks)]);
        self.members[self.leader].handle.create(name, config, InitialState::Running).await.unwrap();
    }

    /// Slots go from one worker to another in order.
    async fn move_slots(&mut self) {
        let (from, to) = (self.below(self.members.len()), self.below(self.members.len()));
        let held = self.members[from].given.held();
        let some: Vec<i32> = held.into_iter().filter(|_| self.below(2) == 0).collect();
        if from != to {
            self.members[from].given.take(&some).await;
            self.members[to].given.give(&some);
        }
    }

    async fn move_leadership(&mut self) {
        let to = self.below(self.members.len());
        if to != self.leader {
            self.members[self.leader].given.lead(false).await;
            self.members[to].given.lead(true).await;
            self.leader = to;
        }
    }

    pub(crate) fn handles(&self) -> Vec<HerderHandle> {
        self.members.iter().map(|member| member.handle.clone()).collect()
    }

    /// Gives leadership to the next worker whatever the one before is doing with it.
    pub(crate) fn hurry_leadership(&mut self) {
        let to = (self.leader + 1) % self.members.len();
        self.members[self.leader].given.change(|leases| leases.leads = false);
        self.members[to].given.change(|leases| leases.leads = true);
        self.leader = to;
    }

    /// A worker is gone without a word, and its session has expired: others have its slots, a new one joins later.
    async fn crash(&mut self) {
        let victim = self.below(self.members.len());
        let mut gone = self.members.remove(victim);
        gone.runner.unwatched();
        self.everywhere.crashed(&gone.id);
        let slots = gone.given.held();
        gone.given.change(|leases| *leases = Leases { version: leases.version, ..Leases::default() });
        gone.service.stop();
        drop(gone.service.ended().await);
        if self.leader == victim {
            self.leader = self.below(self.members.len());
            self.members[self.leader].given.lead(true).await;
        } else if self.leader > victim {
            self.leader -= 1;
        }
        for slot in slots {
            let heir = self.below(self.members.len());
            self.members[heir].given.give(&[slot]);
        }
        self.members.push(Member::join(&self.bootstrap, self.started, &self.everywhere));
        self.started += 1;
    }

    async fn disturb(&mut self) {
        match self.below(6) {
            0..=2 => self.move_slots().await,
            3 | 4 => self.move_leadership().await,
            _ => self.crash().await,
        }
    }

    /// Every worker says that so many tasks run, and that many do.
    async fn until_all_run(&self, connectors: &[(&str, usize)]) {
        let total: usize = connectors.iter().map(|(_, tasks)| tasks).sum();
        let what = format!("{total} tasks run");
        until(&what, || async {
            let running = self.everywhere.0.lock().unwrap().by_task.len();
            let mut all = running == total;
            for (name, tasks) in connectors {
                for member in &self.members {
                    let status = member.handle.status(name).await;
                    all &= status.is_ok_and(|status| {
                        let up = status.tasks.iter().filter(|task| task.part.state == RunState::Running);
                        up.count() == *tasks
                    });
                }
            }
            all
        })
        .await;
    }

    /// The leader learns of the others' leases by and by, and evens out then.
    async fn until_shared_out(&self, counts: &[usize]) {
        until("tasks are shared out", || async {
            let now: Vec<usize> = self.members.iter().map(|member| member.runner.running().len()).collect();
            now == counts
        })
        .await;
    }

    fn assert_never_doubled(&self, seed: u64) {
        let all = self.everywhere.0.lock().unwrap();
        assert!(all.doubled.is_empty(), "seed {seed}: {:?}", all.doubled);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_the_group_every_task_runs_again_and_never_twice() {
    let seeds = std::env::var("EF_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    for seed in 1..=seeds {
        let broker = broker().await;
        let mut cluster = Cluster::start(&broker.bootstrap(), 3, seed).await;
        let connectors = [("a", 4), ("b", 3), ("c", 1)];
        for (name, tasks) in connectors {
            cluster.create(name, &tasks.to_string()).await;
        }
        println!("seed {seed}");
        cluster.until_all_run(&connectors).await;
        for _ in 0..6 {
            cluster.disturb().await;
        }
        cluster.until_all_run(&connectors).await;
        cluster.assert_never_doubled(seed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_shared_out_and_a_worker_without_leadership_names_the_one_that_has_it() {
    let broker = broker().await;
    let cluster = Cluster::start(&broker.bootstrap(), 2, 1).await;
    cluster.create("c", "4").await;
    cluster.until_shared_out(&[2, 2]).await;
    cluster.until_all_run(&[("c", 4)]).await;
    let elsewhere = HerderError::Elsewhere("http://127.0.0.1:9000".to_owned());
    assert_eq!(cluster.members[1].handle.delete("c").await.unwrap_err(), elsewhere);
    let away = cluster.members[0].handle.status("c").await.unwrap();
    let away = away.tasks.iter().find(|task| task.part.worker_id == cluster.members[1].id).unwrap().id;
    let elsewhere = HerderError::Elsewhere("http://127.0.0.1:9001".to_owned());
    assert_eq!(cluster.members[0].handle.restart_task("c", i64::from(away)).await.unwrap_err(), elsewhere);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_is_shown_once_the_tasks_on_other_workers_have_ended_too() {
    let broker = broker().await;
    let cluster = Cluster::start(&broker.bootstrap(), 2, 1).await;
    cluster.create("c", "4").await;
    cluster.until_shared_out(&[2, 2]).await;
    cluster.until_all_run(&[("c", 4)]).await;
    let (leader, other) = (&cluster.members[0], &cluster.members[1]);
    other.runner.hold_stops();
    leader.handle.stop("c").await.unwrap();
    until("the leader's own tasks have ended", || async { leader.runner.running().is_empty() }).await;
    assert_ne!(leader.handle.status("c").await.unwrap().connector.state, RunState::Stopped);
    other.runner.release_stops();
    until("it is stopped", || async { leader.handle.status("c").await.unwrap().connector.state == RunState::Stopped })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_shared_out_with_a_worker_that_leads_as_soon_as_it_has_joined() {
    let broker = broker().await;
    let mut cluster = Cluster::start(&broker.bootstrap(), 2, 1).await;
    cluster.create("c", "8").await;
    cluster.until_shared_out(&[4, 4]).await;
    cluster.until_all_run(&[("c", 8)]).await;
    let newcomer = Member::join(&broker.bootstrap(), 2, &cluster.everywhere);
    let leader = &cluster.members[0];
    for slot in leader.given.held() {
        leader.given.take(&[slot]).await;
        newcomer.given.give(&[slot]);
        if leader.runner.running().len() == 3 {
            break;
        }
    }
    leader.given.lead(false).await;
    newcomer.given.lead(true).await;
    cluster.members.push(newcomer);
    until("each has its share", || async {
        let counts: Vec<usize> = cluster.members.iter().map(|member| member.runner.running().len()).collect();
        counts.iter().sum::<usize>() == 8 && counts.iter().max() <= counts.iter().min().map(|least| least + 1).as_ref()
    })
    .await;
}
