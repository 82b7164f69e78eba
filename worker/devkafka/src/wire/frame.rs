//! Frames: a length, then so many bytes. Nothing is reserved for a length that is too large.
use super::requests;
use crate::config::{CONTROL_FRAME_BYTES_MAX, Limits};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A connection without a request for so long is closed; Kafka's `connections.max.idle.ms`.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// The rest of a frame must follow its first bytes within this time: a half-sent frame holds memory.
const REST_MAX: Duration = Duration::from_secs(30);
/// API key, version, correlation id: the least that a request has.
const HEAD: usize = 8;
/// Memory in flight is counted in units of this many bytes: a semaphore counts no further than 32 bits.
const UNIT: usize = 1 << 10;

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error("the client closed the connection")]
    ByClient,
    #[error("the client did not send or read for too long")]
    Silent,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("a request of {bytes} bytes is larger than the limit of {limit} bytes for API {key}")]
    TooLarge { key: i16, bytes: usize, limit: usize },
    #[error("API {key} in version {version} is not supported")]
    Unsupported { key: i16, version: i16 },
    #[error("a request of API {key} in version {version} cannot be decoded: {problem}")]
    Malformed { key: i16, version: i16, problem: String },
    #[error("an answer cannot be encoded: {0}")]
    Answer(String),
    #[error("the broker has stopped: {0}")]
    Stopped(Arc<str>),
}

/// Bytes that requests and answers may hold together.
#[derive(Debug)]
pub(crate) struct InFlight {
    free: Arc<Semaphore>,
    units: usize,
}

impl InFlight {
    pub(crate) fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT).clamp(1, u32::MAX as usize >> 3);
        InFlight { free: Arc::new(Semaphore::new(units)), units }
    }

    /// Waits for room. A frame larger than everything waits for all there is.
    async fn reserve(&self, bytes: usize) -> io::Result<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT).min(self.units)).unwrap_or(u32::MAX);
        Arc::clone(&self.free).acquire_many_owned(units).await.map_err(io::Error::other)
    }

    /// As much room as there is, at most `bytes`; never waits, since a Fetch that gets little asks again.
    pub(crate) fn reserve_some(&self, bytes: usize) -> (Option<OwnedSemaphorePermit>, usize) {
        let units = bytes.div_ceil(UNIT).min(self.free.available_permits());
        match Arc::clone(&self.free).try_acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX)) {
            Ok(permit) => (Some(permit), units.saturating_mul(UNIT)),
            Err(_) => (None, 0),
        }
    }
}

/// A request as it came: from the API key on.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    pub(crate) bytes: Bytes,
    /// Counts against the memory in flight until the frame is gone.
    pub(crate) held: OwnedSemaphorePermit,
}

