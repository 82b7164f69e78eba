//! Cells of queries as the log would store them, and as literals.
use crate::binlog::DecodeError;
use crate::binlog::rows::Raw;
use crate::binlog::temporal::Civil;
use crate::column::{Column, Ty};
use crate::convert::hex;
use mysql_async::Value as Sql;

/// A cell of a query as the log would store it; none for a null.
pub(crate) fn raw_of<'a>(cell: &'a Sql, ty: &Ty) -> Result<Option<Raw<'a>>, DecodeError> {
    Ok(Some(match cell {
        Sql::NULL => return Ok(None),
        Sql::Int(v) => match ty {
            Ty::Int { bytes: 8, unsigned: true } => Raw::UInt(v.cast_unsigned()),
            _ => Raw::Int(*v),
        },
        Sql::UInt(v) => match ty {
            Ty::Int { bytes: 8, unsigned: true } => Raw::UInt(*v),
            _ => Raw::Int(v.cast_signed()),
        },
        Sql::Float(v) => Raw::F32(*v),
        Sql::Double(v) => Raw::F64(*v),
        Sql::Date(year, month, day, h, m, s, us) => {
            let seconds = i64::from(*h) * 3600 + i64::from(*m) * 60 + i64::from(*s);
            let micros = seconds * 1_000_000 + i64::from(*us);
            let (year, month, day) = (i64::from(*year), i64::from(*month), i64::from(*day));
            let civil = Civil { year, month, day, micros };
            match ty {
                Ty::Timestamp { .. } if civil.is_zero() => Raw::Stamp(None),
                Ty::Timestamp { .. } => Raw::Stamp(Some(civil.epoch_micros())),
                _ => Raw::Civil(civil),
            }
        }
        Sql::Time(negative, days, h, m, s, us) => {
            let hours = i64::from(*days) * 24 + i64::from(*h);
            let micros = (hours * 3600 + i64::from(*m) * 60 + i64::from(*s)) * 1_000_000 + i64::from(*us);
            Raw::Time(if *negative { -micros } else { micros })
        }
        Sql::Bytes(bytes) => match ty {
            Ty::Decimal { .. } => Raw::DecimalText(std::str::from_utf8(bytes).map_err(|_| DecodeError::Short)?),
            Ty::Bit { .. } => Raw::Bits(bytes),
            Ty::Binary { .. } | Ty::Blob { .. } | Ty::Point | Ty::Geometry | Ty::Vector => Raw::Slice(bytes),
            Ty::Text { charset, .. } if charset == "binary" => Raw::Slice(bytes),
            _ => Raw::Utf8Slice(bytes),
        },
    }))
}

/// A value of a key as a literal that compares with its column as the value itself does.
pub(super) fn literal(cell: &Sql, column: &Column) -> Option<String> {
    Some(match cell {
        Sql::NULL | Sql::Float(_) | Sql::Double(_) => return None,
        Sql::Int(v) => v.to_string(),
        Sql::UInt(v) => v.to_string(),
        Sql::Date(..) | Sql::Time(..) => cell.as_sql(true),
        Sql::Bytes(bytes) => match &column.ty {
            Ty::Decimal { .. } => {
                let text = std::str::from_utf8(bytes).ok()?;
                text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.')).then(|| text.to_owned())?
            }
            Ty::Text { charset, .. } if charset != "binary" => format!("_utf8mb4 X'{}'", hex(bytes)),
            _ => format!("X'{}'", hex(bytes)),
        },
    })
}
