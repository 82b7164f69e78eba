//! Message types: what a `.proto` text declares.
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a text declares.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) package: String,
    /// In their order; the first is meant when a message names none.
    pub(crate) messages: Vec<Message>,
    pub(crate) enums: Vec<Enum>,
}

/// A message type with those inside it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    pub(crate) name: String,
    pub(crate) fields: Vec<FieldOf>,
    pub(crate) oneofs: Vec<String>,
    pub(crate) messages: Vec<Message>,
    pub(crate) enums: Vec<Enum>,
}

/// An enum type: names with their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Enum {
    pub(crate) name: String,
    pub(crate) symbols: Vec<(String, i32)>,
}

/// How often a field may stand in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    /// Once; an absent one has the default of its type.
    Plain,
    /// Once; it can be told whether it is there.
    Present,
    Repeated,
}

/// A field.
#[derive(Debug, Clone)]
pub(crate) struct FieldOf {
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) label: Label,
    pub(crate) kind: TypeOf,
    /// Place of its oneof.
    pub(crate) oneof: Option<usize>,
    /// `confluent.field_meta`.
    pub(crate) parameters: BTreeMap<String, String>,
}

/// The type of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TypeOf {
    Scalar(Scalar),
    /// A message or enum, as it is written.
    Named(String),
    Map(Scalar, Box<TypeOf>),
}

/// Protobuf's own types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Float,
    Double,
    Bool,
    String,
    Bytes,
}

impl Scalar {
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "uint32" => Self::Uint32,
            "uint64" => Self::Uint64,
            "sint32" => Self::Sint32,
            "sint64" => Self::Sint64,
            "fixed32" => Self::Fixed32,
            "fixed64" => Self::Fixed64,
            "sfixed32" => Self::Sfixed32,
            "sfixed64" => Self::Sfixed64,
            "float" => Self::Float,
            "double" => Self::Double,
            "bool" => Self::Bool,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            _ => return None,
        })
    }
}

/// Every type of a schema, by full name.
#[derive(Debug, Default)]
pub(crate) struct Types {
    messages: HashMap<String, Arc<Message>>,
    enums: HashMap<String, Arc<Enum>>,
}

/// A message or an enum.
pub(crate) enum Found {
    Message(String, Arc<Message>),
    Enum(Arc<Enum>),
}

impl Types {
    /// Adds everything that a file declares.
    pub(crate) fn add(&mut self, file: &File) {
        file.messages.iter().for_each(|message| self.add_message(&file.package, message));
        for one in &file.enums {
            self.enums.insert(joined(&file.package, &one.name), Arc::new(one.clone()));
        }
    }

    fn add_message(&mut self, scope: &str, message: &Message) {
        let full = joined(scope, &message.name);
        message.messages.iter().for_each(|inner| self.add_message(&full, inner));
        for one in &message.enums {
            self.enums.insert(joined(&full, &one.name), Arc::new(one.clone()));
        }
        self.messages.insert(full, Arc::new(message.clone()));
    }

    /// The type that a name means inside a scope: the innermost one wins.
    pub(crate) fn find(&self, scope: &str, name: &str) -> Option<Found> {
        if let Some(full) = name.strip_prefix('.') {
            return self.exact(full);
        }
        let mut scope = scope;
        loop {
            if let Some(found) = self.exact(&joined(scope, name)) {
                return Some(found);
            }
            if scope.is_empty() {
                return None;
            }
            scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
    }

    fn exact(&self, full: &str) -> Option<Found> {
        let message = self.messages.get(full).map(|m| Found::Message(full.to_owned(), Arc::clone(m)));
        message.or_else(|| self.enums.get(full).map(|e| Found::Enum(Arc::clone(e))))
    }
}

/// A name inside a scope.
pub(crate) fn joined(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}
