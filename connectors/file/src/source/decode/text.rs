//! Bytes of a charset to text.
use bytes::Bytes;
use bytestring::ByteString;
use elasticflow_api::data::Text;
use encoding_rs::{Encoding, UTF_8};

/// How bytes become text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charset {
    encoding: &'static Encoding,
    replace: bool,
}

impl Charset {
    /// Of an encoding in which ASCII bytes are ASCII characters.
    pub(crate) fn new(encoding: &'static Encoding, replace: bool) -> Self {
        Self { encoding, replace }
    }

    /// Whether bytes and text are the same.
    pub(crate) fn is_utf8(&self) -> bool {
        self.encoding == UTF_8
    }

    /// The text; shares the bytes where it can. `None` when they are not of the charset.
    pub(crate) fn text(&self, bytes: Bytes) -> Option<Text> {
        if self.is_utf8() && !self.replace {
            return ByteString::try_from(bytes).ok();
        }
        if bytes.is_ascii() {
            return ByteString::try_from(bytes).ok();
        }
        if self.replace {
            return Some(self.encoding.decode_without_bom_handling(&bytes).0.into_owned().into());
        }
        let text = self.encoding.decode_without_bom_handling_and_without_replacement(&bytes)?;
        Some(text.into_owned().into())
    }
}
