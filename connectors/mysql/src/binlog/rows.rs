//! Rows events: header, images, cells.
use super::compress::{unpack, unpack_column};
use super::decimal::{Packed, packed_len};
use super::table_map::Op;
use super::temporal::{self, Civil};
use super::{DecodeError, Reader};
use bytes::Bytes;

/// A cell as it is stored, before it takes the form that the configuration asks for.
#[derive(Debug, Clone)]
pub enum Raw<'a> {
    /// Signed integers, YEAR.
    Int(i64),
    /// Unsigned integers.
    UInt(u64),
    /// FLOAT.
    F32(f32),
    /// DOUBLE.
    F64(f64),
    /// DECIMAL of the log.
    Decimal(Packed<'a>),
    /// DECIMAL of a query.
    DecimalText(&'a str),
    /// DATE, DATETIME.
    Civil(Civil),
    /// TIME in microseconds.
    Time(i64),
    /// TIMESTAMP in microseconds since the epoch; none is the zero timestamp.
    Stamp(Option<i64>),
    /// Place of an ENUM member, from 1, or bits of a SET.
    Member(u64),
    /// BIT, big endian.
    Bits(&'a [u8]),
    /// Text of a query, in UTF-8.
    Utf8(Bytes),
    /// The same, as it stands in the answer.
    Utf8Slice(&'a [u8]),
    /// Text in the column's charset, or bytes.
    Bytes(Bytes),
    /// The same, as it stands in the event.
    Slice(&'a [u8]),
    /// Binary JSON.
    Json(&'a [u8]),
}

impl Raw<'_> {
    /// With text and bytes sharing the event that they stand in.
    #[inline]
    #[must_use]
    pub fn shared(self, event: &Bytes) -> Self {
        match self {
            Self::Slice(bytes) => Self::Bytes(event.slice_ref(bytes)),
            other => other,
        }
    }

    /// With text and bytes in memory of their own.
    #[must_use]
    pub fn owned(self) -> Self {
        match self {
            Self::Slice(bytes) => Self::Bytes(Bytes::copy_from_slice(bytes)),
            Self::Utf8Slice(bytes) => Self::Utf8(Bytes::copy_from_slice(bytes)),
            other => other,
        }
    }
}

/// What the rows of an event are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsKind {
    /// Inserted rows.
    Write,
    /// Updated rows: two images each.
    Update,
    /// Deleted rows.
    Delete,
}

impl RowsKind {
    /// Of an event type; the flag tells version 2.
    pub fn of(event: u8) -> Option<(Self, bool)> {
        Some(match event {
            23 => (Self::Write, false),
            24 => (Self::Update, false),
            25 => (Self::Delete, false),
            30 => (Self::Write, true),
            31 => (Self::Update, true),
            32 => (Self::Delete, true),
            _ => return None,
        })
    }

    /// Of an event type whose rows are compressed (MariaDB); the flag tells version 2.
    pub fn of_compressed(event: u8) -> Option<(Self, bool)> {
        Some(match event {
            166 => (Self::Write, false),
            167 => (Self::Update, false),
            168 => (Self::Delete, false),
            169 => (Self::Write, true),
            170 => (Self::Update, true),
            171 => (Self::Delete, true),
            _ => return None,
        })
    }
}

/// A bitmap of present columns.
#[derive(Debug, Clone)]
pub struct Present {
    bits: Bytes,
    count: usize,
    all: bool,
}

impl Present {
    fn read(r: &mut Reader<'_>, body: &Bytes, columns: usize) -> Result<Self, DecodeError> {
        let raw = r.bytes(columns.div_ceil(8))?;
        let count = (0..columns).filter(|i| bit(raw, *i)).count();
        Ok(Self { bits: body.slice_ref(raw), count, all: count == columns })
    }

    /// Whether a column is in the images.
    #[inline]
    pub fn has(&self, column: usize) -> bool {
        self.all || bit(&self.bits, column)
    }

    /// Whether every column is.
    pub fn is_all(&self) -> bool {
        self.all
    }
}

/// The head of a rows event; the rows begin at `rows_at`.
#[derive(Debug, Clone)]
pub struct RowsHead {
    /// What the rows are.
    pub kind: RowsKind,
    /// Columns of the images before the change; of the only images for deletes.
    pub before: Option<Present>,
    /// Columns of the images after the change.
    pub after: Option<Present>,
    /// Where the rows begin.
    pub rows_at: usize,
}

impl RowsHead {
    /// Parses the head.
    ///
    /// # Errors
    /// The bytes end early, or the number of columns is not the table map's.
    pub fn parse(kind: RowsKind, v2: bool, body: &Bytes, columns: usize) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        r.bytes(8)?; // table id, flags
        if v2 {
            let extra = usize::from(r.u16()?);
            r.bytes(extra.saturating_sub(2))?;
        }
        let n = r.lenenc()?;
        if n == 0 || usize::try_from(n) != Ok(columns) {
            return Err(DecodeError::ColumnCount { rows: n, table: columns });
        }
        let first = Present::read(&mut r, body, columns)?;
        let (before, after) = match kind {
            RowsKind::Write => (None, Some(first)),
            RowsKind::Delete => (Some(first), None),
            RowsKind::Update => (Some(first), Some(Present::read(&mut r, body, columns)?)),
        };
        Ok(Self { kind, before, after, rows_at: body.len().saturating_sub(r.len()) })
    }
}

impl RowsHead {
    /// The same event with its rows unpacked.
    ///
    /// # Errors
    /// The rows are not compressed as MariaDB does it.
    pub fn unpacked(&self, body: &Bytes) -> Result<Bytes, DecodeError> {
        let (head, packed) = body.split_at_checked(self.rows_at).ok_or(DecodeError::Short)?;
        Ok(Bytes::from([head, &unpack(packed)?].concat()))
    }
}

/// Which JSON columns of an image after an update are steps and no documents.
#[derive(Debug, Clone, Copy, Default)]
pub struct Partial<'a>(&'a [u8]);

impl<'a> Partial<'a> {
    /// Reads what stands before the image; `columns` are the JSON columns of the table.
    pub fn read(r: &mut Reader<'a>, columns: usize) -> Result<Self, DecodeError> {
        if r.lenenc()? & 1 == 0 {
            return Ok(Self::default());
        }
        Ok(Self(r.bytes(columns.div_ceil(8))?))
    }

    /// Whether the JSON column of this place is one.
    pub fn has(&self, place: usize) -> bool {
        bit(self.0, place)
    }
}

/// The cells of one image, in column order.
pub struct Cells<'p, 'a> {
    present: &'p Present,
    /// What follows of the null bitmap.
    nulls: &'a [u8],
    /// The next bits of it, and how many they are.
    word: u64,
    left: u32,
    column: usize,
}

/// What stands in an image for a column.
pub enum Cell {
    /// Not in the image.
    Absent,
    /// Null.
    Null,
    /// A value follows in the reader.
    Value,
}

impl<'p, 'a> Cells<'p, 'a> {
    /// Begins an image: reads its null bitmap.
    #[inline]
    pub fn begin(r: &mut Reader<'a>, present: &'p Present) -> Result<Self, DecodeError> {
        let nulls = r.bytes(present.count.div_ceil(8))?;
        Ok(Self { present, nulls, word: 0, left: 0, column: 0 })
    }

    /// Whether the next column of the image is null.
    #[inline]
    fn null(&mut self) -> bool {
        if self.left == 0 {
            self.refill();
        }
        let null = self.word & 1 == 1;
        self.word >>= 1;
        self.left -= 1;
        null
    }

    #[inline]
    fn refill(&mut self) {
        self.left = 64;
        if let Some((word, rest)) = self.nulls.split_first_chunk::<8>() {
            (self.word, self.nulls) = (u64::from_le_bytes(*word), rest);
            return;
        }
        self.word = self.nulls.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        self.nulls = &[];
    }

    /// Steps to the next column.
    #[inline]
    pub fn step(&mut self) -> Cell {
        let column = self.column;
        self.column += 1;
        if !self.present.has(column) {
            return Cell::Absent;
        }
        if self.null() { Cell::Null } else { Cell::Value }
    }
}

#[inline]
fn bit(map: &[u8], i: usize) -> bool {
    map.get(i / 8).is_some_and(|b| b >> (i % 8) & 1 == 1)
}

/// Reads one value.
// A call hands the value over through memory; the cells of a row take three times as long then.
#[inline(always)]
pub fn cell<'a>(op: Op, r: &mut Reader<'a>) -> Result<Raw<'a>, DecodeError> {
    Ok(match op {
        Op::I8 => Raw::Int(i64::from(r.u8()?.cast_signed())),
        Op::U8 => Raw::Int(i64::from(r.u8()?)),
        Op::I16 => Raw::Int(i64::from(r.u16()?.cast_signed())),
        Op::U16 => Raw::Int(i64::from(r.u16()?)),
        Op::I24 => Raw::Int(i64::from((r.u24()? << 8).cast_signed() >> 8)),
        Op::U24 => Raw::Int(i64::from(r.u24()?)),
        Op::I32 => Raw::Int(i64::from(r.u32()?.cast_signed())),
        Op::U32 => Raw::Int(i64::from(r.u32()?)),
        Op::I64 => Raw::Int(r.u64()?.cast_signed()),
        Op::U64 => Raw::UInt(r.u64()?),
        Op::F32 => Raw::F32(f32::from_bits(r.u32()?)),
        Op::F64 => Raw::F64(f64::from_bits(r.u64()?)),
        Op::Decimal { precision, scale } => {
            Raw::Decimal(Packed { raw: r.bytes(packed_len(precision, scale))?, precision, scale })
        }
        Op::Date => Raw::Civil(temporal::date(r.u24()?)),
        Op::Time { fsp } => Raw::Time(temporal::time2(r, fsp)?),
        Op::DateTime { fsp } => Raw::Civil(temporal::datetime2(r, fsp)?),
        Op::Timestamp { fsp } => Raw::Stamp(temporal::timestamp2(r, fsp)?),
        Op::Time1 => Raw::Time(temporal::time1(r)?),
        Op::DateTime1 => Raw::Civil(temporal::datetime1(r)?),
        Op::Timestamp1 => Raw::Stamp(temporal::timestamp1(r)?),
        Op::Year => match r.u8()? {
            0 => Raw::Int(0),
            y => Raw::Int(1900 + i64::from(y)),
        },
        Op::Enum { width: 1 } | Op::Set { width: 1 } => Raw::Member(u64::from(r.u8()?)),
        Op::Enum { width } | Op::Set { width } => {
            let raw = r.bytes(usize::from(width))?;
            Raw::Member(raw.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b)))
        }
        Op::Bit { bits } => Raw::Bits(r.bytes(usize::from(bits.div_ceil(8)))?),
        Op::Char { max } | Op::Varchar { max } => {
            let len = if max < 256 { usize::from(r.u8()?) } else { usize::from(r.u16()?) };
            Raw::Slice(r.bytes(len)?)
        }
        Op::Blob { prefix } | Op::Geometry { prefix } | Op::Vector { prefix } => Raw::Slice(long(r, prefix)?),
        Op::Json { prefix } => Raw::Json(long(r, prefix)?),
        Op::Packed { prefix } => Raw::Bytes(unpack_column(&Bytes::copy_from_slice(long(r, prefix)?))?),
    })
}

