use super::*;
use crate::settings::Settings;
use serde_json::Value;

/// Recorded from Kafka Connect 4.3.
const RECORDED: &str = include_str!("../../tests/golden/worker-distributed.json");

/// What Apache ships as `connect-distributed.properties`, without its comments.
fn shipped() -> Properties {
    let text = "bootstrap.servers=localhost:9092\ngroup.id=connect-cluster\n\
        key.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter=org.apache.kafka.connect.json.JsonConverter\n\
        key.converter.schemas.enable=true\nvalue.converter.schemas.enable=true\n\
        offset.storage.topic=connect-offsets\noffset.storage.replication.factor=1\n\
        config.storage.topic=connect-configs\nconfig.storage.replication.factor=1\n\
        status.storage.topic=connect-status\nstatus.storage.replication.factor=1\noffset.flush.interval.ms=10000\n";
    Properties::from_properties_text(text).unwrap()
}

#[test]
fn the_shipped_file_starts_without_a_warning() {
    let config = WorkerConfig::read(&shipped()).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!(config.settings.group_id, "connect-cluster");
    assert_eq!(config.settings.offset_flush_interval.0, 10_000);
    assert_eq!(config.worker_id(), "127.0.0.1:8083");
    assert_eq!(config.converters.value("key.converter.schemas.enable"), Some("true"));
}

#[test]
fn every_recorded_key_is_known_and_typed_ones_keep_type_default_and_importance() {
    // Chosen differently on purpose: nothing is open to the network; the others learn of a failure within a second.
    let differ = ["listeners", "heartbeat.interval.ms"];
    let recorded: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    assert_eq!(recorded.len(), 133);
    for key in &recorded {
        let name = key["name"].as_str().unwrap();
        assert!(keys::known().any(|k| k == name), "{name} is not known");
        let Some(typed) = WorkerSettings::keys().iter().find(|k| k.name == name) else { continue };
        assert_eq!(key["required"], typed.required, "{name}");
        assert_eq!(key["importance"], typed.importance.name(), "{name}");
        if !differ.contains(&name) {
            assert_eq!(key["default"].as_str(), typed.default, "{name}");
        }
    }
}

#[test]
fn a_key_has_one_place() {
    let mut names: Vec<&str> = keys::known().collect();
    names.sort_unstable();
    let twice: Vec<_> = names.windows(2).filter(|w| w[0] == w[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn every_missing_key_is_reported_at_once() {
    let report = WorkerConfig::read(&Properties::default()).unwrap_err();
    let keys: Vec<&String> = report.errors.keys().collect();
    assert_eq!(
        keys,
        [
            "bootstrap.servers",
            "config.storage.topic",
            "group.id",
            "key.converter",
            "offset.storage.topic",
            "status.storage.topic",
            "value.converter"
        ]
    );
    assert_eq!(report.errors["group.id"], ["Missing required configuration \"group.id\" which has no default value."]);
}

#[test]
fn wrong_values_and_refused_settings_are_reported_together() {
    let wrong = shipped().with("group.id", "").with("listeners", "https://h:1").with("security.protocol", "SASL_SSL");
    let report = WorkerConfig::read(&wrong).unwrap_err();
    assert_eq!(report.errors.keys().collect::<Vec<_>>(), ["group.id", "sasl.mechanism", "ssl.keystore.location"]);
}

#[test]
fn unknown_keys_and_keys_without_effect_are_warned_about() {
    let config =
        WorkerConfig::read(&shipped().with("group.idd", "x").with("plugin.path", "/opt").with("zzz", "1")).unwrap();
    assert_eq!(
        config.warnings,
        [
            "group.idd is not a known worker key and has no effect; did you mean group.id?",
            "plugin.path is accepted and has no effect: plug-ins are compiled into the binary",
            "zzz is not a known worker key and has no effect",
        ]
    );
}

#[test]
fn client_keys_go_where_connect_sends_them() {
    let properties = shipped()
        .with("security.protocol", "SSL")
        .with("producer.linger.ms", "5")
        .with("consumer.max.poll.records", "7")
        .with("admin.retries", "3")
        .with("admin.listeners", "")
        .with("config.storage.min.insync.replicas", "2");
    let config = WorkerConfig::read(&properties).unwrap();
    assert_eq!(config.client, BTreeMap::from([("security.protocol".to_owned(), "SSL".to_owned())]));
    assert_eq!(config.producer, BTreeMap::from([("linger.ms".to_owned(), "5".to_owned())]));
    assert_eq!(config.consumer, BTreeMap::from([("max.poll.records".to_owned(), "7".to_owned())]));
    assert_eq!(config.admin.keys().collect::<Vec<_>>(), ["retries", "security.protocol"]);
    assert_eq!(config.settings.admin_listeners, Some(Vec::new()));
    assert_eq!(config.topic_settings["config"].keys().collect::<Vec<_>>(), ["min.insync.replicas"]);
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn what_would_drop_security_is_refused() {
    for (key, value) in [
        ("rest.extension.classes", "org.example.Guard"),
        ("connector.client.config.override.policy", "org.example.Strict"),
        ("connector.client.config.override.policy", "Allowlist"),
        ("ssl.truststore.location", "/etc/store.jks"),
        ("security.protocol", "SASL_SSL"),
        ("security.protocol", "PLAIN"),
        ("sasl.login.callback.handler.class", "org.example.Login"),
        ("status.storage.topic", "connect-configs"),
        ("exactly.once.source.support", "yes"),
        ("listeners", "https://:8443"),
        ("listeners", ""),
        ("config.providers", "vault"),
        ("producer.security.protocol", "SASL_PLAINTEXT"),
        ("worker.pool", "a/b"),
    ] {
        assert!(WorkerConfig::read(&shipped().with(key, value)).is_err(), "{key}={value}");
    }
}

#[test]
fn references_of_the_file_are_resolved_and_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.properties"), "group=secret-group").unwrap();
    let path = folder.path().display().to_string();
    let properties = shipped()
        .with("config.providers", "file")
        .with("config.providers.file.class", "FileConfigProvider")
        .with("config.providers.file.param.allowed.paths", path.as_str())
        .with("sasl.jaas.config", format!("${{file:{path}/s.properties:group}}"));
    let config = WorkerConfig::read(&properties).unwrap();
    assert_eq!(config.client.get("sasl.jaas.config").map(String::as_str), Some("secret-group"));
    assert!(!format!("{config:?}").contains("secret-group"));
    let wrong = properties.with("offset.flush.interval.ms", format!("${{file:{path}/s.properties:group}}"));
    let report = WorkerConfig::read(&wrong).unwrap_err();
    assert!(report.to_string().contains("${file:") && !report.to_string().contains("secret-group"), "{report}");
}

#[test]
fn java_names_of_override_policies_are_known() {
    let name = "org.apache.kafka.connect.connector.policy.PrincipalConnectorClientConfigOverridePolicy";
    assert_eq!(OverridePolicy::named(name), Some(OverridePolicy::Principal));
}
