//! The connector: checks a configuration, plans the tasks.
use super::config::{LedgerConfig, Violation};
use super::task::LedgerTask;
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::position::{Offset, TaskId, TopicPartition};
use elasticflow_api::registry::{Guarantee, TaskConfig};
use elasticflow_api::sink::{SinkConnector, SinkKind};
use elasticflow_api::{ConnectorError, ErrorClass, Result};
use elasticflow_config::ValidationReport;
use std::collections::BTreeMap;

/// Says in a task's configuration that it is the only one.
const ALONE: &str = "ledger.alone";

/// The ledger.
pub struct Ledger;

impl SinkConnector for Ledger {
    const NAME: &'static str = "ledger";
    type Config = LedgerConfig;

    fn guarantee(&self, _: &LedgerConfig) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn validate(&self, config: &LedgerConfig, _: &ConnectorContext) -> ValidationReport {
        let mut report = ValidationReport::default();
        if config.report_topic.as_ref().is_some_and(|topic| !topic.is_empty()) {
            report.error(
                "ledger.report.topic",
                "ledger.report.topic is not supported: the report lies in the folder ledger.path; leave the key out",
            );
        }
        report
    }

    fn plan(&self, _: &LedgerConfig, tasks_max: usize) -> Result<Vec<TaskConfig>> {
        let config = TaskConfig([(ALONE.to_owned(), (tasks_max <= 1).to_string())].into());
        Ok(vec![config; tasks_max.max(1)])
    }

    fn task(&self, config: &LedgerConfig, task: TaskConfig) -> Result<SinkKind> {
        let fail_on = Violation::list(&config.fail_on).map_err(|message| ConnectorError {
            class: ErrorClass::Config,
            code: "LEDGER-0004",
            message: format!("ledger.fail.on: {message}"),
            source: None,
        })?;
        let is_alone = task.0.get(ALONE).is_some_and(|alone| alone == "true");
        Ok(SinkKind::TwoPhase(Box::new(LedgerTask::new(config.clone(), fail_on, is_alone))))
    }

    async fn alter_offsets(
        &self,
        _: &LedgerConfig,
        _: &TaskId,
        _: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()> {
        Ok(())
    }
}