#[inline]
fn long<'a>(r: &mut Reader<'a>, prefix: u8) -> Result<&'a [u8], DecodeError> {
    let len = usize::try_from(r.uint_le(prefix)?).unwrap_or(usize::MAX);
    Ok(r.bytes(len)?)
}

/// Passes over one value.
#[inline]
pub fn skip(op: Op, r: &mut Reader<'_>) -> Result<(), DecodeError> {
    let fixed = match op {
        Op::I8 | Op::U8 | Op::Year => 1,
        Op::I16 | Op::U16 => 2,
        Op::I24 | Op::U24 | Op::Date | Op::Time1 => 3,
        Op::I32 | Op::U32 | Op::F32 | Op::Timestamp1 => 4,
        Op::I64 | Op::U64 | Op::F64 | Op::DateTime1 => 8,
        Op::Decimal { precision, scale } => packed_len(precision, scale),
        Op::Time { fsp } => 3 + usize::from(fsp.div_ceil(2)).min(3),
        Op::DateTime { fsp } => 5 + usize::from(fsp.div_ceil(2)).min(3),
        Op::Timestamp { fsp } => 4 + usize::from(fsp.div_ceil(2)).min(3),
        Op::Enum { width } | Op::Set { width } => usize::from(width),
        Op::Bit { bits } => usize::from(bits.div_ceil(8)),
        Op::Char { max } | Op::Varchar { max } if max < 256 => usize::from(r.u8()?),
        Op::Char { .. } | Op::Varchar { .. } => usize::from(r.u16()?),
        Op::Blob { prefix }
        | Op::Geometry { prefix }
        | Op::Vector { prefix }
        | Op::Json { prefix }
        | Op::Packed { prefix } => {
            return long(r, prefix).map(|_| ());
        }
    };
    r.bytes(fixed)?;
    Ok(())
}
