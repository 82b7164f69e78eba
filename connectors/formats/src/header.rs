//! Lets a converter of values serve headers, as Connect's own do.
use bytes::{Bytes, BytesMut};
use elasticflow_api::RecordError;
use elasticflow_api::convert::{Converter, DecodeError, EncodeError, HeaderConverter};
use elasticflow_api::data::{Datum, Headers};
use elasticflow_api::error::Stage;

/// A converter used for header values.
pub struct AsHeaderConverter<C>(pub C);

impl<C: Converter> HeaderConverter for AsHeaderConverter<C> {
    fn encode(&self, topic: &str, _: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool, RecordError> {
        self.0.encode(topic, datum, &mut Headers::new(), out).map_err(|error| match error {
            EncodeError::Record(error) => RecordError { stage: Stage::HeaderConverter, ..error },
            EncodeError::Unresolved(_) => unresolved(),
        })
    }

    fn decode(&self, topic: &str, _: &str, bytes: Option<&Bytes>) -> Result<Datum, RecordError> {
        self.0.decode(topic, bytes, &Headers::new()).map_err(|error| match error {
            DecodeError::Record(error) => RecordError { stage: Stage::HeaderConverter, ..error },
            DecodeError::Unresolved(_) => unresolved(),
        })
    }
}

/// Headers are converted without I/O, so a converter that needs a registry cannot serve them.
fn unresolved() -> RecordError {
    RecordError {
        stage: Stage::HeaderConverter,
        reason: "the converter needs a schema registry".to_owned(),
        source: None,
    }
}
