//! Text to milliseconds.
use super::pattern::{DateFormat, Piece};
use super::{DAYS, MONTHS, week_year_start, weekday};
use elasticflow_formats::calendar::{DAY_MS, days_from_civil};

/// Digits of one number; more fit no calendar.
const DIGITS_MAX: usize = 9;
/// First year that two digits stand for.
const CENTURY_START: i64 = 1946;

/// What was read; `None` was not there.
#[derive(Default)]
struct Fields {
    before_christ: bool,
    year: Option<i64>,
    week_year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    week: Option<i64>,
    week_of_month: Option<i64>,
    nth_weekday: Option<i64>,
    /// 0 is Sunday.
    weekday: Option<i64>,
    hour: i64,
    half_day_hour: Option<i64>,
    afternoon: bool,
    minute: i64,
    second: i64,
    ms: i64,
    /// East of Greenwich.
    offset_minutes: i64,
}

impl DateFormat {
    /// Milliseconds since 1970 UTC; `None` when the text does not begin as the pattern says.
    pub(crate) fn read(&self, text: &str) -> Option<i64> {
        let mut fields = Fields::default();
        let mut rest = text;
        for (i, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Text(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Piece::Field(letter, count) => {
                    let limit = if numeric_follows(self.pieces.get(i + 1)) { *count } else { DIGITS_MAX };
                    rest = fields.read(*letter, *count, limit, rest.trim_start_matches([' ', '\t']))?;
                }
            }
        }
        fields.resolve()
    }
}

/// Numbers that touch are cut by the counts of their letters.
fn numeric_follows(next: Option<&Piece>) -> bool {
    match next {
        Some(Piece::Field('M' | 'L', count)) => *count < 3,
        Some(Piece::Field(letter, _)) => !"GEazZX".contains(*letter),
        _ => false,
    }
}

impl Fields {
    fn read<'a>(&mut self, letter: char, count: usize, limit: usize, text: &'a str) -> Option<&'a str> {
        match letter {
            'G' => {
                let (index, rest) = word(text, &["AD", "BC"])?;
                self.before_christ = index == 1;
                return Some(rest);
            }
            'M' | 'L' if count >= 3 => {
                let (index, rest) = name(text, &MONTHS)?;
                self.month = Some(index + 1);
                return Some(rest);
            }
            'E' => {
                let (index, rest) = name(text, &DAYS)?;
                self.weekday = Some(index);
                return Some(rest);
            }
            'a' => {
                let (index, rest) = word(text, &["AM", "PM"])?;
                self.afternoon = index == 1;
                return Some(rest);
            }
            'z' | 'Z' | 'X' => {
                let (minutes, rest) = zone(text)?;
                self.offset_minutes = minutes;
                return Some(rest);
            }
            _ => {}
        }
        let (number, digits, rest) = number(text, limit)?;
        self.set(letter, number, count <= 2 && digits == 2);
        Some(rest)
    }

    fn set(&mut self, letter: char, number: i64, is_short_year: bool) {
        match letter {
            'y' => self.year = Some(if is_short_year { full_year(number) } else { number }),
            'Y' => self.week_year = Some(if is_short_year { full_year(number) } else { number }),
            'M' | 'L' => self.month = Some(number),
            'w' => self.week = Some(number),
            'W' => self.week_of_month = Some(number),
            'D' => self.day_of_year = Some(number),
            'd' => self.day = Some(number),
            'F' => self.nth_weekday = Some(number),
            'u' => self.weekday = Some(number.rem_euclid(7)),
            'H' => self.hour = number,
            'k' => self.hour = if number == 24 { 0 } else { number },
            'K' => self.half_day_hour = Some(number),
            'h' => self.half_day_hour = Some(if number == 12 { 0 } else { number }),
            'm' => self.minute = number,
            's' => self.second = number,
            _ => self.ms = number,
        }
    }

    fn resolve(&self) -> Option<i64> {
        let days = self.days();
        let hour = match self.half_day_hour {
            Some(hour) => hour + if self.afternoon { 12 } else { 0 },
            None => self.hour,
        };
        let minutes = hour * 60 + self.minute - self.offset_minutes;
        days.checked_mul(DAY_MS)?.checked_add((minutes * 60 + self.second) * 1000 + self.ms)
    }

    fn days(&self) -> i64 {
        let year = self.year.or(self.week_year).unwrap_or(1970);
        let year = if self.before_christ { 1 - year } else { year };
        if let (None, None, Some(day)) = (self.day, self.month, self.day_of_year) {
            return days_from_civil(year, 1, day);
        }
        if let (None, None, Some(week)) = (self.day, self.month, self.week) {
            return week_year_start(self.week_year.unwrap_or(year)) + (week - 1) * 7 + self.weekday.unwrap_or(0);
        }
        let first = days_from_civil(year, self.month.unwrap_or(1), 1);
        match (self.day, self.week_of_month, self.nth_weekday) {
            (None, Some(week), _) => first - weekday(first) + (week - 1) * 7 + self.weekday.unwrap_or(0),
            (None, None, Some(nth)) => {
                let ahead = (self.weekday.unwrap_or(0) - weekday(first)).rem_euclid(7);
                first + ahead + (nth - 1) * 7
            }
            (day, _, _) => first + day.unwrap_or(1) - 1,
        }
    }
}

/// The year within a hundred years from [`CENTURY_START`] that ends in these two digits.
fn full_year(two_digits: i64) -> i64 {
    CENTURY_START + (two_digits - CENTURY_START).rem_euclid(100)
}

/// A number, how many digits it has, and what follows.
fn number(text: &str, limit: usize) -> Option<(i64, usize, &str)> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let digits = unsigned.bytes().take(limit.min(DIGITS_MAX)).take_while(u8::is_ascii_digit).count();
    let (number, rest) = unsigned.split_at_checked(digits)?;
    Some((number.parse::<i64>().ok()? * sign, digits, rest))
}

/// A full name or its first three letters, in any case.
fn name<'a>(text: &'a str, names: &[&str]) -> Option<(i64, &'a str)> {
    let short: Vec<&str> = names.iter().map(|n| n.get(..3).unwrap_or(n)).collect();
    word(text, names).or_else(|| word(text, &short))
}

fn word<'a>(text: &'a str, words: &[&str]) -> Option<(i64, &'a str)> {
    words.iter().enumerate().find_map(|(i, word)| {
        let (head, rest) = text.split_at_checked(word.len())?;
        head.eq_ignore_ascii_case(word).then_some((i64::try_from(i).ok()?, rest))
    })
}

/// `Z`, `UTC`, `GMT`, `GMT+1:00`, `+01`, `+0100`, `+01:00`: minutes east of Greenwich.
fn zone(text: &str) -> Option<(i64, &str)> {
    for name in ["UTC", "GMT", "Z"] {
        if let Some(rest) = text.strip_prefix(name) {
            return Some(offset(rest).unwrap_or((0, rest)));
        }
    }
    offset(text)
}

fn offset(text: &str) -> Option<(i64, &str)> {
    let (sign, digits) = match text.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, text.strip_prefix('-')?),
    };
    let (hours, read, rest) = number(digits, 2).filter(|(n, _, _)| *n >= 0)?;
    if read == 0 {
        return None;
    }
    let after = rest.strip_prefix(':').unwrap_or(rest);
    match number(after, 2) {
        Some((minutes, 2, rest)) if minutes >= 0 => Some((sign * (hours * 60 + minutes), rest)),
        _ => Some((sign * hours * 60, rest)),
    }
}
