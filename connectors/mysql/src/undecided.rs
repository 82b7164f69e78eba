//! XA transactions: their rows stand in the log where they are prepared, and whether they are committed stands behind that.
//!
//! From the beginning of one on, what the server sends is held back until its outcome has come. Then everything is handed out
//! in its order, the rows of one that was rolled back excepted. So nothing of it is ever sent that did not happen, and a
//! position is never behind a transaction whose rows are still to be judged. While one stays open the stream waits; what is
//! held back is bounded by [`HELD_MAX`].
use crate::binlog::event::{self, CHECKSUM, Header, MariaXa, kind};
use crate::binlog::payload::Payload;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::time::Duration;

/// Most bytes of the log that are held back.
const HELD_MAX: usize = 64 << 20;

/// An outcome that takes longer is told of in the log.
const LONG: Duration = Duration::from_secs(10);

/// What came of a prepared transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Committed,
    RolledBack,
}

/// A transaction whose outcome is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Open {
    /// As statements name it.
    xid: Option<String>,
    /// Whether its end has been read.
    prepared: bool,
}

/// More than may be held back has come since the transaction began.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong {
    /// Names the transaction.
    pub(crate) xid: String,
    /// Bytes that came since.
    pub(crate) bytes: usize,
}

/// What is held back.
#[derive(Default)]
pub(crate) struct Undecided {
    held: VecDeque<Bytes>,
    bytes: usize,
    /// The transaction with which it begins, while its outcome is not known.
    open: Option<Open>,
    /// What came of it, once that is known.
    outcome: Option<Outcome>,
    /// Since when that is waited for, and whether it was said.
    waits: Option<(Duration, bool)>,
    /// Whether what is handed out is of a transaction that was rolled back; until its end.
    pub(crate) rolled_back: bool,
    /// Whether one that was committed has begun to be handed out since this was asked for last.
    committed: bool,
}

impl Undecided {
    /// Whether a transaction that was committed long after its place in the log has begun to be handed out.
    pub(crate) fn take_committed(&mut self) -> bool {
        std::mem::take(&mut self.committed)
    }

    /// Names the transaction that is waited for.
    fn waits_for(&self) -> Option<&str> {
        self.open.as_ref().map(|open| open.xid.as_deref().unwrap_or("without a name"))
    }

    /// The same, once it has been waited for long.
    pub(crate) fn waits_long(&mut self, now: Duration) -> Option<&str> {
        if self.open.is_none() {
            self.waits = None;
            return None;
        }
        let (since, told) = self.waits.get_or_insert((now, false));
        if *told || now.saturating_sub(*since) < LONG {
            return None;
        }
        *told = true;
        self.waits_for()
    }

    /// Takes in an event; gives it back if nothing has to be waited for.
    pub(crate) fn offer(&mut self, raw: Bytes, checksums: bool) -> Result<Option<Bytes>, TooLong> {
        match &mut self.open {
            None => match begun(&raw, checksums) {
                None => return Ok(Some(raw)),
                begun => self.open = begun,
            },
            Some(open) => {
                self.outcome = decided(open, &raw, checksums);
                if self.outcome.is_some() {
                    self.open = None;
                }
            }
        }
        self.bytes += raw.len();
        self.held.push_back(raw);
        match &self.open {
            Some(open) if self.bytes > HELD_MAX => {
                Err(TooLong { xid: open.xid.clone().unwrap_or_default(), bytes: self.bytes })
            }
            _ => Ok(None),
        }
    }

    /// The next event that was held back and need not be any more.
    pub(crate) fn ready(&mut self, checksums: bool) -> Option<Bytes> {
        if self.open.is_some() {
            return None;
        }
        let raw = self.held.pop_front()?;
        let outcome = match self.outcome.take() {
            None => match begun(&raw, checksums) {
                None => None,
                Some(mut open) => {
                    let outcome = self.held.iter().find_map(|later| decided(&mut open, later, checksums));
                    if outcome.is_none() {
                        self.open = Some(open);
                        self.held.push_front(raw);
                        return None;
                    }
                    outcome
                }
            },
            known => known,
        };
        if let Some(outcome) = outcome {
            self.rolled_back = outcome == Outcome::RolledBack;
            self.committed |= outcome == Outcome::Committed;
        }
        self.bytes = self.bytes.saturating_sub(raw.len());
        Some(raw)
    }
}

