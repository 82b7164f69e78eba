//! Typed for authors, erased for the runtime. The list of plug-ins is code that can be read; a duplicate is an error.
use crate::context::ConnectorContext;
use crate::convert::{Converter, HeaderConverter, Predicate, Transform};
use crate::error::{ConnectorError, ErrorClass, Result};
use crate::position::{Offset, TaskId, TopicPartition};
use crate::sink::{PublishKind, SinkConnector, SinkKind};
use crate::source::{SourceConnector, SourceTask};
use async_trait::async_trait;
use elasticflow_config::{KeyDef, Properties, Settings, ValidationReport, parse};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Properties of one task: what [`SourceConnector::plan`] made, as stored in the config topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskConfig(pub BTreeMap<String, String>);

/// What a connector promises with a configuration; shown in the plugin list, in the UI and at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// Records may repeat after a failure.
    AtLeastOnce,
    /// Every record takes effect once.
    ExactlyOnce,
}

impl Guarantee {
    /// As users write and read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at-least-once",
            Self::ExactlyOnce => "exactly-once",
        }
    }
}

/// A source connector without its types.
#[async_trait]
pub trait DynSourceConnector: Send + Sync {
    /// Short name.
    fn name(&self) -> &'static str;
    /// Declared keys.
    fn keys(&self) -> &'static [KeyDef];
    /// See [`SourceConnector::guarantee`]; `None` when the properties do not parse.
    fn guarantee(&self, props: &Properties) -> Option<Guarantee>;
    /// Parse errors and the connector's own, together.
    async fn validate(&self, props: &Properties, cx: &ConnectorContext) -> ValidationReport;
    /// See [`SourceConnector::plan`].
    async fn plan(&self, props: &Properties, tasks_max: usize, cx: &ConnectorContext) -> Result<Vec<TaskConfig>>;
    /// See [`SourceConnector::ends`]; false when the properties do not parse.
    fn ends(&self, props: &Properties) -> bool;
    /// See [`SourceConnector::task`].
    fn task(&self, props: &Properties, task: TaskConfig) -> Result<Box<dyn SourceTask>>;
    /// See [`SourceConnector::check_offset`].
    fn check_offset(
        &self,
        props: &Properties,
        partition: Option<&Map<String, Json>>,
        offset: Option<&Map<String, Json>>,
    ) -> Result<()>;
}

#[async_trait]
impl<C: SourceConnector> DynSourceConnector for C {
    fn name(&self) -> &'static str {
        C::NAME
    }
    fn keys(&self) -> &'static [KeyDef] {
        C::Config::keys()
    }
    fn guarantee(&self, props: &Properties) -> Option<Guarantee> {
        parse(props).ok().map(|config| SourceConnector::guarantee(self, &config))
    }
    fn ends(&self, props: &Properties) -> bool {
        parse(props).is_ok_and(|config| SourceConnector::ends(self, &config))
    }
    async fn validate(&self, props: &Properties, cx: &ConnectorContext) -> ValidationReport {
        match parse::<C::Config>(props) {
            Ok(config) => SourceConnector::validate(self, &config, cx).await,
            Err(report) => report,
        }
    }
    async fn plan(&self, props: &Properties, tasks_max: usize, cx: &ConnectorContext) -> Result<Vec<TaskConfig>> {
        let config = typed(props)?;
        SourceConnector::plan(self, &config, tasks_max, cx).await
    }
    fn task(&self, props: &Properties, task: TaskConfig) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(SourceConnector::task(self, &typed(props)?, task)?))
    }
    fn check_offset(
        &self,
        props: &Properties,
        partition: Option<&Map<String, Json>>,
        offset: Option<&Map<String, Json>>,
    ) -> Result<()> {
        SourceConnector::check_offset(self, &typed(props)?, partition, offset)
    }
}

/// A sink connector without its types.
#[async_trait]
pub trait DynSinkConnector: Send + Sync {
    /// Short name.
    fn name(&self) -> &'static str;
    /// Declared keys.
    fn keys(&self) -> &'static [KeyDef];
    /// See [`SinkConnector::guarantee`]; `None` when the properties do not parse.
    fn guarantee(&self, props: &Properties) -> Option<Guarantee>;
    /// Parse errors and the connector's own, together.
    async fn validate(&self, props: &Properties, cx: &ConnectorContext) -> ValidationReport;
    /// See [`SinkConnector::plan`].
    fn plan(&self, props: &Properties, tasks_max: usize) -> Result<Vec<TaskConfig>>;
    /// See [`SinkConnector::task`].
    fn task(&self, props: &Properties, task: TaskConfig) -> Result<SinkKind>;
    /// See [`SinkConnector::publishes`]; none when the properties do not parse.
    fn publishes(&self, props: &Properties) -> &'static [PublishKind];
    /// See [`SinkConnector::alter_offsets`].
    async fn alter_offsets(
        &self,
        props: &Properties,
        id: &TaskId,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()>;
}

#[async_trait]
impl<C: SinkConnector> DynSinkConnector for C {
    fn name(&self) -> &'static str {
        C::NAME
    }
    fn keys(&self) -> &'static [KeyDef] {
        C::Config::keys()
    }
    fn guarantee(&self, props: &Properties) -> Option<Guarantee> {
        parse(props).ok().map(|config| SinkConnector::guarantee(self, &config))
    }
    async fn validate(&self, props: &Properties, cx: &ConnectorContext) -> ValidationReport {
        match parse::<C::Config>(props) {
            Ok(config) => SinkConnector::validate(self, &config, cx).await,
            Err(report) => report,
        }
    }
    fn plan(&self, props: &Properties, tasks_max: usize) -> Result<Vec<TaskConfig>> {
        SinkConnector::plan(self, &typed(props)?, tasks_max)
    }
    fn task(&self, props: &Properties, task: TaskConfig) -> Result<SinkKind> {
        SinkConnector::task(self, &typed(props)?, task)
    }
    fn publishes(&self, props: &Properties) -> &'static [PublishKind] {
        parse(props).map(|config| SinkConnector::publishes(self, &config)).unwrap_or_default()
    }
    async fn alter_offsets(
        &self,
        props: &Properties,
        id: &TaskId,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()> {
        SinkConnector::alter_offsets(self, &typed(props)?, id, offsets).await
    }
}

