//! Administration. Each call asks through a queue of its own and blocks for the answer, at most its limit.
use super::{Code, Event, Handle, Partition, Partitions, Queue, Refusal, list, millis, name, text};
use rdkafka_sys as sys;
use std::collections::BTreeMap;
use std::ffi::c_char;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};
use sys::rd_kafka_admin_op_t as Op;

/// A topic to create; `replication` of -1 leaves it to the broker.
pub(crate) struct CreateTopic<'a> {
    pub(crate) name: &'a str,
    pub(crate) partitions: i32,
    pub(crate) replication: i32,
    pub(crate) configs: &'a BTreeMap<String, String>,
}

/// Longest that a leader is waited for: by then another one may lead.
const LEADER_MAX: Duration = Duration::from_secs(5);
/// What the library puts where nothing is known.
const NO_OFFSET: i64 = sys::RD_KAFKA_OFFSET_INVALID as i64;
/// With less time left nobody is asked again.
const WORTH: Duration = Duration::from_secs(1);
/// How often a question is asked again because the leader was elected anew: brokers learn of it one after the other.
const ELECTIONS_MAX: u32 = 5;
/// The library's own limit is met a little before a wait for its answer ends.
const GUARD: Duration = Duration::from_secs(1);

/// Options and answer queue of one call.
pub(super) struct Call {
    options: NonNull<sys::rd_kafka_AdminOptions_t>,
    queue: Queue,
    wait: Duration,
}

impl Call {
    /// A call that the library gives up after `limit`.
    pub(super) fn new(client: &Arc<Handle>, op: Op, limit: Duration) -> Result<Self, Refusal> {
        Self::open(client, op, limit, limit + GUARD)
    }

    /// `limit` is the library's, `wait` that of [`Call::answer`].
    pub(super) fn open(client: &Arc<Handle>, op: Op, limit: Duration, wait: Duration) -> Result<Self, Refusal> {
        let queue = client.fresh_queue().ok_or_else(|| Refusal::of(Code::CriticalSystemResource))?;
        // SAFETY: the client is live; the options are ours.
        let options = NonNull::new(unsafe { sys::rd_kafka_AdminOptions_new(client.raw(), op) })
            .ok_or_else(|| Refusal::of(Code::CriticalSystemResource))?;
        let call = Self { options, queue, wait };
        let mut reason = [0 as c_char; 512];
        // SAFETY: options and buffer are live, the length is the buffer's.
        Refusal::check(unsafe {
            sys::rd_kafka_AdminOptions_set_request_timeout(
                options.as_ptr(),
                millis(limit),
                reason.as_mut_ptr(),
                reason.len(),
            )
        })?;
        Ok(call)
    }

    pub(super) fn options(&self) -> *mut sys::rd_kafka_AdminOptions_t {
        self.options.as_ptr()
    }

    /// Where the answer comes.
    pub(super) fn queue(&self) -> *mut sys::rd_kafka_queue_t {
        self.queue.raw()
    }

    /// Waits for the answer of the call that was just made.
    pub(super) fn answer(&self) -> Result<Event<'_>, Refusal> {
        let answer = self.queue.poll(self.wait);
        let answer = answer.ok_or_else(|| Refusal::of(Code::OperationTimedOut))?;
        match answer.code() {
            Code::NoError => Ok(answer),
            _ => Err(answer.refusal()),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // SAFETY: ours, not used afterwards.
        unsafe { sys::rd_kafka_AdminOptions_destroy(self.options()) };
    }
}

impl Handle {
    /// Creates one topic.
    pub(crate) fn create_topic(self: &Arc<Self>, topic: &CreateTopic<'_>, limit: Duration) -> Result<(), Refusal> {
        let call = Call::new(self, Op::RD_KAFKA_ADMIN_OP_CREATETOPICS, limit)?;
        let mut native = new_topic(topic)?;
        // SAFETY: everything is live; the request copies the topic, which is ours and destroyed after.
        unsafe {
            sys::rd_kafka_CreateTopics(self.raw(), &raw mut native, 1, call.options(), call.queue.raw());
            sys::rd_kafka_NewTopic_destroy(native);
        }
        let answer = call.answer()?;
        // SAFETY: the answer is live while its rows are read; the event is of this kind, else the result is null.
        unsafe {
            let result = sys::rd_kafka_event_CreateTopics_result(answer.raw());
            let mut count = 0;
            if result.is_null() {
                return Err(Refusal::of(Code::Fail));
            }
            let rows = sys::rd_kafka_CreateTopics_result_topics(result, &raw mut count);
            (0..count).try_for_each(|index| {
                let row = *rows.add(index);
                Refusal::check(sys::rd_kafka_topic_result_error(row)).map_err(|refusal| {
                    let words = text(sys::rd_kafka_topic_result_error_string(row));
                    Refusal { text: if words.is_empty() { refusal.text } else { words }, ..Refusal::of(refusal.code) }
                })
            })
        }
    }

