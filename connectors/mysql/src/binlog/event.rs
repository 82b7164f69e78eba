//! Events other than table maps and rows.
use super::{DecodeError, Reader};
use crate::gtid::{MariaGtid, MySqlGtid};
use std::borrow::Cow;

/// Event type numbers.
#[expect(missing_docs, reason = "the names are the server's")]
pub mod kind {
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const TABLE_MAP: u8 = 19;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const IGNORABLE: u8 = 28;
    pub const ROWS_QUERY: u8 = 29;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const TRANSACTION_CONTEXT: u8 = 36;
    pub const VIEW_CHANGE: u8 = 37;
    pub const XA_PREPARE: u8 = 38;
    pub const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const GTID_TAGGED: u8 = 42;
    pub const ANNOTATE_ROWS: u8 = 160;
    pub const BINLOG_CHECKPOINT: u8 = 161;
    pub const MARIADB_GTID: u8 = 162;
    pub const MARIADB_GTID_LIST: u8 = 163;
    pub const START_ENCRYPTION: u8 = 164;
    pub const QUERY_COMPRESSED: u8 = 165;
}

/// An event made by the server for this stream; it moves no position.
pub const FLAG_ARTIFICIAL: u16 = 0x20;
/// An event that may be skipped by who does not know it.
pub const FLAG_IGNORABLE: u16 = 0x80;

/// The head of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Seconds since the epoch.
    pub timestamp: u32,
    /// What it is.
    pub kind: u8,
    /// Server that wrote it first.
    pub server_id: u32,
    /// Bytes in all.
    pub size: u32,
    /// Where it ends; 0 where that is not known.
    pub end: u32,
    /// Flags.
    pub flags: u16,
}

impl Header {
    /// Bytes of a head.
    pub const LENGTH: usize = 19;

    /// Parses the head of an event.
    ///
    /// # Errors
    /// There are fewer bytes.
    pub fn parse(event: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(event);
        Ok(Self {
            timestamp: r.u32()?,
            kind: r.u8()?,
            server_id: r.u32()?,
            size: r.u32()?,
            end: r.u32()?,
            flags: r.u16()?,
        })
    }
}

/// FORMAT_DESCRIPTION: whether the events of the file end with a CRC-32. Its last five bytes are the kind of checksum
/// and its own.
///
/// # Errors
/// The event is too short, or the kind is not known.
pub fn has_checksums(body: &[u8]) -> Result<bool, DecodeError> {
    match body.len().checked_sub(CHECKSUM + 1).and_then(|at| body.get(at)) {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(other) => Err(DecodeError::Checksum(*other)),
        None => Err(DecodeError::Short),
    }
}

/// Bytes of a checksum.
pub const CHECKSUM: usize = 4;

/// ROTATE: position and name of the next file.
pub fn rotate(body: &[u8]) -> Result<(u64, String), DecodeError> {
    let mut r = Reader::new(body);
    Ok((r.u64()?, String::from_utf8_lossy(r.rest()).into_owned()))
}

/// QUERY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    /// Connection that ran it.
    pub thread: u32,
    /// Default database.
    pub db: Cow<'a, str>,
    /// The statement.
    pub statement: Cow<'a, str>,
}

/// Parses a QUERY, or MariaDB's QUERY_COMPRESSED.
pub fn query(body: &[u8], compressed: bool) -> Result<Query<'_>, DecodeError> {
    let mut r = Reader::new(body);
    let thread = r.u32()?;
    r.u32()?;
    let db_len = usize::from(r.u8()?);
    r.u16()?;
    let status = usize::from(r.u16()?);
    r.bytes(status)?;
    let db = String::from_utf8_lossy(r.bytes(db_len)?);
    r.u8()?;
    let statement = if compressed {
        Cow::Owned(String::from_utf8_lossy(&super::compress::unpack(r.rest())?).into_owned())
    } else {
        String::from_utf8_lossy(r.rest())
    };
    Ok(Query { thread, db, statement })
}

/// GTID and ANONYMOUS_GTID: the id, and when the transaction was committed first, in microseconds.
pub fn gtid(body: &[u8]) -> Result<(MySqlGtid, Option<i64>), DecodeError> {
    let mut r = Reader::new(body);
    r.u8()?;
    let uuid = r.array::<16>()?;
    let number = r.u64()?;
    Ok((MySqlGtid::new(uuid, "", number), commit_time(r).ok()))
}

fn commit_time(mut r: Reader<'_>) -> Result<i64, DecodeError> {
    r.bytes(1 + 8 + 8)?;
    let seven = |r: &mut Reader<'_>| r.bytes(7).map(|b| b.iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b)));
    let immediate = seven(&mut r)?;
    let original = if immediate >> 55 & 1 == 1 { seven(&mut r)? } else { immediate };
    Ok((original & ((1 << 55) - 1)).cast_signed())
}

