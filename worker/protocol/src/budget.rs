//! Error budgets: the topic in which bad records are claimed before they are skipped, and what its rows say.
//!
//! One topic of one partition a group of workers. The order of that partition decides: the first claims of a connector, as
//! many as its budget, are granted, whichever task wrote them. A claim is named after its record, so that a record that is
//! met again after a failure has the claim that it had before. A mark ends the counting of what stands before it.
use serde_json::{Value as Json, json};

/// Value of every row.
pub const BUDGET_VALUE: &[u8] = br#"{"v":1}"#;

/// Name of the topic of a group of workers.
pub fn budget_topic(group: &str) -> String {
    format!("{group}-budgets")
}

/// A row, of which the key says everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BudgetRow {
    /// A bad record is to be skipped.
    Claim {
        /// What the budget is for: `run`, or an hour or day of the calendar.
        window: String,
        /// Names the record.
        place: Json,
    },
    /// What stands before does not count any more.
    Reset {
        /// When, milliseconds since 1970 UTC.
        at_ms: i64,
    },
}

impl BudgetRow {
    /// The key of the row in the topic.
    pub fn key(&self, connector: &str) -> String {
        match self {
            Self::Claim { window, place } => json!(["claim", connector, window, place]).to_string(),
            Self::Reset { at_ms } => json!(["reset", connector, at_ms]).to_string(),
        }
    }

    /// The row and its connector; `None` for rows of later versions and what is no row.
    pub fn decode(key: &[u8]) -> Option<(String, Self)> {
        let parts: Vec<Json> = serde_json::from_slice(key).ok()?;
        let connector = parts.get(1)?.as_str()?.to_owned();
        let row = match parts.first()?.as_str()? {
            "claim" => Self::Claim { window: parts.get(2)?.as_str()?.to_owned(), place: parts.get(3)?.clone() },
            "reset" => Self::Reset { at_ms: parts.get(2)?.as_i64()? },
            _ => return None,
        };
        Some((connector, row))
    }
}

/// How far a budget is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Claims that count.
    pub used: u64,
    /// Place of one claim among them, from 1; `None` when it is not there.
    pub rank: Option<u64>,
}

/// Counts the claims of a window behind the last mark. `rows`: those of one connector with the offsets of their first and
/// their last record, in any order. A claim that was written twice has its first place, so that a late twin moves nobody.
pub fn standing(rows: &[(BudgetRow, i64, i64)], window: &str, claim: Option<&BudgetRow>) -> Standing {
    let mark = rows.iter().filter(|(row, ..)| matches!(row, BudgetRow::Reset { .. })).map(|(.., last)| *last).max();
    let place = |(row, first, last): &'_ (BudgetRow, i64, i64)| {
        let is_of = matches!(row, BudgetRow::Claim { window: of, .. } if of == window);
        [*first, *last].into_iter().find(|at| is_of && mark.is_none_or(|mark| *at > mark))
    };
    let counted: Vec<(&BudgetRow, i64)> = rows.iter().filter_map(|row| Some((&row.0, place(row)?))).collect();
    let own = counted.iter().find(|(row, _)| claim == Some(*row));
    let rank = own.map(|(_, own)| counted.iter().filter(|(_, at)| at <= own).count() as u64);
    Standing { used: counted.len() as u64, rank }
}

/// The window of a moment: `run`, `1h` or `1d`, the latter two of the calendar in UTC.
pub fn budget_window(window: &str, now_ms: i64) -> String {
    let hours = now_ms.div_euclid(3_600_000);
    match window {
        "1h" => format!("1h-{hours}"),
        "1d" => format!("1d-{}", hours.div_euclid(24)),
        _ => "run".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(window: &str, offset: i64) -> BudgetRow {
        BudgetRow::Claim { window: window.to_owned(), place: json!(["t", 0, offset]) }
    }

    fn rows(of: &[BudgetRow]) -> Vec<(BudgetRow, i64, i64)> {
        let mut rows: Vec<_> = of.iter().cloned().zip(0..).map(|(row, at)| (row, at, at)).collect();
        rows.reverse();
        rows
    }

    #[test]
    fn the_order_of_the_topic_is_the_rank_of_a_claim() {
        let (a, other, b) = (claim("run", 1), claim("1h-5", 3), claim("run", 2));
        let rows = rows(&[a.clone(), other.clone(), b.clone()]);
        assert_eq!(standing(&rows, "run", Some(&b)), Standing { used: 2, rank: Some(2) });
        assert_eq!(standing(&rows, "run", Some(&a)).rank, Some(1));
        assert_eq!(standing(&rows, "1h-5", Some(&other)), Standing { used: 1, rank: Some(1) });
        assert_eq!(standing(&rows, "1h-5", Some(&a)).rank, None);
    }

    #[test]
    fn what_stands_before_a_mark_does_not_count() {
        let (a, b, reset) = (claim("run", 1), claim("run", 2), BudgetRow::Reset { at_ms: 17 });
        let with = rows(&[a.clone(), reset.clone(), b.clone()]);
        assert_eq!(standing(&with, "run", Some(&b)), Standing { used: 1, rank: Some(1) });
        assert_eq!(standing(&rows(&[a.clone(), reset]), "run", Some(&a)), Standing::default());
    }

    #[test]
    fn a_claim_that_was_written_twice_keeps_its_first_place_and_counts_once() {
        let (a, b) = (claim("run", 1), claim("run", 2));
        let twice = [(a.clone(), 0, 2), (b.clone(), 1, 1)];
        assert_eq!(standing(&twice, "run", Some(&b)), Standing { used: 2, rank: Some(2) });
        let mut behind = twice.to_vec();
        behind.push((BudgetRow::Reset { at_ms: 1 }, 1, 1));
        assert_eq!(
            standing(&behind, "run", Some(&a)),
            Standing { used: 1, rank: Some(1) },
            "claimed anew after the mark"
        );
    }

    #[test]
    fn a_row_is_read_as_it_was_written_and_junk_is_no_row() {
        for row in [claim("run", 1), BudgetRow::Reset { at_ms: 5 }] {
            assert_eq!(BudgetRow::decode(row.key("c").as_bytes()), Some(("c".to_owned(), row)));
        }
        for junk in ["", "{", "[]", r#"["claim"]"#, r#"["claim","c",5]"#, r#"["new","c","run"]"#, "\u{1}"] {
            assert_eq!(BudgetRow::decode(junk.as_bytes()), None, "{junk}");
        }
    }

    #[test]
    fn windows_of_the_calendar_begin_at_full_hours_and_days() {
        assert_eq!(budget_window("run", 5), "run");
        assert_eq!(budget_window("1h", 3_599_999), "1h-0");
        assert_eq!(budget_window("1h", 3_600_000), "1h-1");
        assert_eq!(budget_window("1d", 86_400_000), "1d-1");
        assert_eq!(budget_window("1d", -1), "1d--1");
    }
}
