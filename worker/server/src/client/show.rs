//! What the commands print: tables of left-aligned columns, or JSON as the worker answers it.
use crate::cli::Output;
use crate::output::print;
use serde_json::Value;

/// Prints an answer in the wanted form.
pub(super) fn result(output: Output, answer: &Value, table: impl Fn(&Value) -> String) {
    match output {
        Output::Table => print(&table(answer)),
        Output::Json => print(&format!("{answer:#}\n")),
    }
}

/// A text without quotes, any other value as JSON.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Connectors with their states.
pub(super) fn list(all: &Value) -> String {
    let mut rows = vec![["NAME", "TYPE", "STATE", "TASKS", "CLASS"].map(str::to_owned)];
    for (name, one) in all.as_object().into_iter().flatten() {
        let states: Vec<String> = tasks(&one["status"]).iter().map(|task| text(&task["state"])).collect();
        let running = states.iter().filter(|state| *state == "RUNNING").count();
        rows.push([
            name.clone(),
            text(&one["info"]["type"]),
            text(&one["status"]["connector"]["state"]),
            format!("{running}/{}", states.len()),
            text(&one["info"]["config"]["connector.class"]),
        ]);
    }
    table(&rows)
}

/// States of connectors and tasks with what the tasks do, then the traces of what failed.
pub(super) fn statuses(all: &Value) -> String {
    let mut rows = vec![["NAME", "TASK", "STATE", "WORKER", "ACTIVITY"].map(str::to_owned)];
    let mut traces = String::new();
    for (name, status) in all.as_object().into_iter().flatten() {
        let parts = std::iter::once(&status["connector"]).chain(tasks(status));
        for part in parts {
            let task = part.get("id").map_or_else(|| "-".to_owned(), text);
            let activity = part["activity"].as_str().unwrap_or_default().to_owned();
            rows.push([name.clone(), task.clone(), text(&part["state"]), text(&part["worker_id"]), activity]);
            if let Some(trace) = part["trace"].as_str() {
                traces.push_str(&format!("\n{name} {task}:\n  {}\n", trace.trim_end().replace('\n', "\n  ")));
            }
        }
    }
    table(&rows) + &traces
}

/// Why connectors among `shown` do not run freely.
pub(super) fn limits(throttle: &Value, shown: &Value) -> String {
    let mut lines = String::new();
    for connector in throttle["limited"].as_array().into_iter().flatten() {
        let name = text(&connector["name"]);
        for reason in connector["flow"]["reasons"].as_array().into_iter().flatten() {
            if shown.get(&name).is_some() {
                let (state, code) = (text(&connector["flow"]["state"]), text(&reason["code"]));
                let (why, action) = (text(&reason["text"]), text(&reason["action"]));
                lines.push_str(&format!("\n{name} is {state} ({code}): {why}\n  to change it: {action}\n"));
            }
        }
    }
    lines
}

fn tasks(status: &Value) -> &[Value] {
    status["tasks"].as_array().map_or(&[], Vec::as_slice)
}

/// Positions, or the message of a change.
pub(super) fn offsets(answer: &Value) -> String {
    if let Some(message) = answer["message"].as_str() {
        return format!("{message}\n");
    }
    let mut rows = vec![["PARTITION", "OFFSET"].map(str::to_owned)];
    for entry in answer["offsets"].as_array().into_iter().flatten() {
        rows.push([entry["partition"].to_string(), entry["offset"].to_string()]);
    }
    table(&rows)
}

/// Loggers and levels; the names that a change has touched.
pub(super) fn loggers(answer: &Value) -> String {
    match answer {
        Value::Array(changed) => changed.iter().map(|name| format!("{} changed\n", text(name))).collect(),
        Value::Object(one) if one.contains_key("level") => format!("{}\n", text(&answer["level"])),
        Value::Object(all) => {
            let mut rows = vec![["LOGGER", "LEVEL"].map(str::to_owned)];
            rows.extend(all.iter().map(|(name, logger)| [name.clone(), text(&logger["level"])]));
            table(&rows)
        }
        _ => String::new(),
    }
}

/// Columns as wide as their widest cell; the last one is not padded.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // What a name holds must not move a terminal's cursor.
            let cell: String = cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
            line.push_str(&format!("{cell:<width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_counts_running_tasks() {
        let status = json!({"connector": {"state": "RUNNING"}, "tasks": [{"state": "RUNNING"}, {"state": "FAILED"}]});
        let info = json!({"type": "source", "config": {"connector.class": "C"}});
        let shown = list(&json!({"orders": {"status": status, "info": info}}));
        assert_eq!(shown, "NAME    TYPE    STATE    TASKS  CLASS\norders  source  RUNNING  1/2    C\n");
    }

    #[test]
    fn a_status_says_why_a_connector_is_limited() {
        let reason = json!({"code": "LAG", "text": "sink es needs 12 s", "action": "accept it"});
        let limited = json!({"limited": [{"name": "a", "flow": {"state": "limited", "reasons": [reason]}}]});
        let shown = limits(&limited, &json!({"a": {}}));
        assert_eq!(shown, "\na is limited (LAG): sink es needs 12 s\n  to change it: accept it\n");
        assert_eq!(limits(&limited, &json!({"b": {}})) + &limits(&Value::Null, &json!({"a": {}})), "");
    }

    #[test]
    fn a_status_shows_why_a_task_failed() {
        let task = json!({"id": 0, "state": "FAILED", "worker_id": "h:1", "trace": "Config: no file\n\tat x\n"});
        let shown = statuses(&json!({"a": {"connector": {"state": "RUNNING", "worker_id": "h:1"}, "tasks": [task]}}));
        assert!(shown.contains("a     0     FAILED   h:1") && shown.contains("\na 0:\n  Config: no file\n"), "{shown}");
    }
}
