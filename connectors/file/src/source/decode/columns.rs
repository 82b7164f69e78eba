//! Columns of a csv file: names, types, the fields of the key.
use super::cells::parsed;
use super::lines::plain;
use super::text::Charset;
use bytes::Bytes;
use elasticflow_api::data::{Datum, Field, Kind, SchemaRef, Struct, Value};
use elasticflow_formats::json::{JsonConfig, JsonConverter};
use std::sync::Arc;

/// Fields of a value that make the key.
#[derive(Debug, Clone)]
pub(crate) struct KeyColumns {
    schema: SchemaRef,
    at: Vec<usize>,
}

impl KeyColumns {
    /// The named fields of a struct schema; the error is a name that is not there.
    pub(crate) fn new(value: &SchemaRef, names: &[String]) -> Result<Option<Self>, String> {
        if names.is_empty() {
            return Ok(None);
        }
        let Kind::Struct(fields) = &value.kind else { return Err("the value is no struct".to_owned()) };
        let place = |name: &String| {
            fields.iter().position(|f| *f.name == **name).ok_or_else(|| format!("there is no column {name}"))
        };
        let at: Vec<usize> = names.iter().map(place).collect::<Result<_, _>>()?;
        let of_key: Vec<Field> = at.iter().filter_map(|at| fields.get(*at)).cloned().collect();
        Ok(Some(Self { schema: plain(Kind::Struct(of_key.into()), false), at }))
    }

    /// The key of a row.
    pub(crate) fn key(&self, values: &[Value]) -> Datum {
        let parts = self.at.iter().map(|at| values.get(*at).cloned().unwrap_or(Value::Null)).collect();
        structure(&self.schema, parts)
    }
}

/// A struct with its schema.
pub(crate) fn structure(schema: &SchemaRef, values: Vec<Value>) -> Datum {
    let value = Value::Struct(Struct { schema: Arc::clone(schema), values });
    Datum { schema: Some(Arc::clone(schema)), value }
}

/// Where the value of a field comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A column of the file.
    Column(usize),
    /// The file has no such column.
    Absent,
}

/// How the rows of one file become structs.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// Columns that a row has.
    pub(crate) width: usize,
    schema: SchemaRef,
    origins: Arc<[Origin]>,
    key: Option<KeyColumns>,
}

/// What the configuration says of columns.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Type of the rows; without it every column is an optional text.
    pub(crate) schema: Option<SchemaRef>,
    /// Names of the key's fields.
    pub(crate) key: Vec<String>,
    /// Whether an empty field is null.
    pub(crate) empty_is_null: bool,
    /// Whether missing fields are null.
    pub(crate) pad: bool,
    /// Of the fields.
    pub(crate) charset: Charset,
}

impl Columns {
    /// Columns with the names of a header.
    pub(crate) fn named(header: &[String], rules: &Rules) -> Result<Self, String> {
        for (at, name) in header.iter().enumerate() {
            if header.iter().take(at).any(|other| other == name) {
                return Err(format!("two columns are named {name}"));
            }
        }
        let Some(schema) = &rules.schema else {
            let text = plain(Kind::String, true);
            let field = |name: &String| Field { name: Arc::from(name.as_str()), schema: Arc::clone(&text) };
            let fields: Arc<[Field]> = header.iter().map(field).collect();
            let origins = (0..header.len()).map(Origin::Column).collect();
            return Self::build(header.len(), plain(Kind::Struct(fields), false), origins, rules);
        };
        let fields = fields_of(schema)?;
        if let Some(unknown) = header.iter().find(|name| fields.iter().all(|f| *f.name != ***name)) {
            return Err(format!("column {unknown} is not in value.schema"));
        }
        let origin = |field: &Field| match header.iter().position(|name| **name == *field.name) {
            Some(at) => Ok(Origin::Column(at)),
            None if field.schema.optional || field.schema.default.is_some() => Ok(Origin::Absent),
            None => Err(format!("column {} of value.schema is not in the file and not optional", field.name)),
        };
        let origins = fields.iter().map(origin).collect::<Result<_, _>>()?;
        Self::build(header.len(), Arc::clone(schema), origins, rules)
    }

    /// Columns without names: those of the schema in order, or column01 and so on.
    pub(crate) fn unnamed(width: usize, rules: &Rules) -> Result<Self, String> {
        match &rules.schema {
            None => Self::named(&(1..=width).map(|n| format!("column{n:02}")).collect::<Vec<_>>(), rules),
            Some(schema) => {
                let width = fields_of(schema)?.len();
                Self::build(width, Arc::clone(schema), (0..width).map(Origin::Column).collect(), rules)
            }
        }
    }

