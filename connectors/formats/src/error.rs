//! What can be wrong with a record in a converter.
use elasticflow_api::RecordError;
use elasticflow_api::error::Stage;

/// Why a record cannot be converted. Carries no record contents.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The data does not fit the schema or the format; Connect's `DataException`.
    #[error("{0}")]
    Data(String),
    /// The bytes are not of the format at all; Connect's `DataException` caused by a `SerializationException`.
    #[error("{message}")]
    Serialization {
        /// Connect's message.
        message: String,
        /// What is wrong and where.
        cause: SerializationError,
    },
}

/// Bytes that cannot be read or written in a format; `org.apache.kafka.common.errors.SerializationException`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SerializationError(pub String);

impl FormatError {
    /// A mismatch of data and schema.
    pub fn data(text: impl Into<String>) -> Self {
        Self::Data(text.into())
    }

    /// The error as the runtime takes it, at the stage where it happened.
    pub fn at(self, stage: Stage) -> RecordError {
        match self {
            Self::Data(reason) => RecordError { stage, reason, source: None },
            Self::Serialization { message, cause } => {
                RecordError { stage, reason: message, source: Some(Box::new(cause)) }
            }
        }
    }
}

/// The stage of a key or value converter.
pub fn converter_stage(is_key: bool) -> Stage {
    if is_key { Stage::KeyConverter } else { Stage::ValueConverter }
}
