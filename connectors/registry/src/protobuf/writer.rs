//! A plan for writing records of one Connect schema as one message type.
use crate::protobuf::ProtobufOptions;
use crate::protobuf::describe::{members, union_of};
use crate::protobuf::known;
use crate::protobuf::model::{FieldOf, Found, Label, Message, Scalar, TypeOf, Types};
use crate::protobuf::reader::{entry_of, wrapped_scalar};
use elasticflow_api::data::{Field, Kind, SchemaRef, Text, Value};
use elasticflow_formats::FormatError;
use elasticflow_formats::java::type_name;
use elasticflow_formats::logical::{Logical, logical_of};
use std::collections::HashMap;
use std::sync::Arc;

/// A message: a part for each of the struct's fields.
pub(crate) struct Plan {
    pub(crate) fields: Arc<[Field]>,
    pub(crate) parts: Box<[Part]>,
}

/// What a field of the struct becomes.
pub(crate) enum Part {
    /// A field of the message.
    Field(FieldPlan),
    /// A struct that stands for a oneof: one for each of its fields.
    Union(Box<[FieldPlan]>),
    /// The registered schema has no such field.
    Left,
}

pub(crate) struct FieldPlan {
    pub(crate) number: u32,
    /// Whether the type's own zero is left out.
    pub(crate) omit_zero: bool,
    /// What a null is written as; none leaves it out.
    pub(crate) null: Option<Value>,
    pub(crate) optional: bool,
    pub(crate) write: Write,
}

pub(crate) enum Write {
    Scalar(Scalar),
    Enum(HashMap<Text, i32>),
    Message(Plan),
    Wrapped(Scalar),
    Decimal(i32),
    Date,
    Time,
    Timestamp,
    Packed(Box<Write>),
    Repeated(Box<Write>),
    Map(Box<(Write, Write)>),
}

/// Prepares writing.
pub(crate) fn plan(
    schema: &SchemaRef,
    (types, full, message): (&Types, &str, &Message),
    options: &ProtobufOptions,
    strict: bool,
) -> Result<Plan, FormatError> {
    let Kind::Struct(fields) = &schema.kind else { return Err(FormatError::data("Protobuf messages are structs")) };
    Planner { types, options, strict, path: Vec::new() }.message(fields, full, message)
}

struct Planner<'a> {
    types: &'a Types,
    options: &'a ProtobufOptions,
    strict: bool,
    path: Vec<String>,
}

