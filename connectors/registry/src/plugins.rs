//! Every converter of this crate, for the registry of plug-ins.
use crate::avro::{Avro, AvroConfig};
use crate::converter::RegistryConverter;
use crate::json_schema::{JsonSchema, JsonSchemaConfig};
use crate::protobuf::{Protobuf, ProtobufConfig};
use crate::settings::refuse_unsupported;
use elasticflow_api::convert::Converter;
use elasticflow_api::registry::{Plugin, PluginEntry};
use elasticflow_api::{ConnectorError, ErrorClass, Result};
use elasticflow_config::{KeyDef, Properties, Settings, parse};
use std::sync::Arc;

/// Every converter of this crate.
pub fn plugins() -> Vec<PluginEntry> {
    vec![
        entry("io.confluent.connect.avro.AvroConverter", &["avro"], AvroConfig::keys(), Plugin::Converter(avro)),
        entry(
            "io.confluent.connect.json.JsonSchemaConverter",
            &["json-schema"],
            JsonSchemaConfig::keys(),
            Plugin::Converter(json_schema),
        ),
        entry(
            "io.confluent.connect.protobuf.ProtobufConverter",
            &["protobuf"],
            ProtobufConfig::keys(),
            Plugin::Converter(protobuf),
        ),
    ]
}

fn entry(
    class: &'static str,
    aliases: &'static [&'static str],
    keys: &'static [KeyDef],
    plugin: Plugin,
) -> PluginEntry {
    PluginEntry { class, aliases, version: env!("CARGO_PKG_VERSION"), keys, remarks: "", plugin }
}

fn avro(properties: &Properties, is_key: bool) -> Result<Arc<dyn Converter>> {
    let config: AvroConfig = config(properties, is_key)?;
    let format = Avro::new(&config);
    Ok(Arc::new(RegistryConverter::new(format, &config.registry(), is_key)?))
}

fn json_schema(properties: &Properties, is_key: bool) -> Result<Arc<dyn Converter>> {
    let config: JsonSchemaConfig = config(properties, is_key)?;
    let format = JsonSchema::new(&config);
    Ok(Arc::new(RegistryConverter::new(format, &config.registry(), is_key)?))
}

fn protobuf(properties: &Properties, is_key: bool) -> Result<Arc<dyn Converter>> {
    let config: ProtobufConfig = config(properties, is_key)?;
    let format = Protobuf::new(&config);
    Ok(Arc::new(RegistryConverter::new(format, &config.registry(), is_key)?))
}

/// `converter.type` is the framework's to set: what is being built says it.
fn config<S: Settings>(properties: &Properties, is_key: bool) -> Result<S> {
    refuse_unsupported(properties)?;
    let purpose = if is_key { "key" } else { "value" };
    parse(&properties.clone().with("converter.type", purpose)).map_err(|report| ConnectorError {
        class: ErrorClass::Config,
        code: "CONFIG-0001",
        message: format!("the converter's configuration is not valid: {report}"),
        source: None,
    })
}
