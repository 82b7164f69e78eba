//! What a column is, from `information_schema` or from a table map.
use crate::binlog::charset::{Charset, maria_contextual};
use crate::binlog::table_map::{MapColumn, Op};
use std::collections::HashMap;

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type.
    pub ty: Ty,
    /// Whether it may be null.
    pub nullable: bool,
    /// Text of the default; none where there is none or it is not known.
    pub default: Option<String>,
    /// Whether the default is an expression.
    pub default_is_expression: bool,
    /// Comment.
    pub comment: String,
    /// Type as declared, such as `int unsigned`; empty where it is not known.
    pub declared: String,
}

/// Types, as far as they differ in records.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names are the server's types")]
pub enum Ty {
    Int {
        bytes: u8,
        unsigned: bool,
    },
    Float {
        digits: Option<(u32, u32)>,
    },
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Bit {
        bits: u16,
    },
    Text {
        charset: String,
        length: Option<u32>,
    },
    /// BINARY(n): short values are filled up.
    Binary {
        length: usize,
    },
    Blob {
        length: Option<u32>,
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
    Year,
    Enum {
        members: Vec<String>,
    },
    Set {
        members: Vec<String>,
    },
    Json,
    Point,
    Geometry,
    Vector,
    Uuid,
    Inet4,
    Inet6,
    Unknown,
}

/// Charset names by collation id, as the server lists them.
pub type Collations = HashMap<u32, String>;

/// A row of `information_schema.columns`.
#[derive(Debug, Clone, Default)]
pub struct Described {
    /// COLUMN_NAME.
    pub name: String,
    /// DATA_TYPE.
    pub data_type: String,
    /// COLUMN_TYPE.
    pub column_type: String,
    /// IS_NULLABLE.
    pub nullable: bool,
    /// COLUMN_DEFAULT.
    pub default: Option<String>,
    /// EXTRA.
    pub extra: String,
    /// COLUMN_COMMENT.
    pub comment: String,
    /// CHARACTER_SET_NAME.
    pub charset: Option<String>,
    /// CHARACTER_MAXIMUM_LENGTH.
    pub length: Option<u64>,
    /// NUMERIC_PRECISION.
    pub precision: Option<u64>,
    /// NUMERIC_SCALE.
    pub scale: Option<u64>,
    /// DATETIME_PRECISION.
    pub fsp: Option<u64>,
    /// Whether the server is MariaDB, which writes defaults as expressions.
    pub maria: bool,
}

impl Described {
    /// The text of the default, without what MariaDB puts around it.
    pub(crate) fn plain_default(&self) -> Option<String> {
        default_of(self).0
    }
}

impl Column {
    /// From `information_schema`.
    pub fn described(d: &Described) -> Self {
        let (default, default_is_expression) = default_of(d);
        Self {
            name: d.name.clone(),
            ty: described_type(d),
            nullable: d.nullable,
            default,
            default_is_expression,
            comment: d.comment.clone(),
            declared: d.column_type.clone(),
        }
    }

    /// From a table map with full metadata; the name must be there.
    pub fn mapped(c: &MapColumn, collations: &Collations) -> Self {
        Self {
            name: c.name.clone().unwrap_or_default(),
            ty: mapped_type(c, collations),
            nullable: c.nullable,
            default: None,
            default_is_expression: false,
            comment: String::new(),
            declared: String::new(),
        }
    }

    /// Whether a column of a table map can be this one.
    pub fn agrees(&self, c: &MapColumn, signed: bool) -> bool {
        c.name.as_ref().is_none_or(|name| *name == self.name)
            && (c.name.is_none() || c.nullable == self.nullable)
            && type_agrees(&self.ty, c, signed)
    }

    /// The type's name in upper case, such as `INT UNSIGNED`, for propagation.
    pub fn type_name(&self) -> String {
        let base = self.declared.split('(').next().unwrap_or_default().to_uppercase();
        if self.declared.contains(')') && self.declared.ends_with("unsigned") {
            format!("{base} UNSIGNED")
        } else {
            base
        }
    }
}

/// MariaDB writes texts in quotes and NULL as a word; MySQL writes texts plain and marks expressions.
fn default_of(d: &Described) -> (Option<String>, bool) {
    let Some(text) = &d.default else { return (None, false) };
    if !d.maria {
        return (Some(text.clone()), d.extra.contains("DEFAULT_GENERATED"));
    }
    if text.eq_ignore_ascii_case("NULL") {
        return (None, false);
    }
    if let Some(quoted) = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
        return (Some(quoted.replace("''", "'").replace("\\'", "'")), false);
    }
    let expression = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '(') && !text.starts_with("b'");
    (Some(text.clone()), expression)
}

