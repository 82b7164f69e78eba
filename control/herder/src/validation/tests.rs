use super::*;
use crate::InternalTopic;
use crate::options::{ExactlyOnce, HerderOptions};
use crate::ports::{NoReferences, References};
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_api::context::{ConnectorContext, SinkContext, SourceContext};
use elasticflow_api::convert::Transform;
use elasticflow_api::data::Record;
use elasticflow_api::position::{Offset, TaskId, TopicPartition};
use elasticflow_api::registry::{Registry, TaskConfig};
use elasticflow_api::sink::{PublishKind, SinkConnector, SinkKind};
use elasticflow_api::source::{SourceBatch, SourceConnector, SourceTask};
use elasticflow_api::{ConnectorError, ErrorClass, RecordError, Result};
use elasticflow_config::{ConfigInfo, Settings, ValidationReport, settings};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

settings! {
    /// Of the source.
    struct LinesConfig {
        /// File.
        "file" => file: Option<String> { importance: High },
        /// Topic.
        "topic" => topic: String { importance: High },
        /// Records at once.
        "batch.size" => batch: i32 { default: "2000", importance: Low },
        /// Secret.
        "login.password" => password: Option<elasticflow_config::Secret> { group: "Login" },
    }
}

settings! {
    /// Of the transform.
    struct RouteConfig {
        /// What to look for.
        "regex" => regex: String { importance: High, valid: Validity::Check(|text| if text == "(" { Err("Invalid regex: open".to_owned()) } else { Ok(()) }) },
        /// What to put.
        "limit" => limit: i32 { default: "1" },
    }
}

struct Lines;

struct NoTask;

#[async_trait::async_trait]
impl SourceTask for NoTask {
    async fn start(&mut self, _: &SourceContext) -> Result<()> {
        Ok(())
    }
    async fn poll(&mut self, _: &SourceContext) -> Result<SourceBatch> {
        Ok(SourceBatch::default())
    }
    async fn stop(&mut self) {}
}

impl SourceConnector for Lines {
    const NAME: &'static str = "lines";
    type Config = LinesConfig;
    type Task = NoTask;
    fn guarantee(&self, config: &LinesConfig) -> Guarantee {
        let _ = (&config.batch, &config.password);
        if config.file.is_some() { Guarantee::ExactlyOnce } else { Guarantee::AtLeastOnce }
    }
    fn ends(&self, config: &LinesConfig) -> bool {
        config.file.is_some()
    }
    async fn validate(&self, config: &LinesConfig, _: &ConnectorContext) -> ValidationReport {
        let mut report = ValidationReport::default();
        match config.topic.as_str() {
            "hang" => std::future::pending().await,
            "odd" => report.error("", "the server is odd"),
            _ => {}
        }
        report
    }
    async fn plan(&self, _: &LinesConfig, _: usize, _: &ConnectorContext) -> Result<Vec<TaskConfig>> {
        Ok(Vec::new())
    }
    fn task(&self, _: &LinesConfig, _: TaskConfig) -> Result<NoTask> {
        Ok(NoTask)
    }
}

struct Printer;

impl SinkConnector for Printer {
    const NAME: &'static str = "printer";
    type Config = ();
    fn guarantee(&self, (): &()) -> Guarantee {
        Guarantee::AtLeastOnce
    }
    async fn validate(&self, (): &(), _: &ConnectorContext) -> ValidationReport {
        ValidationReport::default()
    }
    fn plan(&self, (): &(), _: usize) -> Result<Vec<TaskConfig>> {
        Ok(Vec::new())
    }
    fn task(&self, (): &(), _: TaskConfig) -> Result<SinkKind> {
        Err(ConnectorError { class: ErrorClass::Bug, code: "TEST-0001", message: "no task".to_owned(), source: None })
    }
    fn publishes(&self, (): &()) -> &'static [PublishKind] {
        &[PublishKind::Append]
    }
    async fn alter_offsets(&self, (): &(), _: &TaskId, _: &BTreeMap<TopicPartition, Option<Offset>>) -> Result<()> {
        Ok(())
    }
}

struct Route;

impl Transform for Route {
    fn apply(&self, record: Record) -> std::result::Result<Option<Record>, RecordError> {
        Ok(Some(record))
    }
}

fn route(properties: &Properties) -> Result<Arc<dyn Transform>> {
    match properties.value("regex") {
        Some("late") => Err(ConnectorError {
            class: ErrorClass::Config,
            code: "TEST-0002",
            message: "Invalid value late for configuration regex: found late".to_owned(),
            source: None,
        }),
        _ => Ok(Arc::new(Route)),
    }
}

