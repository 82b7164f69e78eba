//! Milliseconds to text.
use super::pattern::{DateFormat, Piece};
use super::{DAYS, MONTHS, week_year_start, weekday};
use elasticflow_formats::calendar::{DAY_MS, civil_from_days, days_from_civil};
use std::fmt::Write as _;

/// A moment, taken apart.
struct Moment {
    days: i64,
    year: i64,
    month: u8,
    day: u8,
    /// Milliseconds of the day.
    ms: i64,
}

impl DateFormat {
    /// The text of a moment, given in milliseconds since 1970 UTC.
    pub(crate) fn write(&self, ms: i64) -> String {
        let days = ms.div_euclid(DAY_MS);
        let (year, month, day) = civil_from_days(days);
        let moment = Moment { days, year, month, day, ms: ms.rem_euclid(DAY_MS) };
        let mut out = String::with_capacity(self.text().len() + 8);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Field(letter, count) => moment.write(*letter, *count, &mut out),
            }
        }
        out
    }
}

impl Moment {
    fn write(&self, letter: char, count: usize, out: &mut String) {
        let number = match letter {
            'G' => return out.push_str(if self.year > 0 { "AD" } else { "BC" }),
            'y' => return year(if self.year > 0 { self.year } else { 1 - self.year }, count, out),
            'Y' => return year(self.week().0, count, out),
            'M' | 'L' if count >= 3 => return name(&MONTHS, i64::from(self.month) - 1, count, out),
            'E' => return name(&DAYS, weekday(self.days), count, out),
            'a' => return out.push_str(if self.hour() < 12 { "AM" } else { "PM" }),
            'z' => return out.push_str(if count >= 4 { "Coordinated Universal Time" } else { "UTC" }),
            'Z' => return out.push_str("+0000"),
            'X' => return out.push('Z'),
            'M' | 'L' => i64::from(self.month),
            'w' => self.week().1,
            'W' => self.week_of_month(),
            'D' => self.days - days_from_civil(self.year, 1, 1) + 1,
            'd' => i64::from(self.day),
            'F' => (i64::from(self.day) - 1) / 7 + 1,
            'u' => (weekday(self.days) + 6) % 7 + 1,
            'H' => self.hour(),
            'k' => (self.hour() + 23) % 24 + 1,
            'K' => self.hour() % 12,
            'h' => (self.hour() + 11) % 12 + 1,
            'm' => self.ms / 60_000 % 60,
            's' => self.ms / 1000 % 60,
            _ => self.ms % 1000,
        };
        padded(number, count, out);
    }

    fn hour(&self) -> i64 {
        self.ms / 3_600_000
    }

    /// Week year and week.
    fn week(&self) -> (i64, i64) {
        let next = week_year_start(self.year + 1);
        let (year, start) =
            if self.days >= next { (self.year + 1, next) } else { (self.year, week_year_start(self.year)) };
        (year, (self.days - start) / 7 + 1)
    }

    fn week_of_month(&self) -> i64 {
        let first = self.days - i64::from(self.day) + 1;
        (self.days - first + weekday(first)) / 7 + 1
    }
}

fn year(year: i64, count: usize, out: &mut String) {
    if count == 2 { padded(year.rem_euclid(100), 2, out) } else { padded(year, count, out) }
}

fn name(names: &[&str], index: i64, count: usize, out: &mut String) {
    let full = usize::try_from(index).ok().and_then(|i| names.get(i)).copied().unwrap_or_default();
    out.push_str(if count >= 4 { full } else { full.get(..3).unwrap_or(full) });
}

fn padded(number: i64, width: usize, out: &mut String) {
    // A pattern is configuration; its widths are small, and a String takes every write.
    let _ = write!(out, "{number:0width$}");
}
