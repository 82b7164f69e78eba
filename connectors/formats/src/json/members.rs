//! Members of objects whose names are repeated.
use elasticflow_api::data::Value;
use std::collections::{HashMap, HashSet};

/// Objects with more members look for repeated names with a set instead of pair by pair.
const FEW_MEMBERS: usize = 64;

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
    if entries.len() > FEW_MEMBERS {
        let mut seen = HashSet::with_capacity(entries.len());
        return entries.iter().any(|(key, _)| matches!(key, Value::String(name) if !seen.insert(name.as_bytes())));
    }
    let mut marks = [0_u32; FEW_MEMBERS];
    for (i, (key, _)) in entries.iter().enumerate() {
        let mark = match key {
            Value::String(name) => mark(name.as_bytes()),
            _ => 0,
        };
        // Without an early end, so that it is done four at a time.
        let (before, rest) = marks.split_at_mut(i.min(FEW_MEMBERS));
        let may_repeat = before.iter().fold(false, |met, other| met | (*other == mark));
        if may_repeat && entries.iter().take(i).any(|(other, _)| other == key) {
            return true;
        }
        if let Some(own) = rest.first_mut() {
            *own = mark;
        }
    }
    false
}

/// Tells most names apart: length, first and last bytes.
fn mark(name: &[u8]) -> u32 {
    let word = |bytes: &[u8]| match bytes.first_chunk::<4>() {
        Some(word) => u32::from_le_bytes(*word),
        None => bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)),
    };
    let last = name.len().saturating_sub(4);
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
    word(name).wrapping_mul(0x9E37_79B1) ^ word(name.get(last..).unwrap_or_default()) ^ length.rotate_left(24)
}
