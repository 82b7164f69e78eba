//! Packed DECIMAL: groups of nine digits in four big-endian bytes, rests in 1 to 4; the top bit is inverted, negative
//! numbers are complemented.
use super::DecodeError;
use num_bigint::BigInt;
use std::fmt::Write as _;

const DIGITS: [u8; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

const POWERS: [i64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Longest packed DECIMAL there is: DECIMAL(65,30) takes 30 bytes, any (p,s) less than this.
const MOST: usize = 64;

/// Bytes of so many packed digits.
const PACKED: [u8; 256] = {
    let mut bytes = [0_u8; 256];
    let mut digits = 0_usize;
    while digits < bytes.len() {
        bytes[digits] = (digits / 9 * 4) as u8 + DIGITS[digits % 9];
        digits += 1;
    }
    bytes
};

/// Bytes of a packed DECIMAL(precision, scale).
#[inline]
pub fn packed_len(precision: u8, scale: u8) -> usize {
    let of = |digits: u8| PACKED.get(usize::from(digits)).copied().map_or(0, usize::from);
    of(precision.saturating_sub(scale)) + of(scale)
}

fn digits_of(precision: u8, scale: u8) -> (usize, usize) {
    (usize::from(precision.saturating_sub(scale)), usize::from(scale))
}

fn width(digits: usize) -> usize {
    DIGITS.get(digits).copied().map_or(4, usize::from)
}

/// A DECIMAL as it stands in a row.
#[derive(Debug, Clone, Copy)]
pub struct Packed<'a> {
    /// Its bytes.
    pub raw: &'a [u8],
    /// Digits in all.
    pub precision: u8,
    /// Digits after the point.
    pub scale: u8,
}

impl Packed<'_> {
    /// Most digits of a number that surely fits 64 bits.
    pub const SMALL: u8 = 18;

    /// Refuses bytes that are no number: a group that holds more than its digits can say, which no server writes.
    ///
    /// # Errors
    /// [`DecodeError::Decimal`].
    pub fn checked(self) -> Result<Self, DecodeError> {
        let (int, frac) = digits_of(self.precision, self.scale);
        let mask = if self.negative() { 0xff } else { 0 };
        let (mut rest, mut first) = (self.raw, 0x80_u8);
        let mut is_number = |digits: usize| {
            let (head, tail) = rest.split_at(width(digits).min(rest.len()));
            rest = tail;
            let most = POWERS.get(digits).copied().unwrap_or(1_000_000_000);
            head.iter().fold(0_i64, |v, b| v << 8 | i64::from(b ^ mask ^ std::mem::take(&mut first))) < most
        };
        let mut is_fine = is_number(int % 9);
        (0..int / 9 + frac / 9).for_each(|_| is_fine &= is_number(9));
        if is_fine & is_number(frac % 9) { Ok(self) } else { Err(DecodeError::Decimal) }
    }

    /// The unscaled number, if it has no more than [`Self::SMALL`] digits and is one.
    #[inline]
    pub fn small(&self) -> Option<i64> {
        if self.precision > Self::SMALL {
            return None;
        }
        let (int, frac) = digits_of(self.precision, self.scale);
        let negative = self.negative();
        let mask = if negative { 0xff_u8 } else { 0 };
        let (mut rest, mut first) = (self.raw, 0x80_u8);
        let mut is_fine = true;
        let mut take = |width: usize, most: i64| {
            let (head, tail) = rest.split_at(width.min(rest.len()));
            rest = tail;
            let group = head.iter().fold(0_i64, |v, b| v << 8 | i64::from(b ^ mask ^ std::mem::take(&mut first)));
            is_fine &= group < most;
            group
        };
        let power = |digits: usize| POWERS.get(digits).copied().unwrap_or(1);
        let mut v = take(width(int % 9), power(int % 9));
        for _ in 0..int / 9 + frac / 9 {
            v = v.wrapping_mul(1_000_000_000).wrapping_add(take(4, 1_000_000_000));
        }
        let tail = frac % 9;
        v = v.wrapping_mul(power(tail)).wrapping_add(take(width(tail), power(tail)));
        is_fine.then_some(if negative { v.wrapping_neg() } else { v })
    }

    fn negative(&self) -> bool {
        self.raw.first().is_some_and(|b| b & 0x80 == 0)
    }

    /// The unscaled number, if it fits 38 digits.
    pub fn unscaled(&self) -> Option<i128> {
        if self.precision > 38 {
            return None;
        }
        let (int, frac) = digits_of(self.precision, self.scale);
        let negative = self.negative();
        let mask = if negative { 0xff } else { 0 };
        let mut rest = self.raw.iter().enumerate().map(|(i, b)| b ^ mask ^ if i == 0 { 0x80 } else { 0 });
        let mut take = |width: usize| rest.by_ref().take(width).fold(0u32, |v, b| v << 8 | u32::from(b));
        let mut v = i128::from(take(width(int % 9)));
        for _ in 0..int / 9 + frac / 9 {
            v = v.wrapping_mul(1_000_000_000).wrapping_add(i128::from(take(4)));
        }
        let tail = u32::try_from(frac % 9).unwrap_or(0);
        v = v.wrapping_mul(10i128.pow(tail)).wrapping_add(i128::from(take(width(frac % 9))));
        Some(if negative { v.wrapping_neg() } else { v })
    }

    /// The number as text with its full scale.
    pub fn text(&self) -> String {
        let mut plain = [0u8; MOST];
        let negative = self.negative();
        let mask = if negative { 0xff } else { 0 };
        for (i, (to, from)) in plain.iter_mut().zip(self.raw).enumerate() {
            *to = from ^ mask ^ if i == 0 { 0x80 } else { 0 };
        }
        let (int, frac) = digits_of(self.precision, self.scale);
        let mut rest: &[u8] = &plain;
        let mut take = |width: usize| {
            let (head, tail) = rest.split_at(width.min(rest.len()));
            rest = tail;
            head.iter().fold(0u32, |v, b| v << 8 | u32::from(*b))
        };
        let mut digits = String::with_capacity(MOST + 10);
        let _ = write!(digits, "{}", take(width(int % 9)));
        (0..int / 9).for_each(|_| {
            let _ = write!(digits, "{:09}", take(4));
        });
        let mut out = String::with_capacity(digits.len() + frac + 2);
        if negative {
            out.push('-');
        }
        let digits = digits.trim_start_matches('0');
        out.push_str(if digits.is_empty() { "0" } else { digits });
        if frac > 0 {
            out.push('.');
            (0..frac / 9).for_each(|_| {
                let _ = write!(out, "{:09}", take(4));
            });
            let tail = frac % 9;
            if tail > 0 {
                let _ = write!(out, "{:0tail$}", take(width(tail)));
            }
        }
        out
    }
}

