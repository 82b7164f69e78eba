//! Numbers of JSON, as they are written.

/// A number as written.
#[derive(Debug, Clone, Copy)]
pub struct Number<'a> {
    /// Sign, digits, point, exponent.
    pub text: &'a str,
    /// Whether there is neither point nor exponent.
    pub integral: bool,
}

impl Number<'_> {
    /// The integer part modulo 2^64, fractions cut.
    pub fn wrapping_i64(&self) -> i64 {
        if self.integral
            && let Ok(n) = self.text.parse()
        {
            return n;
        }
        let unsigned = self.text.trim_start_matches('-');
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let negative_exponent = exponent.starts_with('-');
        let exponent = exponent.parse::<i64>().unwrap_or(if negative_exponent { i64::MIN / 2 } else { i64::MAX / 2 });
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let kept = exponent.saturating_add(i64::try_from(whole.len()).unwrap_or(i64::MAX));
        let digits = whole.bytes().chain(fraction.bytes());
        let kept_digits = usize::try_from(kept.max(0)).unwrap_or(usize::MAX);
        let add = |n: u64, digit: u8| n.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0')));
        let mut n = digits.take(kept_digits).fold(0_u64, add);
        let missing = kept_digits.saturating_sub(whole.len() + fraction.len());
        // 10^64 is a multiple of 2^64.
        for _ in 0..missing.min(64) {
            n = n.wrapping_mul(10);
        }
        let n = n.cast_signed();
        if self.text.starts_with('-') { n.wrapping_neg() } else { n }
    }

    /// The nearest double, without negative zero, as Java's `BigDecimal` has none.
    pub fn f64(&self) -> f64 {
        self.text.parse::<f64>().unwrap_or(0.0) + 0.0
    }

    /// The nearest float.
    pub fn f32(&self) -> f32 {
        self.text.parse::<f32>().unwrap_or(0.0) + 0.0
    }
}
