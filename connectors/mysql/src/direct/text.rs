//! Texts of a cell as JSON.
use crate::binlog::temporal::{DAY, civil};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Whether every byte is printable ASCII, without quote and backslash.
#[inline]
const fn is_plain_word(word: u64) -> bool {
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * 0x22)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * 0x5c)).wrapping_sub(ONES);
    // A byte with its high bit set is not plain by itself; for the others a borrow sets it.
    (word | control | quote | backslash) & HIGHS == 0
}

/// Appends a text in quotes if it needs no escape and no conversion; says whether it did.
#[inline]
pub(super) fn plain(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let is_plain = words.iter().all(|word| is_plain_word(u64::from_le_bytes(*word)))
        && rest.iter().all(|b| matches!(b, 0x20..0x80) && !matches!(b, b'"' | b'\\'));
    if is_plain {
        out.reserve(bytes.len() + 2);
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
    }
    is_plain
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends base64 with padding.
#[inline]
pub(super) fn base64(raw: &[u8], out: &mut Vec<u8>) {
    for chunk in raw.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let n = byte(0) << 16 | byte(1) << 8 | byte(2);
        let letter = |place: usize| {
            let bits = (n >> (18 - 6 * place)) & 63;
            if place > chunk.len() { b'=' } else { ALPHABET.get(bits as usize).copied().unwrap_or(b'=') }
        };
        out.extend_from_slice(&[letter(0), letter(1), letter(2), letter(3)]);
    }
}

/// Appends Connect's Decimal: the shortest big-endian bytes of the unscaled number in base64.
#[inline]
pub(super) fn decimal(unscaled: i64, out: &mut Vec<u8>) {
    let raw = unscaled.to_be_bytes();
    // Bits that tell something, the sign's included.
    let bits = 65 - if unscaled < 0 { unscaled.leading_ones() } else { unscaled.leading_zeros() };
    let start = raw.len().saturating_sub(bits.div_ceil(8) as usize);
    out.push(b'"');
    base64(raw.get(start..).unwrap_or(&raw), out);
    out.push(b'"');
}

/// Two decimal digits.
#[inline]
fn two(n: i64) -> [u8; 2] {
    let n = u8::try_from(n.rem_euclid(100)).unwrap_or(0);
    [b'0' + n / 10, b'0' + n % 10]
}

/// Appends `"2024-02-29T23:59:59.654Z"` with `fsp` digits of the fraction.
#[inline]
pub(super) fn zoned(micros: i64, fsp: u8, out: &mut Vec<u8>) {
    let (days, of_day) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    let ([a, b], [c, d]) = (two(year / 100), two(year));
    let ([e, f], [g, h]) = (two(month), two(day));
    let ([i, j], [k, l], [m, n]) = (two(seconds / 3600), two(seconds / 60 % 60), two(seconds % 60));
    out.extend_from_slice(&[b'"', a, b, c, d, b'-', e, f, b'-', g, h, b'T', i, j, b':', k, l, b':', m, n]);
    if fsp > 0 {
        let ([o, p], [q, r], [s, t]) = (two(fraction / 10_000), two(fraction / 100), two(fraction));
        let digits = [b'.', o, p, q, r, s, t];
        out.extend_from_slice(digits.get(..=usize::from(fsp.min(6))).unwrap_or(&digits));
    }
    out.extend_from_slice(b"Z\"");
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    proptest::proptest! {
        #[test]
        fn a_text_is_plain_exactly_when_it_is_its_own_json(bytes in proptest::collection::vec(proptest::prop_oneof![
            9 => 0x20_u8..0x7F, 1 => proptest::prelude::any::<u8>()], 0..40)) {
            let mut out = Vec::new();
            let was_plain = plain(&bytes, &mut out);
            let is_plain = bytes.iter().all(|b| (0x20..0x80).contains(b) && *b != b'"' && *b != b'\\');
            proptest::prop_assert_eq!(was_plain, is_plain);
            proptest::prop_assert_eq!(out.len(), if is_plain { bytes.len() + 2 } else { 0 });
        }

        #[test]
        fn base64_is_that_of_the_library(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..20)) {
            let mut out = Vec::new();
            base64(&bytes, &mut out);
            proptest::prop_assert_eq!(out, STANDARD.encode(&bytes).into_bytes());
        }

        #[test]
        fn a_decimal_is_its_shortest_bytes(n: i64, shift in 0_u32..64) {
            let (n, mut out) = (n >> shift, Vec::new());
            decimal(n, &mut out);
            let shortest = crate::binlog::decimal::connect_bytes(i128::from(n));
            proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), format!("\"{}\"", STANDARD.encode(shortest)));
        }

        #[test]
        fn a_time_is_written_as_the_other_writer_does(micros in 0_i64..253_402_300_800_000_000, fsp in 0_u8..=6) {
            let mut out = Vec::new();
            zoned(micros, fsp, &mut out);
            let other = format!("\"{}\"", crate::binlog::temporal::zoned(micros, fsp));
            proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), other);
        }
    }
}
