//! SASL OAUTHBEARER in Java's properties: where tokens come from.
use super::oauth::Login;
use super::security::{Jaas, get, refuse};
use super::settings::Entries;
use crate::ports::{ClientProperties, KafkaError};
use std::collections::BTreeMap;
use std::time::Duration;

const MODULE: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";
const ENDPOINT: &str = "sasl.oauthbearer.token.endpoint.url";
const JAAS: &str = "sasl.jaas.config";
const RETRIEVER: &str = "sasl.oauthbearer.jwt.retriever.class";
/// Java's own, of which the work is done here; the longer name is that of brokers before 4.0.
const HANDLERS: [&str; 2] = [
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
    "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler",
];
const RETRIEVERS: [&str; 3] = [
    "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever",
    "org.apache.kafka.common.security.oauthbearer.ClientCredentialsJwtRetriever",
    "org.apache.kafka.common.security.oauthbearer.FileJwtRetriever",
];
const EXTENSION: &str = "extension_";
/// The end of the sentence about a handler that is not one of those.
pub(super) const HANDLER_HELP: &str =
    "remove it and ask for tokens with client credentials: set sasl.oauthbearer.token.endpoint.url";

/// Whether a class is one of Java's own whose work is done here.
pub(super) fn is_known_handler(key: &str, class: &str) -> bool {
    key == "sasl.login.callback.handler.class" && HANDLERS.contains(&class)
}

/// Takes the login out of the properties.
pub(super) fn translate(found: &ClientProperties, into: &mut Entries) -> Result<(), KafkaError> {
    let endpoint = endpoint(found)?;
    if get(found, RETRIEVER).is_some_and(|class| !RETRIEVERS.contains(&class)) {
        return Err(refuse(RETRIEVER, "is a Java class, which cannot run here; use client credentials or a file"));
    }
    let jaas = jaas(found)?;
    let file = endpoint.starts_with("file://");
    let credentials = if file { None } else { Some(credentials(found, &jaas)?) };
    let extensions = jaas.options.iter().filter_map(|(key, value)| Some((key.strip_prefix(EXTENSION)?, value)));
    let login = Login {
        endpoint,
        credentials,
        scope: either(found, "sasl.oauthbearer.scope", &jaas, "scope"),
        extensions: extensions.map(|(key, value)| (key.to_owned(), value.clone())).collect::<BTreeMap<_, _>>(),
        subject_claim: get(found, "sasl.oauthbearer.sub.claim.name").unwrap_or("sub").to_owned(),
        encoded: get(found, "sasl.oauthbearer.header.urlencode").is_some_and(|text| text.eq_ignore_ascii_case("true")),
        connect_limit: limit(found, "sasl.login.connect.timeout.ms")?,
        answer_limit: limit(found, "sasl.login.read.timeout.ms")?,
        authorities: authorities(&jaas)?,
    };
    into.set("sasl.mechanism", "sasl.mechanism", "OAUTHBEARER".to_owned());
    into.login(login);
    Ok(())
}

fn endpoint(found: &ClientProperties) -> Result<String, KafkaError> {
    let Some(endpoint) = get(found, ENDPOINT) else {
        let why = "is needed with sasl.mechanism=OAUTHBEARER: the address that gives tokens for client credentials, or \
                   file:///path of a file that holds one; unsecured tokens are not made here";
        return Err(refuse(ENDPOINT, why));
    };
    if !["http://", "https://", "file://"].iter().any(|scheme| endpoint.starts_with(scheme)) {
        return Err(refuse(ENDPOINT, "must begin with https://, http:// or file://"));
    }
    Ok(endpoint.to_owned())
}

/// The login module's options; a missing entry has none.
fn jaas(found: &ClientProperties) -> Result<Jaas, KafkaError> {
    let Some(text) = get(found, JAAS) else { return Ok(Jaas { module: MODULE.to_owned(), options: Vec::new() }) };
    let jaas = Jaas::parse(text).map_err(|problem| refuse(JAAS, problem))?;
    if jaas.module != MODULE {
        return Err(refuse(JAAS, &format!("must name {MODULE} for sasl.mechanism=OAUTHBEARER")));
    }
    let known = ["clientId", "clientSecret", "scope", "ssl.protocol"];
    let stores = ["ssl.truststore.location", "ssl.truststore.type", "ssl.truststore.certificates"];
    let is_known = |key: &str| known.contains(&key) || stores.contains(&key) || key.starts_with(EXTENSION);
    match jaas.options.iter().find(|(key, _)| !is_known(key)) {
        // Names are no secrets, and only those of a plain form are repeated.
        Some((key, _)) if key.len() <= 60 && key.chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c)) => {
            let end = "which cannot be honoured: clientId, clientSecret, scope, extension_NAME and ssl.truststore.* (PEM) can";
            Err(refuse(JAAS, &format!("has the option {key}, {end}")))
        }
        Some(_) => Err(refuse(JAAS, "has an option that is not known")),
        None => Ok(jaas),
    }
}

