//! Connect's schemas to `.proto` texts.
use crate::protobuf::ProtobufOptions;
use crate::protobuf::known;
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef};
use elasticflow_formats::FormatError;
use elasticflow_formats::logical::{Logical, logical_of};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

/// A schema as text, with the full name of its message.
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) name: String,
}

/// The text of a Connect schema.
pub(crate) fn describe(schema: &SchemaRef, options: &ProtobufOptions) -> Result<Text, FormatError> {
    let Kind::Struct(fields) = &schema.kind else {
        return Err(FormatError::data(
            "Protobuf messages are structs; convert other keys and values with another converter",
        ));
    };
    let mut describer = Describer { options, imports: BTreeSet::new(), named: HashMap::new(), unnamed: 0 };
    let full = schema.name.as_deref().map_or_else(|| describer.next_unnamed(), str::to_owned);
    let (package, name) = full.rsplit_once('.').unwrap_or(("", &full));
    let package =
        package.split('.').filter(|p| !p.is_empty()).map(|part| options.name(part)).collect::<Result<Vec<_>, _>>()?;
    let (package, name) = (package.join("."), options.name(name)?);
    let full = super::model::joined(&package, &name);
    describer.named.insert(key_of(schema), (full.clone(), Arc::clone(fields)));
    let body = describer.message(&name, &full, fields, 0)?;
    let mut text = "syntax = \"proto3\";\n".to_owned();
    if !package.is_empty() {
        let _ = writeln!(text, "package {package};");
    }
    text.push('\n');
    for import in &describer.imports {
        let _ = writeln!(text, "import \"{import}\";");
    }
    if !describer.imports.is_empty() {
        text.push('\n');
    }
    text.push_str(&body);
    Ok(Text { text, name: full })
}

/// By what a struct is known again.
fn key_of(schema: &Schema) -> String {
    schema.name.as_deref().unwrap_or_default().to_owned()
}

struct Describer<'a> {
    options: &'a ProtobufOptions,
    imports: BTreeSet<&'static str>,
    /// Full names of the messages that are declared, with their fields.
    named: HashMap<String, (String, Arc<[Field]>)>,
    unnamed: u32,
}

/// A field's type with what stands beside it.
struct Typed {
    word: String,
    parameters: Vec<(&'static str, String)>,
    /// Whether it can be told from an absent one by itself.
    is_message: bool,
}

impl Typed {
    fn plain(word: &str) -> Self {
        Self { word: word.to_owned(), parameters: Vec::new(), is_message: false }
    }

    fn message(word: &str) -> Self {
        Self { is_message: true, ..Self::plain(word) }
    }
}

impl Describer<'_> {
    fn next_unnamed(&mut self) -> String {
        self.unnamed = self.unnamed.saturating_add(1);
        format!("{}{}", known::UNNAMED, self.unnamed)
    }

    fn message(&mut self, name: &str, full: &str, fields: &Arc<[Field]>, level: usize) -> Result<String, FormatError> {
        let (pad, inner) = ("  ".repeat(level), "  ".repeat(level.saturating_add(1)));
        let mut body = String::new();
        let mut nested = String::new();
        let mut numbers = Numbers::default();
        for field in fields.iter() {
            if let Some(union) = union_of(&field.schema) {
                let _ = writeln!(body, "{inner}oneof {} {{", self.options.name(union)?);
                for member in members(&field.schema) {
                    let line = self.field(member, (full, level, true), &mut numbers, &mut nested)?;
                    let _ = writeln!(body, "{inner}  {line}");
                }
                let _ = writeln!(body, "{inner}}}");
            } else {
                let line = self.field(field, (full, level, false), &mut numbers, &mut nested)?;
                let _ = writeln!(body, "{inner}{line}");
            }
        }
        Ok(format!("{pad}message {name} {{\n{body}{nested}{pad}}}\n"))
    }

