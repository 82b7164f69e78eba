//! One run: what is done to the group, what users ask for meanwhile, and what must hold.
use super::group::Coordinator;
use super::kafka::Cluster;
use super::network::{Dice, Life, Link};
use super::pools::Pools;
use super::tasks::Instances;
use super::trace::{begin_trace, trace};
use super::worker::{Ground, SimWorker};
use crate::worker::sink;
use elasticflow_herder::answer::{HealthState, InitialState, RunState};
use elasticflow_herder::{HerderError, HerderHandle};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A mistake that is built in, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    SlotsAreNotAskedBack,
    LeasesNeverExpire,
    WritersAreNotFenced,
}

const WORKERS: u64 = 3;
const DISTURBANCES: u64 = 5;
/// Longest that anything takes when nothing is disturbed any more.
const CALM_MAX: Duration = Duration::from_secs(90);
/// Longest that a user waits while some worker is well.
const ANSWER_MAX: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Workers by address; none while one is down.
type Workers = Arc<Mutex<BTreeMap<String, SimWorker>>>;
type Problems = Arc<Mutex<Vec<String>>>;

pub(super) struct Play {
    ground: Ground,
    workers: Workers,
    problems: Problems,
    calm: tokio::sync::watch::Sender<bool>,
}

/// What ends a disturbance.
#[derive(Debug)]
enum Repair {
    Start(String),
    Thaw(String),
    Connect(String),
}

impl Play {
    pub(super) fn new(seed: u64, flaw: Flaw) -> Self {
        let dice = Dice::new(seed);
        let coordinator = Coordinator::new(flaw != Flaw::SlotsAreNotAskedBack);
        let cluster = Cluster::new(&dice, coordinator, flaw != Flaw::WritersAreNotFenced);
        // What a built-in mistake does is seen without them.
        let pools = if flaw == Flaw::None { Pools::of(seed) } else { Pools::of(1) };
        let ground = Ground { dice, cluster, instances: Instances::default(), flaw, pools };
        Self { ground, workers: Workers::default(), problems: Problems::default(), calm: Default::default() }
    }

    pub(super) async fn run(self) -> Result<(), String> {
        begin_trace();
        tokio::spawn(self.ground.cluster.coordinator.clone().run());
        tokio::spawn(watch(self.ground.instances.clone(), self.ground.pools, Arc::clone(&self.problems)));
        for number in 0..WORKERS {
            self.start(&format!("127.0.0.1:{}", 9000 + number));
        }
        let users: Vec<_> = (0..3)
            .map(|number| {
                let user = User {
                    name: format!("c{number}"),
                    pools: self.ground.pools,
                    dice: self.ground.dice.clone(),
                    workers: Arc::clone(&self.workers),
                    problems: Arc::clone(&self.problems),
                    in_doubt: false,
                };
                tokio::spawn(user.run(self.calm.subscribe()))
            })
            .collect();
        self.disturb().await;
        self.calm.send_replace(true);
        let mut wanted = BTreeMap::new();
        for user in users {
            let (name, tasks) = user.await.map_err(|error| error.to_string())?;
            wanted.insert(name, tasks);
        }
        let settled = self.settle(&wanted).await;
        let problems = self.problems.lock().unwrap().join("; ");
        if problems.is_empty() { settled } else { Err(problems) }
    }

    /// A worker is killed and never comes back: whom the others know after a while.
    pub(super) async fn lose_one_for_good(self) -> Vec<Vec<String>> {
        tokio::spawn(self.ground.cluster.coordinator.clone().run());
        for number in 0..WORKERS {
            self.start(&format!("127.0.0.1:{}", 9000 + number));
        }
        sleep(Duration::from_secs(30)).await;
        let lost = self.workers.lock().unwrap().remove("127.0.0.1:9000");
        lost.into_iter().for_each(|worker| worker.kill(&self.ground.instances));
        sleep(Duration::from_secs(900)).await;
        let workers = self.workers.lock().unwrap();
        workers.values().map(|worker| worker.handle.workers().into_iter().map(|info| info.id).collect()).collect()
    }

    fn start(&self, id: &str) {
        let worker = SimWorker::start(id, &self.ground);
        self.workers.lock().unwrap().insert(id.to_owned(), worker);
    }

    async fn disturb(&self) {
        let dice = &self.ground.dice;
        let mut repairs: Vec<(Instant, Repair)> = Vec::new();
        for _ in 0..DISTURBANCES {
            let until = Instant::now() + dice.ms(100, 12_000);
            self.mend(&mut repairs, until).await;
            if repairs.len() < 2 {
                self.hurt(&mut repairs).await;
            }
        }
        while let Some(last) = repairs.iter().map(|(at, _)| *at).max() {
            self.mend(&mut repairs, last).await;
        }
    }

