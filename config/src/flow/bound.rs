//! The one shape of keys that bound something: -1 for no bound, else a number within a range.
use std::ops::RangeInclusive;

/// Reads one; `wrong` says what may stand there.
pub(super) fn read(
    text: &str,
    within: RangeInclusive<u64>,
    wrong: impl FnOnce() -> String,
) -> Result<Option<u64>, String> {
    match text.trim().parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(number) => match u64::try_from(number) {
            Ok(number) if within.contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => Err(wrong()),
        },
        Err(_) => Err("Not a number of type LONG".to_owned()),
    }
}