    fn build(width: usize, schema: SchemaRef, origins: Arc<[Origin]>, rules: &Rules) -> Result<Self, String> {
        let key = KeyColumns::new(&schema, &rules.key)?;
        Ok(Self { width, schema, origins, key })
    }

    /// Key and value of a row; `ends` are the ends of its fields in `fields`. The error is the reason, without contents.
    pub(crate) fn row(&self, fields: &Bytes, ends: &[usize], rules: &Rules) -> Result<(Datum, Datum), String> {
        let too_short = ends.len() < self.width && !rules.pad;
        if too_short || ends.len() > self.width {
            return Err(format!("{} fields where {} are expected", ends.len(), self.width));
        }
        let Kind::Struct(wanted) = &self.schema.kind else { return Err("the value is no struct".to_owned()) };
        let mut values = Vec::with_capacity(wanted.len());
        for (field, origin) in wanted.iter().zip(self.origins.iter()) {
            let range = match origin {
                Origin::Column(at) => range_of(ends, *at),
                Origin::Absent => None,
            };
            values.push(match range {
                None => absent(field)?,
                Some((from, to)) => value_of(fields.slice(from..to), field, rules)?,
            });
        }
        let key = self.key.as_ref().map_or(super::lines::NO_KEY, |key| key.key(&values));
        Ok((key, structure(&self.schema, values)))
    }
}

fn fields_of(schema: &SchemaRef) -> Result<&[Field], String> {
    match &schema.kind {
        Kind::Struct(fields) => Ok(fields),
        _ => Err("value.schema is no struct".to_owned()),
    }
}

fn range_of(ends: &[usize], at: usize) -> Option<(usize, usize)> {
    let to = *ends.get(at)?;
    let from = if at == 0 { 0 } else { *ends.get(at - 1)? };
    Some((from, to))
}

fn absent(field: &Field) -> Result<Value, String> {
    match &field.schema.default {
        Some(default) => Ok(default.clone()),
        None if field.schema.optional => Ok(Value::Null),
        None => Err(format!("column {} is missing", field.name)),
    }
}

fn value_of(bytes: Bytes, field: &Field, rules: &Rules) -> Result<Value, String> {
    let is_text = field.schema.kind == Kind::String;
    if bytes.is_empty() && (rules.empty_is_null || !is_text) {
        return absent(field).map_err(|_| format!("column {} is empty and not optional", field.name));
    }
    let text = rules
        .charset
        .text(bytes)
        .ok_or_else(|| format!("column {}: {}", field.name, super::lines::not_of_charset()))?;
    if is_text {
        return Ok(Value::String(text));
    }
    parsed(text.trim(), &field.schema)
        .ok_or_else(|| format!("column {} is not of its type in value.schema", field.name))
}

/// A schema written as JsonConverter writes it; the error is the reason.
pub(crate) fn schema_of(json: &str) -> Result<SchemaRef, String> {
    let mut tree: serde_json::Value = serde_json::from_str(json).map_err(|e| format!("not JSON: {e}"))?;
    if tree.get("fieldSchemas").is_some() {
        tree = of_spooldir(&tree)?;
    }
    let members = tree.as_object_mut().ok_or("not a JSON object")?;
    let optional = members.get("optional").and_then(serde_json::Value::as_bool).unwrap_or(false);
    // A null payload is a value of every optional schema; so the converter can be asked for the schema alone.
    members.insert("optional".to_owned(), true.into());
    members.remove("default");
    let message = Bytes::from(format!("{{\"schema\":{tree},\"payload\":null}}"));
    let converter = converter(true, None)?;
    let read = converter.read(Some(&message)).map_err(|e| e.to_string())?;
    let schema = read.schema.ok_or("not a schema")?;
    if optional || !schema.optional {
        Ok(schema)
    } else {
        Ok(Arc::new(elasticflow_api::data::Schema { optional, ..(*schema).clone() }))
    }
}