struct StoppedClock;

impl Clock for StoppedClock {
    fn wall_ms(&self) -> i64 {
        0
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, _: Duration) -> Boxed<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    let mut entries = elasticflow_formats::plugins();
    let entry =
        |class, aliases, keys, plugin| PluginEntry { class, aliases, version: "4.3.0", keys, remarks: "", plugin };
    entries.push(entry("org.x.LinesSourceConnector", &["lines"], LinesConfig::keys(), Plugin::Source(Arc::new(Lines))));
    entries.push(entry("org.x.PrinterSinkConnector", &["printer"], &[], Plugin::Sink(Arc::new(Printer))));
    entries.push(entry("org.x.Route$Key", &[], RouteConfig::keys(), Plugin::Transform(route)));
    entries.push(entry("org.x.Route$Value", &[], RouteConfig::keys(), Plugin::Transform(route)));
    for entry in entries {
        registry.add(entry).unwrap();
    }
    registry
}

fn topic(name: &str) -> InternalTopic {
    InternalTopic { name: name.to_owned(), partitions: 1, replication: None, configs: BTreeMap::new() }
}

fn worker(exactly_once: ExactlyOnce, policy: &str) -> WorkerContext {
    let json = "org.apache.kafka.connect.json.JsonConverter";
    let worker = Properties::from_iter([("key.converter", json), ("value.converter", json)])
        .with("connector.client.config.override.policy", policy)
        .with("connector.client.config.override.allowlist", "linger.ms");
    let options = HerderOptions {
        group_id: Arc::from("connect-workers"),
        worker_id: "h:1".to_owned(),
        url: "http://127.0.0.1:8083".to_owned(),
        connect_version: "4.3.0".to_owned(),
        commit: String::new(),
        config_topic: topic("c"),
        offset_topic: topic("o"),
        status_topic: topic("s"),
        exactly_once,
        topic_tracking: true,
        topic_tracking_reset: true,
        redact_secrets: true,
        request_timeout: Duration::from_secs(1),
        connector_timeout: Duration::from_millis(20),
        plans_inline: false,
        worker,
    };
    let references: Arc<dyn References> = Arc::new(NoReferences);
    WorkerContext { options, registry: Arc::new(registry()), references, clock: Arc::new(StoppedClock) }
}

fn source() -> Properties {
    Properties::from_iter([("name", "n"), ("connector.class", "LinesSource"), ("topic", "t")])
}

fn sink() -> Properties {
    Properties::from_iter([("name", "n"), ("connector.class", "printer"), ("topics", "a")])
}

async fn infos_of(config: &Properties) -> ConfigInfos {
    validate(config, &BTreeSet::new(), &worker(ExactlyOnce::Disabled, "All")).await.unwrap()
}

async fn errors_of(config: &Properties) -> Vec<String> {
    infos_of(config).await.errors().map(|(k, m)| format!("{k}| {m}")).collect()
}

fn entry<'a>(infos: &'a ConfigInfos, key: &str) -> &'a ConfigInfo {
    infos.configs.iter().find(|c| c.value.name == key).unwrap()
}

#[tokio::test]
async fn every_error_of_every_part_is_reported_at_once_in_connects_order() {
    let config = Properties::from_iter([("name", "n"), ("connector.class", "lines"), ("batch.size", "y")])
        .with("tasks.max", "x")
        .with("errors.tolerance", "some")
        .with("transforms", "a")
        .with("transforms.a.type", "Route$Key")
        .with("transforms.a.limit", "z")
        .with("value.converter", "Json")
        .with("value.converter.schemas.enable", "maybe");
    assert_eq!(
        errors_of(&config).await,
        [
            "tasks.max| Invalid value x for configuration tasks.max: Not a number of type INT",
            "tasks.max| Invalid value null for configuration tasks.max: Value must be non-null",
            "errors.tolerance| Invalid value some for configuration errors.tolerance: String must be one of: none, all",
            "transforms.a.regex| Missing required configuration \"transforms.a.regex\" which has no default value.",
            "transforms.a.limit| Invalid value z for configuration transforms.a.limit: Not a number of type INT",
            "topic| Missing required configuration \"topic\" which has no default value.",
            "batch.size| Invalid value y for configuration batch.size: Not a number of type INT",
            "value.converter.schemas.enable| Invalid value maybe for configuration schemas.enable: Expected value to be either true or false",
        ]
    );
}

