//! Members of objects whose names are repeated.
use elasticflow_api::data::Value;
use std::collections::{HashMap, HashSet};

/// Objects with more members look for repeated names with a set instead of pair by pair.
pub(super) const FEW_MEMBERS: usize = 20;

/// A repeated member keeps its first place and takes the last value, as in Java's maps.
pub(crate) fn last_of_each(mut entries: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    if !has_repeated(&entries) {
        return entries;
    }
    let mut kept: Vec<(Value, Value)> = Vec::with_capacity(entries.len());
    let mut places = HashMap::new();
    for (key, value) in entries.drain(..) {
        let Value::String(name) = &key else { continue };
        match places.get(name) {
            Some(place) => {
                if let Some(entry) = kept.get_mut::<usize>(*place) {
                    entry.1 = value;
                }
            }
            None => {
                places.insert(name.clone(), kept.len());
                kept.push((key, value));
            }
        }
    }
    kept
}

fn has_repeated(entries: &[(Value, Value)]) -> bool {
    if entries.len() <= FEW_MEMBERS {
        return entries
            .iter()
            .enumerate()
            .any(|(i, (key, _))| entries.iter().skip(i + 1).any(|(other, _)| key == other));
    }
    let mut seen = HashSet::with_capacity(entries.len());
    entries.iter().any(|(key, _)| matches!(key, Value::String(name) if !seen.insert(name.as_bytes())))
}
