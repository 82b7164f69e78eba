//! Flat string properties, as posted.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Flat properties: what a user posts, what is stored, what a plug-in reads. Values are text; types come from the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Properties(pub BTreeMap<String, String>);

impl Properties {
    /// The value of a key as posted.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Sets a key; for tests and for what the framework adds.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// The properties below a prefix, the prefix taken off: `value.converter.` gives a converter its own settings.
    pub fn below(&self, prefix: &str) -> Self {
        let of_prefix = self.0.iter().filter_map(|(k, v)| Some((k.strip_prefix(prefix)?.to_owned(), v.clone())));
        Self(of_prefix.collect())
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}
