//! What a batch source needs to know of MySQL's language.
use crate::sink::dialect::MysqlDialect;
use bytes::Bytes;
use elasticflow_api::data::{Kind, Schema};
use elasticflow_sql::Dialect;
use elasticflow_sql::source::SourceDialect;
use elasticflow_sql::source::columns::{ColumnFacts, DATE, TIME, TIMESTAMP};
use elasticflow_sql::source::config::NumericMapping;
use elasticflow_sql::table::TableName;

impl SourceDialect for MysqlDialect {
    fn tables(&self) -> &'static str {
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
         AND TABLE_TYPE IN ('BASE TABLE', 'VIEW') ORDER BY TABLE_NAME"
    }

    fn qualifier(&self) -> &'static str {
        "SELECT DATABASE()"
    }

    fn columns(&self, table: &TableName) -> String {
        let this: &dyn Dialect = self;
        let name = this.text_literal(&table.table);
        format!(
            "SELECT c.COLUMN_NAME, c.COLUMN_TYPE, c.IS_NULLABLE = 'YES', \
             COALESCE((SELECT s.SEQ_IN_INDEX FROM information_schema.STATISTICS s WHERE s.TABLE_SCHEMA = c.TABLE_SCHEMA \
             AND s.TABLE_NAME = c.TABLE_NAME AND s.INDEX_NAME = 'PRIMARY' AND s.COLUMN_NAME = c.COLUMN_NAME), 0), \
             c.NUMERIC_PRECISION, c.NUMERIC_SCALE, c.EXTRA LIKE '%auto_increment%' \
             FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = DATABASE() AND c.TABLE_NAME = {name} \
             ORDER BY c.ORDINAL_POSITION"
        )
    }

    fn schema_of(&self, column: &ColumnFacts, mapping: NumericMapping) -> Result<Schema, String> {
        let unsigned = column.type_name.contains("unsigned");
        let (kind, name) = match (base(column), unsigned) {
            ("tinyint", false) => (Kind::Int8, None),
            ("tinyint", true) | ("smallint", false) => (Kind::Int16, None),
            ("smallint", true) | ("mediumint", _) | ("int", false) | ("year", _) => (Kind::Int32, None),
            ("int", true) | ("bigint", _) => (Kind::Int64, None),
            ("float", _) => (Kind::Float32, None),
            ("double", _) => (Kind::Float64, None),
            ("decimal", _) => return Ok(column.exact(mapping)),
            ("bit", _) if is_one_bit(column) => (Kind::Int8, None),
            ("date", _) => (Kind::Int32, Some(DATE)),
            ("time", _) => (Kind::Int32, Some(TIME)),
            ("datetime" | "timestamp", _) => (Kind::Int64, Some(TIMESTAMP)),
            ("char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" | "json", _) => {
                (Kind::String, None)
            }
            ("uuid" | "inet4" | "inet6", _) => (Kind::String, None),
            _ => (Kind::Bytes, None),
        };
        Ok(column.schema(kind, name))
    }

    fn select(&self, column: &ColumnFacts, quoted: &str) -> String {
        match base(column) {
            // As text a FLOAT is cut to six digits; as a double it keeps them all.
            "float" => format!("{quoted} + 0e0"),
            "bit" if is_one_bit(column) => format!("{quoted} + 0"),
            _ => quoted.to_owned(),
        }
    }

    fn bytes(&self) -> fn(&Bytes) -> Option<Bytes> {
        |raw| Some(raw.clone())
    }

    fn clock(&self) -> &'static str {
        "SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%d %H:%i:%s.%f')"
    }

    fn snapshot(&self) -> &'static str {
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
    }
}

/// The type's first word.
fn base(column: &ColumnFacts) -> &str {
    column.type_name.split(['(', ' ']).next().unwrap_or_default()
}

fn is_one_bit(column: &ColumnFacts) -> bool {
    column.type_name == "bit(1)"
}
