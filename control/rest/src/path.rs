//! Percent-encoding of path segments and queries.

/// Decodes a path segment; `+` is a plus sign. What is no escape stays as it is.
pub(crate) fn decode(segment: &str) -> String {
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
    String::from_utf8_lossy(&decoded).into_owned()
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

/// Segments of a path; `None` for an empty segment in the middle. A trailing slash does not matter.
pub(crate) fn segments(path: &str) -> Option<Vec<String>> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Some(Vec::new());
    }
    inner.split('/').map(|s| (!s.is_empty()).then(|| decode(s))).collect()
}

/// Names and values of a query.
pub(crate) fn query(text: &str) -> Vec<(String, String)> {
    let plain = |part: &str| decode(&part.replace('+', " "));
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
            assert_eq!(decode(encoded), name);
        }
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%4"), "%zz%4");
    }

    #[test]
    fn slashes_at_the_end_do_not_matter_and_empty_segments_do() {
        assert_eq!(segments("/connectors/"), Some(vec!["connectors".to_owned()]));
        assert_eq!(segments("/"), Some(Vec::new()));
        assert_eq!(segments("/connectors//config"), None);
        assert_eq!(segments("/connectors/a%2Fb"), Some(vec!["connectors".to_owned(), "a/b".to_owned()]));
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
