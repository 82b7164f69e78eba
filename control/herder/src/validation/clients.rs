//! Overrides of Kafka clients: `producer.override.*`, `consumer.override.*`, `admin.override.*`.
use super::Input;
use super::report::Report;
use elasticflow_config::check::{Checked, normal_form};
use elasticflow_config::worker::OverridePolicy;
use elasticflow_config::{KeyInfo, KeyType, Secret};
use serde::Deserialize;
use std::sync::LazyLock;

/// A key of a Kafka client, as Kafka defines it.
#[derive(Deserialize)]
struct ClientKey {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    required: bool,
    default: Option<String>,
    importance: String,
}

/// Prefix of the overrides of one client, and its keys.
type Client = (&'static str, fn() -> &'static [ClientKey]);

macro_rules! client_keys {
    ($name:ident, $file:literal) => {
        fn $name() -> &'static [ClientKey] {
            // The files are part of the build and read by a test.
            static KEYS: LazyLock<Vec<ClientKey>> =
                LazyLock::new(|| serde_json::from_str(include_str!($file)).unwrap_or_default());
            &KEYS
        }
    };
}

client_keys!(producer, "clients/producer.json");
client_keys!(consumer, "clients/consumer.json");
client_keys!(admin, "clients/admin.json");

const PRODUCER: Client = ("producer.override.", producer);
const CONSUMER: Client = ("consumer.override.", consumer);
const ADMIN: Client = ("admin.override.", admin);

/// What the policy `Principal` allows.
const PRINCIPAL: [&str; 3] = ["sasl.jaas.config", "sasl.mechanism", "security.protocol"];

/// Lists the overrides of the clients that the connector uses, and asks the worker's policy.
pub(super) fn check(input: &Input<'_>, report: &mut Report) {
    let text = |key: &str| input.resolved.value(key).unwrap_or("").trim();
    let dead_letters = !text("errors.deadletterqueue.topic.name").is_empty();
    let creates = input.resolved.0.keys().any(|k| k.starts_with("topic.creation."));
    let used: &[Client] = match (input.is_source(), creates, dead_letters) {
        (true, true, _) => &[PRODUCER, ADMIN],
        (true, false, _) => &[PRODUCER],
        (false, _, true) => &[CONSUMER, PRODUCER, ADMIN],
        (false, _, false) => &[CONSUMER],
    };
    for (prefix, keys) in used {
        for (key, value) in &input.resolved.0 {
            let Some(name) = key.strip_prefix(prefix) else { continue };
            if let Some(def) = keys().iter().find(|k| k.name == name) {
                list(def, key, value, report);
            }
            if let Some(message) = denied(name, input) {
                report.error(key, message);
            }
        }
    }
}

fn list(def: &ClientKey, key: &str, value: &str, report: &mut Report) {
    let kind = kind_of(&def.kind);
    let info = KeyInfo {
        name: key.to_owned(),
        kind: kind.name(),
        required: def.required,
        default_value: def.default.clone(),
        importance: match def.importance.as_str() {
            "HIGH" => "HIGH",
            "LOW" => "LOW",
            _ => "MEDIUM",
        },
        documentation: format!("Overrides {} of Kafka's client.", def.name),
        group: None,
        order: -1,
        order_in_group: -1,
        width: "NONE",
        display_name: def.name.clone(),
        dependents: Vec::new(),
    };
    let shown = match kind {
        KeyType::Password => Secret::HIDDEN.to_owned(),
        kind => normal_form(kind, value).unwrap_or_else(|_| value.trim().to_owned()),
    };
    report.add(info, Checked { value: Some(shown), errors: Vec::new() }, Vec::new());
}

fn denied(name: &str, input: &Input<'_>) -> Option<String> {
    let worker = &input.cx.options.worker;
    let text = worker.value("connector.client.config.override.policy").unwrap_or("All");
    // A policy that is not known was refused when the worker started.
    let policy = OverridePolicy::named(text).unwrap_or(OverridePolicy::None);
    let allowed = match policy {
        OverridePolicy::All => true,
        OverridePolicy::None => false,
        OverridePolicy::Principal => PRINCIPAL.contains(&name),
        OverridePolicy::Allowlist => {
            let allowlist = worker.value("connector.client.config.override.allowlist").unwrap_or("");
            elasticflow_config::check::list(allowlist).contains(&name)
        }
    };
    let policy = policy.name();
    (!allowed).then(|| {
        format!("The '{policy}' policy does not allow '{name}' to be overridden in the connector configuration.")
    })
}

fn kind_of(name: &str) -> KeyType {
    match name {
        "BOOLEAN" => KeyType::Boolean,
        "INT" => KeyType::Int,
        "SHORT" => KeyType::Short,
        "LONG" => KeyType::Long,
        "DOUBLE" => KeyType::Double,
        "LIST" => KeyType::List,
        "CLASS" => KeyType::Class,
        "PASSWORD" => KeyType::Password,
        _ => KeyType::String,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definitions_of_every_client_are_read() {
        for (keys, count) in [(super::producer(), 113), (super::consumer(), 115), (super::admin(), 91)] {
            assert_eq!(keys.len(), count);
        }
    }
}
