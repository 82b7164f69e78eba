//! `docs/openapi.json` describes every resource with its methods, and nothing else.
use crate::path::segments;
use crate::resource::Resource;
use serde_json::Value;
use std::collections::BTreeSet;

const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

/// The path of a resource in the document; a new resource must be given one here.
fn template(resource: &Resource) -> &'static str {
    match resource {
        Resource::Root => "/",
        Resource::Health => "/health",
        Resource::Metrics => "/metrics",
        Resource::Connectors => "/connectors",
        Resource::Connector(_) => "/connectors/{name}",
        Resource::Config(_) => "/connectors/{name}/config",
        Resource::Status(_) => "/connectors/{name}/status",
        Resource::Restart(_) => "/connectors/{name}/restart",
        Resource::Pause(_) => "/connectors/{name}/pause",
        Resource::Resume(_) => "/connectors/{name}/resume",
        Resource::Stop(_) => "/connectors/{name}/stop",
        Resource::Tasks(_) => "/connectors/{name}/tasks",
        Resource::TaskStatus(..) => "/connectors/{name}/tasks/{task}/status",
        Resource::TaskRestart(..) => "/connectors/{name}/tasks/{task}/restart",
        Resource::Topics(_) => "/connectors/{name}/topics",
        Resource::TopicsReset(_) => "/connectors/{name}/topics/reset",
        Resource::Offsets(_) => "/connectors/{name}/offsets",
        Resource::Fence(_) => "/connectors/{name}/fence",
        Resource::Plugins => "/connector-plugins",
        Resource::PluginConfig(_) => "/connector-plugins/{plugin}/config",
        Resource::PluginValidate(_) => "/connector-plugins/{plugin}/config/validate",
        Resource::Loggers => "/admin/loggers",
        Resource::Logger(_) => "/admin/loggers/{logger}",
        Resource::Workers => "/flow/v1/workers",
        Resource::Worker(_) => "/flow/v1/workers/{worker}",
        Resource::Drain(_) => "/flow/v1/workers/{worker}/drain",
        Resource::Undrain(_) => "/flow/v1/workers/{worker}/undrain",
        Resource::Pools => "/flow/v1/pools",
        Resource::Pool(_) => "/flow/v1/pools/{pool}",
        Resource::FlowConnector(_) => "/flow/v1/connectors/{name}",
        Resource::FlowBreaker(_) => "/flow/v1/connectors/{name}/breaker",
        Resource::FlowAlerts => "/flow/v1/alerts",
        Resource::FlowAlertAck(_) => "/flow/v1/alerts/{alert}/ack",
        Resource::FlowHooks => "/flow/v1/hooks",
        Resource::FlowHookTest(_) => "/flow/v1/hooks/{hook}/test",
        Resource::FlowThrottle => "/flow/v1/throttle",
        Resource::FlowLag => "/flow/v1/lag/groups",
        Resource::Batches => "/flow/v1/batches",
        Resource::BatchAbort(_) => "/flow/v1/batches/{id}/abort",
        Resource::Batch(_) => "/flow/v1/batches/{id}",
        Resource::Errors(_) => "/flow/v1/connectors/{name}/errors",
        Resource::Error(..) => "/flow/v1/connectors/{name}/errors/{id}",
        Resource::ErrorsReplay(_) => "/flow/v1/connectors/{name}/errors/replay",
        Resource::ErrorsDiscard(_) => "/flow/v1/connectors/{name}/errors/discard",
        Resource::ErrorsBudget(_) => "/flow/v1/connectors/{name}/errors/budget",
        Resource::AcceptLoss(_) => "/flow/v1/connectors/{name}/accept-loss",
        Resource::Signals(_) => "/flow/v1/connectors/{name}/signals",
        Resource::ErrorsBudgetReset(_) => "/flow/v1/connectors/{name}/errors/budget/reset",
    }
}

/// How many resources there are, from the arms above.
const RESOURCES: usize = 48;

#[test]
fn the_document_describes_every_resource_with_its_methods() {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), RESOURCES);
    for (path, operations) in paths {
        let sample = path.replace("{task}", "0").replace(['{', '}'], "");
        let resource = Resource::of(&segments(&sample).unwrap()).unwrap_or_else(|| panic!("{path} is not served"));
        assert_eq!(template(&resource), path);
        let described: BTreeSet<String> = operations.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect();
        let served = resource.methods().iter().filter(|m| !["HEAD", "OPTIONS"].contains(m));
        assert_eq!(described, served.map(|m| (*m).to_owned()).collect(), "{path}");
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

fn collect(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            into.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect(member, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        _ => {}
    }
}
