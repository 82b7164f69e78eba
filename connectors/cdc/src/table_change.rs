//! Records of schema changes: a statement and the tables as it leaves them.
use crate::schema::{Shape, field, of, structure};
use elasticflow_api::data::{Datum, Kind, SchemaRef, Struct, Text, Value};
use std::sync::Arc;

/// What a statement did to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is there from now on.
    Create,
    /// It has other columns, another key or another name.
    Alter,
    /// It is gone.
    Drop,
}

impl ChangeKind {
    fn word(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Alter => "ALTER",
            Self::Drop => "DROP",
        }
    }
}

/// A table that a statement changed.
#[derive(Debug, Clone, PartialEq)]
pub struct TableChange {
    /// What happened.
    pub kind: ChangeKind,
    /// Database and table.
    pub table: (String, String),
    /// The table after it; none if it is gone.
    pub description: Option<TableDescription>,
}

/// A table as its columns and key are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableDescription {
    /// Character set of columns that name none.
    pub charset: Option<String>,
    /// Columns of the primary key, in its order.
    pub key: Vec<String>,
    /// Columns in order.
    pub columns: Vec<ColumnDescription>,
    /// Comment, if comments are asked for.
    pub comment: Option<String>,
}

/// A column as consumers of schema changes know it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnDescription {
    /// Name.
    pub name: String,
    /// Number of the type in JDBC.
    pub jdbc_type: i32,
    /// Name of the type in capitals, such as `BIGINT UNSIGNED`.
    pub type_name: String,
    /// Character set of text.
    pub charset: Option<String>,
    /// Length or precision.
    pub length: Option<i32>,
    /// Digits after the point.
    pub scale: Option<i32>,
    /// Whether it may be null.
    pub optional: bool,
    /// Whether the server numbers it.
    pub auto_incremented: bool,
    /// Comment, if comments are asked for.
    pub comment: Option<String>,
    /// Text of the default.
    pub default: Option<String>,
    /// Members of an enumeration, in quotes.
    pub members: Option<Vec<String>>,
}

/// A statement that changed tables.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaChange {
    /// Database it belongs to; empty for the whole server.
    pub database: String,
    /// Its text.
    pub ddl: String,
    /// The tables.
    pub changes: Vec<TableChange>,
}

/// Makes keys and values of such records.
#[derive(Debug)]
pub struct SchemaChanges {
    key: SchemaRef,
    value: SchemaRef,
    change: SchemaRef,
    table: SchemaRef,
    column: SchemaRef,
}

impl SchemaChanges {
    /// For a connector whose schema names begin with `package`; `source` is the schema of its source block.
    pub fn new(package: &str, source: &SchemaRef) -> Self {
        let text = || of(Kind::String);
        let column: SchemaRef = Arc::new(column_schema());
        let table: SchemaRef = Arc::new(
            structure(vec![
                field("defaultCharsetName", text().nullable(true)),
                field("primaryKeyColumnNames", texts()),
                field("columns", of(Kind::Array(Arc::clone(&column)))),
                field("comment", text().nullable(true)),
            ])
            .named("io.debezium.connector.schema.Table", 1)
            .nullable(true),
        );
        let change: SchemaRef = Arc::new(
            structure(vec![field("type", text()), field("id", text()), field("table", Arc::clone(&table))])
                .named("io.debezium.connector.schema.Change", 1),
        );
        let value = structure(vec![
            field("source", Arc::clone(source)),
            field("ts_ms", of(Kind::Int64)),
            field("databaseName", text().nullable(true)),
            field("schemaName", text().nullable(true)),
            field("ddl", text().nullable(true)),
            field("tableChanges", of(Kind::Array(Arc::clone(&change)))),
        ]);
        let key = structure(vec![field("databaseName", text())]);
        Self {
            key: Arc::new(key.named(&format!("{package}.SchemaChangeKey"), 1)),
            value: Arc::new(value.named(&format!("{package}.SchemaChangeValue"), 1)),
            change,
            table,
            column,
        }
    }

    /// Key and value of a change.
    pub fn record(&self, change: &SchemaChange, source: Value, now_ms: i64) -> (Datum, Datum) {
        let key = datum(&self.key, vec![word(&change.database)]);
        let changes = change.changes.iter().map(|c| self.change(c)).collect();
        let values = vec![
            source,
            Value::Int64(now_ms),
            word(&change.database),
            Value::Null,
            word(&change.ddl),
            Value::Array(changes),
        ];
        (key, datum(&self.value, values))
    }

