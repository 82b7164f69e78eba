//! What is prepared once per schema for writing.
use crate::error::FormatError;
use crate::json::escape::write_string;
use crate::json::{encode, schema_writer};
use crate::logical::{Logical, logical_of};
use crate::schema_cache::SchemaCache;
use bytes::{Bytes, BytesMut};
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef, Value};
use elasticflow_api::written::JsonForm;
use std::sync::Arc;

/// How a decimal is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalStyle {
    /// Base64 of the unscaled bytes; Connect's default.
    Base64,
    /// A JSON number with every digit.
    Number,
    /// A JSON text with every digit.
    Text,
    /// A JSON number of double precision.
    Double,
}

/// How dates and times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemporalStyle {
    /// The physical number, as Connect does.
    Number,
    /// Dates, times and timestamps finer than milliseconds as ISO 8601 text; timestamps in milliseconds stay numbers.
    /// Debezium's temporal types count too.
    Text,
}

/// What happens to NaN and the infinities, which JSON has no numbers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotFinite {
    /// Written as text, as Connect does.
    Text,
    /// The record is bad.
    Refuse,
}

/// How maps are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapStyle {
    /// As Connect does: text keys make an object, other keys a list of pairs.
    Connect,
    /// Text keys make an object, other keys a list of `{"key":…,"value":…}`.
    Objects,
    /// Every map is a list of `{"key":…,"value":…}`.
    Entries,
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Decimals.
    pub decimal: DecimalStyle,
    /// Dates and times.
    pub temporal: TemporalStyle,
    /// NaN and infinities.
    pub not_finite: NotFinite,
    /// Maps that have a schema.
    pub maps: MapStyle,
    /// Whether a null takes the default of its schema.
    pub replace_null_with_default: bool,
    /// Whether nulls of nullable fields are left out.
    pub omit_null: bool,
    /// Name of structs that stand for the one field that is set; none of them does without.
    pub one_of: Option<&'static str>,
}

impl Style {
    /// Connect's own.
    pub const CONNECT: Self = Self {
        decimal: DecimalStyle::Base64,
        temporal: TemporalStyle::Number,
        not_finite: NotFinite::Text,
        maps: MapStyle::Connect,
        replace_null_with_default: true,
        omit_null: false,
        one_of: None,
    };
}

/// A schema made ready for writing values of it.
pub struct Plan {
    node: Node,
    envelope: Bytes,
}

impl Plan {
    /// Prepares a schema.
    ///
    /// # Errors
    /// A default that does not fit its own schema.
    pub fn new(schema: &SchemaRef, style: &Style) -> Result<Self, FormatError> {
        let mut envelope = BytesMut::new();
        envelope.extend_from_slice(b"{\"schema\":");
        schema_writer::write_schema(schema, None, style, &mut envelope)?;
        envelope.extend_from_slice(b",\"payload\":");
        Ok(Self { node: Node::new(schema, style)?, envelope: envelope.freeze() })
    }

    /// Prepares a schema whose values are only written without it: nothing stands before them.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_payload(schema: &SchemaRef, style: &Style) -> Result<Self, FormatError> {
        Ok(Self { node: Node::new(schema, style)?, envelope: Bytes::new() })
    }

    /// Appends a value.
    ///
    /// # Errors
    /// The value does not fit the schema; what was appended by then stays.
    pub fn write(&self, value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
        encode::write(&self.node, value, out)
    }

    /// What stands before the value when the schema is written with it; `}` follows the value.
    pub fn lead(&self) -> &Bytes {
        &self.envelope
    }

    /// Appends schema and value as one object.
    ///
    /// # Errors
    /// As [`Plan::write`].
    pub fn write_with_schema(&self, value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
        out.extend_from_slice(&self.envelope);
        self.write(value, out)?;
        out.extend_from_slice(b"}");
        Ok(())
    }
}

impl From<JsonForm> for Style {
    fn from(form: JsonForm) -> Self {
        let decimal = if form.decimals_as_base64 { DecimalStyle::Base64 } else { DecimalStyle::Number };
        Self { decimal, replace_null_with_default: form.nulls_take_defaults, ..Self::CONNECT }
    }
}

/// Plans of one style, by schema.
pub struct Plans {
    style: Style,
    cache: SchemaCache<Plan>,
}

impl Plans {
    /// At most `max` plans.
    pub fn new(style: Style, max: usize) -> Self {
        Self { style, cache: SchemaCache::new(max) }
    }

    /// The plan of a schema.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn of(&self, schema: &SchemaRef) -> Result<Arc<Plan>, FormatError> {
        self.cache.of(schema, |schema| Plan::new(schema, &self.style))
    }

    /// The style.
    pub fn style(&self) -> &Style {
        &self.style
    }
}

/// A schema's part in a plan.
pub(crate) struct Node {
    pub(crate) shape: Shape,
    pub(crate) null: Null,
}

/// What is written for a null.
pub(crate) enum Null {
    Write(Box<[u8]>),
    Refuse,
}

