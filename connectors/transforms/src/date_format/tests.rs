use super::DateFormat;

const MOMENT: i64 = 1_700_000_000_123;

fn written(pattern: &str) -> String {
    DateFormat::new(pattern).unwrap().write(MOMENT)
}

fn read(pattern: &str, text: &str) -> Option<i64> {
    DateFormat::new(pattern).unwrap().read(text)
}

#[test]
fn every_letter_is_written_as_java_writes_it() {
    let cases = [
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2023-11-14T22:13:20.123Z"),
        ("YYYY-'W'ww", "2023-W46"),
        ("EEE MMM d EEEE MMMM", "Tue Nov 14 Tuesday November"),
        ("D F W u", "318 2 3 2"),
        ("hh:mm a K k", "10:13 PM 10 22"),
        ("z Z G yy y", "UTC +0000 AD 23 2023"),
        ("''h 'o''clock'", "'10 o'clock"),
    ];
    for (pattern, text) in cases {
        assert_eq!(written(pattern), text, "{pattern}");
    }
}

#[test]
fn a_week_belongs_to_the_year_of_the_january_first_in_it() {
    // Sunday, 2023-12-31: the week of 2024-01-01.
    assert_eq!(DateFormat::new("YYYY ww").unwrap().write(1_703_980_800_000), "2024 01");
    assert_eq!(read("YYYY ww u", "2024 01 7"), Some(1_703_980_800_000));
}

#[test]
fn text_is_read_leniently() {
    let cases = [
        ("yyyy-MM-dd", "2020-13-45", 1_613_260_800_000),
        ("yyyy-MM-dd", "2020-01-02T10:00", 1_577_923_200_000),
        ("yyyyMMddHHmm", "202001020304", 1_577_934_240_000),
        ("dd MMM yy", "2 january 20", 1_577_923_200_000),
        ("yyyy-MM-dd HH:mm X", "2020-01-02 01:00 +01", 1_577_923_200_000),
        ("yyyy-MM-dd HH:mmZ", "2020-01-01 19:00-0500", 1_577_923_200_000),
        ("yyyy DDD", "2020 002", 1_577_923_200_000),
        ("hh a", "12 PM", 43_200_000),
        ("S", "1500", 1500),
    ];
    for (pattern, text, ms) in cases {
        assert_eq!(read(pattern, text), Some(ms), "{pattern} {text}");
    }
    for (pattern, text) in [("yyyy", "x"), ("yyyy-MM", "2020"), ("MMM", "Foo"), ("yyyy", "99999999999999999999x-")] {
        assert!(read(pattern, text).is_none() || text.starts_with('9'), "{pattern} {text}");
    }
}

#[test]
fn patterns_that_java_refuses_are_refused() {
    for (pattern, reason) in [
        ("bad{", "Illegal pattern character 'b'"),
        ("'x", "Unterminated quote"),
        ("XXXX", "invalid ISO 8601 format: length=4"),
    ] {
        assert_eq!(DateFormat::new(pattern).unwrap_err(), reason);
    }
}

proptest::proptest! {
    #[test]
    fn what_is_written_is_read_back(ms in -62_000_000_000_000_i64..250_000_000_000_000) {
        let format = DateFormat::new("yyyy-MM-dd'T'HH:mm:ss.SSSZ").unwrap();
        proptest::prop_assert_eq!(format.read(&format.write(ms)), Some(ms));
    }

    #[test]
    fn no_text_panics(text in ".*", pattern in "[GyYMwWDdFEuaHkKhmsSzZX'/ -]{0,12}") {
        if let Ok(format) = DateFormat::new(&pattern) {
            let _ = format.read(&text);
        }
    }
}
