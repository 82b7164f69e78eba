//! What was committed at the source against what a read_committed reader sees.
//!
//! A line is a key, a number that occurs once per key, and a content. Lines of one key have an order; lines of different
//! keys have none. Nothing is assumed about how a line came to be: a generator's second run, or a load that noted its own
//! commits, writes the expected side.
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Examples that a report shows of each kind of finding.
const EXAMPLES_MAX: usize = 5;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Lines of the same key are ordered.
    pub key: String,
    /// Names the line within its key.
    pub number: u64,
    /// Hash of the content: a million lines fit into memory.
    content: u64,
}

impl Line {
    /// A line with its content.
    pub fn new(key: impl Into<String>, number: u64, content: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        Self { key: key.into(), number, content: hasher.finish() }
    }
}

/// Both sides.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    expected: Side,
    observed: Side,
}

#[derive(Debug, Default, Clone)]
struct Side {
    lines: HashMap<String, Vec<(u64, u64)>>,
    count: u64,
}

impl Side {
    fn push(&mut self, line: Line) {
        self.lines.entry(line.key).or_default().push((line.number, line.content));
        self.count += 1;
    }
}

impl Ledger {
    /// Notes what was committed, in order per key.
    pub fn expect(&mut self, line: Line) {
        self.expected.push(line);
    }

    /// Notes what was read, in order per key.
    pub fn observe(&mut self, line: Line) {
        self.observed.push(line);
    }

    /// Takes what another ledger has observed as what this one expects.
    pub fn expect_all_of(&mut self, other: Self) {
        self.expected = other.observed;
    }

    /// Takes what another ledger has observed as what this one has.
    pub fn observe_all_of(&mut self, other: Self) {
        self.observed = other.observed;
    }

    /// The same for an observer that does not see contents: each expected line has an empty one.
    pub fn bare(mut self) -> Self {
        let empty = Line::new("", 0, b"").content;
        self.expected.lines.values_mut().flatten().for_each(|(_, content)| *content = empty);
        self
    }

    /// Lines on the expected side.
    pub fn expected(&self) -> u64 {
        self.expected.count
    }

    /// Lines on the observed side.
    pub fn observed(&self) -> u64 {
        self.observed.count
    }

    /// Compares both sides.
    pub fn compare(&self) -> Report {
        let mut report = Report { expected: self.expected.count, observed: self.observed.count, ..Report::default() };
        let nothing = Vec::new();
        for (key, expected) in &self.expected.lines {
            compare_key(key, expected, self.observed.lines.get(key).unwrap_or(&nothing), &mut report);
        }
        for (key, observed) in &self.observed.lines {
            if !self.expected.lines.contains_key(key) {
                compare_key(key, &nothing, observed, &mut report);
            }
        }
        report
    }
}

fn compare_key(key: &str, expected: &[(u64, u64)], observed: &[(u64, u64)], report: &mut Report) {
    let places: HashMap<u64, (usize, u64)> =
        expected.iter().enumerate().map(|(place, (number, content))| (*number, (place, *content))).collect();
    let mut seen = HashMap::new();
    let mut furthest = None;
    for (number, content) in observed {
        let Some((place, wanted)) = places.get(number) else {
            report.extra.note(key, *number);
            continue;
        };
        if seen.insert(*number, ()).is_some() {
            report.duplicated.note(key, *number);
            continue;
        }
        if content != wanted {
            report.changed.note(key, *number);
        }
        if furthest > Some(*place) {
            report.out_of_order.note(key, *number);
        }
        furthest = furthest.max(Some(*place));
    }
    for (number, _) in expected.iter().filter(|(number, _)| !seen.contains_key(number)) {
        report.missing.note(key, *number);
    }
}

/// One kind of finding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// How many.
    pub count: u64,
    /// Some of them, as `key#number`.
    pub examples: Vec<String>,
}

