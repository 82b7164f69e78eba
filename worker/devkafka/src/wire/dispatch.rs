//! Which code answers which API.
use super::connection::{Answer, Request};
use super::frame::Closed;
use crate::api::{fetch, group_waits};
use crate::broker::Shared;
use crate::state::State;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ProduceRequest};
use kafka_protocol::protocol::{Decodable, Encodable};

/// Decodes, answers, encodes. `Ok(false)`: no answer is sent.
pub(crate) async fn handle(shared: &Shared, api: ApiKey, q: Request, out: &mut Answer) -> Result<bool, Closed> {
    let v = q.version;
    let call = Call { shared, api, version: v, body: q.body, trailing: q.trailing };
    let (o, held) = (&mut out.bytes, q.held);
    match api {
        ApiKey::Produce => {
            let request: ProduceRequest = call.decode()?;
            let acknowledged = request.acks != 0;
            let answer = call.locked(|s| s.produce(request))?;
            if acknowledged {
                call.encode(&answer, o)?;
            }
            return Ok(acknowledged);
        }
        ApiKey::Fetch => {
            drop(held); // small, and it may wait for long
            let (answer, held) = fetch::wait(shared, call.decode()?).await?;
            out.held = held;
            call.encode(&answer, o)?;
        }
        ApiKey::JoinGroup => {
            drop(held); // small, and it may wait for long
            let answer = group_waits::join(shared, call.decode()?, v, &q.client).await?;
            call.encode(&answer, o)?;
        }
        ApiKey::SyncGroup => {
            drop(held); // small, and it may wait for long
            let answer = group_waits::sync(shared, call.decode()?).await?;
            call.encode(&answer, o)?;
        }
        ApiKey::ListOffsets => call.answer(o, |s, r| s.list_offsets(&r, v))?,
        ApiKey::Metadata => call.answer(o, |s, r| s.metadata(&r, v))?,
        ApiKey::FindCoordinator => call.answer(o, |s, r| s.find_coordinator(r, v))?,
        ApiKey::Heartbeat => call.answer(o, |s, r| s.heartbeat(&r))?,
        ApiKey::LeaveGroup => call.answer(o, |s, r| s.leave_group(r, v))?,
        ApiKey::OffsetCommit => call.answer(o, State::offset_commit)?,
        ApiKey::OffsetFetch => call.answer(o, |s, r| s.offset_fetch(r, v))?,
        ApiKey::OffsetDelete => call.answer(o, State::offset_delete)?,
        ApiKey::ListGroups => call.answer(o, |s, r| s.list_groups(&r))?,
        ApiKey::DescribeGroups => call.answer(o, |s, r| s.describe_groups(r))?,
        ApiKey::DeleteGroups => call.answer(o, State::delete_groups)?,
        ApiKey::CreateTopics => call.answer(o, State::create_topics)?,
        ApiKey::DeleteTopics => call.answer(o, State::delete_topics)?,
        ApiKey::CreatePartitions => call.answer(o, State::create_partitions)?,
        ApiKey::DescribeConfigs => call.answer(o, |s, r| s.describe_configs(r))?,
        ApiKey::AlterConfigs => call.answer(o, State::alter_configs)?,
        ApiKey::IncrementalAlterConfigs => call.answer(o, State::incremental_alter_configs)?,
        ApiKey::DeleteRecords => call.answer(o, State::delete_records)?,
        ApiKey::OffsetForLeaderEpoch => call.answer(o, |s, r| s.offset_for_leader_epoch(r))?,
        ApiKey::InitProducerId => call.answer(o, |s, r| s.init_producer_id(r, v))?,
        ApiKey::AddPartitionsToTxn => call.answer(o, |s, r| s.add_partitions_to_txn(r, v))?,
        ApiKey::AddOffsetsToTxn => call.answer(o, |s, r| s.add_offsets_to_txn(&r, v))?,
        ApiKey::TxnOffsetCommit => call.answer(o, |s, r| s.txn_offset_commit(r, v))?,
        ApiKey::EndTxn => call.answer(o, |s, r| s.end_txn(&r, v))?,
        ApiKey::DescribeCluster => call.answer(o, |s, r| s.describe_cluster(&r))?,
        ApiKey::ConsumerGroupHeartbeat => call.answer(o, |s, r| s.consumer_group_heartbeat(r, &q.client))?,
        ApiKey::ConsumerGroupDescribe => call.answer(o, |s, r| s.consumer_group_describe(r))?,
        _ => return Err(Closed::Unsupported { key: api as i16, version: v }),
    }
    Ok(true)
}

/// One request on its way through decoder, lock and encoder.
struct Call<'a> {
    shared: &'a Shared,
    api: ApiKey,
    version: i16,
    body: Bytes,
    trailing: usize,
}

impl Call<'_> {
    /// Decodes a body whose shape was checked; decoder and shape must agree on where it ends.
    fn decode<Q: Decodable>(&self) -> Result<Q, Closed> {
        let (key, version) = (self.api as i16, self.version);
        let malformed = |problem: String| Closed::Malformed { key, version, problem };
        let mut body = self.body.clone();
        let request = Q::decode(&mut body, version).map_err(|e| malformed(e.to_string()))?;
        if body.len() == self.trailing {
            return Ok(request);
        }
        Err(malformed(format!("{} bytes are left, not {}", body.len(), self.trailing)))
    }

    fn locked<R>(&self, f: impl FnOnce(&mut State) -> R) -> Result<R, Closed> {
        self.shared.locked(f).map_err(Closed::Stopped)
    }

    fn encode<R: Encodable>(&self, answer: &R, out: &mut BytesMut) -> Result<(), Closed> {
        answer.encode(out, self.version).map_err(|e| Closed::Answer(format!("{:?}: {e}", self.api)))
    }

    fn answer<Q: Decodable, R: Encodable>(
        &self,
        out: &mut BytesMut,
        f: impl FnOnce(&mut State, Q) -> R,
    ) -> Result<(), Closed> {
        let request = self.decode()?;
        let answer = self.locked(|s| f(s, request))?;
        self.encode(&answer, out)
    }
}
