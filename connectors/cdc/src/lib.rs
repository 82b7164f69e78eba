//! What every change-capture source shares and no database: schemas of the envelope, naming, filters, masks.
//!
//! Formats and words are Debezium's, so that consumers written for it go on working.
pub mod envelope;
pub mod filter;
pub mod mask;
pub mod naming;
pub mod notify;
pub mod schema;
pub mod table_change;
