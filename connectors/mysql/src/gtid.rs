//! Global transaction ids and sets of them, MySQL's and MariaDB's.
use std::collections::BTreeMap;
use std::fmt;

/// A MySQL transaction id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MySqlGtid {
    /// Server that committed first, with its tag.
    pub source: GtidSource,
    /// Number, from 1.
    pub number: u64,
}

impl MySqlGtid {
    /// Joins the parts.
    pub fn new(uuid: [u8; 16], tag: &str, number: u64) -> Self {
        Self { source: GtidSource { uuid: uuid::Uuid::from_bytes(uuid), tag: tag.to_ascii_lowercase() }, number }
    }
}

impl fmt::Display for MySqlGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.number)
    }
}

/// Server UUID and tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GtidSource {
    /// Server.
    pub uuid: uuid::Uuid,
    /// Tag in lower case; empty without one.
    pub tag: String,
}

impl fmt::Display for GtidSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uuid)?;
        if self.tag.is_empty() { Ok(()) } else { write!(f, ":{}", self.tag) }
    }
}

/// A set of MySQL transaction ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GtidSet(BTreeMap<GtidSource, Vec<(u64, u64)>>);

impl GtidSet {
    /// Reads the server's text form.
    ///
    /// # Errors
    /// The part that cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut set = Self::default();
        for entry in text.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            let mut parts = entry.split(':').map(str::trim);
            let uuid = parts.next().unwrap_or_default();
            let uuid = uuid::Uuid::parse_str(uuid).map_err(|_| format!("`{uuid}` is no server UUID"))?;
            let mut source = GtidSource { uuid, tag: String::new() };
            for part in parts {
                if part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                    source.tag = part.to_ascii_lowercase();
                    continue;
                }
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let number = |n: &str| n.trim().parse::<u64>().ok().filter(|n| *n > 0 && *n < u64::MAX);
                let (Some(first), Some(last)) = (number(first), number(last)) else {
                    return Err(format!("`{part}` is no interval of transaction numbers"));
                };
                if first > last {
                    return Err(format!("the interval `{part}` runs backwards"));
                }
                set.add_interval(&source, first, last);
            }
        }
        Ok(set)
    }

    /// Adds one transaction.
    pub fn add(&mut self, gtid: &MySqlGtid) {
        if let Some(intervals) = self.0.get_mut(&gtid.source)
            && let Some((_, last)) = intervals.last_mut()
            && *last + 1 == gtid.number
        {
            *last = gtid.number;
            return;
        }
        self.add_interval(&gtid.source, gtid.number, gtid.number);
    }

    fn add_interval(&mut self, source: &GtidSource, first: u64, last: u64) {
        let intervals = match self.0.get_mut(source) {
            Some(intervals) => intervals,
            None => self.0.entry(source.clone()).or_default(),
        };
        intervals.push((first, last));
        intervals.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(intervals.len());
        for (first, last) in intervals.drain(..) {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        *intervals = merged;
    }

    /// Whether a transaction is in the set.
    pub fn contains(&self, gtid: &MySqlGtid) -> bool {
        self.covers(&gtid.source, gtid.number, gtid.number)
    }

    fn covers(&self, source: &GtidSource, first: u64, last: u64) -> bool {
        self.0.get(source).is_some_and(|all| all.iter().any(|(a, b)| *a <= first && last <= *b))
    }

    /// Whether every transaction of another set is in this one.
    pub fn contains_all(&self, other: &Self) -> bool {
        other.0.iter().all(|(source, all)| all.iter().all(|(first, last)| self.covers(source, *first, *last)))
    }

    /// What comes from some sources.
    #[must_use]
    pub fn retained(&self, keep: impl Fn(&GtidSource) -> bool) -> Self {
        Self(self.0.iter().filter(|(source, _)| keep(source)).map(|(s, all)| (s.clone(), all.clone())).collect())
    }

    /// Both sets together.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        for (source, intervals) in &other.0 {
            for (first, last) in intervals {
                self.add_interval(source, *first, *last);
            }
        }
        self
    }

    /// What is in this set and not in another.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        let mut left = Self::default();
        for (source, intervals) in &self.0 {
            let holes = other.0.get(source).map(Vec::as_slice).unwrap_or_default();
            for (first, last) in intervals {
                let mut from = *first;
                for (a, b) in holes.iter().filter(|(a, b)| a <= last && b >= first) {
                    if *a > from {
                        left.add_interval(source, from, a - 1);
                    }
                    from = from.max(b + 1);
                }
                if from <= *last {
                    left.add_interval(source, from, *last);
                }
            }
        }
        left
    }

    /// Whether there is no transaction.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sources and their intervals, first and last included.
    pub fn intervals(&self) -> impl Iterator<Item = (&GtidSource, &[(u64, u64)])> {
        self.0.iter().map(|(source, all)| (source, all.as_slice()))
    }
}

