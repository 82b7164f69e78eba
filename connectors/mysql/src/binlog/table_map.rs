//! TABLE_MAP: what the columns of the following rows are.
use super::{DecodeError, Reader};

/// How the bytes of a column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the server's types; numbers are its metadata")]
pub enum Op {
    I8,
    U8,
    I16,
    U16,
    I24,
    U24,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Date,
    Time {
        fsp: u8,
    },
    DateTime {
        fsp: u8,
    },
    Timestamp {
        fsp: u8,
    },
    Time1,
    DateTime1,
    Timestamp1,
    Year,
    Enum {
        width: u8,
    },
    Set {
        width: u8,
    },
    Bit {
        bits: u16,
    },
    /// CHAR, BINARY: at most `max` bytes.
    Char {
        max: u16,
    },
    /// VARCHAR, VARBINARY: at most `max` bytes.
    Varchar {
        max: u16,
    },
    /// BLOB and TEXT: the length has `prefix` bytes.
    Blob {
        prefix: u8,
    },
    Json {
        prefix: u8,
    },
    Geometry {
        prefix: u8,
    },
    Vector {
        prefix: u8,
    },
    /// MariaDB's compressed columns.
    Packed {
        prefix: u8,
    },
}

/// A column of a table map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapColumn {
    /// How it is read.
    pub op: Op,
    /// Whether it may be null.
    pub nullable: bool,
    /// Its name, with full metadata.
    pub name: Option<String>,
    /// Members of an ENUM or SET, with full metadata, as bytes of their charset.
    pub members: Vec<Vec<u8>>,
    /// Collation of a text, with full metadata.
    pub collation: Option<u32>,
    /// Kind of a geometry, with full metadata.
    pub geometry: Option<u64>,
}

/// A table map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMap {
    /// Database.
    pub db: String,
    /// Table.
    pub table: String,
    /// Columns in order.
    pub columns: Vec<MapColumn>,
    /// Columns of the primary key in key order; with full metadata.
    pub primary_key: Option<Vec<usize>>,
    /// Whether names are there.
    pub full: bool,
    /// Whether the signedness of numbers is there.
    pub signed: bool,
}

/// Table id of a TABLE_MAP or rows event: the first six bytes.
pub fn table_id(body: &[u8]) -> Result<u64, DecodeError> {
    Ok(Reader::new(body).u48()?)
}

/// Database and table alone, without reading the rest.
pub fn table_name(body: &[u8]) -> Result<(String, String), DecodeError> {
    let mut r = Reader::new(body);
    r.bytes(8)?;
    Ok((name(&mut r)?, name(&mut r)?))
}

#[derive(Default)]
struct Optional {
    names: Vec<String>,
    enums: Vec<Vec<Vec<u8>>>,
    sets: Vec<Vec<Vec<u8>>>,
    text: Collations,
    members: Collations,
    geometry: Vec<u64>,
    primary_key: Option<Vec<usize>>,
    signed: bool,
}

/// Collations of a group of columns, by their place among that group.
#[derive(Default)]
struct Collations {
    default: Option<u32>,
    exceptions: Vec<(u64, u32)>,
    each: Vec<u32>,
}

impl Collations {
    fn of(&self, place: usize) -> Option<u32> {
        if let Some(id) = self.each.get(place) {
            return Some(*id);
        }
        let exception = self.exceptions.iter().find(|(i, _)| usize::try_from(*i) == Ok(place));
        exception.map(|(_, id)| *id).or(self.default)
    }
}

impl TableMap {
    /// Parses the body of the event, without header and checksum.
    ///
    /// MariaDB lists a collation for geometries, MySQL does not.
    ///
    /// # Errors
    /// The bytes end early, or a type is not known.
    pub fn parse(body: &[u8], maria: bool) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        r.bytes(8)?; // table id, flags
        let (db, table) = (name(&mut r)?, name(&mut r)?);
        let n = r.lenenc_len()?;
        let types = r.bytes(n)?;
        let meta_len = r.lenenc_len()?;
        let mut meta = Reader::new(r.bytes(meta_len)?);
        let mut ops = types.iter().map(|t| op(*t, &mut meta)).collect::<Result<Vec<_>, _>>()?;
        let nulls = r.bytes(n.div_ceil(8))?;
        let mut found = Optional::default();
        while !r.is_empty() {
            let kind = r.u8()?;
            let len = r.lenenc_len()?;
            optional(kind, r.bytes(len)?, types, &mut ops, &mut found)?;
        }
        let full = !found.names.is_empty() && found.names.len() == n;
        let columns = columns(&ops, (types, maria), nulls, &found);
        Ok(Self { db, table, columns, primary_key: found.primary_key, full, signed: found.signed })
    }
}

