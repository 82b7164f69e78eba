//! Atomic batches: documents of a batch go to an index of their own beside the alias, and join it or take its place by one
//! call that changes aliases.
//!
//! A staging index is named `<alias>__flow_<batch>_<attempt>`, and keeps its name: the alias over it is what readers use. So
//! whether a batch is published is what the aliases say, and the call may be repeated by anybody.
use crate::client::{Call, Client, Reply};
use crate::error::Error;
use crate::task::EsTask;
use async_trait::async_trait;
use elasticflow_api::Result;
use elasticflow_api::position::{BatchId, TaskId};
use elasticflow_api::sink::{Announced, AtomicBatches, BatchPart, PublishKind, Published};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use twox_hash::XxHash3_64;

/// Between the alias and the name of the batch.
const MARK: &str = "__flow_";
/// After an alias: the alias over indices that a batch has replaced and that are still to be deleted.
const REPLACED: &str = "__flow_replaced";
/// A search that was sent before the switch gets so long to end on the old index: deleted at once, it would find nothing.
const LAST_SEARCHES: Duration = Duration::from_secs(1);

/// Where documents go.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    /// Of the batch that is staged; without one documents go to their index.
    suffix: Option<String>,
    names: HashMap<Arc<str>, Arc<str>>,
}

impl Staging {
    /// The index that a document goes to.
    pub(crate) fn of(&mut self, index: Arc<str>) -> Arc<str> {
        let Some(suffix) = &self.suffix else { return index };
        if let Some(known) = self.names.get(&index) {
            return Arc::clone(known);
        }
        let staged: Arc<str> = format!("{index}{suffix}").into();
        self.names.insert(index, Arc::clone(&staged));
        staged
    }

    fn direct_to(&mut self, suffix: String) {
        if self.suffix.as_ref() != Some(&suffix) {
            self.names.clear();
            self.suffix = Some(suffix);
        }
    }
}

/// What all attempts at a batch have in their names.
fn batch_mark(id: &TaskId, batch: &BatchId) -> String {
    let text = [&*id.group, &*id.connector, &*batch.0].join("\0");
    format!("{MARK}{:016x}_", XxHash3_64::oneshot(text.as_bytes()))
}

/// A staging index, read from its name.
struct Staged {
    index: String,
    alias: String,
    attempt: u32,
}

fn staged_of(index: &str, mark: &str) -> Option<Staged> {
    let (alias, attempt) = index.split_once(mark)?;
    Some(Staged { index: index.to_owned(), alias: alias.to_owned(), attempt: attempt.parse().ok()? })
}

fn list(client_reply: &Reply) -> Result<Json, Error> {
    serde_json::from_slice(&client_reply.body).map_err(|_| client_reply.refusal())
}

/// The indices of a batch, of every attempt.
async fn staged(client: &Client, mark: &str) -> Result<Vec<Staged>, Error> {
    let reply = client.ask_patiently(&Call::get(&format!("/*{mark}*/_settings?flat_settings=true"))).await?;
    match reply.status {
        200 => {
            let indices = list(&reply)?;
            let names = indices.as_object().into_iter().flat_map(|all| all.keys());
            Ok(names.filter_map(|name| staged_of(name, mark)).collect())
        }
        404 => Ok(Vec::new()),
        _ => Err(reply.refusal()),
    }
}

/// The indices under an alias.
///
/// # Errors
/// `Setting` when the name is an index.
async fn under(client: &Client, alias: &str) -> Result<BTreeSet<String>, Error> {
    let reply = client.ask_patiently(&Call::get(&format!("/_alias/{alias}"))).await?;
    match reply.status {
        200 => Ok(list(&reply)?.as_object().into_iter().flat_map(|all| all.keys().cloned()).collect()),
        404 => {
            match client.ask_patiently(&Call::get(&format!("/{alias}/_settings?flat_settings=true"))).await?.status {
                404 => Ok(BTreeSet::new()),
                _ => Err(Error::NoAlias { alias: alias.to_owned() }),
            }
        }
        _ => Err(reply.refusal()),
    }
}

/// What one call does to the aliases; nothing when it was done before.
fn actions(
    new: &BTreeMap<String, BTreeSet<String>>,
    now: &BTreeMap<String, BTreeSet<String>>,
    kind: PublishKind,
) -> Vec<Json> {
    let mut actions = Vec::new();
    for (alias, indices) in new {
        let there = now.get(alias).cloned().unwrap_or_default();
        if kind == PublishKind::Replace {
            for old in there.difference(indices) {
                actions.push(json!({"remove": {"index": old, "alias": alias}}));
                // An index that a batch has made is deleted soon after, also by whoever comes next.
                if old.strip_prefix(alias.as_str()).is_some_and(|rest| rest.starts_with(MARK)) {
                    actions.push(json!({"add": {"index": old, "alias": format!("{alias}{REPLACED}")}}));
                }
            }
        }
        actions.extend(indices.difference(&there).map(|index| json!({"add": {"index": index, "alias": alias}})));
    }
    actions
}