/// The schema form of the spooldir connectors, `{"type":"STRUCT","fieldSchemas":{"id":{"type":"INT64"}}}`, in Connect's.
fn of_spooldir(tree: &serde_json::Value) -> Result<serde_json::Value, String> {
    use serde_json::{Map, Value as Json, json};
    let kind = tree.get("type").and_then(Json::as_str).ok_or("a schema without a type")?.to_ascii_lowercase();
    let kind = match kind.as_str() {
        "float32" => "float",
        "float64" => "double",
        other => other,
    };
    let mut members = Map::from_iter([("type".to_owned(), Json::from(kind))]);
    members.insert("optional".to_owned(), tree.get("isOptional").cloned().unwrap_or(json!(false)));
    for key in ["name", "version", "parameters"] {
        members.extend(tree.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    if let Some(fields) = tree.get("fieldSchemas").and_then(Json::as_object) {
        let field = |(name, schema): (&String, &Json)| {
            let mut field = of_spooldir(schema)?;
            field["field"] = Json::from(name.as_str());
            Ok(field)
        };
        let fields = fields.iter().map(field).collect::<Result<Vec<_>, String>>()?;
        members.insert("fields".to_owned(), fields.into());
    }
    Ok(members.into())
}

/// A JSON converter of values: with the schema beside each payload, or bare payloads of one schema or of none.
pub(crate) fn converter(schemas: bool, content: Option<&str>) -> Result<JsonConverter, String> {
    use elasticflow_api::config::{Properties, parse};
    let mut properties =
        Properties::default().with("converter.type", "value").with("schemas.enable", schemas.to_string());
    if let Some(content) = content {
        properties = properties.with("schema.content", content);
    }
    let config: JsonConfig = parse(&properties).map_err(|report| report.to_string())?;
    JsonConverter::new(&config, false).map_err(|e| e.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type":"struct","fields":[
        {"field":"id","type":"int64"},{"field":"name","type":"string","optional":true},{"field":"ok","type":"boolean","optional":true}]}"#;

    fn rules() -> Rules {
        let charset = Charset::new(encoding_rs::UTF_8, false);
        Rules {
            schema: Some(schema_of(SCHEMA).unwrap()),
            key: vec!["id".to_owned()],
            empty_is_null: false,
            pad: false,
            charset,
        }
    }

    fn named(header: &[&str], rules: &Rules) -> Result<Columns, String> {
        Columns::named(&header.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>(), rules)
    }

    #[test]
    fn a_typed_row_is_read_strictly_and_by_name() {
        let rules = rules();
        let columns = named(&["name", "id"], &rules).unwrap();
        let (key, value) = columns.row(&Bytes::from_static(b"Ann7"), &[3, 4], &rules).unwrap();
        let Value::Struct(value) = value.value else { panic!("no struct") };
        assert_eq!(value.values, [Value::Int64(7), Value::String("Ann".into()), Value::Null]);
        let Value::Struct(key) = key.value else { panic!("no struct") };
        assert_eq!(key.values, [Value::Int64(7)]);
        let error = columns.row(&Bytes::from_static(b"Annx"), &[3, 4], &rules).unwrap_err();
        assert_eq!(error, "column id is not of its type in value.schema");
    }

    #[test]
    fn the_schema_form_of_spooldir_is_taken_too() {
        let spooldir = r#"{"name":"v","type":"STRUCT","isOptional":false,"fieldSchemas":{
            "id":{"type":"INT64","isOptional":false},"name":{"type":"STRING","isOptional":true},"w":{"type":"FLOAT64","isOptional":true}}}"#;
        let schema = schema_of(spooldir).unwrap();
        assert_eq!((schema.name.as_deref(), schema.optional), (Some("v"), false));
        let fields = fields_of(&schema).unwrap();
        let kinds: Vec<_> = fields.iter().map(|f| (&*f.name, f.schema.kind.clone(), f.schema.optional)).collect();
        assert_eq!(kinds, [("id", Kind::Int64, false), ("name", Kind::String, true), ("w", Kind::Float64, true)]);
        assert!(schema_of(r#"{"fieldSchemas":{}}"#).is_err());
    }

    #[test]
    fn headers_that_do_not_fit_are_refused_by_name() {
        let rules = rules();
        for (header, reason) in [
            (&["id", "id"][..], "two columns are named id"),
            (&["id", "age"], "column age is not in value.schema"),
            (&["name"], "column id of value.schema is not in the file and not optional"),
        ] {
            assert_eq!(named(header, &rules).unwrap_err(), reason);
        }
    }

    #[test]
    fn a_row_of_another_width_is_never_dropped_in_silence() {
        let mut rules = Rules { schema: None, key: Vec::new(), ..rules() };
        let columns = named(&["a", "b"], &rules).unwrap();
        let row = Bytes::from_static(b"xyz");
        assert_eq!(columns.row(&row, &[1], &rules).unwrap_err(), "1 fields where 2 are expected");
        assert_eq!(columns.row(&row, &[1, 2, 3], &rules).unwrap_err(), "3 fields where 2 are expected");
        rules.pad = true;
        assert!(columns.row(&row, &[1], &rules).is_ok());
        assert!(columns.row(&row, &[1, 2, 3], &rules).is_err());
    }
}
