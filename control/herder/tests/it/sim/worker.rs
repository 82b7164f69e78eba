//! A worker: the real membership and herder over what is played.
use super::group::{SESSION, SLOTS};
use super::kafka::{Cluster, SimKafka};
use super::network::{Dice, Life, Link, SimClock};
use super::play::Flaw;
use super::pools::Pools;
use super::tasks::{GRACEFUL, Instances, SimRunner};
use crate::stubs::registry;
use crate::worker::options;
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_herder::membership::{GroupMembership, GroupOptions};
use elasticflow_herder::ports::NoReferences;
use elasticflow_herder::{HerderHandle, HerderOptions, HerderPorts, HerderService, InternalTopic, TaskNews, start};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What workers are started on.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) dice: Dice,
    pub(super) cluster: Cluster,
    pub(super) instances: Instances,
    pub(super) flaw: Flaw,
    pub(super) pools: Pools,
}

pub(super) struct SimWorker {
    pub(super) id: String,
    pub(super) link: Arc<Link>,
    pub(super) handle: HerderHandle,
    service: HerderService,
    membership: Arc<GroupMembership>,
}

/// A clock on which no time ever passes.
struct Standing(SimClock);

impl Clock for Standing {
    fn wall_ms(&self) -> i64 {
        self.0.wall_ms()
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        self.0.sleep(for_)
    }
}

fn topic(name: &str, partitions: i32) -> InternalTopic {
    InternalTopic { name: name.to_owned(), partitions, replication: None, configs: BTreeMap::new() }
}

impl SimWorker {
    pub(super) fn start(id: &str, ground: &Ground) -> Self {
        let (link, dice) = (Link::new(&ground.dice), ground.dice.clone());
        let kafka = Arc::new(SimKafka { cluster: ground.cluster.clone(), link: Arc::clone(&link) });
        let clock: Arc<dyn Clock> = Arc::new(SimClock(Arc::clone(&link)));
        let judge: Arc<dyn Clock> = match ground.flaw {
            Flaw::LeasesNeverExpire => Arc::new(Standing(SimClock(Arc::clone(&link)))),
            _ => Arc::clone(&clock),
        };
        let group = GroupOptions {
            group: "workers".to_owned(),
            slots_topic: topic("workers-slots", SLOTS),
            leader_topic: topic("workers-leader", 1),
            instance: Some(id.to_owned()),
            session: SESSION,
            heartbeat: SESSION / 3,
            rebalance: Duration::from_secs(60),
            graceful: GRACEFUL,
        };
        let membership = Arc::new(GroupMembership::join(Arc::clone(&kafka) as _, judge, group));
        let news = TaskNews::default();
        let (worker, instances) = (id.to_owned(), ground.instances.clone());
        let runner = SimRunner {
            worker,
            link: Arc::clone(&link),
            dice,
            instances,
            news: news.clone(),
            said: Default::default(),
        };
        let ports = HerderPorts {
            kafka,
            registry: Arc::new(registry()),
            runner: Arc::new(runner),
            news,
            membership: Arc::clone(&membership) as _,
            references: Arc::new(NoReferences),
            clock,
        };
        let request_timeout = Duration::from_secs(90);
        let url = format!("http://{id}");
        let plain = options();
        let worker = ground.pools.offered(id, plain.worker.clone());
        let options =
            HerderOptions { worker_id: id.to_owned(), url, request_timeout, plans_inline: true, worker, ..plain };
        let (handle, service) = start(options, ports);
        Self { id: id.to_owned(), link, handle, service, membership }
    }

    /// Ends as after SIGTERM.
    pub(super) async fn stop(mut self, instances: &Instances) {
        self.service.stop();
        let ended = tokio::time::timeout(Duration::from_secs(60), self.service.ended()).await;
        drop(ended);
        self.membership.stop();
        self.link.set(Life::Dead);
        instances.crashed(&self.link);
    }

    /// Ends as after SIGKILL; the heart of what is left never beats again.
    pub(super) fn kill(self, instances: &Instances) {
        self.link.set(Life::Dead);
        instances.crashed(&self.link);
        // Dropping its parts would have them say good-bye.
        std::mem::forget(self);
    }
}