/// GTID_TAGGED: numbered fields of variable length.
pub fn gtid_tagged(body: &[u8]) -> Result<(MySqlGtid, Option<i64>), DecodeError> {
    let mut r = Reader::new(body);
    varint(&mut r)?; // version
    varint(&mut r)?; // size
    varint(&mut r)?; // last field that must be known
    let (mut uuid, mut tag, mut number) = ([0u8; 16], String::new(), 0);
    let (mut immediate, mut original) = (None, None);
    while !r.is_empty() {
        match varint(&mut r)? {
            0 => drop(varint(&mut r)?),
            1 => {
                for b in &mut uuid {
                    *b = u8::try_from(varint(&mut r)?).unwrap_or(0);
                }
            }
            2 => number = zigzag(varint(&mut r)?).cast_unsigned(),
            3 => {
                let n = usize::try_from(varint(&mut r)?).unwrap_or(usize::MAX);
                tag = String::from_utf8_lossy(r.bytes(n)?).into_owned();
            }
            6 => immediate = Some(varint(&mut r)?.cast_signed()),
            7 => original = Some(varint(&mut r)?.cast_signed()),
            4 | 5 | 8..=11 => drop(varint(&mut r)?),
            _ => break,
        }
    }
    Ok((MySqlGtid::new(uuid, &tag, number), original.or(immediate)))
}

/// As many low one-bits as extra bytes, then the value.
fn varint(r: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let first = r.u8()?;
    let extra = usize::try_from(first.trailing_ones()).unwrap_or(8);
    let rest = r.bytes(extra)?.iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b));
    if extra >= 7 {
        return Ok(rest);
    }
    Ok(rest << (7 - extra) | u64::from(first >> (extra + 1)))
}

fn zigzag(v: u64) -> i64 {
    (v >> 1).cast_signed() ^ -(v & 1).cast_signed()
}

/// MARIADB_GTID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MariaBegin {
    /// The id.
    pub gtid: MariaGtid,
    /// One QUERY follows, and no commit.
    pub standalone: bool,
    /// The first half of a two-phase ALTER: without effect yet.
    pub start_alter: bool,
    /// Connection, from 11.8.
    pub thread: Option<u32>,
    /// Part of an XA transaction: prepared, or completed.
    pub xa: Option<MariaXa>,
}

/// What a MariaDB transaction does to an XA transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MariaXa {
    /// Prepares it.
    Prepared,
    /// Commits it or rolls it back.
    Completed,
}

/// Parses a MARIADB_GTID.
pub fn maria_gtid(body: &[u8], server_id: u32) -> Result<MariaBegin, DecodeError> {
    let mut r = Reader::new(body);
    let sequence = r.u64()?;
    let domain = r.u32()?;
    let flags = r.u8()?;
    let mut begin = MariaBegin {
        gtid: MariaGtid { domain, server: server_id, sequence },
        standalone: flags & 1 == 1,
        start_alter: false,
        thread: None,
        xa: match flags & 0xc0 {
            0x40 => Some(MariaXa::Prepared),
            0x80 => Some(MariaXa::Completed),
            _ => None,
        },
    };
    // What follows is optional, and old servers pad it: it is read as far as it goes.
    let _ = maria_extra(&mut r, flags, &mut begin);
    Ok(begin)
}

fn maria_extra(r: &mut Reader<'_>, flags: u8, begin: &mut MariaBegin) -> Result<(), DecodeError> {
    if flags & 2 != 0 {
        r.u64()?;
    }
    if flags & 0xc0 != 0 {
        r.u32()?;
        let len = usize::from(r.u8()?) + usize::from(r.u8()?);
        r.bytes(len)?;
    }
    if r.is_empty() {
        return Ok(());
    }
    let extra = r.u8()?;
    begin.start_alter = extra & 2 != 0;
    if extra & 1 != 0 {
        r.u8()?;
    }
    if extra & 12 != 0 {
        r.u64()?;
    }
    if extra & 16 != 0 {
        begin.thread = Some(r.u32()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_carry_their_length_in_the_low_bits() {
        for (bytes, value) in [(&[2u8][..], 1), (&[0xfe], 127), (&[0x01, 0x02], 128), (&[0xfd, 0xff], 16383)] {
            assert_eq!(varint(&mut Reader::new(bytes)), Ok(value));
        }
        let mut nine = vec![0xff];
        nine.extend_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(varint(&mut Reader::new(&nine)), Ok(u64::MAX));
    }

    #[test]
    fn cut_events_are_errors() {
        assert!(query(&[0; 12], false).is_err());
        assert!(gtid(&[0; 20]).is_err());
        assert!(Header::parse(&[0; 18]).is_err());
        assert!(has_checksums(&[1; 4]).is_err());
    }
}
