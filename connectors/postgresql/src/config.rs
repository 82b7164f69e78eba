//! Settings of the sink: those of every SQL sink and PostgreSQL's own.
use elasticflow_config::{KeyDef, Reader, Settings, choice, settings};
use elasticflow_sql::config::SinkKeys;
use std::sync::LazyLock;

choice! {
    /// Encryption of the connection, in libpq's words.
    pub enum SslMode {
        /// None.
        Disable = "disable",
        /// If the server offers it; the certificate is not checked.
        Prefer = "prefer",
        /// Always; the certificate is checked if `ssl.ca.location` is set.
        Require = "require",
        /// Always; the certificate must come from a known authority.
        VerifyCa = "verify-ca",
        /// As `verify-ca`, and must name the host.
        VerifyFull = "verify-full",
    }
}

settings! {
    /// What only PostgreSQL has.
    pub struct PostgresKeys {
        /// Encryption of the connection, in libpq's words; it may also stand in the URL. Absent: `prefer`.
        "sslmode" => ssl_mode: Option<SslMode> { group: "TLS", importance: Medium },
        /// PEM file of the certificate authorities that are trusted; absent means the built-in ones.
        "ssl.ca.location" => ssl_ca: Option<String> { group: "TLS", importance: Low },
        /// PEM file of the client's certificate.
        "ssl.certificate.location" => ssl_cert: Option<String> { group: "TLS", importance: Low },
        /// PEM file of the client's key.
        "ssl.key.location" => ssl_key: Option<String> { group: "TLS", importance: Low },
    }
}

/// Settings of the sink.
#[derive(Debug, Clone)]
pub struct PostgresSinkConfig {
    /// Those of every SQL sink.
    pub keys: SinkKeys,
    /// PostgreSQL's own.
    pub own: PostgresKeys,
}

impl Settings for PostgresSinkConfig {
    fn keys() -> &'static [KeyDef] {
        static KEYS: LazyLock<Vec<KeyDef>> = LazyLock::new(|| [SinkKeys::keys(), PostgresKeys::keys()].concat());
        &KEYS
    }
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (keys, own) = (SinkKeys::read(reader), PostgresKeys::read(reader));
        Some(Self { keys: keys?, own: own? })
    }
}
