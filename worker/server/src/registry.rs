//! Every plug-in of this distribution: a list that can be read.
use elasticflow_api::error::Result;
use elasticflow_api::registry::Registry;

/// Builds the registry.
///
/// # Errors
/// Two plug-ins of one kind answer to the same name.
pub fn registry() -> Result<Registry> {
    let mut registry = Registry::default();
    let crates = [
        #[cfg(feature = "mysql")]
        elasticflow_mysql::plugins(),
        #[cfg(feature = "mysql")]
        elasticflow_mysql::sink::plugins(),
        #[cfg(feature = "mysql")]
        elasticflow_mysql::query::plugins(),
        #[cfg(feature = "postgresql")]
        elasticflow_postgresql::plugins(),
        #[cfg(feature = "file")]
        elasticflow_file::plugins(),
        #[cfg(feature = "datagen")]
        elasticflow_datagen::plugins(),
        #[cfg(feature = "sqlite")]
        elasticflow_sqlite::plugins(),
        #[cfg(feature = "elasticsearch")]
        elasticflow_elasticsearch::plugins(),
        crate::jdbc::plugins(),
        crate::jdbc_source::plugins(),
        elasticflow_formats::plugins(),
        elasticflow_registry::plugins(),
        elasticflow_transforms::plugins(),
    ];
    for entry in crates.into_iter().flatten() {
        registry.add(entry)?;
    }
    Ok(registry)
}

/// The same with connectors that are for tests alone.
///
/// # Errors
/// As for [`registry`].
pub(crate) fn with_test_plugins(registry: &Registry) -> Result<Registry> {
    let mut registry = registry.clone();
    #[cfg(feature = "datagen")]
    for entry in elasticflow_datagen::test_plugins() {
        registry.add(entry)?;
    }
    Ok(registry)
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_plug_ins_answer_to_one_name() {
        let registry = super::registry().unwrap();
        assert!(registry.entries().len() > 5);
        assert!(registry.connector("ledger").is_none());
        assert!(super::with_test_plugins(&registry).unwrap().connector("ledger").is_some());
    }
}
