//! Fields from an Avro schema with `arg.properties`, as the familiar generator reads it.
//!
//! Understood: options, range, iteration, regex, length, odds. Anything else in `arg.properties` is refused with its path in
//! the schema: a property that is passed over would make other records than were asked for.
use crate::fields::{Draw, FieldSpec, TEXT_MAX};
use crate::nested::Nested;
use crate::pattern::Pattern;
use elasticflow_api::data::{Text, Value};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest schema.
const SCHEMA_MAX: usize = 256 << 10;
/// Deepest nesting.
const DEPTH_MAX: u32 = 8;
/// Most options of one value.
const OPTIONS_MAX: usize = 10_000;
/// Most elements of an array or a map.
const ELEMENTS_MAX: u64 = 10_000;
/// Length of a text that nothing is said of.
const LENGTH: u64 = 16;
const PROPERTIES: &str = "arg.properties";

/// Reads a record schema.
///
/// # Errors
/// The path in the schema, and what is wrong there.
pub(crate) fn parse(text: &str) -> Result<(Arc<str>, Vec<FieldSpec>), String> {
    if text.len() > SCHEMA_MAX {
        return Err(format!("a schema has at most {SCHEMA_MAX} bytes"));
    }
    let schema: Json = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let mut reader = Reader { named: BTreeMap::new() };
    if schema["type"] != "record" {
        return Err("the schema of a record is needed: {\"type\":\"record\",…}".to_owned());
    }
    let fields = reader.fields(&schema, "", DEPTH_MAX)?;
    let name = schema["name"].as_str().ok_or("the record has no name")?;
    let name = match schema["namespace"].as_str().filter(|space| !space.is_empty()) {
        Some(space) if !name.contains('.') => format!("{space}.{name}"),
        _ => name.to_owned(),
    };
    Ok((name.into(), fields))
}

struct Reader {
    named: BTreeMap<String, Draw>,
}

impl Reader {
    fn fields(&mut self, schema: &Json, path: &str, depth: u32) -> Result<Vec<FieldSpec>, String> {
        let fields = schema["fields"].as_array().ok_or_else(|| format!("{path}: a record has no fields"))?;
        let mut all: Vec<FieldSpec> = Vec::new();
        for field in fields {
            let name = field["name"].as_str().ok_or_else(|| format!("{path}: a field has no name"))?;
            let path = format!("{path}/{name}");
            if all.iter().any(|known| &*known.name == name) {
                return Err(format!("{path}: the name is used twice"));
            }
            // Some write the properties beside the type.
            let beside = field.get(PROPERTIES).filter(|_| field["type"].get(PROPERTIES).is_none());
            let kind = self.kind(&field["type"], beside, &path, depth)?;
            all.push(FieldSpec::new(name, kind));
        }
        if all.is_empty() { Err(format!("{path}: there must be at least one field")) } else { Ok(all) }
    }

    fn kind(&mut self, schema: &Json, beside: Option<&Json>, path: &str, depth: u32) -> Result<Draw, String> {
        let depth = depth.checked_sub(1).ok_or_else(|| format!("{path}: nested too deeply"))?;
        if let Json::Array(union) = schema {
            return self.union(union, beside, path, depth);
        }
        let empty = Map::new();
        let (name, own) = match schema {
            Json::String(name) => (name.as_str(), &empty),
            Json::Object(own) => match own.get("type") {
                Some(Json::String(name)) => (name.as_str(), own),
                Some(inner @ (Json::Object(_) | Json::Array(_))) => {
                    return self.kind(inner, own.get(PROPERTIES).or(beside), path, depth);
                }
                _ => return Err(format!("{path}: there is no type")),
            },
            _ => return Err(format!("{path}: there is no type")),
        };
        let properties = Properties::read(own.get(PROPERTIES).or(beside), path)?;
        let drawn = self.typed(name, own, &properties, (path, depth))?;
        properties.all_used(path)?;
        if let Some(name) = own.get("name").and_then(Json::as_str) {
            self.named.insert(name.to_owned(), drawn.clone());
        }
        Ok(drawn)
    }

