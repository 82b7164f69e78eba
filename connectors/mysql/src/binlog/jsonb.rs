//! Binary JSON to the server's text without blanks outside strings.
use super::decimal::Packed;
use super::temporal::{Civil, clock, digits, fraction_digits};
use super::{DecodeError, Reader};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Nesting the server allows.
const DEPTH: usize = 101;

/// Writes a document as text; no bytes are JSON null.
///
/// # Errors
/// The bytes break the format.
pub fn text(data: &[u8]) -> Result<String, DecodeError> {
    let mut out = String::with_capacity(data.len() * 2);
    match data.split_first() {
        None => out.push_str("null"),
        Some((kind, rest)) => value(*kind, rest, DEPTH, &mut out)?,
    }
    Ok(out)
}

fn value(kind: u8, data: &[u8], depth: usize, out: &mut String) -> Result<(), DecodeError> {
    let mut r = Reader::new(data);
    match kind {
        0..=3 => container(kind, data, depth, out)?,
        4 => literal(r.u8()?, out)?,
        5 => number(i64::from(r.u16()?.cast_signed()), out),
        6 => number(i64::from(r.u16()?), out),
        7 => number(i64::from(r.u32()?.cast_signed()), out),
        8 => number(i64::from(r.u32()?), out),
        9 => number(r.u64()?.cast_signed(), out),
        10 => out.push_str(itoa::Buffer::new().format(r.u64()?)),
        11 => double(f64::from_bits(r.u64()?), out),
        12 => {
            let n = varint(&mut r)?;
            string(r.bytes(n)?, out);
        }
        15 => {
            let column = r.u8()?;
            let n = varint(&mut r)?;
            opaque(column, r.bytes(n)?, out)?;
        }
        _ => return Err(DecodeError::Json("unknown type")),
    }
    Ok(())
}

fn number(v: i64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(v));
}

fn literal(v: u8, out: &mut String) -> Result<(), DecodeError> {
    out.push_str(match v {
        0 => "null",
        1 => "true",
        2 => "false",
        _ => return Err(DecodeError::Json("unknown literal")),
    });
    Ok(())
}

/// A length of 7 bits a byte, low first.
fn varint(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let mut v = 0usize;
    for shift in [0, 7, 14, 21, 28] {
        let b = r.u8()?;
        v |= usize::from(b & 0x7f) << shift;
        if b & 0x80 == 0 {
            return Ok(v);
        }
    }
    Err(DecodeError::Json("length too long"))
}

fn container(kind: u8, data: &[u8], depth: usize, out: &mut String) -> Result<(), DecodeError> {
    let depth = depth.checked_sub(1).ok_or(DecodeError::Json("nested too deeply"))?;
    let (large, array) = (kind & 1 == 1, kind >= 2);
    let mut r = Reader::new(data);
    let offset = |r: &mut Reader<'_>| -> Result<usize, DecodeError> {
        Ok(if large { usize::try_from(r.u32()?).unwrap_or(usize::MAX) } else { usize::from(r.u16()?) })
    };
    let count = offset(&mut r)?;
    let size = offset(&mut r)?;
    let whole = data.get(..size).ok_or(DecodeError::Short)?;
    let mut keys = Reader::new(if array { &[] } else { r.rest() });
    if !array {
        let entry = if large { 6 } else { 4 };
        r.bytes(count.checked_mul(entry).ok_or(DecodeError::Short)?)?;
    }
    out.push(if array { '[' } else { '{' });
    for i in 0..count {
        if i > 0 {
            out.push(',');
        }
        if !array {
            let at = offset(&mut keys)?;
            let n = usize::from(keys.u16()?);
            string(whole.get(at..).and_then(|k| k.get(..n)).ok_or(DecodeError::Short)?, out);
            out.push(':');
        }
        let kind = r.u8()?;
        let inline = matches!(kind, 4..=6) || (large && matches!(kind, 7 | 8));
        let entry = r.bytes(if large { 4 } else { 2 })?;
        if inline {
            value(kind, entry, depth, out)?;
        } else {
            let at = offset(&mut Reader::new(entry))?;
            value(kind, whole.get(at..).ok_or(DecodeError::Short)?, depth, out)?;
        }
    }
    out.push(if array { ']' } else { '}' });
    Ok(())
}

