//! Topics and their configurations.
use crate::code::{self, Code};
use crate::config::Fsync;
use crate::journal::Line;
use crate::log::Partition;
use crate::state::State;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use uuid::Uuid;

/// Topic configurations known to the broker, with Kafka's defaults; any other name is refused.
pub(crate) const DEFAULTS: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("compression.type", "producer"),
    ("delete.retention.ms", "86400000"),
    ("file.delete.delay.ms", "60000"),
    ("flush.messages", "9223372036854775807"),
    ("flush.ms", "9223372036854775807"),
    ("index.interval.bytes", "4096"),
    ("max.compaction.lag.ms", "9223372036854775807"),
    ("max.message.bytes", "1048588"),
    ("message.timestamp.difference.max.ms", "9223372036854775807"),
    ("message.timestamp.type", "CreateTime"),
    ("min.cleanable.dirty.ratio", "0.5"),
    ("min.compaction.lag.ms", "0"),
    ("min.insync.replicas", "1"),
    ("preallocate", "false"),
    ("retention.bytes", "-1"),
    ("retention.local.ms", "-2"),
    ("retention.ms", "604800000"),
    ("segment.bytes", "1073741824"),
    ("segment.ms", "604800000"),
    ("unclean.leader.election.enable", "false"),
];

/// Longest topic name, as in Kafka: it becomes a file name.
const NAME_MAX: usize = 249;

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) id: Uuid,
    /// What was set; everything else has its default.
    pub(crate) configs: BTreeMap<String, String>,
    pub(crate) partitions: Vec<Partition>,
}

impl Topic {
    /// The value of a configuration, its default included.
    pub(crate) fn config(&self, name: &str) -> &str {
        self.configs.get(name).map_or_else(|| default_of(name), String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> i64 {
        self.config(name).parse().unwrap_or(-1)
    }

    pub(crate) fn compacted(&self) -> bool {
        self.config("cleanup.policy").contains("compact")
    }

    pub(crate) fn count(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }

    /// The partition of an index that a client names.
    pub(crate) fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index).ok()?)
    }
}

fn default_of(name: &str) -> &'static str {
    DEFAULTS.iter().find(|d| d.0 == name).map_or("", |d| d.1)
}

/// One change of one configuration.
#[derive(Debug)]
pub(crate) struct ConfigChange {
    pub(crate) name: String,
    /// 0 set, 1 delete, 2 append, 3 subtract.
    pub(crate) operation: i8,
    pub(crate) value: Option<String>,
}

/// Letters, digits, `.`, `_` and `-`, as in Kafka; so a name is safe as part of a file name.
pub(crate) fn valid_name(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    !name.is_empty() && name.len() <= NAME_MAX && name != "." && name != ".." && name.bytes().all(allowed)
}

/// Checks a value where a wrong one would change what the broker does.
pub(crate) fn valid_config(name: &str, value: &str) -> bool {
    match name {
        "cleanup.policy" => value.split(',').all(|p| matches!(p.trim(), "compact" | "delete")),
        "message.timestamp.type" => matches!(value, "CreateTime" | "LogAppendTime"),
        "min.cleanable.dirty.ratio" => value.parse::<f64>().is_ok_and(|r| (0.0..=1.0).contains(&r)),
        "max.message.bytes" | "delete.retention.ms" | "min.compaction.lag.ms" => {
            value.parse::<i64>().is_ok_and(|n| n >= 0)
        }
        "max.compaction.lag.ms" => value.parse::<i64>().is_ok_and(|n| n >= 1),
        "retention.ms" | "retention.bytes" => value.parse::<i64>().is_ok_and(|n| n >= -1),
        _ => DEFAULTS.iter().any(|d| d.0 == name),
    }
}

impl State {
    /// The file of a partition. The id keeps a topic apart from a deleted one of the same name.
    pub(crate) fn partition_path(&self, topic: &str, id: &Uuid, partition: i32) -> Option<PathBuf> {
        let id: String = id.simple().to_string().chars().take(8).collect();
        self.dir.as_ref().map(|d| d.join(format!("{topic}-{partition}-{id}.log")))
    }

    /// Opens a topic's partitions from `from` on, without a word to the journal.
    pub(crate) fn open_partitions(
        &self,
        topic: &str,
        id: &Uuid,
        from: i32,
        to: i32,
    ) -> std::io::Result<Vec<Partition>> {
        (from..to)
            .map(|p| Partition::open(self.partition_path(topic, id, p).as_deref(), self.partition_settings.clone()))
            .collect()
    }

