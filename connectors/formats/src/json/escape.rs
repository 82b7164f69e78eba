//! JSON text as Jackson writes it.
use crate::json::scan::escaped_at;
use bytes::BufMut;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends a text in quotes.
///
/// Control characters, quote and backslash are escaped; characters beyond the basic plane become two escapes; all others
/// stay as they are.
pub fn write_string<B: BufMut>(text: &str, out: &mut B) {
    out.put_u8(b'"');
    let mut rest = text;
    while let Some(at) = escaped_at(rest.as_bytes()) {
        let Some((plain, special)) = rest.split_at_checked(at) else { break };
        out.put_slice(plain.as_bytes());
        let mut characters = special.chars();
        if let Some(character) = characters.next() {
            write_escaped(character, out);
        }
        rest = characters.as_str();
    }
    out.put_slice(rest.as_bytes());
    out.put_u8(b'"');
}

fn write_escaped<B: BufMut>(character: char, out: &mut B) {
    let letter = match character {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        other => {
            let mut units = [0_u16; 2];
            for unit in other.encode_utf16(&mut units) {
                write_unit(*unit, out);
            }
            return;
        }
    };
    out.put_slice(&[b'\\', letter]);
}

fn write_unit<B: BufMut>(unit: u16, out: &mut B) {
    let digit = |shift: u16| HEX[usize::from((unit >> shift) & 15)];
    out.put_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

#[cfg(test)]
mod tests {
    use super::write_string;

    #[test]
    fn escapes_are_those_of_jackson() {
        let mut out = Vec::new();
        write_string("q\" b\\ s/ \u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}\u{2028}é😀x", &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "\"q\\\" b\\\\ s/ \\b\\f\\n\\r\\t\\u0001\\u001F\u{7f}\u{2028}é\\uD83D\\uDE00x\"");
    }

    proptest::proptest! {
        #[test]
        fn every_text_reads_back_as_itself(text: String) {
            let mut out = Vec::new();
            write_string(&text, &mut out);
            proptest::prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