#[tokio::test]
async fn an_unknown_class_names_the_nearest_known_one() {
    let error = validate(
        &source().with("connector.class", "LinesSuorceConnector"),
        &BTreeSet::new(),
        &worker(ExactlyOnce::Disabled, "All"),
    )
    .await
    .unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("Failed to find any class that implements Connector and which name matches LinesSuorceConnector, available connectors are: org.x.LinesSourceConnector"), "{text}");
    assert!(text.ends_with("Did you mean org.x.LinesSourceConnector?"), "{text}");
}

#[tokio::test]
async fn a_missing_class_shows_the_configuration_without_secrets() {
    let config = Properties::from_iter([("name", "n"), ("producer.override.sasl.jaas.config", "hunter2")]);
    let error = validate(&config, &BTreeSet::new(), &worker(ExactlyOnce::Disabled, "All")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Connector config {name=n, producer.override.sasl.jaas.config=[hidden]} contains no connector type"
    );
}

#[tokio::test]
async fn unknown_options_are_warned_about_with_the_nearest_name() {
    let infos = infos_of(&source().with("bach.size", "1").with("key.converter.schemas.enable", "true")).await;
    let warnings: Vec<String> =
        infos.elasticflow.warnings.iter().map(|w| format!("{}: {}", w.key, w.message)).collect();
    assert_eq!(
        warnings,
        [
            "bach.size: not a known option of this connector, without effect; did you mean batch.size?",
            "key.converter.schemas.enable: without effect, since key.converter is not set and the worker's converter has the worker's options",
        ]
    );
    assert_eq!(infos.error_count, 0);
}

#[tokio::test]
async fn keys_of_elastic_flow_are_listed_only_for_whoever_uses_one() {
    let infos = infos_of(&source()).await;
    assert!(infos.configs.iter().all(|entry| !entry.value.name.starts_with("flow.")));
    let infos = infos_of(&source().with("flow.rate.records", " 500 ")).await;
    assert_eq!(infos.error_count, 0);
    assert_eq!(entry(&infos, "flow.rate.records").value.value.as_deref(), Some("500"));
    assert_eq!(entry(&infos, "flow.rate.bytes").value.value.as_deref(), Some("-1"));
    assert!(infos.elasticflow.warnings.is_empty(), "they have an effect");
    let budget = source().with("flow.errors.budget.records", "5").with("errors.tolerance", "all");
    assert_eq!(infos_of(&budget).await.error_count, 0);
}

#[tokio::test]
async fn a_key_of_elastic_flow_that_would_be_ignored_is_refused_with_the_nearest_name() {
    for (key, value, wanted) in [
        ("flow.rate.record", "5", "did you mean flow.rate.records?"),
        ("flow.run.done", "read", "not supported by this version"),
        ("flow.batch.foreign", "stage", "not supported by this version"),
        ("flow.rate.records", "0", "Value must be -1 for no limit"),
        ("flow.rate.burst.ms", "1", "Value must be at least 50"),
        ("flow.quota.record", "5", "did you mean flow.quota.records?"),
        ("flow.quota.records", "0", "Value must be -1 for no quota"),
        ("flow.time.zone", "Mars", "Not the IANA name of a time zone"),
        ("flow.priority", "${env:PRIORITY}", "cannot be a reference"),
        ("flow.breaker.ratio", "2", "Value must be no more than 1"),
        ("flow.errors.budget.records", "5", "needs errors.tolerance=all"),
        ("flow.errors.budget.ratio", "0.1", "needs errors.tolerance=all"),
        ("flow.errors.budget.action", "stop", "fail, pause"),
    ] {
        let infos = infos_of(&source().with(key, value)).await;
        let errors: Vec<String> = infos.errors().map(|(key, text)| format!("{key}: {text}")).collect();
        assert!(errors.len() == 1 && errors[0].contains(wanted), "{key}={value}: {errors:?}");
        assert!(refusal(&infos).is_some());
    }
}

