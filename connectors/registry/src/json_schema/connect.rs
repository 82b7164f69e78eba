//! JSON Schema to Connect's schemas.
use crate::json_schema::describe::ENUM;
use crate::json_schema::document::{Documents, Place};
use crate::json_schema::{ONE_OF, bad};
use crate::registrar::Source;
use bytes::Bytes;
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef};
use elasticflow_formats::FormatError;
use elasticflow_formats::json::cursor::Cursor;
use elasticflow_formats::json::{ReadStyle, Reader};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Deepest nesting of schemas, references followed.
const DEPTH_MAX: u32 = 64;
/// Most schemas that one becomes with its references followed.
const NODES_MAX: u32 = 50_000;

type Members = Map<String, Json>;

/// The Connect schema of a JSON Schema; none where anything is allowed.
pub(crate) fn schema(
    source: &Source,
    version: Option<i32>,
    optional_for_nonrequired: bool,
) -> Result<Option<SchemaRef>, FormatError> {
    let documents = Documents::new(source)?;
    let root = documents.root();
    if root.json == &Json::Bool(true) || root.json.as_object().is_some_and(Map::is_empty) {
        return Ok(None);
    }
    let mut reader = Converting { documents: &documents, optional_for_nonrequired, depth: DEPTH_MAX, nodes: NODES_MAX };
    reader.node(root, &Use { optional: false, version }).map(Some)
}

#[derive(Clone, Copy)]
struct Use {
    optional: bool,
    version: Option<i32>,
}

const PLAIN: Use = Use { optional: false, version: None };
const OPTIONAL: Use = Use { optional: true, version: None };

struct Converting<'a> {
    documents: &'a Documents,
    optional_for_nonrequired: bool,
    depth: u32,
    nodes: u32,
}

/// A type with the parameters that it brings.
type Typed = (Kind, BTreeMap<Arc<str>, Arc<str>>);

impl<'a> Converting<'a> {
    fn node(&mut self, place: Place<'a>, used: &Use) -> Result<SchemaRef, FormatError> {
        self.nodes = self.nodes.checked_sub(1).ok_or_else(|| bad("it is too large"))?;
        self.depth = self
            .depth
            .checked_sub(1)
            .ok_or_else(|| bad("it is nested too deeply, or holds itself, which Connect's data model cannot say"))?;
        let made = self.any(place, used);
        self.depth = self.depth.saturating_add(1);
        made
    }

    fn any(&mut self, place: Place<'a>, used: &Use) -> Result<SchemaRef, FormatError> {
        let Some(members) = place.json.as_object() else {
            return Err(bad("a schema that allows anything can only be the whole"));
        };
        if let Some(reference) = members.get("$ref").and_then(Json::as_str) {
            let target = self.documents.follow(place, reference)?;
            return self.node(target, used);
        }
        for key in ["oneOf", "anyOf"] {
            if let Some(branches) = members.get(key).and_then(Json::as_array) {
                let places: Vec<Place<'a>> = branches.iter().map(|json| Place { json, ..place }).collect();
                return self.alternatives(members, &places, used);
            }
        }
        if let Some(parts) = members.get("allOf").and_then(Json::as_array) {
            return self.all_of(place, members, parts, used);
        }
        match members.get("type") {
            Some(Json::Array(words)) => self.several_types(place, members, words, used),
            Some(Json::String(word)) => self.of_type(place, members, word, used),
            _ => self.without_type(place, members, used),
        }
    }

