//! `errors.retry.*`: an operation that failed for a passing reason is tried again for a while.
use super::settings::ErrorKeys;
use crate::metrics::TaskMetrics;
use elasticflow_api::clock::Clock;
use elasticflow_api::{ConnectorError, ErrorClass};
use std::sync::Arc;
use std::time::Duration;

/// Connect's first wait.
const FIRST: Duration = Duration::from_millis(300);

/// Retries of one operation.
pub(crate) struct Retry {
    clock: Arc<dyn Clock>,
    metrics: Arc<TaskMetrics>,
    until: Option<Duration>,
    most: Duration,
    tried: u32,
}

impl Retry {
    pub(crate) fn new(keys: &ErrorKeys, clock: &Arc<dyn Clock>, metrics: &Arc<TaskMetrics>) -> Self {
        let limit = u64::try_from(keys.retry_timeout).ok().map(Duration::from_millis);
        Self {
            until: limit.map(|l| clock.monotonic() + l),
            clock: Arc::clone(clock),
            metrics: Arc::clone(metrics),
            most: keys.retry_delay_max.duration(),
            tried: 0,
        }
    }

    /// Waits before the next try; gives the error back when it will not pass or the time is over.
    pub(crate) async fn again(&mut self, error: ConnectorError) -> Result<(), ConnectorError> {
        let passing = matches!(error.class, ErrorClass::Transient { .. });
        let wait = FIRST.saturating_mul(1u32.checked_shl(self.tried).unwrap_or(u32::MAX)).min(self.most);
        let late = self.until.is_some_and(|until| self.clock.monotonic() + wait > until);
        if !passing || late {
            return Err(error);
        }
        self.tried += 1;
        self.metrics.retries.add(1);
        self.clock.sleep(wait).await;
        Ok(())
    }
}
