//! Security properties: Java's stores and login modules to what librdkafka reads.
use super::bearer;
use super::settings::Entries;
use crate::ports::{ClientProperties, KafkaError};

const HANDLERS: [&str; 3] =
    ["sasl.client.callback.handler.class", "sasl.login.callback.handler.class", "sasl.login.class"];

/// Translates the family; `found` holds the merged properties of one client.
pub(crate) fn translate(found: &ClientProperties, into: &mut Entries) -> Result<(), KafkaError> {
    let protocol = get(found, "security.protocol").unwrap_or("PLAINTEXT").to_ascii_uppercase();
    if !["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"].contains(&protocol.as_str()) {
        return Err(refuse("security.protocol", "must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"));
    }
    into.set("security.protocol", "security.protocol", protocol.to_ascii_lowercase());
    if protocol.ends_with("SSL") {
        truststore(found, into)?;
        keystore(found, into)?;
    }
    if protocol.starts_with("SASL") {
        sasl(found, into)?;
    }
    Ok(())
}

pub(super) fn get<'a>(found: &'a ClientProperties, key: &str) -> Option<&'a str> {
    found.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
}

pub(super) fn refuse(key: &str, problem: &str) -> KafkaError {
    KafkaError::Config(format!("`{key}` {problem}"))
}

fn truststore(found: &ClientProperties, into: &mut Entries) -> Result<(), KafkaError> {
    if let Some(pem) = get(found, "ssl.truststore.certificates") {
        into.set("ssl.truststore.certificates", "ssl.ca.pem", pem.to_owned());
        return Ok(());
    }
    let Some(location) = get(found, "ssl.truststore.location") else { return Ok(()) };
    match store_type(found, "ssl.truststore", location) {
        Store::Pem => into.set("ssl.truststore.location", "ssl.ca.location", location.to_owned()),
        Store::Pkcs12 => {
            return Err(refuse(
                "ssl.truststore.location",
                "is a PKCS12 store, which is read for keys alone; write the authorities' certificates to a PEM file \
                 (`openssl pkcs12 -in STORE -nokeys -out ca.pem`) and set ssl.truststore.type=PEM",
            ));
        }
        Store::Jks => return Err(refuse("ssl.truststore.location", JKS)),
    }
    Ok(())
}

const JKS: &str = "is a Java key store (JKS), which only Java reads; convert it with `keytool -importkeystore \
                   -srckeystore STORE -destkeystore store.p12 -deststoretype PKCS12`, then to PEM with \
                   `openssl pkcs12 -in store.p12 -out store.pem -nodes`, and set the type to PEM";

fn keystore(found: &ClientProperties, into: &mut Entries) -> Result<(), KafkaError> {
    if let Some(password) = get(found, "ssl.key.password") {
        into.secret("ssl.key.password", "ssl.key.password", password.to_owned());
    }
    match (get(found, "ssl.keystore.key"), get(found, "ssl.keystore.certificate.chain")) {
        (Some(key), Some(chain)) => {
            into.secret("ssl.keystore.key", "ssl.key.pem", key.to_owned());
            into.set("ssl.keystore.certificate.chain", "ssl.certificate.pem", chain.to_owned());
            return Ok(());
        }
        (None, None) => {}
        (Some(_), None) => return Err(refuse("ssl.keystore.certificate.chain", "is needed with ssl.keystore.key")),
        (None, Some(_)) => return Err(refuse("ssl.keystore.key", "is needed with ssl.keystore.certificate.chain")),
    }
    let Some(location) = get(found, "ssl.keystore.location") else { return Ok(()) };
    match store_type(found, "ssl.keystore", location) {
        Store::Pem => {
            into.set("ssl.keystore.location", "ssl.key.location", location.to_owned());
            into.set("ssl.keystore.location", "ssl.certificate.location", location.to_owned());
        }
        Store::Pkcs12 => {
            into.set("ssl.keystore.location", "ssl.keystore.location", location.to_owned());
            if let Some(password) = get(found, "ssl.keystore.password") {
                into.secret("ssl.keystore.password", "ssl.keystore.password", password.to_owned());
            }
        }
        Store::Jks => return Err(refuse("ssl.keystore.location", JKS)),
    }
    Ok(())
}

enum Store {
    Pem,
    Pkcs12,
    Jks,
}

