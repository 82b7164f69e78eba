//! How large a configuration may be: what is accepted must fit into the config topic, and checking it must not take long.
use crate::error::HerderError;
use elasticflow_config::{Properties, shortened};
use std::collections::BTreeSet;

/// Most keys of a configuration.
const KEYS_MAX: usize = 2_000;
/// Most bytes of a key.
const KEY_BYTES_MAX: usize = 1_000;
/// Most bytes of a configuration as stored. Brokers take records of 1,048,588 bytes unless told otherwise; a task's row
/// holds the connector's keys and some of its own.
const STORED_BYTES_MAX: usize = 900_000;

/// Refuses what is too large, with the limit; keys of `nulls` were posted with `null`.
///
/// # Errors
/// `BadRequest`.
pub(crate) fn check(config: &Properties, nulls: &BTreeSet<String>) -> Result<(), HerderError> {
    let keys = config.0.len() + nulls.len();
    if keys > KEYS_MAX {
        return Err(refused(&format!("it has {keys} keys, and the most are {KEYS_MAX}")));
    }
    if let Some(key) = config.0.keys().chain(nulls).find(|key| key.len() > KEY_BYTES_MAX) {
        let text = format!("its key {} has {} bytes, and the most are {KEY_BYTES_MAX}", shortened(key), key.len());
        return Err(refused(&text));
    }
    let bytes = serde_json::to_vec(config).map_or(usize::MAX, |json| json.len());
    if bytes > STORED_BYTES_MAX {
        let text = format!(
            "stored it takes {bytes} bytes, and a record of the config topic holds {STORED_BYTES_MAX}; put long values into a file and refer to it with ${{file:...}}"
        );
        return Err(refused(&text));
    }
    Ok(())
}

fn refused(why: &str) -> HerderError {
    HerderError::BadRequest(format!("The connector configuration is too large: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_the_limit() {
        let many: Properties = (0..=KEYS_MAX).map(|n| (format!("k{n}"), String::new())).collect();
        let long_key = Properties::from_iter([("k".repeat(KEY_BYTES_MAX + 1), String::new())]);
        // Six bytes each once they are escaped.
        let escaped = Properties::from_iter([("k", "\u{1}".repeat(STORED_BYTES_MAX / 6 + 1))]);
        for (config, limit) in [(many, "2000"), (long_key, "1000"), (escaped, "900000")] {
            let text = check(&config, &BTreeSet::new()).unwrap_err().to_string();
            assert!(text.contains(limit) && text.len() < 1_000, "{text}");
        }
        assert_eq!(check(&Properties::from_iter([("k", "v".repeat(800_000))]), &BTreeSet::new()), Ok(()));
        let nulls: BTreeSet<String> = (0..=KEYS_MAX).map(|n| n.to_string()).collect();
        assert!(check(&Properties::default(), &nulls).is_err());
    }
}