/// A property wins over the login module's option.
fn either(found: &ClientProperties, key: &str, jaas: &Jaas, option: &str) -> Option<String> {
    get(found, key).or_else(|| jaas.option(option)).map(str::to_owned)
}

fn credentials(found: &ClientProperties, jaas: &Jaas) -> Result<(String, String), KafkaError> {
    let id = either(found, "sasl.oauthbearer.client.credentials.client.id", jaas, "clientId");
    let secret = either(found, "sasl.oauthbearer.client.credentials.client.secret", jaas, "clientSecret");
    match (id, secret) {
        (Some(id), Some(secret)) => Ok((id, secret)),
        _ => Err(refuse(
            JAAS,
            &format!(
                "has no client to ask for tokens with: `{MODULE} required clientId=\"...\" clientSecret=\"...\";`, or set \
                 sasl.oauthbearer.client.credentials.client.id and .client.secret"
            ),
        )),
    }
}

fn limit(found: &ClientProperties, key: &str) -> Result<Duration, KafkaError> {
    const USUAL_MS: u64 = 10_000;
    let ms = get(found, key).map_or(Ok(USUAL_MS), str::parse);
    ms.map(|ms| Duration::from_millis(ms.clamp(100, 600_000)))
        .map_err(|_| refuse(key, "must be a number of milliseconds, such as 10000"))
}

/// Of the endpoint. Java reads its store from the login module's options, not from the client's `ssl.*`.
fn authorities(jaas: &Jaas) -> Result<Option<String>, KafkaError> {
    if let Some(text) = jaas.option("ssl.truststore.certificates") {
        return Ok(Some(text.to_owned()));
    }
    let Some(path) = jaas.option("ssl.truststore.location") else { return Ok(None) };
    let pem =
        jaas.option("ssl.truststore.type").map_or(path.ends_with(".pem"), |kind| kind.eq_ignore_ascii_case("PEM"));
    if !pem {
        return Err(refuse(JAAS, "has an ssl.truststore.location that is not PEM; set ssl.truststore.type=\"PEM\""));
    }
    std::fs::read_to_string(path)
        .map(Some)
        .map_err(|error| refuse(JAAS, &format!("has an ssl.truststore.location that cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JAAS_TEXT: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId=\"worker\" clientSecret=\"canary\" scope=\"kafka\" extension_cluster=\"c1\";";

    fn login(pairs: &[(&str, &str)]) -> Result<Login, String> {
        let found = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut entries = Entries::default();
        translate(&found, &mut entries).map_err(|error| error.to_string())?;
        Ok(entries.into_login().unwrap())
    }

    #[test]
    fn client_credentials_are_taken_from_the_login_module_or_from_the_properties() {
        let url = (ENDPOINT, "https://idp/token");
        let old = login(&[url, (JAAS, JAAS_TEXT)]).unwrap();
        assert_eq!(old.credentials, Some(("worker".to_owned(), "canary".to_owned())));
        assert_eq!((old.scope.as_deref(), old.extensions["cluster"].as_str()), (Some("kafka"), "c1"));
        let new = login(&[
            url,
            ("sasl.oauthbearer.client.credentials.client.id", "worker"),
            ("sasl.oauthbearer.client.credentials.client.secret", "canary"),
            ("sasl.oauthbearer.scope", "kafka"),
        ])
        .unwrap();
        assert_eq!((new.credentials, new.scope), (old.credentials, old.scope));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name_and_shows_no_secret() {
        let url = (ENDPOINT, "https://idp/token");
        let module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required";
        let unsecured = format!("{module} unsecuredLoginStringClaim_sub=\"canary\";");
        let jks = format!("{module} clientId=a clientSecret=canary ssl.truststore.location=\"/a.jks\";");
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[], ENDPOINT),
            (&[(ENDPOINT, "idp")], "must begin with"),
            (&[url], "clientSecret"),
            (&[url, (JAAS, unsecured.as_str())], "unsecuredLoginStringClaim_sub"),
            (&[url, (JAAS, jks.as_str())], "ssl.truststore.type"),
            (&[url, (JAAS, JAAS_TEXT), (RETRIEVER, "x.JwtBearerJwtRetriever")], RETRIEVER),
            (&[url, (JAAS, JAAS_TEXT), ("sasl.login.read.timeout.ms", "soon")], "sasl.login.read.timeout.ms"),
        ];
        for (pairs, expected) in cases {
            let error = login(pairs).expect_err(expected);
            assert!(error.contains(expected) && !error.contains("canary"), "{pairs:?}: {error}");
        }
    }
}
