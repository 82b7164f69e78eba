//! Everything that is known from the flow topic.
use super::meters::Meters;
use elasticflow_store::flow::{
    AckRow, AlertRow, BreakerRow, FlowRecord, GrantRow, GroupRow, LimitRow, QuotaRow, RetentionRow,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Rows as last read, and what follows from reports.
#[derive(Default)]
pub(crate) struct Board {
    pub(crate) groups: BTreeMap<String, GroupRow>,
    pub(crate) limits: BTreeMap<String, LimitRow>,
    pub(crate) grants: BTreeMap<String, GrantRow>,
    pub(crate) breakers: BTreeMap<String, BreakerRow>,
    pub(crate) quotas: BTreeMap<String, QuotaRow>,
    /// What topics kept before they were told to keep their records longer.
    pub(crate) retentions: BTreeMap<String, RetentionRow>,
    pub(crate) alerts: BTreeMap<String, AlertRow>,
    pub(crate) acks: BTreeMap<String, AckRow>,
    pub(crate) meters: Meters,
    /// The topic was read to its end once.
    pub(crate) loaded: bool,
    /// Why this worker must not lead: rows that it does not understand.
    pub(crate) unreadable: Option<String>,
    /// Periods whose lag was not known, for metrics.
    pub(crate) invalid_samples: u64,
    /// How long the last period of the leader took.
    pub(crate) period: Duration,
}

impl Board {
    /// Takes in a row.
    pub(crate) fn read(&mut self, record: FlowRecord, now: Duration) {
        match record {
            FlowRecord::Group { name, row } => put(&mut self.groups, name, row),
            FlowRecord::Limit { connector, row } => put(&mut self.limits, connector, row),
            FlowRecord::Grant { connector, row } => put(&mut self.grants, connector, row),
            FlowRecord::Breaker { connector, row } => put(&mut self.breakers, connector, row),
            FlowRecord::Quota { connector, row } => put(&mut self.quotas, connector, row),
            FlowRecord::Retention { topic, row } => put(&mut self.retentions, topic, row),
            FlowRecord::Ack { alert, row } => put(&mut self.acks, alert, row),
            FlowRecord::Alert { id, row } => put(&mut self.alerts, id, row),
            FlowRecord::Report { worker, row: Some(row) } => self.meters.take(&worker, row, now),
            FlowRecord::Report { worker, row: None } => self.meters.forget(&worker),
            FlowRecord::Unknown { key } => {
                tracing::warn!(key, "a record of a kind that is not known in the flow topic is left alone")
            }
        }
    }
}

fn put<T>(rows: &mut BTreeMap<String, T>, key: String, row: Option<T>) {
    match row {
        Some(row) => drop(rows.insert(key, row)),
        None => drop(rows.remove(&key)),
    }
}
