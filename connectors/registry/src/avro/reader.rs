//! A plan for reading messages of one Avro schema, with the Connect schema that they have.
use crate::avro::default::default_value;
use crate::avro::foreign_default::is_entry;
use crate::avro::names;
use crate::avro::schema::{AvroSchema, Definition, FieldOf, Named, Node, Props, Type};
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef, Text};
use elasticflow_formats::FormatError;
use elasticflow_formats::logical::{DATE, DECIMAL, TIME, TIMESTAMP};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

type Parameters = BTreeMap<Arc<str>, Arc<str>>;

/// A plan with the schema of what it reads; no schema is data without one.
pub(crate) struct Reader {
    pub(crate) schema: Option<SchemaRef>,
    pub(crate) read: Read,
}

/// A value's part in the plan.
pub(crate) enum Read {
    Null,
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Bytes,
    /// A byte string that is the whole message.
    Whole,
    Text,
    Fixed(usize),
    Enum(Box<[Text]>),
    Array(Box<Read>),
    Map(Box<Read>),
    Entries(Box<(Read, Read)>),
    Record {
        schema: SchemaRef,
        fields: Arc<[Read]>,
    },
    /// A union with null: which branch is null.
    Optional {
        null: i64,
        inner: Box<Read>,
    },
    /// Any other union, as a struct: per branch its field, none for null.
    Union {
        schema: SchemaRef,
        branches: Box<[Option<(usize, Read)>]>,
        fields: usize,
    },
    Anything,
}

/// Prepares reading; `version` is the registry's.
pub(crate) fn plan(schema: &AvroSchema, version: Option<i32>, enhanced: bool) -> Result<Reader, FormatError> {
    match &schema.root.kind {
        Type::Null => return Ok(Reader { schema: None, read: Read::Null }),
        Type::Named(name) if **name == *names::ANYTHING => return Ok(Reader { schema: None, read: Read::Anything }),
        _ => {}
    }
    let mut planner = Planner { schema, enhanced, open: Vec::new(), records: HashMap::new() };
    let is_whole = schema.root.kind == Type::Bytes;
    let (schema, read) = planner.node(&schema.root, &Use { optional: false, default: None, version })?;
    Ok(Reader { schema: Some(schema), read: if is_whole { Read::Whole } else { read } })
}

/// How a type is used.
struct Use<'a> {
    optional: bool,
    /// Default of the field.
    default: Option<&'a Json>,
    /// Version of the whole.
    version: Option<i32>,
}

impl Use<'_> {
    const PLAIN: Use<'static> = Use { optional: false, default: None, version: None };
}

/// What a type is before its further members are looked at.
struct Parts {
    kind: Kind,
    name: Option<Arc<str>>,
    version: Option<i32>,
    parameters: Parameters,
}

impl Parts {
    fn plain(kind: Kind) -> Self {
        Self { kind, name: None, version: None, parameters: Parameters::new() }
    }

    fn logical(kind: Kind, name: &str) -> Self {
        Self { kind, name: Some(name.into()), version: Some(1), parameters: Parameters::new() }
    }
}

struct Planner<'a> {
    schema: &'a AvroSchema,
    enhanced: bool,
    /// Types that are being read: one that holds itself has no Connect schema.
    open: Vec<Arc<str>>,
    records: HashMap<Arc<str>, (Arc<[Field]>, Arc<[Read]>)>,
}

