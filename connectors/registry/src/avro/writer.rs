//! A plan for writing records of one Connect schema with one Avro schema.
use crate::avro::AvroOptions;
use crate::avro::binary::put_long;
use crate::avro::foreign_default::{encode_default, is_entry};
use crate::avro::names::{self, UNION};
use crate::avro::schema::{AvroSchema, Definition, FieldOf, Named, Node, Type};
use bytes::BytesMut;
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef, Text};
use elasticflow_formats::FormatError;
use elasticflow_formats::java::type_name;
use std::collections::HashMap;
use std::sync::Arc;

/// A value's part in the plan.
pub(crate) struct Write {
    pub(crate) shape: Shape,
    /// Number of the union's branch, written before the value.
    pub(crate) branch: Option<i64>,
    /// What a null is written as; `None` refuses it.
    pub(crate) null: Option<Box<[u8]>>,
}

pub(crate) enum Shape {
    /// An int8, int16 or int32 to Avro's int or long, which are written alike.
    Int,
    Long,
    Float,
    FloatAsDouble,
    Double,
    Boolean,
    Bytes,
    /// Byte strings that are the whole message stand there without their length.
    Whole,
    Fixed(usize),
    Text,
    Enum(HashMap<Text, i64>),
    Array(Box<Write>),
    /// A map with text keys.
    Map(Box<Write>),
    /// Any other map.
    Entries(Box<(Write, Write)>),
    Record {
        parts: Box<[Part]>,
        fields: Arc<[Field]>,
    },
    /// A struct that stands for a union; one for each field.
    Union(Box<[Write]>),
    /// Data without a schema.
    Anything,
}

/// A field of the Avro record.
pub(crate) enum Part {
    /// The record's own, by its place.
    Field(usize, Write),
    /// One that the records lack: its default.
    Constant(Box<[u8]>),
}

/// Prepares writing.
pub(crate) fn plan(
    schema: &SchemaRef,
    target: &AvroSchema,
    options: &AvroOptions,
    strict: bool,
) -> Result<Write, FormatError> {
    let mut planner = Planner { target, options, strict, path: Vec::new() };
    let mut write = planner.node(schema, &target.root)?;
    if target.root.kind == Type::Bytes {
        write.shape = Shape::Whole;
        write.null = None;
    }
    Ok(write)
}

struct Planner<'a> {
    target: &'a AvroSchema,
    options: &'a AvroOptions,
    strict: bool,
    path: Vec<String>,
}