    fn field(
        &mut self,
        field: &Field,
        (scope, level, in_oneof): (&str, usize, bool),
        numbers: &mut Numbers,
        nested: &mut String,
    ) -> Result<String, FormatError> {
        let name = self.options.name(&field.name)?;
        let (label, schema) = match &field.schema.kind {
            Kind::Array(item) => ("repeated ", item),
            _ => ("", &field.schema),
        };
        let place = Place { field: &name, scope, level };
        let typed = match &schema.kind {
            Kind::Map { key, value } => self.map(key, value, &place, nested)?,
            _ => self.of(schema, &place, nested)?,
        };
        let explicit = self.options.optional_for_nullables && schema.optional && !typed.is_message && !in_oneof;
        let label = if label.is_empty() && explicit { "optional " } else { label };
        let number = numbers.of(&field.schema)?;
        let mut line = format!("{label}{} {name} = {number}", typed.word);
        if !typed.parameters.is_empty() {
            self.imports.insert("confluent/meta.proto");
            let entry = |(key, value): &(&str, String)| format!("{{ key: \"{key}\", value: \"{value}\" }}");
            let entries: Vec<String> = typed.parameters.iter().map(entry).collect();
            let _ = write!(line, " [(confluent.field_meta) = {{ params: [ {} ] }}]", entries.join(", "));
        }
        line.push(';');
        Ok(line)
    }

    fn map(
        &mut self,
        key: &SchemaRef,
        value: &SchemaRef,
        place: &Place<'_>,
        nested: &mut String,
    ) -> Result<Typed, FormatError> {
        let word = match key.kind {
            Kind::Int8 | Kind::Int16 | Kind::Int32 => "int32",
            Kind::Int64 => "int64",
            Kind::Boolean => "bool",
            Kind::String => "string",
            _ => return Err(FormatError::data("the keys of a map must be integers, booleans or texts in Protobuf")),
        };
        let value = self.of(value, place, nested)?;
        // No label and no options stand inside a map.
        Ok(Typed { is_message: true, ..Typed::plain(&format!("map<{word}, {}>", value.word)) })
    }

    /// The type of a value that is neither list nor map.
    fn of(&mut self, schema: &SchemaRef, place: &Place<'_>, nested: &mut String) -> Result<Typed, FormatError> {
        match logical_of(schema) {
            Some(Logical::Decimal(scale)) => return Ok(self.decimal(schema, scale)),
            Some(Logical::Date) => return Ok(self.import("google/type/date.proto", known::DATE)),
            Some(Logical::Time) => return Ok(self.import("google/type/timeofday.proto", known::TIME)),
            Some(Logical::Timestamp) => return Ok(self.import("google/protobuf/timestamp.proto", known::TIMESTAMP)),
            None => {}
        }
        let (word, wrapper, narrow) = match &schema.kind {
            Kind::Int8 => ("int32", "Int32Value", Some("int8")),
            Kind::Int16 => ("int32", "Int32Value", Some("int16")),
            Kind::Int32 => ("int32", "Int32Value", None),
            Kind::Int64 => ("int64", "Int64Value", None),
            Kind::Float32 => ("float", "FloatValue", None),
            Kind::Float64 => ("double", "DoubleValue", None),
            Kind::Boolean => ("bool", "BoolValue", None),
            Kind::String if schema.parameters.contains_key(known::ENUM) => {
                return self.enumeration(schema, place, nested);
            }
            Kind::String => ("string", "StringValue", None),
            Kind::Bytes => ("bytes", "BytesValue", None),
            Kind::Struct(fields) => return self.nested(schema, fields, place, nested),
            Kind::Array(_) | Kind::Map { .. } => {
                return Err(FormatError::data("lists and maps cannot be items of lists or values of maps in Protobuf"));
            }
        };
        let mut typed = if self.options.wrapper_for_nullables && schema.optional {
            self.import("google/protobuf/wrappers.proto", &format!("google.protobuf.{wrapper}"))
        } else {
            Typed::plain(word)
        };
        typed.parameters.extend(narrow.map(|narrow| (known::CONNECT_TYPE, narrow.to_owned())));
        Ok(typed)
    }

