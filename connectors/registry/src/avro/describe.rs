//! Connect's schemas to Avro's.
use crate::avro::AvroOptions;
use crate::avro::default::default_json;
use crate::avro::names::{self, MAP_ENTRY, MAP_ENTRY_TYPE, UNION, UNNAMED};
use crate::avro::schema::{AvroSchema, Definition, FieldOf, Named, Node, Props, Type};
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef};
use elasticflow_formats::FormatError;
use elasticflow_formats::logical::{Logical, logical_of};
use serde_json::Value as Json;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The Avro schema of a Connect schema.
pub(crate) fn describe(schema: &SchemaRef, options: &AvroOptions) -> Result<AvroSchema, FormatError> {
    let mut describer = Describer { options, named: HashMap::new(), unnamed: Vec::new() };
    let root = describer.node(schema)?;
    Ok(AvroSchema { root, named: describer.named })
}

struct Describer<'a> {
    options: &'a AvroOptions,
    named: HashMap<Arc<str>, Arc<Definition>>,
    /// Structs without a name with those that they are given.
    unnamed: Vec<(Arc<[Field]>, Arc<str>)>,
}

impl Describer<'_> {
    fn node(&mut self, schema: &SchemaRef) -> Result<Node, FormatError> {
        let base = self.base(schema)?;
        if !schema.optional {
            return Ok(base);
        }
        let null = Node::plain(Type::Null);
        let branches = match base.kind {
            Type::Union(mut branches) => {
                branches.insert(0, null);
                branches
            }
            _ if self.options.default_of(schema).is_some() => vec![base, null],
            _ => vec![null, base],
        };
        Ok(Node::plain(Type::Union(branches)))
    }

    /// The type of values that are not null.
    fn base(&mut self, schema: &SchemaRef) -> Result<Node, FormatError> {
        let mut node = Node::plain(match &schema.kind {
            Kind::Int8 | Kind::Int16 | Kind::Int32 => Type::Int,
            Kind::Int64 => Type::Long,
            Kind::Float32 => Type::Float,
            Kind::Float64 => Type::Double,
            Kind::Boolean => Type::Boolean,
            Kind::String if self.options.enhanced && schema.parameters.contains_key(names::ENUM) => {
                return self.enumeration(schema);
            }
            Kind::String => Type::String,
            Kind::Bytes if schema.parameters.contains_key(names::FIXED_SIZE) => return self.fixed(schema),
            Kind::Bytes => Type::Bytes,
            Kind::Array(item) => Type::Array(Box::new(self.node(item)?)),
            Kind::Map { key, value } if self.options.is_plain_map(key) => Type::Map(Box::new(self.node(value)?)),
            Kind::Map { key, value } => Type::Array(Box::new(self.entry(schema, key, value)?)),
            Kind::Struct(fields) if schema.name.as_deref() == Some(UNION) => return self.union(fields),
            Kind::Struct(fields) => return self.record(schema, fields),
        });
        node.props = self.props(schema)?;
        Ok(node)
    }

    /// Connect's metadata and the logical type, in the order that Confluent's converter writes.
    fn props(&self, schema: &Schema) -> Result<Props, FormatError> {
        let mut props = Props::new();
        let mut put = |key: &str, value: Json| drop(props.insert(key.to_owned(), value));
        match schema.kind {
            Kind::Int8 if self.options.meta_data => put(names::P_TYPE, Json::from("int8")),
            Kind::Int16 if self.options.meta_data => put(names::P_TYPE, Json::from("int16")),
            _ => {}
        }
        let logical = logical_of(schema);
        if let Some(Logical::Decimal(scale)) = logical {
            let scale = scale.ok_or_else(|| FormatError::data("Invalid Decimal schema: scale parameter not found."))?;
            let precision = schema.parameters.get(names::PRECISION).map(|text| text.parse::<i64>());
            let precision = precision.unwrap_or(Ok(names::PRECISION_DEFAULT)).map_err(|_| {
                FormatError::data(format!("Invalid Decimal schema: {} is no number.", names::PRECISION))
            })?;
            put("scale", Json::from(scale));
            put("precision", Json::from(precision));
        }
        if self.options.meta_data {
            if let Some(doc) = &schema.doc {
                put(names::P_DOC, Json::from(doc.as_ref()));
            }
            if let Some(version) = schema.version {
                put(names::P_VERSION, Json::from(version));
            }
            if !schema.parameters.is_empty() {
                // A decimal's scale comes first, as Connect's own builder puts it; equal schemas should be equal texts.
                let (first, rest): (Vec<_>, Vec<_>) =
                    schema.parameters.iter().partition(|(k, _)| k.as_ref() == "scale");
                let all = first.into_iter().chain(rest).map(|(k, v)| (k.to_string(), Json::from(v.as_ref())));
                put(names::P_PARAMETERS, Json::Object(all.collect()));
            }
            if let Some(default) = self.options.default_of(schema) {
                put(names::P_DEFAULT, default_json(schema, default, self.options)?);
            }
            if let Some(name) = &schema.name {
                put(names::P_NAME, Json::from(name.as_ref()));
            }
        }
        let word = logical.map(|logical| match logical {
            Logical::Decimal(_) => "decimal",
            Logical::Date => "date",
            Logical::Time => "time-millis",
            Logical::Timestamp => "timestamp-millis",
        });
        if let Some(word) = word {
            put(names::P_LOGICAL, Json::from(word));
        }
        Ok(props)
    }

    fn full_name(&self, name: &str) -> Result<Arc<str>, FormatError> {
        names::full_name(name, self.options.scrub).map(Arc::from)
    }

    fn record(&mut self, schema: &SchemaRef, fields: &Arc<[Field]>) -> Result<Node, FormatError> {
        let name = match &schema.name {
            Some(name) => self.full_name(name)?,
            None => self.unnamed(fields),
        };
        let members = self.members(schema, fields)?;
        let doc = schema.parameters.get(names::RECORD_DOC).map(ToString::to_string);
        let definition = Definition { name, doc, kind: Named::Record(members), props: self.props(schema)? };
        self.define(definition)
    }

    fn unnamed(&mut self, fields: &Arc<[Field]>) -> Arc<str> {
        let known = self.unnamed.iter().find(|(of, _)| Arc::ptr_eq(of, fields) || of == fields);
        if let Some((_, name)) = known {
            return Arc::clone(name);
        }
        let name: Arc<str> = match self.unnamed.len() {
            0 => UNNAMED.into(),
            n => format!("{UNNAMED}{}", n.saturating_add(1)).into(),
        };
        self.unnamed.push((Arc::clone(fields), Arc::clone(&name)));
        name
    }

    fn members(&mut self, schema: &Schema, fields: &[Field]) -> Result<Vec<FieldOf>, FormatError> {
        let mut members = Vec::with_capacity(fields.len());
        let mut seen = HashSet::new();
        for field in fields {
            let name = names::name(&field.name, self.options.scrub)?;
            if !seen.insert(name.clone()) {
                return Err(FormatError::data(format!("two fields of a struct have the same name in Avro: {name}")));
            }
            let default = match self.options.default_of(&field.schema) {
                Some(default) => Some(default_json(&field.schema, default, self.options)?),
                None if field.schema.optional => Some(Json::Null),
                None => None,
            };
            let doc = schema.parameters.get(format!("{}{}", names::FIELD_DOC, field.name).as_str());
            members.push(FieldOf { node: self.node(&field.schema)?, doc: doc.map(ToString::to_string), default, name });
        }
        Ok(members)
    }

    /// The record of a map's entries. Maps of other types get a name of their own.
    fn entry(&mut self, schema: &SchemaRef, key: &SchemaRef, value: &SchemaRef) -> Result<Node, FormatError> {
        let part = |name: &str, node| FieldOf { name: name.to_owned(), node, doc: None, default: None };
        let kind = Named::Record(vec![part("key", self.node(key)?), part("value", self.node(value)?)]);
        let (name, mut own) = match &schema.name {
            Some(name) => (self.full_name(name)?, true),
            None => (MAP_ENTRY.into(), false),
        };
        let mut free = Arc::clone(&name);
        let mut n = 1_u32;
        while self.named.get(&free).is_some_and(|known| known.kind != kind) {
            n = n.saturating_add(1);
            free = format!("{name}{n}").into();
            own = true;
        }
        let mut props = Props::new();
        if own {
            props.insert(names::P_INTERNAL_TYPE.to_owned(), Json::from(MAP_ENTRY_TYPE));
        }
        self.define(Definition { name: free, doc: None, kind, props })
    }

    fn enumeration(&mut self, schema: &SchemaRef) -> Result<Node, FormatError> {
        let name = schema.parameters.get(names::ENUM).map_or("", |name| name.as_ref());
        let prefix = format!("{}.", names::ENUM);
        let symbols: Vec<String> =
            schema.parameters.iter().filter(|(k, _)| k.starts_with(&prefix)).map(|(_, v)| v.to_string()).collect();
        let definition = Definition {
            name: self.full_name(name)?,
            doc: None,
            kind: Named::Enum(symbols),
            props: self.props(schema)?,
        };
        self.define(definition)
    }

    fn fixed(&mut self, schema: &SchemaRef) -> Result<Node, FormatError> {
        let size = schema.parameters.get(names::FIXED_SIZE).and_then(|text| text.parse().ok());
        let size = size.ok_or_else(|| FormatError::data(format!("the parameter {} is no size", names::FIXED_SIZE)))?;
        let name = schema.name.as_deref().ok_or_else(|| FormatError::data("a fixed type needs a name"))?;
        let definition =
            Definition { name: self.full_name(name)?, doc: None, kind: Named::Fixed(size), props: self.props(schema)? };
        self.define(definition)
    }

    fn union(&mut self, fields: &[Field]) -> Result<Node, FormatError> {
        let branches = fields.iter().map(|field| self.base(&field.schema)).collect::<Result<_, _>>()?;
        Ok(Node::plain(Type::Union(branches)))
    }

    fn define(&mut self, definition: Definition) -> Result<Node, FormatError> {
        let name = Arc::clone(&definition.name);
        match self.named.get(&name) {
            Some(known) if known.kind != definition.kind => {
                return Err(FormatError::data(format!("two different schemas are called {name}, which Avro forbids")));
            }
            Some(_) => {}
            None => drop(self.named.insert(Arc::clone(&name), Arc::new(definition))),
        }
        Ok(Node::plain(Type::Named(name)))
    }
}