pub(crate) enum Shape {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32(NotFinite),
    Float64(NotFinite),
    Boolean,
    Text,
    Base64,
    Decimal {
        scale: i32,
        style: DecimalStyle,
    },
    Moment(Moment),
    Array(Box<Node>),
    /// A map with text keys.
    Object(Box<Node>),
    /// Any other map.
    Pairs(Box<(Node, Node)>),
    /// A map as a list of objects.
    Entries(Box<(Node, Node)>),
    Struct {
        members: Box<[Member]>,
        fields: Arc<[Field]>,
    },
    /// A struct whose nulls are left out.
    Sparse {
        members: Box<[Member]>,
        fields: Arc<[Field]>,
    },
    /// A struct that stands for the one field that is set.
    OneOf {
        nodes: Box<[Node]>,
        fields: Arc<[Field]>,
    },
}

/// A field of a struct with what stands before its value: brace or comma, name, colon.
pub(crate) struct Member {
    pub(crate) lead: Box<[u8]>,
    pub(crate) node: Node,
}

/// A date or time written as text. `digits` of the fraction: 3 for milliseconds, 6, 9.
#[derive(Clone, Copy)]
pub(crate) enum Moment {
    Date,
    Time { digits: u32 },
    Timestamp { digits: u32 },
}

impl Node {
    /// A node that refuses null: what a default is written by.
    pub(crate) fn without_default(schema: &Schema, style: &Style) -> Result<Self, FormatError> {
        Ok(Self { shape: Shape::new(schema, style)?, null: Null::Refuse })
    }

    pub(crate) fn new(schema: &SchemaRef, style: &Style) -> Result<Self, FormatError> {
        let mut node = Self::without_default(schema, style)?;
        node.null = match &schema.default {
            Some(default) if style.replace_null_with_default => {
                let mut rendered = BytesMut::new();
                encode::write(&node, default, &mut rendered)?;
                Null::Write(rendered.to_vec().into())
            }
            _ if schema.optional => Null::Write(b"null".as_slice().into()),
            _ => Null::Refuse,
        };
        Ok(node)
    }
}

impl Shape {
    fn new(schema: &Schema, style: &Style) -> Result<Self, FormatError> {
        Ok(match &schema.kind {
            Kind::Int8 => Self::Int8,
            Kind::Int16 => Self::Int16,
            Kind::Int32 | Kind::Int64 => match moment(schema).filter(|_| style.temporal == TemporalStyle::Text) {
                Some(moment) => Self::Moment(moment),
                None if schema.kind == Kind::Int32 => Self::Int32,
                None => Self::Int64,
            },
            Kind::Float32 => Self::Float32(style.not_finite),
            Kind::Float64 => Self::Float64(style.not_finite),
            Kind::Boolean => Self::Boolean,
            Kind::String => Self::Text,
            Kind::Bytes => match (logical_of(schema), style.decimal) {
                (Some(Logical::Decimal(Some(scale))), style) if style != DecimalStyle::Base64 => {
                    Self::Decimal { scale, style }
                }
                _ => Self::Base64,
            },
            Kind::Array(item) => Self::Array(Box::new(Node::new(item, style)?)),
            Kind::Map { key, value } if key.kind == Kind::String && style.maps != MapStyle::Entries => {
                Self::Object(Box::new(Node::new(value, style)?))
            }
            Kind::Map { key, value } => {
                let nodes = Box::new((Node::new(key, style)?, Node::new(value, style)?));
                if style.maps == MapStyle::Connect { Self::Pairs(nodes) } else { Self::Entries(nodes) }
            }
            Kind::Struct(fields) => Self::of_fields(schema, fields, style)?,
        })
    }
}

impl Shape {
    fn of_fields(schema: &Schema, fields: &Arc<[Field]>, style: &Style) -> Result<Self, FormatError> {
        let fields = Arc::clone(fields);
        if style.one_of.is_some() && schema.name.as_deref() == style.one_of {
            let nodes = fields.iter().map(|field| Node::without_default(&field.schema, style));
            return Ok(Self::OneOf { nodes: nodes.collect::<Result<_, _>>()?, fields });
        }
        let members = fields.iter().enumerate().map(|(i, field)| Member::new(i, field, style));
        let members = members.collect::<Result<_, _>>()?;
        Ok(if style.omit_null { Self::Sparse { members, fields } } else { Self::Struct { members, fields } })
    }
}

impl Member {
    fn new(index: usize, field: &Field, style: &Style) -> Result<Self, FormatError> {
        let mut lead = vec![if index == 0 { b'{' } else { b',' }];
        write_string(&field.name, &mut lead);
        lead.push(b':');
        Ok(Self { lead: lead.into(), node: Node::new(&field.schema, style)? })
    }
}

/// The date or time that a schema means, Debezium's included.
fn moment(schema: &Schema) -> Option<Moment> {
    Some(match (schema.name.as_deref()?, &schema.kind) {
        (crate::logical::DATE | "io.debezium.time.Date", Kind::Int32) => Moment::Date,
        (crate::logical::TIME | "io.debezium.time.Time", Kind::Int32) => Moment::Time { digits: 3 },
        ("io.debezium.time.MicroTime", Kind::Int64) => Moment::Time { digits: 6 },
        ("io.debezium.time.NanoTime", Kind::Int64) => Moment::Time { digits: 9 },
        ("io.debezium.time.MicroTimestamp", Kind::Int64) => Moment::Timestamp { digits: 6 },
        ("io.debezium.time.NanoTimestamp", Kind::Int64) => Moment::Timestamp { digits: 9 },
        _ => return None,
    })
}
