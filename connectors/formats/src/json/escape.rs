//! JSON text as Jackson writes it.
use bytes::BufMut;

/// What happens to a byte: 0 = copied; otherwise the letter of a short escape, `u` or `4` for a four-byte character.
const ACTION: [u8; 256] = {
    let mut table = [0_u8; 256];
    let mut i = 0;
    while i < 0x20 {
        table[i] = b'u';
        i += 1;
    }
    table[0x08] = b'b';
    table[0x0C] = b'f';
    table[0x0A] = b'n';
    table[0x0D] = b'r';
    table[0x09] = b't';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    i = 0xF0;
    while i < 0x100 {
        table[i] = b'4';
        i += 1;
    }
    table
};
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends a text in quotes.
///
/// Control characters, quote and backslash are escaped; characters beyond the basic plane become two escapes; all others
/// stay as they are.
pub fn write_string<B: BufMut>(text: &str, out: &mut B) {
    out.put_u8(b'"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| ACTION[usize::from(b)] != 0) {
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
    let code = u32::from(character);
    let action = u8::try_from(code).map_or(b'4', |byte| ACTION[usize::from(byte)]);
    match action {
        b'u' | b'4' => {
            let mut units = [0_u16; 2];
            for unit in character.encode_utf16(&mut units) {
                write_unit(*unit, out);
            }
        }
        letter => out.put_slice(&[b'\\', letter]),
    }
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
