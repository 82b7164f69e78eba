//! Which numbers have come: a bit each, in blocks, so that neither order nor gaps cost room.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Numbers of a block.
const BLOCK: u64 = 1024;
/// Bits of a word.
const WORD: u64 = 64;
/// Words of a block.
const WORDS: usize = 16;

/// A set of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<u64, String>", into = "BTreeMap<u64, String>")]
pub(crate) struct Numbers(BTreeMap<u64, [u64; WORDS]>);

impl Numbers {
    fn place(n: u64) -> (u64, usize, u64) {
        let word = usize::try_from(n % BLOCK / WORD).unwrap_or(0);
        (n / BLOCK, word, 1 << (n % WORD))
    }

    /// Adds a number; false if it was there.
    pub(crate) fn insert(&mut self, n: u64) -> bool {
        let (block, word, bit) = Self::place(n);
        let Some(word) = self.0.entry(block).or_default().get_mut(word) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub(crate) fn contains(&self, n: u64) -> bool {
        let (block, word, bit) = Self::place(n);
        self.0.get(&block).and_then(|words| words.get(word)).is_some_and(|word| word & bit != 0)
    }

    /// Adds everything of another set; answers how many numbers were there before.
    pub(crate) fn add(&mut self, other: &Self) -> u64 {
        let mut doubled = 0;
        for (block, words) in &other.0 {
            for (own, other) in self.0.entry(*block).or_default().iter_mut().zip(words) {
                doubled += u64::from((*own & other).count_ones());
                *own |= other;
            }
        }
        doubled
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.values().flatten().map(|word| u64::from(word.count_ones())).sum()
    }

    pub(crate) fn last(&self) -> Option<u64> {
        let (block, words) = self.0.last_key_value()?;
        let (at, word) = words.iter().enumerate().rev().find(|(_, word)| **word != 0)?;
        Some(block * BLOCK + u64::try_from(at).ok()? * WORD + (WORD - 1 - u64::from(word.leading_zeros())))
    }

    /// What is missing below the last number, as first and last of each gap; at most so many gaps.
    pub(crate) fn gaps(&self, most: usize) -> Vec<(u64, u64)> {
        let (mut gaps, mut next) = (Vec::new(), 0);
        let Some(last) = self.last() else { return gaps };
        // One more is begun to see that the last one has ended.
        while next <= last && gaps.len() <= most {
            if !self.0.contains_key(&(next / BLOCK)) {
                // A block that is missing is missing as a whole.
                let end = self.0.range(next / BLOCK..).next().map_or(last, |(block, _)| block * BLOCK);
                extend(&mut gaps, next, end - 1);
                next = end;
            } else {
                if !self.contains(next) {
                    extend(&mut gaps, next, next);
                }
                next += 1;
            }
        }
        gaps.truncate(most);
        gaps
    }
}

fn extend(gaps: &mut Vec<(u64, u64)>, first: u64, last: u64) {
    match gaps.last_mut().filter(|(_, end)| *end + 1 == first) {
        Some(gap) => gap.1 = last,
        None => gaps.push((first, last)),
    }
}

impl From<Numbers> for BTreeMap<u64, String> {
    fn from(numbers: Numbers) -> Self {
        let text = |words: [u64; WORDS]| words.iter().map(|word| format!("{word:016x}")).collect();
        numbers.0.into_iter().map(|(block, words)| (block, text(words))).collect()
    }
}

impl TryFrom<BTreeMap<u64, String>> for Numbers {
    type Error = String;

    fn try_from(stored: BTreeMap<u64, String>) -> Result<Self, String> {
        let mut blocks = BTreeMap::new();
        for (block, text) in stored {
            let wrong = || format!("block {block} of a ledger's numbers cannot be read");
            let mut words = [0; WORDS];
            if text.len() != WORDS * 16 || !text.is_ascii() {
                return Err(wrong());
            }
            for (word, digits) in words.iter_mut().zip(text.as_bytes().chunks(16)) {
                let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
                *word = u64::from_str_radix(digits, 16).map_err(|_| wrong())?;
            }
            blocks.insert(block, words);
        }
        Ok(Self(blocks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_told_within_blocks_and_across_them() {
        let mut numbers = Numbers::default();
        for n in (0..10).chain(12..1024).chain(5000..5001) {
            assert!(numbers.insert(n));
        }
        assert!(!numbers.insert(5), "it was there");
        assert_eq!(numbers.gaps(10), [(10, 11), (1024, 4999)]);
        assert_eq!(numbers.gaps(1), [(10, 11)]);
        assert_eq!((numbers.len(), numbers.last()), (1023, Some(5000)));
        assert_eq!(Numbers::default().gaps(5), []);
    }

    proptest::proptest! {
        #[test]
        fn a_set_is_what_was_added_to_it(of: std::collections::BTreeSet<u16>, more: std::collections::BTreeSet<u16>) {
            let set = |of: &std::collections::BTreeSet<u16>| {
                let mut set = Numbers::default();
                for n in of {
                    set.insert(u64::from(*n));
                }
                set
            };
            let mut all = set(&of);
            proptest::prop_assert_eq!(all.add(&set(&more)), of.intersection(&more).count() as u64);
            let both: std::collections::BTreeSet<u16> = of.union(&more).copied().collect();
            proptest::prop_assert_eq!(all.len(), both.len() as u64);
            proptest::prop_assert_eq!(all.last(), both.last().map(|n| u64::from(*n)));
            let text = serde_json::to_string(&all).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Numbers>(&text).unwrap(), all);
        }
    }
}
