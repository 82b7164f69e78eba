//! JSON merge patch (RFC 7396) on text, so that what is not changed keeps its bytes: a number of 30 digits stays one.
use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The patched text. What is no object is replaced, so that a value that is no JSON at all can be mended, too.
pub(super) fn merged(target: Option<&str>, patch: &Json) -> String {
    let Json::Object(changes) = patch else { return patch.to_string() };
    let members = target.and_then(|text| serde_json::from_str(text).ok());
    let mut members: BTreeMap<String, Box<RawValue>> = members.unwrap_or_default();
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
            continue;
        }
        let text = merged(members.get(name).map(|raw| raw.get()), change);
        if let Ok(raw) = RawValue::from_string(text) {
            members.insert(name.clone(), raw);
        }
    }
    // Texts as keys and valid JSON as values: it can always be written.
    serde_json::to_string(&members).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::merged;
    use serde_json::json;

    #[test]
    fn members_are_set_removed_and_merged_and_the_rest_keeps_its_bytes() {
        let value = r#"{"a":1,"big":123456789012345678901234567890,"in":{"x":1,"y":2}}"#;
        let patched = merged(Some(value), &json!({"a": null, "in": {"x": "7"}, "new": [1]}));
        assert_eq!(patched, r#"{"big":123456789012345678901234567890,"in":{"x":"7","y":2},"new":[1]}"#);
    }

    #[test]
    fn what_is_no_object_is_replaced() {
        assert_eq!(merged(Some("{bad"), &json!({"a": 1})), r#"{"a":1}"#);
        assert_eq!(merged(None, &json!({"a": {"b": null}})), r#"{"a":{}}"#);
        assert_eq!(merged(Some("{}"), &json!("text")), "\"text\"");
    }
}
