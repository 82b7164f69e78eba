//! Character sets by the server's names.
use bytes::Bytes;
use elasticflow_api::data::Text;
use encoding_rs::Encoding;

/// How the bytes of a text column become text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Charset {
    /// No text at all.
    Binary,
    /// UTF-8 and ASCII: the bytes are shared.
    Utf8,
    /// Big-endian UTF-32.
    Utf32,
    /// By a decoder of the WHATWG encoding standard.
    Other(&'static Encoding),
}

impl Charset {
    /// By the server's name; `None` where there is no decoder.
    pub fn named(name: &str) -> Option<Self> {
        use encoding_rs as e;
        Some(match name {
            "binary" => Self::Binary,
            "utf8mb4" | "utf8mb3" | "utf8" | "ascii" => Self::Utf8,
            "utf32" => Self::Utf32,
            "latin1" => Self::Other(e::WINDOWS_1252),
            "ucs2" | "utf16" => Self::Other(e::UTF_16BE),
            "utf16le" => Self::Other(e::UTF_16LE),
            "cp1250" => Self::Other(e::WINDOWS_1250),
            "cp1251" => Self::Other(e::WINDOWS_1251),
            "cp1256" => Self::Other(e::WINDOWS_1256),
            "cp1257" => Self::Other(e::WINDOWS_1257),
            "latin2" => Self::Other(e::ISO_8859_2),
            "latin5" => Self::Other(e::WINDOWS_1254),
            "latin7" => Self::Other(e::ISO_8859_13),
            "greek" => Self::Other(e::ISO_8859_7),
            "hebrew" => Self::Other(e::ISO_8859_8),
            "koi8r" => Self::Other(e::KOI8_R),
            "koi8u" => Self::Other(e::KOI8_U),
            "tis620" => Self::Other(e::WINDOWS_874),
            "cp866" => Self::Other(e::IBM866),
            "macroman" => Self::Other(e::MACINTOSH),
            "gbk" | "gb2312" => Self::Other(e::GBK),
            "gb18030" => Self::Other(e::GB18030),
            "big5" => Self::Other(e::BIG5),
            "sjis" | "cp932" => Self::Other(e::SHIFT_JIS),
            "ujis" | "eucjpms" => Self::Other(e::EUC_JP),
            "euckr" => Self::Other(e::EUC_KR),
            _ => return None,
        })
    }

    /// Whether bytes below 128 are the characters of ASCII, each by itself.
    pub fn is_ascii_compatible(self) -> bool {
        match self {
            Self::Utf8 => true,
            Self::Binary | Self::Utf32 => false,
            Self::Other(encoding) => encoding.is_ascii_compatible(),
        }
    }

    /// Text of bytes; what is not valid becomes U+FFFD.
    pub fn text(self, bytes: Bytes) -> Text {
        match self {
            Self::Utf8 | Self::Binary => utf8(bytes),
            Self::Utf32 => {
                let chars = bytes.chunks(4).map(|c| match c {
                    [a, b, c, d] => char::from_u32(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or('\u{fffd}'),
                    _ => '\u{fffd}',
                });
                Text::from(chars.collect::<String>())
            }
            Self::Other(encoding) => {
                if encoding.is_ascii_compatible() && bytes.is_ascii() {
                    return utf8(bytes);
                }
                Text::from(encoding.decode_without_bom_handling(&bytes).0.into_owned())
            }
        }
    }
}

/// Shares the buffer when it is valid.
pub fn utf8(bytes: Bytes) -> Text {
    // Checked first: a clone of bytes kept only for the bad case costs an allocation in the good one.
    if let Err(invalid) = std::str::from_utf8(&bytes) {
        tracing::debug!(at = invalid.valid_up_to(), "a text is not valid in its character set");
        return Text::from(String::from_utf8_lossy(&bytes).into_owned());
    }
    Text::try_from(bytes).unwrap_or_default()
}

/// MariaDB's collations of 11.x have ids whose upper byte names the character set.
pub fn maria_contextual(collation: u32) -> Option<&'static str> {
    match collation >> 8 {
        8 => Some("utf8mb3"),
        9 => Some("utf8mb4"),
        10 => Some("ucs2"),
        11 => Some("utf16"),
        12 => Some("utf32"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_charset_reads_its_own_bytes() {
        for (name, bytes, text) in [
            ("latin1", &b"a\xe9\x80"[..], "aé€"),
            ("ucs2", b"\0a\0\xe9", "aé"),
            ("utf32", b"\0\x01\xf6\0", "😀"),
            ("gbk", b"\xd6\xd0", "中"),
            ("koi8r", b"\xd0", "п"),
            ("utf8mb4", b"a\xff", "a\u{fffd}"),
        ] {
            assert_eq!(Charset::named(name).unwrap().text(Bytes::copy_from_slice(bytes)), text, "{name}");
        }
        assert_eq!(Charset::named("swe7"), None);
    }
}