    /// Lets time pass, and ends disturbances whose time it is.
    async fn mend(&self, repairs: &mut Vec<(Instant, Repair)>, until: Instant) {
        repairs.sort_by_key(|(at, _)| *at);
        while repairs.first().is_some_and(|(at, _)| *at <= until) {
            let (at, repair) = repairs.remove(0);
            tokio::time::sleep_until(at).await;
            trace(|| format!("{repair:?}"));
            match repair {
                Repair::Start(id) => self.start(&id),
                Repair::Thaw(id) => self.link(&id).iter().for_each(|link| link.set(Life::Runs)),
                Repair::Connect(id) => self.link(&id).iter().for_each(|link| link.cut(false)),
            }
        }
        tokio::time::sleep_until(until).await;
    }

    fn link(&self, id: &str) -> Option<Arc<Link>> {
        self.workers.lock().unwrap().get(id).map(|worker| Arc::clone(&worker.link))
    }

    async fn hurt(&self, repairs: &mut Vec<(Instant, Repair)>) {
        let dice = &self.ground.dice;
        let well = |worker: &&SimWorker| worker.link.beats();
        let ids: Vec<String> = self.workers.lock().unwrap().values().filter(well).map(|w| w.id.clone()).collect();
        let Some(id) = ids.get(dice.below(ids.len().max(1) as u64) as usize).cloned() else { return };
        let now = Instant::now();
        let kind = dice.below(4);
        trace(|| format!("disturbance {kind} of {id}"));
        match kind {
            0 => {
                let worker = self.workers.lock().unwrap().remove(&id);
                worker.into_iter().for_each(|worker| worker.kill(&self.ground.instances));
                repairs.push((now + dice.ms(200, 20_000), Repair::Start(id)));
            }
            1 => {
                self.link(&id).iter().for_each(|link| link.set(Life::Frozen));
                repairs.push((now + dice.ms(1_000, 25_000), Repair::Thaw(id)));
            }
            2 => {
                self.link(&id).iter().for_each(|link| link.cut(true));
                repairs.push((now + dice.ms(500, 20_000), Repair::Connect(id)));
            }
            _ => {
                let worker = self.workers.lock().unwrap().remove(&id);
                if let Some(worker) = worker {
                    worker.stop(&self.ground.instances).await;
                }
                repairs.push((Instant::now() + dice.ms(0, 5_000), Repair::Start(id)));
            }
        }
    }

    /// Everything that is wanted runs, once, and every worker says so.
    async fn settle(&self, wanted: &BTreeMap<String, usize>) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let Some(lacking) = self.lacks(wanted).await else { return Ok(()) };
            if began.elapsed() > CALM_MAX {
                return Err(format!("{lacking} {CALM_MAX:?} after the last disturbance"));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn lacks(&self, wanted: &BTreeMap<String, usize>) -> Option<String> {
        let total: usize = wanted.values().sum();
        let running = self.ground.instances.running();
        if running.len() != total {
            return Some(format!("{running:?} run in place of {wanted:?}"));
        }
        let workers: Vec<(String, HerderHandle)> =
            self.workers.lock().unwrap().values().map(|w| (w.id.clone(), w.handle.clone())).collect();
        for (id, handle) in &workers {
            let known = handle.connectors().await.unwrap_or_default();
            if !known.iter().eq(wanted.keys()) {
                return Some(format!("{id} knows of {known:?}"));
            }
            for (name, tasks) in wanted {
                let Ok(status) = handle.status(name).await else {
                    return Some(format!("{id} has no status of {name}"));
                };
                let right = |task: &elasticflow_herder::answer::TaskStatus| {
                    let place = (format!("{name}-{}", task.id), task.part.worker_id.clone());
                    task.part.state == RunState::Running && running.contains(&place)
                };
                if status.tasks.len() != *tasks || !status.tasks.iter().all(right) {
                    return Some(format!("{id} shows {status:?} while {running:?} run"));
                }
            }
        }
        None
    }
}

/// Looks all the time whether something runs twice, or where it may not.
async fn watch(instances: Instances, pools: Pools, problems: Problems) {
    loop {
        sleep(Duration::from_millis(50)).await;
        let strayed = || instances.running().iter().find_map(|(task, worker)| pools.strayed(task, worker));
        if let Some(problem) = instances.doubled().or_else(strayed) {
            problems.lock().unwrap().push(problem);
            return;
        }
    }
}

/// Somebody who works with one connector.
struct User {
    name: String,
    pools: Pools,
    dice: Dice,
    workers: Workers,
    problems: Problems,
    /// An answer was lost: what was asked for may have been done.
    in_doubt: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Create(usize),
    Configure(usize),
    Pause,
    Resume,
    Restart,
    Delete,
}

impl User {
    async fn run(mut self, calm: tokio::sync::watch::Receiver<bool>) -> (String, usize) {
        let mut tasks = None;
        while !*calm.borrow() {
            let wish = self.wish(tasks);
            self.fulfil(wish).await;
            match wish {
                Wish::Create(count) | Wish::Configure(count) => tasks = Some(count),
                Wish::Delete => tasks = None,
                Wish::Pause | Wish::Resume | Wish::Restart => {}
            }
            sleep(self.dice.ms(0, 4_000)).await;
        }
        let count = match tasks {
            Some(count) => count,
            None => {
                self.fulfil(Wish::Create(2)).await;
                2
            }
        };
        self.fulfil(Wish::Resume).await;
        (self.name, count)
    }