impl Planner<'_> {
    fn misfit<T>(&self, problem: &str) -> Result<T, FormatError> {
        let at = if self.path.is_empty() { String::new() } else { format!("field {}: ", self.path.join(".")) };
        Err(FormatError::data(format!("{at}{problem}")))
    }

    fn message(&mut self, fields: &Arc<[Field]>, full: &str, message: &Message) -> Result<Plan, FormatError> {
        let parts = fields.iter().map(|field| {
            self.path.push(field.name.to_string());
            let part = self.part(field, full, message);
            self.path.pop();
            part
        });
        Ok(Plan { parts: parts.collect::<Result<_, _>>()?, fields: Arc::clone(fields) })
    }

    fn part(&mut self, field: &Field, full: &str, message: &Message) -> Result<Part, FormatError> {
        if union_of(&field.schema).is_some() {
            let inner = members(&field.schema).iter().map(|member| match self.field(member, full, message)? {
                Some(plan) => Ok(plan),
                None => self.misfit(&format!("the registered schema lacks {}", member.name)),
            });
            return Ok(Part::Union(inner.collect::<Result<_, _>>()?));
        }
        Ok(match self.field(field, full, message)? {
            Some(plan) => Part::Field(plan),
            None if self.strict => return self.misfit("the registered schema lacks it"),
            None => Part::Left,
        })
    }

    fn field(&mut self, field: &Field, full: &str, message: &Message) -> Result<Option<FieldPlan>, FormatError> {
        let name = self.options.name(&field.name)?;
        let Some(of) = message.fields.iter().find(|of| of.name == name) else { return Ok(None) };
        let write = self.repeated(&field.schema, full, of)?;
        Ok(Some(FieldPlan {
            number: of.number,
            omit_zero: of.label == Label::Plain && matches!(write, Write::Scalar(_) | Write::Enum(_)),
            null: self.options.default_of(&field.schema).cloned(),
            optional: field.schema.optional,
            write,
        }))
    }

    fn repeated(&mut self, schema: &SchemaRef, full: &str, of: &FieldOf) -> Result<Write, FormatError> {
        let repeated = of.label == Label::Repeated;
        match &schema.kind {
            Kind::Array(item) if repeated => {
                let item = self.of(item, full, &of.kind)?;
                let packable = match &item {
                    Write::Scalar(scalar) => !matches!(scalar, Scalar::String | Scalar::Bytes),
                    Write::Enum(_) => true,
                    _ => false,
                };
                Ok(if packable { Write::Packed(Box::new(item)) } else { Write::Repeated(Box::new(item)) })
            }
            Kind::Map { key, value } if repeated => self.map(key, value, full, &of.kind),
            _ if repeated => self.misfit("a single value does not fit a repeated field"),
            _ => self.of(schema, full, &of.kind),
        }
    }

    fn map(&mut self, key: &SchemaRef, value: &SchemaRef, full: &str, kind: &TypeOf) -> Result<Write, FormatError> {
        let (key_kind, value_kind, scope) = match kind {
            TypeOf::Map(key, value) => (TypeOf::Scalar(*key), (**value).clone(), full.to_owned()),
            TypeOf::Named(name) => match self.types.find(full, name) {
                Some(Found::Message(scope, message)) => match entry_of(&message) {
                    Some((key, value)) => (key.kind.clone(), value.kind.clone(), scope),
                    None => return self.misfit("a map does not fit a message that is no entry"),
                },
                _ => return self.misfit("a map does not fit the type of the registered schema"),
            },
            TypeOf::Scalar(_) => return self.misfit("a map does not fit the type of the registered schema"),
        };
        let parts = (self.of(key, &scope, &key_kind)?, self.of(value, &scope, &value_kind)?);
        Ok(Write::Map(Box::new(parts)))
    }

    fn of(&mut self, schema: &SchemaRef, full: &str, kind: &TypeOf) -> Result<Write, FormatError> {
        match kind {
            TypeOf::Scalar(scalar) if logical_of(schema).is_none() && fits(&schema.kind, *scalar) => {
                Ok(Write::Scalar(*scalar))
            }
            TypeOf::Named(name) => match self.types.find(full, name) {
                Some(Found::Enum(of)) if schema.kind == Kind::String => {
                    let numbered = of.symbols.iter().map(|(symbol, n)| (Text::from(symbol.as_str()), *n));
                    Ok(Write::Enum(numbered.collect()))
                }
                Some(Found::Message(full, message)) => self.named(schema, &full, &message),
                _ => self.misfit(&format!("{} does not fit the type {name}", type_name(&schema.kind))),
            },
            _ => self.misfit(&format!("{} does not fit the type of the registered schema", type_name(&schema.kind))),
        }
    }

    fn named(&mut self, schema: &SchemaRef, full: &str, message: &Message) -> Result<Write, FormatError> {
        let own = match (logical_of(schema), full) {
            (Some(Logical::Decimal(Some(scale))), known::DECIMAL) => Some(Write::Decimal(scale)),
            (Some(Logical::Date), known::DATE) => Some(Write::Date),
            (Some(Logical::Time), known::TIME) => Some(Write::Time),
            (Some(Logical::Timestamp), known::TIMESTAMP) => Some(Write::Timestamp),
            (None, _) => wrapped_scalar(full).filter(|scalar| fits(&schema.kind, *scalar)).map(Write::Wrapped),
            _ => None,
        };
        match (own, &schema.kind) {
            (Some(write), _) => Ok(write),
            (None, Kind::Struct(fields)) => self.message(fields, full, message).map(Write::Message),
            (None, kind) => self.misfit(&format!("{} does not fit the message {full}", type_name(kind))),
        }
    }
}

/// Whether every value of a kind is one of the type, or is refused when it is written.
fn fits(kind: &Kind, scalar: Scalar) -> bool {
    match kind {
        Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => {
            !matches!(scalar, Scalar::Float | Scalar::Double | Scalar::Bool | Scalar::String | Scalar::Bytes)
        }
        Kind::Float32 => matches!(scalar, Scalar::Float | Scalar::Double),
        Kind::Float64 => scalar == Scalar::Double,
        Kind::Boolean => scalar == Scalar::Bool,
        Kind::String => scalar == Scalar::String,
        Kind::Bytes => scalar == Scalar::Bytes,
        Kind::Array(_) | Kind::Map { .. } | Kind::Struct(_) => false,
    }
}