#[tokio::test]
async fn values_are_shown_in_the_form_of_their_type_and_secrets_hidden() {
    let config = source().with("tasks.max", " 2 ").with("login.password", "hunter2").with("key.converter", "String");
    let infos = infos_of(&config).await;
    let value = |key: &str| entry(&infos, key).value.value.clone().unwrap_or_default();
    assert_eq!(value("tasks.max"), "2");
    assert_eq!(value("login.password"), "[hidden]");
    assert_eq!(value("connector.class"), "LinesSource");
    assert_eq!(value("key.converter"), "org.apache.kafka.connect.storage.StringConverter");
    assert_eq!(value("value.converter"), "org.apache.kafka.connect.json.JsonConverter");
    assert_eq!(value("key.converter.converter.type"), "key");
    assert_eq!(infos.groups.last().map(String::as_str), Some("Login"));
}

#[tokio::test]
async fn a_resolved_secret_is_in_no_value_and_no_message() {
    let worker_props =
        Properties::from_iter([("config.providers", "env"), ("config.providers.env.class", "EnvVarConfigProvider")]);
    let resolver = elasticflow_config::Resolver::from_worker(&worker_props).unwrap();
    let resolver = resolver.with_env(Arc::new(|_| Some("hunter2".to_owned())));
    let cx = WorkerContext { references: Arc::new(resolver), ..worker(ExactlyOnce::Disabled, "All") };
    let config = source().with("batch.size", "${env:SECRET}").with("topic", "${env:SECRET}");
    let infos = validate(&config, &BTreeSet::new(), &cx).await.unwrap();
    let text = serde_json::to_string(&infos).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(entry(&infos, "topic").value.value.as_deref(), Some("${env:SECRET}"));
    assert_eq!(
        entry(&infos, "batch.size").value.errors,
        ["Invalid value ${env:SECRET} for configuration batch.size: Not a number of type INT"]
    );
}

#[tokio::test]
async fn topics_of_a_sink_are_checked_against_each_other() {
    let without = |key: &str| {
        let mut config = sink();
        config.0.remove(key);
        config
    };
    for (config, expected) in [
        (
            without("topics"),
            vec![
                "topics| Must configure one of topics or topics.regex",
                "topics.regex| Must configure one of topics or topics.regex",
            ],
        ),
        (
            sink().with("topics.regex", "b"),
            vec![
                "topics| topics and topics.regex are mutually exclusive options, but both are set.",
                "topics.regex| topics and topics.regex are mutually exclusive options, but both are set.",
            ],
        ),
        (sink().with("topics", "a, b,a"), vec!["topics| Configuration 'topics' values must not be duplicated."]),
        (
            sink().with("errors.deadletterqueue.topic.name", "a"),
            vec![
                "topics| The DLQ topic 'a' may not be included in the list of topics ('topics=[a]') consumed by the connector",
            ],
        ),
        (
            without("topics").with("topics.regex", "a.*").with("errors.deadletterqueue.topic.name", "abc"),
            vec![
                "topics.regex| The DLQ topic 'abc' may not be matched by the regex for the topics ('topics.regex=a.*') consumed by the connector",
            ],
        ),
        (
            sink().with("name", "workers"),
            vec![
                "name| Consumer group for sink connector named workers conflicts with Connect worker group connect-workers",
            ],
        ),
        (
            sink().with("consumer.override.group.id", "connect-workers"),
            vec![
                "consumer.override.group.id| Consumer group connect-workers conflicts with Connect worker group connect-workers",
            ],
        ),
    ] {
        assert_eq!(errors_of(&config).await, expected);
    }
}

#[tokio::test]
async fn classes_of_transforms_are_checked() {
    let with = |class: &str| source().with("transforms", "a").with("transforms.a.type", class);
    for (class, expected) in [
        (
            "Nope",
            "transforms.a.type| Invalid value Nope for configuration transforms.a.type: Class Nope could not be found.",
        ),
        (
            "org.x.Route",
            "transforms.a.type| This class is abstract and cannot be created. Did you mean org.x.Route$Key, org.x.Route$Value?",
        ),
        (
            "lines",
            "transforms.a.type| Class class org.x.LinesSourceConnector does not implement the Transformation interface",
        ),
    ] {
        assert_eq!(errors_of(&with(class)).await, [expected]);
    }
    let routed = |key: &str, value: &str| with("org.x.Route$Value").with("transforms.a.regex", "x").with(key, value);
    for (key, value, expected) in [
        ("transforms.a.regex", "(", "transforms.a.regex| Invalid value ( for configuration regex: Invalid regex: open"),
        ("transforms.a.regex", "late", "transforms.a.regex| Invalid value late for configuration regex: found late"),
        (
            "transforms.a.negate",
            "true",
            "transforms.a.type| Config 'transforms.a.negate' was provided but there is no config 'transforms.a.predicate' defining a predicate to be negated.",
        ),
        (
            "transforms.a.predicate",
            "p",
            "transforms.a.predicate| Invalid value p for configuration transforms.a.predicate: predicates does not list it",
        ),
        (
            "transforms",
            "a,a",
            "transforms| Invalid value [a, a] for configuration transforms: Duplicate alias provided.",
        ),
    ] {
        assert_eq!(errors_of(&routed(key, value)).await, [expected]);
    }
}

