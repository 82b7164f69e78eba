//! Signals: rows inserted into a table of the source that tell the connector what to do.
use elasticflow_cdc::filter::Patterns;
use serde::Deserialize;

/// A row of the signal table, as it was inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signal {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) data: String,
}

impl Signal {
    /// Of a JSON object with `type`, and perhaps `id` and `data`, which is text or JSON.
    pub(crate) fn from_json(text: &[u8]) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Members {
            #[serde(default)]
            id: String,
            #[serde(rename = "type")]
            kind: String,
            #[serde(default)]
            data: serde_json::Value,
        }
        let Members { id, kind, data } = serde_json::from_slice(text).ok()?;
        let data = match data {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        Some(Self { id, kind, data })
    }
}

/// What a signal asks for.
#[derive(Debug)]
pub(crate) enum Order {
    /// Read tables again.
    Execute { tables: Vec<Patterns>, blocking: bool, conditions: Vec<(Patterns, String)> },
    /// Read these tables no further; all of them, if none is named.
    Stop(Vec<Patterns>),
    /// Read no further for now.
    Pause,
    /// Read on.
    Resume,
    /// Write a line into the log.
    Log(String),
    /// Nothing that is needed here.
    Nothing,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Data {
    data_collections: Vec<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    additional_condition: Option<String>,
    additional_conditions: Vec<Condition>,
    surrogate_key: Option<String>,
    message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Condition {
    data_collection: String,
    filter: String,
}

impl Signal {
    /// Reads it.
    ///
    /// # Errors
    /// Why it cannot be followed; it never stops the connector.
    pub(crate) fn order(&self) -> Result<Order, String> {
        let data = || -> Result<Data, String> {
            if self.data.trim().is_empty() {
                return Ok(Data::default());
            }
            serde_json::from_str(&self.data)
                .map_err(|_| "its data is no JSON object as the documentation has it".to_owned())
        };
        match self.kind.as_str() {
            "execute-snapshot" => execute(data()?),
            "stop-snapshot" => Ok(Order::Stop(patterns(&data()?.data_collections)?)),
            "pause-snapshot" => Ok(Order::Pause),
            "resume-snapshot" => Ok(Order::Resume),
            "log" => Ok(Order::Log(data()?.message)),
            "schema-changes" | "snapshot-window-open" | "snapshot-window-close" => Ok(Order::Nothing),
            "set-binlog-position" => Err(format!(
                "{} is not supported: stop the connector and alter its offset with PATCH /connectors/{{name}}/offsets",
                self.kind
            )),
            other => Err(format!("its type `{other}` is not known")),
        }
    }
}

fn execute(data: Data) -> Result<Order, String> {
    if data.data_collections.is_empty() {
        return Err("it names no data-collections".to_owned());
    }
    if data.surrogate_key.is_some() {
        return Err("surrogate-key is not supported: tables are read in the order of their own key".to_owned());
    }
    let tables = patterns(&data.data_collections)?;
    let mut conditions = Vec::new();
    if let Some(filter) = data.additional_condition.filter(|f| !f.trim().is_empty()) {
        conditions.push((Patterns::parse(".*")?, filter));
    }
    for condition in data.additional_conditions.into_iter().filter(|c| !c.filter.trim().is_empty()) {
        conditions.push((Patterns::parse(&condition.data_collection)?, condition.filter));
    }
    let blocking = match data.kind.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None | Some("INCREMENTAL") => false,
        Some("BLOCKING") => true,
        Some(other) => return Err(format!("snapshots of type `{other}` are not known")),
    };
    Ok(Order::Execute { tables, blocking, conditions })
}

fn patterns(all: &[String]) -> Result<Vec<Patterns>, String> {
    all.iter().map(|text| Patterns::parse(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(kind: &str, data: &str) -> Result<Order, String> {
        Signal { id: "1".to_owned(), kind: kind.to_owned(), data: data.to_owned() }.order()
    }

    #[test]
    fn a_snapshot_is_asked_for_with_tables_type_and_conditions() {
        let data = r#"{"data-collections":["inv.a","inv.b.*"],"type":"blocking","additional-conditions":[{"data-collection":"inv.a","filter":"v > 1"}]}"#;
        let Order::Execute { tables, blocking, conditions } = order("execute-snapshot", data).unwrap() else {
            panic!("no snapshot");
        };
        assert!(blocking && tables[1].matches("inv.bcd") && !tables[0].matches("inv.bcd"));
        assert!(conditions[0].0.matches("inv.a") && conditions[0].1 == "v > 1");
    }

    #[test]
    fn what_cannot_be_followed_says_why() {
        assert!(order("execute-snapshot", "{}").unwrap_err().contains("data-collections"));
        assert!(order("execute-snapshot", "[").unwrap_err().contains("JSON"));
        assert!(order("execute-snapshot", r#"{"data-collections":["a"],"type":"x"}"#).is_err());
        assert!(order("dance", "").unwrap_err().contains("dance"));
        assert!(order("set-binlog-position", "{}").unwrap_err().contains("PATCH /connectors/{name}/offsets"));
        assert!(matches!(order("stop-snapshot", ""), Ok(Order::Stop(all)) if all.is_empty()));
    }
}
