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
/// After an alias: the alias over indices that a batch has replaced. Those of one version have another one, with the name of
/// the batch behind it.
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

/// An index that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Replaced {
    /// Milliseconds since 1970 UTC at which it was made.
    made: i64,
    /// The alias over the indices that were replaced together.
    version: String,
    index: String,
}

/// The indices that were replaced under an alias.
async fn replaced(client: &Client, alias: &str) -> Result<Vec<Replaced>, Error> {
    let path = format!("/{alias}{REPLACED}?filter_path=*.aliases,*.settings.index.creation_date");
    let reply = client.ask_patiently(&Call::get(&path)).await?;
    match reply.status {
        200 => {
            let all = list(&reply)?;
            Ok(all.as_object().into_iter().flatten().map(|(index, facts)| replaced_of(alias, index, facts)).collect())
        }
        404 => Ok(Vec::new()),
        _ => Err(reply.refusal()),
    }
}

fn replaced_of(alias: &str, index: &str, facts: &Json) -> Replaced {
    let beginning = format!("{alias}{REPLACED}_");
    let mut aliases = facts["aliases"].as_object().into_iter().flat_map(|all| all.keys());
    let version = aliases.find(|name| name.starts_with(&beginning)).cloned();
    let made = facts["settings"]["index"]["creation_date"].as_str().and_then(|text| text.parse().ok());
    Replaced { made: made.unwrap_or(0), version: version.unwrap_or_else(|| index.to_owned()), index: index.to_owned() }
}

/// Replaced indices that nobody is to keep: those of all versions but the last ones, and none that readers see.
fn surplus(replaced: &[Replaced], live: &BTreeSet<String>, keep: usize) -> BTreeSet<String> {
    let of = || replaced.iter().filter(|replaced| !live.contains(&replaced.index));
    let mut versions: BTreeMap<&str, i64> = BTreeMap::new();
    for one in of() {
        let made = versions.entry(&one.version).or_insert(one.made);
        *made = one.made.max(*made);
    }
    let mut versions: Vec<(i64, &str)> = versions.into_iter().map(|(version, made)| (made, version)).collect();
    versions.sort_unstable();
    let last: BTreeSet<&str> = versions.iter().rev().take(keep).map(|(_, version)| *version).collect();
    of().filter(|one| !last.contains(one.version.as_str())).map(|one| one.index.clone()).collect()
}

/// What one call does to the aliases; nothing when it was done before.
fn actions(
    new: &BTreeMap<String, BTreeSet<String>>,
    now: &BTreeMap<String, BTreeSet<String>>,
    replaced: &BTreeMap<String, Vec<Replaced>>,
    kind: PublishKind,
) -> Vec<Json> {
    let mut actions = Vec::new();
    for (alias, indices) in new {
        let there = now.get(alias).cloned().unwrap_or_default();
        let version = indices.first().and_then(|index| index.strip_prefix(alias)?.strip_prefix(MARK));
        // A batch that is published again after others may have been replaced by them.
        for again in replaced.get(alias).into_iter().flatten().filter(|again| indices.contains(&again.index)) {
            actions.push(json!({"remove": {"index": again.index, "alias": format!("{alias}{REPLACED}*")}}));
        }
        if kind == PublishKind::Replace {
            for old in there.difference(indices) {
                actions.push(json!({"remove": {"index": old, "alias": alias}}));
                // An index that a batch has made is kept for a while, and then deleted by whoever comes next.
                if old.strip_prefix(alias.as_str()).is_some_and(|rest| rest.starts_with(MARK)) {
                    let version = version.map(|version| format!("{alias}{REPLACED}_{version}"));
                    for name in [format!("{alias}{REPLACED}")].into_iter().chain(version) {
                        actions.push(json!({"add": {"index": old, "alias": name}}));
                    }
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
        let (mut now, mut before) = (BTreeMap::new(), BTreeMap::new());
        for staged in all {
            if !now.contains_key(&staged.alias) {
                now.insert(staged.alias.clone(), under(client, &staged.alias).await?);
                before.insert(staged.alias.clone(), replaced(client, &staged.alias).await?);
            }
            // Documents are found from the moment of the switch on.
            done(&client.ask_patiently(&Call::post(&format!("/{}/_refresh", staged.index))).await?)?;
            new.entry(staged.alias).or_default().insert(staged.index);
        }
        let actions = actions(&new, &now, &before, kind);
        if !actions.is_empty() {
            done(&client.ask_patiently(&Call::post_json("/_aliases", &json!({ "actions": actions }))).await?)?;
        }
        let mut gone = BTreeSet::new();
        for alias in new.keys() {
            gone.extend(surplus(&replaced(client, alias).await?, &under(client, alias).await?, batch.keep));
        }
        if batch.keep == 0 && !gone.is_empty() {
            tokio::time::sleep(LAST_SEARCHES).await;
        }
        gone.extend(void.into_iter().map(|staged| staged.index));
        remove(client, &gone).await?;
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
        let none = BTreeMap::new();
        let replaced = json!([
            {"remove": {"index": "a__flow_1_1", "alias": "a"}},
            {"add": {"index": "a__flow_1_1", "alias": "a__flow_replaced"}},
            {"add": {"index": "a__flow_1_1", "alias": "a__flow_replaced_2_1"}},
            {"remove": {"index": "hand", "alias": "a"}},
            {"add": {"index": "a__flow_2_1", "alias": "a"}},
        ]);
        assert_eq!(json!(actions(&new, &now, &none, PublishKind::Replace)), replaced);
        let added = json!([{"add": {"index": "a__flow_2_1", "alias": "a"}}]);
        assert_eq!(json!(actions(&new, &now, &none, PublishKind::Append)), added);
        for kind in [PublishKind::Replace, PublishKind::Append] {
            assert!(actions(&new, &new, &none, kind).is_empty());
        }
        let back = BTreeMap::from([("a".to_owned(), vec![one(7, "a__flow_replaced_3_1", "a__flow_2_1")])]);
        let again = json!([
            {"remove": {"index": "a__flow_2_1", "alias": "a__flow_replaced*"}},
            {"add": {"index": "a__flow_2_1", "alias": "a"}},
        ]);
        assert_eq!(json!(actions(&new, &indices(&[]), &back, PublishKind::Replace)), again);
    }

    fn one(made: i64, version: &str, index: &str) -> Replaced {
        Replaced { made, version: version.to_owned(), index: index.to_owned() }
    }

    #[test]
    fn the_last_versions_are_kept_whole_and_what_readers_see_is_never_surplus() {
        let all = [one(1, "v1", "a"), one(2, "v1", "b"), one(3, "v2", "c"), one(4, "v3", "d"), one(5, "v4", "live")];
        let live = BTreeSet::from(["live".to_owned()]);
        for (keep, gone) in [(0, vec!["a", "b", "c", "d"]), (1, vec!["a", "b", "c"]), (2, vec!["a", "b"]), (3, vec![])]
        {
            let found = surplus(&all, &live, keep);
            assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), gone, "keep {keep}");
        }
    }

    #[test]
    fn a_replaced_index_says_when_it_was_made_and_with_which_others_it_went() {
        let facts = json!({
            "aliases": {"a__flow_replaced": {}, "a__flow_replaced_9_1": {}},
            "settings": {"index": {"creation_date": "1700000000000"}},
        });
        let found = replaced_of("a", "a__flow_1_1", &facts);
        assert_eq!(found, one(1_700_000_000_000, "a__flow_replaced_9_1", "a__flow_1_1"));
        assert_eq!(replaced_of("a", "old", &json!({"aliases": {}})), one(0, "old", "old"));
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
