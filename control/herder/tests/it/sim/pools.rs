//! Which of the workers and connectors of a run belong to which pool.
use elasticflow_config::Properties;

/// The worker that serves a pool of its own, and the connector that belongs there.
const WORKER: &str = "127.0.0.1:9002";
const CONNECTOR: &str = "c2";
/// Tasks that a worker takes where it does not take any number: one too few for everything when another is down, enough
/// when all are up.
const ROOM: &str = "6";

/// Whether a run has pools, and workers limited room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pools {
    split: bool,
    narrow: bool,
}

impl Pools {
    /// Half of the seeds have pools, half of those limited room.
    pub(super) fn of(seed: u64) -> Self {
        Self { split: seed.is_multiple_of(2), narrow: seed.is_multiple_of(4) }
    }

    pub(super) fn of_connector(self, name: &str) -> &'static str {
        if self.split && name == CONNECTOR { "fast" } else { "default" }
    }

    fn of_worker(self, id: &str) -> &'static str {
        if self.split && id == WORKER { "fast" } else { "default" }
    }

    /// What a worker is told of them.
    pub(super) fn offered(self, id: &str, properties: Properties) -> Properties {
        let properties = properties.with("worker.pool", self.of_worker(id));
        if self.narrow { properties.with("worker.capacity", ROOM) } else { properties }
    }

    /// What is wrong with a task where it runs.
    pub(super) fn strayed(self, task: &str, worker: &str) -> Option<String> {
        let (connector, _) = task.rsplit_once('-')?;
        let (asked, offered) = (self.of_connector(connector), self.of_worker(worker));
        (asked != offered).then(|| format!("{task} of pool {asked} runs on {worker} of pool {offered}"))
    }
}
