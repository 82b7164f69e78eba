//! The five bytes before every message: a zero and the id of its schema.
use bytes::{BufMut, Bytes, BytesMut};

const MAGIC: u8 = 0;
/// Magic byte of messages whose schema is named by a GUID, not by an id.
const MAGIC_GUID: u8 = 1;
/// Bytes before the body.
pub(crate) const PREFIX: usize = 5;

/// Appends the prefix.
pub(crate) fn write_prefix(id: u32, out: &mut BytesMut) {
    out.put_u8(MAGIC);
    out.put_u32(id);
}

/// The schema id of a message and its body.
pub(crate) fn split(message: &Bytes) -> Result<(u32, Bytes), &'static str> {
    match message.as_ref() {
        [MAGIC, a, b, c, d, ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), message.slice(PREFIX..))),
        [MAGIC, ..] => Err("the message ends inside the id of its schema"),
        [MAGIC_GUID, ..] => {
            Err("Unknown magic byte! The message names its schema by a GUID, which is not supported; write with ids")
        }
        _ => Err("Unknown magic byte! The message was not written with a schema registry"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_split_again() {
        let mut out = BytesMut::new();
        write_prefix(0x0102_0304, &mut out);
        out.put_slice(b"body");
        assert_eq!(split(&out.freeze()), Ok((0x0102_0304, Bytes::from_static(b"body"))));
    }

    #[test]
    fn anything_else_is_refused() {
        for message in [&b""[..], b"\0\0\0\0", b"\x01\0\0\0\x01x", b"{\"a\":1}"] {
            assert!(split(&Bytes::from_static(message)).is_err(), "{message:?}");
        }
    }
}
