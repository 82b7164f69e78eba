//! Retention: whether the broker is about to delete what a consumer of the cluster's sources has not read.
//!
//! The record that a group reads next is older than a part of `retention.ms` when it lies before the first record that is
//! younger; the broker is asked for those, by time. For `retention.bytes` the unread bytes of each partition count. What
//! the broker does not say stays as it was: it is unknown, and no relief. With `flow.retention.guard=extend` the topic
//! keeps its records longer until they are read; what it had is a row of the flow topic, so that it is put back by
//! whoever leads then.
use super::picture::Picture;
use super::sampling::Look;
use elasticflow_api::position::TopicPartition;
use elasticflow_config::flow::RetentionGuard;
use elasticflow_kafka::ports::{Admin, KafkaError};
use elasticflow_store::flow::{FlowRecord, ReasonRow, RetentionRow, VERSION};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Parts of a retention at which people are told.
const TOLD: [f64; 2] = [0.5, 0.9];
/// Below this part of the retention that a topic had, that is put back.
const CALM: f64 = 0.1;
/// How many times longer a topic keeps its records when it must.
const LONGER: i64 = 2;
/// How long the configuration of topics is good.
const GOOD_FOR: Duration = Duration::from_secs(30);
/// Looks within one retention; and their least and most distance.
const LOOKS: i64 = 20;
const EVERY_LEAST: Duration = Duration::from_secs(1);
const EVERY_MOST: Duration = Duration::from_secs(10);
/// Topics that are asked about in one period, so that the leader has time for the rest: those that waited longest.
const AT_ONCE: usize = 8;

/// What a topic keeps; `None` is everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Keeps {
    pub(crate) ms: Option<i64>,
    /// Of each partition.
    pub(crate) bytes: Option<i64>,
}

/// A topic of which something may be deleted before it is read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Risk {
    /// Part of the retention that is used, at least.
    pub(crate) used: f64,
    /// Name and value of the setting.
    pub(crate) setting: (&'static str, i64),
    /// Who has not read, with its state.
    pub(crate) by: String,
    /// The connector that this is told under.
    pub(crate) connector: String,
}

/// What the leader knows of retentions.
#[derive(Default)]
pub(crate) struct Retention {
    /// With the moment when that was read.
    keeps: BTreeMap<String, (Keeps, Duration)>,
    judged: BTreeMap<String, Duration>,
    risks: BTreeMap<String, Risk>,
}

/// What a period works with.
pub(crate) struct Guarded<'a> {
    pub(crate) picture: &'a Picture,
    pub(crate) look: &'a Look,
    /// Bytes of an offset of each topic.
    pub(crate) size: &'a (dyn Fn(&str) -> f64 + Sync),
    /// Retentions that were extended, with what they had.
    pub(crate) extended: BTreeMap<String, RetentionRow>,
    pub(crate) now_ms: i64,
}

/// A group's next record in a partition.
struct Next<'a> {
    at: &'a TopicPartition,
    position: i64,
    end: i64,
    by: String,
    sink: Option<&'a String>,
}

impl Retention {
    pub(crate) fn risks(&self) -> &BTreeMap<String, Risk> {
        &self.risks
    }

    /// Most bytes of each partition that a topic keeps.
    pub(crate) fn bytes_of(&self, topic: &str) -> Option<i64> {
        self.keeps.get(topic)?.0.bytes
    }

    /// One period: rows of retentions that were changed.
    pub(crate) async fn period(&mut self, of: &Guarded<'_>, admin: &dyn Admin) -> Vec<FlowRecord> {
        let now = of.look.at;
        let sources = || of.picture.sources.values();
        let capped = sources().filter(|s| s.cap.is_none() && s.cap_ratio > 0.0).flat_map(|s| &s.topics);
        let guarded: BTreeSet<&String> =
            sources().filter(|s| s.guard != RetentionGuard::Off).flat_map(|s| &s.topics).collect();
        self.risks.retain(|topic, _| guarded.contains(topic));
        self.judged.retain(|topic, _| guarded.contains(topic));
        self.learn(&guarded.iter().copied().chain(capped).collect(), admin, now).await;
        let mut rows = Vec::new();
        for topic in self.due(&guarded, now) {
            self.judged.insert(topic.clone(), now);
            if let Err(error) = self.judge(topic, of, admin, &mut rows).await {
                tracing::debug!(topic, %error, "how near the retention of a topic is is not known");
            }
        }
        rows
    }