/// Writes a string with its quotes.
pub(super) fn string(data: &[u8], out: &mut String) {
    out.push('"');
    for c in String::from_utf8_lossy(data).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Shortest digits; plain for decimal exponents from -15 to 14, else with `e`.
fn double(v: f64, out: &mut String) {
    let shortest = format!("{v:e}");
    let Some((mantissa, exponent)) = shortest.split_once('e') else { return out.push_str("null") };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-15..15).contains(&exponent) {
        let plain = format!("{v}");
        out.push_str(&plain);
        if !plain.contains('.') {
            out.push_str(".0");
        }
    } else {
        out.push_str(mantissa);
        out.push('e');
        out.push_str(&exponent.to_string());
    }
}

fn opaque(column: u8, data: &[u8], out: &mut String) -> Result<(), DecodeError> {
    let packed = |data: &[u8]| Reader::new(data).u64();
    match column {
        246 => {
            let mut r = Reader::new(data);
            let (precision, scale) = (r.u8()?, r.u8()?);
            out.push_str(&Packed { raw: r.rest(), precision, scale }.checked()?.text());
        }
        10 => {
            let c = unpack(packed(data)?);
            out.push('"');
            date(&c, out);
            out.push('"');
        }
        7 | 12 => {
            let c = unpack(packed(data)?);
            out.push('"');
            date(&c, out);
            out.push(' ');
            clock(c.micros, out);
            fraction_digits(c.micros % 1_000_000, 6, out);
            out.push('"');
        }
        11 => {
            let v = packed(data)?.cast_signed();
            out.push('"');
            if v < 0 {
                out.push('-');
            }
            let v = v.saturating_abs();
            let hms = v >> 24;
            let seconds = (hms >> 12 & 0x3ff) * 3600 + (hms >> 6 & 63) * 60 + (hms & 63);
            clock(seconds * 1_000_000, out);
            fraction_digits(v & 0xff_ffff, 6, out);
            out.push('"');
        }
        _ => {
            out.push_str(&format!("\"base64:type{column}:"));
            STANDARD.encode_string(data, out);
            out.push('"');
        }
    }
    Ok(())
}

/// The server's packed DATETIME: (year * 13 + month) << 22 ... in the upper bits, 24 bits of microseconds below.
fn unpack(v: u64) -> Civil {
    let v = v.cast_signed().saturating_abs();
    let (ymd_hms, micros) = (v >> 24, v & 0xff_ffff);
    let (ymd, hms) = (ymd_hms >> 17, ymd_hms & 0x1ffff);
    let months = ymd >> 5;
    let seconds = (hms >> 12) * 3600 + (hms >> 6 & 63) * 60 + (hms & 63);
    Civil { year: months / 13, month: months % 13, day: ymd & 31, micros: seconds * 1_000_000 + micros }
}

fn date(c: &Civil, out: &mut String) {
    digits(c.year, 4, out);
    out.push('-');
    digits(c.month, 2, out);
    out.push('-');
    digits(c.day, 2, out);
}

/// Drops blanks outside strings, so that a text read by a query equals one read from the log.
pub fn without_blanks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if quoted {
            quoted = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
        } else if c == ' ' {
            continue;
        } else {
            quoted = c == '"';
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_the_server_does() {
        let shown = |v| {
            let mut out = String::new();
            double(v, &mut out);
            out
        };
        assert_eq!(shown(0.000_000_1), "0.0000001");
        assert_eq!(shown(100.0), "100.0");
        assert_eq!(shown(-0.0), "-0.0");
        assert_eq!(shown(1e300), "1e300");
        assert_eq!(shown(1.5e16), "1.5e16");
        assert_eq!(shown(1e-16), "1e-16");
    }

    #[test]
    fn blanks_inside_strings_stay() {
        assert_eq!(without_blanks(r#"{"a b": [1, "x \" , y"]}"#), r#"{"a b":[1,"x \" , y"]}"#);
    }

    #[test]
    fn broken_documents_are_errors() {
        assert!(text(&[0, 5, 0, 200, 0]).is_err());
        assert!(text(&[99]).is_err());
        assert_eq!(text(&[]).unwrap(), "null");
    }
}
