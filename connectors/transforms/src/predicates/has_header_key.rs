//! `HasHeaderKey`: true for records with a header of that name.
use elasticflow_api::convert::Predicate;
use elasticflow_api::data::Record;
use elasticflow_config::Validity;

const NON_EMPTY: Validity =
    Validity::Check(|text| if text.trim().is_empty() { Err("String must be non-empty".to_owned()) } else { Ok(()) });

elasticflow_config::settings! {
    /// Settings of `HasHeaderKey`.
    pub(crate) struct HasHeaderKeyConfig {
        /// Name of the header; its case matters.
        "name" => name: String { valid: NON_EMPTY },
    }
}

pub(crate) struct HasHeaderKey(pub(crate) String);

impl Predicate for HasHeaderKey {
    fn test(&self, record: &Record) -> bool {
        record.headers.iter().any(|(name, _)| **name == *self.0)
    }

    fn passes_plain_values(&self) -> bool {
        true
    }
}