fn columns(ops: &[Op], (types, maria): (&[u8], bool), nulls: &[u8], found: &Optional) -> Vec<MapColumn> {
    let (mut text, mut enums, mut sets, mut member, mut geometry) = (0, 0, 0, 0, 0);
    let next = |counter: &mut usize| std::mem::replace(counter, *counter + 1);
    ops.iter()
        .enumerate()
        .map(|(i, op)| {
            let mut column = MapColumn {
                op: *op,
                nullable: nulls.get(i / 8).is_some_and(|b| b >> (i % 8) & 1 == 1),
                name: found.names.get(i).cloned(),
                members: Vec::new(),
                collation: None,
                geometry: None,
            };
            match op {
                Op::Enum { .. } => column.members = found.enums.get(next(&mut enums)).cloned().unwrap_or_default(),
                Op::Set { .. } => column.members = found.sets.get(next(&mut sets)).cloned().unwrap_or_default(),
                Op::Geometry { .. } => column.geometry = found.geometry.get(next(&mut geometry)).copied(),
                _ => {}
            }
            if matches!(op, Op::Enum { .. } | Op::Set { .. }) {
                column.collation = found.members.of(next(&mut member));
            } else if types.get(i).is_some_and(|t| is_text(*t) || (maria && *t == 255)) {
                column.collation = found.text.of(next(&mut text));
            }
            column
        })
        .collect()
}

/// STRING, VAR_STRING, VARCHAR, BLOB family, VECTOR and compressed columns have a collation.
fn is_text(kind: u8) -> bool {
    matches!(kind, 15 | 140 | 141 | 242 | 249..=254)
}

fn optional(kind: u8, data: &[u8], types: &[u8], ops: &mut [Op], found: &mut Optional) -> Result<(), DecodeError> {
    let mut r = Reader::new(data);
    match kind {
        1 => {
            found.signed = true;
            signedness(types, ops, data);
        }
        2 => collations(&mut r, &mut found.text)?,
        3 => each_collation(&mut r, &mut found.text)?,
        4 => {
            while !r.is_empty() {
                found.names.push(r.text()?);
            }
        }
        5 => found.sets = members(&mut r)?,
        6 => found.enums = members(&mut r)?,
        7 => {
            while !r.is_empty() {
                found.geometry.push(r.lenenc()?);
            }
        }
        8 | 9 => found.primary_key = Some(key(&mut r, kind == 9)?),
        10 => collations(&mut r, &mut found.members)?,
        11 => each_collation(&mut r, &mut found.members)?,
        _ => {}
    }
    Ok(())
}

fn collation(r: &mut Reader<'_>) -> Result<u32, DecodeError> {
    Ok(u32::try_from(r.lenenc()?).unwrap_or(u32::MAX))
}

fn collations(r: &mut Reader<'_>, into: &mut Collations) -> Result<(), DecodeError> {
    into.default = Some(collation(r)?);
    while !r.is_empty() {
        into.exceptions.push((r.lenenc()?, collation(r)?));
    }
    Ok(())
}

fn each_collation(r: &mut Reader<'_>, into: &mut Collations) -> Result<(), DecodeError> {
    while !r.is_empty() {
        into.each.push(collation(r)?);
    }
    Ok(())
}

fn key(r: &mut Reader<'_>, with_prefix: bool) -> Result<Vec<usize>, DecodeError> {
    let mut columns = Vec::new();
    while !r.is_empty() {
        columns.push(usize::try_from(r.lenenc()?).unwrap_or(usize::MAX));
        if with_prefix {
            r.lenenc()?;
        }
    }
    Ok(columns)
}

