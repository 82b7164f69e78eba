//! Why an operation of the herder was refused, in terms that REST turns into status codes.

/// Refusal or failure of an operation. Texts are Kafka Connect's where it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HerderError {
    /// No such connector, task or plug-in: 404.
    #[error("{0}")]
    NotFound(String),
    /// It exists already: 409.
    #[error("{0}")]
    Conflict(String),
    /// The request cannot be carried out as it stands: 400.
    #[error("{0}")]
    BadRequest(String),
    /// The configuration has errors: 400 with Connect's list as message and the messages by key.
    #[error("{message}")]
    Invalid {
        /// Connect's text with every message.
        message: String,
        /// Key and message, in the order of the text.
        errors: Vec<(String, String)>,
    },
    /// Another worker has to carry it out; the URL of its REST endpoint. Nothing was done.
    #[error("Cannot complete request because of a conflicting operation (e.g. worker rebalance)")]
    Elsewhere(String),
    /// What it concerns is on its way from one worker to another. Nothing was done; the same call works soon.
    #[error("Cannot complete request because of a conflicting operation (e.g. worker rebalance)")]
    Moving,
    /// The worker is shutting down. Nothing was done; another worker carries it out: 500.
    #[error("the worker is shutting down")]
    Closing,
    /// Switched off by the worker's configuration: 403.
    #[error("{0}")]
    Forbidden(String),
    /// Not done within the caller's time; names the stage that takes so long: 500.
    #[error("{0}")]
    Timeout(String),
    /// The worker is starting, stopping or has lost Kafka; the same call may work later: 500.
    #[error("{0}")]
    Unavailable(String),
    /// It failed: 500.
    #[error("{0}")]
    Failed(String),
}

impl HerderError {
    /// `Connector nope not found`.
    pub fn no_connector(name: &str) -> Self {
        Self::NotFound(format!("Connector {name} not found"))
    }

    /// The HTTP status that Connect gives to this kind of failure.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotFound(_) => 404,
            Self::Conflict(_) | Self::Elsewhere(_) | Self::Moving => 409,
            Self::BadRequest(_) | Self::Invalid { .. } => 400,
            Self::Forbidden(_) => 403,
            Self::Closing | Self::Timeout(_) | Self::Unavailable(_) | Self::Failed(_) => 500,
        }
    }
}
