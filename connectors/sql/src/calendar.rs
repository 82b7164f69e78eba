//! Dates and times as digits, without allocation.

/// Microseconds of a day.
pub const DAY_MICROS: i64 = 86_400_000_000;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_SHIFT: i64 = 719_468;
/// Days of 400 years.
const ERA: i64 = 146_097;

/// Year, month and day of a day counted from 1970-01-01, by the proleptic Gregorian calendar.
pub fn civil(days: i64) -> (i64, i64, i64) {
    // The year begins in March here, so that a leap day is the last of its year.
    let shifted = days + EPOCH_SHIFT;
    let era = shifted.div_euclid(ERA);
    let day_of_era = shifted.rem_euclid(ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Appends `YYYY-MM-DD`; false when the year has not four digits.
pub fn write_date(days: i64, out: &mut String) -> bool {
    let (year, month, day) = civil(days);
    if !(0..=9999).contains(&year) {
        return false;
    }
    write_two(year / 100, out);
    write_two(year, out);
    out.push('-');
    write_two(month, out);
    out.push('-');
    write_two(day, out);
    true
}

/// The last two digits of a number.
fn write_two(number: i64, out: &mut String) {
    let number = u8::try_from(number.rem_euclid(100)).unwrap_or(0);
    out.push(char::from(b'0' + number / 10));
    out.push(char::from(b'0' + number % 10));
}

/// Appends `HH:MM:SS.ffffff` of a time of day.
pub fn write_time(micros: i64, out: &mut String) {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    // A duration may have more than a day's hours.
    if hours > 99 {
        crate::cell::write_int(hours / 100, out);
    }
    for (number, after) in [(hours, ':'), (minutes, ':'), (seconds % 60, '.')] {
        write_two(number, out);
        out.push(after);
    }
    for part in [fraction / 10_000, fraction / 100, fraction] {
        write_two(part, out);
    }
}

/// Appends `YYYY-MM-DD HH:MM:SS.ffffff`; false when the year has not four digits.
pub fn write_timestamp(micros: i64, out: &mut String) -> bool {
    if !write_date(micros.div_euclid(DAY_MICROS), out) {
        return false;
    }
    out.push(' ');
    write_time(micros.rem_euclid(DAY_MICROS), out);
    true
}

/// Days since 1970-01-01 of a date.
pub fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH_SHIFT
}

/// Reads `YYYY-MM-DD`.
pub fn read_date(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let year: i64 = parts.next()?.parse().ok()?;
    let month: i64 = parts.next()?.parse().ok()?;
    let day: i64 = parts.next()?.parse().ok()?;
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then(|| days_of(year, month, day))
}

/// Reads `HH:MM:SS[.fraction]`, hours up to 838 and a sign included, as microseconds.
pub fn read_time(text: &str) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut parts = text.splitn(3, ':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next()?.parse().ok()?;
    let (seconds, fraction) = parts.next().map_or(("0", ""), |s| s.split_once('.').unwrap_or((s, "")));
    let seconds: i64 = seconds.parse().ok()?;
    let micros = format!("{:0<6}", fraction.get(..fraction.len().min(6))?);
    let micros: i64 = micros.parse().ok()?;
    Some(sign * ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + sign * micros)
}

/// Reads `YYYY-MM-DD HH:MM:SS[.fraction]` as microseconds since 1970; a `T` between the two is fine.
pub fn read_timestamp(text: &str) -> Option<i64> {
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
    Some(read_date(date)? * DAY_MICROS + read_time(time)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Datelike};

    #[test]
    fn every_day_of_four_thousand_years_agrees_with_another_calendar() {
        for days in (-719_000..800_000).step_by(7) {
            let at = DateTime::from_timestamp(days * 86_400, 0).unwrap();
            let expected = (i64::from(at.year()), i64::from(at.month()), i64::from(at.day()));
            assert_eq!(civil(days), expected);
            assert_eq!(days_of(expected.0, expected.1, expected.2), days);
        }
    }

    #[test]
    fn timestamps_are_written_and_read_back() {
        for micros in [0, -1, 1_700_000_000_123_456, -62_135_596_800_000_000] {
            let mut text = String::new();
            assert!(write_timestamp(micros, &mut text));
            assert_eq!(read_timestamp(&text), Some(micros), "{text}");
        }
        assert!(!write_timestamp(i64::MAX, &mut String::new()));
        let mut long = String::new();
        write_time((105 * 3600 + 7) * 1_000_000 + 42, &mut long);
        assert_eq!(long, "105:00:07.000042");
        assert_eq!(read_time("-01:00:00.5"), Some(-3_600_500_000));
        assert_eq!(read_timestamp("nonsense"), None);
    }
}
