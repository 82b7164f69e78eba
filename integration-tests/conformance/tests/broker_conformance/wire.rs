//! A Kafka client of one connection that sends exactly what a check tells it to.
use anyhow::{Result, bail, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages as m;
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader, TopicName, TransactionalId};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Coordinator loading, not available, not here; concurrent transactions: Kafka says "again" with these.
const AGAIN: [i16; 4] = [14, 15, 16, 51];
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Wire {
    stream: TcpStream,
    correlation: i32,
}

/// A producer id and epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// No producer.
pub(crate) const NOBODY: Producer = Producer { id: -1, epoch: -1 };

pub(crate) fn text(s: &str) -> StrBytes {
    StrBytes::from_string(s.into())
}

pub(crate) fn topic(s: &str) -> TopicName {
    TopicName(text(s))
}

fn transactional(id: &str) -> TransactionalId {
    TransactionalId(text(id))
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or_default()
}

impl Wire {
    pub(crate) fn connect(bootstrap: &str) -> Result<Self> {
        let stream = TcpStream::connect(bootstrap)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Wire { stream, correlation: 0 })
    }

    pub(crate) fn call<Q, R>(&mut self, api: ApiKey, version: i16, request: &Q) -> Result<R>
    where
        Q: Encodable + HeaderVersion,
        R: Decodable + HeaderVersion,
    {
        self.correlation += 1;
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(text("conformance")))
            .encode(&mut frame, Q::header_version(version))?;
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

    /// (API key, lowest version, highest version)
    pub(crate) fn api_versions(&mut self) -> Result<Vec<(i16, i16, i16)>> {
        let r: m::ApiVersionsResponse = self.call(ApiKey::ApiVersions, 0, &m::ApiVersionsRequest::default())?;
        ensure!(r.error_code == 0, "code {}", r.error_code);
        Ok(r.api_keys.iter().map(|k| (k.api_key, k.min_version, k.max_version)).collect())
    }

    /// Error code and base offset.
    pub(crate) fn produce(&mut self, t: &str, transactional_id: Option<&str>, batch: Bytes) -> Result<(i16, i64)> {
        use m::produce_request::{PartitionProduceData, TopicProduceData};
        let data = PartitionProduceData::default().with_index(0).with_records(Some(batch));
        let request = m::ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(10_000)
            .with_transactional_id(transactional_id.map(transactional))
            .with_topic_data(vec![TopicProduceData::default().with_name(topic(t)).with_partition_data(vec![data])]);
        let r: m::ProduceResponse = self.call(ApiKey::Produce, 7, &request)?;
        match r.responses.first().and_then(|t| t.partition_responses.first()) {
            Some(p) => Ok((p.error_code, p.base_offset)),
            None => bail!("an answer without a partition"),
        }
    }

    pub(crate) fn init_producer(&mut self, transactional_id: Option<&str>) -> Result<Producer> {
        let request = m::InitProducerIdRequest::default()
            .with_transactional_id(transactional_id.map(transactional))
            .with_transaction_timeout_ms(30_000)
            .with_producer_id(m::ProducerId(-1))
            .with_producer_epoch(-1);
        let mut answer = None;
        let code = self.again(|w| {
            let r: m::InitProducerIdResponse = w.call(ApiKey::InitProducerId, 4, &request)?;
            answer = Some(Producer { id: r.producer_id.0, epoch: r.producer_epoch });
            Ok(r.error_code)
        })?;
        ensure!(code == 0, "InitProducerId: code {code}");
        answer.ok_or_else(|| anyhow::anyhow!("no answer"))
    }

    pub(crate) fn add_partition(&mut self, id: &str, who: Producer, t: &str) -> Result<i16> {
        use m::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
        let request = m::AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(transactional(id))
            .with_v3_and_below_producer_id(m::ProducerId(who.id))
            .with_v3_and_below_producer_epoch(who.epoch)
            .with_v3_and_below_topics(vec![
                AddPartitionsToTxnTopic::default().with_name(topic(t)).with_partitions(vec![0]),
            ]);
        self.again(|w| {
            let r: m::AddPartitionsToTxnResponse = w.call(ApiKey::AddPartitionsToTxn, 1, &request)?;
            let first = r.results_by_topic_v3_and_below.first().and_then(|t| t.results_by_partition.first());
            Ok(first.map_or(r.error_code, |p| p.partition_error_code))
        })
    }

    pub(crate) fn end_transaction(&mut self, id: &str, who: Producer, commit: bool) -> Result<i16> {
        let request = m::EndTxnRequest::default()
            .with_transactional_id(transactional(id))
            .with_producer_id(m::ProducerId(who.id))
            .with_producer_epoch(who.epoch)
            .with_committed(commit);
        self.again(|w| Ok(w.call::<_, m::EndTxnResponse>(ApiKey::EndTxn, 1, &request)?.error_code))
    }

    /// Repeats while the coordinator says so.
    fn again(&mut self, mut f: impl FnMut(&mut Self) -> Result<i16>) -> Result<i16> {
        for _ in 0..TRIES {
            let code = f(self)?;
            if !AGAIN.contains(&code) {
                return Ok(code);
            }
            std::thread::sleep(PAUSE);
        }
        bail!("the coordinator is busy for too long")
    }
}

/// A batch of `n` records of a producer.
pub(crate) fn batch(who: Producer, sequence: i32, n: i32, transactional: bool, value: &str) -> Result<Bytes> {
    let record = |i: i32| Record {
        transactional,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: who.id,
        producer_epoch: who.epoch,
        timestamp_type: TimestampType::Creation,
        offset: i64::from(i),
        sequence: sequence + i,
        timestamp: now_ms(),
        key: Some(Bytes::from("k")),
        value: Some(Bytes::from(format!("{value}{i}"))),
        headers: Default::default(),
    };
    let records: Vec<Record> = (0..n).map(record).collect();
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut out, records.iter(), &options)?;
    Ok(out.freeze())
}