/// Reads one frame.
pub(crate) async fn read<R: AsyncRead + Unpin>(
    from: &mut R,
    limits: &Limits,
    room: &InFlight,
) -> Result<Frame, Closed> {
    let mut start = [0u8; 4 + HEAD];
    match timeout(IDLE_MAX, from.read_exact(&mut start)).await {
        Err(_) => return Err(Closed::Silent),
        Ok(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(Closed::ByClient),
        Ok(read) => read?,
    };
    let [l0, l1, l2, l3, k0, k1, v0, v1, c0, c1, c2, c3] = start;
    let (key, version) = (i16::from_be_bytes([k0, k1]), i16::from_be_bytes([v0, v1]));
    let length = i32::from_be_bytes([l0, l1, l2, l3]);
    let bytes = check_length(key, version, length, limits)?;
    let held = room.reserve(bytes).await?;
    let mut buffer = BytesMut::with_capacity(bytes);
    buffer.extend_from_slice(&[k0, k1, v0, v1, c0, c1, c2, c3]);
    let mut rest = from.take((bytes - HEAD) as u64);
    while buffer.len() < bytes {
        match timeout(REST_MAX, rest.read_buf(&mut buffer)).await {
            Err(_) => return Err(Closed::Silent),
            Ok(Ok(0)) => return Err(Closed::ByClient),
            Ok(read) => drop(read?),
        }
    }
    let correlation = i32::from_be_bytes([c0, c1, c2, c3]);
    Ok(Frame { key, version, correlation, bytes: buffer.freeze(), held })
}

fn check_length(key: i16, version: i16, length: i32, limits: &Limits) -> Result<usize, Closed> {
    if key != requests::API_VERSIONS && requests::find(key, version).is_none() {
        return Err(Closed::Unsupported { key, version });
    }
    let limit = if key == ApiKey::Produce as i16 { limits.frame_bytes } else { CONTROL_FRAME_BYTES_MAX };
    let short = || Closed::Malformed { key, version, problem: format!("its length is {length}") };
    let bytes = usize::try_from(length).map_err(|_| short())?;
    match bytes {
        n if n < HEAD => Err(short()),
        n if n > limit => Err(Closed::TooLarge { key, bytes, limit }),
        n => Ok(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: i32, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
        [&length.to_be_bytes()[..], &key.to_be_bytes(), &version.to_be_bytes(), &7i32.to_be_bytes(), body].concat()
    }

    async fn read_all(bytes: &[u8]) -> Result<Frame, Closed> {
        read(&mut &bytes[..], &Limits::default(), &InFlight::new(1 << 20)).await
    }

    #[tokio::test]
    async fn a_whole_frame_is_read_with_its_head() {
        let f = read_all(&frame(11, 12, 4, &[1, 2, 3])).await.unwrap();
        assert_eq!((f.key, f.version, f.correlation, f.bytes.len()), (12, 4, 7, 11));
    }

    #[tokio::test]
    async fn lengths_outside_the_limits_are_refused_before_anything_is_reserved() {
        let large = i32::try_from(CONTROL_FRAME_BYTES_MAX).unwrap() + 1;
        assert!(matches!(
            read_all(&frame(large, 12, 4, &[])).await,
            Err(Closed::TooLarge { limit: CONTROL_FRAME_BYTES_MAX, .. })
        ));
        let produce = i32::try_from(Limits::default().frame_bytes).unwrap() + 1;
        assert!(matches!(read_all(&frame(produce, 0, 9, &[])).await, Err(Closed::TooLarge { key: 0, .. })));
        for length in [-1, 0, 7, i32::MIN] {
            assert!(matches!(read_all(&frame(length, 12, 4, &[])).await, Err(Closed::Malformed { .. })), "{length}");
        }
    }

    #[tokio::test]
    async fn unknown_apis_and_versions_are_refused() {
        for (key, version) in [(12, 5), (12, -1), (4, 0), (999, 0), (-3, 0)] {
            assert!(matches!(read_all(&frame(20, key, version, &[0; 12])).await, Err(Closed::Unsupported { .. })));
        }
    }

    #[tokio::test]
    async fn a_frame_that_ends_early_closes_the_connection() {
        assert!(matches!(read_all(&frame(50, 12, 4, &[0; 3])).await, Err(Closed::ByClient)));
        assert!(matches!(read_all(&[0, 0]).await, Err(Closed::ByClient)));
    }

    /// On a clock that runs ahead while everybody waits.
    #[tokio::test(start_paused = true)]
    async fn a_silent_client_and_half_a_frame_do_not_hold_a_connection_for_good() {
        let (mut broker, mut client) = tokio::io::duplex(64);
        let (limits, room) = (Limits::default(), InFlight::new(1 << 20));
        let start = tokio::time::Instant::now();
        assert!(matches!(read(&mut broker, &limits, &room).await, Err(Closed::Silent)));
        assert!(start.elapsed() >= IDLE_MAX);
        tokio::io::AsyncWriteExt::write_all(&mut client, &frame(50, 12, 4, &[0; 3])).await.unwrap();
        let start = tokio::time::Instant::now();
        assert!(matches!(read(&mut broker, &limits, &room).await, Err(Closed::Silent)));
        assert!(start.elapsed() >= REST_MAX && start.elapsed() < IDLE_MAX);
        assert_eq!(room.free.available_permits(), room.units, "its room is free again");
    }

    #[tokio::test]
    async fn frames_share_the_room_in_flight() {
        let room = InFlight::new(4 * UNIT);
        let bytes = frame(3 * UNIT as i32, 12, 4, &vec![0; 3 * UNIT]);
        let first = read(&mut &bytes[..], &Limits::default(), &room).await.unwrap();
        let (some, granted) = room.reserve_some(10 * UNIT);
        assert_eq!(granted, UNIT);
        let second = room.reserve(UNIT);
        tokio::pin!(second);
        assert!(futures_poll(second.as_mut()).await.is_none(), "there is no room left");
        drop((first, some));
        assert!(futures_poll(second.as_mut()).await.is_some());
    }

    /// Polls once.
    async fn futures_poll<F: Future + Unpin>(mut f: F) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut f).poll(cx) {
                std::task::Poll::Ready(x) => Some(x),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
