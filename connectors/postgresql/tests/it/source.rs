//! The batch source on a real server.
use crate::case::Case;
use async_trait::async_trait;
use elasticflow_api::registry::DynSourceConnector;
use elasticflow_config::Properties;
use elasticflow_postgresql::source::PostgresBatchSource;
use elasticflow_testkit::sql::SqlCase;
use elasticflow_testkit::sql_source::{SqlSourceCase, check_sql_source};

struct Source(Case);

#[async_trait]
impl SqlSourceCase for Source {
    fn source(&self) -> &dyn DynSourceConnector {
        &PostgresBatchSource
    }
    fn connection(&self) -> Properties {
        SqlCase::connection(&self.0)
    }
    async fn run(&self, sql: &str) {
        self.0.run(sql).await;
    }
    fn time_type(&self) -> &'static str {
        "TIMESTAMPTZ(6)"
    }
}

#[tokio::test]
async fn postgresql_passes_what_every_sql_batch_source_passes() {
    let Some(case) = Case::of("postgresql_passes_what_every_sql_batch_source_passes").await else { return };
    let source = Source(case);
    check_sql_source(&source).await;
    source.0.drop_schema().await;
}
