//! Patterns of Java's `SimpleDateFormat`, in UTC, with English names and US weeks (they begin on Sunday; the week of
//! January 1st is the first).
//!
//! Reading is lenient, as Java's is: fields out of range carry over, text after the pattern is ignored. A year of two
//! digits under `yy` lies between 1946 and 2045.
mod pattern;
mod read;
mod write;

pub(crate) use pattern::DateFormat;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// From Sunday on, as Java counts.
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Days from the Sunday before 1970-01-01, a Thursday.
const THURSDAY: i64 = 4;

/// Day of the week, 0 is Sunday.
fn weekday(days: i64) -> i64 {
    (days + THURSDAY).rem_euclid(7)
}

/// The Sunday on which a week year begins.
fn week_year_start(year: i64) -> i64 {
    let first = elasticflow_formats::calendar::days_from_civil(year, 1, 1);
    first - weekday(first)
}

#[cfg(test)]
mod tests;
