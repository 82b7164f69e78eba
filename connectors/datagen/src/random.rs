//! Random numbers that depend on nothing but where they are asked for.

/// A short stream of numbers; the same start gives the same stream on every machine and in every version.
///
/// The generator is SplitMix64: a start per record costs nothing, which is what "any record without its predecessors"
/// needs.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    /// The stream of one record.
    pub(crate) fn of_record(seed: u64, task: u32, n: u64) -> Self {
        let mut mixed = Self(seed);
        let mut start = mixed.next() ^ u64::from(task).wrapping_mul(0xD1B5_4A32_D192_ED03);
        start = Self(start).next() ^ n.wrapping_mul(STEP);
        Self(Self(start).next())
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 up to, not including, `end`; 0 for an empty range.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(end)) >> 64).unwrap_or(0)
    }

    /// A number from `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: i64, most: i64) -> i64 {
        let size = most.abs_diff(least).saturating_add(1);
        least.saturating_add_unsigned(self.below(size))
    }

    /// A number from 0 up to, not including, 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of a list.
    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let at = self.below(u64::try_from(of.len()).unwrap_or(0));
        of.get(usize::try_from(at).ok()?).copied()
    }
}

/// The seed of a text.
pub(crate) fn seed_of(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_everywhere_and_always() {
        let mut random = Random::of_record(42, 1, 7);
        assert_eq!([random.next(), random.next()], FIRST);
    }

    /// Recorded: a change here changes every generated record and must be seen.
    const FIRST: [u64; 2] = [11_280_898_137_216_257_817, 7_917_165_346_721_434_767];

    #[test]
    fn neighbours_share_nothing() {
        let first = |seed, task, n| Random::of_record(seed, task, n).next();
        let all = [first(1, 0, 0), first(2, 0, 0), first(1, 1, 0), first(1, 0, 1), first(0, 0, 0)];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    proptest::proptest! {
        #[test]
        fn numbers_stay_between_their_bounds(seed: u64, a: i64, b: i64) {
            let (least, most) = (a.min(b), a.max(b));
            let n = Random(seed).between(least, most);
            proptest::prop_assert!((least..=most).contains(&n));
        }
    }
}
