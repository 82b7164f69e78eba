//! Decompression with a limit: a small batch must not expand to all memory.
use crate::config::DECOMPRESSED_BYTES_MAX;
use bytes::Bytes;
use std::io::Read;

/// What xerial's snappy stream begins with: a magic and two version numbers, 16 bytes in all.
const XERIAL: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER: usize = 16;

/// The body of a batch, decompressed; `None` if it is damaged, too large or of an unknown codec.
pub(crate) fn expand(codec: i16, body: Bytes) -> Option<Bytes> {
    expand_within(codec, body, DECOMPRESSED_BYTES_MAX)
}

fn expand_within(codec: i16, body: Bytes, limit: usize) -> Option<Bytes> {
    match codec {
        0 => Some(body),
        1 => drain(flate2::read::MultiGzDecoder::new(&body[..]), limit),
        2 => snappy(&body, limit),
        3 => drain(lz4::Decoder::new(&body[..]).ok()?, limit),
        4 => drain(zstd::stream::read::Decoder::new(&body[..]).ok()?, limit),
        _ => None,
    }
}

fn drain(from: impl Read, limit: usize) -> Option<Bytes> {
    let mut out = vec![];
    from.take(limit as u64 + 1).read_to_end(&mut out).ok()?;
    (out.len() <= limit).then(|| out.into())
}

/// Either one raw block, or xerial's stream: a header, then blocks with their lengths.
fn snappy(body: &[u8], limit: usize) -> Option<Bytes> {
    if !body.starts_with(XERIAL) {
        let mut out = vec![];
        return block(body, &mut out, limit).map(|()| out.into());
    }
    let (mut rest, mut out) = (body.get(XERIAL_HEADER..)?, vec![]);
    while !rest.is_empty() {
        let (length, tail) = rest.split_first_chunk()?;
        let (compressed, tail) = tail.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        block(compressed, &mut out, limit)?;
        rest = tail;
    }
    Some(out.into())
}

fn block(compressed: &[u8], out: &mut Vec<u8>, limit: usize) -> Option<()> {
    let length = snap::raw::decompress_len(compressed).ok()?;
    let start = out.len();
    let end = start.checked_add(length).filter(|n| *n <= limit)?;
    // A block expands at most to about 22 times its size (a copy of 64 bytes takes 3): more is a lie about the length.
    if length > compressed.len().saturating_mul(32) {
        return None;
    }
    out.resize(end, 0);
    snap::raw::Decoder::new().decompress(compressed, out.get_mut(start..)?).ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(b: &[u8]) -> Bytes {
        let mut e = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        e.write_all(b).unwrap();
        e.finish().unwrap().into()
    }

    fn lz4(b: &[u8]) -> Bytes {
        let mut e = lz4::EncoderBuilder::new().build(vec![]).unwrap();
        e.write_all(b).unwrap();
        e.finish().0.into()
    }

    fn xerial(b: &[u8]) -> Bytes {
        let block = snap::raw::Encoder::new().compress_vec(b).unwrap();
        [XERIAL, &[0; 8], &u32::try_from(block.len()).unwrap().to_be_bytes(), &block].concat().into()
    }

    #[test]
    fn every_codec_expands_to_its_limit_and_not_beyond() {
        let data = vec![b'x'; 1000];
        let raw_snappy = snap::raw::Encoder::new().compress_vec(&data).unwrap().into();
        let zstd: Bytes = zstd::encode_all(&data[..], 3).unwrap().into();
        for (codec, body) in [(1, gzip(&data)), (2, xerial(&data)), (2, raw_snappy), (3, lz4(&data)), (4, zstd)] {
            assert_eq!(expand_within(codec, body.clone(), 1000).as_deref(), Some(&data[..]), "codec {codec}");
            assert_eq!(expand_within(codec, body, 999), None, "codec {codec} keeps the limit");
        }
    }

    #[test]
    fn a_snappy_block_that_lies_about_its_length_reserves_nothing() {
        let lie = [0xff, 0xff, 0xff, 0x7f, 0];
        assert_eq!(expand(2, Bytes::copy_from_slice(&lie)), None);
    }

    #[test]
    fn damaged_or_unknown_bodies_are_refused() {
        for codec in [1, 2, 3, 4, 5, 6, 7] {
            assert_eq!(expand(codec, Bytes::from_static(b"\x01garbage that is not compressed")), None, "codec {codec}");
        }
    }
}