    /// Topics whose turn it is: the shorter they keep their records, the more often.
    fn due<'a>(&self, topics: &BTreeSet<&'a String>, now: Duration) -> Vec<&'a String> {
        let every = |topic: &str| {
            let ms = self.keeps.get(topic).and_then(|(keeps, _)| keeps.ms).unwrap_or(i64::MAX);
            Duration::from_millis(u64::try_from(ms / LOOKS).unwrap_or(0)).clamp(EVERY_LEAST, EVERY_MOST)
        };
        let is_due =
            |topic: &&&String| self.judged.get(**topic).is_none_or(|last| now.saturating_sub(*last) >= every(topic));
        let mut due: Vec<&String> = topics.iter().filter(is_due).copied().collect();
        due.sort_by_key(|topic| self.judged.get(*topic).copied());
        due.truncate(AT_ONCE);
        due
    }

    async fn learn(&mut self, topics: &BTreeSet<&String>, admin: &dyn Admin, now: Duration) {
        self.keeps.retain(|topic, _| topics.contains(topic));
        let read = |topic: &String| self.keeps.get(topic).map(|(_, at)| *at);
        let is_old = |topic: &&&String| read(topic).is_none_or(|at| now.saturating_sub(at) >= GOOD_FOR);
        let mut old: Vec<&String> = topics.iter().filter(is_old).copied().collect();
        old.sort_by_key(|topic| read(topic));
        for topic in old.into_iter().take(AT_ONCE) {
            let before = self.keeps.get(topic).map(|(keeps, _)| *keeps).unwrap_or_default();
            let now_keeps = match admin.topic_config(topic).await {
                Ok(config) => keeps(&config),
                Err(error) => {
                    tracing::debug!(topic, %error, "the retention of a topic is not known");
                    before
                }
            };
            self.keeps.insert(topic.clone(), (now_keeps, now));
        }
    }

    async fn judge(
        &mut self,
        topic: &str,
        of: &Guarded<'_>,
        admin: &dyn Admin,
        rows: &mut Vec<FlowRecord>,
    ) -> Result<(), KafkaError> {
        let keeps = self.keeps.get(topic).map(|(keeps, _)| *keeps).unwrap_or_default();
        let Some(behind) = behind(topic, of) else { return Ok(()) };
        let by_size = by_size(keeps, &behind, (of.size)(topic));
        let mut worst: Option<(f64, (&'static str, i64), &Next<'_>)> = by_size;
        if let Some(ms) = keeps.ms {
            for part in TOLD {
                if let Some(next) = older(&behind, of.now_ms - portion(ms, part), admin).await?
                    && worst.as_ref().is_none_or(|(used, ..)| *used < part)
                {
                    worst = Some((part, ("retention.ms", ms), next));
                }
            }
        }
        let risk = worst.filter(|(used, ..)| *used >= TOLD[0]).map(|(used, setting, next)| Risk {
            used: TOLD.iter().copied().filter(|part| *part <= used).fold(TOLD[0], f64::max),
            setting,
            by: next.by.clone(),
            connector: next.sink.cloned().unwrap_or_else(|| fed_by(topic, of.picture)),
        });
        let extends =
            of.picture.sources.values().any(|s| s.guard == RetentionGuard::Extend && s.topics.contains(topic));
        let row = match (&risk, of.extended.get(topic)) {
            (Some(risk), before) if extends => self.extend(topic, risk, before, admin).await,
            (None, Some(before)) => restore(topic, before, (&behind, of), admin).await?,
            _ => None,
        };
        if let Some(row) = row {
            // What it keeps now is read again.
            self.keeps.remove(topic);
            rows.push(FlowRecord::Retention { topic: topic.to_owned(), row });
        }
        match risk {
            Some(risk) => drop(self.risks.insert(topic.to_owned(), risk)),
            None => drop(self.risks.remove(topic)),
        }
        Ok(())
    }

    /// Lets a topic keep its records longer; the row says what it had at first.
    async fn extend(
        &self,
        topic: &str,
        risk: &Risk,
        before: Option<&RetentionRow>,
        admin: &dyn Admin,
    ) -> Option<Option<RetentionRow>> {
        let (key, now) = risk.setting;
        let longer = now.saturating_mul(LONGER);
        if let Err(error) = admin.set_topic_config(topic, key, &longer.to_string()).await {
            tracing::warn!(topic, key, %error, "a topic cannot be told to keep its records longer");
            return None;
        }
        tracing::warn!(
            topic,
            key,
            before = now,
            now = longer,
            "a topic keeps its records longer, until {} has read them",
            risk.by
        );
        let had = before.copied().unwrap_or(RetentionRow { v: VERSION, ms: None, bytes: None });
        let had = match key {
            "retention.ms" => RetentionRow { ms: had.ms.or(Some(now)), ..had },
            _ => RetentionRow { bytes: had.bytes.or(Some(now)), ..had },
        };
        Some(Some(had))
    }
}

