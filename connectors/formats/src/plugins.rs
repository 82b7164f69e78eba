//! Every converter of this crate, for the registry.
use crate::header::AsHeaderConverter;
use crate::json::{JsonConfig, JsonConverter};
use crate::primitive::{Primitive, PrimitiveConverter};
use crate::raw::ByteArrayConverter;
use crate::simple_header::SimpleHeaderConverter;
use crate::string::{StringConfig, StringConverter};
use elasticflow_api::convert::{Converter, HeaderConverter};
use elasticflow_api::registry::{Plugin, PluginEntry};
use elasticflow_api::{ConnectorError, ErrorClass, Result};
use elasticflow_config::{KeyDef, Properties, Settings, parse};
use std::sync::Arc;

elasticflow_config::settings! {
    /// Settings of converters without any of their own.
    pub struct PlainConfig {
        /// Whether keys or values or headers are converted; set by the framework.
        "converter.type" => converter_type: String { importance: Low },
    }
}

/// Every converter and header converter of this crate.
pub fn plugins() -> Vec<PluginEntry> {
    let mut entries = vec![
        entry("org.apache.kafka.connect.json.JsonConverter", &["json"], JsonConfig::keys(), Plugin::Converter(json)),
        entry(
            "org.apache.kafka.connect.json.JsonConverter",
            &["json"],
            JsonConfig::keys(),
            Plugin::HeaderConverter(|p| Ok(header(json_converter(p, "header", false)?))),
        ),
        entry(
            "org.apache.kafka.connect.storage.StringConverter",
            &["string"],
            StringConfig::keys(),
            Plugin::Converter(string),
        ),
        entry(
            "org.apache.kafka.connect.storage.StringConverter",
            &["string"],
            StringConfig::keys(),
            Plugin::HeaderConverter(|p| Ok(header(string_converter(p, "header")?))),
        ),
        entry(
            "org.apache.kafka.connect.converters.ByteArrayConverter",
            &["bytes"],
            PlainConfig::keys(),
            Plugin::Converter(|_, is_key| Ok(Arc::new(ByteArrayConverter::new(is_key)))),
        ),
        entry(
            "org.apache.kafka.connect.converters.ByteArrayConverter",
            &["bytes"],
            PlainConfig::keys(),
            Plugin::HeaderConverter(|_| Ok(header(ByteArrayConverter::new(false)))),
        ),
        entry(
            "org.apache.kafka.connect.storage.SimpleHeaderConverter",
            &["simple"],
            &[],
            Plugin::HeaderConverter(|_| Ok(Arc::new(SimpleHeaderConverter))),
        ),
    ];
    entries.extend(primitives());
    entries
}

fn entry(
    class: &'static str,
    aliases: &'static [&'static str],
    keys: &'static [KeyDef],
    plugin: Plugin,
) -> PluginEntry {
    PluginEntry { class, aliases, version: env!("CARGO_PKG_VERSION"), keys, remarks: "", plugin }
}

/// One entry for values and keys, one for headers. A constructor is a plain function, so each is written out by a macro.
fn primitives() -> Vec<PluginEntry> {
    macro_rules! of {
        ($($name:ident => $alias:literal),*) => {
            vec![$(
                entry(
                    concat!("org.apache.kafka.connect.converters.", stringify!($name), "Converter"),
                    &[$alias],
                    PlainConfig::keys(),
                    Plugin::Converter(|_, is_key| Ok(Arc::new(PrimitiveConverter::new(Primitive::$name, is_key)))),
                ),
                entry(
                    concat!("org.apache.kafka.connect.converters.", stringify!($name), "Converter"),
                    &[$alias],
                    PlainConfig::keys(),
                    Plugin::HeaderConverter(|_| Ok(header(PrimitiveConverter::new(Primitive::$name, false)))),
                ),
            )*]
        };
    }
    of!(Boolean => "boolean", Double => "double", Float => "float", Integer => "integer", Long => "long", Short => "short")
}

fn header<C: Converter + 'static>(converter: C) -> Arc<dyn HeaderConverter> {
    Arc::new(AsHeaderConverter(converter))
}

fn json(properties: &Properties, is_key: bool) -> Result<Arc<dyn Converter>> {
    Ok(Arc::new(json_converter(properties, if is_key { "key" } else { "value" }, is_key)?))
}

fn json_converter(properties: &Properties, purpose: &str, is_key: bool) -> Result<JsonConverter> {
    JsonConverter::new(&config(properties, purpose)?, is_key)
}

fn string(properties: &Properties, is_key: bool) -> Result<Arc<dyn Converter>> {
    Ok(Arc::new(string_converter(properties, if is_key { "key" } else { "value" })?))
}

fn string_converter(properties: &Properties, purpose: &str) -> Result<StringConverter> {
    StringConverter::new(&config(properties, purpose)?)
}

/// `converter.type` is the framework's to set: what is being built says it.
fn config<S: Settings>(properties: &Properties, purpose: &str) -> Result<S> {
    parse(&properties.clone().with("converter.type", purpose)).map_err(|report| ConnectorError {
        class: ErrorClass::Config,
        code: "CONFIG-0001",
        message: format!("the converter's configuration is not valid: {report}"),
        source: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_api::registry::{PluginKind, Registry};

    #[test]
    fn every_converter_is_found_by_class_and_by_alias() {
        let mut registry = Registry::default();
        for entry in plugins() {
            registry.add(entry).unwrap();
        }
        for name in ["org.apache.kafka.connect.json.JsonConverter", "JsonConverter", "json", "string", "LongConverter"]
        {
            assert!(registry.find(PluginKind::Converter, name).is_some(), "{name}");
            assert!(registry.find(PluginKind::HeaderConverter, name).is_some(), "{name}");
        }
        assert!(registry.find(PluginKind::HeaderConverter, "SimpleHeaderConverter").is_some());
    }

    #[test]
    fn a_wrong_option_is_a_configuration_error_that_names_it() {
        let error = json(&Properties::default().with("decimal.format", "hex"), false).err().unwrap();
        assert_eq!(error.class, ErrorClass::Config);
        assert!(error.message.contains("decimal.format") && error.message.contains("BASE64, NUMERIC"), "{error}");
    }
}
