//! What can go wrong between a converter and its registry. A single bad record is a `FormatError` instead.
use elasticflow_api::{ConnectorError, ErrorClass};

/// An error of the registry or of what it holds.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No address answers.
    #[error("the schema registry at {url} does not answer; nothing is lost, the records are converted when it does")]
    Unreachable {
        /// The address asked last.
        url: String,
        /// Why.
        #[source]
        cause: reqwest::Error,
    },
    /// The registry is in trouble itself.
    #[error("the schema registry at {url} answers {status}: {reason}; nothing is lost, the request is repeated")]
    Trouble {
        /// The address.
        url: String,
        /// HTTP status.
        status: u16,
        /// The registry's words.
        reason: String,
    },
    /// Wrong or missing credentials, or no permission.
    #[error(
        "the schema registry at {url} answers {status} to a request about {about}: {reason}; check \
         basic.auth.credentials.source, basic.auth.user.info or bearer.auth.token, and the permissions of that account"
    )]
    Denied {
        /// The address.
        url: String,
        /// HTTP status.
        status: u16,
        /// Subject or id.
        about: String,
        /// The registry's words.
        reason: String,
    },
    /// Something answers that is no registry.
    #[error(
        "{url} answers {status}, but not as a schema registry does ({detail}); check schema.registry.url, its path included"
    )]
    NotARegistry {
        /// The address.
        url: String,
        /// HTTP status.
        status: u16,
        /// What is odd.
        detail: String,
    },
    /// The compatibility rule of a subject refuses the records' schema.
    #[error(
        "subject {subject} refuses the new schema of its records as incompatible with the registered ones: {reason}. \
         Either undo the change of the source's structure, or relax the rule of the subject \
         (PUT /config/{subject} {{\"compatibility\": \"NONE\"}}), then restart the task; no record is lost"
    )]
    Incompatible {
        /// The subject.
        subject: String,
        /// The registry's words.
        reason: String,
    },
    /// The registry holds the schema to be invalid.
    #[error("the schema registry refuses the schema for subject {subject} with status {status}: {reason}")]
    Refused {
        /// The subject.
        subject: String,
        /// HTTP status.
        status: u16,
        /// The registry's words.
        reason: String,
    },
    /// `auto.register.schemas=false` and the schema is not there.
    #[error(
        "{action}the records' schema is not registered under subject {subject} and auto.register.schemas is false; \
         register it, or set use.latest.version=true to write with the newest version of the subject: {reason}"
    )]
    NotRegistered {
        /// What failed, in Connect's words.
        action: String,
        /// The subject.
        subject: String,
        /// The registry's words.
        reason: String,
    },
    /// A version or id that the configuration asks for does not exist.
    #[error("{wanted} does not exist in the schema registry: {reason}; register the schema first")]
    Missing {
        /// What was asked for.
        wanted: String,
        /// The registry's words.
        reason: String,
    },
    /// The records do not fit the schema that the configuration tells to write with.
    #[error(
        "records of topic {topic} cannot be written with {schema}: {reason}. Register a version that fits, or set \
         auto.register.schemas=true"
    )]
    Misfit {
        /// The topic.
        topic: String,
        /// Subject with version, or id.
        schema: String,
        /// Where they differ.
        reason: String,
    },
    /// A setting that parses and yet will not do.
    #[error("{0}")]
    Setting(String),
}

impl Error {
    /// What the runtime does about it. Exhaustive on purpose: a new variant must choose.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable { .. } | Self::Trouble { .. } => ErrorClass::Transient { retry_after: None },
            Self::Denied { .. } | Self::NotARegistry { .. } | Self::Missing { .. } | Self::Setting(_) => {
                ErrorClass::Config
            }
            Self::Incompatible { .. } | Self::Refused { .. } | Self::NotRegistered { .. } | Self::Misfit { .. } => {
                ErrorClass::Definite
            }
        }
    }

    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "REGISTRY-0010",
            Self::Trouble { .. } => "REGISTRY-0011",
            Self::Denied { .. } => "REGISTRY-0012",
            Self::NotARegistry { .. } => "REGISTRY-0013",
            Self::Incompatible { .. } => "REGISTRY-0020",
            Self::Refused { .. } => "REGISTRY-0021",
            Self::NotRegistered { .. } => "REGISTRY-0022",
            Self::Missing { .. } => "REGISTRY-0023",
            Self::Misfit { .. } => "REGISTRY-0024",
            Self::Setting(_) => "REGISTRY-0030",
        }
    }
}

impl From<Error> for ConnectorError {
    fn from(error: Error) -> Self {
        Self { class: error.class(), code: error.code(), message: error.to_string(), source: Some(Box::new(error)) }
    }
}