fn described_type(d: &Described) -> Ty {
    let unsigned = d.column_type.contains("unsigned");
    let int = |bytes| Ty::Int { bytes, unsigned };
    let small = |v: Option<u64>| v.and_then(|v| u8::try_from(v).ok()).unwrap_or(0);
    let length = d.length.and_then(|n| u32::try_from(n).ok());
    let charset = || d.charset.clone().unwrap_or_else(|| "utf8mb4".to_owned());
    match d.data_type.as_str() {
        "tinyint" => int(1),
        "smallint" => int(2),
        "mediumint" => int(3),
        "int" => int(4),
        "bigint" => int(8),
        "float" => Ty::Float { digits: digits(&d.column_type) },
        "double" => Ty::Double,
        "decimal" => Ty::Decimal { precision: small(d.precision), scale: small(d.scale) },
        "bit" => Ty::Bit { bits: d.precision.and_then(|n| u16::try_from(n).ok()).unwrap_or(1) },
        "char" | "varchar" => Ty::Text { charset: charset(), length },
        "tinytext" | "text" | "mediumtext" | "longtext" => Ty::Text { charset: charset(), length: None },
        "binary" => Ty::Binary { length: length.and_then(|n| usize::try_from(n).ok()).unwrap_or(0) },
        "varbinary" => Ty::Blob { length },
        "tinyblob" | "blob" | "mediumblob" | "longblob" => Ty::Blob { length: None },
        "date" => Ty::Date,
        "time" => Ty::Time { fsp: small(d.fsp) },
        "datetime" => Ty::DateTime { fsp: small(d.fsp) },
        "timestamp" => Ty::Timestamp { fsp: small(d.fsp) },
        "year" => Ty::Year,
        "enum" => Ty::Enum { members: members_of(&d.column_type) },
        "set" => Ty::Set { members: members_of(&d.column_type) },
        "json" => Ty::Json,
        "point" => Ty::Point,
        "geometry" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
        | "geometrycollection" | "geomcollection" => Ty::Geometry,
        "vector" => Ty::Vector,
        "uuid" => Ty::Uuid,
        "inet4" => Ty::Inet4,
        "inet6" => Ty::Inet6,
        _ => Ty::Unknown,
    }
}

fn digits(declared: &str) -> Option<(u32, u32)> {
    let inner = declared.split_once('(')?.1.split_once(')')?.0;
    let (m, d) = inner.split_once(',')?;
    Some((m.trim().parse().ok()?, d.trim().parse().ok()?))
}

/// Members in `enum('a','it''s')`.
pub(crate) fn members_of(declared: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current: Option<String> = None;
    let mut chars = declared.chars().peekable();
    while let Some(c) = chars.next() {
        match (&mut current, c) {
            (None, '\'') => current = Some(String::new()),
            (None, _) => {}
            (Some(text), '\'') if chars.peek() == Some(&'\'') => {
                chars.next();
                text.push('\'');
            }
            (Some(_), '\'') => found.extend(current.take()),
            (Some(text), c) => text.push(c),
        }
    }
    found
}

fn mapped_type(c: &MapColumn, collations: &Collations) -> Ty {
    let charset = charset_of(c, collations);
    let is_text = charset.as_deref().is_some_and(|name| name != "binary");
    let text = |length| Ty::Text { charset: charset.clone().unwrap_or_default(), length };
    let member_charset = charset.as_deref().and_then(Charset::named).unwrap_or(Charset::Utf8);
    let members = || {
        let decoded = c.members.iter().map(|m| member_charset.text(bytes::Bytes::copy_from_slice(m)).to_string());
        decoded.collect::<Vec<_>>()
    };
    let signed = |bytes| Ty::Int { bytes, unsigned: false };
    let unsigned = |bytes| Ty::Int { bytes, unsigned: true };
    match c.op {
        Op::I8 => signed(1),
        Op::U8 => unsigned(1),
        Op::I16 => signed(2),
        Op::U16 => unsigned(2),
        Op::I24 => signed(3),
        Op::U24 => unsigned(3),
        Op::I32 => signed(4),
        Op::U32 => unsigned(4),
        Op::I64 => signed(8),
        Op::U64 => unsigned(8),
        Op::F32 => Ty::Float { digits: None },
        Op::F64 => Ty::Double,
        Op::Decimal { precision, scale } => Ty::Decimal { precision, scale },
        Op::Date => Ty::Date,
        Op::Time { fsp } => Ty::Time { fsp },
        Op::DateTime { fsp } => Ty::DateTime { fsp },
        Op::Timestamp { fsp } => Ty::Timestamp { fsp },
        Op::Time1 => Ty::Time { fsp: 0 },
        Op::DateTime1 => Ty::DateTime { fsp: 0 },
        Op::Timestamp1 => Ty::Timestamp { fsp: 0 },
        Op::Year => Ty::Year,
        Op::Enum { .. } => Ty::Enum { members: members() },
        Op::Set { .. } => Ty::Set { members: members() },
        Op::Bit { bits } => Ty::Bit { bits },
        Op::Char { max } if is_text => text(Some(u32::from(max))),
        Op::Char { max } => Ty::Binary { length: usize::from(max) },
        Op::Varchar { max } if is_text => text(Some(u32::from(max))),
        Op::Varchar { max } => Ty::Blob { length: Some(u32::from(max)) },
        Op::Blob { .. } | Op::Packed { .. } if is_text => text(None),
        Op::Blob { .. } | Op::Packed { .. } => Ty::Blob { length: None },
        Op::Json { .. } => Ty::Json,
        Op::Geometry { .. } if c.geometry == Some(1) => Ty::Point,
        Op::Geometry { .. } => Ty::Geometry,
        Op::Vector { .. } => Ty::Vector,
    }
}