/// Every interval as first-last, as Debezium writes it.
impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before: Option<&GtidSource> = None;
        for (source, intervals) in &self.0 {
            match before {
                Some(b) if b.uuid == source.uuid => write!(f, ":{}", source.tag)?,
                Some(_) => write!(f, ",{source}")?,
                None => write!(f, "{source}")?,
            }
            before = Some(source);
            for (first, last) in intervals {
                write!(f, ":{first}-{last}")?;
            }
        }
        Ok(())
    }
}

/// A MariaDB transaction id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MariaGtid {
    /// Replication domain.
    pub domain: u32,
    /// Server.
    pub server: u32,
    /// Number.
    pub sequence: u64,
}

impl fmt::Display for MariaGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.sequence)
    }
}

/// MariaDB's position: the last transaction of each domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MariaGtids(BTreeMap<u32, MariaGtid>);

impl MariaGtids {
    /// Reads `0-101-5,7-101-2`.
    ///
    /// # Errors
    /// The part that cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for gtid in Self::list(text)? {
            all.add(gtid);
        }
        Ok(all)
    }

    /// Reads the same where a domain may have several servers.
    ///
    /// # Errors
    /// The part that cannot be read.
    pub fn list(text: &str) -> Result<Vec<MariaGtid>, String> {
        let mut all = Vec::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let mut numbers = part.split('-');
            let bad = || format!("`{part}` is no MariaDB transaction id");
            let (Some(domain), Some(server), Some(sequence), None) =
                (numbers.next(), numbers.next(), numbers.next(), numbers.next())
            else {
                return Err(bad());
            };
            all.push(MariaGtid {
                domain: domain.parse().map_err(|_| bad())?,
                server: server.parse().map_err(|_| bad())?,
                sequence: sequence.parse().map_err(|_| bad())?,
            });
        }
        Ok(all)
    }

    /// What is in domains that another position does not know.
    #[must_use]
    pub fn without_domains_of(&self, other: &Self) -> Self {
        Self(self.0.iter().filter(|(domain, _)| !other.0.contains_key(domain)).map(|(d, g)| (*d, *g)).collect())
    }

    /// The last transaction of each domain.
    pub fn iter(&self) -> impl Iterator<Item = MariaGtid> {
        self.0.values().copied()
    }

    /// Whether a domain has one.
    pub fn has(&self, domain: u32) -> bool {
        self.0.contains_key(&domain)
    }

    /// Steps to a transaction.
    pub fn add(&mut self, gtid: MariaGtid) {
        self.0.insert(gtid.domain, gtid);
    }

    /// Whether there is no transaction.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for MariaGtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, gtid) in self.0.values().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            gtid.fmt(f)?;
        }
        Ok(())
    }
}

/// Transactions executed, in the words of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gtids {
    /// The server numbers no transactions.
    Off,
    /// MySQL.
    MySql(GtidSet),
    /// MariaDB.
    Maria(MariaGtids),
}

/// One transaction id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gtid {
    /// MySQL.
    MySql(MySqlGtid),
    /// MariaDB.
    Maria(MariaGtid),
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MySql(gtid) => gtid.fmt(f),
            Self::Maria(gtid) => gtid.fmt(f),
        }
    }
}

