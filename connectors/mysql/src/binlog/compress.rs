//! MariaDB's compression: of rows and statements (`log_bin_compress`), and of columns (`COMPRESSED`).
use super::{DecodeError, Reader};
use bytes::Bytes;
use flate2::read::{DeflateDecoder, ZlibDecoder};
use std::io::Read;

/// What is never exceeded, whatever the bytes say: the server's own limit of a packet.
const PLAIN_MAX: u64 = 1 << 30;

/// Memory that is taken before anything has been unpacked.
const FIRST: u64 = 1 << 16;

/// Rows or a statement: `0x80` plus the number of length bytes, the length, big endian, a zlib stream.
///
/// # Errors
/// Another algorithm, or a stream that is broken or not as long as it says.
pub fn unpack(data: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut r = Reader::new(data);
    let head = r.u8()?;
    if head & 0xf8 != 0x80 {
        return Err(DecodeError::Compression(head));
    }
    let length = r.uint_be(usize::from(head & 7))?;
    inflate(ZlibDecoder::new(r.rest()), length)
}

/// The value of a column: 0 and plain bytes, or `0x80` with the number of length bytes and bit 3 for a stream without head.
///
/// # Errors
/// As [`unpack`].
pub fn unpack_column(data: &Bytes) -> Result<Bytes, DecodeError> {
    let mut r = Reader::new(data);
    if r.is_empty() {
        return Ok(data.clone());
    }
    let head = r.u8()?;
    if head == 0 {
        return Ok(data.slice(1..));
    }
    if head & 0xf0 != 0x80 {
        return Err(DecodeError::Compression(head));
    }
    let length = r.uint_be(usize::from(head & 7))?;
    let plain = if head & 8 == 0 {
        inflate(ZlibDecoder::new(r.rest()), length)
    } else {
        inflate(DeflateDecoder::new(r.rest()), length)
    };
    plain.map(Bytes::from)
}

/// Never takes more memory than what comes out of the stream.
fn inflate(stream: impl Read, length: u64) -> Result<Vec<u8>, DecodeError> {
    if length > PLAIN_MAX {
        return Err(DecodeError::Short);
    }
    let mut plain = Vec::with_capacity(usize::try_from(length.min(FIRST)).unwrap_or(0));
    let read = stream.take(length + 1).read_to_end(&mut plain);
    match read {
        Ok(n) if u64::try_from(n) == Ok(length) => Ok(plain),
        _ => Err(DecodeError::Compression(0x80)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, ZlibEncoder};
    use std::io::Write;

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut out = ZlibEncoder::new(Vec::new(), Compression::default());
        out.write_all(plain).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let plain = vec![7u8; 300];
        let packed = [&[0x82, 1, 44], &zlib(&plain)[..]].concat();
        assert_eq!(unpack(&packed).unwrap(), plain);
        assert_eq!(unpack_column(&Bytes::from(packed)).unwrap(), plain);
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(&plain).unwrap();
        let packed = [&[0x8a, 1, 44], &raw.finish().unwrap()[..]].concat();
        assert_eq!(unpack_column(&Bytes::from(packed)).unwrap(), plain);
        assert_eq!(unpack_column(&Bytes::from_static(b"\0plain")).unwrap(), "plain");
        assert!(unpack_column(&Bytes::new()).unwrap().is_empty());
    }

    #[test]
    fn a_wrong_length_and_another_algorithm_are_errors() {
        let stream = zlib(b"abc");
        assert!(unpack(&[&[0x81, 2], &stream[..]].concat()).is_err());
        assert!(unpack(&[&[0x81, 4], &stream[..]].concat()).is_err());
        assert!(unpack(&[&[0x91, 3], &stream[..]].concat()).is_err());
        assert!(unpack(&[0x84, 0xff, 0xff, 0xff, 0xff, 1, 2]).is_err());
        assert!(unpack(&[]).is_err());
    }
}
