//! Days and times of the proleptic Gregorian calendar in UTC, in Java's lenient reading.
use bytes::BufMut;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// Days since 1970 of a date; month and day may lie outside their ranges and carry over.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year + (month - 1).div_euclid(12);
    let month = (month - 1).rem_euclid(12) + 1;
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468 + day - 1
}

/// Year, month, day of a count of days since 1970.
pub fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, u8::try_from(month).unwrap_or(1), u8::try_from(day).unwrap_or(1))
}

/// Appends `yyyy-MM-dd`; years outside 0 to 9999 get a sign.
pub fn write_date<B: BufMut>(days: i64, out: &mut B) {
    let (year, month, day) = civil_from_days(days);
    let text = match year {
        0..=9999 => format!("{year:04}-{month:02}-{day:02}"),
        _ => format!("{year:+05}-{month:02}-{day:02}"),
    };
    out.put_slice(text.as_bytes());
}

/// Appends `HH:mm:ss` and a fraction of `digits` digits from a count of units of the day, `10^digits` to a second.
pub fn write_time<B: BufMut>(units: i64, digits: u32, out: &mut B) {
    let per_second = 10_i64.pow(digits.min(9));
    let (seconds, fraction) = (units.div_euclid(per_second), units.rem_euclid(per_second));
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let width = digits as usize;
    let text = match digits {
        0 => format!("{hour:02}:{minute:02}:{second:02}"),
        _ => format!("{hour:02}:{minute:02}:{second:02}.{fraction:0width$}"),
    };
    out.put_slice(text.as_bytes());
}

/// Appends `yyyy-MM-ddTHH:mm:ss.fffZ` from units since 1970, `10^digits` to a second.
pub fn write_timestamp<B: BufMut>(units: i64, digits: u32, out: &mut B) {
    let per_day = 86_400 * 10_i64.pow(digits.min(9));
    write_date(units.div_euclid(per_day), out);
    out.put_u8(b'T');
    write_time(units.rem_euclid(per_day), digits, out);
    out.put_u8(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(days: i64) -> String {
        let mut out = Vec::new();
        write_date(days, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_count_from_1970() {
        let cases = [(0, "1970-01-01"), (-1, "1969-12-31"), (19_000, "2022-01-08"), (11_016, "2000-02-29")];
        for (days, text) in cases {
            assert_eq!(date(days), text);
        }
        assert_eq!(date(days_from_civil(10_000, 1, 1)), "+10000-01-01");
    }

    #[test]
    fn months_and_days_out_of_range_carry_over() {
        assert_eq!(date(days_from_civil(2020, 13, 45)), "2021-02-14");
    }

    #[test]
    fn timestamps_carry_the_fraction_of_their_unit() {
        let mut out = Vec::new();
        write_timestamp(1_700_000_000_123_456, 6, &mut out);
        assert_eq!(out, b"2023-11-14T22:13:20.123456Z");
    }

    proptest::proptest! {
        #[test]
        fn a_day_is_one_date(days in -1_000_000_i64..10_000_000) {
            let (year, month, day) = civil_from_days(days);
            proptest::prop_assert_eq!(days_from_civil(year, i64::from(month), i64::from(day)), days);
        }
    }
}
