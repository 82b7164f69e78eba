//! A plan for reading messages of one type, with the Connect schema that they have.
use crate::protobuf::ProtobufOptions;
use crate::protobuf::known;
use crate::protobuf::model::{Enum, FieldOf, Found, Label, Message, Scalar, TypeOf, Types};
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef, Text, Value};
use elasticflow_formats::FormatError;
use elasticflow_formats::logical::{DATE, DECIMAL, TIME, TIMESTAMP};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

type Parameters = BTreeMap<Arc<str>, Arc<str>>;

/// A message type: where its fields go, and what they are when they are absent.
pub(crate) struct Plan {
    pub(crate) by_number: HashMap<u32, Part>,
    pub(crate) absent: Vec<Value>,
}

/// A field.
pub(crate) struct Part {
    /// Its place in the struct.
    pub(crate) slot: usize,
    /// A field of a oneof: the struct of the oneof, and the place there.
    pub(crate) union: Option<(SchemaRef, usize)>,
    pub(crate) repeated: bool,
    pub(crate) read: Read,
}

/// How a value is read.
pub(crate) enum Read {
    Scalar(Scalar),
    Int8(Scalar),
    Int16(Scalar),
    Enum(HashMap<i32, Text>),
    Message(SchemaRef, Arc<Plan>),
    /// The value of a wrapper message.
    Wrapped(Box<Read>),
    Decimal(i32),
    Date,
    Time,
    Timestamp,
    /// An entry of a map, with what key and value are when they are absent.
    Entry(Box<[(Read, Value); 2]>),
}

/// A message type with its schema.
pub(crate) struct Root {
    pub(crate) schema: SchemaRef,
    pub(crate) plan: Arc<Plan>,
}

/// Prepares reading a message type.
pub(crate) fn plan(
    types: &Types,
    full: &str,
    version: Option<i32>,
    options: &ProtobufOptions,
) -> Result<Root, FormatError> {
    let Some(Found::Message(full, message)) = types.find("", full) else {
        return Err(super::bad(&format!("the message {full} is not declared")));
    };
    let mut planner = Planner { types, options, open: Vec::new(), messages: HashMap::new() };
    let (fields, plan) = planner.message(&full, &message)?;
    let mut schema = plain(Kind::Struct(fields));
    schema.name = Some(planner.struct_name(&full).into());
    schema.version = version;
    Ok(Root { schema: Arc::new(schema), plan })
}

struct Planner<'a> {
    types: &'a Types,
    options: &'a ProtobufOptions,
    /// Types that are being read: one that holds itself has no Connect schema.
    open: Vec<String>,
    messages: HashMap<String, (Arc<[Field]>, Arc<Plan>)>,
}

