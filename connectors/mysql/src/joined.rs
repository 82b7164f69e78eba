//! Tables that match the filters since the filters were changed: they get a snapshot of their own beside the stream.
//!
//! The filters are stored with the position, so that the next start can tell which tables did not match before. A table that
//! is created later needs none: all its rows are in the log.
use crate::config::CdcConfig;
use crate::error::Result;
use crate::filters::Filters;
use crate::information;
use crate::preflight::reads_rows;
use crate::progress::Adhoc;
use crate::wire::Session;
use elasticflow_api::position::SourceOffset;
use elasticflow_config::{Properties, parse};
use serde_json::{Map, Value as Json};

/// Name of the field of the offset.
pub(crate) const FILTERS_FIELD: &str = "elasticflow_filters";

/// Keys of the settings that decide which tables are captured.
const KEYS: [&str; 5] = [
    "database.include.list",
    "database.exclude.list",
    "table.include.list",
    "table.exclude.list",
    "snapshot.include.collection.list",
];

/// The filters as they are stored; none if tables that join later get no snapshot.
pub(crate) fn stored_form(config: &CdcConfig) -> Option<String> {
    if !config.snapshot_joined || !reads_rows(config.snapshot_mode) {
        return None;
    }
    let values = [
        &config.database_include,
        &config.database_exclude,
        &config.table_include,
        &config.table_exclude,
        &config.snapshot_include,
    ];
    let set = KEYS.iter().zip(values).filter_map(|(key, value)| Some(((*key).to_owned(), Json::from(value.clone()?))));
    Some(Json::Object(set.collect::<Map<_, _>>()).to_string())
}

/// The tables that match now and did not match when the offset was stored.
pub(crate) async fn joined(
    session: &mut Session,
    (config, filters): (&CdcConfig, &Filters),
    offset: Option<&SourceOffset>,
) -> Result<Option<Adhoc>> {
    let before = offset.and_then(|o| o.0.get(FILTERS_FIELD)).and_then(Json::as_str);
    let (Some(before), Some(now)) = (before, stored_form(config)) else { return Ok(None) };
    if before == now {
        return Ok(None);
    }
    let Some(before) = read(before) else {
        tracing::warn!("the filters stored with the position cannot be read: no table is taken as joined");
        return Ok(None);
    };
    let captured = |f: &Filters, (db, name): &(String, String)| f.table(db, name) && f.snapshots(db, name);
    let mut tables = information::tables(session).await?;
    tables.retain(|t| captured(filters, t) && !captured(&before, t));
    if tables.is_empty() {
        return Ok(None);
    }
    tracing::info!(tables = tables.len(), "tables match the filters that did not before: taking a snapshot of them");
    Ok(Some(Adhoc { tables, blocking: true, ..Adhoc::default() }))
}

/// The filters of a stored form.
fn read(stored: &str) -> Option<Filters> {
    let Json::Object(set) = serde_json::from_str::<Json>(stored).ok()? else { return None };
    let mut properties = Properties::default();
    for (key, value) in [("database.hostname", "-"), ("database.user", "-"), ("topic.prefix", "-")] {
        properties = properties.with(key, value);
    }
    for (key, value) in &set {
        properties = properties.with(key, value.as_str()?);
    }
    Filters::parse(&parse::<CdcConfig>(&properties).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_filters_are_read_back() {
        let filters = read(r#"{"table.include.list":"d\\.a,d\\.b","database.exclude.list":"x"}"#).unwrap();
        assert!(filters.table("d", "a") && !filters.table("d", "c"));
        assert!(read("[]").is_none() && read(r#"{"table.include.list":"("}"#).is_none());
    }
}