    fn union(&mut self, union: &[Json], beside: Option<&Json>, path: &str, depth: u32) -> Result<Draw, String> {
        let is_null = |schema: &&Json| *schema == "null" || schema["type"] == "null";
        let others: Vec<&Json> = union.iter().filter(|schema| !is_null(schema)).collect();
        match others.as_slice() {
            [one] if others.len() == union.len() => self.kind(one, beside, path, depth),
            [one] => Ok(Draw::Nullable(Box::new(self.kind(one, beside, path, depth)?), 0.5)),
            _ => Err(format!("{path}: of unions only those of null and one type are read")),
        }
    }

    fn typed(
        &mut self,
        name: &str,
        own: &Map<String, Json>,
        properties: &Properties<'_>,
        (path, depth): (&str, u32),
    ) -> Result<Draw, String> {
        let wrong = |problem: String| format!("{path}: {problem}");
        match name {
            "int" | "long" => whole(name == "int", own, properties).map_err(wrong),
            "float" | "double" => broken(name == "float", properties).map_err(wrong),
            "boolean" => {
                let odds = properties.number("odds").map_err(wrong)?.unwrap_or(0.5);
                options(properties, Draw::Bool(odds)).map_err(wrong)
            }
            "string" => text(properties).map_err(wrong),
            "bytes" | "fixed" => bytes(own, properties).map_err(wrong),
            "enum" => {
                let symbols = own.get("symbols").and_then(Json::as_array).filter(|all| !all.is_empty());
                let symbols = symbols.ok_or_else(|| wrong("an enum has no symbols".to_owned()))?;
                let one = symbols.iter().filter_map(Json::as_str).map(Text::from).collect();
                options(properties, Draw::One(one)).map_err(wrong)
            }
            "record" => {
                let fields = self.fields(&Json::Object(own.clone()), path, depth)?;
                let name = own.get("name").and_then(Json::as_str).unwrap_or("Record");
                Ok(Draw::Nested(Nested::record(name, fields)))
            }
            "array" => {
                let items = own.get("items").unwrap_or(&Json::Null);
                let item = self.kind(items, None, &format!("{path}/items"), depth)?;
                let (least, most) = properties.length((0, 4), ELEMENTS_MAX).map_err(wrong)?;
                Ok(Draw::Nested(Nested::Array(Box::new(item), least, most)))
            }
            "map" => {
                let values = own.get("values").unwrap_or(&Json::Null);
                let value = self.kind(values, None, &format!("{path}/values"), depth)?;
                let (least, most) = properties.length((0, 4), ELEMENTS_MAX).map_err(wrong)?;
                Ok(Draw::Nested(Nested::Map(Box::new(value), least, most)))
            }
            named => self.named.get(named).cloned().ok_or_else(|| wrong(format!("type {named} is not known"))),
        }
    }
}

/// `int` and `long`, also those that are times.
fn whole(is_int: bool, own: &Map<String, Json>, properties: &Properties<'_>) -> Result<Draw, String> {
    let logical = own.get("logicalType").and_then(Json::as_str);
    let limits = if is_int { (i64::from(i32::MIN), i64::from(i32::MAX)) } else { (i64::MIN, i64::MAX) };
    let drawn = if let Some(iteration) = properties.object("iteration")? {
        let number = |key: &str| number_of(iteration, key);
        let (start, step) = (number("start")?.ok_or("iteration has no start")?, number("step")?.unwrap_or(1));
        Nested::Iteration { start, step, count: rounds(start, step, number("restart")?)?, is_int }
    } else {
        let (least, most) = match properties.object("range")? {
            Some(range) => (number_of(range, "min")?.unwrap_or(limits.0), number_of(range, "max")?.unwrap_or(limits.1)),
            // The whole range of a long is of no use to anybody.
            None if is_int => limits,
            None => (0, i64::MAX),
        };
        // The end of a range is not part of it.
        let most = if most > least { most - 1 } else { most };
        if least > most || least < limits.0 || most > limits.1 {
            return Err(format!("{least} to {most} is no range of this type"));
        }
        if is_int {
            return options(properties, logical_draw(logical, Draw::Int(least, most)));
        }
        return options(properties, logical_draw(logical, Draw::Long(least, most)));
    };
    options(properties, logical_draw(logical, Draw::Nested(drawn)))
}

