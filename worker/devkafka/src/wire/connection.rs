//! One connection: a request, its answer, the next request. Kafka promises answers in the order of the requests.
use super::dispatch;
use super::frame::{self, Closed, Frame};
use super::requests;
use super::shape;
use crate::broker::Shared;
use crate::code;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// A client that does not read its answer for so long is cut off: the answer holds memory.
const WRITE_MAX: Duration = Duration::from_secs(60);

/// Serves a connection until it ends; never `Ok`.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(shared: &Shared, mut stream: S) -> Closed {
    loop {
        match one(shared, &mut stream).await {
            Ok(()) => {}
            Err(closed) => return closed,
        }
    }
}

async fn one<S: AsyncRead + AsyncWrite + Unpin>(shared: &Shared, stream: &mut S) -> Result<(), Closed> {
    let frame = frame::read(stream, &shared.limits, &shared.in_flight).await?;
    let Some(mut answer) = answer(shared, frame).await? else { return Ok(()) };
    match timeout(WRITE_MAX, stream.write_all_buf(&mut answer.bytes)).await {
        Err(_) => Err(Closed::Silent),
        Ok(written) => Ok(written?),
    }
}

/// What goes back, and the room it takes until it is written.
pub(crate) struct Answer {
    pub(crate) bytes: BytesMut,
    pub(crate) held: Option<OwnedSemaphorePermit>,
}

/// A request in its parts, its shape checked.
pub(crate) struct Request {
    pub(crate) version: i16,
    pub(crate) client: String,
    pub(crate) body: Bytes,
    /// Bytes of the body behind its last field.
    pub(crate) trailing: usize,
    /// The room that the request takes until it is answered, or begins to wait.
    pub(crate) held: OwnedSemaphorePermit,
}

/// The answer to one request; `None` for Produce without acknowledgement.
pub(crate) async fn answer(shared: &Shared, frame: Frame) -> Result<Option<Answer>, Closed> {
    let mut answer = Answer { bytes: BytesMut::with_capacity(256), held: None };
    answer.bytes.put_i32(0);
    let header = ResponseHeader::default().with_correlation_id(frame.correlation);
    if frame.key == requests::API_VERSIONS {
        header.encode(&mut answer.bytes, 0).map_err(|e| Closed::Answer(e.to_string()))?;
        api_versions(frame.version, &mut answer.bytes)?;
        return Ok(Some(finish(answer)));
    }
    let (key, version) = (frame.key, frame.version);
    let (api, shape) = requests::find(key, version).ok_or(Closed::Unsupported { key, version })?;
    let request = split(shape, frame)?;
    let encoded = header.encode(&mut answer.bytes, api.response_header_version(version));
    encoded.map_err(|e| Closed::Answer(e.to_string()))?;
    let answered = dispatch::handle(shared, api, request, &mut answer).await?;
    Ok(answered.then(|| finish(answer)))
}

/// Writes the length in front.
fn finish(mut answer: Answer) -> Answer {
    let length = u32::try_from(answer.bytes.len().saturating_sub(4)).unwrap_or(u32::MAX);
    if let Some(front) = answer.bytes.first_chunk_mut() {
        *front = length.to_be_bytes();
    }
    answer
}

/// Takes the header off and checks the body's shape.
fn split(shape: &str, frame: Frame) -> Result<Request, Closed> {
    let (key, version) = (frame.key, frame.version);
    let malformed = |problem: String| Closed::Malformed { key, version, problem };
    let flexible = shape.ends_with('t');
    let header = shape::header_length(flexible, &frame.bytes).map_err(|e| malformed(format!("its header: {e}")))?;
    let mut head = frame.bytes.slice(..header);
    let body = frame.bytes.slice(header..);
    let trailing = shape::check(shape, &body).map_err(|e| malformed(e.to_string()))?.trailing;
    let head = RequestHeader::decode(&mut head, if flexible { 2 } else { 1 }).map_err(|e| malformed(e.to_string()))?;
    let client = head.client_id.map(|c| c.to_string()).unwrap_or_default();
    Ok(Request { version, client, body, trailing, held: frame.held })
}

/// In a version this broker does not know, the answer is in version 0 and says so: that is how clients find a common one.
fn api_versions(version: i16, out: &mut BytesMut) -> Result<(), Closed> {
    let known = (0..=requests::API_VERSIONS_MAX).contains(&version);
    let keys = requests::advertised()
        .into_iter()
        .map(|(key, min, max)| ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max));
    let answer = ApiVersionsResponse::default()
        .with_error_code(if known { code::NONE } else { code::UNSUPPORTED_VERSION })
        .with_api_keys(keys.collect());
    answer.encode(out, if known { version } else { 0 }).map_err(|e| Closed::Answer(e.to_string()))
}

#[cfg(test)]
#[path = "hostile_tests.rs"]
mod hostile;
