//! Fetch: waits for enough bytes, reads up to the last stable offset if asked to, and names aborted transactions.
use crate::broker::Shared;
use crate::code;
use crate::config::FETCH_BYTES_MAX;
use crate::state::State;
use crate::wire::frame::Closed;
use bytes::Bytes;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ProducerId, TopicName};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

/// `isolation.level=read_committed` on the wire.
const READ_COMMITTED: i8 = 1;

/// An answer on its way, and whether it is worth sending.
pub(crate) struct Fetched {
    pub(crate) response: FetchResponse,
    pub(crate) bytes: usize,
    pub(crate) failed: bool,
}

/// Answers when there is enough, something is wrong, or time is up; the permit holds the room of the answer.
pub(crate) async fn wait(
    shared: &Shared,
    r: FetchRequest,
) -> Result<(FetchResponse, Option<OwnedSemaphorePermit>), Closed> {
    let patience = Duration::from_millis(u64::try_from(r.max_wait_ms).unwrap_or_default());
    let end = Instant::now() + patience;
    let least = usize::try_from(r.min_bytes).unwrap_or_default();
    loop {
        let changed = shared.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable(); // before looking, so that nothing is missed in between
        let wanted = usize::try_from(r.max_bytes).unwrap_or_default().min(FETCH_BYTES_MAX);
        let (held, room) = shared.in_flight.reserve_some(wanted);
        let fetched = shared.locked(|s| s.fetch(&r, room.min(wanted))).map_err(Closed::Stopped)?;
        if fetched.failed || fetched.bytes >= least || Instant::now() >= end {
            return Ok((fetched.response, held));
        }
        drop((held, fetched));
        // Time is up or something has changed: either way it is time to look again.
        let _ = timeout_at(end, changed).await;
    }
}

impl State {
    /// Reads at most `budget` bytes, but at least one batch.
    pub(crate) fn fetch(&mut self, r: &FetchRequest, budget: usize) -> Fetched {
        let committed = r.isolation_level == READ_COMMITTED;
        let mut out = Fetched { response: FetchResponse::default(), bytes: 0, failed: false };
        for t in &r.topics {
            let mut partitions = Vec::with_capacity(t.partitions.len());
            for p in &t.partitions {
                let left = if out.bytes == 0 { Some(budget) } else { budget.checked_sub(out.bytes) };
                let data = self.fetch_partition(&t.topic, p, committed, left.filter(|n| *n > 0 || out.bytes == 0));
                out.failed |= data.error_code != code::NONE;
                out.bytes += data.records.as_ref().map_or(0, Bytes::len);
                partitions.push(data);
            }
            out.response
                .responses
                .push(FetchableTopicResponse::default().with_topic(t.topic.clone()).with_partitions(partitions));
        }
        out
    }

    /// `left` is `None` once the answer is full.
    fn fetch_partition(
        &mut self,
        topic: &TopicName,
        p: &FetchPartition,
        committed: bool,
        left: Option<usize>,
    ) -> PartitionData {
        let data = PartitionData::default().with_partition_index(p.partition).with_preferred_read_replica(BrokerId(-1));
        let Some(x) = self.partition(topic, p.partition) else {
            return data
                .with_error_code(code::UNKNOWN_TOPIC_OR_PARTITION)
                .with_high_watermark(-1)
                .with_last_stable_offset(-1)
                .with_log_start_offset(-1);
        };
        let data = data
            .with_high_watermark(x.next())
            .with_last_stable_offset(x.last_stable())
            .with_log_start_offset(x.start());
        if p.fetch_offset < x.start() || p.fetch_offset > x.next() {
            return data.with_error_code(code::OFFSET_OUT_OF_RANGE);
        }
        let to = if committed { x.last_stable() } else { x.next() };
        let max = usize::try_from(p.partition_max_bytes).unwrap_or_default();
        let read = match left {
            Some(left) if p.fetch_offset < to => x.read(p.fetch_offset, to, left.min(max)),
            _ => Ok(Bytes::new()),
        };
        let Ok(records) = read else { return data.with_error_code(code::STORAGE_ERROR) };
        let aborted = committed.then(|| {
            let touched = x.aborted_in(p.fetch_offset, to);
            touched
                .map(|a| {
                    AbortedTransaction::default().with_producer_id(ProducerId(a.producer_id)).with_first_offset(a.first)
                })
                .collect()
        });
        data.with_aborted_transactions(aborted).with_records(Some(records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::groups::classic::text;
    use crate::log::split;
    use crate::testing::BatchSpec;
    use kafka_protocol::messages::fetch_request::FetchTopic;
    use std::collections::BTreeMap;
    use std::net::{Ipv4Addr, SocketAddr};

    /// Two partitions with three batches each, and the bytes of one.
    fn state() -> (State, usize) {
        let mut s = State::new(&Config::default(), SocketAddr::from((Ipv4Addr::LOCALHOST, 9092)));
        s.create_topic("t", 2, BTreeMap::new()).unwrap();
        let batch = split(BatchSpec::plain(1).bytes()).unwrap().remove(0);
        for partition in [0, 1] {
            for _ in 0..3 {
                s.partition("t", partition).unwrap().append(&batch, 0, false).unwrap();
            }
        }
        (s, batch.bytes.len())
    }

    fn request(offsets: [i64; 2]) -> FetchRequest {
        let one = |(p, o): (i32, i64)| {
            FetchPartition::default().with_partition(p).with_fetch_offset(o).with_partition_max_bytes(i32::MAX)
        };
        let partitions = (0..).zip(offsets).map(one).collect();
        FetchRequest::default()
            .with_topics(vec![FetchTopic::default().with_topic(TopicName(text("t"))).with_partitions(partitions)])
    }

    fn batches(f: &Fetched, one: usize) -> Vec<usize> {
        f.response.responses[0].partitions.iter().map(|p| p.records.as_ref().map_or(0, Bytes::len) / one).collect()
    }

    #[test]
    fn an_answer_keeps_to_its_budget_but_has_at_least_one_batch() {
        let (mut s, one) = state();
        for (budget, want) in [(0, [1, 0]), (1, [1, 0]), (2 * one, [2, 0]), (4 * one, [3, 1]), (100 * one, [3, 3])] {
            let fetched = s.fetch(&request([0, 0]), budget);
            assert_eq!(batches(&fetched, one), want, "{budget}");
            assert!(!fetched.failed);
        }
        assert_eq!(
            batches(&s.fetch(&request([3, 0]), 0), one),
            [0, 1],
            "an empty partition does not use the one batch up"
        );
    }

    #[test]
    fn an_offset_out_of_range_is_answered_at_once() {
        let (mut s, _) = state();
        let fetched = s.fetch(&request([4, 3]), 1 << 20);
        let codes: Vec<i16> = fetched.response.responses[0].partitions.iter().map(|p| p.error_code).collect();
        assert!(fetched.failed);
        assert_eq!(codes, [code::OFFSET_OUT_OF_RANGE, code::NONE]);
    }
}
