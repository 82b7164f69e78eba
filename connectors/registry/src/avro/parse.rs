//! JSON to schemas, as Avro's specification says; what it forbids is refused.
use crate::avro::schema::{AvroSchema, Definition, FieldOf, Named, Node, Props, Type, is_name, split_name};
use elasticflow_formats::FormatError;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::Arc;

/// Deepest nesting of types.
const DEPTH_MAX: u32 = 100;

/// Reads a schema; `references` are the texts of the schemas that it needs, each after those that it needs itself.
pub(crate) fn parse<'a>(text: &str, references: impl Iterator<Item = &'a str>) -> Result<AvroSchema, FormatError> {
    let mut parser = Parser { named: HashMap::new(), depth: DEPTH_MAX };
    for reference in references {
        parser.node(&json(reference)?, None)?;
    }
    let root = parser.node(&json(text)?, None)?;
    let named: Result<HashMap<_, _>, _> = parser
        .named
        .into_iter()
        .map(|(name, d)| d.map(|d| (name, d)).ok_or_else(|| bad("a type without an end")))
        .collect();
    Ok(AvroSchema { root, named: named? })
}

fn json(text: &str) -> Result<Json, FormatError> {
    serde_json::from_str(text).map_err(|e| bad(&format!("it is not JSON at line {}, column {}", e.line(), e.column())))
}

fn bad(problem: &str) -> FormatError {
    FormatError::data(format!("the Avro schema is not valid: {problem}"))
}

struct Parser {
    /// `None` while the type is being read.
    named: HashMap<Arc<str>, Option<Arc<Definition>>>,
    depth: u32,
}

impl Parser {
    fn node(&mut self, json: &Json, namespace: Option<&str>) -> Result<Node, FormatError> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| bad("types are nested too deeply"))?;
        let node = match json {
            Json::String(name) => self.by_name(name, namespace).map(Node::plain),
            Json::Array(branches) => self.union(branches, namespace),
            Json::Object(members) => self.object(members, namespace),
            _ => Err(bad("a type is a name, a list or an object")),
        };
        self.depth = self.depth.saturating_add(1);
        node
    }

    fn by_name(&self, name: &str, namespace: Option<&str>) -> Result<Type, FormatError> {
        Ok(match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "int" => Type::Int,
            "long" => Type::Long,
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes,
            "string" => Type::String,
            _ => {
                let full = full_name(name, namespace);
                match self.named.get_key_value(full.as_str()).or_else(|| self.named.get_key_value(name)) {
                    Some((known, _)) => Type::Named(Arc::clone(known)),
                    None => return Err(bad(&format!("the type {full} is not defined"))),
                }
            }
        })
    }

    fn union(&mut self, branches: &[Json], namespace: Option<&str>) -> Result<Node, FormatError> {
        let nodes: Vec<Node> = branches.iter().map(|branch| self.node(branch, namespace)).collect::<Result<_, _>>()?;
        if nodes.is_empty() || nodes.iter().any(|node| matches!(node.kind, Type::Union(_))) {
            return Err(bad("a union has one branch at least and no union among them"));
        }
        Ok(Node::plain(Type::Union(nodes)))
    }

    fn object(&mut self, members: &Map<String, Json>, namespace: Option<&str>) -> Result<Node, FormatError> {
        let content = |key: &str| members.get(key).ok_or_else(|| bad(&format!("{key} is missing")));
        match members.get("type") {
            Some(Json::String(word)) => match word.as_str() {
                "record" | "error" | "enum" | "fixed" => self.define(word, members, namespace),
                "array" => {
                    let item = self.node(content("items")?, namespace)?;
                    Ok(Node { kind: Type::Array(Box::new(item)), props: others(members, &["type", "items"]) })
                }
                "map" => {
                    let values = self.node(content("values")?, namespace)?;
                    Ok(Node { kind: Type::Map(Box::new(values)), props: others(members, &["type", "values"]) })
                }
                name => {
                    let kind = self.by_name(name, namespace)?;
                    Ok(Node { kind, props: others(members, &["type"]) })
                }
            },
            // A type may be wrapped into an object of its own.
            Some(inner) => {
                let mut node = self.node(inner, namespace)?;
                node.props.extend(others(members, &["type"]));
                Ok(node)
            }
            None => Err(bad("an object without a type")),
        }
    }

    fn define(&mut self, word: &str, members: &Map<String, Json>, outer: Option<&str>) -> Result<Node, FormatError> {
        let text = |key: &str| members.get(key).and_then(Json::as_str);
        let name = text("name").filter(|n| !n.is_empty()).ok_or_else(|| bad("a named type without a name"))?;
        let full = match (name.contains('.'), text("namespace")) {
            (false, Some(own)) => full_name(name, Some(own)),
            _ => full_name(name, outer),
        };
        let full: Arc<str> = full.into();
        if !full.split('.').all(is_name) {
            return Err(bad(&format!("{full} is no name")));
        }
        if self.named.insert(Arc::clone(&full), None).is_some() {
            return Err(bad(&format!("{full} is defined twice")));
        }
        let (namespace, _) = split_name(&full);
        let kind = match word {
            "enum" => Named::Enum(symbols(members)?),
            "fixed" => Named::Fixed(size(members)?),
            _ => Named::Record(self.fields(members, namespace)?),
        };
        const OWN: [&str; 8] = ["type", "name", "namespace", "doc", "aliases", "fields", "symbols", "size"];
        let doc = text("doc").map(str::to_owned);
        let definition = Definition { name: Arc::clone(&full), doc, kind, props: others(members, &OWN) };
        self.named.insert(Arc::clone(&full), Some(Arc::new(definition)));
        Ok(Node::plain(Type::Named(full)))
    }

    fn fields(&mut self, members: &Map<String, Json>, namespace: Option<&str>) -> Result<Vec<FieldOf>, FormatError> {
        let fields = members.get("fields").and_then(Json::as_array).ok_or_else(|| bad("a record without fields"))?;
        let mut read: Vec<FieldOf> = Vec::with_capacity(fields.len());
        let mut names = std::collections::HashSet::new();
        for field in fields {
            let name = field.get("name").and_then(Json::as_str).ok_or_else(|| bad("a field without a name"))?;
            if !names.insert(name) {
                return Err(bad(&format!("the field {name} stands twice in a record")));
            }
            let node = field.get("type").ok_or_else(|| bad("a field without a type"))?;
            read.push(FieldOf {
                name: name.to_owned(),
                node: self.node(node, namespace)?,
                doc: field.get("doc").and_then(Json::as_str).map(str::to_owned),
                default: field.get("default").cloned(),
            });
        }
        Ok(read)
    }
}

