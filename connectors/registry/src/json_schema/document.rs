//! JSON Schema documents and the references between them.
use crate::json_schema::bad;
use crate::registrar::Source;
use elasticflow_formats::FormatError;
use serde_json::Value as Json;
use std::collections::HashMap;

/// A document with those that it names.
pub(crate) struct Documents {
    root: Json,
    others: HashMap<String, Json>,
}

/// A place in a document; the name is that of the document, empty for the root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) document: &'a str,
    pub(crate) json: &'a Json,
}

impl Documents {
    pub(crate) fn new(source: &Source) -> Result<Self, FormatError> {
        let parsed = |text: &str| {
            serde_json::from_str::<Json>(text)
                .map_err(|e| bad(&format!("it is not JSON at line {}, column {}", e.line(), e.column())))
        };
        let others = source.references.iter().map(|(name, text)| Ok((name.clone(), parsed(text)?)));
        Ok(Self { root: parsed(&source.text)?, others: others.collect::<Result<_, FormatError>>()? })
    }

    pub(crate) fn root(&self) -> Place<'_> {
        Place { document: "", json: &self.root }
    }

    /// What a `$ref` in a document names.
    pub(crate) fn follow<'a>(&'a self, from: Place<'a>, reference: &str) -> Result<Place<'a>, FormatError> {
        let (name, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let unknown = || bad(&format!("$ref {reference} names nothing in the schema or its references"));
        let (document, json) = if name.is_empty() {
            let json = if from.document.is_empty() { Some(&self.root) } else { self.others.get(from.document) };
            (from.document, json.ok_or_else(unknown)?)
        } else if self.root.get("$id").and_then(Json::as_str) == Some(name) {
            ("", &self.root)
        } else {
            let (document, json) = self.other(name).ok_or_else(unknown)?;
            (document, json)
        };
        let json = if fragment.is_empty() {
            Some(json)
        } else if fragment.starts_with('/') {
            json.pointer(&fragment.replace("%25", "%"))
        } else {
            by_anchor(json, fragment)
        };
        Ok(Place { document, json: json.ok_or_else(unknown)? })
    }

    fn other(&self, name: &str) -> Option<(&str, &Json)> {
        let named = self.others.get_key_value(name);
        let by_id = || self.others.iter().find(|(_, json)| json.get("$id").and_then(Json::as_str) == Some(name));
        named.or_else(by_id).map(|(name, json)| (name.as_str(), json))
    }
}

fn by_anchor<'a>(json: &'a Json, anchor: &str) -> Option<&'a Json> {
    ["definitions", "$defs"].iter().filter_map(|key| json.get(key)?.as_object()).flatten().map(|(_, of)| of).find(
        |of| {
            of.get("$anchor").and_then(Json::as_str) == Some(anchor)
                || of.get("$id").and_then(Json::as_str).and_then(|id| id.strip_prefix('#')) == Some(anchor)
        },
    )
}