/// The transaction that an event begins, if it may be prepared and left so.
fn begun(raw: &Bytes, checksums: bool) -> Option<Open> {
    match kind_of(raw)? {
        kind::QUERY | kind::QUERY_COMPRESSED => {
            let xid = named(&statement(raw, checksums)?, &["START", "BEGIN"])?;
            Some(Open { xid: Some(xid), prepared: false })
        }
        kind::MARIADB_GTID => {
            let begin = event::maria_gtid(body(raw, checksums)?, 0).ok()?;
            (begin.xa == Some(MariaXa::Prepared)).then_some(Open { xid: None, prepared: false })
        }
        kind::TRANSACTION_PAYLOAD => packed(raw, checksums),
        _ => None,
    }
}

/// The same of a compressed transaction, which holds all of it.
fn packed(raw: &Bytes, checksums: bool) -> Option<Open> {
    let end = raw.len() - if checksums { CHECKSUM } else { 0 };
    let mut payload = Payload::parse(&raw.slice(Header::LENGTH.min(end)..end)).ok()?;
    let first = payload.next_event().ok()??;
    let xid = named(&statement(&first, false)?, &["START", "BEGIN"])?;
    while let Ok(Some(mut event)) = payload.next_event() {
        if kind_of(&event) == Some(kind::XA_PREPARE) {
            event.advance(Header::LENGTH);
            return (event.first() != Some(&1)).then_some(Open { xid: Some(xid), prepared: true });
        }
    }
    None
}

/// What an event says of the outcome.
fn decided(open: &mut Open, raw: &Bytes, checksums: bool) -> Option<Outcome> {
    match kind_of(raw)? {
        kind::XA_PREPARE if !open.prepared => {
            open.prepared = true;
            (body(raw, checksums)?.first() == Some(&1)).then_some(Outcome::Committed)
        }
        // It ends like any other, and was never prepared.
        kind::XID if !open.prepared => Some(Outcome::Committed),
        kind::QUERY | kind::QUERY_COMPRESSED => {
            let statement = statement(raw, checksums)?;
            if open.xid.is_none() {
                open.xid = named(&statement, &["END"]);
            }
            let is_it = |word| open.prepared && open.xid.is_some() && named(&statement, &[word]) == open.xid;
            if !open.prepared && matches!(statement.trim(), "COMMIT" | "ROLLBACK") || is_it("COMMIT") {
                return Some(Outcome::Committed);
            }
            is_it("ROLLBACK").then_some(Outcome::RolledBack)
        }
        _ => None,
    }
}

fn kind_of(raw: &[u8]) -> Option<u8> {
    raw.get(4).copied()
}

fn body(raw: &[u8], checksums: bool) -> Option<&[u8]> {
    let end = raw.len().checked_sub(if checksums { CHECKSUM } else { 0 })?;
    raw.get(Header::LENGTH..end)
}

/// The text of a QUERY, if it is about an XA transaction or ends one.
fn statement(raw: &[u8], checksums: bool) -> Option<String> {
    let is_packed = kind_of(raw)? == kind::QUERY_COMPRESSED;
    let query = event::query(body(raw, checksums)?, is_packed).ok()?;
    let text = query.statement.trim_start();
    let is_meant = |word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    ["XA ", "COMMIT", "ROLLBACK"].into_iter().any(is_meant).then(|| text.to_owned())
}

/// The name of the transaction in `XA <word> <name>`.
fn named(statement: &str, words: &[&str]) -> Option<String> {
    let mut parts = statement.split_whitespace();
    let (xa, word) = (parts.next()?, parts.next()?);
    let is_it = xa.eq_ignore_ascii_case("XA") && words.iter().any(|wanted| word.eq_ignore_ascii_case(wanted));
    is_it.then(|| parts.collect::<String>().to_ascii_uppercase())
}

#[cfg(test)]
#[path = "undecided_tests.rs"]
mod tests;