/// How many values come before the first one again; 0 for never.
fn rounds(start: i64, step: i64, restart: Option<i64>) -> Result<u64, String> {
    if step == 0 {
        return Err("iteration has a step of 0".to_owned());
    }
    let Some(restart) = restart else { return Ok(0) };
    let way = if step > 0 { restart.checked_sub(start) } else { start.checked_sub(restart) };
    let way = way.and_then(|way| u64::try_from(way).ok()).filter(|way| *way > 0);
    let way = way.ok_or("iteration restarts where it never comes")?;
    Ok(way.div_ceil(step.unsigned_abs()))
}

fn logical_draw(logical: Option<&str>, of: Draw) -> Draw {
    match logical {
        Some(name @ ("timestamp-millis" | "date" | "time-millis")) => {
            Draw::Nested(Nested::Time(Box::new(of), time_name(name)))
        }
        _ => of,
    }
}

fn time_name(logical: &str) -> &'static str {
    match logical {
        "date" => "org.apache.kafka.connect.data.Date",
        "time-millis" => "org.apache.kafka.connect.data.Time",
        _ => "org.apache.kafka.connect.data.Timestamp",
    }
}

fn broken(is_float: bool, properties: &Properties<'_>) -> Result<Draw, String> {
    let range = properties.object("range")?;
    let number = |key: &str, other: f64| range.and_then(|range| range.get(key)?.as_f64()).unwrap_or(other);
    let (least, most) = (number("min", 0.0), number("max", 1.0));
    if least > most || !(most - least).is_finite() {
        return Err(format!("{least} to {most} is no range"));
    }
    let drawn = Draw::Double(least, most);
    options(properties, if is_float { Draw::Nested(Nested::Float(Box::new(drawn))) } else { drawn })
}

fn text(properties: &Properties<'_>) -> Result<Draw, String> {
    let regex = properties.value("regex");
    if let Some(pattern) = regex {
        let pattern = pattern.as_str().ok_or("regex is no text")?;
        return Ok(Draw::Nested(Nested::Pattern(Arc::new(Pattern::parse(pattern)?))));
    }
    let (least, most) = properties.length((LENGTH, LENGTH), TEXT_MAX)?;
    options(properties, Draw::Nested(Nested::Text(least, most)))
}

fn bytes(own: &Map<String, Json>, properties: &Properties<'_>) -> Result<Draw, String> {
    if own.get("logicalType").and_then(Json::as_str) == Some("decimal") {
        let number = |key: &str, other| own.get(key).and_then(Json::as_u64).unwrap_or(other);
        let scale = u32::try_from(number("scale", 0)).map_err(|_| "the scale is too large")?;
        let digits = u32::try_from(number("precision", 9).min(18)).unwrap_or(18);
        let most = 10_i64.checked_pow(digits).ok_or("the precision is too large")? - 1;
        return Ok(Draw::Decimal { scale, least: -most, most });
    }
    let size = own.get("size").and_then(Json::as_u64);
    let (least, most) = properties.length(size.map_or((LENGTH, LENGTH), |size| (size, size)), TEXT_MAX)?;
    Ok(Draw::Nested(Nested::Bytes(least, most)))
}

/// `options`, if there are some.
fn options(properties: &Properties<'_>, of: Draw) -> Result<Draw, String> {
    let Some(all) = properties.value("options") else { return Ok(of) };
    let all = all.as_array().filter(|all| !all.is_empty() && all.len() <= OPTIONS_MAX);
    let all = all.ok_or_else(|| format!("options is no list of 1 to {OPTIONS_MAX} values"))?;
    let schema = of.schema();
    let values: Option<Vec<Value>> = all.iter().map(|json| value_of(json, &schema.kind)).collect();
    let values = values.ok_or("an option is not of the type that it is for")?;
    Ok(Draw::Nested(Nested::Options(values.into(), Arc::new(schema))))
}