impl Planner<'_> {
    fn struct_name(&self, full: &str) -> String {
        if self.options.enhanced { full.to_owned() } else { full.rsplit('.').next().unwrap_or(full).to_owned() }
    }

    fn message(&mut self, full: &str, message: &Message) -> Result<(Arc<[Field]>, Arc<Plan>), FormatError> {
        if let Some((fields, plan)) = self.messages.get(full) {
            return Ok((Arc::clone(fields), Arc::clone(plan)));
        }
        if self.open.iter().any(|open| open == full) {
            return Err(super::bad(&format!("{full} holds itself, which Connect's data model cannot say")));
        }
        self.open.push(full.to_owned());
        let mut made = Made::default();
        for (place, oneof) in message.oneofs.iter().enumerate() {
            self.oneof(full, message, (place, oneof), &mut made)?;
        }
        for field in message.fields.iter().filter(|field| field.oneof.is_none()) {
            let (schema, read, absent) = self.field(full, field)?;
            let repeated = field.label == Label::Repeated;
            made.by_number.insert(field.number, Part { slot: made.fields.len(), union: None, repeated, read });
            made.fields.push(Field { name: field.name.as_str().into(), schema });
            made.absent.push(absent);
        }
        self.open.pop();
        let plan = Arc::new(Plan { by_number: made.by_number, absent: made.absent });
        let fields: Arc<[Field]> = made.fields.into();
        self.messages.insert(full.to_owned(), (Arc::clone(&fields), Arc::clone(&plan)));
        Ok((fields, plan))
    }

    /// A oneof is a struct of nullable fields.
    fn oneof(
        &mut self,
        full: &str,
        message: &Message,
        (place, name): (usize, &str),
        made: &mut Made,
    ) -> Result<(), FormatError> {
        let (mut fields, mut reads) = (Vec::new(), Vec::new());
        for field in message.fields.iter().filter(|field| field.oneof == Some(place)) {
            let (schema, read, _) = self.field(full, field)?;
            let schema = Arc::new(Schema { optional: true, ..(*schema).clone() });
            reads.push((field.number, fields.len(), read));
            fields.push(Field { name: field.name.as_str().into(), schema });
        }
        let mut schema = plain(Kind::Struct(fields.into()));
        schema.name = Some(format!("{}{name}", known::UNION).into());
        schema.optional = true;
        let schema = Arc::new(schema);
        for (number, inner, read) in reads {
            let union = Some((Arc::clone(&schema), inner));
            made.by_number.insert(number, Part { slot: made.fields.len(), union, repeated: false, read });
        }
        made.fields.push(Field { name: format!("{name}_{place}").into(), schema });
        made.absent.push(Value::Null);
        Ok(())
    }

    fn field(&mut self, scope: &str, field: &FieldOf) -> Result<(SchemaRef, Read, Value), FormatError> {
        let (mut schema, read) = self.of(scope, &field.kind, &field.parameters)?;
        let is_map = matches!(schema.kind, Kind::Map { .. });
        let mut absent = match (&read, field.label) {
            (Read::Scalar(_) | Read::Int8(_) | Read::Int16(_) | Read::Enum(_), Label::Plain) => zero(&read, &schema),
            _ => Value::Null,
        };
        if field.label == Label::Repeated {
            absent = if is_map { Value::Map(Vec::new()) } else { Value::Array(Vec::new()) };
            if !is_map {
                schema.optional = true;
                schema = plain(Kind::Array(Arc::new(schema)));
                schema.optional = true;
            }
        }
        // Without one of these, Confluent's converter calls every field nullable.
        let implied = !self.options.optional_for_nullables && !self.options.wrapper_for_nullables;
        schema.optional |= implied || (self.options.optional_for_nullables && field.label == Label::Present);
        schema.parameters.insert(known::TAG.into(), field.number.to_string().into());
        Ok((Arc::new(schema), read, absent))
    }

    fn of(
        &mut self,
        scope: &str,
        kind: &TypeOf,
        parameters: &BTreeMap<String, String>,
    ) -> Result<(Schema, Read), FormatError> {
        match kind {
            TypeOf::Scalar(scalar) => Ok(scalar_of(*scalar, parameters.get(known::CONNECT_TYPE).map(String::as_str))),
            TypeOf::Map(key, value) => {
                let (key, read_key) = scalar_of(*key, None);
                let (value, read_value) = self.of(scope, value, &BTreeMap::new())?;
                Ok(entries(key, read_key, value, read_value))
            }
            TypeOf::Named(name) => match self.types.find(scope, name) {
                Some(Found::Enum(of)) => Ok(enum_of(&of)),
                Some(Found::Message(full, message)) => self.message_field(&full, &message, parameters),
                None => Err(super::bad(&format!("the type {name} is not declared"))),
            },
        }
    }

    fn message_field(
        &mut self,
        full: &str,
        message: &Message,
        parameters: &BTreeMap<String, String>,
    ) -> Result<(Schema, Read), FormatError> {
        let (mut schema, read) = match full {
            known::DECIMAL => decimal(parameters),
            known::DATE => (logical(Kind::Int32, DATE), Read::Date),
            known::TIME => (logical(Kind::Int32, TIME), Read::Time),
            known::TIMESTAMP => (logical(Kind::Int64, TIMESTAMP), Read::Timestamp),
            _ => match wrapped(full, parameters).filter(|_| self.options.wrapper_for_nullables) {
                Some((schema, read)) => (schema, Read::Wrapped(Box::new(read))),
                None => match entry_of(message) {
                    Some((key, value)) => {
                        let (key, read_key) = self.of(full, &key.kind, &BTreeMap::new())?;
                        let (value, read_value) = self.of(full, &value.kind, &BTreeMap::new())?;
                        return Ok(entries(key, read_key, value, read_value));
                    }
                    None => {
                        let (fields, plan) = self.message(full, message)?;
                        let mut schema = plain(Kind::Struct(fields));
                        schema.name = Some(self.struct_name(full).into());
                        schema.optional = true;
                        let read = Read::Message(Arc::new(schema.clone()), plan);
                        (schema, read)
                    }
                },
            },
        };
        schema.optional = true;
        Ok((schema, read))
    }
}

#[derive(Default)]
struct Made {
    fields: Vec<Field>,
    absent: Vec<Value>,
    by_number: HashMap<u32, Part>,
}

/// Key and value of a message that is the entry of a map.
pub(crate) fn entry_of(message: &Message) -> Option<(&FieldOf, &FieldOf)> {
    match message.fields.as_slice() {
        [key, value] if message.name.ends_with("Entry") && key.name == "key" && value.name == "value" => {
            (key.number == 1 && value.number == 2).then_some((key, value))
        }
        _ => None,
    }
}

