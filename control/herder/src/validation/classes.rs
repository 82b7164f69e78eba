//! Plug-ins by name, and what is wrong with a name.
use crate::error::HerderError;
use crate::handle::WorkerContext;
use elasticflow_api::registry::{PluginEntry, PluginKind, Registry};
use elasticflow_config::{Properties, nearest, shortened};

/// The plug-in of `connector.class`.
///
/// # Errors
/// `BadRequest` without a class, or with one that is no connector; names the nearest known one.
pub fn connector_class<'a>(config: &Properties, cx: &'a WorkerContext) -> Result<&'a PluginEntry, HerderError> {
    let Some(class) = config.value("connector.class") else {
        let shown = crate::secrets::hide(config, &cx.registry);
        let pairs: Vec<String> = shown.0.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let text = format!("Connector config {{{}}} contains no connector type", shortened(&pairs.join(", ")));
        return Err(HerderError::BadRequest(text));
    };
    cx.registry.connector(class.trim()).ok_or_else(|| {
        let connectors = || cx.registry.entries().iter().filter(|e| is_connector(e));
        // Connect's short names, such as FileStreamSource, are near where the whole class is not.
        let short = |class: &'static str| class.rsplit('.').next().and_then(|simple| simple.strip_suffix("Connector"));
        let names = || connectors().flat_map(move |e| e.aliases.iter().copied().chain([e.class]).chain(short(e.class)));
        let hint = nearest(class, names()).map(|near| format!(". Did you mean {near}?")).unwrap_or_default();
        let list: Vec<&str> = connectors().map(|e| e.class).collect();
        HerderError::BadRequest(format!(
            "Failed to find any class that implements Connector and which name matches {}, available connectors are: {}{hint}",
            shortened(class),
            list.join(", ")
        ))
    })
}

fn is_connector(entry: &PluginEntry) -> bool {
    matches!(entry.kind(), PluginKind::Source | PluginKind::Sink)
}

/// The plug-in of any kind that answers to a name; converters before header converters of the same name.
pub fn find_plugin<'a>(registry: &'a Registry, name: &str) -> Option<&'a PluginEntry> {
    let kinds = [
        PluginKind::Source,
        PluginKind::Sink,
        PluginKind::Transformation,
        PluginKind::Predicate,
        PluginKind::Converter,
        PluginKind::HeaderConverter,
    ];
    kinds.into_iter().find_map(|kind| registry.find(kind, name))
}

/// Whether a path that names a plug-in fits the class of the body: as Connect compares their texts, or through one of this
/// product's own names of the class.
pub fn included_type_matches(registry: &Registry, class: &str, path: &str) -> bool {
    let class = class.trim();
    let less = |text: &str| text.strip_suffix("Connector").unwrap_or(text).to_owned();
    let own_name = |entry: &PluginEntry| entry.aliases.contains(&path) || entry.aliases.contains(&class);
    less(class).ends_with(&less(path))
        || registry.connector(class).is_some_and(|entry| entry.answers_to(path) && own_name(entry))
}

/// What a class name of a configuration means.
pub(super) enum Named<'a> {
    /// This plug-in.
    Plugin(&'a PluginEntry),
    /// Something that cannot be used here, with the message and whether the value is shown.
    Wrong {
        /// Connect's message.
        message: String,
        /// Full name, where there is such a class.
        class: Option<String>,
    },
}

/// Looks up a class of a kind; `key` is for the message.
pub(super) fn named<'a>(registry: &'a Registry, kind: PluginKind, key: &str, name: &str) -> Named<'a> {
    let name = name.trim();
    if let Some(entry) = registry.find(kind, name) {
        return Named::Plugin(entry);
    }
    let inner = format!("{}$", name.rsplit('.').next().unwrap_or(name));
    let variants: Vec<&str> = registry
        .entries()
        .iter()
        .filter(|e| e.kind() == kind && e.class.rsplit('.').next().is_some_and(|simple| simple.starts_with(&inner)))
        .map(|e| e.class)
        .collect();
    if !name.is_empty() && !variants.is_empty() {
        let message = format!("This class is abstract and cannot be created. Did you mean {}?", variants.join(", "));
        let outer = variants.first().and_then(|v| v.split_once('$')).map(|(outer, _)| outer.to_owned());
        return Named::Wrong { message, class: outer };
    }
    match find_plugin(registry, name) {
        Some(other) => Named::Wrong {
            message: format!("Class class {} does not implement the {} interface", other.class, interface(kind)),
            class: Some(other.class.to_owned()),
        },
        None => Named::Wrong {
            message: {
                let name = shortened(name);
                format!("Invalid value {name} for configuration {key}: Class {name} could not be found.")
            },
            class: None,
        },
    }
}

fn interface(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Source | PluginKind::Sink => "Connector",
        PluginKind::Converter => "Converter",
        PluginKind::HeaderConverter => "HeaderConverter",
        PluginKind::Transformation => "Transformation",
        PluginKind::Predicate => "Predicate",
    }
}

/// Classes of a kind, for recommendations.
pub(super) fn classes(registry: &Registry, kind: PluginKind) -> Vec<String> {
    let mut names: Vec<String> =
        registry.entries().iter().filter(|e| e.kind() == kind).map(|e| e.class.to_owned()).collect();
    names.sort();
    names
}
