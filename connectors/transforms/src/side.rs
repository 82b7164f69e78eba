//! Key or value: most transforms come as `$Key` and `$Value`.
use crate::error::parsed;
use elasticflow_api::convert::Transform;
use elasticflow_api::data::{Datum, Record};
use elasticflow_api::{RecordError, Result};
use elasticflow_config::{Properties, Settings};
use std::sync::Arc;

/// The part of a record that a transform works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// `$Key`.
    Key,
    /// `$Value`, and transforms without variants.
    Value,
}

impl Side {
    /// That part of a record.
    pub(crate) fn of(self, record: &mut Record) -> &mut Datum {
        match self {
            Self::Key => &mut record.key,
            Self::Value => &mut record.value,
        }
    }
}

/// Made from settings.
pub(crate) trait Configured: Sized {
    /// The settings.
    type Config: Settings;

    /// Checks what the keys alone do not show.
    fn configured(config: Self::Config, side: Side) -> Result<Self>;
}

/// A transform that changes one side and looks at nothing else.
pub(crate) trait Change: Send + Sync {
    /// Changes the datum in place; after an error it is not used any more.
    fn change(&self, datum: &mut Datum) -> Result<(), RecordError>;
}

struct OnSide<C> {
    side: Side,
    change: C,
}

impl<C: Change> Transform for OnSide<C> {
    fn apply(&self, mut record: Record) -> Result<Option<Record>, RecordError> {
        self.change.change(self.side.of(&mut record))?;
        Ok(Some(record))
    }

    fn passes_plain_values(&self) -> bool {
        self.side == Side::Key
    }

    fn passes_headers(&self) -> bool {
        true
    }
}

/// Builds a transform of one side.
pub(crate) fn change<C: Change + Configured + 'static>(p: &Properties, side: Side) -> Result<Arc<dyn Transform>> {
    Ok(Arc::new(OnSide { side, change: C::configured(parsed(p)?, side)? }))
}

/// Builds a transform of whole records.
pub(crate) fn whole<T: Transform + Configured + 'static>(p: &Properties, side: Side) -> Result<Arc<dyn Transform>> {
    Ok(Arc::new(T::configured(parsed(p)?, side)?))
}
