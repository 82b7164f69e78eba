//! The stream of the log: events with their places, checksums compared, silence noticed.
use crate::binlog::DecodeError;
use crate::binlog::event::{self, CHECKSUM, FLAG_ARTIFICIAL, Header, kind};
use crate::binlog::payload::Payload;
use crate::dump::Dump;
use crate::error::{Error, Place, Result, Standing, of_stream};
use crate::position::LogPosition;
use crate::undecided::{TooLong, Undecided};
use bytes::{Buf, Bytes};
use elasticflow_api::clock::Clock;
use std::sync::Arc;
use std::time::Duration;

/// An event with its place.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its head.
    pub header: Header,
    /// Its body, without head and checksum.
    pub body: Bytes,
    /// Where it starts.
    pub start: u64,
    /// Whether it came out of a compressed transaction.
    pub inner: bool,
    /// Whether it is of a prepared transaction that was rolled back.
    pub rolled_back: bool,
}

/// So long after its beginning, a stream may be ended by an earlier request of the same task that was still on its way: its
/// connection is gone, and the server notices that only after it has taken the place of this one.
const YOUNG: Duration = Duration::from_secs(10);

/// How a stream is read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Whether checksums are compared.
    pub verify: bool,
    /// Whether the server tells tasks apart by their own names.
    pub named: bool,
    /// How often an idle server says so.
    pub heartbeat: Duration,
}

/// Reads the log.
pub struct Log {
    stream: Dump,
    clock: Arc<dyn Clock>,
    /// End of the last event.
    at: LogPosition,
    /// Whether `at` comes from the server and not from the request.
    known: bool,
    verify: bool,
    /// Whether events end with a checksum; said by the first event of each file.
    checksums: bool,
    /// Whether the server knows this task by a name of its own.
    named: bool,
    silence: Duration,
    begun: Duration,
    heard: Duration,
    /// Whether events have come since `heard` was set: the clock is asked only when there is nothing to read.
    heard_more: bool,
    /// Events of a compressed transaction that are still to come, and where it starts.
    payload: Option<(Payload, u64)>,
    /// What follows a prepared transaction, until it is known what came of it.
    undecided: Box<Undecided>,
}

impl Log {
    /// Reads a stream that was requested from `at`.
    pub fn new(stream: Dump, clock: Arc<dyn Clock>, at: LogPosition, how: Reading) -> Self {
        let heard = clock.monotonic();
        let silence = how.heartbeat * 3 + Duration::from_secs(5);
        Self {
            stream,
            clock,
            at,
            known: false,
            verify: how.verify,
            checksums: false,
            named: how.named,
            silence,
            begun: heard,
            heard,
            heard_more: false,
            payload: None,
            undecided: Box::default(),
        }
    }

    /// End of the last event.
    pub fn at(&self) -> &LogPosition {
        &self.at
    }

    /// Whether [`Self::at`] has been confirmed by the server.
    pub fn known(&self) -> bool {
        self.known
    }

    /// Where an event is, for messages.
    pub fn place(&self, start: u64) -> Place {
        Place { file: self.at.file.to_string(), pos: start }
    }

    /// Waits for the first event, which names the file, and takes it.
    pub async fn first(&mut self, wait: Duration) -> Result<()> {
        match self.next(wait).await? {
            Some(event) if event.header.kind == kind::ROTATE => Ok(()),
            Some(event) => {
                Err(Error::LogOrder { place: self.place(event.start), what: "it does not begin with its name" })
            }
            None => Err(Error::Silent { seconds: wait.as_secs() }),
        }
    }

