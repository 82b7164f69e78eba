//! What a connection needs of a connector's settings.
use super::config::{MysqlKeys, MysqlSinkConfig};
use elasticflow_config::{Millis, Secret};
use elasticflow_sql::config::Delivery;
use elasticflow_sql::source::config::SourceKeys;

/// Where, as whom, how long.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) url: String,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) connect_timeout: Millis,
    pub(crate) statement_timeout: Millis,
    pub(crate) own: MysqlKeys,
    /// Whether a table must take part in transactions.
    pub(crate) needs_transactions: bool,
    /// A source reads whole pages of one state; a sink sees what others have committed.
    pub(crate) isolation: &'static str,
}

impl Access {
    pub(crate) fn of_sink(config: &MysqlSinkConfig) -> Self {
        let keys = &config.keys;
        Self {
            url: keys.url.clone(),
            user: keys.user.clone(),
            password: keys.password.clone(),
            connect_timeout: keys.connect_timeout,
            statement_timeout: keys.statement_timeout,
            own: config.own.clone(),
            needs_transactions: keys.delivery == Delivery::ExactlyOnce,
            isolation: "READ COMMITTED",
        }
    }

    pub(crate) fn of_source(keys: &SourceKeys, own: &MysqlKeys) -> Self {
        Self {
            url: keys.url.clone(),
            user: keys.user.clone(),
            password: keys.password.clone(),
            connect_timeout: keys.connect_timeout,
            statement_timeout: keys.statement_timeout,
            own: own.clone(),
            needs_transactions: false,
            isolation: "REPEATABLE READ",
        }
    }
}
