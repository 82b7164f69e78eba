//! A connector's configuration in a file: the JSON that would be posted, the configuration alone, or properties.
use anyhow::{Context, Result};
use elasticflow_config::{Members, Posted, Properties, text_of};
use std::collections::BTreeSet;
use std::path::Path;

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConnectorFile {
    /// The configuration, its `name` included where the file gives one.
    pub(crate) config: Properties,
    /// Keys whose value is `null`.
    pub(crate) nulls: BTreeSet<String>,
    /// State of a new connector, as posted.
    pub(crate) initial_state: Option<String>,
}

impl ConnectorFile {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read or is of neither form; the error names the file.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no connector configuration", file.display()))
    }

    /// Name of the connector.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn name(&self) -> Result<&str> {
        self.config.value("name").context("the configuration has no name; add a member name")
    }

    fn parse(text: &str) -> Result<Self> {
        if !text.trim_start().starts_with('{') {
            let config = Properties::from_properties_text(text)?;
            return Ok(Self { config, nulls: BTreeSet::new(), initial_state: None });
        }
        let members: Members<'_> = serde_json::from_str(text).context("the file is no JSON object")?;
        let member = |name: &str| members.0.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
        let wrapped = member("config").filter(|value| value.get().trim_start().starts_with('{'));
        let posted = Posted::from_json(wrapped.map_or(text, |config| config.get()))?;
        let word = |name| wrapped.and_then(|_| member(name)).and_then(text_of).flatten();
        let mut config = posted.values;
        if let Some(name) = word("name") {
            config = config.with("name", name.trim());
        }
        Ok(Self { config, nulls: posted.nulls, initial_state: word("initial_state") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_gives_the_same_configuration() {
        let wanted: Properties = [("name", "n"), ("tasks.max", "2")].into_iter().collect();
        for text in
            [r#"{"name":" n ","config":{"tasks.max":2}}"#, r#"{"name":"n","tasks.max":"2"}"#, "name=n\ntasks.max=2\n"]
        {
            assert_eq!(ConnectorFile::parse(text).unwrap().config, wanted, "{text}");
        }
        let posted = r#"{"name":"n","config":{"a":null},"initial_state":"STOPPED"}"#;
        let posted = ConnectorFile::parse(posted).unwrap();
        assert_eq!((posted.nulls.len(), posted.initial_state.as_deref()), (1, Some("STOPPED")));
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in ["{", r#"{"config":{"a":["hunter2"]}}"#, r#"{"name":"n","config":{"a":{}}}"#] {
            let error = format!("{:#}", ConnectorFile::parse(text).unwrap_err());
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