#[tokio::test]
async fn exactly_once_needs_the_worker_and_the_connector() {
    let required = source().with("exactly.once.support", "REQUIRED");
    let count = async |config: &Properties, mode| {
        validate(config, &BTreeSet::new(), &worker(mode, "All")).await.unwrap().error_count
    };
    assert_eq!(count(&required, ExactlyOnce::Disabled).await, 2);
    assert_eq!(count(&required, ExactlyOnce::Enabled).await, 1);
    let with_file = required.with("file", "f");
    assert_eq!(count(&with_file, ExactlyOnce::Enabled).await, 0);
    for (mode, guarantee) in [(ExactlyOnce::Enabled, "exactly-once"), (ExactlyOnce::Preparing, "at-least-once")] {
        let infos = validate(&with_file, &BTreeSet::new(), &worker(mode, "All")).await.unwrap();
        assert_eq!(infos.elasticflow.guarantee, Some(guarantee));
    }
    assert_eq!(count(&source().with("transaction.boundary", "Connector"), ExactlyOnce::Enabled).await, 1);
}

#[tokio::test]
async fn a_sink_is_refused_a_guarantee_that_it_cannot_give() {
    let asked = |guarantee: &str| sink().with("delivery.guarantee", guarantee);
    assert!(errors_of(&asked("at-least-once")).await.is_empty());
    let refused = errors_of(&asked("exactly-once")).await;
    assert_eq!(refused.len(), 1);
    assert!(refused[0].starts_with("delivery.guarantee| the connector does not give exactly-once"), "{refused:?}");
    assert!(errors_of(&asked("sometimes")).await[0].contains("is not exactly-once or at-least-once"));
    let infos = infos_of(&asked("at-least-once").with("batch.max.records", "5")).await;
    assert!(infos.elasticflow.warnings.is_empty(), "keys of the loops have an effect");
}

#[tokio::test]
async fn batches_are_refused_where_a_source_or_a_sink_cannot_make_them() {
    let wrong = async |config: &Properties, mode| {
        let infos = validate(config, &BTreeSet::new(), &worker(mode, "All")).await.unwrap();
        infos.errors().map(|(key, text)| format!("{key}: {text}")).collect::<Vec<_>>().join("; ")
    };
    let run = source().with("file", "f").with("flow.batch.mode", "run");
    assert_eq!(wrong(&run, ExactlyOnce::Enabled).await, "");
    for (config, mode, reason) in [
        (run.clone(), ExactlyOnce::Disabled, "exactly.once.source.support=enabled"),
        (run.clone().with("tasks.max", "2"), ExactlyOnce::Enabled, "tasks.max=1"),
        (source().with("flow.batch.mode", "run"), ExactlyOnce::Enabled, "comes to an end"),
        (source().with("flow.batch.kind", "append"), ExactlyOnce::Enabled, "needs flow.batch.mode=run"),
        (source().with("flow.batch.publish", "atomic"), ExactlyOnce::Enabled, "flow.batch.publish is for sinks"),
        (sink().with("flow.batch.kind", "append"), ExactlyOnce::Enabled, "needs flow.batch.publish=atomic"),
        (sink().with("flow.batch.mode", "run"), ExactlyOnce::Enabled, "flow.batch.mode is for sources"),
        (source().with("flow.batch.markers", "true"), ExactlyOnce::Enabled, "needs flow.batch.mode=run"),
        (sink().with("flow.batch.markers", "true"), ExactlyOnce::Enabled, "flow.batch.markers is for sources"),
        (sink().with("flow.batch.keep", "2"), ExactlyOnce::Enabled, "needs flow.batch.publish=atomic"),
        (run.clone().with("flow.batch.keep", "2"), ExactlyOnce::Enabled, "flow.batch.keep is for sinks"),
    ] {
        let found = wrong(&config, mode).await;
        assert!(found.contains(reason), "{reason}: {found}");
    }
    assert_eq!(wrong(&run.with("flow.batch.markers", "true"), ExactlyOnce::Enabled).await, "");
    let atomic = sink().with("flow.batch.publish", "atomic");
    assert_eq!(wrong(&atomic.clone().with("flow.batch.keep", "30"), ExactlyOnce::Enabled).await, "");
    let found = wrong(&atomic.clone().with("flow.batch.keep", "31"), ExactlyOnce::Enabled).await;
    assert!(found.contains("flow.batch.keep"), "{found}");
    assert_eq!(wrong(&atomic.clone().with("flow.batch.kind", "append"), ExactlyOnce::Enabled).await, "");
    let found = wrong(&atomic.clone().with("flow.batch.kind", "replace"), ExactlyOnce::Enabled).await;
    assert!(found.contains("BATCH_NOT_ATOMIC") && found.contains("it can append"), "{found}");
    let found = wrong(&atomic.with("consumer.override.auto.offset.reset", "latest"), ExactlyOnce::Enabled).await;
    assert!(found.contains("reads batches from their beginning"), "{found}");
}

