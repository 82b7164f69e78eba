//! A Kafka client of one connection, blocking, with only what these tests need.
use anyhow::{Context, Result, anyhow, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages as m;
use kafka_protocol::messages::{
    ApiKey, BrokerId, ProducerId, RequestHeader, ResponseHeader, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    correlation: i32,
}

/// A producer id and epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// Records, the last stable offset, and (producer, first offset) of aborted transactions.
pub(crate) type Fetched = (Vec<Record>, i64, Vec<(i64, i64)>);

fn text(s: &str) -> StrBytes {
    StrBytes::from_string(s.into())
}

fn topic(t: &str) -> TopicName {
    TopicName(text(t))
}

fn done(code: i16) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(anyhow!("code {code}")) }
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Client { stream, correlation: 0 })
    }

    pub(crate) fn call<Q, R>(&mut self, api: ApiKey, version: i16, request: &Q) -> Result<R>
    where
        Q: Encodable + HeaderVersion,
        R: Decodable + HeaderVersion,
    {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation);
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        header.encode(&mut frame, Q::header_version(version))?;
        request.encode(&mut frame, version)?;
        let length = u32::try_from(frame.len() - 4)?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut answer)?;
        let mut answer = Bytes::from(answer);
        let header_version = if api == ApiKey::ApiVersions { 0 } else { R::header_version(version) };
        let header = ResponseHeader::decode(&mut answer, header_version)?;
        ensure!(header.correlation_id == self.correlation, "an answer to another request");
        R::decode(&mut answer, version)
    }

    pub(crate) fn ping(&mut self) -> Result<()> {
        let r: m::ApiVersionsResponse = self.call(ApiKey::ApiVersions, 3, &m::ApiVersionsRequest::default())?;
        done(r.error_code)
    }

    /// The cluster id; asking for a topic creates it.
    pub(crate) fn metadata(&mut self, name: &str) -> Result<String> {
        use m::metadata_request::MetadataRequestTopic;
        let asked = vec![MetadataRequestTopic::default().with_name(Some(topic(name)))];
        let request = m::MetadataRequest::default().with_topics(Some(asked)).with_allow_auto_topic_creation(true);
        let r: m::MetadataResponse = self.call(ApiKey::Metadata, 9, &request)?;
        r.topics.iter().try_for_each(|t| done(t.error_code))?;
        Ok(r.cluster_id.context("no cluster id")?.to_string())
    }

    pub(crate) fn own(&mut self, id: &str) -> Result<Owner> {
        let request = m::InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(id))))
            .with_transaction_timeout_ms(60_000);
        let r: m::InitProducerIdResponse = self.call(ApiKey::InitProducerId, 2, &request)?;
        done(r.error_code)?;
        Ok(Owner { id: r.producer_id.0, epoch: r.producer_epoch })
    }

    pub(crate) fn add(&mut self, id: &str, who: Owner, topics: &[&str]) -> Result<()> {
        use m::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
        let one = |t: &&str| AddPartitionsToTxnTopic::default().with_name(topic(t)).with_partitions(vec![0]);
        let request = m::AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(text(id)))
            .with_v3_and_below_producer_id(ProducerId(who.id))
            .with_v3_and_below_producer_epoch(who.epoch)
            .with_v3_and_below_topics(topics.iter().map(one).collect());
        let r: m::AddPartitionsToTxnResponse = self.call(ApiKey::AddPartitionsToTxn, 3, &request)?;
        let results = r.results_by_topic_v3_and_below.iter().flat_map(|t| &t.results_by_partition);
        results.map(|p| p.partition_error_code).try_for_each(done)
    }

    /// Error code and base offset.
    pub(crate) fn produce(&mut self, t: &str, id: Option<&str>, batch: Bytes) -> Result<(i16, i64)> {
        use m::produce_request::{PartitionProduceData, TopicProduceData};
        let data = PartitionProduceData::default().with_index(0).with_records(Some(batch));
        let request = m::ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(10_000)
            .with_transactional_id(id.map(|id| TransactionalId(text(id))))
            .with_topic_data(vec![TopicProduceData::default().with_name(topic(t)).with_partition_data(vec![data])]);
        let r: m::ProduceResponse = self.call(ApiKey::Produce, 9, &request)?;
        let p = &r.responses.first().context("no topic")?.partition_responses[0];
        Ok((p.error_code, p.base_offset))
    }

    pub(crate) fn end(&mut self, id: &str, who: Owner, commit: bool) -> Result<()> {
        let request = m::EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text(id)))
            .with_producer_id(ProducerId(who.id))
            .with_producer_epoch(who.epoch)
            .with_committed(commit);
        done(self.call::<_, m::EndTxnResponse>(ApiKey::EndTxn, 3, &request)?.error_code)
    }

    /// Everything a reader of committed records sees in partition 0.
    pub(crate) fn committed(&mut self, t: &str) -> Result<Vec<String>> {
        let (mut seen, mut from) = (vec![], 0);
        loop {
            let (records, stable, aborted) = self.fetch(t, from, 0)?;
            let Some(last) = records.last().map(|r| r.offset) else {
                ensure!(from >= stable, "nothing at {from} of {stable}");
                return Ok(seen);
            };
            seen.extend(visible(records.into_iter().filter(|r| r.offset >= from).collect(), aborted));
            from = last + 1;
        }
    }

    /// What a reader of committed records gets from an offset on.
    pub(crate) fn fetch(&mut self, t: &str, from: i64, wait_ms: i32) -> Result<Fetched> {
        use m::fetch_request::{FetchPartition, FetchTopic};
        let p = FetchPartition::default().with_partition(0).with_fetch_offset(from).with_partition_max_bytes(1 << 20);
        let request = m::FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_isolation_level(1)
            .with_topics(vec![FetchTopic::default().with_topic(topic(t)).with_partitions(vec![p])]);
        let r: m::FetchResponse = self.call(ApiKey::Fetch, 11, &request)?;
        let p = &r.responses.first().context("no topic")?.partitions[0];
        done(p.error_code)?;
        let aborted = p.aborted_transactions.iter().flatten().map(|a| (a.producer_id.0, a.first_offset)).collect();
        let mut bytes = p.records.clone().unwrap_or_default();
        let records = RecordBatchDecoder::decode_all(&mut bytes)?.into_iter().flat_map(|s| s.records).collect();
        Ok((records, p.last_stable_offset, aborted))
    }
}

/// What is left without control records and aborted ones, as a consumer finds it.
fn visible(records: Vec<Record>, mut aborted: Vec<(i64, i64)>) -> Vec<String> {
    let (mut hidden, mut seen) = (BTreeSet::new(), vec![]);
    for r in records {
        aborted.retain(|(producer, first)| {
            let begun = *first <= r.offset;
            if begun {
                hidden.insert(*producer);
            }
            !begun
        });
        if r.control {
            hidden.remove(&r.producer_id);
        } else if !(r.transactional && hidden.contains(&r.producer_id)) {
            seen.push(String::from_utf8_lossy(&r.value.unwrap_or_default()).into_owned());
        }
    }
    seen
}

/// A batch of one record.
pub(crate) fn batch(who: Option<(Owner, i32)>, value: &str) -> Bytes {
    let (owner, sequence) = who.unwrap_or((Owner { id: -1, epoch: -1 }, -1));
    let record = Record {
        transactional: who.is_some(),
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: owner.id,
        producer_epoch: owner.epoch,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence,
        timestamp: 1,
        key: Some(Bytes::from("k")),
        value: Some(Bytes::from(value.to_owned())),
        headers: Default::default(),
    };
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut out, [&record], &options).unwrap();
    out.freeze()
}
