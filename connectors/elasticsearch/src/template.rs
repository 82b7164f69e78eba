//! Which index template gives a new index its settings.
use crate::client::{Call, Client};
use crate::error::Error;
use serde::Deserialize;

/// What the templates of the server say about a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fitting {
    /// It is that of a data stream.
    Stream,
    /// It is that of an index.
    Index { template: String },
    /// No template has a pattern for it.
    Nothing,
}

#[derive(Debug, Default, Deserialize)]
struct Templates {
    #[serde(default)]
    index_templates: Vec<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    index_template: Template,
}

#[derive(Debug, Deserialize)]
struct Template {
    index_patterns: Vec<String>,
    #[serde(default)]
    priority: u64,
    data_stream: Option<serde_json::Value>,
}

/// What the template of the highest priority that fits a name makes of it.
pub(crate) async fn fitting(client: &Client, name: &str) -> Result<Fitting, Error> {
    // Not filtered: a filter leaves out an empty `data_stream`.
    let reply = client.ask_patiently(&Call::get("/_index_template")).await?;
    match reply.status {
        200 => {}
        404 => return Ok(Fitting::Nothing),
        _ => return Err(reply.refusal()),
    }
    let templates: Templates = serde_json::from_slice(&reply.body).map_err(|error| Error::NotUnderstood {
        url: reply.url.clone(),
        detail: format!("index templates: {error}"),
    })?;
    Ok(best(templates, name))
}

fn best(templates: Templates, name: &str) -> Fitting {
    let fits = |named: &Named| named.index_template.index_patterns.iter().any(|pattern| matches(pattern, name));
    let best = templates.index_templates.into_iter().filter(fits).max_by_key(|named| named.index_template.priority);
    match best {
        None => Fitting::Nothing,
        Some(Named { index_template: Template { data_stream: Some(_), .. }, .. }) => Fitting::Stream,
        Some(Named { name, .. }) => Fitting::Index { template: name },
    }
}

/// A pattern holds any number of `*`.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut middle: Vec<&str> = parts.collect();
    let Some(last) = middle.pop() else { return rest.is_empty() };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_with_their_stars() {
        for (pattern, name, expected) in [
            ("logs-*-*", "logs-app-orders", true),
            ("logs-*-*", "logs-app", false),
            ("*", "x", true),
            ("a*c", "ac", true),
            ("a*c", "abcb", false),
            ("a*b*c", "a-b-bc", true),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_template_of_the_highest_priority_decides() {
        let of = |json: &str| best(serde_json::from_str(json).unwrap(), "logs-app-orders");
        assert_eq!(of("{}"), Fitting::Nothing);
        let stream = r#"{"name":"s","index_template":{"index_patterns":["logs-*-*"],"priority":100,"data_stream":{}}}"#;
        let index = r#"{"name":"i","index_template":{"index_patterns":["x","logs-app-*"],"priority":200}}"#;
        let low = r#"{"name":"l","index_template":{"index_patterns":["logs-app-*"]}}"#;
        assert_eq!(of(&format!(r#"{{"index_templates":[{low},{stream}]}}"#)), Fitting::Stream);
        assert_eq!(
            of(&format!(r#"{{"index_templates":[{index},{stream}]}}"#)),
            Fitting::Index { template: "i".to_owned() }
        );
    }
}
