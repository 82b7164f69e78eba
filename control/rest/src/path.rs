//! Percent-encoding of path segments and queries.

/// Decodes a path segment; `+` is a plus sign. What is no escape stays as it is; what is no UTF-8 is `None`, since another
/// name would be addressed otherwise.
pub(crate) fn decode(segment: &str) -> Option<String> {
    let bytes = segment.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match after {
            [high, low, ..] if byte == b'%' => hex(*high).zip(hex(*low)).map(|(h, l)| h * 16 + l),
            _ => None,
        };
        decoded.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { after.get(2..).unwrap_or(&[]) } else { after };
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// Encodes one path segment: what a path may hold stays, everything else is escaped.
pub(crate) fn encode(segment: &str) -> String {
    let mut encoded = String::new();
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Why a path has no segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPath {
    /// There is an empty one in the middle.
    Empty,
    /// One is not UTF-8.
    NotUtf8,
}

/// Segments of a path. A trailing slash does not matter.
pub(crate) fn segments(path: &str) -> Result<Vec<String>, NoPath> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    let segment = |s: &str| if s.is_empty() { Err(NoPath::Empty) } else { decode(s).ok_or(NoPath::NotUtf8) };
    inner.split('/').map(segment).collect()
}

/// Names and values of a query.
pub(crate) fn query(text: &str) -> Vec<(String, String)> {
    // An unknown text is no value of any parameter.
    let plain = |part: &str| decode(&part.replace('+', " ")).unwrap_or_default();
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (plain(k), plain(v))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_encoding_and_decoding() {
        for (name, encoded) in [
            ("sp ace", "sp%20ace"),
            ("ünï", "%C3%BCn%C3%AF"),
            ("q?<n>", "q%3F%3Cn%3E"),
            ("quo\"te'", "quo%22te'"),
            ("per%cent", "per%25cent"),
            ("sl/ash", "sl%2Fash"),
            ("a+b@c&d=e", "a+b@c&d=e"),
        ] {
            assert_eq!(encode(name), encoded);
            assert_eq!(decode(encoded).as_deref(), Some(name));
        }
        assert_eq!(decode("100%").as_deref(), Some("100%"));
        assert_eq!(decode("%zz%4").as_deref(), Some("%zz%4"));
        assert_eq!(decode("%ff"), None);
    }

    #[test]
    fn slashes_at_the_end_do_not_matter_and_empty_segments_do() {
        assert_eq!(segments("/connectors/"), Ok(vec!["connectors".to_owned()]));
        assert_eq!(segments("/"), Ok(Vec::new()));
        assert_eq!(segments("/connectors//config"), Err(NoPath::Empty));
        assert_eq!(segments("/connectors/%C3"), Err(NoPath::NotUtf8));
        assert_eq!(segments("/connectors/a%2Fb"), Ok(vec!["connectors".to_owned(), "a/b".to_owned()]));
    }

    #[test]
    fn queries_keep_repeated_names() {
        let pairs = query("expand=status&expand=info&x");
        assert_eq!(
            pairs.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
            ["expand=status", "expand=info", "x="]
        );
    }
}