impl Gtid {
    /// As [`fmt::Display`] writes it, which is asked for once a transaction.
    pub fn text(&self) -> String {
        let Self::MySql(MySqlGtid { source, number }) = self else { return self.to_string() };
        let mut buffer = uuid::Uuid::encode_buffer();
        let mut text = String::with_capacity(buffer.len() + source.tag.len() + 24);
        text.push_str(source.uuid.hyphenated().encode_lower(&mut buffer));
        if !source.tag.is_empty() {
            text.push(':');
            text.push_str(&source.tag);
        }
        text.push(':');
        text.push_str(itoa::Buffer::new().format(*number));
        text
    }
}

impl Gtids {
    /// Adds a transaction; the flavour follows the first one.
    pub fn add(&mut self, gtid: &Gtid) {
        match (&mut *self, gtid) {
            (Self::MySql(set), Gtid::MySql(gtid)) => set.add(gtid),
            (Self::Maria(all), Gtid::Maria(gtid)) => all.add(*gtid),
            (_, Gtid::MySql(gtid)) => {
                let mut set = GtidSet::default();
                set.add(gtid);
                *self = Self::MySql(set);
            }
            (_, Gtid::Maria(gtid)) => {
                let mut all = MariaGtids::default();
                all.add(*gtid);
                *self = Self::Maria(all);
            }
        }
    }

    /// Text for the offset; none where there is nothing.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Off => None,
            Self::MySql(set) => (!set.is_empty()).then(|| set.to_string()),
            Self::Maria(all) => (!all.is_empty()).then(|| all.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn sets_are_written_with_every_interval_as_first_and_last() {
        let set = GtidSet::parse(&format!("{A}:1-3:5, {A}:tag:2")).unwrap();
        assert_eq!(set.to_string(), format!("{A}:1-3:5-5:tag:2-2"));
        assert_eq!(GtidSet::parse(&set.to_string()).unwrap(), set);
    }

    #[test]
    fn the_text_of_an_id_is_what_is_displayed() {
        let uuid = uuid::Uuid::parse_str(A).unwrap().into_bytes();
        for tag in ["", "tag"] {
            let gtid = Gtid::MySql(MySqlGtid::new(uuid, tag, 4711));
            assert_eq!(gtid.text(), gtid.to_string());
        }
    }

    #[test]
    fn neighbours_join_and_gaps_stay() {
        let mut set = GtidSet::parse(&format!("{A}:1-3:7-9")).unwrap();
        let source = set.0.keys().next().unwrap().clone();
        for number in [5, 4, 6] {
            set.add(&MySqlGtid { source: source.clone(), number });
        }
        assert_eq!(set.to_string(), format!("{A}:1-9"));
    }

    #[test]
    fn maria_positions_keep_the_last_of_each_domain() {
        let all = MariaGtids::parse("7-101-2,0-101-5,0-102-6").unwrap();
        assert_eq!(all.to_string(), "0-102-6,7-101-2");
        assert!(MariaGtids::parse("0-1").is_err());
    }

    fn sets() -> impl Strategy<Value = (GtidSet, Vec<u64>)> {
        proptest::collection::vec((1u64..60, 0u64..6), 0..8).prop_map(|parts| {
            let mut set = GtidSet::default();
            let source = MySqlGtid::new([7; 16], "", 1).source;
            for (first, more) in &parts {
                set.add_interval(&source, *first, first + more);
            }
            let members = (1..70).filter(|n| parts.iter().any(|(a, more)| a <= n && *n <= a + more)).collect();
            (set, members)
        })
    }

    proptest! {
        #[test]
        fn algebra_agrees_with_plain_sets((a, am) in sets(), (b, bm) in sets()) {
            let union = a.clone().union(&b);
            let rest = a.subtract(&b);
            for n in 1..70u64 {
                let gtid = MySqlGtid::new([7; 16], "", n);
                prop_assert_eq!(a.contains(&gtid), am.contains(&n));
                prop_assert_eq!(union.contains(&gtid), am.contains(&n) || bm.contains(&n));
                prop_assert_eq!(rest.contains(&gtid), am.contains(&n) && !bm.contains(&n));
            }
            prop_assert_eq!(a.contains_all(&b), bm.iter().all(|n| am.contains(n)));
            prop_assert_eq!(GtidSet::parse(&union.to_string()).unwrap(), union);
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}") {
            let _ = GtidSet::parse(&text);
            let _ = MariaGtids::parse(&text);
        }
    }
}