    fn change(&self, change: &TableChange) -> Value {
        let (db, name) = &change.table;
        let table = change.description.as_ref().map_or(Value::Null, |t| self.table(t));
        let id = format!("\"{db}\".\"{name}\"");
        struct_of(&self.change, vec![Value::String(Text::from_static(change.kind.word())), word(&id), table])
    }

    fn table(&self, table: &TableDescription) -> Value {
        let columns = table.columns.iter().zip(1..).map(|(c, place)| self.column(c, place)).collect();
        let values = vec![
            maybe(table.charset.as_ref()),
            Value::Array(table.key.iter().map(|k| word(k)).collect()),
            Value::Array(columns),
            maybe(table.comment.as_ref()),
        ];
        struct_of(&self.table, values)
    }

    fn column(&self, column: &ColumnDescription, place: i32) -> Value {
        let number = |n: Option<i32>| n.map_or(Value::Null, Value::Int32);
        let members = |all: &Vec<String>| Value::Array(all.iter().map(|m| word(m)).collect());
        let values = vec![
            word(&column.name),
            Value::Int32(column.jdbc_type),
            Value::Null,
            word(&column.type_name),
            word(&column.type_name),
            maybe(column.charset.as_ref()),
            number(column.length),
            number(column.scale),
            Value::Int32(place),
            Value::Boolean(column.optional),
            Value::Boolean(column.auto_incremented),
            // As Debezium has it: what the server numbers, not what an expression generates.
            Value::Boolean(column.auto_incremented),
            maybe(column.comment.as_ref()),
            maybe(column.default.as_ref()),
            column.members.as_ref().map_or(Value::Null, members),
        ];
        struct_of(&self.column, values)
    }
}

fn texts() -> elasticflow_api::data::Schema {
    of(Kind::Array(Arc::new(of(Kind::String)))).nullable(true)
}

fn column_schema() -> elasticflow_api::data::Schema {
    let text = || of(Kind::String);
    let maybe_text = || text().nullable(true);
    let number = || of(Kind::Int32);
    let flag = || of(Kind::Boolean).nullable(true);
    structure(vec![
        field("name", text()),
        field("jdbcType", number()),
        field("nativeType", number().nullable(true)),
        field("typeName", text()),
        field("typeExpression", maybe_text()),
        field("charsetName", maybe_text()),
        field("length", number().nullable(true)),
        field("scale", number().nullable(true)),
        field("position", number()),
        field("optional", flag()),
        field("autoIncremented", flag()),
        field("generated", flag()),
        field("comment", maybe_text()),
        field("defaultValueExpression", maybe_text()),
        field("enumValues", texts()),
    ])
    .named("io.debezium.connector.schema.Column", 1)
}

fn word(text: &str) -> Value {
    Value::String(Text::from(text))
}

fn maybe(text: Option<&String>) -> Value {
    text.map_or(Value::Null, |t| word(t))
}

fn struct_of(schema: &SchemaRef, values: Vec<Value>) -> Value {
    Value::Struct(Struct { schema: Arc::clone(schema), values })
}

fn datum(schema: &SchemaRef, values: Vec<Value>) -> Datum {
    Datum { schema: Some(Arc::clone(schema)), value: struct_of(schema, values) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_its_table_in_quotes_and_numbers_columns_from_one() {
        let changes = SchemaChanges::new("io.debezium.connector.mysql", &Arc::new(of(Kind::String)));
        let column =
            ColumnDescription { name: "id".into(), jdbc_type: 4, type_name: "INT".into(), ..Default::default() };
        let description = TableDescription { columns: vec![column], ..Default::default() };
        let change =
            TableChange { kind: ChangeKind::Alter, table: ("d".into(), "t".into()), description: Some(description) };
        let change = SchemaChange { database: "d".into(), ddl: "ALTER".into(), changes: vec![change] };
        let (key, value) = changes.record(&change, word("s"), 7);
        assert_eq!(key.schema.unwrap().name.as_deref(), Some("io.debezium.connector.mysql.SchemaChangeKey"));
        let Value::Struct(value) = value.value else { panic!("no struct") };
        let Value::Array(all) = &value.values[5] else { panic!("no list") };
        let Value::Struct(change) = &all[0] else { panic!("no change") };
        assert_eq!(change.values[..2], [word("ALTER"), word("\"d\".\"t\"")]);
        let Value::Struct(table) = &change.values[2] else { panic!("no table") };
        let Value::Array(columns) = &table.values[2] else { panic!("no columns") };
        let Value::Struct(column) = &columns[0] else { panic!("no column") };
        assert_eq!((&column.values[0], &column.values[8]), (&word("id"), &Value::Int32(1)));
    }
}