impl Findings {
    fn note(&mut self, key: &str, number: u64) {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(format!("{key}#{number}"));
        }
    }
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines that were committed.
    pub expected: u64,
    /// Lines that were read.
    pub observed: u64,
    /// Committed, never read.
    pub missing: Findings,
    /// Read, never committed.
    pub extra: Findings,
    /// Read again.
    pub duplicated: Findings,
    /// Read after a later line of the same key.
    pub out_of_order: Findings,
    /// Read with another content.
    pub changed: Findings,
}

impl Report {
    /// Whether both sides are equal.
    pub fn is_clean(&self) -> bool {
        self.findings().iter().all(|(_, findings)| findings.count == 0)
    }

    fn findings(&self) -> [(&'static str, &Findings); 5] {
        [
            ("missing", &self.missing),
            ("extra", &self.extra),
            ("duplicated", &self.duplicated),
            ("out of order", &self.out_of_order),
            ("changed", &self.changed),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} committed, {} read:", self.expected, self.observed)?;
        for (index, (name, findings)) in self.findings().iter().enumerate() {
            write!(f, "{} {} {name}", if index == 0 { "" } else { "," }, findings.count)?;
        }
        for (name, findings) in self.findings().iter().filter(|(_, findings)| findings.count > 0) {
            write!(f, "\n  {name}: {}", findings.examples.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected and observed lines as `key number content`.
    fn report(expected: &str, observed: &str) -> Report {
        let lines = |text: &str| -> Vec<Line> {
            text.split_whitespace()
                .map(|word| {
                    let mut parts = word.split('.');
                    let mut next = || parts.next().unwrap_or_default().to_owned();
                    let (key, number, content) = (next(), next().parse().unwrap(), next());
                    Line::new(key, number, content.as_bytes())
                })
                .collect()
        };
        let mut ledger = Ledger::default();
        lines(expected).into_iter().for_each(|line| ledger.expect(line));
        lines(observed).into_iter().for_each(|line| ledger.observe(line));
        ledger.compare()
    }

    fn counts(report: &Report) -> [u64; 5] {
        report.findings().map(|(_, findings)| findings.count)
    }

    #[test]
    fn equal_sides_are_clean_however_keys_are_mixed() {
        let report = report("a.1 b.1 a.2 b.2", "b.1 b.2 a.1 a.2");
        assert!(report.is_clean(), "{report}");
        assert_eq!(
            report.to_string(),
            "4 committed, 4 read: 0 missing, 0 extra, 0 duplicated, 0 out of order, 0 changed"
        );
    }

    #[test]
    fn every_kind_of_difference_is_counted_as_itself() {
        // missing, extra, duplicated, out of order, changed
        assert_eq!(counts(&report("a.1 a.2 a.3", "a.1 a.3")), [1, 0, 0, 0, 0]);
        assert_eq!(counts(&report("a.1", "a.1 a.2 b.1")), [0, 2, 0, 0, 0]);
        assert_eq!(counts(&report("a.1 a.2", "a.1 a.2 a.1 a.1")), [0, 0, 2, 0, 0]);
        assert_eq!(counts(&report("a.1 a.2 a.3", "a.2 a.1 a.3")), [0, 0, 0, 1, 0]);
        assert_eq!(counts(&report("a.1.x a.2.y", "a.1.x a.2.z")), [0, 0, 0, 0, 1]);
        assert_eq!(counts(&report("a.1", "b.1")), [1, 1, 0, 0, 0]);
    }

    #[test]
    fn a_report_shows_a_few_examples() {
        let expected: Vec<_> = (0..100).map(|number| format!("k.{number}")).collect();
        let text = report(&expected.join(" "), "k.1").to_string();
        assert!(text.starts_with("100 committed, 1 read: 99 missing"), "{text}");
        assert!(text.ends_with("missing: k#0, k#2, k#3, k#4, k#5"), "{text}");
    }

    #[test]
    fn order_is_that_of_the_expected_side_and_not_of_the_numbers() {
        assert!(report("a.9 a.3 a.5", "a.9 a.3 a.5").is_clean());
        assert_eq!(counts(&report("a.9 a.3 a.5", "a.3 a.5 a.9"))[3], 1);
    }
}
