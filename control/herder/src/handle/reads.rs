//! Reads: answered from memory, never behind a slow operation.
use super::HerderHandle;
use crate::answer::{ConnectorInfo, ConnectorStatus, TaskInfo, TaskRef, TaskStatus};
use crate::command::Command;
use crate::error::HerderError;
use crate::view::ConnectorView;
use elasticflow_config::Properties;
use elasticflow_config::infos::Remarks;
use std::collections::{BTreeMap, BTreeSet};

impl HerderHandle {
    /// Names of all connectors.
    ///
    /// # Errors
    /// `Timeout` while the worker is starting; likewise below.
    pub async fn connectors(&self) -> Result<Vec<String>, HerderError> {
        self.readable().await?;
        Ok(self.view.connectors.read().keys().cloned().collect())
    }

    /// A connector.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn info(&self, name: &str) -> Result<ConnectorInfo, HerderError> {
        self.read(name, |c| info_of(name, c)).await?.ok_or_else(|| HerderError::no_connector(name))
    }

    /// A connector's status.
    ///
    /// # Errors
    /// `NotFound` when there is no connector or nothing is known of it yet.
    pub async fn status(&self, name: &str) -> Result<ConnectorStatus, HerderError> {
        let found = self.read(name, |c| status_of(name, c)).await?.flatten();
        found.ok_or_else(|| HerderError::NotFound(format!("No status found for connector {name}")))
    }

    /// Info and status of every connector, for `expand`; a status that is not known is `None`.
    ///
    /// # Errors
    /// As for [`Self::connectors`].
    pub async fn all(&self) -> Result<Vec<(ConnectorInfo, Option<ConnectorStatus>)>, HerderError> {
        self.readable().await?;
        Ok(self.view.all().iter().map(|(n, c)| (info_of(n, c), status_of(n, c))).collect())
    }

    /// Task configurations.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn tasks(&self, name: &str) -> Result<Vec<TaskInfo>, HerderError> {
        let tasks = self.read(name, |c| {
            let refs = refs_of(name, c).into_iter();
            refs.zip(&c.tasks).map(|(id, config)| TaskInfo { id, config: config.clone() }).collect()
        });
        tasks.await?.ok_or_else(|| HerderError::no_connector(name))
    }

    /// A task's status.
    ///
    /// # Errors
    /// `NotFound` also for a connector that is not there. The index is any integer, as in a path.
    pub async fn task_status(&self, name: &str, task: i64) -> Result<TaskStatus, HerderError> {
        let part =
            self.read(name, |c| u32::try_from(task).ok().and_then(|id| Some((id, c.task_statuses.get(&id)?.clone()))));
        let found = part.await?.flatten();
        found
            .map(|(id, part)| TaskStatus { id, part })
            .ok_or_else(|| HerderError::NotFound(format!("No status found for task {name}-{task}")))
    }

    /// Topics in use since creation or reset; an unknown connector has none.
    ///
    /// # Errors
    /// `Forbidden` when tracking is off.
    pub async fn topics(&self, name: &str) -> Result<BTreeSet<String>, HerderError> {
        self.tracking()?;
        Ok(self.read(name, |c| c.topics.clone()).await?.unwrap_or_default())
    }

    /// Whether exactly this configuration is stored for a connector; of use to whoever has lost the answer to a request.
    pub async fn stores(&self, name: &str, config: &Properties) -> bool {
        let stored = self.stored_config(name).await.ok().flatten();
        stored.is_some_and(|stored| stored == config.clone().with("name", name))
    }

    pub(crate) async fn stored_config(&self, name: &str) -> Result<Option<Properties>, HerderError> {
        self.ask(|answer| Command::StoredConfig { name: name.to_owned(), answer }).await
    }

    pub(super) fn tracking(&self) -> Result<(), HerderError> {
        if self.context.options.topic_tracking {
            return Ok(());
        }
        Err(HerderError::Forbidden("Topic tracking is disabled.".to_owned()))
    }

    async fn read<T>(&self, name: &str, get: impl FnOnce(&ConnectorView) -> T) -> Result<Option<T>, HerderError> {
        self.readable().await?;
        let found = self.view.connectors.read().get(name).cloned();
        Ok(found.as_deref().map(get))
    }
}

fn refs_of(name: &str, connector: &ConnectorView) -> Vec<TaskRef> {
    let task = |i| TaskRef { connector: name.to_owned(), task: i };
    (0u32..).zip(&connector.tasks).map(|(i, _)| task(i)).collect()
}

pub(crate) fn info_of(name: &str, connector: &ConnectorView) -> ConnectorInfo {
    ConnectorInfo {
        name: name.to_owned(),
        config: connector.config.clone(),
        tasks: refs_of(name, connector),
        kind: connector.kind,
        elasticflow: Remarks::default(),
    }
}

pub(crate) fn status_of(name: &str, connector: &ConnectorView) -> Option<ConnectorStatus> {
    let tasks: BTreeMap<u32, _> = connector.task_statuses.clone();
    Some(ConnectorStatus {
        name: name.to_owned(),
        connector: connector.status.clone()?,
        tasks: tasks.into_iter().map(|(id, part)| TaskStatus { id, part }).collect(),
        kind: connector.kind,
    })
}
