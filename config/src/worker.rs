//! Settings of a worker: Kafka Connect's distributed keys under their names, and a few of this product's own.
//!
//! A `connect-distributed.properties` is taken as it is. Every key of Connect does something, or is listed in
//! [`keys::WITHOUT_EFFECT`] and warned about; a key that nobody knows is warned about with the nearest known name.
//! What would change data or drop security when ignored is an error.
use crate::properties::Properties;
use crate::reference::{Resolved, Resolver};
use crate::report::ValidationReport;
use crate::settings::parse;
use std::collections::BTreeMap;

mod checks;
pub mod keys;
mod listener;
mod settings;

pub use listener::{Listener, ListenerError};
pub use settings::{ExactlyOnceSourceSupport, OverridePolicy, WorkerSettings};

/// Everything a worker is told by its configuration file.
#[derive(Clone)]
pub struct WorkerConfig {
    /// Typed settings.
    pub settings: WorkerSettings,
    /// Where the REST endpoint listens.
    pub listeners: Vec<Listener>,
    /// Unprefixed client keys: for the worker's own producer, consumer and admin client.
    pub client: BTreeMap<String, String>,
    /// `producer.*`, the prefix taken off: for the producers of tasks.
    pub producer: BTreeMap<String, String>,
    /// `consumer.*`, the prefix taken off: for the consumers of tasks.
    pub consumer: BTreeMap<String, String>,
    /// `admin.*`, the prefix taken off, over the unprefixed client keys: for the admin clients of tasks.
    pub admin: BTreeMap<String, String>,
    /// `ssl.*` for https listeners, `listeners.https.ssl.*` over them, that prefix taken off.
    pub rest_tls: BTreeMap<String, String>,
    /// Settings of the internal topics beyond name, partitions and replication, by `config`, `offset`, `status`.
    pub topic_settings: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// Converter settings: every key that begins with `key.converter`, `value.converter` or `header.converter`.
    pub converters: Properties,
    /// Defaults of the `flow.` keys of connectors, with the prefix that they have here.
    pub flow_defaults: Properties,
    /// Resolves references of connector configurations.
    pub resolver: Resolver,
    /// What to log once at start.
    pub warnings: Vec<String>,
}

impl WorkerConfig {
    /// Reads a worker's properties; references in them are resolved first.
    ///
    /// # Errors
    /// Every problem, by key.
    pub fn read(properties: &Properties) -> Result<Self, ValidationReport> {
        let posted = properties;
        let (resolver, resolved) = resolve(properties)?;
        let properties = &resolved.properties;
        let mut report = ValidationReport::default();
        let parsed = parse::<WorkerSettings>(properties).map_err(|r| report.merge(r)).ok();
        // Also when other keys are wrong, so that every problem is reported at once.
        let urls = properties.value("listeners").unwrap_or(settings::LISTENERS);
        let listeners = checks::listeners(urls, &mut report);
        checks::https(properties, &listeners, &mut report);
        checks::refused(properties, &mut report);
        let warnings = checks::warnings(properties, &resolver);
        match parsed {
            Some(settings) if report.is_ok() => {
                Ok(Self::assemble(properties, settings, listeners, (resolver, warnings)))
            }
            _ => Err(hidden(report, &resolved, posted)),
        }
    }

    fn assemble(
        properties: &Properties,
        settings: WorkerSettings,
        listeners: Vec<Listener>,
        (resolver, warnings): (Resolver, Vec<String>),
    ) -> Self {
        let client = chosen(properties, keys::is_client_key);
        let mut admin = client.clone();
        admin.extend(properties.below("admin.").0);
        // `admin.listeners` belongs to REST.
        admin.remove("listeners");
        Self {
            listeners,
            producer: properties.below("producer.").0,
            consumer: properties.below("consumer.").0,
            admin,
            client,
            rest_tls: rest_tls(properties),
            topic_settings: ["config", "offset", "status"].map(|t| (t, topic_settings(properties, t))).into(),
            converters: Properties(chosen(properties, keys::is_converter_key)),
            flow_defaults: Properties(chosen(properties, |key| key.starts_with(crate::flow::DEFAULTS))),
            settings,
            resolver,
            warnings,
        }
    }

    /// Where other workers call this one.
    pub fn advertised_url(&self) -> String {
        let scheme = self.advertised_listener().map_or("http", Listener::scheme);
        format!("{scheme}://{}", self.worker_id())
    }

    fn advertised_listener(&self) -> Option<&Listener> {
        let wanted = self.settings.rest_advertised_listener.as_deref();
        let by_scheme = self.listeners.iter().find(|l| wanted.is_some_and(|w| l.scheme().eq_ignore_ascii_case(w)));
        by_scheme.or_else(|| self.listeners.first())
    }

    /// Name of this worker in statuses: host and port that others may call.
    pub fn worker_id(&self) -> String {
        let listener = self.advertised_listener();
        let host = self.settings.rest_advertised_host.clone();
        let host = host.or_else(|| listener.map(|l| l.host().to_owned()).filter(|h| !h.is_empty()));
        let port = self.settings.rest_advertised_port.or_else(|| listener.map(Listener::port)).unwrap_or(0);
        format!("{}:{port}", host.unwrap_or_else(|| "localhost".to_owned()))
    }
}

/// Values of secrets stay out.
impl std::fmt::Debug for WorkerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerConfig").field("worker_id", &self.worker_id()).finish_non_exhaustive()
    }
}

/// The report without what references resolved to.
fn hidden(mut report: ValidationReport, resolved: &Resolved, posted: &Properties) -> ValidationReport {
    for (key, messages) in &mut report.errors {
        for message in messages {
            *message = resolved.hide(posted, key, message);
        }
    }
    report
}

fn resolve(properties: &Properties) -> Result<(Resolver, Resolved), ValidationReport> {
    let mut report = ValidationReport::default();
    let resolver = Resolver::from_worker(properties)
        .map_err(|e| report.error(&e.key, e.to_string()))
        .map_err(|()| report.clone())?;
    match resolver.resolve(properties) {
        Ok(resolved) => Ok((resolver, resolved)),
        Err(error) => {
            report.error("", error.to_string());
            Err(report)
        }
    }
}

fn chosen(properties: &Properties, wanted: fn(&str) -> bool) -> BTreeMap<String, String> {
    properties.0.iter().filter(|(k, _)| wanted(k)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn rest_tls(properties: &Properties) -> BTreeMap<String, String> {
    let mut keys = chosen(properties, |key| key.starts_with("ssl."));
    keys.extend(properties.below("listeners.https.").0.into_iter().filter(|(key, _)| key.starts_with("ssl.")));
    keys
}

fn topic_settings(properties: &Properties, topic: &str) -> BTreeMap<String, String> {
    let mut below = properties.below(&format!("{topic}.storage.")).0;
    for own in ["topic", "partitions", "replication.factor", "cleanup.policy", "file.filename"] {
        below.remove(own);
    }
    below
}

#[cfg(test)]
mod tests;