    /// The next event that is there already; none if there is none.
    pub fn buffered(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.inner()? {
                return Ok(Some(event));
            }
            if let Some(event) = self.undecided.ready(self.checksums) {
                return self.taken(event).map(Some);
            }
            let Some(event) = self.stream.ready() else { return Ok(None) };
            if let Some(event) = self.received(event)? {
                return self.taken(event).map(Some);
            }
        }
    }

    /// The next event, waiting for it at most so long.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<Event>> {
        if let Some(event) = self.buffered()? {
            return Ok(Some(event));
        }
        self.note_heard();
        match tokio::time::timeout(wait, self.stream.next()).await {
            Ok(event) => self.received_one(event),
            Err(_) => self.check_silence().map(|()| None),
        }
    }

    /// As [`Self::next`]; a notification ends the wait.
    pub async fn next_or_woken(&mut self, wait: Duration, wake: &tokio::sync::Notify) -> Result<Option<Event>> {
        self.note_heard();
        let woken = std::pin::pin!(wake.notified());
        if let Some(event) = self.inner()? {
            return Ok(Some(event));
        }
        let first = {
            let next = std::pin::pin!(self.stream.next());
            tokio::time::timeout(wait, futures_util::future::select(woken, next)).await.map(|first| match first {
                futures_util::future::Either::Right((event, _)) => Some(event),
                futures_util::future::Either::Left(_) => None,
            })
        };
        match first {
            Ok(Some(event)) => self.received_one(event),
            Ok(None) => Ok(None),
            Err(_) => self.check_silence().map(|()| None),
        }
    }

    fn note_heard(&mut self) {
        if std::mem::take(&mut self.heard_more) {
            self.heard = self.clock.monotonic();
        }
    }

    fn check_silence(&self) -> Result<()> {
        let quiet = self.clock.monotonic().saturating_sub(self.heard);
        if quiet > self.silence { Err(Error::Silent { seconds: quiet.as_secs() }) } else { Ok(()) }
    }

    #[cold]
    fn failed(&self, cause: mysql_async::Error) -> Error {
        let young = self.clock.monotonic().saturating_sub(self.begun) < YOUNG;
        of_stream(cause, &self.at.to_string(), Standing { named: self.named, young })
    }

    /// The event, or what it has let go.
    fn received_one(&mut self, event: mysql_async::Result<Option<Bytes>>) -> Result<Option<Event>> {
        match self.received(event)? {
            Some(event) => self.taken(event).map(Some),
            None => self.buffered(),
        }
    }

    /// An event of the server; none if it is held back.
    fn received(&mut self, event: mysql_async::Result<Option<Bytes>>) -> Result<Option<Bytes>> {
        let event = event.map_err(|e| self.failed(e))?.ok_or(Error::Closed)?;
        self.heard_more = true;
        let offered = self.undecided.offer(event, self.checksums);
        let event = offered.map_err(|TooLong { xid, bytes }| Error::XaOpen { xid, bytes })?;
        if event.is_none() {
            self.tell_of_wait();
        }
        Ok(event)
    }

    /// Says once that the stream waits for an outcome.
    fn tell_of_wait(&mut self) {
        if let Some(xid) = self.undecided.waits_long(self.clock.monotonic()) {
            tracing::warn!(xid, "the stream waits for the outcome of a prepared XA transaction; XA RECOVER lists it");
        }
    }

    fn taken(&mut self, event: Bytes) -> Result<Event> {
        let header = Header::parse(&event).map_err(|cause| self.broken(self.at.pos, cause))?;
        let body = self.body(event, &header)?;
        let start = self.advance(&header, &body)?;
        if header.kind == kind::TRANSACTION_PAYLOAD {
            let payload = Payload::parse(&body).map_err(|cause| self.broken(start, cause))?;
            self.payload = Some((payload, start));
        }
        let rolled_back = self.is_rolled_back(header.kind);
        Ok(Event { header, body, start, inner: false, rolled_back })
    }

    /// The next event of the compressed transaction being read.
    fn inner(&mut self) -> Result<Option<Event>> {
        let Some((payload, start)) = &mut self.payload else { return Ok(None) };
        let start = *start;
        let broken = |cause| Error::Decode { place: Place { file: self.at.file.to_string(), pos: start }, cause };
        let Some(mut body) = payload.next_event().map_err(broken)? else {
            self.payload = None;
            return Ok(None);
        };
        let header = Header::parse(&body).map_err(broken)?;
        body.advance(Header::LENGTH);
        let rolled_back = self.is_rolled_back(header.kind);
        Ok(Some(Event { header, body, start, inner: true, rolled_back }))
    }

    /// Whether, since this was asked for last, a transaction has come that was committed later than its place says.
    pub(crate) fn take_committed(&mut self) -> bool {
        self.undecided.take_committed()
    }

    /// Whether an event is of a transaction that was rolled back; its end is the last one.
    fn is_rolled_back(&mut self, kind: u8) -> bool {
        let is_end = kind == kind::XA_PREPARE;
        if is_end { std::mem::take(&mut self.undecided.rolled_back) } else { self.undecided.rolled_back }
    }

    fn broken(&self, start: u64, cause: DecodeError) -> Error {
        Error::Decode { place: self.place(start), cause }
    }

    /// What is between head and checksum; compares the checksum.
    fn body(&mut self, mut event: Bytes, header: &Header) -> Result<Bytes> {
        let describes = header.kind == kind::FORMAT_DESCRIPTION;
        if usize::try_from(header.size) != Ok(event.len()) {
            return Err(self.broken(self.at.pos, DecodeError::Short));
        }
        if describes {
            self.checksums = event::has_checksums(&event).map_err(|cause| self.broken(self.at.pos, cause))?;
        }
        if self.checksums || describes {
            let Some((rest, sum)) =
                event.split_last_chunk::<CHECKSUM>().filter(|(rest, _)| rest.len() >= Header::LENGTH)
            else {
                return Err(self.broken(self.at.pos, DecodeError::Short));
            };
            // The server marks the file in use in the event it describes it with, after the sum was made.
            if self.verify && !describes && crc32fast::hash(rest) != u32::from_le_bytes(*sum) {
                return Err(Error::Checksum { place: self.place(self.at.pos) });
            }
            event.truncate(event.len() - CHECKSUM);
        }
        event.advance(Header::LENGTH);
        Ok(event)
    }

    /// Moves the position over an event and says where the event starts.
    fn advance(&mut self, header: &Header, body: &Bytes) -> Result<u64> {
        let size = u64::from(header.size);
        match header.kind {
            kind::ROTATE => {
                let name = without_checksum(header, body);
                let (pos, file) = event::rotate(name).map_err(|cause| self.broken(self.at.pos, cause))?;
                let start = self.at.pos;
                if file != *self.at.file {
                    self.at.file = Arc::from(file);
                }
                self.at.pos = pos;
                self.known = true;
                return Ok(start);
            }
            kind::HEARTBEAT => {
                let end = carried(self.at.pos, header.end);
                if header.end != 0 && body.as_ref() == self.at.file.as_bytes() {
                    self.at.pos = self.at.pos.max(end);
                }
                return Ok(self.at.pos);
            }
            _ => {}
        }
        if header.flags & FLAG_ARTIFICIAL != 0 || (header.kind == kind::FORMAT_DESCRIPTION && header.end == 0) {
            return Ok(self.at.pos);
        }
        if header.kind == kind::FORMAT_DESCRIPTION && u64::from(header.end) < self.at.pos {
            return Ok(self.at.pos);
        }
        let end = if header.end == 0 { self.at.pos + size } else { carried(self.at.pos, header.end) };
        self.at.pos = self.at.pos.max(end);
        Ok(end.saturating_sub(size))
    }
}

