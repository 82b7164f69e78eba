//! The declared keys, beside those of the real classes.
use elasticflow_api::registry::PluginEntry;
use elasticflow_config::KeyDef;
use serde_json::Value;
use std::collections::BTreeMap;

const RECORDED: &str = include_str!("../golden/plugins.json");

fn shown(def: &KeyDef) -> (String, Option<String>, bool, String) {
    (def.kind.name().to_owned(), def.default.map(str::to_owned), def.required, def.importance.name().to_owned())
}

fn recorded(key: &Value) -> (String, Option<String>, bool, String) {
    let text = |name: &str| key[name].as_str().map(str::to_owned);
    (text("type").unwrap(), text("default_value"), key["required"].as_bool().unwrap(), text("importance").unwrap())
}

#[test]
fn every_class_of_connect_declares_the_keys_that_connect_declares() {
    let recorded_classes: BTreeMap<String, Vec<Value>> = serde_json::from_str(RECORDED).unwrap();
    let entries: BTreeMap<&str, PluginEntry> =
        elasticflow_transforms::plugins().into_iter().map(|e| (e.class, e)).collect();
    let mut differences = Vec::new();
    for (class, keys) in recorded_classes.iter().filter(|(class, _)| class.contains(".transforms.")) {
        let entry = entries.get(class.as_str()).unwrap_or_else(|| panic!("{class} is not there"));
        let theirs: BTreeMap<_, _> = keys.iter().map(|k| (k["name"].as_str().unwrap(), recorded(k))).collect();
        let ours: BTreeMap<_, _> = entry.keys.iter().map(|d| (d.name, shown(d))).collect();
        if theirs != ours {
            differences.push(format!("{class}\n  recorded {theirs:?}\n  declared {ours:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
