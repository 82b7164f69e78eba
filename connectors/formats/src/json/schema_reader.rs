//! The schema part of a message to a schema.
use crate::error::FormatError;
use crate::json::cursor::{Cursor, Token};
use crate::json::reader::{ReadStyle, Reader};
use bytes::Bytes;
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Deepest nesting of schemas. Every level is read again for its own members, so that the cost grows with the depth.
const DEPTH_MAX: u32 = 64;

/// Parameters of a schema.
type Parameters = BTreeMap<Arc<str>, Arc<str>>;

/// Reads a schema from its JSON.
pub(crate) fn read_schema(json: &Bytes) -> Result<SchemaRef, FormatError> {
    read(json, DEPTH_MAX).map(|(schema, _)| schema)
}

/// The members of one schema object that mean something, still as JSON.
#[derive(Default)]
struct Parts {
    kind: Option<String>,
    field: Option<String>,
    optional: bool,
    name: Option<String>,
    version: Option<i32>,
    doc: Option<String>,
    parameters: Option<Parameters>,
    items: Option<Bytes>,
    keys: Option<Bytes>,
    values: Option<Bytes>,
    fields: Option<Vec<Bytes>>,
    default: Option<Bytes>,
}

/// A schema and its name as a field.
fn read(json: &Bytes, depth: u32) -> Result<(SchemaRef, Option<String>), FormatError> {
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| FormatError::data(format!("the schema is nested deeper than {DEPTH_MAX} levels")))?;
    let mut cursor = Cursor::new(json);
    if cursor.token()? != Token::Object {
        return Err(untyped());
    }
    let mut parts = Parts::default();
    cursor.object(|cursor, name| {
        let name = name.owned(cursor)?;
        cursor.token()?;
        let start = cursor.at();
        cursor.skip()?;
        parts.take(&name, json.slice(start..cursor.at()))
    })?;
    parts.schema(depth)
}

impl Parts {
    fn take(&mut self, name: &str, json: Bytes) -> Result<(), FormatError> {
        match name {
            "type" => self.kind = text(&json)?,
            "field" => self.field = text(&json)?,
            "optional" => self.optional = json.as_ref() == b"true",
            "name" => self.name = text(&json)?,
            "doc" => self.doc = text(&json)?,
            "version" => self.version = version(&json)?,
            "parameters" => self.parameters = parameters(&json)?,
            "items" => self.items = Some(json),
            "keys" => self.keys = Some(json),
            "values" => self.values = Some(json),
            "fields" => self.fields = elements(&json)?,
            "default" => self.default = (json.as_ref() != b"null").then_some(json),
            _ => {}
        }
        Ok(())
    }

    fn schema(self, depth: u32) -> Result<(SchemaRef, Option<String>), FormatError> {
        let kind = self.kind(depth)?;
        let mut schema = Schema {
            kind,
            name: self.name.map(Arc::from),
            version: self.version,
            optional: self.optional,
            default: None,
            doc: self.doc.map(Arc::from),
            parameters: self.parameters.unwrap_or_default(),
        };
        if let Some(json) = self.default {
            schema.default = Some(default_of(&schema, &json)?);
        }
        Ok((Arc::new(schema), self.field))
    }

    fn kind(&self, depth: u32) -> Result<Kind, FormatError> {
        let Some(kind) = &self.kind else { return Err(untyped()) };
        Ok(match kind.as_str() {
            "boolean" => Kind::Boolean,
            "int8" => Kind::Int8,
            "int16" => Kind::Int16,
            "int32" => Kind::Int32,
            "int64" => Kind::Int64,
            "float" => Kind::Float32,
            "double" => Kind::Float64,
            "bytes" => Kind::Bytes,
            "string" => Kind::String,
            "array" => Kind::Array(part(self.items.as_ref(), "Array schema did not specify the element type", depth)?),
            "map" => Kind::Map {
                key: part(self.keys.as_ref(), "Map schema did not specify the key type", depth)?,
                value: part(self.values.as_ref(), "Map schema did not specify the value type", depth)?,
            },
            "struct" => Kind::Struct(self.struct_fields(depth)?),
            other => return Err(FormatError::data(format!("Unknown schema type: {other}"))),
        })
    }

    fn struct_fields(&self, depth: u32) -> Result<Arc<[Field]>, FormatError> {
        let Some(fields) = &self.fields else {
            return Err(FormatError::data("Struct schema's \"fields\" argument is not an array."));
        };
        let mut read_fields: Vec<Field> = Vec::with_capacity(fields.len());
        let mut names = std::collections::HashSet::new();
        for json in fields {
            let (schema, name) = read(json, depth)?;
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                return Err(FormatError::data("Struct schema's field name not specified properly"));
            };
            if !names.insert(name.clone()) {
                return Err(FormatError::data(format!("Cannot create field because of field name duplication {name}")));
            }
            read_fields.push(Field { name: name.into(), schema });
        }
        Ok(read_fields.into())
    }
}

fn untyped() -> FormatError {
    FormatError::data("Schema must contain 'type' field")
}

fn part(json: Option<&Bytes>, missing: &'static str, depth: u32) -> Result<SchemaRef, FormatError> {
    match json {
        Some(json) if json.as_ref() != b"null" => read(json, depth).map(|(schema, _)| schema),
        _ => Err(FormatError::data(missing)),
    }
}

fn text(json: &Bytes) -> Result<Option<String>, FormatError> {
    let mut cursor = Cursor::new(json);
    Ok(match cursor.token()? {
        Token::String => Some(cursor.text()?.to_string()),
        _ => None,
    })
}

fn version(json: &Bytes) -> Result<Option<i32>, FormatError> {
    let mut cursor = Cursor::new(json);
    Ok(match cursor.token()? {
        Token::Number => Some(cursor.number()?).filter(|n| n.integral).and_then(|n| n.text.parse().ok()),
        _ => None,
    })
}

fn elements(json: &Bytes) -> Result<Option<Vec<Bytes>>, FormatError> {
    let mut cursor = Cursor::new(json);
    if cursor.token()? != Token::Array {
        return Ok(None);
    }
    let mut found = Vec::new();
    cursor.array(|cursor| {
        cursor.token()?;
        let start = cursor.at();
        cursor.skip()?;
        found.push(json.slice(start..cursor.at()));
        Ok::<_, FormatError>(())
    })?;
    Ok(Some(found))
}

fn parameters(json: &Bytes) -> Result<Option<Parameters>, FormatError> {
    let mut cursor = Cursor::new(json);
    if cursor.token()? != Token::Object {
        return Ok(None);
    }
    let mut found = Parameters::new();
    cursor.object(|cursor, name| {
        let name = name.owned(cursor)?;
        if cursor.token()? != Token::String {
            return Err(FormatError::data("Schema parameters must have string values."));
        }
        let value = cursor.text()?;
        found.insert(Arc::from(&*name), Arc::from(&*value));
        Ok(())
    })?;
    Ok(Some(found))
}

fn default_of(schema: &Schema, json: &Bytes) -> Result<Value, FormatError> {
    Reader::new(&Arc::new(schema.clone()), ReadStyle::CONNECT).read(&mut Cursor::new(json))
}
