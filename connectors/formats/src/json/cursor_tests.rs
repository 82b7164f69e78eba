use super::*;

fn read(text: &str) -> Result<Value, Malformed> {
    Cursor::new(&Bytes::copy_from_slice(text.as_bytes())).value()
}

#[test]
fn integers_wrap_and_fractions_are_cut() {
    let number = |text| Number { text, integral: false }.wrapping_i64();
    assert_eq!(number("9223372036854775808"), i64::MIN);
    assert_eq!(number("-12.9"), -12);
    assert_eq!(number("12.34e1"), 123);
    assert_eq!(number("5e-1"), 0);
    assert_eq!(number("1e3"), 1000);
    assert_eq!(number("1e19"), 10_i128.pow(19) as i64);
    assert_eq!(number("7e999999999999999999999"), 0);
    assert_eq!(number("7e-999999999999999999999"), 0);
}

#[test]
fn repeated_members_take_the_last_value() {
    let text = |t: &'static str| Value::String(Text::from_static(t));
    let expected = Value::Map(vec![(text("a"), Value::Int64(3)), (text("b"), Value::Int64(2))]);
    assert_eq!(read(r#"{"a":1,"b":2,"a":3}"#), Ok(expected));
    let many: Vec<String> = (0..100).map(|i| format!("\"k{}\":{i}", i % 50)).collect();
    let Ok(Value::Map(entries)) = read(&format!("{{{}}}", many.join(","))) else { panic!("no map") };
    assert_eq!(entries.len(), 50);
    assert_eq!(entries[0].1, Value::Int64(50));
}

#[test]
fn a_lone_surrogate_is_replaced_and_a_pair_is_one_character() {
    assert_eq!(read(r#""\ud83d\ude00""#), Ok(Value::String(Text::from_static("😀"))));
    assert_eq!(read(r#""\ud83dx""#), Ok(Value::String(Text::from_static("\u{FFFD}x"))));
}

#[test]
fn malformed_texts_are_refused_with_their_place() {
    for text in [
        "",
        "{\"a\":",
        "[1,]",
        "{a:1}",
        "'a'",
        "+1",
        ".5",
        "1.",
        "1e",
        "-",
        "tru",
        "truex",
        "\"\\q\"",
        "\"\\u12\"",
        "\"\u{1}\"",
        "[1 2]",
        "{\"a\" 1}",
        "1x",
        "\"abc",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    assert_eq!(read("[1,x]").unwrap_err().at, 3);
}

#[test]
fn nesting_is_bounded() {
    let deep = "[".repeat(100_000);
    assert_eq!(read(&deep).unwrap_err().problem, "nested too deeply");
    let fine = format!("{}{}", "[".repeat(500), "]".repeat(500));
    assert!(read(&fine).is_ok());
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = Cursor::new(&Bytes::from(bytes)).value();
    }

    #[test]
    fn json_like_bytes_are_read_or_refused(text in r#"[\[\]{}":,0-9a-fnrtu\\.+\- ]{0,60}"#) {
        let bytes = Bytes::from(text.into_bytes());
        let read = Cursor::new(&bytes).value();
        let mut skipping = Cursor::new(&bytes);
        proptest::prop_assert_eq!(read.is_ok(), skipping.skip().is_ok());
    }
}
