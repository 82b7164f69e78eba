//! One cell of the log to JSON.
use super::Unfit;
use super::record::lead_of;
use super::text;
use crate::binlog::charset::{Charset, utf8};
use crate::binlog::decimal::{Packed, small_of_text};
use crate::binlog::rows::Raw;
use crate::binlog::temporal::Civil;
use crate::convert::{Converter, Out, Unit, adjusted};
use crate::table::Slot;
use bytes::{Bytes, BytesMut};
use elasticflow_api::data::{Field, Text, Value};
use elasticflow_formats::json::{DecimalStyle, Plan, Style, write_string};
use elasticflow_formats::number;

/// Writes the cells of one column.
pub(crate) struct Pen {
    /// What stands before the cell.
    pub(crate) lead: Box<[u8]>,
    /// What is written for a null; none if the converter refuses it.
    pub(crate) null: Option<Box<[u8]>>,
    form: Form,
    /// What is written for a zero date; none where there is no such thing.
    zero: Option<Box<[u8]>>,
    adjust_years: bool,
    plan: Plan,
}

/// Short ways; every other column takes the long one.
enum Form {
    /// An integer between limits.
    Int(i64, i64),
    F32,
    F64,
    /// Unscaled bytes in base64.
    Decimal(u8),
    Bool,
    /// Text of which plain ASCII needs no conversion.
    Text(Charset),
    Days,
    /// Units of so many microseconds since the epoch.
    DateTime(Scale),
    Time(Scale),
    Zoned(u8),
    /// The members of an ENUM as they are written; the first stands for none.
    Enum(Box<[Box<[u8]>]>),
    /// By way of a value.
    Value,
}

/// From microseconds.
#[derive(Clone, Copy)]
enum Scale {
    Milli,
    Micro,
    Nano,
}

impl Scale {
    fn of(unit: Unit) -> Option<Self> {
        Some(match unit {
            Unit::Milli => Self::Milli,
            Unit::Micro => Self::Micro,
            Unit::Nano => Self::Nano,
            Unit::MilliOfDay | Unit::Iso => return None,
        })
    }

    fn apply(self, micros: i64) -> i64 {
        match self {
            Self::Milli => micros.div_euclid(1000),
            Self::Micro => micros,
            Self::Nano => micros.saturating_mul(1000),
        }
    }
}

impl Pen {
    /// None if a default of the column cannot be written.
    pub(crate) fn new(slot: &Slot, (field, place): (&Field, usize), style: Style) -> Option<Self> {
        let converter = slot.converter.as_ref()?;
        let plan = Plan::of_payload(&field.schema, &style).ok()?;
        let written = |value: &Value| {
            let mut out = BytesMut::new();
            plan.write(value, &mut out).ok().map(|()| Box::from(&out[..]))
        };
        let form = if slot.mask.is_none() { form(converter, style) } else { Form::Value };
        Some(Self {
            lead: lead_of(field, place),
            null: written(&masked(slot, Value::Null)),
            form,
            zero: written(&converter.zero),
            adjust_years: converter.adjust_years,
            plan,
        })
    }