impl Planner<'_> {
    fn node(&mut self, node: &Node, used: &Use<'_>) -> Result<(SchemaRef, Read), FormatError> {
        let (parts, read, props) = match &node.kind {
            Type::Union(branches) => return self.union(branches, used),
            Type::Named(name) => {
                let known = self.schema.named.get(name).map(Arc::clone);
                let definition = known.ok_or_else(|| FormatError::data(format!("the type {name} is not defined")))?;
                let (parts, read) = self.named(&definition)?;
                let schema = finished(parts, &definition.props, used);
                let read = match read {
                    Read::Record { fields, .. } => Read::Record { schema: Arc::clone(&schema), fields },
                    read => read,
                };
                return Ok((schema, read));
            }
            Type::Array(item) => {
                let (parts, read) = self.array(item)?;
                (parts, read, &node.props)
            }
            Type::Map(of) => {
                let (value, read) = self.node(of, &Use::PLAIN)?;
                let kind = Kind::Map { key: plain(Kind::String), value };
                (Parts::plain(kind), Read::Map(Box::new(read)), &node.props)
            }
            _ => {
                let (parts, read) = simple(node)?;
                (parts, read, &node.props)
            }
        };
        Ok((finished(parts, props, used), read))
    }

    fn array(&mut self, item: &Node) -> Result<(Parts, Read), FormatError> {
        let definition = self.schema.definition(item).map(Arc::clone);
        if let Some((key, value)) = definition.as_deref().and_then(is_entry) {
            let (key, read_key) = self.node(key, &Use::PLAIN)?;
            let (value, read_value) = self.node(value, &Use::PLAIN)?;
            return Ok((Parts::plain(Kind::Map { key, value }), Read::Entries(Box::new((read_key, read_value)))));
        }
        let (item, read) = self.node(item, &Use::PLAIN)?;
        Ok((Parts::plain(Kind::Array(item)), Read::Array(Box::new(read))))
    }

    fn named(&mut self, definition: &Definition) -> Result<(Parts, Read), FormatError> {
        let name = Some(Arc::clone(&definition.name)).filter(|name| !names::is_unnamed(name));
        let props = &definition.props;
        match &definition.kind {
            Named::Fixed(size) if logical(props) == Some("decimal") => Ok((decimal(props)?, Read::Fixed(*size))),
            Named::Fixed(size) => {
                let parameters = BTreeMap::from([(names::FIXED_SIZE.into(), size.to_string().into())]);
                Ok((Parts { kind: Kind::Bytes, name, version: None, parameters }, Read::Fixed(*size)))
            }
            Named::Enum(symbols) => {
                let mut parameters = BTreeMap::from([(names::ENUM.into(), Arc::clone(&definition.name))]);
                for symbol in symbols {
                    parameters.insert(format!("{}.{symbol}", names::ENUM).into(), symbol.as_str().into());
                }
                let texts = symbols.iter().map(|symbol| Text::from(symbol.as_str())).collect();
                Ok((Parts { kind: Kind::String, name, version: None, parameters }, Read::Enum(texts)))
            }
            Named::Record(members) => {
                let (fields, reads) = self.record(definition, members)?;
                let mut parameters = Parameters::new();
                if let Some(doc) = &definition.doc {
                    parameters.insert(names::RECORD_DOC.into(), doc.as_str().into());
                }
                for (member, doc) in members.iter().filter_map(|m| Some((m, m.doc.as_ref()?))) {
                    parameters.insert(format!("{}{}", names::FIELD_DOC, member.name).into(), doc.as_str().into());
                }
                let schema = plain(Kind::Struct(Arc::clone(&fields)));
                let parts = Parts { kind: Kind::Struct(fields), name, version: None, parameters };
                Ok((parts, Read::Record { schema, fields: reads }))
            }
        }
    }

    fn record(
        &mut self,
        definition: &Definition,
        members: &[FieldOf],
    ) -> Result<(Arc<[Field]>, Arc<[Read]>), FormatError> {
        if let Some((fields, reads)) = self.records.get(&definition.name) {
            return Ok((Arc::clone(fields), Arc::clone(reads)));
        }
        if self.open.contains(&definition.name) {
            return Err(FormatError::data(format!(
                "the type {} holds itself, which Connect's data model cannot say",
                definition.name
            )));
        }
        self.open.push(Arc::clone(&definition.name));
        let (mut fields, mut reads) = (Vec::with_capacity(members.len()), Vec::with_capacity(members.len()));
        for member in members {
            let used = Use { optional: false, default: member.default.as_ref(), version: None };
            let (schema, read) = self.node(&member.node, &used)?;
            fields.push(Field { name: member.name.as_str().into(), schema });
            reads.push(read);
        }
        self.open.pop();
        let made: (Arc<[Field]>, Arc<[Read]>) = (fields.into(), reads.into());
        self.records.insert(Arc::clone(&definition.name), (Arc::clone(&made.0), Arc::clone(&made.1)));
        Ok(made)
    }

    fn union(&mut self, branches: &[Node], used: &Use<'_>) -> Result<(SchemaRef, Read), FormatError> {
        let optional = used.optional || branches.iter().any(Node::is_null);
        if let [a, b] = branches
            && let Some((null, inner)) = [(a, 0, b), (b, 1, a)].iter().find(|(n, ..)| n.is_null()).map(|f| (f.1, f.2))
        {
            let (schema, read) = self.node(inner, &Use { optional: true, default: None, version: None })?;
            return Ok((schema, Read::Optional { null, inner: Box::new(read) }));
        }
        let (mut fields, mut reads) = (Vec::new(), Vec::with_capacity(branches.len()));
        for branch in branches {
            if branch.is_null() {
                reads.push(None);
                continue;
            }
            let (schema, read) = self.node(branch, &Use { optional: true, default: None, version: None })?;
            reads.push(Some((fields.len(), read)));
            fields.push(Field { name: self.branch_name(branch).into(), schema });
        }
        let count = fields.len();
        let schema = Arc::new(Schema {
            kind: Kind::Struct(fields.into()),
            name: Some(names::UNION.into()),
            version: used.version,
            optional,
            ..(*plain(Kind::Boolean)).clone()
        });
        Ok((Arc::clone(&schema), Read::Union { schema, branches: reads.into(), fields: count }))
    }

    fn branch_name(&self, node: &Node) -> String {
        let word = match &node.kind {
            Type::Named(_) => {
                let definition = self.schema.definition(node);
                return definition.map_or_else(String::new, |d| {
                    if self.enhanced { d.name.to_string() } else { d.short_name().to_owned() }
                });
            }
            Type::Null => "null",
            Type::Boolean => "boolean",
            Type::Int => "int",
            Type::Long => "long",
            Type::Float => "float",
            Type::Double => "double",
            Type::Bytes => "bytes",
            Type::String => "string",
            Type::Array(_) => "array",
            Type::Map(_) => "map",
            Type::Union(_) => "union",
        };
        word.to_owned()
    }
}

