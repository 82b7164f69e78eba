//! Compares an answer with a recording: matchers such as `${string}` and `{"$unordered": […]}`, and the member
//! `elasticflow`, which may stand anywhere.
use regex::Regex;
use serde_json::{Map, Value};

/// Why an answer does not match; the path leads to the place.
pub(crate) type Mismatch = String;

/// Whether the answer is what the recording expects.
pub(crate) fn matches(expected: &Value, actual: &Value) -> Result<(), Mismatch> {
    at("", expected, actual)
}

fn at(path: &str, expected: &Value, actual: &Value) -> Result<(), Mismatch> {
    match (expected, actual) {
        (Value::String(text), _) => text_matches(path, text, actual),
        (Value::Object(e), _) if e.len() == 1 && e.keys().all(|k| k.starts_with('$')) => {
            let (matcher, inner) = e.iter().next().unwrap();
            special(path, matcher, inner, actual)
        }
        (Value::Object(e), Value::Object(a)) => object(path, e, a),
        (Value::Array(e), Value::Array(a)) => {
            if e.len() != a.len() {
                return Err(format!("{path}: {} elements, recorded {}: {actual}", a.len(), e.len()));
            }
            e.iter().zip(a).enumerate().try_for_each(|(i, (e, a))| at(&format!("{path}[{i}]"), e, a))
        }
        _ if expected == actual => Ok(()),
        _ => Err(format!("{path}: {actual}, recorded {expected}")),
    }
}

fn object(path: &str, expected: &Map<String, Value>, actual: &Map<String, Value>) -> Result<(), Mismatch> {
    for (member, e) in expected {
        // Renamed in 4.3: either name is fine.
        let a = actual.get(member).ok_or_else(|| format!("{path}: no member {member}"))?;
        at(&format!("{path}.{member}"), e, a)?;
    }
    let allowed = |m: &&String| *m == "elasticflow" || (*m == "order_in_group" && expected.contains_key("order"));
    match actual.keys().find(|m| !expected.contains_key(*m) && !allowed(m)) {
        Some(member) => Err(format!("{path}: unknown member {member}")),
        None => Ok(()),
    }
}

fn text_matches(path: &str, expected: &str, actual: &Value) -> Result<(), Mismatch> {
    let text = actual.as_str();
    let fine = match expected {
        "${any}" => true,
        "${string}" => text.is_some_and(|t| !t.is_empty()),
        "${int}" | "${ms}" => actual.is_i64() || actual.is_u64(),
        "${WORKER}" => {
            text.is_some_and(|t| t.rsplit_once(':').is_some_and(|(h, p)| !h.is_empty() && p.parse::<u16>().is_ok()))
        }
        _ => match expected.strip_prefix("${prefix:").and_then(|e| e.strip_suffix('}')) {
            Some(prefix) => text.is_some_and(|t| t.starts_with(prefix)),
            None => match expected.strip_prefix("${regex:").and_then(|e| e.strip_suffix('}')) {
                Some(pattern) => text.is_some_and(|t| Regex::new(pattern).unwrap().is_match(t)),
                None => text == Some(expected),
            },
        },
    };
    if fine { Ok(()) } else { Err(format!("{path}: {actual}, recorded {expected:?}")) }
}

fn special(path: &str, matcher: &str, inner: &Value, actual: &Value) -> Result<(), Mismatch> {
    match (matcher, inner, actual) {
        ("$unordered", Value::Array(e), Value::Array(a)) if e.len() == a.len() => subset(path, e, a),
        ("$superset", Value::Array(e), Value::Array(a)) => subset(path, e, a),
        ("$superset_map", Value::Object(e), Value::Object(a)) => e.iter().try_for_each(|(member, e)| {
            let a = a.get(member).ok_or_else(|| format!("{path}: no member {member}"))?;
            at(&format!("{path}.{member}"), e, a)
        }),
        ("$by_name", Value::Array(e), Value::Array(a)) => by_name(path, e, a),
        _ => Err(format!("{path}: {actual} does not fit {matcher} {inner}")),
    }
}

/// Every expected element has an element of its own.
fn subset(path: &str, expected: &[Value], actual: &[Value]) -> Result<(), Mismatch> {
    let mut left: Vec<&Value> = actual.iter().collect();
    for e in expected {
        let found = left.iter().position(|a| at(path, e, a).is_ok());
        let found = found.ok_or_else(|| format!("{path}: {e} is missing in {}", Value::from(actual.to_vec())))?;
        left.remove(found);
    }
    Ok(())
}

fn by_name(path: &str, expected: &[Value], actual: &[Value]) -> Result<(), Mismatch> {
    let mut left: Vec<&Value> = actual.iter().collect();
    for e in expected {
        let name = name_of(e);
        let same =
            left.iter().position(|a| name_of(a) == name && a["definition"].is_null() == e["definition"].is_null());
        let found = same.ok_or_else(|| format!("{path}: no entry {name}"))?;
        at(&format!("{path}[{name}]"), e, left.remove(found))?;
    }
    match left.first() {
        Some(extra) => Err(format!("{path}: extra entry {}", name_of(extra))),
        None => Ok(()),
    }
}

fn name_of(entry: &Value) -> String {
    [&entry["name"], &entry["definition"]["name"], &entry["value"]["name"]]
        .iter()
        .find_map(|n| n.as_str())
        .unwrap_or("")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::matches;
    use serde_json::json;

    #[test]
    fn matchers_accept_and_refuse() {
        for (expected, actual, fine) in [
            (json!({"a": "${string}"}), json!({"a": "x", "elasticflow": {}}), true),
            (json!({"a": "${string}"}), json!({"a": ""}), false),
            (json!({"a": 1}), json!({"a": 1, "b": 2}), false),
            (json!({"a": 1}), json!({}), false),
            (json!({"$unordered": [1, 2]}), json!([2, 1]), true),
            (json!({"$unordered": [1, 1]}), json!([1, 2]), false),
            (json!({"$superset": [1]}), json!([2, 1]), true),
            (json!({"$superset_map": {"a": 1}}), json!({"a": 1, "b": 1}), true),
            (json!({"$by_name": [{"name": "a", "x": 1}]}), json!([{"name": "a", "x": 2}]), false),
            (json!({"$by_name": [{"name": "a"}]}), json!([{"name": "a"}, {"name": "b"}]), false),
            (json!("${prefix:ab}"), json!("abc"), true),
            (json!("${regex:^a.c$}"), json!("abd"), false),
            (json!("${WORKER}"), json!("h:8083"), true),
            (json!("${int}"), json!("1"), false),
            (json!([1, 2]), json!([2, 1]), false),
        ] {
            assert_eq!(matches(&expected, &actual).is_ok(), fine, "{expected} {actual}");
        }
    }
}