    fn wish(&self, tasks: Option<usize>) -> Wish {
        let count = 1 + self.dice.below(4) as usize;
        if tasks.is_none() {
            return Wish::Create(count);
        }
        match self.dice.below(8) {
            0 => Wish::Delete,
            1 | 2 => Wish::Configure(count),
            3 => Wish::Pause,
            4 | 5 => Wish::Resume,
            _ => Wish::Restart,
        }
    }

    /// Asks until it is done, as clients and the endpoint together do.
    async fn fulfil(&mut self, wish: Wish) {
        self.in_doubt = false;
        let mut began = Instant::now();
        let mut at = None;
        loop {
            if !self.workers.lock().unwrap().values().any(|worker| worker.link.beats()) {
                // Nobody is well: that is not the group's fault.
                began = Instant::now();
            }
            if let Some((link, handle)) = self.somebody(at.take()) {
                let outcome = self.ask(wish, &link, &handle).await;
                trace(|| format!("{} {wish:?}: {outcome:?}", self.name));
                match outcome {
                    Ok(()) => return,
                    Err(Some(HerderError::Elsewhere(url))) => at = Some(url.trim_start_matches("http://").to_owned()),
                    Err(_) => {}
                }
            }
            if began.elapsed() > ANSWER_MAX {
                return self.problem(&format!("{wish:?} is not done after {ANSWER_MAX:?}"));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn problem(&self, what: &str) {
        self.problems.lock().unwrap().push(format!("{}: {what}", self.name));
    }

    /// A worker that can be spoken to: the one at an address, if it is asked for and there, or any. It is ready and knows
    /// who leads: several who wait for that are woken in a random order, and a seed would not be a whole run.
    fn somebody(&self, at: Option<String>) -> Option<(Arc<Link>, HerderHandle)> {
        let workers = self.workers.lock().unwrap();
        let can_answer = |worker: &&SimWorker| {
            let ready = worker.handle.health().state == HealthState::Ready;
            worker.link.beats() && ready && worker.handle.figures().leader.is_some()
        };
        let well: Vec<&SimWorker> = workers.values().filter(can_answer).collect();
        let asked_for = at.and_then(|at| well.iter().find(|worker| worker.id == at));
        let worker = asked_for.or_else(|| well.get(self.dice.below(well.len().max(1) as u64) as usize))?;
        Some((Arc::clone(&worker.link), worker.handle.clone()))
    }

    /// Asks one worker; the error is `None` when it has no answer.
    async fn ask(&mut self, wish: Wish, link: &Arc<Link>, handle: &HerderHandle) -> Result<(), Option<HerderError>> {
        let asking = Box::pin(wished(wish, &self.name, self.pools, handle));
        let gone = Box::pin(async {
            while link.beats() {
                sleep(LOOK_EVERY).await;
            }
        });
        let answer = match futures_util::future::select(asking, gone).await {
            futures_util::future::Either::Left((answer, _)) => answer,
            futures_util::future::Either::Right(_) => {
                self.in_doubt = true;
                return Err(None);
            }
        };
        match answer {
            Err(HerderError::Conflict(_)) if self.in_doubt && matches!(wish, Wish::Create(_)) => Ok(()),
            Err(HerderError::NotFound(_)) if self.in_doubt && wish == Wish::Delete => Ok(()),
            Err(HerderError::Unavailable(_)) => {
                self.in_doubt = true;
                Err(None)
            }
            Err(error @ (HerderError::Moving | HerderError::Elsewhere(_) | HerderError::Closing)) => Err(Some(error)),
            Err(error) => {
                self.problem(&format!("{wish:?} was answered: {error}"));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

async fn wished(wish: Wish, name: &str, pools: Pools, handle: &HerderHandle) -> Result<(), HerderError> {
    let config =
        |count: usize| sink(&[("tasks.max", count.to_string().as_str()), ("flow.pool", pools.of_connector(name))]);
    match wish {
        Wish::Create(count) => handle.create(name, config(count), InitialState::Running).await.map(drop),
        Wish::Configure(count) => handle.put_config(name, config(count)).await.map(drop),
        Wish::Pause => handle.pause(name).await,
        Wish::Resume => handle.resume(name).await,
        Wish::Restart => handle.restart(name, true, false).await.map(drop),
        Wish::Delete => handle.delete(name).await,
    }
}
