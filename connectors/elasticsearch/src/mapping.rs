//! The mapping that a schema asks for.
use crate::config::DecimalHandling;
use elasticflow_api::data::{Kind, Schema};
use elasticflow_formats::logical::{DECIMAL, TIME};
use serde_json::{Map, Value as Json, json};

/// Makes mappings of one configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mappings {
    pub(crate) decimals: DecimalHandling,
    pub(crate) compact_maps: bool,
}

impl Mappings {
    /// The `properties` of a document's schema; empty for a map.
    pub(crate) fn properties(self, schema: &Schema) -> Map<String, Json> {
        match &schema.kind {
            Kind::Struct(fields) => {
                fields.iter().map(|field| (field.name.to_string(), self.field(&field.schema))).collect()
            }
            _ => Map::new(),
        }
    }

    fn field(self, schema: &Schema) -> Json {
        if let Some(mapping) = self.logical(schema) {
            return mapping;
        }
        match &schema.kind {
            Kind::Int8 => json!({"type": "byte"}),
            Kind::Int16 => json!({"type": "short"}),
            Kind::Int32 => json!({"type": "integer"}),
            Kind::Int64 => json!({"type": "long"}),
            Kind::Float32 => json!({"type": "float"}),
            Kind::Float64 => json!({"type": "double"}),
            Kind::Boolean => json!({"type": "boolean"}),
            Kind::String => json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}),
            Kind::Bytes => json!({"type": "binary"}),
            Kind::Array(item) => self.field(item),
            Kind::Map { key, .. } if self.compact_maps && key.kind == Kind::String => json!({"type": "object"}),
            Kind::Map { key, value } => {
                json!({"type": "nested", "properties": {"key": self.field(key), "value": self.field(value)}})
            }
            Kind::Struct(_) => json!({"properties": self.properties(schema)}),
        }
    }

    fn logical(self, schema: &Schema) -> Option<Json> {
        Some(match (schema.name.as_deref()?, &schema.kind) {
            (DECIMAL, Kind::Bytes) => match self.decimals {
                DecimalHandling::Double => json!({"type": "double"}),
                DecimalHandling::String => json!({"type": "keyword"}),
            },
            (TIME | "io.debezium.time.Time", Kind::Int32)
            | ("io.debezium.time.MicroTime" | "io.debezium.time.NanoTime", Kind::Int64) => json!({"type": "keyword"}),
            (name, Kind::Int32 | Kind::Int64 | Kind::String) if is_date(name) => json!({"type": "date"}),
            _ => return None,
        })
    }
}

fn is_date(name: &str) -> bool {
    matches!(
        name,
        "org.apache.kafka.connect.data.Date"
            | "org.apache.kafka.connect.data.Timestamp"
            | "io.debezium.time.Date"
            | "io.debezium.time.Timestamp"
            | "io.debezium.time.MicroTimestamp"
            | "io.debezium.time.NanoTimestamp"
            | "io.debezium.time.ZonedTimestamp"
    )
}

/// What of the wanted properties an index does not have, whatever the type of those that it has.
pub(crate) fn missing(wanted: &Map<String, Json>, present: &Json) -> Map<String, Json> {
    let mut result = Map::new();
    for (name, mapping) in wanted {
        match present.get(name) {
            None => {
                result.insert(name.clone(), mapping.clone());
            }
            Some(there) => {
                let (Some(Json::Object(inner)), Some(inner_there)) =
                    (mapping.get("properties"), there.get("properties"))
                else {
                    continue;
                };
                let inner = missing(inner, inner_there);
                if !inner.is_empty() {
                    result.insert(name.clone(), json!({"properties": inner}));
                }
            }
        }
    }
    result
}

/// Adds to properties what [`missing`] has found.
pub(crate) fn merge(present: &mut Map<String, Json>, lacking: Map<String, Json>) {
    for (name, mapping) in lacking {
        match (present.get_mut(&name).and_then(|there| there.get_mut("properties")), mapping) {
            (Some(Json::Object(there)), Json::Object(mut mapping)) => {
                if let Some(Json::Object(inner)) = mapping.remove("properties") {
                    merge(there, inner);
                }
            }
            (_, mapping) => {
                present.insert(name, mapping);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missing_is_merged_to_the_depth() {
        let (Json::Object(wanted), Json::Object(mut present)) = (
            json!({"a": {"properties": {"x": {"type": "long"}, "y": {"type": "long"}}}, "b": {"type": "text"}}),
            json!({"a": {"properties": {"x": {"type": "keyword"}}}}),
        ) else {
            panic!("no objects")
        };
        let lacking = missing(&wanted, &Json::Object(present.clone()));
        merge(&mut present, lacking);
        let expected =
            json!({"a": {"properties": {"x": {"type": "keyword"}, "y": {"type": "long"}}}, "b": {"type": "text"}});
        assert_eq!(Json::Object(present), expected);
    }

    #[test]
    fn only_what_an_index_lacks_is_added() {
        let wanted = json!({"a": {"type": "long"}, "b": {"type": "text"}, "c": {"properties": {"x": {"type": "long"}, "y": {"type": "long"}}}});
        let present = json!({"a": {"type": "keyword"}, "c": {"properties": {"x": {"type": "long"}}}});
        let Json::Object(wanted) = wanted else { panic!("no object") };
        let expected = json!({"b": {"type": "text"}, "c": {"properties": {"y": {"type": "long"}}}});
        assert_eq!(Json::Object(missing(&wanted, &present)), expected);
    }
}
