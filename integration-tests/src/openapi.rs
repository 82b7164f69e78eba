//! Answers against the document of the REST endpoint, `docs/openapi.json`.
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

const DOCUMENT: &str = include_str!("../../docs/openapi.json");

/// The document.
pub struct OpenApi(Value);

impl OpenApi {
    /// Reads it.
    ///
    /// # Errors
    /// It is no JSON.
    pub fn read() -> Result<Self> {
        Ok(Self(serde_json::from_str(DOCUMENT)?))
    }

    /// Checks that a request has an answer like this one by the document.
    ///
    /// # Errors
    /// What the document does not say, and where.
    pub fn check(&self, method: &str, path: &str, (status, body): (u16, &Value)) -> Result<()> {
        let path = path.split('?').next().unwrap_or(path).trim_end_matches('/');
        let path = if path.is_empty() { "/" } else { path };
        let paths = self.0["paths"].as_object().context("the document has no paths")?;
        let known = paths.iter().filter(|(template, _)| fits(template, path));
        // The one with the fewest placeholders is meant.
        let (template, methods) = known
            .min_by_key(|(template, _)| template.matches('{').count())
            .with_context(|| format!("{path} is not in the document"))?;
        let responses = &methods[method.to_lowercase()]["responses"];
        let response = self.followed(&responses[status.to_string()]);
        ensure!(!response.is_null(), "{method} {template}: status {status} is not in the document: {body}");
        match response["content"]["application/json"].get("schema") {
            Some(schema) => self.fits(schema, body, "").with_context(|| format!("{method} {template} {status}")),
            None => {
                ensure!(body.is_null(), "{method} {template} {status}: a body where none is documented: {body}");
                Ok(())
            }
        }
    }

    fn followed<'a>(&'a self, value: &'a Value) -> &'a Value {
        let pointer = value.get("$ref").and_then(Value::as_str).map(|reference| reference.trim_start_matches('#'));
        pointer.map_or(value, |pointer| self.0.pointer(pointer).unwrap_or(&Value::Null))
    }

    fn fits(&self, schema: &Value, value: &Value, at: &str) -> Result<()> {
        let schema = self.followed(schema);
        if let Some(choices) = schema["oneOf"].as_array() {
            ensure!(choices.iter().any(|choice| self.fits(choice, value, at).is_ok()), "{at}: none of oneOf: {value}");
            return Ok(());
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(name) => vec![name],
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        ensure!(types.is_empty() || types.iter().any(|name| is_a(name, value)), "{at}: not {types:?}: {value}");
        if let Some(words) = schema["enum"].as_array() {
            ensure!(words.contains(value), "{at}: {value} is none of {words:?}");
        }
        match value {
            Value::Object(members) => self.members_fit(schema, members, at),
            Value::Array(items) => {
                let Some(schema) = schema.get("items") else { return Ok(()) };
                let mut items = items.iter().enumerate();
                items.try_for_each(|(index, item)| self.fits(schema, item, &format!("{at}[{index}]")))
            }
            _ => Ok(()),
        }
    }

    fn members_fit(&self, schema: &Value, members: &Map<String, Value>, at: &str) -> Result<()> {
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            ensure!(members.contains_key(required), "{at}: no member {required}");
        }
        for (name, value) in members {
            let at = format!("{at}.{name}");
            match (schema["properties"].get(name), schema.get("additionalProperties")) {
                (Some(schema), _) => self.fits(schema, value, &at)?,
                (None, Some(Value::Bool(false))) => bail!("{at} is not in the document"),
                (None, Some(schema @ Value::Object(_))) => self.fits(schema, value, &at)?,
                // A member that the document does not know, where it knows some.
                (None, None) if schema["properties"].is_object() => bail!("{at} is not in the document"),
                (None, _) => {}
            }
        }
        Ok(())
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    let same = |(part, given): (&&str, &&str)| part.starts_with('{') || part == given;
    template.len() == path.len() && template.iter().zip(&path).all(same)
}

fn is_a(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        _ => false,
    }
}