/// The type given, else by the name's end. Java's default is JKS.
fn store_type(found: &ClientProperties, family: &str, location: &str) -> Store {
    let given = get(found, &format!("{family}.type")).map(str::to_ascii_uppercase);
    let end = location.rsplit('.').next().unwrap_or("").to_ascii_lowercase();
    match (given.as_deref(), end.as_str()) {
        (Some("PEM"), _) | (None, "pem" | "crt" | "cer") => Store::Pem,
        (Some("PKCS12"), _) | (None, "p12" | "pfx") => Store::Pkcs12,
        _ => Store::Jks,
    }
}

fn sasl(found: &ClientProperties, into: &mut Entries) -> Result<(), KafkaError> {
    let mechanism = get(found, "sasl.mechanism").unwrap_or("GSSAPI").to_ascii_uppercase();
    let bearer = mechanism == "OAUTHBEARER";
    for key in HANDLERS {
        let known = |class: &str| class == "null" || (bearer && bearer::is_known_handler(key, class));
        if get(found, key).is_some_and(|class| !known(class)) {
            let what = if bearer { bearer::HANDLER_HELP } else { "remove it and use PLAIN, SCRAM or OAUTHBEARER" };
            return Err(refuse(key, &format!("is a Java class, which cannot run here; {what}")));
        }
    }
    let module = match mechanism.as_str() {
        "PLAIN" => "org.apache.kafka.common.security.plain.PlainLoginModule",
        "SCRAM-SHA-256" | "SCRAM-SHA-512" => "org.apache.kafka.common.security.scram.ScramLoginModule",
        "OAUTHBEARER" => return bearer::translate(found, into),
        _ => {
            return Err(refuse(
                "sasl.mechanism",
                "must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER: this build has no Kerberos (GSSAPI, the \
                 default of a missing sasl.mechanism)",
            ));
        }
    };
    let Some(jaas) = get(found, "sasl.jaas.config") else {
        return Err(refuse(
            "sasl.jaas.config",
            &format!(
                "is needed with sasl.mechanism={mechanism}: `{module} required username=\"...\" password=\"...\";`"
            ),
        ));
    };
    let login = Jaas::parse(jaas).map_err(|problem| refuse("sasl.jaas.config", problem))?;
    if login.module != module {
        return Err(refuse("sasl.jaas.config", &format!("must name {module} for sasl.mechanism={mechanism}")));
    }
    let username = login.option("username").ok_or_else(|| refuse("sasl.jaas.config", "has no username"))?;
    let password = login.option("password").ok_or_else(|| refuse("sasl.jaas.config", "has no password"))?;
    if login.option("tokenauth").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(refuse("sasl.jaas.config", "asks for delegation tokens (tokenauth), which are not supported"));
    }
    into.set("sasl.mechanism", "sasl.mechanism", mechanism);
    into.secret("sasl.jaas.config", "sasl.username", username.to_owned());
    into.secret("sasl.jaas.config", "sasl.password", password.to_owned());
    Ok(())
}

/// One entry of a JAAS configuration: `module flag key="value" ...;`.
#[derive(PartialEq, Eq)]
pub(super) struct Jaas {
    pub(super) module: String,
    pub(super) options: Vec<(String, String)>,
}

impl Jaas {
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The error never repeats a part of the text.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut words = tokens(text)?.into_iter();
        let Some(Token::Word(module)) = words.next() else { return Err("must begin with a login module's class") };
        let Some(Token::Word(flag)) = words.next() else { return Err("must have `required` after the login module") };
        if !["required", "requisite", "sufficient", "optional"].contains(&flag.to_ascii_lowercase().as_str()) {
            return Err("must have `required` after the login module");
        }
        let mut options = Vec::new();
        loop {
            match words.next() {
                Some(Token::End) => return Ok(Self { module, options }),
                Some(Token::Word(key)) => match (words.next(), words.next()) {
                    (Some(Token::Equals), Some(Token::Word(value))) => options.push((key, value)),
                    _ => return Err("must have options of the form name=\"value\""),
                },
                _ => return Err("must end with a semicolon"),
            }
        }
    }
}

enum Token {
    Word(String),
    Equals,
    End,
}

