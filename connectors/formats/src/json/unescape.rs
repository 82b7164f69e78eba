//! Escapes inside the quotes of a text.

/// A text without its escapes.
///
/// # Errors
/// What is wrong with it.
pub(super) fn unescaped(raw: &[u8]) -> Result<String, &'static str> {
    let mut rest = std::str::from_utf8(raw).map_err(|_| "a text that is not UTF-8")?;
    let mut out = String::with_capacity(rest.len());
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut characters = escape.chars();
        match characters.next() {
            Some(c @ ('"' | '\\' | '/')) => out.push(c),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (character, after) =
                    unicode_escape(characters.as_str()).ok_or("\\u without four hexadecimal digits")?;
                out.push(character);
                rest = after;
                continue;
            }
            _ => return Err("an unknown escape"),
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    Ok(out)
}

/// Reads four digits, and the second half of a pair; a lone half becomes U+FFFD, since texts are UTF-8.
fn unicode_escape(text: &str) -> Option<(char, &str)> {
    let (unit, rest) = hex_unit(text)?;
    if !(0xD800..0xE000).contains(&unit) {
        return Some((char::from_u32(unit)?, rest));
    }
    if unit < 0xDC00
        && let Some((low, after)) = rest.strip_prefix("\\u").and_then(hex_unit)
        && (0xDC00..0xE000).contains(&low)
    {
        return Some((char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00))?, after));
    }
    Some((char::REPLACEMENT_CHARACTER, rest))
}

fn hex_unit(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}
