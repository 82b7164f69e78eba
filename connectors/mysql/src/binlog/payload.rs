//! TRANSACTION_PAYLOAD: the events of a compressed transaction, unpacked one by one.
use super::event::Header;
use super::{DecodeError, Reader};
use bytes::{Buf, Bytes, buf};
use std::io::{BufReader, Read};

/// The events inside; what is held of them is the compressed body and one event.
pub struct Payload {
    unpacker: Unpacker,
    left: u64,
    first: bool,
}

enum Unpacker {
    Plain(buf::Reader<Bytes>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<buf::Reader<Bytes>>>>),
}

impl Read for Unpacker {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(out),
            Self::Zstd(reader) => reader.read(out),
        }
    }
}

/// Kinds of compression.
const ZSTD: u64 = 0;
const NONE: u64 = 255;

impl Payload {
    /// Reads the head: fields of kind, length and value, up to one of kind 0.
    ///
    /// # Errors
    /// The head is broken, or the compression is not known.
    pub fn parse(body: &Bytes) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        let (mut compression, mut sizes) = (ZSTD, [None, None]);
        loop {
            let field = r.lenenc()?;
            if field == 0 {
                break;
            }
            let n = r.lenenc_len()?;
            let mut value = Reader::new(r.bytes(n)?);
            match field {
                1 => sizes[0] = Some(value.lenenc()?),
                2 => compression = value.lenenc()?,
                3 => sizes[1] = Some(value.lenenc()?),
                _ => {}
            }
        }
        let packed = body.slice(body.len() - r.len()..).reader();
        let unpacker = match compression {
            NONE => Unpacker::Plain(packed),
            ZSTD => Unpacker::Zstd(Box::new(zstd::stream::read::Decoder::new(packed).map_err(broken)?)),
            other => return Err(DecodeError::Compression(u8::try_from(other).unwrap_or(u8::MAX))),
        };
        let left = sizes[1].or(sizes[0]).ok_or(DecodeError::Short)?;
        Ok(Self { unpacker, left, first: true })
    }

    /// The next event, with its head; none at the end. The first one begins the transaction.
    ///
    /// # Errors
    /// What comes out is not what the head says.
    pub fn next_event(&mut self) -> Result<Option<Bytes>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut event = Vec::new();
        self.fill(&mut event, Header::LENGTH)?;
        let header = Header::parse(&event)?;
        let begins = !std::mem::take(&mut self.first) || header.kind == super::event::kind::QUERY;
        let left = self.left.checked_sub(u64::from(header.size)).filter(|_| begins);
        self.left = left.ok_or(DecodeError::Compression(0))?;
        let size = usize::try_from(header.size).map_err(|_| DecodeError::Short)?;
        self.fill(&mut event, size)?;
        Ok(Some(event.into()))
    }

    /// Takes no more memory than what comes out.
    fn fill(&mut self, event: &mut Vec<u8>, length: usize) -> Result<(), DecodeError> {
        let wanted = length.checked_sub(event.len()).ok_or(DecodeError::Short)?;
        let read = (&mut self.unpacker).take(wanted as u64).read_to_end(event).map_err(broken)?;
        if read == wanted { Ok(()) } else { Err(DecodeError::Compression(0)) }
    }
}

fn broken(_: std::io::Error) -> DecodeError {
    DecodeError::Compression(0)
}

#[cfg(test)]
mod tests {
    use super::super::event::kind;
    use super::*;

    fn event(kind: u8, body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(Header::LENGTH + body.len()).unwrap();
        [&[0, 0, 0, 0, kind, 1, 0, 0, 0][..], &size.to_le_bytes(), &[0; 6], body].concat()
    }

    fn payload(compression: u64, events: &[u8], told: usize) -> Bytes {
        let packed = match compression {
            ZSTD => zstd::stream::encode_all(events, 3).unwrap(),
            _ => events.to_vec(),
        };
        let kind = u8::try_from(compression).unwrap();
        // Values above 250 take two more bytes.
        let kind = if kind > 250 { vec![2, 3, 252, kind, 0] } else { vec![2, 1, kind] };
        let size = u16::try_from(told).unwrap().to_le_bytes();
        [&kind[..], &[3, 3, 252, size[0], size[1], 0], &packed].concat().into()
    }

    #[test]
    fn events_come_out_as_they_went_in() {
        let events = [event(kind::QUERY, b"BEGIN"), event(kind::XID, &[7; 300])];
        for compression in [ZSTD, NONE] {
            let all = events.concat();
            let mut payload = Payload::parse(&payload(compression, &all, all.len())).unwrap();
            for event in &events {
                assert_eq!(payload.next_event().unwrap().unwrap(), *event);
            }
            assert_eq!(payload.next_event(), Ok(None));
        }
    }

    #[test]
    fn a_payload_that_is_not_what_it_says_is_an_error() {
        let all = [event(kind::QUERY, b"BEGIN"), event(kind::XID, &[7; 8])].concat();
        for told in [all.len() - 1, all.len() + 1] {
            let mut payload = Payload::parse(&payload(ZSTD, &all, told)).unwrap();
            payload.next_event().unwrap();
            let rest = payload.next_event().and_then(|_| payload.next_event());
            assert!(rest.is_err(), "{told}");
        }
        assert!(Payload::parse(&payload(NONE, &all[24..], 27)).unwrap().next_event().is_err(), "does not begin");
        assert!(matches!(Payload::parse(&payload(9, &all, 40)), Err(DecodeError::Compression(9))));
        assert!(Payload::parse(&Bytes::from_static(&[1, 200, 1])).is_err());
        for cut in 0..20 {
            let whole = payload(ZSTD, &all, all.len());
            let cut = whole.slice(..whole.len() - 1 - cut);
            let mut reads = Payload::parse(&cut)
                .map(|mut p| std::iter::from_fn(move || p.next_event().transpose()).any(|e| e.is_err()));
            assert!(reads.as_mut().map_or(true, |any| *any), "{cut:?}");
        }
    }
}
