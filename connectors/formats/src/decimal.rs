//! Connect's Decimal: unscaled big-endian bytes and a scale, to Java's `BigDecimal` text and back.
use bytes::{BufMut, Bytes};
use num_bigint::{BigInt, Sign};

/// Most digits of a number that is read as a decimal; the cost of reading grows with the square.
pub const DIGITS_MAX: usize = 1000;
/// Largest shift of the decimal point when a number is brought to a scale.
const SHIFT_MAX: i64 = 2000;

/// Appends `BigDecimal.toString()`: plain where the scale is not negative and the number not tiny, else with exponent.
pub fn write_decimal<B: BufMut>(unscaled: &[u8], scale: i32, out: &mut B) {
    let text = unscaled_text(unscaled);
    let digits = match text.strip_prefix('-') {
        Some(rest) => {
            out.put_u8(b'-');
            rest
        }
        None => text.as_str(),
    };
    let adjusted = i64::try_from(digits.len()).unwrap_or(i64::MAX) - 1 - i64::from(scale);
    if scale >= 0 && adjusted >= -6 { write_plain(digits, scale, out) } else { write_exponent(digits, adjusted, out) }
}

/// The text of [`write_decimal`].
pub fn decimal_text(unscaled: &[u8], scale: i32) -> String {
    let mut out = Vec::new();
    write_decimal(unscaled, scale, &mut out);
    out.into_iter().map(char::from).collect()
}

/// The nearest double of a decimal.
pub fn decimal_to_f64(unscaled: &[u8], scale: i32) -> f64 {
    decimal_text(unscaled, scale).parse().unwrap_or(f64::NAN)
}

fn unscaled_text(unscaled: &[u8]) -> String {
    match small(unscaled) {
        Some(n) => n.to_string(),
        None => BigInt::from_signed_bytes_be(unscaled).to_string(),
    }
}

/// Up to sixteen bytes, sign-extended.
fn small(unscaled: &[u8]) -> Option<i128> {
    if unscaled.len() > 16 {
        return None;
    }
    let negative = unscaled.first().is_some_and(|b| b & 0x80 != 0);
    let start = if negative { -1_i128 } else { 0 };
    Some(unscaled.iter().fold(start, |n, b| (n << 8) | i128::from(*b)))
}

fn write_plain<B: BufMut>(digits: &str, scale: i32, out: &mut B) {
    let scale = usize::try_from(scale).unwrap_or(0);
    if scale == 0 {
        return out.put_slice(digits.as_bytes());
    }
    match digits.len().checked_sub(scale).filter(|whole| *whole > 0) {
        Some(whole) => {
            let (before, after) = digits.as_bytes().split_at(whole);
            out.put_slice(before);
            out.put_u8(b'.');
            out.put_slice(after);
        }
        None => {
            out.put_slice(b"0.");
            out.put_bytes(b'0', scale - digits.len());
            out.put_slice(digits.as_bytes());
        }
    }
}

fn write_exponent<B: BufMut>(digits: &str, adjusted: i64, out: &mut B) {
    let (first, rest) = digits.as_bytes().split_at(1);
    out.put_slice(first);
    if !rest.is_empty() {
        out.put_u8(b'.');
        out.put_slice(rest);
    }
    if adjusted != 0 {
        out.put_slice(if adjusted > 0 { b"E+" } else { b"E" });
        out.put_slice(itoa::Buffer::new().format(adjusted).as_bytes());
    }
}

/// A decimal number as it was written: `value = ±digits · 10^-scale`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Unscaled value.
    pub unscaled: BigInt,
    /// Digits after the point; negative for trailing zeros.
    pub scale: i32,
}

impl Written {
    /// Reads `BigDecimal`'s syntax; `None` for anything else, for more than [`DIGITS_MAX`] digits and for an exponent
    /// beyond 32 bits.
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let unsigned = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let magnitude = BigInt::parse_bytes(digits.as_bytes(), 10)?;
        let unscaled = if mantissa.starts_with('-') { -magnitude } else { magnitude };
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        Some(Self { unscaled, scale })
    }

    /// The unscaled bytes at another scale; `None` when digits would be lost or the number is out of all proportion.
    pub fn at_scale(&self, scale: i32) -> Option<Bytes> {
        if self.unscaled.sign() == Sign::NoSign {
            return Some(Bytes::from_static(&[0]));
        }
        let shift = i64::from(scale) - i64::from(self.scale);
        if shift.abs() > SHIFT_MAX {
            return None;
        }
        let factor = BigInt::from(10).pow(u32::try_from(shift.unsigned_abs()).ok()?);
        if shift >= 0 {
            return Some((&self.unscaled * factor).to_signed_bytes_be().into());
        }
        let whole = &self.unscaled / &factor;
        (&whole * &factor == self.unscaled).then(|| whole.to_signed_bytes_be().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_big_decimal() {
        let cases: [(i64, i32, &str); 11] = [
            (150, 2, "1.50"),
            (1, -3, "1E+3"),
            (1, 12, "1E-12"),
            (1, 6, "0.000001"),
            (1, 7, "1E-7"),
            (0, 2, "0.00"),
            (-12345, 2, "-123.45"),
            (123, -2, "1.23E+4"),
            (123, 10, "1.23E-8"),
            (0, -2, "0E+2"),
            (5, 0, "5"),
        ];
        for (unscaled, scale, text) in cases {
            assert_eq!(decimal_text(&BigInt::from(unscaled).to_signed_bytes_be(), scale), text);
        }
    }

    #[test]
    fn long_values_need_no_small_integer() {
        let n = BigInt::parse_bytes(b"-123456789012345678901234567890123456789012345678", 10).unwrap();
        assert_eq!(decimal_text(&n.to_signed_bytes_be(), 40), "-12345678.9012345678901234567890123456789012345678");
    }

    #[test]
    fn a_number_is_brought_to_a_scale_without_losing_digits() {
        assert_eq!(Written::parse("1.5").unwrap().at_scale(2).unwrap().as_ref(), [0, 150]);
        assert_eq!(Written::parse("-1.50").unwrap().at_scale(1).unwrap().as_ref(), [0xF1]);
        assert!(Written::parse("1.55").unwrap().at_scale(1).is_none());
        assert!(Written::parse("1e2000000").unwrap().at_scale(0).is_none());
        assert_eq!(Written::parse("0e2000000").unwrap().at_scale(0).unwrap().as_ref(), [0]);
        for bad in ["", "+", ".", "1e", "1e99999999999", "1x", "--1", "0x1"] {
            assert!(Written::parse(bad).is_none(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn text_and_bytes_are_one_number(n: i128, scale in -30_i32..60) {
            let bytes = BigInt::from(n).to_signed_bytes_be();
            let text = decimal_text(&bytes, scale);
            let read = Written::parse(&text).unwrap();
            proptest::prop_assert_eq!(read.at_scale(scale).unwrap().to_vec(), bytes);
        }
    }
}
