//! Numbers as Java's `Double.toString` and `Float.toString` write them: shortest digits, plain from 10^-3 up to 10^7.
use bytes::BufMut;

/// Below this the exponent form begins.
const PLAIN_LEAST: f64 = 1e-3;
/// From this on the exponent form begins.
const PLAIN_END: f64 = 1e7;
/// Below these only, the second digit of a number with one significant digit can differ from zero, because a subnormal
/// number's neighbours are far away.
const TWO_DIGITS_BELOW: f64 = 1e-300;
const TWO_DIGITS_BELOW_32: f32 = 1e-36;

/// Appends a finite or infinite double; `NaN`, `Infinity` and `-Infinity` without quotes.
pub fn write_f64<B: BufMut>(value: f64, out: &mut B) {
    if let Some(word) = word(value) {
        return out.put_slice(word.as_bytes());
    }
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(value);
    let size = value.abs();
    if value == 0.0 || (PLAIN_LEAST..PLAIN_END).contains(&size) {
        return out.put_slice(shortest.as_bytes());
    }
    if size < TWO_DIGITS_BELOW {
        return write_scientific(&two_digits(shortest, || format!("{value:.1e}")), out);
    }
    write_scientific(shortest, out);
}

/// Appends a float; see [`write_f64`].
pub fn write_f32<B: BufMut>(value: f32, out: &mut B) {
    if let Some(word) = word(f64::from(value)) {
        return out.put_slice(word.as_bytes());
    }
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(value);
    let size = value.abs();
    if value == 0.0 || (1e-3_f32..1e7_f32).contains(&size) {
        return out.put_slice(shortest.as_bytes());
    }
    if size < TWO_DIGITS_BELOW_32 {
        return write_scientific(&two_digits(shortest, || format!("{value:.1e}")), out);
    }
    write_scientific(shortest, out);
}

fn word(value: f64) -> Option<&'static str> {
    if value.is_finite() {
        None
    } else if value.is_nan() {
        Some("NaN")
    } else {
        Some(if value > 0.0 { "Infinity" } else { "-Infinity" })
    }
}

/// Java never writes fewer than two digits and takes the two that are closest.
fn two_digits(shortest: &str, closest: impl Fn() -> String) -> String {
    let digits = shortest.split(['e', 'E']).next().unwrap_or_default().bytes().filter(u8::is_ascii_digit).count();
    if digits == 1 { closest() } else { shortest.to_owned() }
}

/// Rewrites `123.45`, `1e21`, `0.0001`, `1.5e-7` as `d.dddE±n`.
fn write_scientific<B: BufMut>(text: &str, out: &mut B) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let mut exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = match mantissa.strip_prefix('-') {
        Some(rest) => {
            out.put_u8(b'-');
            rest
        }
        None => mantissa,
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let leading = digits.iter().take_while(|d| **d == b'0').count();
    exponent += i32::try_from(whole.len()).unwrap_or(0) - 1 - i32::try_from(leading).unwrap_or(0);
    let significant = digits.get(leading..).unwrap_or_default();
    let end = significant.iter().rposition(|d| *d != b'0').map_or(1, |i| i + 1);
    let significant = significant.get(..end).unwrap_or(b"0");
    let (first, rest) = significant.split_first().unwrap_or((&b'0', &[]));
    out.put_u8(*first);
    out.put_u8(b'.');
    out.put_slice(if rest.is_empty() { b"0" } else { rest });
    out.put_u8(b'E');
    out.put_slice(itoa::Buffer::new().format(exponent).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(value: f64) -> String {
        let mut out = Vec::new();
        write_f64(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn float(value: f32) -> String {
        let mut out = Vec::new();
        write_f32(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_read_as_java_writes_them() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (100.0, "100.0"),
            (0.001, "0.001"),
            (9.999e-4, "9.999E-4"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (1.234_567_89e8, "1.23456789E8"),
            (-1.5e-10, "-1.5E-10"),
            (4.9e-324, "4.9E-324"),
            (9.9e-324, "9.9E-324"),
            (f64::MAX, "1.7976931348623157E308"),
            (2e23, "2.0E23"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in cases {
            assert_eq!(double(value), text);
        }
    }

    #[test]
    fn floats_read_as_java_writes_them() {
        let cases = [
            (1.1, "1.1"),
            (16_777_216.0, "1.6777216E7"),
            (1.4e-45, "1.4E-45"),
            (1e-4, "1.0E-4"),
            (0.333_333_34, "0.33333334"),
        ];
        for (value, text) in cases {
            assert_eq!(float(value), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn every_double_reads_back_as_itself(bits: u64) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                proptest::prop_assert_eq!(double(value).parse::<f64>().unwrap().to_bits(), bits);
            }
        }

        #[test]
        fn every_float_reads_back_as_itself(bits: u32) {
            let value = f32::from_bits(bits);
            if value.is_finite() {
                proptest::prop_assert_eq!(float(value).parse::<f32>().unwrap().to_bits(), bits);
            }
        }
    }
}