    /// `oneOf` and `anyOf`: with null beside one other it is that one, nullable; else a struct with a field for each.
    fn alternatives(&mut self, members: &Members, places: &[Place<'a>], used: &Use) -> Result<SchemaRef, FormatError> {
        let is_null = |place: &Place<'a>| place.json.get("type").and_then(Json::as_str) == Some("null");
        let others: Vec<Place<'a>> = places.iter().filter(|place| !is_null(place)).copied().collect();
        let optional = used.optional || others.len() < places.len();
        if let ([only], true) = (others.as_slice(), others.len() < places.len()) {
            return self.node(*only, &Use { optional: true, version: used.version });
        }
        let fields: Result<Vec<Field>, FormatError> = others
            .iter()
            .enumerate()
            .map(|(n, place)| {
                let name = format!("{ONE_OF}.field.{n}").into();
                Ok(Field { name, schema: self.node(*place, &OPTIONAL)? })
            })
            .collect();
        let mut schema = plain(Kind::Struct(fields?.into()), BTreeMap::new());
        schema.name = Some(ONE_OF.into());
        schema.optional = optional;
        schema.version = int(members, "connect.version").or(used.version);
        Ok(Arc::new(schema))
    }

    /// `allOf`: objects are laid over each other; anything else must be alone.
    fn all_of(
        &mut self,
        place: Place<'a>,
        members: &'a Members,
        parts: &'a [Json],
        used: &Use,
    ) -> Result<SchemaRef, FormatError> {
        let mut fields: Vec<Field> = Vec::new();
        let mut own = None;
        if members.contains_key("properties") {
            fields.extend(self.properties(place, members)?);
        }
        for json in parts.iter().filter(|json| json.as_object().is_some_and(|m| !m.is_empty())) {
            let part = self.node(Place { json, ..place }, used)?;
            match &part.kind {
                Kind::Struct(more) if part.name.as_deref() != Some(ONE_OF) => {
                    let fresh = more.iter().filter(|f| fields.iter().all(|known| known.name != f.name));
                    let fresh: Vec<Field> = fresh.cloned().collect();
                    fields.extend(fresh);
                }
                _ if own.is_none() => own = Some(part),
                _ => return Err(bad("an allOf of several types that are no objects")),
            }
        }
        match own {
            Some(schema) if fields.is_empty() => Ok(schema),
            Some(_) => Err(bad("an allOf of an object and something else")),
            None => finished((Kind::Struct(fields.into()), BTreeMap::new()), members, used),
        }
    }

    fn several_types(
        &mut self,
        place: Place<'a>,
        members: &'a Members,
        words: &'a [Json],
        used: &Use,
    ) -> Result<SchemaRef, FormatError> {
        let texts: Vec<&str> = words.iter().filter_map(Json::as_str).filter(|word| *word != "null").collect();
        let optional = used.optional || texts.len() < words.len();
        if let [word] = texts.as_slice() {
            return self.of_type(place, members, word, &Use { optional, version: used.version });
        }
        let fields: Result<Vec<Field>, FormatError> = texts
            .iter()
            .enumerate()
            .map(|(n, word)| {
                let name = format!("{ONE_OF}.field.{n}").into();
                Ok(Field { name, schema: self.of_type(place, members, word, &OPTIONAL)? })
            })
            .collect();
        let mut schema = plain(Kind::Struct(fields?.into()), BTreeMap::new());
        schema.name = Some(ONE_OF.into());
        schema.optional = optional;
        schema.version = used.version;
        Ok(Arc::new(schema))
    }

    fn without_type(&mut self, place: Place<'a>, members: &'a Members, used: &Use) -> Result<SchemaRef, FormatError> {
        if members.contains_key("enum") || members.contains_key("const") {
            return self.of_type(place, members, "string", used);
        }
        if members.contains_key("properties") {
            return self.of_type(place, members, "object", used);
        }
        if members.contains_key("items") {
            return self.of_type(place, members, "array", used);
        }
        Err(bad("a schema without a type"))
    }

    fn of_type(
        &mut self,
        place: Place<'a>,
        members: &'a Members,
        word: &str,
        used: &Use,
    ) -> Result<SchemaRef, FormatError> {
        let connect_type = members.get("connect.type").and_then(Json::as_str);
        let kind = match (word, connect_type) {
            ("integer" | "number", Some(of)) => number(of)?,
            ("integer", None) => Kind::Int64,
            ("number", None) => Kind::Float64,
            ("boolean", _) => Kind::Boolean,
            ("string", Some("bytes")) => Kind::Bytes,
            ("string", _) => return finished(texts(members), members, used),
            ("array", of) => self.array(place, members, of == Some("map"))?,
            ("object", of) => self.object(place, members, of == Some("map"))?,
            ("null", _) => return Err(bad("a value that can only be null")),
            (other, _) => return Err(bad(&format!("the type {other} is unknown"))),
        };
        finished((kind, BTreeMap::new()), members, used)
    }

    fn array(&mut self, place: Place<'a>, members: &'a Members, is_map: bool) -> Result<Kind, FormatError> {
        let Some(items) = members.get("items").filter(|items| items.is_object()) else {
            return Err(bad("Array schema did not specify the items type"));
        };
        let properties = items.get("properties");
        if let (true, Some(key), Some(value)) =
            (is_map, properties.and_then(|p| p.get("key")), properties.and_then(|p| p.get("value")))
        {
            let mut of = |json| self.node(Place { json, ..place }, &PLAIN);
            return Ok(Kind::Map { key: of(key)?, value: of(value)? });
        }
        self.node(Place { json: items, ..place }, &PLAIN).map(Kind::Array)
    }

    fn object(&mut self, place: Place<'a>, members: &'a Members, is_map: bool) -> Result<Kind, FormatError> {
        let named = members.get("properties").and_then(Json::as_object).is_some_and(|p| !p.is_empty());
        let rest = members.get("additionalProperties").filter(|json| json.is_object());
        match rest {
            Some(json) if is_map || !named => {
                let value = self.node(Place { json, ..place }, &PLAIN)?;
                Ok(Kind::Map { key: Arc::new(plain(Kind::String, BTreeMap::new())), value })
            }
            _ if is_map => Err(bad("a map without additionalProperties")),
            _ => self.properties(place, members).map(|fields| Kind::Struct(fields.into())),
        }
    }

    fn properties(&mut self, place: Place<'a>, members: &'a Members) -> Result<Vec<Field>, FormatError> {
        let required: Vec<&str> =
            members.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
        let mut fields = Vec::new();
        for (name, json) in members.get("properties").and_then(Json::as_object).into_iter().flatten() {
            let optional = self.optional_for_nonrequired && !required.contains(&name.as_str());
            let schema = self.node(Place { json, ..place }, &Use { optional, version: None })?;
            let index = json.get("connect.index").and_then(Json::as_u64).unwrap_or(fields.len() as u64);
            fields.push((index, Field { name: name.as_str().into(), schema }));
        }
        fields.sort_by_key(|(index, _)| *index);
        Ok(fields.into_iter().map(|(_, field)| field).collect())
    }
}

fn number(connect_type: &str) -> Result<Kind, FormatError> {
    Ok(match connect_type {
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "float32" => Kind::Float32,
        "float64" => Kind::Float64,
        "bytes" => Kind::Bytes,
        other => return Err(bad(&format!("connect.type {other} is unknown"))),
    })
}

fn texts(members: &Members) -> Typed {
    let mut parameters = BTreeMap::new();
    if let Some(symbols) = members.get("enum").and_then(Json::as_array) {
        parameters.insert(ENUM.into(), "".into());
        for symbol in symbols.iter().filter(|symbol| !symbol.is_null()) {
            let text = symbol.as_str().map_or_else(|| symbol.to_string(), str::to_owned);
            parameters.insert(format!("{ENUM}.{text}").into(), text.into());
        }
    }
    (Kind::String, parameters)
}

fn int(members: &Members, key: &str) -> Option<i32> {
    members.get(key).and_then(Json::as_i64).and_then(|n| i32::try_from(n).ok())
}

fn plain(kind: Kind, parameters: BTreeMap<Arc<str>, Arc<str>>) -> Schema {
    Schema { kind, name: None, version: None, optional: false, default: None, doc: None, parameters }
}

fn finished((kind, parameters): Typed, members: &Members, used: &Use) -> Result<SchemaRef, FormatError> {
    let text = |key: &str| members.get(key).and_then(Json::as_str).map(Arc::<str>::from);
    let mut schema = plain(kind, parameters);
    schema.name = text("title");
    schema.doc = text("description");
    schema.version = int(members, "connect.version").or(used.version);
    schema.optional = used.optional;
    for (key, value) in members.get("connect.parameters").and_then(Json::as_object).into_iter().flatten() {
        if let Some(value) = value.as_str() {
            schema.parameters.insert(key.as_str().into(), value.into());
        }
    }
    if let Some(json) = members.get("default").filter(|json| !json.is_null()) {
        let style = ReadStyle { replace_null_with_default: true, entries: true, one_of: Some(ONE_OF) };
        let reader = Reader::new(&Arc::new(schema.clone()), style);
        schema.default = Some(reader.read(&mut Cursor::new(&Bytes::from(json.to_string())))?);
    }
    Ok(Arc::new(schema))
}
