//! Avro's binary encoding of what all types are made of.
use bytes::{BufMut, Bytes, BytesMut};
use elasticflow_api::data::Text;
use elasticflow_formats::FormatError;

/// Items of no bytes that a message may hold beside one for each of its bytes.
const EMPTY_ITEMS_MAX: usize = 65_536;
/// Most bytes of a number.
const VARINT_MAX: u32 = 10;

/// Appends a number: zigzag, seven bits a byte.
pub(crate) fn put_long(n: i64, out: &mut BytesMut) {
    let mut rest = ((n << 1) ^ (n >> 63)).cast_unsigned();
    if rest < 0x80 {
        return out.put_u8(low(rest));
    }
    let mut bytes = [0_u8; VARINT_MAX as usize];
    let mut length = 0;
    for byte in &mut bytes {
        length += 1;
        if rest < 0x80 {
            *byte = low(rest);
            break;
        }
        *byte = low(rest) | 0x80;
        rest >>= 7;
    }
    out.put_slice(bytes.get(..length).unwrap_or(&bytes));
}

fn low(n: u64) -> u8 {
    n.to_le_bytes()[0] & 0x7F
}

/// Appends a length and bytes.
pub(crate) fn put_bytes(bytes: &[u8], out: &mut BytesMut) {
    put_length(bytes.len(), out);
    out.put_slice(bytes);
}

/// Appends a length.
pub(crate) fn put_length(length: usize, out: &mut BytesMut) {
    put_long(i64::try_from(length).unwrap_or(i64::MAX), out);
}

/// A place in a message.
pub(crate) struct Cursor<'a> {
    bytes: &'a Bytes,
    at: usize,
    /// Items that arrays and maps may still hold.
    items: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a Bytes) -> Self {
        Self { bytes, at: 0, items: bytes.len().saturating_add(EMPTY_ITEMS_MAX) }
    }

    pub(crate) fn fail<T>(&self, problem: &str) -> Result<T, FormatError> {
        Err(FormatError::data(format!("{problem} at byte {}", self.at)))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, FormatError> {
        match self.bytes.get(self.at) {
            Some(byte) => {
                self.at += 1;
                Ok(*byte)
            }
            None => self.fail("the message ends too early"),
        }
    }

    pub(crate) fn long(&mut self) -> Result<i64, FormatError> {
        let mut n = 0_u64;
        for turn in 0..VARINT_MAX {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7F) << (turn * 7);
            if byte < 0x80 {
                return Ok((n >> 1).cast_signed() ^ -(n & 1).cast_signed());
            }
        }
        self.fail("a number is longer than 64 bits")
    }

    pub(crate) fn int(&mut self) -> Result<i32, FormatError> {
        let n = self.long()?;
        i32::try_from(n).or_else(|_| self.fail("a number is longer than 32 bits"))
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, FormatError> {
        Ok(self.byte()? != 0)
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

    /// Bytes of a known length; they share the message.
    pub(crate) fn slice(&mut self, length: usize) -> Result<Bytes, FormatError> {
        match self.at.checked_add(length) {
            Some(end) if end <= self.bytes.len() => {
                let slice = self.bytes.slice(self.at..end);
                self.at = end;
                Ok(slice)
            }
            _ => self.fail("a text or byte string is longer than the message"),
        }
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> Bytes {
        let rest = self.bytes.slice(self.at.min(self.bytes.len())..);
        self.at = self.bytes.len();
        rest
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, FormatError> {
        let length = self.long()?;
        match usize::try_from(length) {
            Ok(length) => self.slice(length),
            Err(_) => self.fail("a negative length"),
        }
    }

    /// A text; bytes that are not UTF-8 become U+FFFD, as in Java.
    pub(crate) fn text(&mut self) -> Result<Text, FormatError> {
        let bytes = self.bytes()?;
        Ok(Text::try_from(bytes.clone()).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).as_ref().into()))
    }

    /// Number of items of the next block; none is the end.
    fn block(&mut self) -> Result<usize, FormatError> {
        let count = self.long()?;
        if count < 0 {
            // The block's length in bytes, for readers that pass over it.
            self.long()?;
        }
        match usize::try_from(count.unsigned_abs()).ok().and_then(|n| Some((n, self.items.checked_sub(n)?))) {
            Some((count, left)) => {
                self.items = left;
                Ok(count)
            }
            None => self.fail("more items than the message can hold"),
        }
    }

    /// Reads the items of an array or map.
    pub(crate) fn items(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        loop {
            let count = self.block()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                item(self)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn numbers_read_back(n: i64) {
            let mut out = BytesMut::new();
            put_long(n, &mut out);
            let bytes = out.freeze();
            proptest::prop_assert_eq!(Cursor::new(&bytes).long().unwrap(), n);
        }
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        for (n, bytes) in [(0, vec![0]), (-1, vec![1]), (1, vec![2]), (-64, vec![0x7F]), (64, vec![0x80, 1])] {
            let mut out = BytesMut::new();
            put_long(n, &mut out);
            assert_eq!(out.to_vec(), bytes);
        }
    }

    #[test]
    fn endless_numbers_and_blocks_are_refused() {
        let bytes = Bytes::from(vec![0xFF; 20]);
        assert!(Cursor::new(&bytes).long().is_err());
        let mut out = BytesMut::new();
        put_long(1 << 40, &mut out);
        let bytes = out.freeze();
        assert!(Cursor::new(&bytes).items(|_| Ok(())).is_err());
    }
}
