//! Protobuf's wire format.
use bytes::{BufMut, Bytes, BytesMut};
use elasticflow_formats::FormatError;

/// Wire type of numbers of variable length.
pub(crate) const VARINT: u32 = 0;
/// Wire type of eight bytes.
pub(crate) const I64: u32 = 1;
/// Wire type of what begins with its length.
pub(crate) const LEN: u32 = 2;
/// Wire type of four bytes.
pub(crate) const I32: u32 = 5;

const VARINT_MAX: u32 = 10;

/// Appends a number, seven bits a byte.
pub(crate) fn put_varint(mut n: u64, out: &mut BytesMut) {
    while n >= 0x80 {
        out.put_u8(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    out.put_u8(n.to_le_bytes()[0]);
}

/// Appends number and wire type of a field.
pub(crate) fn put_tag(number: u32, wire: u32, out: &mut BytesMut) {
    put_varint(u64::from(number) << 3 | u64::from(wire), out);
}

/// Appends a length and bytes.
pub(crate) fn put_bytes(bytes: &[u8], out: &mut BytesMut) {
    put_varint(bytes.len() as u64, out);
    out.put_slice(bytes);
}

/// Appends what `content` writes behind its length. Content is mostly short: it is moved when its length takes more bytes.
pub(crate) fn put_message<E>(
    out: &mut BytesMut,
    content: impl FnOnce(&mut BytesMut) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    out.put_u8(0);
    content(out)?;
    let length = out.len().saturating_sub(start).saturating_sub(1);
    if let (Some(place), Ok(short @ 0..=0x7F)) = (out.get_mut(start), u8::try_from(length)) {
        *place = short;
        return Ok(());
    }
    let mut prefix = BytesMut::with_capacity(VARINT_MAX as usize);
    put_varint(length as u64, &mut prefix);
    out.put_bytes(0, prefix.len().saturating_sub(1));
    if let Some(place) = out.get_mut(start..) {
        if prefix.len() > 1 {
            place.copy_within(1..length.saturating_add(1), prefix.len());
        }
        place.iter_mut().zip(&prefix).for_each(|(to, from)| *to = *from);
    }
    Ok(())
}

/// A number with its sign in the lowest bit.
pub(crate) fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}

/// The number of a [`zigzag`].
pub(crate) fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -(n & 1).cast_signed()
}

/// A place in a message.
pub(crate) struct Cursor {
    bytes: Bytes,
    at: usize,
}

impl Cursor {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(crate) fn fail<T>(&self, problem: &str) -> Result<T, FormatError> {
        Err(FormatError::data(format!("{problem} at byte {}", self.at)))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, FormatError> {
        let mut n = 0_u64;
        for turn in 0..VARINT_MAX {
            let [byte] = self.array()?;
            n |= u64::from(byte & 0x7F) << (turn * 7);
            if byte < 0x80 {
                return Ok(n);
            }
        }
        self.fail("a number is longer than 64 bits")
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        match self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()) {
            Some(chunk) => {
                self.at += N;
                Ok(*chunk)
            }
            None => self.fail("the message ends too early"),
        }
    }

    /// What begins with its length; it shares the message.
    pub(crate) fn slice(&mut self) -> Result<Bytes, FormatError> {
        let length = usize::try_from(self.varint()?).ok();
        match length.and_then(|length| self.at.checked_add(length)).filter(|end| *end <= self.bytes.len()) {
            Some(end) => {
                let slice = self.bytes.slice(self.at..end);
                self.at = end;
                Ok(slice)
            }
            None => self.fail("a length is longer than the message"),
        }
    }

    /// All that is left.
    pub(crate) fn rest(self) -> Bytes {
        self.bytes.slice(self.at.min(self.bytes.len())..)
    }

    /// Number and wire type of the next field.
    pub(crate) fn tag(&mut self) -> Result<(u32, u32), FormatError> {
        let tag = self.varint()?;
        match (u32::try_from(tag >> 3), u32::try_from(tag & 7)) {
            (Ok(number), Ok(wire)) if number > 0 => Ok((number, wire)),
            _ => self.fail("no field begins so"),
        }
    }

    /// Passes over a field.
    pub(crate) fn skip(&mut self, wire: u32) -> Result<(), FormatError> {
        match wire {
            VARINT => self.varint().map(drop),
            I64 => self.array::<8>().map(drop),
            LEN => self.slice().map(drop),
            I32 => self.array::<4>().map(drop),
            _ => self.fail("a field has a wire type that is not supported"),
        }
    }
}