fn charset_of(c: &MapColumn, collations: &Collations) -> Option<String> {
    let id = c.collation?;
    if id == 63 {
        return Some("binary".to_owned());
    }
    collations.get(&id).cloned().or_else(|| maria_contextual(id).map(str::to_owned))
}

/// Whether rows that the map describes can be of the type; lengths count where the bytes depend on them.
fn type_agrees(ty: &Ty, c: &MapColumn, signed: bool) -> bool {
    let binary = c.collation.map(|id| id == 63);
    match (ty, c.op) {
        (Ty::Int { bytes, unsigned }, op) => match int_of(op) {
            Some((b, u)) => b == *bytes && (!signed || u == *unsigned),
            None => false,
        },
        (Ty::Float { .. }, Op::F32) | (Ty::Double, Op::F64) | (Ty::Date, Op::Date) | (Ty::Year, Op::Year) => true,
        (Ty::Json, Op::Json { .. }) | (Ty::Vector, Op::Vector { .. }) => true,
        (Ty::Decimal { precision, scale }, Op::Decimal { precision: p, scale: s }) => p == *precision && s == *scale,
        (Ty::Bit { bits }, Op::Bit { bits: b }) => b == *bits,
        (Ty::Text { .. }, Op::Char { .. } | Op::Varchar { .. } | Op::Blob { .. } | Op::Packed { .. }) => {
            binary != Some(true)
        }
        (Ty::Binary { length }, Op::Char { max }) => usize::from(max) == *length && binary != Some(false),
        (Ty::Blob { .. }, Op::Varchar { .. } | Op::Blob { .. } | Op::Packed { .. }) => binary != Some(false),
        (Ty::Time { fsp }, Op::Time { fsp: f }) => f == *fsp,
        (Ty::DateTime { fsp }, Op::DateTime { fsp: f }) => f == *fsp,
        (Ty::Timestamp { fsp }, Op::Timestamp { fsp: f }) => f == *fsp,
        (Ty::Time { .. }, Op::Time1)
        | (Ty::DateTime { .. }, Op::DateTime1)
        | (Ty::Timestamp { .. }, Op::Timestamp1) => true,
        (Ty::Enum { members }, Op::Enum { .. }) | (Ty::Set { members }, Op::Set { .. }) => {
            c.members.is_empty() || c.members.len() == members.len() && same_members(members, c)
        }
        (Ty::Point, Op::Geometry { .. }) => c.geometry.is_none_or(|kind| kind == 1),
        (Ty::Geometry, Op::Geometry { .. }) => c.geometry.is_none_or(|kind| kind != 1),
        (Ty::Uuid | Ty::Inet6, Op::Char { max }) => max == 16,
        (Ty::Inet4, Op::Char { max }) => max == 4,
        (Ty::Unknown, _) => true,
        _ => false,
    }
}

/// Members are logged in the column's charset: ASCII ones compare, others only by number.
fn same_members(members: &[String], c: &MapColumn) -> bool {
    let comparable = |a: &str, b: &[u8]| a.is_ascii() && b.is_ascii() && !b.contains(&0);
    members.iter().zip(&c.members).all(|(a, b)| !comparable(a, b) || a.as_bytes() == b.as_slice())
}

fn int_of(op: Op) -> Option<(u8, bool)> {
    Some(match op {
        Op::I8 => (1, false),
        Op::U8 => (1, true),
        Op::I16 => (2, false),
        Op::U16 => (2, true),
        Op::I24 => (3, false),
        Op::U24 => (3, true),
        Op::I32 => (4, false),
        Op::U32 => (4, true),
        Op::I64 => (8, false),
        Op::U64 => (8, true),
        _ => return None,
    })
}

/// The operation for a column whose map has no signedness: the width of the log, the sign of the column.
pub fn op_for(column: &Column, map: &MapColumn) -> Op {
    match (&column.ty, map.op) {
        (Ty::Int { unsigned: true, .. }, op) => op.unsigned(),
        (_, op) => op,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_quotes_and_commas() {
        assert_eq!(members_of("enum('a','it''s','b,c','')"), ["a", "it's", "b,c", ""]);
    }

    #[test]
    fn a_column_agrees_only_with_its_own_map() {
        let described = Described {
            name: "id".into(),
            data_type: "int".into(),
            column_type: "int unsigned".into(),
            ..Described::default()
        };
        let column = Column::described(&described);
        let map = |op, name: Option<&str>| MapColumn {
            op,
            nullable: false,
            name: name.map(str::to_owned),
            members: Vec::new(),
            collation: None,
            geometry: None,
        };
        assert!(column.agrees(&map(Op::U32, Some("id")), true));
        assert!(!column.agrees(&map(Op::I32, Some("id")), true));
        assert!(column.agrees(&map(Op::I32, None), false));
        assert!(!column.agrees(&map(Op::U32, Some("no")), true));
    }
}
