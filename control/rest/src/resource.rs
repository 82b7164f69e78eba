//! Which resource a path names, and which methods it has.
/// Everything that can be addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    Root,
    Health,
    Metrics,
    Connectors,
    Connector(String),
    Config(String),
    Status(String),
    Restart(String),
    Pause(String),
    Resume(String),
    Stop(String),
    Tasks(String),
    TaskStatus(String, i32),
    TaskRestart(String, i32),
    Topics(String),
    TopicsReset(String),
    Offsets(String),
    Fence(String),
    Plugins,
    PluginConfig(String),
    PluginValidate(String),
    Loggers,
    Logger(String),
    Workers,
    Worker(String),
    Drain(String),
    Undrain(String),
    Pools,
    Pool(String),
    FlowConnector(String),
    FlowBreaker(String),
    FlowAlerts,
    FlowAlertAck(String),
    FlowHooks,
    FlowHookTest(String),
    FlowThrottle,
    FlowLag,
    Batches,
    Batch(String),
    BatchAbort(String),
    Errors(String),
    Error(String, String),
    ErrorsReplay(String),
    ErrorsDiscard(String),
    ErrorsBudget(String),
    ErrorsBudgetReset(String),
    AcceptLoss(String),
    Signals(String),
}

impl Resource {
    /// The resource of the decoded segments of a path.
    pub(crate) fn of(segments: &[String]) -> Option<Self> {
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let name = |text: &str| text.to_owned();
        Some(match *parts.as_slice() {
            [] => Self::Root,
            ["health"] => Self::Health,
            ["metrics"] => Self::Metrics,
            ["connectors"] => Self::Connectors,
            ["connectors", n] => Self::Connector(name(n)),
            ["connectors", n, "config"] => Self::Config(name(n)),
            ["connectors", n, "status"] => Self::Status(name(n)),
            ["connectors", n, "restart"] => Self::Restart(name(n)),
            ["connectors", n, "pause"] => Self::Pause(name(n)),
            ["connectors", n, "resume"] => Self::Resume(name(n)),
            ["connectors", n, "stop"] => Self::Stop(name(n)),
            ["connectors", n, "tasks"] => Self::Tasks(name(n)),
            ["connectors", n, "tasks", task, "status"] => Self::TaskStatus(name(n), task.parse().ok()?),
            ["connectors", n, "tasks", task, "restart"] => Self::TaskRestart(name(n), task.parse().ok()?),
            ["connectors", n, "topics"] => Self::Topics(name(n)),
            ["connectors", n, "topics", "reset"] => Self::TopicsReset(name(n)),
            ["connectors", n, "offsets"] => Self::Offsets(name(n)),
            ["connectors", n, "fence"] => Self::Fence(name(n)),
            ["connector-plugins"] => Self::Plugins,
            ["connector-plugins", p, "config"] => Self::PluginConfig(name(p)),
            ["connector-plugins", p, "config", "validate"] => Self::PluginValidate(name(p)),
            ["admin", "loggers"] => Self::Loggers,
            ["admin", "loggers", l] => Self::Logger(name(l)),
            ["flow", "v1", "workers"] => Self::Workers,
            ["flow", "v1", "workers", w] => Self::Worker(name(w)),
            ["flow", "v1", "workers", w, "drain"] => Self::Drain(name(w)),
            ["flow", "v1", "workers", w, "undrain"] => Self::Undrain(name(w)),
            ["flow", "v1", "pools"] => Self::Pools,
            ["flow", "v1", "pools", p] => Self::Pool(name(p)),
            ["flow", "v1", "connectors", n] => Self::FlowConnector(name(n)),
            ["flow", "v1", "connectors", n, "breaker"] => Self::FlowBreaker(name(n)),
            ["flow", "v1", "alerts"] => Self::FlowAlerts,
            ["flow", "v1", "alerts", id, "ack"] => Self::FlowAlertAck(name(id)),
            ["flow", "v1", "hooks"] => Self::FlowHooks,
            ["flow", "v1", "hooks", id, "test"] => Self::FlowHookTest(name(id)),
            ["flow", "v1", "throttle"] => Self::FlowThrottle,
            ["flow", "v1", "lag", "groups"] => Self::FlowLag,
            ["flow", "v1", "connectors", n, "accept-loss"] => Self::AcceptLoss(name(n)),
            ["flow", "v1", "connectors", n, "signals"] => Self::Signals(name(n)),
            ["flow", "v1", "batches"] => Self::Batches,
            ["flow", "v1", "batches", id] => Self::Batch(name(id)),
            ["flow", "v1", "batches", id, "abort"] => Self::BatchAbort(name(id)),
            ["flow", "v1", "connectors", n, "errors"] => Self::Errors(name(n)),
            ["flow", "v1", "connectors", n, "errors", "replay"] => Self::ErrorsReplay(name(n)),
            ["flow", "v1", "connectors", n, "errors", "discard"] => Self::ErrorsDiscard(name(n)),
            ["flow", "v1", "connectors", n, "errors", "budget"] => Self::ErrorsBudget(name(n)),
            ["flow", "v1", "connectors", n, "errors", "budget", "reset"] => Self::ErrorsBudgetReset(name(n)),
            ["flow", "v1", "connectors", n, "errors", id] => Self::Error(name(n), name(id)),
            _ => return None,
        })
    }