fn logical(props: &Props) -> Option<&str> {
    props.get(names::P_LOGICAL).and_then(Json::as_str)
}

fn simple(node: &Node) -> Result<(Parts, Read), FormatError> {
    Ok(match (&node.kind, logical(&node.props)) {
        (Type::Int, Some("date")) => (Parts::logical(Kind::Int32, DATE), Read::Int32),
        (Type::Int, Some("time-millis")) => (Parts::logical(Kind::Int32, TIME), Read::Int32),
        (Type::Int, _) => match node.text_prop(names::P_TYPE) {
            Some("int8") => (Parts::plain(Kind::Int8), Read::Int8),
            Some("int16") => (Parts::plain(Kind::Int16), Read::Int16),
            _ => (Parts::plain(Kind::Int32), Read::Int32),
        },
        (Type::Long, Some("timestamp-millis")) => (Parts::logical(Kind::Int64, TIMESTAMP), Read::Int64),
        (Type::Long, _) => (Parts::plain(Kind::Int64), Read::Int64),
        (Type::Float, _) => (Parts::plain(Kind::Float32), Read::Float32),
        (Type::Double, _) => (Parts::plain(Kind::Float64), Read::Float64),
        (Type::Boolean, _) => (Parts::plain(Kind::Boolean), Read::Boolean),
        (Type::Bytes, Some("decimal")) => (decimal(&node.props)?, Read::Bytes),
        (Type::Bytes, _) => (Parts::plain(Kind::Bytes), Read::Bytes),
        (Type::String, _) => (Parts::plain(Kind::String), Read::Text),
        _ => return Err(FormatError::data("Standalone null schemas are not supported by this converter")),
    })
}

fn decimal(props: &Props) -> Result<Parts, FormatError> {
    let number = |key: &str| props.get(key).map(|json| json.as_i64().and_then(|n| i32::try_from(n).ok()));
    let scale = number("scale").unwrap_or(Some(0));
    let precision = number("precision").unwrap_or(i32::try_from(names::PRECISION_DEFAULT).ok());
    let (Some(scale), Some(precision)) = (scale, precision) else {
        return Err(FormatError::data("scale and precision of a decimal must be numbers"));
    };
    let mut parts = Parts::logical(Kind::Bytes, DECIMAL);
    parts.parameters.insert("scale".into(), scale.to_string().into());
    if i64::from(precision) != names::PRECISION_DEFAULT {
        parts.parameters.insert(names::PRECISION.into(), precision.to_string().into());
    }
    Ok(parts)
}

/// A schema without anything but its type.
fn plain(kind: Kind) -> SchemaRef {
    Arc::new(Schema {
        kind,
        name: None,
        version: None,
        optional: false,
        default: None,
        doc: None,
        parameters: Parameters::new(),
    })
}

/// Adds what Connect's metadata say.
fn finished(parts: Parts, props: &Props, used: &Use<'_>) -> SchemaRef {
    let text = |key: &str| props.get(key).and_then(Json::as_str).map(Arc::<str>::from);
    let stated = props.get(names::P_VERSION).and_then(Json::as_i64).and_then(|n| i32::try_from(n).ok());
    let mut schema = Schema {
        kind: parts.kind,
        name: text(names::P_NAME).or(parts.name),
        version: stated.or(parts.version).or(used.version),
        optional: used.optional,
        default: None,
        doc: text(names::P_DOC),
        parameters: parts.parameters,
    };
    for (key, value) in props.get(names::P_PARAMETERS).and_then(Json::as_object).into_iter().flatten() {
        if let Some(value) = value.as_str() {
            schema.parameters.insert(key.as_str().into(), value.into());
        }
    }
    let mut schema = Arc::new(schema);
    let own = props.get(names::P_DEFAULT).and_then(|json| default_value(&schema, json));
    let of_field = || used.default.filter(|json| !json.is_null()).and_then(|json| default_value(&schema, json));
    let (default, from_field) = match own {
        Some(default) => (Some(default), false),
        None => (of_field(), true),
    };
    if let (Some(default), Some(schema)) = (default, Arc::get_mut(&mut schema)) {
        schema.default = Some(default);
        if from_field {
            schema.parameters.insert(names::FIELD_DEFAULT.into(), "true".into());
        }
    }
    schema
}