fn value_of(json: &Json, kind: &elasticflow_api::data::Kind) -> Option<Value> {
    use elasticflow_api::data::Kind;
    match kind {
        Kind::Int32 => json.as_i64().and_then(|n| i32::try_from(n).ok()).map(Value::Int32),
        Kind::Int64 => json.as_i64().map(Value::Int64),
        #[expect(clippy::cast_possible_truncation, reason = "a float has no more digits")]
        Kind::Float32 => json.as_f64().map(|n| Value::Float32(n as f32)),
        Kind::Float64 => json.as_f64().map(Value::Float64),
        Kind::Boolean => json.as_bool().map(Value::Boolean),
        Kind::String => json.as_str().map(|text| Value::String(text.into())),
        Kind::Int8 | Kind::Int16 | Kind::Bytes | Kind::Array(_) | Kind::Map { .. } | Kind::Struct(_) => None,
    }
}

fn number_of(of: &Map<String, Json>, key: &str) -> Result<Option<i64>, String> {
    let number = |json: &Json| json.as_i64().ok_or_else(|| format!("{key} is no whole number"));
    of.get(key).map(number).transpose()
}

/// What `arg.properties` says, and what of it was asked for.
struct Properties<'a> {
    own: Option<&'a Map<String, Json>>,
    used: std::cell::RefCell<Vec<&'static str>>,
}

impl<'a> Properties<'a> {
    fn read(json: Option<&'a Json>, path: &str) -> Result<Self, String> {
        let object = |json: &'a Json| json.as_object().ok_or_else(|| format!("{path}: {PROPERTIES} is no object"));
        Ok(Self { own: json.map(object).transpose()?, used: std::cell::RefCell::default() })
    }