fn typed<S: Settings>(props: &Properties) -> Result<S> {
    parse(props).map_err(|report| ConnectorError {
        class: ErrorClass::Config,
        code: "CONFIG-0001",
        message: format!("configuration is not valid: {report}"),
        source: None,
    })
}

/// What a plug-in does.
#[derive(Clone)]
pub enum Plugin {
    /// A source connector.
    Source(Arc<dyn DynSourceConnector>),
    /// A sink connector.
    Sink(Arc<dyn DynSinkConnector>),
    /// A converter of keys and values; the flag is true for keys.
    Converter(fn(&Properties, bool) -> Result<Arc<dyn Converter>>),
    /// A converter of headers.
    HeaderConverter(fn(&Properties) -> Result<Arc<dyn HeaderConverter>>),
    /// A single message transform.
    Transform(fn(&Properties) -> Result<Arc<dyn Transform>>),
    /// A condition of transforms.
    Predicate(fn(&Properties) -> Result<Arc<dyn Predicate>>),
}

/// Kafka Connect's plug-in kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are Connect's")]
pub enum PluginKind {
    Source,
    Sink,
    Converter,
    HeaderConverter,
    Transformation,
    Predicate,
}

impl PluginKind {
    /// As in the `type` field of `/connector-plugins`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Converter => "converter",
            Self::HeaderConverter => "header_converter",
            Self::Transformation => "transformation",
            Self::Predicate => "predicate",
        }
    }
}

/// A plug-in with the names it answers to.
#[derive(Clone)]
pub struct PluginEntry {
    /// Name shown in `/connector-plugins`, the Java class name where a well-known one exists.
    pub class: &'static str,
    /// Further names, our short name included; a Java simple name counts without being listed.
    pub aliases: &'static [&'static str],
    /// Version shown.
    pub version: &'static str,
    /// Declared keys.
    pub keys: &'static [KeyDef],
    /// One line for the plug-in list: what is not exactly once, what is not verified. Empty when there is nothing to say.
    pub remarks: &'static str,
    /// The plug-in.
    pub plugin: Plugin,
}

impl PluginEntry {
    /// Its kind.
    pub fn kind(&self) -> PluginKind {
        match self.plugin {
            Plugin::Source(_) => PluginKind::Source,
            Plugin::Sink(_) => PluginKind::Sink,
            Plugin::Converter(_) => PluginKind::Converter,
            Plugin::HeaderConverter(_) => PluginKind::HeaderConverter,
            Plugin::Transform(_) => PluginKind::Transformation,
            Plugin::Predicate(_) => PluginKind::Predicate,
        }
    }

    /// Whether it answers to a name: its class, the class's simple name with or without the word for its kind (as Connect
    /// allows: `FileStreamSource`, `Json`), an alias. An inner class is named with its outer one: `Cast$Key`.
    pub fn answers_to(&self, name: &str) -> bool {
        let simple = self.simple_name();
        self.class == name
            || simple == name
            || self.aliases.contains(&name)
            || self.pruned_names(simple).any(|p| p == name)
    }

    fn simple_name(&self) -> &'static str {
        self.class.rsplit('.').next().unwrap_or(self.class)
    }

    /// The simple name less the word for the kind.
    fn pruned_names(&self, simple: &'static str) -> impl Iterator<Item = &'static str> {
        let words: &[&str] = match self.kind() {
            PluginKind::Source | PluginKind::Sink => &["Connector"],
            PluginKind::Converter => &["Converter"],
            PluginKind::HeaderConverter => &["HeaderConverter", "Converter"],
            PluginKind::Transformation => &["Transformation"],
            PluginKind::Predicate => &["Predicate"],
        };
        words.iter().filter_map(move |word| simple.strip_suffix(word)).filter(|pruned| !pruned.is_empty())
    }
}

/// Every plug-in of a distribution, in the order of registration.
#[derive(Clone, Default)]
pub struct Registry {
    entries: Vec<PluginEntry>,
}

impl Registry {
    /// Adds a plug-in.
    ///
    /// # Errors
    /// `Bug` when a plug-in of the same kind answers to one of its names already.
    pub fn add(&mut self, entry: PluginEntry) -> Result<()> {
        let names = entry.aliases.iter().copied().chain([entry.class]);
        for name in names {
            if self.find(entry.kind(), name).is_some() {
                return Err(ConnectorError {
                    class: ErrorClass::Bug,
                    code: "REGISTRY-0001",
                    message: format!("two {} plug-ins answer to the name {name}", entry.kind().name()),
                    source: None,
                });
            }
        }
        self.entries.push(entry);
        Ok(())
    }

    /// The plug-in of a kind that answers to a name.
    pub fn find(&self, kind: PluginKind, name: &str) -> Option<&PluginEntry> {
        self.entries.iter().find(|e| e.kind() == kind && e.answers_to(name))
    }

    /// The connector, source or sink, that answers to a name.
    pub fn connector(&self, name: &str) -> Option<&PluginEntry> {
        self.find(PluginKind::Source, name).or_else(|| self.find(PluginKind::Sink, name))
    }

    /// Every plug-in.
    pub fn entries(&self) -> &[PluginEntry] {
        &self.entries
    }
}