/// The unscaled number of a decimal text at a scale: digits beyond it are cut, missing ones are zeros.
pub fn unscaled_of_text(text: &str, scale: u8) -> Option<BigInt> {
    let text = text.trim();
    let (int, frac) = text.split_once('.').unwrap_or((text, ""));
    let scale = usize::from(scale);
    let mut digits = int.to_owned();
    digits.extend(frac.chars().chain(std::iter::repeat('0')).take(scale));
    digits.parse().ok()
}

/// As [`unscaled_of_text`], for numbers of at most [`Packed::SMALL`] digits at scales that add no more than fit.
pub fn small_of_text(text: &str, scale: u8) -> Option<i64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (int, frac) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let zeros = std::iter::repeat(b'0');
    let digits = int.bytes().chain(frac.bytes().chain(zeros).take(usize::from(scale)));
    let mut v = 0_i64;
    for digit in digits {
        let digit = digit.checked_sub(b'0').filter(|d| *d < 10)?;
        v = v.checked_mul(10)?.checked_add(i64::from(digit))?;
    }
    Some(if unsigned.len() == text.len() { v } else { -v })
}

/// Shortest big-endian two's complement form: Connect's Decimal.
pub fn connect_bytes(v: i128) -> Vec<u8> {
    let raw = v.to_be_bytes();
    let sign = if v < 0 { 0xff } else { 0 };
    let skip = raw.windows(2).take_while(|w| matches!(w, [a, b] if *a == sign && (b ^ sign) & 0x80 == 0)).count();
    raw.get(skip..).unwrap_or(&raw).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_numbers_read_as_numbers_and_as_text() {
        // DECIMAL(14,4): 1234567890.1234 as the manual packs it
        let raw = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2];
        let packed = Packed { raw: &raw, precision: 14, scale: 4 };
        assert_eq!((packed.unscaled(), packed.small()), (Some(12_345_678_901_234), Some(12_345_678_901_234)));
        assert_eq!(packed.text(), "1234567890.1234");
        let negative: Vec<u8> = raw.iter().map(|b| b ^ 0xff).collect();
        let packed = Packed { raw: &negative, precision: 14, scale: 4 };
        assert_eq!((packed.unscaled(), packed.text().as_str()), (Some(-12_345_678_901_234), "-1234567890.1234"));
        assert_eq!(packed.small(), Some(-12_345_678_901_234));
    }

    #[test]
    fn a_group_that_holds_more_than_its_digits_is_refused() {
        let at = |raw: &'static [u8], precision, scale| Packed { raw, precision, scale };
        let most: &[u8] = &[0xbb, 0x9a, 0xc9, 0xff];
        for (packed, is_number) in [
            (at(most, 9, 0), true),
            (at(&[0xbb, 0x9a, 0xca, 0x00], 9, 0), false),
            (at(&[0x80 | 99], 2, 0), true),
            (at(&[0x80 | 100], 2, 0), false),
            (at(&[0x80, 99], 3, 2), true),
            (at(&[0x80, 100], 3, 2), false),
            (at(&[0x7f, !100], 3, 2), false),
        ] {
            assert_eq!(packed.checked().is_ok(), is_number, "{packed:?}");
            assert_eq!(packed.small().is_some(), is_number, "{packed:?}");
        }
    }

    #[test]
    fn connect_bytes_are_the_shortest_form() {
        assert_eq!(connect_bytes(0), [0]);
        assert_eq!(connect_bytes(128), [0, 128]);
        assert_eq!(connect_bytes(-128), [128]);
        assert_eq!(connect_bytes(-129), [0xff, 0x7f]);
    }

    #[test]
    fn a_decimal_text_is_scaled() {
        assert_eq!(unscaled_of_text("-1.5", 3), Some(BigInt::from(-1500)));
        assert_eq!(unscaled_of_text("12", 2), Some(BigInt::from(1200)));
        assert_eq!(
            (small_of_text("-1.5", 3), small_of_text("12", 2), small_of_text("-0.079", 1)),
            (Some(-1500), Some(1200), Some(0))
        );
        assert_eq!((small_of_text("9223372036854775807", 1), small_of_text("1e5", 0)), (None, None));
    }
}