fn tokens(text: &str) -> Result<Vec<Token>, &'static str> {
    let mut found = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            _ if next.is_whitespace() => {}
            '=' => found.push(Token::Equals),
            ';' => found.push(Token::End),
            '"' => {
                let mut word = String::new();
                loop {
                    match rest.next() {
                        Some('"') => break,
                        Some('\\') => word.extend(rest.next()),
                        Some(other) => word.push(other),
                        None => return Err("has a quotation mark that is not closed"),
                    }
                }
                found.push(Token::Word(word));
            }
            _ => {
                let mut word = String::from(next);
                while let Some(other) = rest.next_if(|c| !c.is_whitespace() && !"=;\"".contains(*c)) {
                    word.push(other);
                }
                found.push(Token::Word(word));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(pairs: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        let found = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut entries = Entries::default();
        translate(&found, &mut entries).map_err(|error| error.to_string())?;
        Ok(entries.pairs())
    }

    const PLAIN: &str =
        r#"org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="a\"=;b c";"#;
    const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required\n username=bob password=pw;";

    #[test]
    fn plain_becomes_user_and_password_with_quotes_undone() {
        let pairs = translated(&[
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.jaas.config", PLAIN),
        ])
        .unwrap();
        assert!(pairs.contains(&("sasl.username".to_owned(), "alice".to_owned())));
        assert!(pairs.contains(&("sasl.password".to_owned(), "a\"=;b c".to_owned())));
        assert!(pairs.contains(&("sasl.mechanism".to_owned(), "PLAIN".to_owned())));
        assert!(pairs.contains(&("security.protocol".to_owned(), "sasl_plaintext".to_owned())));
    }

    #[test]
    fn scram_over_tls_with_pem_stores_is_translated() {
        let pairs = translated(&[
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.jaas.config", SCRAM),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", "/etc/ca.store"),
            ("ssl.keystore.location", "/etc/client.pem"),
        ])
        .unwrap();
        for (key, value) in [
            ("ssl.ca.location", "/etc/ca.store"),
            ("ssl.key.location", "/etc/client.pem"),
            ("ssl.certificate.location", "/etc/client.pem"),
            ("sasl.username", "bob"),
            ("sasl.password", "pw"),
        ] {
            assert!(pairs.contains(&(key.to_owned(), value.to_owned())), "{key} in {pairs:?}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_and_says_what_to_do() {
        let sasl = ("security.protocol", "SASL_SSL");
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("security.protocol", "SSL"), ("ssl.truststore.location", "/a.jks")], "keytool"),
            (&[("security.protocol", "SSL"), ("ssl.truststore.location", "/a")], "keytool"),
            (&[("security.protocol", "SSL"), ("ssl.truststore.location", "/a.p12")], "-nokeys"),
            (&[("security.protocol", "SSL"), ("ssl.keystore.key", "x")], "ssl.keystore.certificate.chain"),
            (&[("security.protocol", "TLS")], "must be PLAINTEXT"),
            (&[sasl], "Kerberos"),
            (&[sasl, ("sasl.mechanism", "OAUTHBEARER")], "sasl.oauthbearer.token.endpoint.url"),
            (&[sasl, ("sasl.mechanism", "PLAIN")], "is needed"),
            (&[sasl, ("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", SCRAM)], "PlainLoginModule"),
            (&[sasl, ("sasl.mechanism", "PLAIN"), ("sasl.login.class", "x.Y")], "sasl.login.class"),
        ];
        for (pairs, expected) in cases {
            let error = translated(pairs).expect_err(&format!("{pairs:?}"));
            assert!(error.contains(expected), "{pairs:?}: {error}");
        }
    }

    #[test]
    fn a_broken_login_is_refused_without_repeating_any_of_it() {
        for text in [
            "",
            "Module",
            "Module required username=\"canary",
            "M required canary",
            "M required canary=1",
            "M canary x=1;",
        ] {
            let error = translated(&[
                ("security.protocol", "SASL_SSL"),
                ("sasl.mechanism", "PLAIN"),
                ("sasl.jaas.config", text),
            ])
            .expect_err(text);
            assert!(!error.contains("canary"), "{text}: {error}");
        }
    }

    #[test]
    fn security_of_an_unused_protocol_is_left_out() {
        let pairs = translated(&[("sasl.jaas.config", PLAIN), ("ssl.truststore.location", "/a.jks")]).unwrap();
        assert_eq!(pairs, [("security.protocol".to_owned(), "plaintext".to_owned())]);
    }
}