    /// A topic's configuration, defaults included.
    pub(crate) fn topic_configs(
        self: &Arc<Self>,
        topic: &str,
        limit: Duration,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        let call = Call::new(self, Op::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, limit)?;
        let topic = name(topic)?;
        // SAFETY: everything is live; the request copies the resource, which is ours and destroyed after.
        unsafe {
            let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
            let mut resource = sys::rd_kafka_ConfigResource_new(kind, topic.as_ptr());
            sys::rd_kafka_DescribeConfigs(self.raw(), &raw mut resource, 1, call.options(), call.queue.raw());
            sys::rd_kafka_ConfigResource_destroy(resource);
        }
        let answer = call.answer()?;
        // SAFETY: the answer is live while its rows are read.
        unsafe {
            let result = sys::rd_kafka_event_DescribeConfigs_result(answer.raw());
            let mut count = 0;
            if result.is_null() {
                return Err(Refusal::of(Code::Fail));
            }
            let rows = sys::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
            let mut found = BTreeMap::new();
            for index in 0..count {
                let row = *rows.add(index);
                Refusal::check(sys::rd_kafka_ConfigResource_error(row))?;
                let mut entries = 0;
                let first = sys::rd_kafka_ConfigResource_configs(row, &raw mut entries);
                for entry in (0..entries).map(|entry| *first.add(entry)) {
                    found.insert(
                        text(sys::rd_kafka_ConfigEntry_name(entry)),
                        text(sys::rd_kafka_ConfigEntry_value(entry)),
                    );
                }
            }
            Ok(found)
        }
    }

    /// Sets one key of a topic's configuration.
    pub(crate) fn set_topic_config(
        self: &Arc<Self>,
        topic: &str,
        (key, value): (&str, &str),
        limit: Duration,
    ) -> Result<(), Refusal> {
        let call = Call::new(self, Op::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS, limit)?;
        let (topic, key, value) = (name(topic)?, name(key)?, name(value)?);
        // SAFETY: everything is live; the resource copies its strings, the request copies the resource, which is ours and
        // destroyed after.
        unsafe {
            let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
            let set = sys::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET;
            let mut resource = sys::rd_kafka_ConfigResource_new(kind, topic.as_ptr());
            let added =
                sys::rd_kafka_ConfigResource_add_incremental_config(resource, key.as_ptr(), set, value.as_ptr());
            let taken = Refusal::take(added);
            if taken.is_ok() {
                sys::rd_kafka_IncrementalAlterConfigs(
                    self.raw(),
                    &raw mut resource,
                    1,
                    call.options(),
                    call.queue.raw(),
                );
            }
            sys::rd_kafka_ConfigResource_destroy(resource);
            taken?;
        }
        let answer = call.answer()?;
        // SAFETY: the answer is live while its rows are read.
        unsafe {
            let result = sys::rd_kafka_event_IncrementalAlterConfigs_result(answer.raw());
            let mut count = 0;
            if result.is_null() {
                return Err(Refusal::of(Code::Fail));
            }
            let rows = sys::rd_kafka_IncrementalAlterConfigs_result_resources(result, &raw mut count);
            (0..count).try_for_each(|index| Refusal::check(sys::rd_kafka_ConfigResource_error(*rows.add(index))))
        }
    }

    /// High watermarks (read_uncommitted) or beginnings, as each row asks.
    pub(crate) fn edges(self: &Arc<Self>, partitions: &Partitions, limit: Duration) -> Result<Vec<Partition>, Refusal> {
        let edges = self.list_offsets(partitions, limit)?;
        // One that is missing or unknown must never be read as "empty".
        if edges.iter().any(|row| row.code == Code::NoError && row.position().is_none()) {
            return Err(Refusal::of(Code::OffsetNotAvailable));
        }
        Ok(edges)
    }

    /// The offset of each row's moment: an end, a beginning, or a time in ms; -1 for a time after the last record. Asked
    /// again within the limit, since a question stays with the broker that led when it was asked, and with its epoch.
    pub(crate) fn list_offsets(
        self: &Arc<Self>,
        partitions: &Partitions,
        limit: Duration,
    ) -> Result<Vec<Partition>, Refusal> {
        let deadline = Instant::now() + limit;
        let mut elections = 0;
        loop {
            let (asked, left) = (Instant::now(), || deadline.saturating_duration_since(Instant::now()));
            match self.list_offsets_once(partitions, left().min(LEADER_MAX)) {
                // What is refused sooner is not for a leader that is gone: whoever asks decides.
                Err(refusal)
                    if is_unanswered(refusal.code) && asked.elapsed() + WORTH > LEADER_MAX && left() > WORTH =>
                {
                    self.look_for_leaders(left().min(LEADER_MAX));
                }
                Ok(rows) if elections < ELECTIONS_MAX && left() > WORTH && rows.iter().any(is_of_another_epoch) => {
                    elections += 1;
                    self.look_for_leaders(left().min(LEADER_MAX));
                }
                listed => return listed,
            }
        }
    }

    /// The library asks whom it knows until a leader itself says that it does not lead, which one that is gone never does.
    fn look_for_leaders(&self, limit: Duration) {
        if let Err(refusal) = self.metadata(None, limit) {
            tracing::debug!(error = refusal.text, "nobody says who leads");
        }
    }

