//! Collects entries and errors.
use elasticflow_config::check::Checked;
use elasticflow_config::infos::Remarks;
use elasticflow_config::{ConfigInfo, ConfigInfos, KeyInfo, Properties, ValueInfo};

/// From this length on a resolved value is looked for in messages about other keys.
const GARBLING_LENGTH: usize = 4;

/// Entries in the order in which their messages are listed.
#[derive(Default)]
pub(super) struct Report {
    entries: Vec<ConfigInfo>,
    groups: Vec<String>,
}

impl Report {
    /// Adds a key; a name that is there already stays as it is.
    pub(super) fn add(&mut self, info: KeyInfo, checked: Checked, recommended: Vec<String>) {
        if self.entry(&info.name).is_some() {
            return;
        }
        let value = ValueInfo {
            name: info.name.clone(),
            value: checked.value,
            recommended_values: recommended,
            errors: checked.errors,
            visible: true,
        };
        self.entries.push(ConfigInfo { definition: Some(info), value });
    }

    /// Adds a section, once.
    pub(super) fn group(&mut self, name: &str) {
        if !self.groups.iter().any(|g| g == name) {
            self.groups.push(name.to_owned());
        }
    }

    /// Adds a message to a key; what no definition covers gets an entry without one.
    pub(super) fn error(&mut self, key: &str, message: impl Into<String>) {
        let message = message.into();
        match self.entry(key) {
            Some(entry) => entry.value.errors.push(message),
            None => self.undefined_error(key, None, message),
        }
    }

    /// Adds a message in an entry without a definition, beside a defined one.
    pub(super) fn undefined_error(&mut self, key: &str, value: Option<&str>, message: impl Into<String>) {
        let message = message.into();
        let same = self.entries.iter_mut().find(|e| e.definition.is_none() && e.value.name == key);
        if let Some(entry) = same {
            entry.value.errors.push(message);
            return;
        }
        let value = ValueInfo {
            name: key.to_owned(),
            value: value.map(str::to_owned),
            recommended_values: Vec::new(),
            errors: vec![message],
            visible: true,
        };
        self.entries.push(ConfigInfo { definition: None, value });
    }

    /// The one message of a key whose value was `null`.
    pub(super) fn refuse_null(&mut self, key: &str) {
        if let Some(entry) = self.entry(key) {
            entry.value.errors.clear();
            entry.value.value = None;
        }
        self.error(key, "Null value can not be supplied as the configuration value.");
    }

    /// Whether a key has an error.
    pub(super) fn has_error(&self, key: &str) -> bool {
        self.entries.iter().any(|e| e.value.name == key && !e.value.errors.is_empty())
    }

    /// Shows references in the place of what they resolved to.
    pub(super) fn hide_resolved(&mut self, posted: &Properties, resolved: &Properties) {
        let secrets: Vec<(&str, &str, &str)> = posted
            .0
            .iter()
            .filter_map(|(key, text)| {
                let secret = resolved.value(key).filter(|r| *r != text)?;
                Some((key.as_str(), text.as_str(), secret.trim()))
            })
            .collect();
        for entry in &mut self.entries {
            if let Some((_, reference, _)) = secrets.iter().find(|(key, ..)| *key == entry.value.name) {
                entry.value.value = entry.value.value.as_ref().map(|_| (*reference).to_owned());
            }
            let own = entry.value.name.clone();
            for message in &mut entry.value.errors {
                // A message may quote another key's value; replacing very short texts there would only garble it.
                let quoted = |(key, _, secret): &&(&str, &str, &str)| {
                    !secret.is_empty() && (*key == own || secret.len() >= GARBLING_LENGTH)
                };
                for (_, reference, secret) in secrets.iter().filter(quoted) {
                    *message = message.replace(secret, reference);
                }
            }
        }
    }

    /// Marks a key as one that a form does not show.
    pub(super) fn hide(&mut self, key: &str) {
        if let Some(entry) = self.entry(key) {
            entry.value.visible = false;
        }
    }

    /// Names of the entries.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|e| e.value.name.as_str())
    }

    pub(super) fn finish(self, name: String, elasticflow: Remarks) -> ConfigInfos {
        let error_count = self.entries.iter().map(|e| e.value.errors.len()).sum();
        ConfigInfos { name, error_count, groups: self.groups, configs: self.entries, elasticflow }
    }

    fn entry(&mut self, key: &str) -> Option<&mut ConfigInfo> {
        self.entries.iter_mut().find(|e| e.definition.is_some() && e.value.name == key)
    }
}