    fn open_or_refuse(&self, topic: &str, id: &Uuid, from: i32, to: i32) -> Result<Vec<Partition>, Code> {
        let held: usize = self.topics.values().map(|t| t.partitions.len()).sum();
        let more = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        if held.saturating_add(more) > self.limits.partitions {
            tracing::warn!(topic, held, more, limit = self.limits.partitions, "too many partitions");
            return Err(code::POLICY_VIOLATION);
        }
        self.open_partitions(topic, id, from, to).map_err(|error| {
            tracing::error!(topic, %error, "a partition cannot be opened");
            code::STORAGE_ERROR
        })
    }

    pub(crate) fn create_topic(&mut self, name: &str, n: i32, configs: BTreeMap<String, String>) -> Result<(), Code> {
        if !valid_name(name) {
            return Err(code::INVALID_TOPIC);
        }
        if self.topics.contains_key(name) {
            return Err(code::TOPIC_ALREADY_EXISTS);
        }
        let id = Uuid::new_v4();
        let partitions = self.open_or_refuse(name, &id, 0, n)?;
        self.topics.insert(name.into(), Topic { id, configs, partitions });
        self.journal_topic(name);
        Ok(())
    }

    pub(crate) fn delete_topic(&mut self, name: &str) -> Result<(), Code> {
        let topic = self.topics.remove(name).ok_or(code::UNKNOWN_TOPIC_OR_PARTITION)?;
        self.write(&Line::Delete { t: name.into() });
        topic.partitions.into_iter().for_each(Partition::remove);
        for group in self.groups.values_mut() {
            group.forget_topic(name);
        }
        self.changed = true;
        Ok(())
    }

    /// Adds partitions up to `count`.
    pub(crate) fn grow_topic(&mut self, name: &str, count: i32, dry: bool) -> Result<(), Code> {
        let topic = self.topics.get(name).ok_or(code::UNKNOWN_TOPIC_OR_PARTITION)?;
        let (id, has) = (topic.id, topic.count());
        if count <= has {
            return Err(code::INVALID_PARTITIONS);
        }
        if dry {
            return Ok(());
        }
        let more = self.open_or_refuse(name, &id, has, count)?;
        if let Some(t) = self.topics.get_mut(name) {
            t.partitions.extend(more);
        }
        self.journal_topic(name);
        Ok(())
    }

    /// Changes configurations: `replace` forgets the others first. Nothing changes if one change is wrong.
    pub(crate) fn alter_topic(
        &mut self,
        name: &str,
        changes: Vec<ConfigChange>,
        replace: bool,
        dry: bool,
    ) -> Result<(), Code> {
        let topic = self.topics.get(name).ok_or(code::UNKNOWN_TOPIC_OR_PARTITION)?;
        let mut configs = if replace { BTreeMap::new() } else { topic.configs.clone() };
        for change in changes {
            apply(&mut configs, change)?;
        }
        if dry {
            return Ok(());
        }
        if let Some(t) = self.topics.get_mut(name) {
            t.configs = configs;
        }
        self.journal_topic(name);
        Ok(())
    }

    /// Files must not be missing for a topic that the journal knows.
    fn sync_folder(&mut self) {
        if let (Some(dir), true) = (&self.dir, self.fsync != Fsync::Never)
            && let Err(e) = File::open(dir).and_then(|d| d.sync_all())
        {
            self.journal.fail(&format!("its folder cannot be forced to the disk: {e}"));
        }
    }

    fn journal_topic(&mut self, name: &str) {
        self.sync_folder();
        if let Some(t) = self.topics.get(name) {
            self.journal.write(&Line::topic(name, t));
        }
    }

    /// Cuts the head of a partition and remembers it.
    pub(crate) fn cut_partition(&mut self, topic: &str, partition: i32, offset: i64) -> Option<i64> {
        let now_ms = self.now.wall_ms;
        let start = self.partition(topic, partition)?.cut_head(offset, now_ms);
        self.write(&Line::Start { t: topic.into(), p: partition, o: start });
        self.changed = true;
        Some(start)
    }
}

fn apply(configs: &mut BTreeMap<String, String>, change: ConfigChange) -> Result<(), Code> {
    let ConfigChange { name, operation, value } = change;
    if !DEFAULTS.iter().any(|d| d.0 == name) {
        return Err(code::INVALID_CONFIG);
    }
    let listed = || configs.get(&name).map_or_else(|| default_of(&name), String::as_str).split(',');
    let next = match (operation, value) {
        (1, _) | (0, None) => None,
        (0, Some(v)) => Some(v),
        (2, Some(v)) => Some(listed().filter(|x| *x != v).chain([v.as_str()]).collect::<Vec<_>>().join(",")),
        (3, Some(v)) => Some(listed().filter(|x| *x != v).collect::<Vec<_>>().join(",")),
        _ => return Err(code::INVALID_REQUEST),
    };
    match next {
        None => drop(configs.remove(&name)),
        Some(v) if !valid_config(&name, &v) => return Err(code::INVALID_CONFIG),
        Some(v) => drop(configs.insert(name, v)),
    }
    Ok(())
}
