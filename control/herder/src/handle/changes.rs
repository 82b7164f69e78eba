//! Changes: carried out by the leader, answered once they are in the config topic.
use super::HerderHandle;
use crate::answer::{ConfigPatch, ConnectorInfo, ConnectorStatus, InitialState, Put};
use crate::command::{Command, PutKind, Restart, patched};
use crate::error::HerderError;
use elasticflow_config::Properties;
use elasticflow_config::infos::Remark;

impl HerderHandle {
    /// Creates a connector. The configuration is as posted, its `name` included; it is validated here.
    ///
    /// # Errors
    /// `BadRequest` and `Invalid` from validation, then `Conflict`.
    pub async fn create(&self, name: &str, config: Properties, state: InitialState) -> Result<Put, HerderError> {
        self.lead().await?;
        self.validated(name, config, PutKind::Create(state)).await
    }

    /// Creates a connector or replaces its configuration.
    ///
    /// # Errors
    /// `BadRequest` and `Invalid` from validation.
    pub async fn put_config(&self, name: &str, config: Properties) -> Result<Put, HerderError> {
        self.lead().await?;
        let stored = self.stored_config(name).await?;
        let config = crate::secrets::keep_hidden(config, stored.as_ref())?;
        self.validated(name, config, PutKind::Put).await
    }

    /// Lays a patch over a configuration; never creates.
    ///
    /// # Errors
    /// `NotFound` before anything else, then as for [`Self::put_config`].
    pub async fn patch_config(&self, name: &str, patch: &ConfigPatch) -> Result<ConnectorInfo, HerderError> {
        self.lead().await?;
        let stored = self.stored_config(name).await?.ok_or_else(|| HerderError::no_connector(name))?;
        let config = crate::secrets::keep_hidden(patched(&stored, patch), Some(&stored))?;
        self.validated(name, config, PutKind::Patched { base: stored }).await.map(|put| put.info)
    }

    /// Deletes a connector; positions and the consumer group stay.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete(&self, name: &str) -> Result<(), HerderError> {
        self.lead().await?;
        self.ask(|answer| Command::Delete { name: name.to_owned(), answer }).await
    }

    /// Pauses: tasks stay allocated and do nothing.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn pause(&self, name: &str) -> Result<(), HerderError> {
        self.target(name, InitialState::Paused).await
    }

    /// Resumes from paused or stopped.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn resume(&self, name: &str) -> Result<(), HerderError> {
        self.target(name, InitialState::Running).await
    }

    /// Stops: tasks and their configurations go, positions stay.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn stop(&self, name: &str) -> Result<(), HerderError> {
        self.target(name, InitialState::Stopped).await
    }

    /// Restarts a connector and, as asked, its tasks. The status shows what is going to be restarted as RESTARTING; with
    /// both flags false only the connector is restarted and the status is of no interest (204).
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn restart(
        &self,
        name: &str,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<ConnectorStatus, HerderError> {
        self.lead().await?;
        let restart = Restart { include_tasks, only_failed };
        self.ask(|answer| Command::Restart { name: name.to_owned(), restart, answer }).await
    }

    /// Restarts a task. The index is any integer, as in a path.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn restart_task(&self, name: &str, task: i64) -> Result<(), HerderError> {
        let Ok(index) = u32::try_from(task) else {
            self.readable().await?;
            let known = self.view.connectors.read().contains_key(name);
            let what =
                if known { format!("Unknown task: {name}-{task}") } else { format!("Unknown connector: {name}") };
            return Err(HerderError::NotFound(what));
        };
        self.ask(|answer| Command::RestartTask { name: name.to_owned(), task: index, answer }).await
    }

    /// Forgets the topics in use; fine for an unknown connector.
    ///
    /// # Errors
    /// `Forbidden` when tracking or its reset is off.
    pub async fn reset_topics(&self, name: &str) -> Result<(), HerderError> {
        self.tracking()?;
        if !self.context.options.topic_tracking_reset {
            return Err(HerderError::Forbidden("Topic tracking reset is disabled.".to_owned()));
        }
        self.ask(|answer| Command::ResetTopics { name: name.to_owned(), answer }).await
    }

    async fn target(&self, name: &str, state: InitialState) -> Result<(), HerderError> {
        self.lead().await?;
        self.ask(|answer| Command::Target { name: name.to_owned(), state, answer }).await
    }

    async fn validated(&self, name: &str, config: Properties, kind: PutKind) -> Result<Put, HerderError> {
        let (config, warnings) = crate::admission::admit(name, config, &self.context).await?;
        let mut put = self.ask(|answer| Command::Put { name: name.to_owned(), config, kind, answer }).await?;
        for Remark { key, message } in &warnings {
            tracing::warn!(connector = name, key, "{message}");
        }
        put.info.elasticflow.warnings = warnings;
        Ok(put)
    }
}