#[tokio::test]
async fn client_overrides_follow_the_policy() {
    let config = sink().with("consumer.override.max.poll.records", "5").with("producer.override.linger.ms", "x");
    for (policy, errors) in [("All", 0), ("None", 1), ("Principal", 1), ("Allowlist", 1)] {
        let infos = validate(&config, &BTreeSet::new(), &worker(ExactlyOnce::Disabled, policy)).await.unwrap();
        assert_eq!(infos.error_count, errors, "{policy}");
        let listed: Vec<&str> =
            infos.configs.iter().map(|c| c.value.name.as_str()).filter(|n| n.contains(".override.")).collect();
        assert_eq!(listed, ["consumer.override.max.poll.records"], "a sink without dead letters has no producer");
    }
}

#[tokio::test]
async fn topic_creation_is_checked_before_the_connector_starts() {
    let config = source().with("topic.creation.groups", "g").with("topic.creation.default.partitions", "0");
    assert_eq!(infos_of(&config).await.error_count, 3);
}

#[tokio::test]
async fn a_version_that_does_not_fit_leaves_the_common_keys() {
    let infos = infos_of(&source().with("connector.plugin.version", "99")).await;
    assert_eq!((infos.error_count, infos.configs.len()), (2, 19));
}

#[tokio::test]
async fn null_values_are_refused_with_one_message_each() {
    let nulls = BTreeSet::from(["topic".to_owned(), "x".to_owned()]);
    let mut config = source();
    config.0.remove("topic");
    let error = refuse_nulls("n", config, &nulls, &worker(ExactlyOnce::Disabled, "All")).await;
    let HerderError::Invalid { errors, .. } = error else { panic!("{error:?}") };
    let keys: Vec<&str> = errors.iter().map(|(k, _)| k.as_str()).collect();
    assert_eq!(keys, ["topic", "x"]);
    assert!(errors.iter().all(|(_, m)| m == "Null value can not be supplied as the configuration value."));
}

#[tokio::test]
async fn a_connector_that_hangs_is_given_up_and_one_that_complains_is_heard() {
    let cx = worker(ExactlyOnce::Disabled, "All");
    let hung = validate(&source().with("topic", "hang"), &BTreeSet::new(), &cx).await.unwrap_err();
    assert_eq!(
        hung,
        HerderError::Timeout(
            "Request timed out. The worker is currently performing multi-property validation for the connector, which began at 1970-01-01T00:00:00.000Z"
                .to_owned()
        )
    );
    assert_eq!(errors_of(&source().with("topic", "odd")).await, ["connector.class| the server is odd"]);
}

#[test]
fn a_path_fits_a_class_as_connect_compares_them_or_by_an_own_name() {
    let registry = registry();
    for (class, path, fits) in [
        ("org.x.LinesSourceConnector", "LinesSource", true),
        ("LinesSource", "LinesSourceConnector", true),
        ("LinesSource", "LinesSink", false),
        ("LinesSource", "org.x.LinesSourceConnector", false),
        ("org.x.LinesSourceConnector", "lines", true),
        ("lines", "org.x.LinesSourceConnector", true),
        ("printer", "lines", false),
    ] {
        assert_eq!(included_type_matches(&registry, class, path), fits, "{class} {path}");
    }
}

#[test]
fn unused_test_parts_are_there_for_the_traits() {
    let _ = |c: RouteConfig, _: SinkContext| (c.regex, c.limit);
}