/// Puts back what a topic had, once hardly anything of that is used.
async fn restore(
    topic: &str,
    before: &RetentionRow,
    (behind, of): (&[Next<'_>], &Guarded<'_>),
    admin: &dyn Admin,
) -> Result<Option<Option<RetentionRow>>, KafkaError> {
    let had = Keeps { ms: before.ms, bytes: before.bytes };
    let is_large = by_size(had, behind, (of.size)(topic)).is_some_and(|(used, ..)| used >= CALM);
    let is_old = match had.ms {
        Some(ms) => older(behind, of.now_ms - portion(ms, CALM), admin).await?.is_some(),
        None => false,
    };
    if is_large || is_old {
        return Ok(None);
    }
    for (key, value) in [("retention.ms", before.ms), ("retention.bytes", before.bytes)] {
        if let Some(value) = value {
            admin.set_topic_config(topic, key, &value.to_string()).await?;
            tracing::info!(topic, key, value, "a topic keeps its records as long as before");
        }
    }
    Ok(Some(None))
}

fn portion(ms: i64, part: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a part of a number of milliseconds")]
    let portion = (ms as f64 * part) as i64;
    portion
}

fn keeps(config: &BTreeMap<String, String>) -> Keeps {
    let deletes = config.get("cleanup.policy").is_none_or(|policy| policy.contains("delete"));
    let number = |key: &str| config.get(key)?.parse::<i64>().ok().filter(|n| *n > 0 && deletes);
    Keeps { ms: number("retention.ms"), bytes: number("retention.bytes") }
}

/// Where each group that counts stands in each partition that it has not read to its end; `None` when that is not known.
fn behind<'a>(topic: &str, of: &'a Guarded<'_>) -> Option<Vec<Next<'a>>> {
    let ends = of.look.ends.get(topic)?;
    let mut behind = Vec::new();
    for (group, view) in of.picture.groups.iter().filter(|(_, view)| view.topics.contains(topic)) {
        if view.state == "stopped" {
            continue;
        }
        let progress = of.look.progress.get(group)?;
        for (at, end) in ends {
            let position = progress.get(at).copied().unwrap_or(0);
            if position < *end {
                let by = format!("{} ({})", view.who(group), view.state);
                behind.push(Next { at, position, end: *end, by, sink: view.sink.as_ref() });
            }
        }
    }
    Some(behind)
}

/// The part of a size retention that unread bytes use, of the partition where that is most.
fn by_size<'a, 'b>(
    keeps: Keeps,
    behind: &'a [Next<'b>],
    size: f64,
) -> Option<(f64, (&'static str, i64), &'a Next<'b>)> {
    let most = keeps.bytes?;
    let used = |next: &Next<'_>| (next.end - next.position) as f64 * size / most as f64;
    let worst = behind.iter().max_by(|a, b| used(a).total_cmp(&used(b)))?;
    Some((used(worst), ("retention.bytes", most), worst))
}

/// The first group whose next record is older than a moment.
async fn older<'a, 'b>(
    behind: &'a [Next<'b>],
    than_ms: i64,
    admin: &dyn Admin,
) -> Result<Option<&'a Next<'b>>, KafkaError> {
    let asked: BTreeSet<&TopicPartition> = behind.iter().map(|next| next.at).collect();
    if asked.is_empty() {
        return Ok(None);
    }
    let asked: Vec<TopicPartition> = asked.into_iter().cloned().collect();
    let young = admin.offsets_since(&asked, than_ms).await?;
    // Without a record that is younger, all of them are older.
    let is_older = |next: &&Next<'_>| young.get(next.at).is_none_or(|first| next.position < first.0);
    Ok(behind.iter().find(is_older))
}

fn fed_by(topic: &str, picture: &Picture) -> String {
    let feeds = picture.sources.iter().find(|(_, source)| source.topics.contains(topic));
    feeds.map(|(name, _)| name.clone()).unwrap_or_default()
}

impl Risk {
    /// For people.
    pub(crate) fn text(&self, topic: &str) -> String {
        let (key, value) = self.setting;
        format!(
            "{:.0} % of {key}={value} of topic {topic} are used before {} has read what is in it: the broker is about to \
             delete it",
            self.used * 100.0,
            self.by
        )
    }

    /// As a reason of the sources of the topic.
    pub(crate) fn reason(&self, topic: &str) -> ReasonRow {
        let (key, value) = self.setting;
        let left = (value as f64 * (1.0 - self.used)).round();
        let margin = if key == "retention.ms" { "margin_ms" } else { "margin_bytes" };
        let numbers = [("used_ratio".to_owned(), self.used), (margin.to_owned(), left)].into();
        let action = "start the sink named, or extend the retention of the topic".to_owned();
        ReasonRow { code: "RETENTION_RISK".to_owned(), text: self.text(topic), since_ms: 0, numbers, action }
    }
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
