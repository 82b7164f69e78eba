//! Converters made of properties, asked as the runtime asks them: what is not resolved is resolved once.
use bytes::{Bytes, BytesMut};
use elasticflow_api::convert::{Converter, DecodeError, EncodeError};
use elasticflow_api::data::{Datum, Field, Headers, Kind, Schema, SchemaRef};
use elasticflow_api::registry::{Plugin, PluginKind, Registry};
use elasticflow_api::{ConnectorError, RecordError};
use elasticflow_config::Properties;
use std::sync::Arc;

pub(crate) const AVRO: &str = "io.confluent.connect.avro.AvroConverter";
pub(crate) const PROTOBUF: &str = "io.confluent.connect.protobuf.ProtobufConverter";
pub(crate) const JSON: &str = "io.confluent.connect.json.JsonSchemaConverter";

/// Why a record was not converted.
#[derive(Debug)]
pub(crate) enum Failed {
    Record(RecordError),
    Task(ConnectorError),
}

impl Failed {
    /// The text with its causes.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Record(error) => {
                let cause = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("{}{cause}", error.reason)
            }
            Self::Task(error) => error.to_string(),
        }
    }

    pub(crate) fn task(self) -> ConnectorError {
        match self {
            Self::Task(error) => error,
            Self::Record(error) => panic!("a bad record: {error}"),
        }
    }
}

pub(crate) fn try_converter(
    class: &str,
    properties: Properties,
    is_key: bool,
) -> Result<Arc<dyn Converter>, ConnectorError> {
    let mut registry = Registry::default();
    for entry in elasticflow_registry::plugins() {
        registry.add(entry).unwrap();
    }
    match &registry.find(PluginKind::Converter, class).unwrap().plugin {
        Plugin::Converter(make) => make(&properties, is_key),
        _ => panic!("{class} is no converter"),
    }
}

pub(crate) fn converter(class: &str, url: &str, options: &[(&str, &str)]) -> Arc<dyn Converter> {
    let properties = Properties::from_iter(options.iter().copied()).with("schema.registry.url", url);
    try_converter(class, properties, false).unwrap()
}

pub(crate) async fn encode(converter: &dyn Converter, topic: &str, datum: &Datum) -> Result<Option<Bytes>, Failed> {
    let mut out = BytesMut::new();
    let mut resolved = false;
    loop {
        match converter.encode(topic, datum, &mut Headers::new(), &mut out) {
            Ok(has_value) => return Ok(has_value.then(|| out.freeze())),
            Err(EncodeError::Record(error)) => return Err(Failed::Record(error)),
            Err(EncodeError::Unresolved(need)) => {
                assert!(!resolved, "resolving once is enough");
                resolved = true;
                converter.resolve(topic, &need).await.map_err(Failed::Task)?;
            }
        }
    }
}

pub(crate) async fn decode(converter: &dyn Converter, topic: &str, bytes: Option<&Bytes>) -> Result<Datum, Failed> {
    let mut resolved = false;
    loop {
        match converter.decode(topic, bytes, &Headers::new()) {
            Ok(datum) => return Ok(datum),
            Err(DecodeError::Record(error)) => return Err(Failed::Record(error)),
            Err(DecodeError::Unresolved(need)) => {
                assert!(!resolved, "resolving once is enough");
                resolved = true;
                converter.resolve(topic, &need).await.map_err(Failed::Task)?;
            }
        }
    }
}

pub(crate) fn schema(kind: Kind, optional: bool) -> SchemaRef {
    named(kind, optional, None)
}

pub(crate) fn named(kind: Kind, optional: bool, name: Option<&str>) -> SchemaRef {
    Arc::new(Schema {
        kind,
        name: name.map(Arc::from),
        version: None,
        optional,
        default: None,
        doc: None,
        parameters: std::collections::BTreeMap::new(),
    })
}

pub(crate) fn field(name: &str, schema: &SchemaRef) -> Field {
    Field { name: name.into(), schema: Arc::clone(schema) }
}
