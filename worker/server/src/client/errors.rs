//! `errors`: dead letters of a connector.
use super::connection::{Connection, segment};
use super::show;
use crate::cli::ErrorsArgs;
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

/// Lists them, or puts them again or aside.
pub(super) async fn run(args: &ErrorsArgs) -> Result<()> {
    match (args.replay, args.discard) {
        (true, _) => change(args, "replay").await,
        (_, true) => change(args, "discard").await,
        _ => list(args).await,
    }
}

async fn list(args: &ErrorsArgs) -> Result<()> {
    if args.dry_run {
        bail!("--dry-run: only --replay and --discard do anything");
    }
    let connection = Connection::open(&args.connection)?;
    let path = format!("/flow/v1/connectors/{}/errors", segment(&args.name));
    let answer = if args.ids.is_empty() {
        connection.ask("GET", &format!("{path}?limit={}{}", args.limit, query(&args.filter)), None).await?
    } else {
        let mut letters = Vec::new();
        for id in &args.ids {
            letters.push(connection.ask("GET", &format!("{path}/{}", segment(id)), None).await?);
        }
        json!({ "errors": letters })
    };
    show::result(args.connection.output, &answer, table);
    Ok(())
}

fn query(filter: &[(String, String)]) -> String {
    filter.iter().map(|(key, value)| format!("&{}={}", segment(key), segment(value))).collect()
}

fn table(page: &Value) -> String {
    let mut rows = vec![["ID", "STATE", "STAGE", "KIND", "FIELD", "REASON"].map(str::to_owned)];
    for letter in page["errors"].as_array().into_iter().flatten() {
        let cell = |member: &str| letter[member].as_str().unwrap_or("-").to_owned();
        rows.push([cell("id"), cell("state"), cell("stage"), cell("kind"), cell("field"), cell("reason")]);
    }
    let more = if page["next"].is_string() { "there are more; raise --limit or narrow --filter\n" } else { "" };
    show::table(&rows) + more
}

/// Asks until all that is meant has been dealt with: one call takes so many and says where to go on.
async fn change(args: &ErrorsArgs, action: &str) -> Result<()> {
    let connection = Connection::open(&args.connection)?;
    let path = format!("/flow/v1/connectors/{}/errors/{action}", segment(&args.name));
    let mut request = request(args)?;
    let mut all = json!({"done": [], "skipped": [], "dry_run": args.dry_run});
    loop {
        let answer = connection.ask("POST", &path, Some(&request)).await?;
        for member in ["done", "skipped"] {
            if let (Some(all), Some(more)) = (all[member].as_array_mut(), answer[member].as_array()) {
                all.extend(more.iter().cloned());
            }
        }
        if answer["next"].is_null() {
            break;
        }
        request["cursor"] = answer["next"].clone();
    }
    show::result(args.connection.output, &all, |all| outcome(all, action));
    Ok(())
}

fn request(args: &ErrorsArgs) -> Result<Value> {
    let mut request = json!({"dryRun": args.dry_run});
    if args.ids.is_empty() {
        let mut filter: Map<String, Value> = args.filter.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        // Whoever names no state means those that nobody has dealt with.
        filter.entry("state").or_insert_with(|| json!("open"));
        request["filter"] = Value::Object(filter);
    } else {
        request["ids"] = json!(args.ids);
    }
    if let Some(file) = &args.patch {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        request["patch"] = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
    }
    Ok(request)
}

fn outcome(all: &Value, action: &str) -> String {
    let count = all["done"].as_array().map_or(0, Vec::len);
    let would = if all["dry_run"] == true { "would be " } else { "" };
    let mut lines = format!("{count} dead letters {would}{action}ed\n");
    for letter in all["skipped"].as_array().into_iter().flatten() {
        lines.push_str(&format!("{} left alone: {}\n", show::text(&letter["id"]), show::text(&letter["reason"])));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_listed_with_their_reasons_and_more_is_said_to_be_there() {
        let letter = json!({"id": "d-0-4", "state": "open", "stage": "TASK_PUT", "kind": "size", "field": "v", "reason": "long"});
        let shown = table(&json!({"errors": [letter], "next": "c"}));
        assert!(shown.contains("d-0-4  open   TASK_PUT  size  v      long\nthere are more"), "{shown}");
    }

    #[test]
    fn an_outcome_counts_and_names_what_was_left_alone() {
        let all = json!({"done": ["a", "b"], "skipped": [{"id": "c", "reason": "replayed"}], "dry_run": true});
        assert_eq!(outcome(&all, "replay"), "2 dead letters would be replayed\nc left alone: replayed\n");
    }
}