fn entries(key: Schema, read_key: Read, value: Schema, read_value: Read) -> (Schema, Read) {
    let absent = (zero(&read_key, &key), zero(&read_value, &value));
    let read = Read::Entry(Box::new([(read_key, absent.0), (read_value, absent.1)]));
    (plain(Kind::Map { key: Arc::new(key), value: Arc::new(value) }), read)
}

fn plain(kind: Kind) -> Schema {
    Schema { kind, name: None, version: None, optional: false, default: None, doc: None, parameters: Parameters::new() }
}

fn logical(kind: Kind, name: &str) -> Schema {
    Schema { name: Some(name.into()), version: Some(1), ..plain(kind) }
}

fn decimal(parameters: &BTreeMap<String, String>) -> (Schema, Read) {
    let scale: i32 = parameters.get(known::SCALE).and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut schema = logical(Kind::Bytes, DECIMAL);
    schema.parameters.insert(known::SCALE.into(), scale.to_string().into());
    if let Some(precision) = parameters.get(known::PRECISION) {
        schema.parameters.insert(known::CONNECT_PRECISION.into(), precision.as_str().into());
    }
    (schema, Read::Decimal(scale))
}

fn enum_of(of: &Enum) -> (Schema, Read) {
    let mut schema = plain(Kind::String);
    schema.name = Some(of.name.as_str().into());
    schema.optional = true;
    schema.parameters.insert(known::ENUM.into(), of.name.as_str().into());
    for (symbol, number) in &of.symbols {
        schema.parameters.insert(format!("{}.{symbol}", known::ENUM).into(), number.to_string().into());
    }
    let texts = of.symbols.iter().rev().map(|(symbol, number)| (*number, Text::from(symbol.as_str())));
    (schema, Read::Enum(texts.collect()))
}

fn scalar_of(scalar: Scalar, connect_type: Option<&str>) -> (Schema, Read) {
    let (kind, read) = match (scalar, connect_type) {
        (Scalar::Int32 | Scalar::Sint32 | Scalar::Sfixed32, Some("int8")) => (Kind::Int8, Read::Int8(scalar)),
        (Scalar::Int32 | Scalar::Sint32 | Scalar::Sfixed32, Some("int16")) => (Kind::Int16, Read::Int16(scalar)),
        (Scalar::Int32 | Scalar::Sint32 | Scalar::Sfixed32, _) => (Kind::Int32, Read::Scalar(scalar)),
        (Scalar::Float, _) => (Kind::Float32, Read::Scalar(scalar)),
        (Scalar::Double, _) => (Kind::Float64, Read::Scalar(scalar)),
        (Scalar::Bool, _) => (Kind::Boolean, Read::Scalar(scalar)),
        (Scalar::String, _) => (Kind::String, Read::Scalar(scalar)),
        (Scalar::Bytes, _) => (Kind::Bytes, Read::Scalar(scalar)),
        _ => (Kind::Int64, Read::Scalar(scalar)),
    };
    (plain(kind), read)
}

/// What a wrapper message holds.
pub(crate) fn wrapped_scalar(full: &str) -> Option<Scalar> {
    Some(match full.strip_prefix("google.protobuf.")? {
        "DoubleValue" => Scalar::Double,
        "FloatValue" => Scalar::Float,
        "Int64Value" => Scalar::Int64,
        "UInt64Value" => Scalar::Uint64,
        "Int32Value" => Scalar::Int32,
        "UInt32Value" => Scalar::Uint32,
        "BoolValue" => Scalar::Bool,
        "StringValue" => Scalar::String,
        "BytesValue" => Scalar::Bytes,
        _ => return None,
    })
}

fn wrapped(full: &str, parameters: &BTreeMap<String, String>) -> Option<(Schema, Read)> {
    wrapped_scalar(full).map(|scalar| scalar_of(scalar, parameters.get(known::CONNECT_TYPE).map(String::as_str)))
}

/// What an absent value of a type is.
pub(crate) fn zero(read: &Read, schema: &Schema) -> Value {
    match (read, &schema.kind) {
        (Read::Enum(texts), _) => texts.get(&0).map_or(Value::Null, |text| Value::String(text.clone())),
        (Read::Scalar(_) | Read::Int8(_) | Read::Int16(_), kind) => match kind {
            Kind::Int8 => Value::Int8(0),
            Kind::Int16 => Value::Int16(0),
            Kind::Int32 => Value::Int32(0),
            Kind::Int64 => Value::Int64(0),
            Kind::Float32 => Value::Float32(0.0),
            Kind::Float64 => Value::Float64(0.0),
            Kind::Boolean => Value::Boolean(false),
            Kind::String => Value::String(Text::new()),
            Kind::Bytes => Value::Bytes(bytes::Bytes::new()),
            _ => Value::Null,
        },
        _ => Value::Null,
    }
}
