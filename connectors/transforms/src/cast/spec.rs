//! The key `spec`.
use crate::error::config;
use elasticflow_api::data::Kind;
use elasticflow_api::{ConnectorError, Result};

/// A type to cast to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
}

impl Target {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Int8 => Kind::Int8,
            Self::Int16 => Kind::Int16,
            Self::Int32 => Kind::Int32,
            Self::Int64 => Kind::Int64,
            Self::Float32 => Kind::Float32,
            Self::Float64 => Kind::Float64,
            Self::Boolean => Kind::Boolean,
            Self::String => Kind::String,
        }
    }

    fn read(text: &str) -> Result<Self> {
        let upper = text.trim().to_uppercase();
        Ok(match upper.as_str() {
            "INT8" => Self::Int8,
            "INT16" => Self::Int16,
            "INT32" => Self::Int32,
            "INT64" => Self::Int64,
            "FLOAT32" => Self::Float32,
            "FLOAT64" => Self::Float64,
            "BOOLEAN" => Self::Boolean,
            "STRING" => Self::String,
            "BYTES" | "ARRAY" | "MAP" | "STRUCT" => return Err(unsupported(&upper)),
            _ => return Err(unknown(&upper, text.trim())),
        })
    }
}

/// What is cast to what.
#[derive(Debug)]
pub(super) enum Spec {
    Whole(Target),
    Fields(Vec<(String, Target)>),
}

impl Spec {
    pub(super) fn new(mappings: &[String]) -> Result<Self> {
        if mappings.is_empty() {
            return Err(config("Must specify at least one field to cast."));
        }
        let mut whole = None;
        let mut fields = Vec::new();
        for mapping in mappings {
            // As in Java, a colon at the end does not make a second part.
            let parts: Vec<&str> = mapping.trim_end_matches(':').split(':').collect();
            match parts.as_slice() {
                [one] => whole = Some(Target::read(one)?),
                [field, of] => fields.push((field.trim().to_owned(), Target::read(of)?)),
                _ => return Err(bad_mapping(mappings, mapping)),
            }
        }
        match whole {
            Some(_) if mappings.len() > 1 => Err(config(
                "Cast transformations that specify a type to cast the entire value to may only specify a single cast in their spec",
            )),
            Some(target) => Ok(Self::Whole(target)),
            None => Ok(Self::Fields(fields)),
        }
    }
}

/// In Connect's words, which name another key than the one at fault.
fn bad_mapping(mappings: &[String], mapping: &str) -> ConnectorError {
    let all = mappings.join(", ");
    config(format!("Invalid value [{all}] for configuration renames: Invalid rename mapping: {mapping}"))
}

fn unsupported(kind: &str) -> ConnectorError {
    config(format!(
        "Cast transformation does not support casting to {kind}; supported types are [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING]"
    ))
}

fn unknown(upper: &str, posted: &str) -> ConnectorError {
    config(format!(
        "Invalid value java.lang.IllegalArgumentException: No enum constant org.apache.kafka.connect.data.Schema.Type.{upper} for configuration Invalid type found in casting spec: {posted}"
    ))
}
