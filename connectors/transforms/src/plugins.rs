//! Every transform and predicate of this crate, for the registry.
use crate::cast::{Cast, CastConfig};
use crate::drop_headers::{DropHeaders, DropHeadersConfig};
use crate::error::parsed;
use crate::extract_field::{ExtractField, ExtractFieldConfig};
use crate::filter::Filter;
use crate::flatten::{Flatten, FlattenConfig};
use crate::header_from::{HeaderFrom, HeaderFromConfig};
use crate::hoist_field::{HoistField, HoistFieldConfig};
use crate::insert_field::{InsertField, InsertFieldConfig};
use crate::insert_header::{InsertHeader, InsertHeaderConfig};
use crate::mask_field::{MaskField, MaskFieldConfig};
use crate::predicates::{
    HasHeaderKey, HasHeaderKeyConfig, RecordIsTombstone, TopicNameMatches, TopicNameMatchesConfig,
};
use crate::regex_router::{RegexRouter, RegexRouterConfig};
use crate::replace_field::{ReplaceField, ReplaceFieldConfig};
use crate::set_schema_metadata::{SetSchemaMetadata, SetSchemaMetadataConfig};
use crate::side::{Side, change, whole};
use crate::timestamp_converter::{TimestampConverter, TimestampConverterConfig};
use crate::timestamp_router::{TimestampRouter, TimestampRouterConfig};
use crate::value_to_key::{ValueToKey, ValueToKeyConfig};
use elasticflow_api::registry::{Plugin, PluginEntry};
use elasticflow_config::{KeyDef, Settings};
use std::sync::Arc;

/// Every transform and predicate, Connect's first.
pub fn plugins() -> Vec<PluginEntry> {
    let mut entries = sided();
    entries.extend(unsided());
    entries.extend(predicates());
    entries.extend(crate::debezium::plugins());
    entries
}

/// An entry whose simple name is enough.
pub(crate) fn entry(class: &'static str, keys: &'static [KeyDef], plugin: Plugin) -> PluginEntry {
    PluginEntry { class, aliases: &[], version: env!("CARGO_PKG_VERSION"), keys, remarks: "", plugin }
}

/// A constructor is a plain function, so both variants are written out by a macro.
fn sided() -> Vec<PluginEntry> {
    macro_rules! of {
        ($($make:ident $name:ident $config:ident),* $(,)?) => {
            vec![$(
                entry(
                    concat!("org.apache.kafka.connect.transforms.", stringify!($name), "$Key"),
                    $config::keys(),
                    Plugin::Transform(|p| $make::<$name>(p, Side::Key)),
                ),
                entry(
                    concat!("org.apache.kafka.connect.transforms.", stringify!($name), "$Value"),
                    $config::keys(),
                    Plugin::Transform(|p| $make::<$name>(p, Side::Value)),
                ),
            )*]
        };
    }
    of!(
        change Cast CastConfig,
        change ExtractField ExtractFieldConfig,
        change Flatten FlattenConfig,
        whole HeaderFrom HeaderFromConfig,
        change HoistField HoistFieldConfig,
        whole InsertField InsertFieldConfig,
        change MaskField MaskFieldConfig,
        change ReplaceField ReplaceFieldConfig,
        change SetSchemaMetadata SetSchemaMetadataConfig,
        change TimestampConverter TimestampConverterConfig,
    )
}

fn unsided() -> Vec<PluginEntry> {
    macro_rules! of {
        ($($name:ident $keys:expr),* $(,)?) => {
            vec![$(
                entry(
                    concat!("org.apache.kafka.connect.transforms.", stringify!($name)),
                    $keys,
                    Plugin::Transform(|p| whole::<$name>(p, Side::Value)),
                ),
            )*]
        };
    }
    of!(
        DropHeaders DropHeadersConfig::keys(),
        Filter <()>::keys(),
        InsertHeader InsertHeaderConfig::keys(),
        RegexRouter RegexRouterConfig::keys(),
        TimestampRouter TimestampRouterConfig::keys(),
        ValueToKey ValueToKeyConfig::keys(),
    )
}

fn predicates() -> Vec<PluginEntry> {
    vec![
        entry(
            "org.apache.kafka.connect.transforms.predicates.HasHeaderKey",
            HasHeaderKeyConfig::keys(),
            Plugin::Predicate(|p| Ok(Arc::new(HasHeaderKey(parsed::<HasHeaderKeyConfig>(p)?.name)))),
        ),
        entry(
            "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
            &[],
            Plugin::Predicate(|_| Ok(Arc::new(RecordIsTombstone))),
        ),
        entry(
            "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
            TopicNameMatchesConfig::keys(),
            Plugin::Predicate(|p| Ok(Arc::new(TopicNameMatches::new(&parsed::<TopicNameMatchesConfig>(p)?)?))),
        ),
    ]
}
