//! Tells the runtime whether a task is still this worker's; the herder knows.
use async_trait::async_trait;
use elasticflow_api::position::TaskId;
use elasticflow_herder::HerderHandle;
use elasticflow_runtime::Assignment;
use std::sync::OnceLock;

/// Asks the herder, once there is one: it starts after the runtime, and no task before it.
#[derive(Default)]
pub(crate) struct Assigned(OnceLock<HerderHandle>);

impl Assigned {
    /// From here on the herder is asked.
    pub(crate) fn ask(&self, herder: &HerderHandle) {
        drop(self.0.set(herder.clone()));
    }
}

#[async_trait]
impl Assignment for Assigned {
    async fn current(&self, task: &TaskId, generation: u64) -> bool {
        match self.0.get() {
            Some(herder) => herder.is_current(task, generation).await,
            None => false,
        }
    }
}
