//! What is known of the fault of a record beside its reason, for those who sort and mend dead letters.
use crate::error::{RecordError, Source, Stage};

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Something is missing.
    Null,
    /// It is there already.
    Duplicate,
    /// A value cannot be read as what it should be.
    Conversion,
    /// It does not fit the structure of the destination.
    Schema,
    /// It is too large, too long or out of range.
    Size,
    /// A rule of the destination refuses it.
    Constraint,
    /// Anything else.
    Other,
}

impl FaultKind {
    /// As in the dead letter header `__flow.errors.kind`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Duplicate => "duplicate",
            Self::Conversion => "conversion",
            Self::Schema => "schema",
            Self::Size => "size",
            Self::Constraint => "constraint",
            Self::Other => "other",
        }
    }
}

/// Kind, field and code of a fault. Names only, never a value.
#[derive(Debug, thiserror::Error)]
#[error("{}{}{}", kind.name(), field.as_ref().map_or_else(String::new, |f| format!(", field {f}")), code.as_ref().map_or_else(String::new, |c| format!(", code {c}")))]
pub struct Blame {
    /// What is wrong.
    pub kind: FaultKind,
    /// Field or column, where one is to blame.
    pub field: Option<String>,
    /// The destination's own code.
    pub code: Option<String>,
    /// What caused it.
    #[source]
    pub source: Option<Source>,
}

impl RecordError {
    /// With what is known of the fault.
    #[must_use]
    pub fn blaming(self, kind: FaultKind, field: Option<String>, code: Option<String>) -> Self {
        let Self { stage, reason, source } = self;
        Self { stage, reason, source: Some(Box::new(Blame { kind, field, code, source })) }
    }

    /// What is known of the fault.
    pub fn blame(&self) -> Option<&Blame> {
        self.source.as_deref().and_then(|source| source.downcast_ref())
    }

    /// What is wrong, as far as it is known: converters that are not more exact could not read something.
    pub fn kind(&self) -> FaultKind {
        match (self.blame(), self.stage) {
            (Some(blame), _) => blame.kind,
            (None, Stage::KeyConverter | Stage::ValueConverter | Stage::HeaderConverter) => FaultKind::Conversion,
            (None, Stage::Transformation | Stage::TaskPut | Stage::TaskPoll | Stage::KafkaProduce) => FaultKind::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(stage: Stage) -> RecordError {
        RecordError { stage, reason: "r".to_owned(), source: None }
    }

    #[test]
    fn the_fault_travels_as_the_errors_source() {
        let blamed = error(Stage::TaskPut).blaming(FaultKind::Size, Some("name".to_owned()), Some("1406".to_owned()));
        let blame = blamed.blame().unwrap();
        assert_eq!((blame.kind, blame.field.as_deref()), (FaultKind::Size, Some("name")));
        assert_eq!(blame.to_string(), "size, field name, code 1406");
        assert_eq!(error(Stage::ValueConverter).kind(), FaultKind::Conversion);
        assert_eq!(error(Stage::TaskPut).kind(), FaultKind::Other);
    }
}
