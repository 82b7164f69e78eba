//! Settings of the sink: those of every SQL sink and MySQL's own.
use crate::config::SslMode;
use elasticflow_config::{KeyDef, Reader, Settings, choice, settings};
use elasticflow_sql::config::SinkKeys;
use std::sync::LazyLock;

choice! {
    /// How exactly-once is kept.
    pub enum Technique {
        /// Offsets are stored in the data's own transaction.
        OffsetTable = "offset-table",
        /// Rows are prepared in an XA transaction, which is decided in Kafka together with the group's offsets.
        Xa = "xa",
    }
}

settings! {
    /// What only the sink has.
    pub struct TechniqueKeys {
        /// How exactly-once is kept: by the offset table, or by XA transactions that are prepared, decided in Kafka and committed;
        /// `xa` needs MySQL 8.0.30 or MariaDB 10.5, and on MySQL the right XA_RECOVER_ADMIN.
        "delivery.technique" => technique: Technique { default: "offset-table", group: "Delivery", importance: Low },
    }
}

settings! {
    /// What only MySQL and MariaDB have.
    pub struct MysqlKeys {
        /// Whether the connection is encrypted and what is checked; `preferred` falls back to clear text on a server without TLS.
        "ssl.mode" => ssl_mode: Option<SslMode> { group: "TLS", importance: Medium },
        /// PEM file of the certificate authorities that are trusted; absent means the built-in ones.
        "ssl.ca.location" => ssl_ca: Option<String> { group: "TLS", importance: Low },
        /// PEM file of the client's certificate.
        "ssl.certificate.location" => ssl_cert: Option<String> { group: "TLS", importance: Low },
        /// PEM file of the client's key.
        "ssl.key.location" => ssl_key: Option<String> { group: "TLS", importance: Low },
        /// Variables set at the start of every session, such as `foreign_key_checks=0`.
        "session.variables" => session_variables: Vec<String> { default: "", group: "Connection", importance: Low, valid: Validity::Check(check_variables) },
    }
}

/// Names and plain values alone: the list becomes a statement.
fn check_variables(text: &str) -> Result<(), String> {
    let legal = |part: &str| {
        part.split_once('=').is_some_and(|(name, value)| {
            let name_is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            let value_is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | ':' | '\'');
            !name.trim().is_empty()
                && name.trim().chars().all(name_is_legal)
                && value.trim().chars().all(value_is_legal)
        })
    };
    let parts = text.split(',').map(str::trim).filter(|p| !p.is_empty());
    let protected = ["sql_mode", "time_zone", "autocommit", "character_set", "names", "transaction_isolation"];
    for part in parts {
        if !legal(part) {
            return Err("must be a list of name=value with plain values".to_owned());
        }
        if protected.iter().any(|p| part.to_ascii_lowercase().contains(p)) {
            return Err("must not set sql_mode, time_zone, autocommit, character sets or the isolation: the sink depends on them".to_owned());
        }
    }
    Ok(())
}

/// Settings of the sink.
#[derive(Debug, Clone)]
pub struct MysqlSinkConfig {
    /// Those of every SQL sink.
    pub keys: SinkKeys,
    /// MySQL's own.
    pub own: MysqlKeys,
    /// How exactly-once is kept.
    pub technique: Technique,
}

impl Settings for MysqlSinkConfig {
    fn keys() -> &'static [KeyDef] {
        static KEYS: LazyLock<Vec<KeyDef>> =
            LazyLock::new(|| [SinkKeys::keys(), TechniqueKeys::keys(), MysqlKeys::keys()].concat());
        &KEYS
    }
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (keys, own, technique) = (SinkKeys::read(reader), MysqlKeys::read(reader), TechniqueKeys::read(reader));
        Some(Self { keys: keys?, own: own?, technique: technique?.technique })
    }
}
