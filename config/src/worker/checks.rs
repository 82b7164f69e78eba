//! What a worker refuses at start and what it warns about.
use super::keys;
use super::listener::Listener;
use crate::check::list;
use crate::nearest::nearest;
use crate::properties::Properties;
use crate::reference::Resolver;
use crate::report::ValidationReport;

/// Java class of the one known REST extension.
pub(super) const BASIC_AUTH: &str = "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension";

pub(super) fn listeners(urls: &str, report: &mut ValidationReport) -> Vec<Listener> {
    let urls = list(urls);
    if urls.is_empty() {
        report.error("listeners", "listeners names no URL; give one, such as http://127.0.0.1:8083");
    }
    let read = |url: &str| Listener::read(url).map_err(|e| report.error("listeners", format!("listeners: {e}"))).ok();
    urls.into_iter().filter_map(read).collect()
}

/// An https listener has something to present.
pub(super) fn https(properties: &Properties, listeners: &[Listener], report: &mut ValidationReport) {
    let keys = ["ssl.keystore.location", "ssl.keystore.certificate.chain"];
    let given =
        |key: &&str| properties.value(key).is_some() || properties.value(&format!("listeners.https.{key}")).is_some();
    if listeners.iter().any(|listener| listener.scheme() == "https") && !keys.iter().any(given) {
        report.error(
            "ssl.keystore.location",
            "ssl.keystore.location is not set, but listeners has an https URL; name a PEM file of certificate and key, and set ssl.keystore.type=PEM",
        );
    }
}

/// Settings that would drop security or change data if they were ignored.
pub(super) fn refused(properties: &Properties, report: &mut ValidationReport) {
    distinct_topics(properties, report);
    crate::flow::check_defaults(properties, report);
    extensions(properties, report);
    for prefix in ["", "producer.", "consumer.", "admin."] {
        security(&properties.below(prefix), prefix, report);
    }
    if let Some(policy) = properties.value("connector.client.config.override.policy") {
        let allowlist = properties.value("connector.client.config.override.allowlist");
        let is_allowlist = super::OverridePolicy::named(policy) == Some(super::OverridePolicy::Allowlist);
        if is_allowlist && allowlist.is_none_or(|a| list(a).is_empty()) {
            report.error(
                "connector.client.config.override.allowlist",
                "connector.client.config.override.allowlist: the policy Allowlist needs a list of client keys",
            );
        }
    }
}

fn distinct_topics(properties: &Properties, report: &mut ValidationReport) {
    let names = ["config.storage.topic", "offset.storage.topic", "status.storage.topic"];
    for (i, key) in names.iter().enumerate() {
        let Some(topic) = properties.value(key) else { continue };
        if let Some(other) = names.iter().take(i).find(|other| properties.value(other) == Some(topic)) {
            report.error(key, format!("{key} and {other} name the same topic {topic}; give each a topic of its own"));
        }
    }
}

fn extensions(properties: &Properties, report: &mut ValidationReport) {
    let classes = list(properties.value("rest.extension.classes").unwrap_or(""));
    for class in classes.iter().filter(|c| !c.is_empty() && **c != BASIC_AUTH) {
        report.error(
            "rest.extension.classes",
            format!("rest.extension.classes: {class} is not known; known: {BASIC_AUTH}. An extension that is left out could be the one that guards the endpoint"),
        );
    }
    if classes.contains(&BASIC_AUTH) && properties.value("rest.access.file").is_some() {
        report.error(
            "rest.access.file",
            "rest.access.file and rest.extension.classes both say who may call; keep one: the extension lets each of its users do everything",
        );
    }
    if classes.contains(&BASIC_AUTH) && properties.value("java.security.auth.login.config").is_none() {
        report.error(
            "java.security.auth.login.config",
            "java.security.auth.login.config is not set, but rest.extension.classes asks for basic authentication; name the login file that Java reads from the system property of this name",
        );
    }
}

fn security(of: &Properties, prefix: &str, report: &mut ValidationReport) {
    let key = |name: &str| format!("{prefix}{name}");
    for store in ["ssl.keystore", "ssl.truststore"] {
        let kind = of.value(&format!("{store}.type")).unwrap_or("JKS").trim();
        if of.value(&format!("{store}.location")).is_some() && kind.eq_ignore_ascii_case("JKS") {
            let key = key(&format!("{store}.type"));
            report.error(
                &key,
                format!("{key} is JKS, which only Java reads; convert the store to PKCS12 or PEM and set the type"),
            );
        }
    }
    let protocol = of.value("security.protocol").unwrap_or("PLAINTEXT").trim().to_uppercase();
    if !["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"].contains(&protocol.as_str()) {
        report.invalid(
            &key("security.protocol"),
            &protocol,
            "String must be one of (case insensitive): PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
        );
    }
    let mechanism = of.value("sasl.mechanism").unwrap_or("GSSAPI").trim();
    if protocol.starts_with("SASL") && mechanism.eq_ignore_ascii_case("GSSAPI") {
        let key = key("sasl.mechanism");
        report.error(&key, format!("{key} is GSSAPI (the default), and this build has no Kerberos; use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"));
    }
    let handlers = [
        "sasl.client.callback.handler.class",
        "sasl.login.callback.handler.class",
        "sasl.login.class",
        "ssl.engine.factory.class",
    ];
    for handler in handlers {
        if of
            .value(handler)
            .is_some_and(|class| !class.trim().is_empty() && !class.trim().starts_with("org.apache.kafka."))
        {
            let key = key(handler);
            report.error(&key, format!("{key} names a Java class that cannot be loaded; leave it out if the client library's own way of authentication will do"));
        }
    }
}

/// What to log once at start: keys without effect, unknown keys, open providers.
pub(super) fn warnings(properties: &Properties, resolver: &Resolver) -> Vec<String> {
    let mut warnings = Vec::new();
    for key in properties.0.keys() {
        if let Some(reason) = keys::without_effect(key) {
            warnings.push(format!("{key} is accepted and has no effect: {reason}"));
        } else if !keys::known().any(|known| known == key) && !keys::is_of_a_family(key) {
            let hint = nearest(key, keys::known()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            warnings.push(format!("{key} is not a known worker key and has no effect{hint}"));
        }
    }
    for key in resolver.unrestricted() {
        warnings.push(format!("{key} is not set: connectors may refer to everything that the worker can read"));
    }
    warnings
}
