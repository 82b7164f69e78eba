//! `workers`, `drain`, `undrain`.
use super::connection::{Connection, segment};
use super::{done_to, show};
use crate::cli::{ConnectionArgs, WorkersArgs};
use anyhow::Result;
use serde_json::Value;

/// Lists the workers of the group.
pub(super) async fn list(args: &ConnectionArgs) -> Result<()> {
    let all = Connection::open(args)?.ask("GET", "/flow/v1/workers", None).await?;
    show::result(args.output, &all, table);
    Ok(())
}

fn table(all: &Value) -> String {
    let mut rows = vec![["WORKER", "LEADS", "DRAINED", "SLOTS", "URL"].map(str::to_owned)];
    for worker in all.as_array().into_iter().flatten() {
        let yes = |member: &str| if worker[member] == true { "yes" } else { "no" }.to_owned();
        let text = |member: &str| show::text(&worker[member]);
        rows.push([text("id"), yes("leader"), yes("drained"), text("slots"), text("url")]);
    }
    show::table(&rows)
}

/// Drains or undrains each; goes on after a refusal, so that one bad name does not hide the others.
pub(super) async fn each(args: &WorkersArgs, action: &str) -> Result<()> {
    let connection = Connection::open(&args.connection)?;
    let mut failed = None;
    for worker in &args.workers {
        match connection.ask("POST", &format!("/flow/v1/workers/{}/{action}", segment(worker)), None).await {
            Ok(_) => done_to(args.connection.output, worker, &format!("{action}ed")),
            Err(error) if failed.is_none() => failed = Some(error),
            Err(_) => {}
        }
    }
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_of_workers_says_who_leads_and_who_is_drained() {
        let one = json!({"id": "h:1", "url": "http://h:1", "leader": true, "drained": false, "slots": 7});
        let shown = table(&json!([one]));
        assert_eq!(shown, "WORKER  LEADS  DRAINED  SLOTS  URL\nh:1     yes    no       7      http://h:1\n");
    }
}