fn symbols(members: &Map<String, Json>) -> Result<Vec<String>, FormatError> {
    let symbols = members.get("symbols").and_then(Json::as_array).ok_or_else(|| bad("an enum without symbols"))?;
    let text = |symbol: &Json| symbol.as_str().map(str::to_owned).ok_or_else(|| bad("a symbol that is no text"));
    symbols.iter().map(text).collect()
}

fn size(members: &Map<String, Json>) -> Result<usize, FormatError> {
    let size = members.get("size").and_then(Json::as_u64).and_then(|n| usize::try_from(n).ok());
    size.ok_or_else(|| bad("a fixed type without a size"))
}

fn full_name(name: &str, namespace: Option<&str>) -> String {
    match namespace.filter(|n| !n.is_empty() && !name.contains('.')) {
        Some(namespace) => format!("{namespace}.{name}"),
        None => name.to_owned(),
    }
}

fn others(members: &Map<String, Json>, own: &[&str]) -> Props {
    members.iter().filter(|(key, _)| !own.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &str) -> String {
        parse(text, std::iter::empty()).unwrap().to_json().to_string()
    }

    #[test]
    fn a_schema_is_written_as_it_was_read() {
        for text in [
            r#""int""#,
            r#"["null","string"]"#,
            r#"{"type":"int","connect.type":"int8"}"#,
            r#"{"type":"record","name":"R","namespace":"com.x","doc":"d","fields":[{"name":"a","type":{"type":"array","items":"int"},"doc":"x","default":[]},{"name":"r","type":["null","R"],"default":null},{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},{"name":"f","type":{"type":"fixed","name":"F","namespace":"other","size":2}},{"name":"g","type":"other.F"}],"connect.name":"x"}"#,
        ] {
            assert_eq!(round(text), text);
        }
    }

    #[test]
    fn types_of_references_are_known() {
        let reference = r#"{"type":"record","name":"R","fields":[]}"#;
        let schema =
            parse(r#"{"type":"record","name":"Q","fields":[{"name":"r","type":"R"}]}"#, [reference].into_iter());
        assert_eq!(schema.unwrap().named.len(), 2);
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        let deep = "[".repeat(120) + "\"int\"" + &"]".repeat(120);
        let wrapped = "{\"type\":".repeat(110) + "\"int\"" + &"}".repeat(110);
        for text in [
            "",
            "{}",
            "5",
            "\"nope\"",
            "[]",
            "[[\"int\"]]",
            r#"{"type":"array"}"#,
            r#"{"type":"record","name":"R"}"#,
            r#"{"type":"fixed","name":"F","size":-1}"#,
            r#"{"type":"record","name":"a b","fields":[]}"#,
            &deep,
            &wrapped,
        ] {
            assert!(parse(text, std::iter::empty()).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r#"[\[\]{}":,a-z0-9]{0,80}"#) {
            let _ = parse(&text, std::iter::empty());
        }
    }
}