/// The field wraps at 4 GiB. A step back of less than half of that is no wrap: such an event stands before `at`.
fn carried(at: u64, end: u32) -> u64 {
    let same = (at & !0xffff_ffff) | u64::from(end);
    if at.saturating_sub(same) > 0x8000_0000 { same + (1 << 32) } else { same }
}

/// The first ROTATE of a stream comes before the format is known: if its last four bytes are the checksum of the rest,
/// they are no part of the name.
fn without_checksum<'a>(header: &Header, body: &'a Bytes) -> &'a [u8] {
    let Some((name, sum)) = body.split_last_chunk::<4>() else { return body };
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header.timestamp.to_le_bytes());
    hasher.update(&[header.kind]);
    hasher.update(&header.server_id.to_le_bytes());
    hasher.update(&header.size.to_le_bytes());
    hasher.update(&header.end.to_le_bytes());
    hasher.update(&header.flags.to_le_bytes());
    hasher.update(name);
    if hasher.finalize() == u32::from_le_bytes(*sum) { name } else { body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_carried_over_four_gibibytes() {
        assert_eq!(carried(100, 200), 200);
        assert_eq!(carried(0xffff_fff0, 16), 0x1_0000_0010);
        assert_eq!(carried(0x1_0000_0010, 32), 0x1_0000_0020);
    }
}
