//! Short ways to write Connect schemas.
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A required schema of a kind, without a name.
pub fn of(kind: Kind) -> Schema {
    Schema { kind, name: None, version: None, optional: false, default: None, doc: None, parameters: BTreeMap::new() }
}

/// A struct with fields in order.
pub fn structure(fields: Vec<Field>) -> Schema {
    of(Kind::Struct(fields.into()))
}

/// A field.
pub fn field(name: &str, schema: impl Into<SchemaRef>) -> Field {
    Field { name: Arc::from(name), schema: schema.into() }
}

/// Steps that turn a plain schema into a logical one.
pub trait Shape: Sized {
    /// Gives a name and a version.
    #[must_use]
    fn named(self, name: &str, version: i32) -> Self;
    /// Gives a name without a version.
    #[must_use]
    fn called(self, name: &str) -> Self;
    /// Sets whether null is allowed.
    #[must_use]
    fn nullable(self, optional: bool) -> Self;
    /// Adds a parameter.
    #[must_use]
    fn with(self, name: &str, value: &str) -> Self;
    /// Sets the default.
    #[must_use]
    fn or(self, default: Option<Value>) -> Self;
}

impl Shape for Schema {
    fn named(mut self, name: &str, version: i32) -> Self {
        self.name = Some(Arc::from(name));
        self.version = Some(version);
        self
    }
    fn called(mut self, name: &str) -> Self {
        self.name = Some(Arc::from(name));
        self
    }
    fn nullable(mut self, optional: bool) -> Self {
        self.optional = optional;
        self
    }
    fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters.insert(Arc::from(name), Arc::from(value));
        self
    }
    fn or(mut self, default: Option<Value>) -> Self {
        self.default = default;
        self
    }
}
