//! Temporal types: fields as they are stored, zero dates included.
use super::{Reader, Short};

/// A date with a time of day, as written; month or day may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Civil {
    /// 0 to 9999.
    pub year: i64,
    /// 0 to 12.
    pub month: i64,
    /// 0 to 31.
    pub day: i64,
    /// Microseconds since midnight.
    pub micros: i64,
}

impl Civil {
    /// Whether it names no day.
    pub fn is_zero(&self) -> bool {
        self.month == 0 || self.day == 0
    }

    /// Days since 1970-01-01.
    pub fn days(&self) -> i64 {
        days(self.year, self.month, self.day)
    }

    /// Microseconds since 1970-01-01 00:00:00 of the same clock.
    pub fn epoch_micros(&self) -> i64 {
        self.days() * DAY + self.micros
    }
}

/// Microseconds of a day.
pub const DAY: i64 = 86_400_000_000;

/// Days from 1970-01-01 in the proleptic Gregorian calendar.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

/// Inverse of [`days`]: year, month, day.
pub fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// DATE: 3 bytes, year << 9, month << 5, day.
#[inline]
pub fn date(v: u32) -> Civil {
    Civil { year: i64::from(v >> 9), month: i64::from(v >> 5 & 15), day: i64::from(v & 31), micros: 0 }
}

fn scale(width: usize) -> i64 {
    match width {
        0 => 0,
        1 => 10_000,
        2 => 100,
        _ => 1,
    }
}

fn width(fsp: u8) -> usize {
    usize::from(fsp.div_ceil(2)).min(3)
}

/// Big-endian integers of at most 7 bytes fit a signed one.
fn int_be(r: &mut Reader<'_>, width: usize) -> Result<i64, Short> {
    r.uint_be(width).map(u64::cast_signed)
}

/// The fraction of a second in microseconds: nothing, one, two or three bytes, big endian.
#[inline]
fn fraction(r: &mut Reader<'_>, fsp: u8) -> Result<i64, Short> {
    Ok(match fsp {
        0 => 0,
        1 | 2 => i64::from(r.u8()?) * 10_000,
        3 | 4 => r.array().map(u16::from_be_bytes).map(i64::from)? * 100,
        _ => {
            let [a, b, c] = r.array()?;
            i64::from(u32::from_be_bytes([0, a, b, c]))
        }
    })
}

/// TIMESTAMP2: 4 bytes big-endian Unix seconds, then the fraction. `None` is the zero timestamp.
#[inline]
pub fn timestamp2(r: &mut Reader<'_>, fsp: u8) -> Result<Option<i64>, Short> {
    let (seconds, micros) = (i64::from(r.be32()?), fraction(r, fsp)?);
    Ok(if seconds == 0 && micros == 0 { None } else { Some(seconds * 1_000_000 + micros) })
}

/// DATETIME2: 5 bytes big endian: sign, (year * 13 + month) 17 bits, day 5, hour 5, minute 6, second 6; fraction.
#[inline]
pub fn datetime2(r: &mut Reader<'_>, fsp: u8) -> Result<Civil, Short> {
    let v = r.be40()?.cast_signed();
    let months = v >> 22 & 0x1ffff;
    let seconds = (v >> 12 & 31) * 3600 + (v >> 6 & 63) * 60 + (v & 63);
    let micros = seconds * 1_000_000 + fraction(r, fsp)?;
    Ok(Civil { year: months / 13, month: months % 13, day: v >> 17 & 31, micros })
}

/// TIME2: 3 bytes big endian offset by 0x800000 with the fraction as lower digits of the same number; negative values are
/// the two's complement of the whole. Microseconds.
pub fn time2(r: &mut Reader<'_>, fsp: u8) -> Result<i64, Short> {
    let width = width(fsp);
    let raw = int_be(r, 3 + width)? - (0x80_0000 << (8 * width));
    let (sign, v) = if raw < 0 { (-1, -raw) } else { (1, raw) };
    let fraction = (v & ((1 << (8 * width)) - 1)) * scale(width);
    let hms = v >> (8 * width);
    let seconds = (hms >> 12 & 0x3ff) * 3600 + (hms >> 6 & 63) * 60 + (hms & 63);
    Ok(sign * (seconds * 1_000_000 + fraction))
}