    /// Its methods, HEAD and OPTIONS included.
    pub(crate) fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Root
            | Self::Health
            | Self::Metrics
            | Self::Status(_)
            | Self::TaskStatus(..)
            | Self::Topics(_)
            | Self::Plugins
            | Self::PluginConfig(_)
            | Self::Workers
            | Self::Worker(_)
            | Self::Pools
            | Self::Loggers
            | Self::FlowConnector(_)
            | Self::FlowAlerts
            | Self::FlowHooks
            | Self::FlowThrottle
            | Self::Batches
            | Self::Batch(_)
            | Self::FlowLag => &["HEAD", "GET", "OPTIONS"],
            Self::Errors(_) | Self::Error(..) | Self::ErrorsBudget(_) => &["HEAD", "GET", "OPTIONS"],
            Self::Connectors | Self::Tasks(_) | Self::FlowBreaker(_) | Self::AcceptLoss(_) => {
                &["HEAD", "POST", "GET", "OPTIONS"]
            }
            Self::Connector(_) => &["HEAD", "DELETE", "GET", "OPTIONS"],
            Self::Pool(_) => &["HEAD", "DELETE", "GET", "OPTIONS", "PUT"],
            Self::Config(_) => &["HEAD", "GET", "OPTIONS", "PUT", "PATCH"],
            Self::Restart(_)
            | Self::TaskRestart(..)
            | Self::Drain(_)
            | Self::Undrain(_)
            | Self::FlowAlertAck(_)
            | Self::FlowHookTest(_)
            | Self::ErrorsReplay(_)
            | Self::ErrorsDiscard(_)
            | Self::BatchAbort(_)
            | Self::ErrorsBudgetReset(_)
            | Self::Signals(_) => &["POST", "OPTIONS"],
            Self::Pause(_)
            | Self::Resume(_)
            | Self::Stop(_)
            | Self::TopicsReset(_)
            | Self::Fence(_)
            | Self::PluginValidate(_) => &["PUT", "OPTIONS"],
            Self::Offsets(_) => &["HEAD", "DELETE", "GET", "OPTIONS", "PATCH"],
            Self::Logger(_) => &["HEAD", "GET", "OPTIONS", "PUT"],
        }
    }

    /// The connector that it belongs to.
    pub(crate) fn connector(&self) -> Option<&str> {
        match self {
            Self::Connector(n)
            | Self::Config(n)
            | Self::Status(n)
            | Self::Restart(n)
            | Self::Pause(n)
            | Self::Resume(n)
            | Self::Stop(n)
            | Self::Tasks(n)
            | Self::TaskStatus(n, _)
            | Self::TaskRestart(n, _)
            | Self::Topics(n)
            | Self::TopicsReset(n)
            | Self::Offsets(n)
            | Self::Fence(n)
            | Self::FlowConnector(n)
            | Self::FlowBreaker(n) => Some(n),
            Self::Errors(n) | Self::Error(n, _) | Self::ErrorsReplay(n) | Self::ErrorsDiscard(n) => Some(n),
            Self::ErrorsBudget(n) | Self::ErrorsBudgetReset(n) | Self::Signals(n) | Self::AcceptLoss(n) => Some(n),
            Self::Root
            | Self::Health
            | Self::Metrics
            | Self::Connectors
            | Self::Plugins
            | Self::PluginConfig(_)
            | Self::PluginValidate(_)
            | Self::Workers
            | Self::Worker(_)
            | Self::Drain(_)
            | Self::Undrain(_)
            | Self::Pools
            | Self::Pool(_)
            | Self::Loggers
            | Self::Logger(_)
            | Self::FlowAlerts
            | Self::FlowAlertAck(_)
            | Self::FlowHooks
            | Self::FlowHookTest(_)
            | Self::FlowThrottle
            | Self::Batches
            | Self::Batch(_)
            | Self::BatchAbort(_)
            | Self::FlowLag => None,
        }
    }

    /// Whether it belongs to `/admin`.
    pub(crate) fn is_admin(&self) -> bool {
        matches!(self, Self::Loggers | Self::Logger(_))
    }

    /// Whether it is one of the two endpoints with which Java workers talk to each other: they have signatures of their own.
    pub(crate) fn is_internal(&self, method: &str) -> bool {
        match self {
            Self::Fence(_) => true,
            Self::Tasks(_) => method == "POST",
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Resource;
    use crate::path::segments;

    fn of(path: &str) -> Option<Resource> {
        Resource::of(&segments(path).unwrap())
    }

    #[test]
    fn paths_name_resources() {
        assert_eq!(of("/connectors/a%20b/status/"), Some(Resource::Status("a b".to_owned())));
        assert_eq!(of("/connectors/n/tasks/-1/status"), Some(Resource::TaskStatus("n".to_owned(), -1)));
        for unknown in [
            "/nope",
            "/admin",
            "/connectors/n/tasks/0",
            "/connectors/n/tasks/99999999999/status",
            "/connector-plugins/p",
            "/connectors/n/tasks/abc/status",
            "/connectors/n/tasks-config",
        ] {
            assert_eq!(of(unknown), None, "{unknown}");
        }
    }
}
