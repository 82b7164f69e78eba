//! Packets on a connection: three bytes of length, a number, the payload. Longer payloads are sent in parts.
use bytes::{Buf, Bytes, BytesMut};
use futures_util::FutureExt;
use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A packet of this length goes on in the next one.
const PART: usize = 0xff_ffff;
/// What is read at once: many small events share one buffer.
const CHUNK: usize = 128 << 10;
/// Room below which another buffer is begun.
const ROOM: usize = 16 << 10;

/// The bytes below.
pub(super) enum Socket {
    /// As they are.
    Plain(TcpStream),
    /// Under TLS.
    Secure(Box<TlsStream<TcpStream>>),
}

/// Reads and writes packets.
pub(super) struct Frames {
    socket: Socket,
    input: BytesMut,
    /// Number of the next packet.
    number: u8,
    /// What has come of a payload in parts.
    parts: Option<BytesMut>,
    /// Longest payload that is taken.
    max: usize,
}

impl Frames {
    pub(super) fn new(socket: Socket, max: usize) -> Self {
        Self { socket, input: BytesMut::new(), number: 0, parts: None, max }
    }

    /// The stream below, for TLS: nothing may have been received that was not taken.
    pub(super) fn into_plain(self) -> Result<TcpStream> {
        match self.socket {
            Socket::Plain(stream) if self.input.is_empty() => Ok(stream),
            _ => Err(Error::new(ErrorKind::InvalidData, "bytes before TLS")),
        }
    }

    /// Goes on over another stream with the numbers of this one.
    pub(super) fn over(socket: Socket, max: usize, number: u8) -> Self {
        Self { number, ..Self::new(socket, max) }
    }

    /// Number of the next packet.
    pub(super) fn number(&self) -> u8 {
        self.number
    }

    pub(super) fn is_secure(&self) -> bool {
        matches!(self.socket, Socket::Secure(_))
    }

    /// A command begins: packets are numbered anew.
    pub(super) fn begin(&mut self) {
        self.number = 0;
    }

    /// Sends one payload.
    pub(super) async fn send(&mut self, payload: &[u8]) -> Result<()> {
        let mut out = Vec::with_capacity(payload.len() + 8);
        let mut rest = payload;
        loop {
            let (part, after) = rest.split_at(rest.len().min(PART));
            let length = u32::try_from(part.len()).unwrap_or(0).to_le_bytes();
            out.extend_from_slice(&[length[0], length[1], length[2], self.number]);
            out.extend_from_slice(part);
            self.number = self.number.wrapping_add(1);
            rest = after;
            if part.len() < PART {
                break;
            }
        }
        match &mut self.socket {
            Socket::Plain(stream) => stream.write_all(&out).await,
            Socket::Secure(stream) => {
                stream.write_all(&out).await?;
                stream.flush().await
            }
        }
    }

    /// Waits for the next payload. May be cancelled.
    pub(super) async fn next(&mut self) -> Result<Bytes> {
        loop {
            if let Some(packet) = self.whole()? {
                return Ok(packet);
            }
            self.fill().await?;
        }
    }

    /// The next payload that has come already; none if there is none.
    pub(super) fn ready(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(packet) = self.whole()? {
                return Ok(Some(packet));
            }
            let Some(filled) = tokio::task::coop::unconstrained(self.fill()).now_or_never() else { return Ok(None) };
            filled?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        if self.input.capacity() - self.input.len() < ROOM {
            self.input.reserve(CHUNK);
        }
        let read = match &mut self.socket {
            Socket::Plain(stream) => stream.read_buf(&mut self.input).await?,
            Socket::Secure(stream) => stream.read_buf(&mut self.input).await?,
        };
        if read == 0 { Err(Error::new(ErrorKind::UnexpectedEof, "connection closed")) } else { Ok(()) }
    }

    /// Takes a payload out of what was received, if it is there whole.
    fn whole(&mut self) -> Result<Option<Bytes>> {
        while let Some([a, b, c, number]) = self.input.first_chunk::<4>().copied() {
            let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
            let before = self.parts.as_ref().map_or(0, BytesMut::len);
            if number != self.number || before + length > self.max {
                return Err(Error::new(ErrorKind::InvalidData, "packets out of order, or longer than agreed"));
            }
            if self.input.len() < 4 + length {
                self.input.reserve(4 + length - self.input.len());
                return Ok(None);
            }
            let mut packet = self.input.split_to(4 + length);
            packet.advance(4);
            self.number = self.number.wrapping_add(1);
            if length == PART {
                self.parts.get_or_insert_default().unsplit(packet);
                continue;
            }
            return Ok(Some(match self.parts.take() {
                None => packet.freeze(),
                Some(mut parts) => {
                    parts.extend_from_slice(&packet);
                    parts.freeze()
                }
            }));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Two ends of a connection.
    async fn pair(max: usize) -> (Frames, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (there, here) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), async {
            listener.accept().await.unwrap().0
        });
        (Frames::new(Socket::Plain(here), max), there.unwrap())
    }

    #[tokio::test]
    async fn a_stream_cut_after_any_byte_gives_what_was_whole_and_then_an_error() {
        let bytes = [&[3u8, 0, 0, 0][..], b"abc", &[0, 0, 0, 1], &[2, 0, 0, 2], b"de"].concat();
        let ends = [7, 11, 17];
        for cut in 0..=bytes.len() {
            let (mut frames, mut there) = pair(1 << 20).await;
            there.write_all(&bytes[..cut]).await.unwrap();
            drop(there);
            for (packet, _) in [&b"abc"[..], b"", b"de"].iter().zip(ends).filter(|(_, end)| *end <= cut) {
                assert_eq!(frames.next().await.unwrap(), *packet);
            }
            assert_eq!(frames.next().await.unwrap_err().kind(), ErrorKind::UnexpectedEof, "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn payloads_of_sixteen_mebibytes_and_more_come_in_parts() {
        for length in [PART - 1, PART, PART + 1, 2 * PART] {
            let payload: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let (mut frames, there) = pair(1 << 30).await;
            let mut sender = Frames::new(Socket::Plain(there), 0);
            let (sent, received) = tokio::join!(sender.send(&payload), frames.next());
            sent.unwrap();
            assert!(received.unwrap() == payload, "{length}");
            assert_eq!(frames.number(), sender.number());
        }
    }

    #[tokio::test]
    async fn a_lost_packet_and_one_that_is_too_long_are_errors() {
        for bytes in [&[1u8, 0, 0, 1, 7][..], &[101, 0, 0, 0]] {
            let (mut frames, mut there) = pair(100).await;
            there.write_all(bytes).await.unwrap();
            assert_eq!(frames.next().await.unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }
}
