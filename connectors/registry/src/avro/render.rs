//! Schemas to JSON, in the order of members that Avro's own library writes.
use crate::avro::schema::{AvroSchema, Definition, FieldOf, Named, Node, Type, split_name};
use serde_json::{Map, Value as Json};
use std::collections::HashSet;
use std::sync::Arc;

impl AvroSchema {
    /// The schema's JSON.
    pub(crate) fn to_json(&self) -> Json {
        Renderer { schema: self, seen: HashSet::new() }.node(&self.root, None)
    }
}

struct Renderer<'a> {
    schema: &'a AvroSchema,
    /// Named types that stand in the text already.
    seen: HashSet<Arc<str>>,
}

impl Renderer<'_> {
    fn node(&mut self, node: &Node, namespace: Option<&str>) -> Json {
        let word = match &node.kind {
            Type::Null => "null",
            Type::Boolean => "boolean",
            Type::Int => "int",
            Type::Long => "long",
            Type::Float => "float",
            Type::Double => "double",
            Type::Bytes => "bytes",
            Type::String => "string",
            Type::Union(branches) => return branches.iter().map(|branch| self.node(branch, namespace)).collect(),
            Type::Named(name) => return self.named(name, namespace),
            Type::Array(item) => {
                let item = self.node(item, namespace);
                return object("array", [("items", item)], node);
            }
            Type::Map(values) => {
                let values = self.node(values, namespace);
                return object("map", [("values", values)], node);
            }
        };
        if node.props.is_empty() { Json::from(word) } else { object(word, [], node) }
    }

    fn named(&mut self, name: &Arc<str>, namespace: Option<&str>) -> Json {
        let (own, simple) = split_name(name);
        let Some(definition) = self.schema.named.get(name).filter(|_| self.seen.insert(Arc::clone(name))) else {
            return Json::from(if own == namespace { simple } else { name.as_ref() });
        };
        let mut out = Map::new();
        let word = match definition.kind {
            Named::Record(_) => "record",
            Named::Enum(_) => "enum",
            Named::Fixed(_) => "fixed",
        };
        out.insert("type".to_owned(), Json::from(word));
        out.insert("name".to_owned(), Json::from(simple));
        if own != namespace {
            out.insert("namespace".to_owned(), Json::from(own.unwrap_or_default()));
        }
        if let Some(doc) = &definition.doc {
            out.insert("doc".to_owned(), Json::from(doc.as_str()));
        }
        self.content(definition, own, &mut out);
        out.extend(definition.props.clone());
        Json::Object(out)
    }

    fn content(&mut self, definition: &Definition, namespace: Option<&str>, out: &mut Map<String, Json>) {
        let (key, content) = match &definition.kind {
            Named::Record(fields) => ("fields", fields.iter().map(|field| self.field(field, namespace)).collect()),
            Named::Enum(symbols) => ("symbols", symbols.iter().map(String::as_str).collect()),
            Named::Fixed(size) => ("size", Json::from(*size)),
        };
        out.insert(key.to_owned(), content);
    }

    fn field(&mut self, field: &FieldOf, namespace: Option<&str>) -> Json {
        let mut out = Map::new();
        out.insert("name".to_owned(), Json::from(field.name.as_str()));
        out.insert("type".to_owned(), self.node(&field.node, namespace));
        if let Some(doc) = &field.doc {
            out.insert("doc".to_owned(), Json::from(doc.as_str()));
        }
        if let Some(default) = &field.default {
            out.insert("default".to_owned(), default.clone());
        }
        Json::Object(out)
    }
}

fn object<const N: usize>(word: &str, content: [(&str, Json); N], node: &Node) -> Json {
    let mut out = Map::new();
    out.insert("type".to_owned(), Json::from(word));
    out.extend(content.map(|(key, value)| (key.to_owned(), value)));
    out.extend(node.props.clone());
    Json::Object(out)
}
