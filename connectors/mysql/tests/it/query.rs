//! The batch source on real servers.
use crate::sink::Case;
use async_trait::async_trait;
use elasticflow_api::registry::DynSourceConnector;
use elasticflow_config::Properties;
use elasticflow_mysql::query::MysqlBatchSource;
use elasticflow_testkit::sql::SqlCase;
use elasticflow_testkit::sql_source::{SqlSourceCase, check_sql_source};

struct Source(Case);

#[async_trait]
impl SqlSourceCase for Source {
    fn source(&self) -> &dyn DynSourceConnector {
        &MysqlBatchSource
    }
    fn connection(&self) -> Properties {
        SqlCase::connection(&self.0)
    }
    async fn run(&self, sql: &str) {
        self.0.run(sql).await;
    }
    fn time_type(&self) -> &'static str {
        "DATETIME(6)"
    }
}

#[tokio::test]
async fn mysql_and_mariadb_pass_what_every_sql_batch_source_passes() {
    for variable in ["EF_MYSQL", "EF_MARIADB"] {
        let Some(case) = Case::of(variable, "mysql_and_mariadb_pass_what_every_sql_batch_source_passes").await else {
            continue;
        };
        let source = Source(case);
        check_sql_source(&source).await;
        source.0.drop_database().await;
    }
}
