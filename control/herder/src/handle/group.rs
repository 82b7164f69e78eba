//! What concerns all workers: who there are, who has tasks, pools, log levels.
use super::HerderHandle;
use crate::command::Command;
use crate::error::HerderError;
use crate::pools::PoolInfo;
use crate::workers::WorkerInfo;
use elasticflow_plan::pools::Pool;
use tokio::sync::mpsc;

impl HerderHandle {
    /// Sets the level of a logger on every worker of the group.
    ///
    /// # Errors
    /// As for every change.
    pub async fn set_level(&self, logger: &str, level: &str) -> Result<(), HerderError> {
        self.lead().await?;
        let (logger, level) = (logger.to_owned(), level.to_owned());
        self.ask(|answer| Command::SetLevel { logger, level, answer }).await
    }

    /// Loggers and levels that are set on every worker, as they are asked for; for the first who asks.
    pub fn levels(&self) -> Option<mpsc::Receiver<(String, String)>> {
        self.view.levels.lock().take()
    }

    /// The workers of the group; never waits.
    pub fn workers(&self) -> Vec<WorkerInfo> {
        self.view.workers.read().clone()
    }

    /// Lets a worker have no tasks, or some again: those that it has leave it a few at a time.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn drain(&self, worker: &str, drained: bool) -> Result<(), HerderError> {
        self.lead().await?;
        self.ask(|answer| Command::Drain { worker: worker.to_owned(), drained, answer }).await
    }

    /// Every pool of workers.
    ///
    /// # Errors
    /// `Timeout` while the worker is starting.
    pub async fn pools(&self) -> Result<Vec<PoolInfo>, HerderError> {
        self.ask(|answer| Command::Pools { answer }).await
    }

    /// Sets the rules of a pool, or forgets them.
    ///
    /// # Errors
    /// `NotFound` for a pool without rules and workers that is to be forgotten.
    pub async fn set_pool(&self, name: &str, rules: Option<Pool>) -> Result<(), HerderError> {
        self.lead().await?;
        self.ask(|answer| Command::SetPool { name: name.to_owned(), rules, answer }).await
    }
}