fn done(reply: &Reply) -> Result<(), Error> {
    if (200..300).contains(&reply.status) { Ok(()) } else { Err(reply.refusal()) }
}

async fn remove(client: &Client, indices: &BTreeSet<String>) -> Result<(), Error> {
    for index in indices {
        let reply = client.ask_patiently(&Call::delete(&format!("/{index}"))).await?;
        if reply.status != 404 {
            done(&reply)?;
        }
    }
    Ok(())
}

#[async_trait]
impl AtomicBatches for EsTask {
    async fn stage(&mut self, part: &BatchPart) -> Result<()> {
        let mut suffix = batch_mark(self.task()?, &part.batch);
        write!(suffix, "{}", part.attempt).unwrap_or_default();
        self.sender()?.indices.create_all();
        self.staging.direct_to(suffix);
        Ok(())
    }

    async fn publish(&mut self, batch: &Announced, kind: PublishKind) -> Result<Published> {
        let mark = batch_mark(self.task()?, &batch.batch);
        let sender = Arc::clone(self.sender()?);
        let client = &sender.client;
        let (all, void): (Vec<Staged>, Vec<Staged>) =
            staged(client, &mark).await?.into_iter().partition(|staged| staged.attempt == batch.attempt);
        if all.is_empty() {
            return Err(Error::NothingStaged { batch: batch.batch.0.to_string() }.into());
        }
        let mut new: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut now = BTreeMap::new();
        for staged in all {
            if !now.contains_key(&staged.alias) {
                now.insert(staged.alias.clone(), under(client, &staged.alias).await?);
            }
            // Documents are found from the moment of the switch on.
            done(&client.ask_patiently(&Call::post(&format!("/{}/_refresh", staged.index))).await?)?;
            new.entry(staged.alias).or_default().insert(staged.index);
        }
        let actions = actions(&new, &now, kind);
        if !actions.is_empty() {
            done(&client.ask_patiently(&Call::post_json("/_aliases", &json!({ "actions": actions }))).await?)?;
        }
        let mut replaced = BTreeSet::new();
        for alias in new.keys() {
            replaced.extend(under(client, &format!("{alias}{REPLACED}")).await?);
        }
        if !replaced.is_empty() {
            tokio::time::sleep(LAST_SEARCHES).await;
        }
        replaced.extend(void.into_iter().map(|staged| staged.index));
        remove(client, &replaced).await?;
        Ok(if actions.is_empty() { Published::Before } else { Published::Now })
    }

    async fn drop_staged(&mut self, batch: &BatchId) -> Result<()> {
        let mark = batch_mark(self.task()?, batch);
        let sender = Arc::clone(self.sender()?);
        let mut left = BTreeSet::new();
        for staged in staged(&sender.client, &mark).await? {
            // What readers see is published, and not dropped.
            if !under(&sender.client, &staged.alias).await?.contains(&staged.index) {
                left.insert(staged.index);
            }
        }
        Ok(remove(&sender.client, &left).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(names: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        names.iter().map(|(alias, names)| ((*alias).to_owned(), set(names))).collect()
    }

    #[test]
    fn one_call_changes_every_alias_and_a_repeated_one_changes_nothing() {
        let new = indices(&[("a", &["a__flow_2_1"])]);
        let now = indices(&[("a", &["a__flow_1_1", "hand"])]);
        let replaced = json!([
            {"remove": {"index": "a__flow_1_1", "alias": "a"}},
            {"add": {"index": "a__flow_1_1", "alias": "a__flow_replaced"}},
            {"remove": {"index": "hand", "alias": "a"}},
            {"add": {"index": "a__flow_2_1", "alias": "a"}},
        ]);
        assert_eq!(json!(actions(&new, &now, PublishKind::Replace)), replaced);
        let added = json!([{"add": {"index": "a__flow_2_1", "alias": "a"}}]);
        assert_eq!(json!(actions(&new, &now, PublishKind::Append)), added);
        for kind in [PublishKind::Replace, PublishKind::Append] {
            assert!(actions(&new, &new, kind).is_empty());
        }
    }

    #[test]
    fn a_staging_index_says_its_alias_and_its_attempt() {
        let id = TaskId { group: "g".into(), connector: "c".into(), task: elasticflow_api::position::TaskIndex(0) };
        let mark = batch_mark(&id, &BatchId("orders-1".into()));
        let staged = staged_of(&format!("orders{mark}3"), &mark).unwrap();
        assert_eq!((staged.alias.as_str(), staged.attempt), ("orders", 3));
        assert!(staged_of("orders", &mark).is_none());
    }
}
