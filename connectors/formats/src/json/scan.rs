//! Finding the bytes of a text that need attention, eight at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
pub(super) const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Marks bytes equal to `byte`; marks above the first true one may be false.
const fn equal(word: u64, byte: u8) -> u64 {
    let difference = word ^ (ONES * byte as u64);
    difference.wrapping_sub(ONES) & !difference & HIGHS
}

/// Marks control characters, quotes and backslashes; marks above the first true one may be false.
pub(super) const fn special(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
    control | equal(word, b'"') | equal(word, b'\\')
}

/// Marks first bytes of four-byte characters.
const fn four_byte(word: u64) -> u64 {
    word & (word << 1) & (word << 2) & (word << 3) & HIGHS
}

/// Index of the first control character, quote or backslash.
pub(crate) fn special_at(bytes: &[u8]) -> Option<usize> {
    find(bytes, special, |b| matches!(b, b'"' | b'\\' | 0..=0x1F))
}

/// Index of the first byte that cannot be copied into a JSON text as it is: the above, and four-byte characters.
pub(crate) fn escaped_at(bytes: &[u8]) -> Option<usize> {
    find(bytes, |word| special(word) | four_byte(word), |b| matches!(b, b'"' | b'\\' | 0..=0x1F | 0xF0..))
}

#[inline]
fn find(bytes: &[u8], marks: impl Fn(u64) -> u64, is: impl Fn(u8) -> bool) -> Option<usize> {
    let mut at = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    rest.iter().position(|b| is(*b)).map(|i| at + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn eight_at_a_time_finds_what_one_at_a_time_finds(bytes in proptest::collection::vec(proptest::prop_oneof![
            5 => 0x20_u8..0x7F, 1 => proptest::prelude::any::<u8>()], 0..40)) {
            let special = bytes.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1F));
            let escaped = bytes.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1F | 0xF0..));
            proptest::prop_assert_eq!(special_at(&bytes), special);
            proptest::prop_assert_eq!(escaped_at(&bytes), escaped);
        }
    }
}