    fn import(&mut self, file: &'static str, name: &str) -> Typed {
        self.imports.insert(file);
        Typed::message(name)
    }

    fn decimal(&mut self, schema: &Schema, scale: Option<i32>) -> Typed {
        let mut typed = self.import("confluent/type/decimal.proto", known::DECIMAL);
        let precision = schema.parameters.get(known::CONNECT_PRECISION);
        typed.parameters.extend(precision.map(|p| (known::PRECISION, p.to_string())));
        typed.parameters.extend(scale.map(|scale| (known::SCALE, scale.to_string())));
        typed
    }

    fn nested(
        &mut self,
        schema: &SchemaRef,
        fields: &Arc<[Field]>,
        place: &Place<'_>,
        nested: &mut String,
    ) -> Result<Typed, FormatError> {
        if let Some((full, known)) = self.named.get(&key_of(schema)).filter(|_| schema.name.is_some()) {
            if known != fields {
                return Err(FormatError::data(format!("two different structs are called {}", key_of(schema))));
            }
            return Ok(Typed::message(&format!(".{full}")));
        }
        let own = schema.name.as_deref().map_or_else(|| self.next_unnamed(), str::to_owned);
        let mut name = self.options.name(own.rsplit('.').next().unwrap_or(&own))?;
        if name == place.field {
            name.push_str("Message");
        }
        let full = format!("{}.{name}", place.scope);
        if self.named.values().any(|(taken, _)| *taken == full) {
            return Err(FormatError::data(format!("two structs are called {full} in Protobuf")));
        }
        let key = schema.name.as_deref().map_or_else(|| full.clone(), str::to_owned);
        self.named.insert(key, (full.clone(), Arc::clone(fields)));
        let text = self.message(&name, &full, fields, place.level.saturating_add(1))?;
        nested.push_str(&text);
        Ok(Typed::message(&name))
    }

    fn enumeration(
        &mut self,
        schema: &SchemaRef,
        place: &Place<'_>,
        nested: &mut String,
    ) -> Result<Typed, FormatError> {
        let name = schema.parameters.get(known::ENUM).map_or("", |name| name.as_ref());
        let name = self.options.name(name.rsplit('.').next().unwrap_or(name))?;
        let prefix = format!("{}.", known::ENUM);
        let numbered = |(key, value): (&Arc<str>, &Arc<str>)| {
            Some((value.parse::<i32>().ok()?, key.strip_prefix(&prefix)?.to_owned()))
        };
        let mut symbols: Vec<(i32, String)> = schema.parameters.iter().filter_map(numbered).collect();
        symbols.sort();
        let pad = "  ".repeat(place.level.saturating_add(1));
        let mut text = format!("{pad}enum {name} {{\n");
        for (number, symbol) in symbols {
            let _ = writeln!(text, "{pad}  {symbol} = {number};");
        }
        let _ = writeln!(text, "{pad}}}");
        if !nested.contains(&text) {
            nested.push_str(&text);
        }
        Ok(Typed::plain(&name))
    }
}

struct Place<'a> {
    field: &'a str,
    scope: &'a str,
    level: usize,
}

/// Numbers of fields: their own, or the next.
#[derive(Default)]
struct Numbers {
    last: u32,
}

impl Numbers {
    fn of(&mut self, schema: &Schema) -> Result<u32, FormatError> {
        match schema.parameters.get(known::TAG) {
            Some(tag) => {
                tag.parse().map_err(|_| FormatError::data(format!("the parameter {} is no number", known::TAG)))
            }
            None => {
                self.last = self.last.saturating_add(1);
                Ok(self.last)
            }
        }
    }
}

/// Name of the oneof that a struct stands for.
pub(crate) fn union_of(schema: &Schema) -> Option<&str> {
    schema.name.as_deref()?.strip_prefix(known::UNION).filter(|_| matches!(schema.kind, Kind::Struct(_)))
}

/// Fields of a struct.
pub(crate) fn members(schema: &Schema) -> &[Field] {
    match &schema.kind {
        Kind::Struct(fields) => fields,
        _ => &[],
    }
}