/// TIMESTAMP before 5.6: seconds.
pub fn timestamp1(r: &mut Reader<'_>) -> Result<Option<i64>, Short> {
    let seconds = i64::from(r.u32()?);
    Ok((seconds != 0).then_some(seconds * 1_000_000))
}

/// TIME before 5.6: decimal HHMMSS in 3 signed bytes.
pub fn time1(r: &mut Reader<'_>) -> Result<i64, Short> {
    let raw = i64::from((r.u24()? << 8).cast_signed() >> 8);
    let v = raw.abs();
    Ok(raw.signum() * (v / 10_000 * 3600 + v / 100 % 100 * 60 + v % 100) * 1_000_000)
}

/// DATETIME before 5.6: decimal YYYYMMDDhhmmss in 8 bytes.
pub fn datetime1(r: &mut Reader<'_>) -> Result<Civil, Short> {
    let v = (r.u64()? % 100_000_000_000_000).cast_signed();
    let (d, t) = (v / 1_000_000, v % 1_000_000);
    let seconds = t / 10_000 * 3600 + t / 100 % 100 * 60 + t % 100;
    Ok(Civil { year: d / 10_000, month: d / 100 % 100, day: d % 100, micros: seconds * 1_000_000 })
}

/// Appends a number with leading zeros.
pub fn digits(v: i64, width: usize, out: &mut String) {
    let mut place = 10i64.pow(u32::try_from(width.saturating_sub(1)).unwrap_or(0));
    while place > 0 {
        let digit = u8::try_from(v / place % 10).unwrap_or(0);
        out.push(char::from(b'0' + digit));
        place /= 10;
    }
}

/// Appends `.` and the first `fsp` digits of a fraction of microseconds.
pub fn fraction_digits(micros: i64, fsp: u8, out: &mut String) {
    if fsp > 0 {
        out.push('.');
        let fsp = fsp.min(6);
        digits(micros / 10i64.pow(u32::from(6 - fsp)), usize::from(fsp), out);
    }
}

/// Appends `hh:mm:ss` of microseconds since midnight.
pub fn clock(micros: i64, out: &mut String) {
    let t = micros / 1_000_000;
    digits(t / 3600, 2, out);
    out.push(':');
    digits(t / 60 % 60, 2, out);
    out.push(':');
    digits(t % 60, 2, out);
}

/// Appends `yyyy-mm-dd` of days since the epoch.
pub fn day(days: i64, out: &mut String) {
    let (y, m, d) = civil(days);
    digits(y, 4, out);
    out.push('-');
    digits(m, 2, out);
    out.push('-');
    digits(d, 2, out);
}

/// `2024-02-29T23:59:59.654Z` with `fsp` digits.
pub fn zoned(micros: i64, fsp: u8) -> String {
    let mut out = String::with_capacity(28);
    let (days, of_day) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    day(days, &mut out);
    out.push('T');
    clock(of_day, &mut out);
    fraction_digits(of_day % 1_000_000, fsp, &mut out);
    out.push('Z');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_times_are_the_complement_of_the_whole() {
        // TIME(6) '-01:02:03.000456'
        let raw = (0x80_0000_i64 << 24) - (((1 << 12 | 2 << 6 | 3) << 24) + 456);
        let bytes = raw.to_be_bytes();
        assert_eq!(time2(&mut Reader::new(&bytes[2..]), 6), Ok(-3_723_000_456));
    }

    #[test]
    fn days_and_civil_are_inverse() {
        for d in (-800_000..2_000_000).step_by(97) {
            let (y, m, day) = civil(d);
            assert_eq!(days(y, m, day), d);
        }
        assert_eq!(zoned(1_709_251_199_654_000, 3), "2024-02-29T23:59:59.654Z");
        assert_eq!(zoned(0, 0), "1970-01-01T00:00:00Z");
    }
}
