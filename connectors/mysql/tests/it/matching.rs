//! Comparison of JSON with the tokens of the golden records.
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Remembers what tokens stand for.
pub(crate) struct Matcher {
    base_file: u64,
    base_gtid: u64,
    server: String,
    /// MariaDB: last number of each domain, and the server's id.
    domains: Option<(BTreeMap<u32, u64>, u32)>,
    positions: BTreeMap<u64, u64>,
    threads: BTreeMap<String, i64>,
}

impl Matcher {
    /// The server as it is before the script.
    pub(crate) async fn of(conn: &mut Conn) -> Self {
        let version: String = conn.query_first("SELECT VERSION()").await.unwrap().unwrap();
        let maria = version.contains("MariaDB");
        let mut row: mysql_async::Row = conn.query_first("SHOW MASTER STATUS").await.unwrap().unwrap();
        let file: String = row.take(0).unwrap();
        let mut domains = None;
        let (server, gtid) = if maria {
            let now: String = conn.query_first("SELECT @@gtid_current_pos").await.unwrap().unwrap();
            let id: u32 = conn.query_first("SELECT @@server_id").await.unwrap().unwrap();
            let all = now.split(',').filter_map(maria_gtid).map(|(domain, _, n)| (domain, n)).collect();
            domains = Some((all, id));
            (String::new(), 0)
        } else {
            let uuid: String = conn.query_first("SELECT @@server_uuid").await.unwrap().unwrap();
            let set: String = conn.query_first("SELECT @@gtid_executed").await.unwrap().unwrap();
            let last = set.rsplit(['-', ':']).next().unwrap().parse().unwrap_or(0);
            (uuid, last)
        };
        Self {
            base_file: number(&file),
            base_gtid: gtid,
            server,
            domains,
            positions: BTreeMap::new(),
            threads: BTreeMap::new(),
        }
    }

    /// Compares; the error says where they differ.
    pub(crate) fn equal(&mut self, path: &str, actual: &Json, expected: &Json) -> Result<(), String> {
        let differ = || Err(format!("{path}: {actual} is not {expected}"));
        match (actual, expected) {
            (_, Json::String(token)) if token == "@any" || token == "@version" || token == "@id" => Ok(()),
            (Json::Number(n), Json::String(token)) => {
                if self.number(n.as_i64().unwrap_or(0), token) {
                    Ok(())
                } else {
                    differ()
                }
            }
            (Json::String(a), Json::String(e)) => {
                if self.text(a) == *e || same_names(path, a, e) || same_statement(path, a, e) {
                    Ok(())
                } else {
                    differ()
                }
            }
            (Json::Number(a), Json::Number(e)) => {
                if same_number(a, e) {
                    Ok(())
                } else {
                    differ()
                }
            }
            (Json::Object(a), Json::Object(e)) => {
                for (key, value) in e {
                    let Some(found) = a.get(key) else { return Err(format!("{path}: {key} is missing in {actual}")) };
                    self.equal(&format!("{path}/{key}"), found, value)?;
                }
                let extra: Vec<&String> = a.keys().filter(|k| !e.contains_key(*k)).collect();
                if extra.is_empty() { Ok(()) } else { Err(format!("{path}: {extra:?} should not be there")) }
            }
            (Json::Array(a), Json::Array(e)) if a.len() == e.len() => {
                let (mut a, mut e) = (a.clone(), e.clone());
                if path.ends_with("data_collections") {
                    // A set, in whatever order.
                    a.sort_by_key(|c| c["data_collection"].to_string());
                    e.sort_by_key(|c| c["data_collection"].to_string());
                }
                for (i, (a, e)) in a.iter().zip(&e).enumerate() {
                    self.equal(&format!("{path}/{i}"), a, e)?;
                }
                Ok(())
            }
            _ if actual == expected => Ok(()),
            _ => differ(),
        }
    }

    fn number(&mut self, n: i64, token: &str) -> bool {
        if let Some(place) = token.strip_prefix("@pos:") {
            let (place, n) = (place.parse().unwrap(), n.cast_unsigned());
            let known = *self.positions.entry(place).or_insert(n);
            return known == n;
        }
        if token.starts_with("@thread:") {
            return *self.threads.entry(token.to_owned()).or_insert(n) == n;
        }
        n > 0 && matches!(token, "@ts" | "@server_id")
    }

    /// Numbers of files and transactions as if the log had been reset before the script.
    fn text(&self, text: &str) -> String {
        if let Some((base, n)) = text.rsplit_once('.')
            && n.len() == 6
            && n.bytes().all(|b| b.is_ascii_digit())
            && !base.contains('/')
        {
            return format!("@binlog.{:06}", number(text) - self.base_file + 1);
        }
        if let Some((bases, id)) = &self.domains {
            let parts: Option<Vec<(u32, u32, u64)>> = text.split(',').map(maria_gtid).collect();
            if let Some(parts) = parts.filter(|p| p.iter().all(|(_, server, _)| server == id)) {
                let since = |(domain, _, n): &(u32, u32, u64)| (*domain, n - bases.get(domain).copied().unwrap_or(0));
                let new = parts.iter().map(since).filter(|(_, n)| *n > 0);
                return new.map(|(domain, n)| format!("{domain}-101-{n}")).collect::<Vec<_>>().join(",");
            }
        } else if let Some(rest) = text.strip_prefix(&self.server) {
            let rest = rest.trim_start_matches(':');
            return match rest.split_once('-') {
                Some((first, last)) => {
                    format!("@uuid:{first}-{}", last.parse::<u64>().unwrap() - self.base_gtid)
                }
                None => format!("@uuid:{}", rest.parse::<u64>().unwrap() - self.base_gtid),
            };
        }
        text.to_owned()
    }
}

/// Doubles may differ in their last bit: the JSON parser of this test does not round exactly.
fn same_number(a: &serde_json::Number, e: &serde_json::Number) -> bool {
    if !a.is_f64() && !e.is_f64() {
        return a == e;
    }
    let (a, e) = (a.as_f64().unwrap(), e.as_f64().unwrap());
    (a - e).abs() <= a.abs() * f64::EPSILON
}

/// Tables of one statement are a set.
fn same_names(path: &str, a: &str, e: &str) -> bool {
    let set = |text: &str| text.split(',').map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    path.ends_with("source/table") && set(a) == set(e)
}

/// The recordings lack the end of a comment at the end of a statement.
fn same_statement(path: &str, a: &str, e: &str) -> bool {
    path.ends_with("/ddl") && a.trim().strip_suffix("*/").is_some_and(|a| a.trim() == e.trim())
}

fn maria_gtid(text: &str) -> Option<(u32, u32, u64)> {
    let mut parts = text.split('-');
    let gtid = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(gtid)
}

fn number(file: &str) -> u64 {
    file.rsplit('.').next().unwrap().parse().unwrap()
}
