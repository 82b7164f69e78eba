//! Whether records of one schema may be written under another.
use elasticflow_api::data::{Kind, Schema};
use elasticflow_formats::FormatError;
use elasticflow_formats::java::type_name;

/// Checks that values of `own` are values of `registered`, name by name; strictly, that no field is unknown there.
pub(crate) fn check(own: &Schema, registered: &Schema, strict: bool) -> Result<(), FormatError> {
    at(own, registered, strict, &mut Vec::new())
}

fn at(own: &Schema, registered: &Schema, strict: bool, path: &mut Vec<String>) -> Result<(), FormatError> {
    let misfit = |path: &[String], problem: &str| {
        let place = if path.is_empty() { String::new() } else { format!("field {}: ", path.join(".")) };
        Err(FormatError::data(format!("{place}{problem}")))
    };
    match (&own.kind, &registered.kind) {
        (Kind::Struct(fields), Kind::Struct(known)) => {
            for field in fields.iter() {
                path.push(field.name.to_string());
                match known.iter().find(|of| of.name == field.name) {
                    Some(of) => at(&field.schema, &of.schema, strict, path)?,
                    None if strict => return misfit(path, "the registered schema lacks it"),
                    None => {}
                }
                path.pop();
            }
            let lacking = known.iter().find(|of| {
                !of.schema.optional && of.schema.default.is_none() && fields.iter().all(|field| field.name != of.name)
            });
            match lacking {
                Some(of) => {
                    misfit(path, &format!("the records lack {}, which the registered schema requires", of.name))
                }
                None => Ok(()),
            }
        }
        (Kind::Array(own), Kind::Array(registered)) => at(own, registered, strict, path),
        (Kind::Map { key, value }, Kind::Map { key: known, value: of }) => {
            at(key, known, strict, path)?;
            at(value, of, strict, path)
        }
        (own, registered) if is_narrower(own, registered) => Ok(()),
        (own, registered) => {
            misfit(path, &format!("{} of the records is not the registered {}", type_name(own), type_name(registered)))
        }
    }
}

fn is_narrower(own: &Kind, registered: &Kind) -> bool {
    let width = |kind: &Kind| match kind {
        Kind::Int8 => Some(1),
        Kind::Int16 => Some(2),
        Kind::Int32 => Some(3),
        Kind::Int64 => Some(4),
        _ => None,
    };
    match (width(own), width(registered)) {
        (Some(own), Some(registered)) => own <= registered,
        (Some(_), None) => *registered == Kind::Float64,
        _ => own == registered || (*own == Kind::Float32 && *registered == Kind::Float64),
    }
}
