//! Avro schemas: a tree whose named types stand in a table.
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::Arc;

/// Further members of a schema: Connect's, logical types, anybody's.
pub(crate) type Props = Map<String, Json>;

/// A type with its further members.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Type,
    pub(crate) props: Props,
}

/// Avro's types.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(Box<Node>),
    Map(Box<Node>),
    Union(Vec<Node>),
    /// A record, enum or fixed type, by full name.
    Named(Arc<str>),
}

/// A named type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    pub(crate) name: Arc<str>,
    pub(crate) doc: Option<String>,
    pub(crate) kind: Named,
    pub(crate) props: Props,
}

/// What a named type is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Named {
    Record(Vec<FieldOf>),
    Enum(Vec<String>),
    Fixed(usize),
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldOf {
    pub(crate) name: String,
    pub(crate) node: Node,
    pub(crate) doc: Option<String>,
    pub(crate) default: Option<Json>,
}

/// A schema with the types that it names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AvroSchema {
    pub(crate) root: Node,
    pub(crate) named: HashMap<Arc<str>, Arc<Definition>>,
}

impl Node {
    pub(crate) fn plain(kind: Type) -> Self {
        Self { kind, props: Props::new() }
    }

    pub(crate) fn text_prop(&self, key: &str) -> Option<&str> {
        self.props.get(key).and_then(Json::as_str)
    }

    pub(crate) fn is_null(&self) -> bool {
        self.kind == Type::Null
    }
}

impl AvroSchema {
    /// The definition behind a node that names one.
    pub(crate) fn definition(&self, node: &Node) -> Option<&Arc<Definition>> {
        match &node.kind {
            Type::Named(name) => self.named.get(name),
            _ => None,
        }
    }
}

impl Definition {
    /// The name without its namespace.
    pub(crate) fn short_name(&self) -> &str {
        short(&self.name)
    }
}

/// Name and namespace of a full name.
pub(crate) fn split_name(full: &str) -> (Option<&str>, &str) {
    match full.rsplit_once('.') {
        Some((namespace, name)) => (Some(namespace).filter(|n| !n.is_empty()), name),
        None => (None, full),
    }
}

/// A full name without its namespace.
pub(crate) fn short(full: &str) -> &str {
    split_name(full).1
}

/// Whether Avro allows it as a name without a namespace.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