    /// Writes a cell that is not null; `event` is what it stands in, if anything.
    #[inline]
    pub(crate) fn value(
        &self,
        (slot, event): (&Slot, Option<&Bytes>),
        raw: Raw<'_>,
        out: &mut Vec<u8>,
        scratch: &mut BytesMut,
    ) -> Result<(), Unfit> {
        match (&self.form, raw) {
            (Form::Int(least, most), Raw::Int(v)) => int(v.clamp(*least, *most), out),
            (Form::Int(..), Raw::UInt(v)) => int(v.cast_signed(), out),
            (Form::Text(charset), Raw::Slice(bytes)) => {
                if !text::plain(bytes, out) {
                    write_string(&charset.text(Bytes::copy_from_slice(bytes)), out);
                }
            }
            (Form::Text(_), Raw::Utf8Slice(bytes)) => {
                if !text::plain(bytes, out) {
                    write_string(&utf8(Bytes::copy_from_slice(bytes)), out);
                }
            }
            (Form::Decimal(_), Raw::Decimal(packed)) if packed.precision <= Packed::SMALL => {
                text::decimal(packed.small().ok_or(Unfit)?, out);
            }
            (Form::Decimal(scale), Raw::DecimalText(number)) if number.len() <= usize::from(Packed::SMALL) => {
                text::decimal(small_of_text(number, *scale).ok_or(Unfit)?, out);
            }
            (Form::F64, Raw::F64(v)) if v.is_finite() => number::write_f64(v, out),
            (Form::F64, Raw::F32(v)) if v.is_finite() => number::write_f64(f64::from(v), out),
            (Form::F32, Raw::F32(v)) if v.is_finite() => number::write_f32(v, out),
            (Form::Days, Raw::Civil(civil)) => self.civil(civil, out, |civil| civil.days())?,
            (Form::DateTime(scale), Raw::Civil(civil)) => {
                self.civil(civil, out, |civil| scale.apply(civil.epoch_micros()))?;
            }
            (Form::Time(scale), Raw::Time(micros)) => int(scale.apply(micros), out),
            (Form::Zoned(fsp), Raw::Stamp(Some(micros))) => text::zoned(micros, *fsp, out),
            (Form::Zoned(_), Raw::Stamp(None)) => out.extend_from_slice(self.zero.as_ref().ok_or(Unfit)?),
            (Form::Enum(members), Raw::Member(v)) => {
                let member = usize::try_from(v).ok().and_then(|v| members.get(v)).or(members.first());
                out.extend_from_slice(member.ok_or(Unfit)?);
            }
            (Form::Bool, Raw::Bits(bits)) => {
                let on = bits.iter().any(|b| *b != 0);
                out.extend_from_slice(if on { b"true" } else { b"false" });
            }
            (_, raw @ Raw::Slice(_)) => {
                let raw = event.map_or_else(|| raw.clone().owned(), |event| raw.clone().shared(event));
                self.long_way(slot, raw, out, scratch)?;
            }
            (_, raw) => self.long_way(slot, raw, out, scratch)?,
        }
        Ok(())
    }

    #[inline]
    fn civil(&self, civil: Civil, out: &mut Vec<u8>, number: impl Fn(Civil) -> i64) -> Result<(), Unfit> {
        if civil.is_zero() {
            out.extend_from_slice(self.zero.as_ref().ok_or(Unfit)?);
        } else {
            int(number(if self.adjust_years { adjusted(civil) } else { civil }), out);
        }
        Ok(())
    }

    #[cold]
    fn long_way(&self, slot: &Slot, raw: Raw<'_>, out: &mut Vec<u8>, scratch: &mut BytesMut) -> Result<(), Unfit> {
        let value = slot.converter.as_ref().ok_or(Unfit)?.convert(raw)?;
        scratch.clear();
        self.plan.write(&masked(slot, value), scratch).map_err(|_| Unfit)?;
        out.extend_from_slice(scratch);
        Ok(())
    }
}

fn form(converter: &Converter, style: Style) -> Form {
    match &converter.out {
        Out::I16 => Form::Int(i16::MIN.into(), i16::MAX.into()),
        Out::I32 => Form::Int(i32::MIN.into(), i32::MAX.into()),
        Out::I64 => Form::Int(i64::MIN, i64::MAX),
        Out::F32 => Form::F32,
        Out::F64 => Form::F64,
        Out::Decimal { scale } if style.decimal == DecimalStyle::Base64 => Form::Decimal(*scale),
        Out::Bool => Form::Bool,
        Out::Text(charset) if charset.is_ascii_compatible() => Form::Text(*charset),
        Out::Date { iso: false } => Form::Days,
        Out::DateTime(unit) => Scale::of(*unit).map_or(Form::Value, Form::DateTime),
        Out::Time(unit) => Scale::of(*unit).map_or(Form::Value, Form::Time),
        Out::Zoned(fsp) => Form::Zoned(*fsp),
        Out::Enum(members) => Form::Enum(std::iter::once(&Text::default()).chain(members.iter()).map(quoted).collect()),
        _ => Form::Value,
    }
}

fn quoted(text: &Text) -> Box<[u8]> {
    let mut out = Vec::new();
    write_string(text, &mut out);
    out.into()
}

fn masked(slot: &Slot, value: Value) -> Value {
    match &slot.mask {
        None => value,
        Some((mask, length)) => mask.apply(value, *length),
    }
}

#[inline]
fn int(n: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}