    fn value(&self, key: &'static str) -> Option<&'a Json> {
        self.used.borrow_mut().push(key);
        self.own.and_then(|own| own.get(key))
    }

    fn object(&self, key: &'static str) -> Result<Option<&'a Map<String, Json>>, String> {
        self.value(key).map(|json| json.as_object().ok_or_else(|| format!("{key} is no object"))).transpose()
    }

    fn number(&self, key: &'static str) -> Result<Option<f64>, String> {
        self.value(key).map(|json| json.as_f64().ok_or_else(|| format!("{key} is no number"))).transpose()
    }

    /// `length`: a number, or an object with min and max.
    fn length(&self, other: (u64, u64), limit: u64) -> Result<(u64, u64), String> {
        let Some(json) = self.value("length") else { return Ok(other) };
        let at = |key: &str, other: u64| json.get(key).map_or(Some(other), Json::as_u64);
        let found = match json.as_u64() {
            Some(length) => Some((length, length)),
            None => at("min", 0).zip(at("max", other.1)).map(|(least, most)| (least, most.max(least + 1) - 1)),
        };
        found
            .filter(|(least, most)| least <= most && *most <= limit)
            .ok_or_else(|| format!("length is no length up to {limit}"))
    }

    fn all_used(&self, path: &str) -> Result<(), String> {
        let used = self.used.borrow();
        let unknown = self.own.into_iter().flatten().find(|(key, _)| !used.contains(&key.as_str()));
        match unknown {
            Some((key, _)) => Err(format!("{path}: {PROPERTIES}.{key} is not understood for this type")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Place, schema_of};
    use crate::random::Random;

    fn record(fields: &str) -> String {
        format!(r#"{{"namespace":"n","name":"r","type":"record","fields":[{fields}]}}"#)
    }

    fn values(fields: &str, n: u64) -> Vec<Value> {
        let (_, fields) = parse(&record(fields)).unwrap();
        let mut random = Random::of_record(5, 0, n);
        fields.iter().map(|field| field.value(&mut random, Place { task: 0, n, now_ms: 0 })).collect()
    }

    #[test]
    fn every_type_is_drawn_as_its_schema_declares() {
        let all = r#"
            {"name":"a","type":{"type":"int","arg.properties":{"range":{"min":5,"max":9}}}},
            {"name":"b","type":{"type":"long","arg.properties":{"iteration":{"start":10,"step":10,"restart":40}}}},
            {"name":"c","type":"float"}, {"name":"d","type":{"type":"double","arg.properties":{"range":{"min":1,"max":2}}}},
            {"name":"e","type":{"type":"boolean","arg.properties":{"odds":0.1}}},
            {"name":"f","type":{"type":"string","arg.properties":{"regex":"User_[1-9]"}}},
            {"name":"g","type":{"type":"string","arg.properties":{"options":["x","y"]}}},
            {"name":"h","type":{"type":"string","arg.properties":{"length":{"min":2,"max":5}}}},
            {"name":"i","type":"bytes"}, {"name":"j","type":{"type":"enum","name":"E","symbols":["P","Q"]}},
            {"name":"k","type":["null","int"]}, {"name":"l","type":{"type":"array","items":"long"}},
            {"name":"m","type":{"type":"map","values":"string"}},
            {"name":"n","type":{"type":"record","name":"In","fields":[{"name":"x","type":"int"}]}}, {"name":"o","type":"In"},
            {"name":"p","type":{"type":"long","logicalType":"timestamp-millis"}},
            {"name":"q","type":{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}},
            {"name":"r","type":"int","arg.properties":{"options":[1,2]}}"#;
        let (name, fields) = parse(&record(all)).unwrap();
        assert_eq!(&*name, "n.r");
        let schema = schema_of(&fields, &name);
        let plan = elasticflow_formats::json::Plan::new(&schema, &elasticflow_formats::json::Style::CONNECT).unwrap();
        for n in 0..100 {
            let values = values(all, n);
            let value = Value::Struct(elasticflow_api::data::Struct { schema: Arc::clone(&schema), values });
            plan.write(&value, &mut bytes::BytesMut::new()).unwrap();
        }
    }

    #[test]
    fn ranges_iterations_and_options_are_kept() {
        let of = |kind: &str, n| values(&format!(r#"{{"name":"a","type":{kind}}}"#), n).remove(0);
        let steps = r#"{"type":"int","arg.properties":{"iteration":{"start":10,"step":10,"restart":40}}}"#;
        let found: Vec<_> = (0..5).map(|n| of(steps, n)).collect();
        assert_eq!(found, [10, 20, 30, 10, 20].map(Value::Int32));
        for n in 0..200 {
            let Value::Int64(drawn) = of(r#"{"type":"long","arg.properties":{"range":{"min":-2,"max":2}}}"#, n) else {
                panic!("no long")
            };
            assert!((-2..2).contains(&drawn), "{drawn}");
            let Value::String(text) = of(r#"{"type":"string","arg.properties":{"length":3}}"#, n) else {
                panic!("no text")
            };
            assert_eq!(text.len(), 3);
        }
    }

    #[test]
    fn what_is_not_understood_is_said_with_its_path() {
        for (field, problem) in [
            (r#"{"name":"a","type":"int","arg.properties":{"file":"x"}}"#, "/a: arg.properties.file is not understood"),
            (r#"{"name":"a","type":{"type":"int","arg.properties":{"regex":"x"}}}"#, "/a: arg.properties.regex"),
            (r#"{"name":"a","type":["null","int","long"]}"#, "/a: of unions"),
            (r#"{"name":"a","type":"what"}"#, "/a: type what"),
            (r#"{"name":"a","type":{"type":"array","items":"what"}}"#, "/a/items: type what"),
            (r#"{"name":"a","type":{"type":"string","arg.properties":{"regex":"[^a]"}}}"#, "not allowed"),
            (r#"{"name":"a","type":{"type":"int","arg.properties":{"options":["x"]}}}"#, "an option"),
            (r#"{"name":"a","type":{"type":"int","arg.properties":{"range":{"min":9,"max":1}}}}"#, "no range"),
            (r#"{"name":"a","type":{"type":"int","arg.properties":{"iteration":{"start":1,"step":0}}}}"#, "step of 0"),
            (r#"{"name":"a","type":"int"},{"name":"a","type":"int"}"#, "used twice"),
        ] {
            let error = parse(&record(field)).unwrap_err();
            assert!(error.contains(problem), "{field}: {error}");
        }
        assert!(parse("{").unwrap_err().contains("no JSON"));
        assert!(parse(r#""int""#).unwrap_err().contains("record is needed"));
        let deep = (0..20).fold(r#""int""#.to_owned(), |inner, _| format!(r#"{{"type":"array","items":{inner}}}"#));
        assert!(parse(&record(&format!(r#"{{"name":"a","type":{deep}}}"#))).unwrap_err().contains("deeply"));
    }
}