/// Member lists of all ENUM (or all SET) columns, one after another.
fn members(r: &mut Reader<'_>) -> Result<Vec<Vec<Vec<u8>>>, DecodeError> {
    let mut lists = Vec::new();
    while !r.is_empty() {
        let n = r.lenenc_len()?;
        let mut list = Vec::new();
        for _ in 0..n {
            let len = r.lenenc_len()?;
            list.push(r.bytes(len)?.to_vec());
        }
        lists.push(list);
    }
    Ok(lists)
}

fn name(r: &mut Reader<'_>) -> Result<String, DecodeError> {
    let len = usize::from(r.u8()?);
    let text = String::from_utf8_lossy(r.bytes(len)?).into_owned();
    r.u8()?; // terminating zero
    Ok(text)
}

/// Bit i (most significant first) belongs to the i-th numeric column; YEAR counts as numeric.
fn signedness(types: &[u8], ops: &mut [Op], bits: &[u8]) {
    let numeric = types.iter().zip(ops).filter(|(t, _)| matches!(t, 1..=5 | 8 | 9 | 13 | 246));
    for (i, (_, op)) in numeric.enumerate() {
        if bits.get(i / 8).is_some_and(|b| b >> (7 - i % 8) & 1 == 1) {
            *op = op.unsigned();
        }
    }
}

impl Op {
    /// The same for an unsigned column.
    #[must_use]
    pub fn unsigned(self) -> Self {
        match self {
            Self::I8 => Self::U8,
            Self::I16 => Self::U16,
            Self::I24 => Self::U24,
            Self::I32 => Self::U32,
            Self::I64 => Self::U64,
            other => other,
        }
    }
}

/// The most digits that MySQL and MariaDB allow.
const DIGITS_MAX: u8 = 65;

fn decimal(precision: u8, scale: u8) -> Result<Op, DecodeError> {
    if precision > DIGITS_MAX || scale > precision {
        return Err(DecodeError::Decimal);
    }
    Ok(Op::Decimal { precision, scale })
}

fn op(kind: u8, meta: &mut Reader<'_>) -> Result<Op, DecodeError> {
    Ok(match kind {
        1 => Op::I8,
        2 => Op::I16,
        3 => Op::I32,
        8 => Op::I64,
        9 => Op::I24,
        7 => Op::Timestamp1,
        11 => Op::Time1,
        12 => Op::DateTime1,
        10 | 14 => Op::Date,
        13 => Op::Year,
        4 => meta.u8().map(|_| Op::F32)?,
        5 => meta.u8().map(|_| Op::F64)?,
        17 => Op::Timestamp { fsp: meta.u8()? },
        18 => Op::DateTime { fsp: meta.u8()? },
        19 => Op::Time { fsp: meta.u8()? },
        15 | 253 => Op::Varchar { max: meta.u16()? },
        16 => {
            let odd = u16::from(meta.u8()?);
            Op::Bit { bits: u16::from(meta.u8()?) * 8 + odd }
        }
        246 => decimal(meta.u8()?, meta.u8()?)?,
        249..=252 => Op::Blob { prefix: meta.u8()? },
        245 => Op::Json { prefix: meta.u8()? },
        255 => Op::Geometry { prefix: meta.u8()? },
        242 => Op::Vector { prefix: meta.u8()? },
        254 => string(meta.u8()?, meta.u8()?),
        140 => Op::Packed { prefix: meta.u8()? },
        141 => Op::Packed { prefix: if meta.u16()? < 256 { 1 } else { 2 } },
        other => return Err(DecodeError::UnknownType(other)),
    })
}

/// STRING metadata: the first byte holds the real type; for CHAR over 255 bytes its bits 4 and 5 hold bits 8 and 9 of the
/// length, inverted.
fn string(first: u8, second: u8) -> Op {
    match first {
        247 => Op::Enum { width: second },
        248 => Op::Set { width: second },
        _ => Op::Char { max: (u16::from(first) & 0x30 ^ 0x30) << 4 | u16::from(second) },
    }
}