    fn list_offsets_once(
        self: &Arc<Self>,
        partitions: &Partitions,
        limit: Duration,
    ) -> Result<Vec<Partition>, Refusal> {
        let call = Call::new(self, Op::RD_KAFKA_ADMIN_OP_LISTOFFSETS, limit)?;
        let level = sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED;
        // SAFETY: everything is live; the list is copied.
        unsafe {
            Refusal::take(sys::rd_kafka_AdminOptions_set_isolation_level(call.options(), level))?;
            sys::rd_kafka_ListOffsets(self.raw(), partitions.raw(), call.options(), call.queue.raw());
        }
        let answer = call.answer()?;
        // SAFETY: the answer is live while its rows are read.
        unsafe {
            let result = sys::rd_kafka_event_ListOffsets_result(answer.raw());
            let mut count = 0;
            if result.is_null() {
                return Err(Refusal::of(Code::Fail));
            }
            let rows = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
            let ends: Vec<_> = (0..count)
                .map(|index| {
                    let row = sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*rows.add(index));
                    list::read_row(&*row)
                })
                .collect();
            // The rows of a leader that has not answered are there without an offset, or not at all.
            let is_answered = |row: &Partition| row.code != Code::NoError || row.offset != NO_OFFSET;
            if ends.len() != partitions.rows().len() || !ends.iter().all(is_answered) {
                return Err(Refusal::of(Code::OffsetNotAvailable));
            }
            Ok(ends)
        }
    }
}

/// Whether the leader was elected anew since the library has looked; unlike another leader, it does not look again by itself.
fn is_of_another_epoch(row: &Partition) -> bool {
    matches!(row.code, Code::FencedLeaderEpoch | Code::UnknownLeaderEpoch)
}

/// Whether another leader may answer what this one has not.
fn is_unanswered(code: Code) -> bool {
    matches!(code, Code::OperationTimedOut | Code::OffsetNotAvailable)
}

fn new_topic(topic: &CreateTopic<'_>) -> Result<*mut sys::rd_kafka_NewTopic_t, Refusal> {
    let topic_name = name(topic.name)?;
    let configs: Vec<_> =
        topic.configs.iter().map(|(key, value)| Ok((name(key)?, name(value)?))).collect::<Result<_, Refusal>>()?;
    let mut reason = [0 as c_char; 512];
    // SAFETY: the name and the buffer are live; the result is ours.
    let native = unsafe {
        sys::rd_kafka_NewTopic_new(
            topic_name.as_ptr(),
            topic.partitions,
            topic.replication,
            reason.as_mut_ptr(),
            reason.len(),
        )
    };
    if native.is_null() {
        return Err(Refusal { text: text(reason.as_ptr()), ..Refusal::of(Code::InvalidArgument) });
    }
    for (key, value) in &configs {
        // SAFETY: all three are live; the strings are copied. The call fails only for null pointers.
        unsafe { sys::rd_kafka_NewTopic_set_config(native, key.as_ptr(), value.as_ptr()) };
    }
    Ok(native)
}

#[cfg(test)]
mod tests {
    use super::super::mock::Cluster;
    use super::super::{Conf, Kind};
    use super::*;
    use elasticflow_api::position::TopicPartition;

    /// A client of the cluster, and a question for the end of topic `t`.
    fn asker(cluster: &Cluster) -> (Arc<Handle>, impl Fn() -> Partitions + use<>) {
        cluster.topic("t");
        let mut conf = Conf::new().unwrap();
        conf.set("bootstrap.servers", &cluster.brokers()).unwrap();
        let at = TopicPartition { topic: Arc::from("t"), partition: 0 };
        (Handle::start(Kind::Producer, conf).unwrap(), move || Partitions::of([(&at, Partitions::END)]).unwrap())
    }

    #[test]
    fn the_end_is_asked_of_whoever_leads_by_then() {
        let cluster = Cluster::start(2);
        let (client, end) = asker(&cluster);
        cluster.lead("t", 2);
        let limit = Duration::from_secs(40);
        assert_eq!(client.edges(&end(), limit).unwrap()[0].offset, 0);
        cluster.down(2);
        let asking = std::thread::spawn({
            let (client, end) = (Arc::clone(&client), end());
            move || client.edges(&end, limit)
        });
        assert_eq!(client.edges(&end(), Duration::from_millis(500)).unwrap_err().code, Code::OffsetNotAvailable);
        cluster.lead("t", 1);
        assert_eq!(asking.join().unwrap().unwrap()[0].offset, 0);
    }

    #[test]
    fn the_end_is_told_after_the_same_leader_was_elected_again() {
        let cluster = Cluster::start(1);
        let (client, end) = asker(&cluster);
        for _ in 0..3 {
            let rows = client.edges(&end(), Duration::from_secs(40)).unwrap();
            assert_eq!((rows[0].code, rows[0].offset), (Code::NoError, 0));
            cluster.lead("t", 1);
        }
    }
}