impl Planner<'_> {
    fn misfit<T>(&self, problem: &str) -> Result<T, FormatError> {
        let at = if self.path.is_empty() { String::new() } else { format!("field {}: ", self.path.join(".")) };
        Err(FormatError::data(format!("{at}{problem}")))
    }

    fn node(&mut self, schema: &SchemaRef, node: &Node) -> Result<Write, FormatError> {
        let mut write = self.without_default(schema, node)?;
        if let Some(default) = self.options.default_of(schema) {
            let mut bytes = BytesMut::new();
            crate::avro::encode::write(&write, default, &mut bytes)?;
            write.null = Some(bytes.to_vec().into());
        }
        Ok(write)
    }

    /// As an item of an array or map: a null there is no default.
    fn without_default(&mut self, schema: &SchemaRef, node: &Node) -> Result<Write, FormatError> {
        let Type::Union(branches) = &node.kind else {
            return Ok(Write { shape: self.shape(schema, node)?, branch: None, null: None });
        };
        let number = |place: usize| i64::try_from(place).unwrap_or(0);
        let null = branches.iter().position(Node::is_null).map(|place| {
            let mut bytes = BytesMut::new();
            put_long(number(place), &mut bytes);
            bytes.to_vec().into()
        });
        if schema.name.as_deref() == Some(UNION)
            && let Kind::Struct(fields) = &schema.kind
        {
            return Ok(Write { shape: self.union(fields, branches)?, branch: None, null });
        }
        let mut reason = None;
        for (place, branch) in branches.iter().enumerate().filter(|(_, branch)| !branch.is_null()) {
            match self.shape(schema, branch) {
                Ok(shape) => return Ok(Write { shape, branch: Some(number(place)), null }),
                Err(error) => reason = reason.or(Some(error)),
            }
        }
        reason.map_or_else(|| self.misfit("a union of nothing but null"), Err)
    }

    fn shape(&mut self, schema: &SchemaRef, node: &Node) -> Result<Shape, FormatError> {
        self.check_logical(schema, node)?;
        Ok(match (&schema.kind, &node.kind) {
            (Kind::Int8 | Kind::Int16 | Kind::Int32, Type::Int | Type::Long) => Shape::Int,
            (Kind::Int64, Type::Long) => Shape::Long,
            (Kind::Float32, Type::Float) => Shape::Float,
            (Kind::Float32, Type::Double) => Shape::FloatAsDouble,
            (Kind::Float64, Type::Double) => Shape::Double,
            (Kind::Boolean, Type::Boolean) => Shape::Boolean,
            (Kind::String, Type::String) => Shape::Text,
            (Kind::Bytes, Type::Bytes) => Shape::Bytes,
            (Kind::Array(item), Type::Array(node)) => Shape::Array(Box::new(self.without_default(item, node)?)),
            (Kind::Map { key, value }, Type::Map(node)) if key.kind == Kind::String => {
                Shape::Map(Box::new(self.without_default(value, node)?))
            }
            (Kind::Map { key, value }, Type::Array(node)) => self.entries(key, value, node)?,
            (_, Type::Named(name)) => match self.target.named.get(name).map(Arc::clone) {
                Some(definition) => self.named(schema, &definition)?,
                None => return self.misfit("a type without a definition"),
            },
            (kind, _) => {
                return self.misfit(&format!("{} does not fit the type of the registered schema", type_name(kind)));
            }
        })
    }

    fn named(&mut self, schema: &SchemaRef, definition: &Definition) -> Result<Shape, FormatError> {
        match (&schema.kind, &definition.kind) {
            (Kind::Struct(fields), Named::Record(members)) => self.record(fields, members),
            (Kind::String, Named::Enum(symbols)) => {
                let numbered = symbols.iter().zip(0_i64..).map(|(symbol, n)| (Text::from(symbol.as_str()), n));
                Ok(Shape::Enum(numbered.collect()))
            }
            (Kind::Bytes, Named::Fixed(size)) => Ok(Shape::Fixed(*size)),
            (kind, _) => self.misfit(&format!("{} does not fit the type {}", type_name(kind), definition.name)),
        }
    }

    fn record(&mut self, fields: &Arc<[Field]>, members: &[FieldOf]) -> Result<Shape, FormatError> {
        let mut places = HashMap::with_capacity(fields.len());
        for (place, field) in fields.iter().enumerate() {
            places.insert(names::name(&field.name, self.options.scrub)?, (place, field));
        }
        let mut parts = Vec::with_capacity(members.len());
        for member in members {
            self.path.push(member.name.clone());
            parts.push(match (places.remove(&member.name), &member.default) {
                (Some((place, field)), _) => Part::Field(place, self.node(&field.schema, &member.node)?),
                (None, Some(default)) => Part::Constant(encode_default(self.target, &member.node, default)?),
                (None, None) => return self.misfit("the records lack it and the registered schema has no default"),
            });
            self.path.pop();
        }
        if let Some(left) = places.keys().next().filter(|_| self.strict) {
            return self.misfit(&format!(
                "the registered schema lacks the records' field {left}; latest.compatibility.strict=false leaves it out"
            ));
        }
        Ok(Shape::Record { parts: parts.into(), fields: Arc::clone(fields) })
    }

    fn entries(&mut self, key: &SchemaRef, value: &SchemaRef, node: &Node) -> Result<Shape, FormatError> {
        let definition = self.target.definition(node).map(Arc::clone);
        match definition.as_deref().and_then(is_entry) {
            Some((key_node, value_node)) => {
                let parts = (self.without_default(key, key_node)?, self.without_default(value, value_node)?);
                Ok(Shape::Entries(Box::new(parts)))
            }
            None => self.misfit("a map does not fit an array of anything but records of key and value"),
        }
    }

    fn union(&mut self, fields: &[Field], branches: &[Node]) -> Result<Shape, FormatError> {
        let mut writes: Vec<Write> = Vec::with_capacity(fields.len());
        for field in fields {
            let mut found = None;
            for (place, branch) in branches.iter().enumerate().filter(|(_, branch)| !branch.is_null()) {
                let taken = writes.iter().any(|w| w.branch == i64::try_from(place).ok());
                if !taken && let Ok(shape) = self.shape(&field.schema, branch) {
                    found = Some(Write { shape, branch: i64::try_from(place).ok(), null: None });
                    break;
                }
            }
            match found {
                Some(write) => writes.push(write),
                None => return self.misfit(&format!("no branch of the union fits {}", field.name)),
            }
        }
        Ok(Shape::Union(writes.into()))
    }

    /// A number must not be taken for another unit or scale.
    fn check_logical(&self, schema: &Schema, node: &Node) -> Result<(), FormatError> {
        const UNITS: [(&str, &str); 7] = [
            ("org.apache.kafka.connect.data.Date", "date"),
            ("io.debezium.time.Date", "date"),
            ("org.apache.kafka.connect.data.Time", "time-millis"),
            ("io.debezium.time.Time", "time-millis"),
            ("io.debezium.time.MicroTime", "time-micros"),
            ("org.apache.kafka.connect.data.Timestamp", "timestamp-millis"),
            ("io.debezium.time.MicroTimestamp", "timestamp-micros"),
        ];
        let (name, logical) = (schema.name.as_deref(), node.text_prop(names::P_LOGICAL));
        let unit = UNITS.iter().find(|(of, _)| name == Some(*of)).map(|(_, unit)| *unit);
        if let (Some(unit), Some(logical)) = (unit, logical)
            && unit != logical
            && UNITS.iter().any(|(_, known)| *known == logical)
        {
            return self.misfit(&format!("the records' {unit} is not the registered {logical}"));
        }
        let scale = schema.parameters.get("scale").filter(|_| name == Some(elasticflow_formats::logical::DECIMAL));
        if let (Some(scale), Some("decimal")) = (scale, logical) {
            let registered = node.props.get("scale").and_then(serde_json::Value::as_i64).unwrap_or(0);
            if scale.parse() != Ok(registered) {
                return self.misfit(&format!("the records' scale {scale} is not the registered {registered}"));
            }
        }
        Ok(())
    }
}
