//! Secret values in answers, and the way back.
use crate::error::HerderError;
use elasticflow_api::registry::{PluginKind, Registry};
use elasticflow_config::{KeyDef, KeyType, Properties, Secret, without_passwords};

/// Hides secret values of a connector's or a task's configuration, and passwords in URLs. References stay: they are no
/// secrets.
pub(crate) fn hide(config: &Properties, registry: &Registry) -> Properties {
    let hidden = |(key, value): (&String, &String)| {
        let shown = match value {
            reference if reference.contains("${") => reference.clone(),
            _ if is_secret(key, config, registry) => Secret::HIDDEN.to_owned(),
            plain => without_passwords(plain).into_owned(),
        };
        (key.clone(), shown)
    };
    config.0.iter().map(hidden).collect()
}

/// Puts stored values where a user sent back what an answer had hidden.
///
/// # Errors
/// `BadRequest` names the key that has no stored value.
pub(crate) fn keep_hidden(mut config: Properties, stored: Option<&Properties>) -> Result<Properties, HerderError> {
    for (key, value) in &mut config.0 {
        let in_url = value.contains("://") && value.contains(Secret::HIDDEN);
        if value != Secret::HIDDEN && !in_url {
            continue;
        }
        // A URL that was changed beside its password would send the password to another place.
        let same = |kept: &&str| !in_url || without_passwords(kept) == *value;
        let kept = stored.and_then(|s| s.value(key)).filter(same).ok_or_else(|| {
            let stored = if in_url { "the same URL is not" } else { "none is" };
            let why = format!(
                "stands for a stored secret, but {stored} stored: send the secret itself or a ${{...}} reference"
            );
            HerderError::BadRequest(format!("Invalid value {} for configuration {key}: {why}", Secret::HIDDEN))
        })?;
        value.clear();
        value.push_str(kept);
    }
    Ok(config)
}

/// A key of the connector, of one of its converters, transforms or predicates, or of a Kafka client.
fn is_secret(key: &str, config: &Properties, registry: &Registry) -> bool {
    if client_secret(key) {
        return true;
    }
    let own = config.value("connector.class").and_then(|class| registry.connector(class));
    if own.is_some_and(|entry| declares(entry.keys, key)) {
        return true;
    }
    nested(key, config, registry)
}

/// Kafka's own password keys, below an override prefix or not.
fn client_secret(key: &str) -> bool {
    let client = ["producer.override.", "consumer.override.", "admin.override."];
    client.iter().filter_map(|p| key.strip_prefix(p)).any(|k| {
        k.ends_with("password")
            || matches!(
                k,
                "sasl.jaas.config"
                    | "sasl.oauthbearer.client.credentials.client.secret"
                    | "ssl.keystore.key"
                    | "ssl.keystore.certificate.chain"
                    | "ssl.truststore.certificates"
            )
    })
}

fn nested(key: &str, config: &Properties, registry: &Registry) -> bool {
    let plugin = |kind, class_key: &str, below: &str| {
        let entry = config.value(class_key).and_then(|class| registry.find(kind, class));
        entry.is_some_and(|e| declares(e.keys, below))
    };
    for (prefix, kind) in [("transforms.", PluginKind::Transformation), ("predicates.", PluginKind::Predicate)] {
        if let Some((alias, below)) = key.strip_prefix(prefix).and_then(|k| k.split_once('.')) {
            return plugin(kind, &format!("{prefix}{alias}.type"), below);
        }
    }
    let converters = [
        ("key.converter", PluginKind::Converter),
        ("value.converter", PluginKind::Converter),
        ("header.converter", PluginKind::HeaderConverter),
    ];
    converters.iter().any(|(class_key, kind)| {
        let below = key.strip_prefix(class_key).and_then(|k| k.strip_prefix('.'));
        below.is_some_and(|below| plugin(*kind, class_key, below))
    })
}

fn declares(keys: &[KeyDef], key: &str) -> bool {
    keys.iter().any(|def| def.kind == KeyType::Password && def.covers(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_value_that_comes_back_keeps_the_stored_secret() {
        let stored = Properties::from_iter([("password", "hunter2")]);
        let posted = Properties::from_iter([("password", "[hidden]"), ("topic", "t")]);
        let kept = keep_hidden(posted, Some(&stored)).unwrap();
        assert_eq!(kept.value("password"), Some("hunter2"));
    }

    #[test]
    fn a_password_in_a_url_is_hidden_and_kept_as_long_as_the_url_stays() {
        let stored = Properties::from_iter([("connection.url", "jdbc:mysql://h/db?user=u&password=hunter2")]);
        let shown = hide(&stored, &Registry::default());
        assert_eq!(shown.value("connection.url"), Some("jdbc:mysql://h/db?user=u&password=[hidden]"));
        assert_eq!(keep_hidden(shown, Some(&stored)).unwrap(), stored);
        let elsewhere = Properties::from_iter([("connection.url", "jdbc:mysql://evil/db?user=u&password=[hidden]")]);
        assert!(keep_hidden(elsewhere, Some(&stored)).is_err(), "a stored password goes nowhere else");
    }

    #[test]
    fn a_hidden_value_without_a_stored_secret_is_refused_by_name() {
        let refused = keep_hidden(Properties::from_iter([("password", "[hidden]")]), None).unwrap_err();
        assert!(refused.to_string().contains("configuration password"), "{refused}");
    }

    #[test]
    fn client_passwords_are_hidden_and_references_are_not() {
        let config = Properties::from_iter([
            ("producer.override.sasl.jaas.config", "Plain password=\"x\";"),
            ("consumer.override.ssl.key.password", "${file:/etc/p:k}"),
            ("consumer.override.max.poll.records", "5"),
        ]);
        let shown = hide(&config, &Registry::default());
        assert_eq!(shown.value("producer.override.sasl.jaas.config"), Some("[hidden]"));
        assert_eq!(shown.value("consumer.override.ssl.key.password"), Some("${file:/etc/p:k}"));
        assert_eq!(shown.value("consumer.override.max.poll.records"), Some("5"));
    }
}
