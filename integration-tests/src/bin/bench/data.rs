//! The reference table: ten mixed columns, about 200 bytes a row; row i is a pure function of i.
use crate::{Bench, say};
use anyhow::Result;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::fmt::Write;

/// Database of the benchmarks.
pub(crate) const SCHEMA: &str = "bench";
/// Rows of one INSERT.
const ROWS_A_STATEMENT: u64 = 2000;
const STATUS: [&str; 5] = ["new", "paid", "packed", "shipped", "cancelled"];
const WORDS: [&str; 14] = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "café",
    "naïve",
    "\\\"quoted\\\"",
    "back\\\\slash",
    "first",
    "second",
];
const TABLE: &str = "CREATE TABLE IF NOT EXISTS bench.snap (
  id BIGINT NOT NULL PRIMARY KEY, customer_id INT NOT NULL, status VARCHAR(16) NOT NULL, amount DECIMAL(12,2) NOT NULL,
  quantity SMALLINT UNSIGNED NOT NULL, score DOUBLE NULL, email VARCHAR(100) NOT NULL, note VARCHAR(255) NULL,
  created_at DATETIME(3) NOT NULL, updated_at TIMESTAMP(6) NOT NULL) ENGINE=InnoDB";

/// Creates the table and adds the rows that are missing.
pub(crate) async fn fill(bench: &Bench) -> Result<()> {
    bench.database.run(&["CREATE DATABASE IF NOT EXISTS bench CHARACTER SET utf8mb4", TABLE]).await?;
    let mut connection = bench.database.connect().await?;
    connection.query_drop("SET time_zone = '+00:00'").await?;
    let have: u64 = connection.query_first("SELECT COALESCE(MAX(id), 0) FROM bench.snap").await?.unwrap_or(0);
    if have > bench.rows {
        connection.query_drop(format!("DELETE FROM bench.snap WHERE id > {}", bench.rows)).await?;
    } else if have < bench.rows {
        say(&format!("filling {SCHEMA}.snap with {} rows", bench.rows));
    }
    let mut first = have + 1;
    while first <= bench.rows {
        let last = (first + ROWS_A_STATEMENT - 1).min(bench.rows);
        connection.query_drop(insert(first, last)?).await?;
        first = last + 1;
    }
    connection.query_drop("ANALYZE TABLE bench.snap").await?;
    connection.disconnect().await?;
    Ok(())
}

fn insert(first: u64, last: u64) -> Result<String> {
    let mut sql = String::from("INSERT INTO bench.snap VALUES ");
    for id in first..=last {
        if id > first {
            sql.push(',');
        }
        row(id, &mut sql)?;
    }
    Ok(sql)
}

fn pick<'a>(words: &[&'a str], at: u64) -> &'a str {
    usize::try_from(at % words.len() as u64).ok().and_then(|at| words.get(at)).copied().unwrap_or_default()
}

fn row(i: u64, sql: &mut String) -> Result<()> {
    let h = i.wrapping_mul(2_654_435_761) & 0xffff_ffff;
    let (mut note, mut k) = (String::new(), h);
    while note.len() < 110 {
        note.push_str(pick(&WORDS, k));
        note.push(' ');
        k = k.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
    }
    let score = if i.is_multiple_of(50) { "NULL".to_owned() } else { format!("{h}/65536") };
    let note = if i.is_multiple_of(97) { "NULL".to_owned() } else { format!("'{}'", note.trim_end()) };
    let second = i % 20_000_000;
    write!(
        sql,
        "({i},{},'{}',{}.{:02},{},{score},'user{}@example.com',{note},\
         '2026-01-01' + INTERVAL {second} SECOND + INTERVAL {} MICROSECOND,'2026-01-01' + INTERVAL {second} SECOND + INTERVAL {} MICROSECOND)",
        h % 100_000,
        pick(&STATUS, h),
        h % 10_000_000 / 100,
        h % 100,
        h % 1000,
        h % 1_000_000,
        h % 1000 * 1000,
        h % 1_000_000,
    )?;
    Ok(())
}

/// Copies the first rows of the reference table, so many a transaction.
pub(crate) async fn copy(connection: &mut Conn, table: &str, rows: u64, per_transaction: u64) -> Result<()> {
    let mut first = 1;
    while first <= rows {
        let end = (first + per_transaction).min(rows + 1);
        let sql = format!(
            "INSERT INTO bench.{table} SELECT * FROM bench.snap FORCE INDEX (PRIMARY) WHERE id >= {first} AND id < {end}"
        );
        connection.query_drop(sql).await?;
        first = end;
    }
    Ok(())
}

/// Writes so many rows in one transaction: the reference table again and again, each time with ids of their own.
pub(crate) async fn copy_at_once(connection: &mut Conn, table: &str, rows: u64, reference: u64) -> Result<()> {
    connection.query_drop("START TRANSACTION").await?;
    for moved in (0..rows).step_by(usize::try_from(reference)?) {
        let left = rows - moved;
        let sql = format!(
            "INSERT INTO bench.{table} SELECT id + {moved}, customer_id, status, amount, quantity, score, email, note, created_at, \
             updated_at FROM bench.snap FORCE INDEX (PRIMARY) WHERE id <= {left}"
        );
        connection.query_drop(sql).await?;
    }
    connection.query_drop("COMMIT").await?;
    Ok(())
}
