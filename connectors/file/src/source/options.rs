//! The configuration as the reading code takes it: defaults resolved, patterns compiled, schema read.
use super::decode::cells::is_readable;
use super::decode::columns::{KeyColumns, Rules, converter, schema_of};
use super::decode::csv::Dialect;
use super::decode::text::Charset;
use crate::config::{
    Cleanup, Compression, Format, Identify, Malformed, Mode, NullIndicator, Order, Rotation, SourceConfig, TailFrom,
    Timestamps, WidthMismatch, glob, whole_name,
};
use crate::error::Error;
use elasticflow_api::data::Kind;
use elasticflow_formats::json::JsonConverter;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Defaults of a class.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preset {
    pub(crate) format: Format,
    pub(crate) cleanup: Cleanup,
    pub(crate) minimum_age_ms: u64,
}

impl Preset {
    /// Of this product's own class.
    pub(crate) const OWN: Self = Self { format: Format::Text, cleanup: Cleanup::None, minimum_age_ms: 5000 };

    /// Of a spooldir class.
    pub(crate) const fn spooldir(format: Format) -> Self {
        Self { format, cleanup: Cleanup::Move, minimum_age_ms: 0 }
    }
}

/// How a file becomes records.
#[derive(Clone)]
pub(crate) enum Shape {
    Text(Charset),
    Json { charset: Charset, converter: Arc<JsonConverter>, key: Option<KeyColumns> },
    Csv { dialect: Dialect, rules: Arc<Rules>, header: bool, skip_lines: u32 },
}

/// The resolved configuration.
pub(crate) struct Options {
    pub(crate) input_path: PathBuf,
    pub(crate) name_pattern: regex::Regex,
    pub(crate) glob: Option<globset::GlobMatcher>,
    pub(crate) recursive: bool,
    pub(crate) topic: String,
    pub(crate) mode: Mode,
    pub(crate) order: Order,
    pub(crate) minimum_age: Duration,
    pub(crate) cleanup: Cleanup,
    pub(crate) finished_path: Option<PathBuf>,
    pub(crate) error_path: Option<PathBuf>,
    pub(crate) halt_on_error: bool,
    pub(crate) batch_records: usize,
    pub(crate) empty_wait: Duration,
    pub(crate) timestamps: Timestamps,
    pub(crate) compression: Compression,
    /// Names that end in `.gz` are not wanted: a growing file is no compressed one.
    pub(crate) skips_gz: bool,
    pub(crate) shape: Shape,
    pub(crate) record_bytes_max: usize,
    pub(crate) tail_from: TailFrom,
    pub(crate) quiet: Duration,
    pub(crate) rotation: Rotation,
    pub(crate) identify: Identify,
}

/// A problem of the configuration, by key.
pub(crate) type Problems = Vec<(&'static str, String)>;

impl Options {
    /// Resolves a configuration; every problem at once.
    pub(crate) fn new(config: &SourceConfig, preset: Preset) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        check_paths(config, preset, &mut problems);
        let shape = shape(config, preset, &mut problems);
        let pattern = whole_name(&config.input_file_pattern);
        let glob = config.input_file_glob.as_deref().map(glob).transpose();
        match (shape, pattern, glob) {
            (Some(shape), Ok(name_pattern), Ok(glob)) if problems.is_empty() => {
                Ok(Self::resolved(config, preset, shape, (name_pattern, glob)))
            }
            _ => Err(problems),
        }
    }

    fn resolved(
        config: &SourceConfig,
        preset: Preset,
        shape: Shape,
        (name_pattern, glob): (regex::Regex, Option<globset::GlobMatcher>),
    ) -> Self {
        let minimum_age = Duration::from_millis(config.minimum_age.map_or(preset.minimum_age_ms, |age| age.0));
        Self {
            input_path: PathBuf::from(&config.input_path),
            name_pattern,
            glob,
            recursive: config.recursive,
            topic: config.topic.clone(),
            mode: config.mode,
            order: config.order,
            minimum_age,
            cleanup: cleanup(config, preset),
            finished_path: config.finished_path.as_ref().map(PathBuf::from),
            error_path: config.error_path.as_ref().map(PathBuf::from),
            halt_on_error: config.halt_on_error,
            batch_records: config.batch_size,
            empty_wait: config.empty_poll_wait.duration(),
            timestamps: config.timestamps,
            compression: if config.mode == Mode::Tail { Compression::None } else { config.compression },
            skips_gz: config.mode == Mode::Tail && config.compression == Compression::Auto,
            shape,
            record_bytes_max: config.record_bytes_max,
            tail_from: config.tail_from,
            quiet: config.partial_line.duration(),
            rotation: config.rotation,
            identify: config.identify,
        }
    }

    /// What a user of growing files must know.
    pub(crate) fn truncation_warning(&self) -> Option<&'static str> {
        (self.mode == Mode::Tail && self.rotation != Rotation::Rename).then_some(
            "FILE-0012: copytruncate rotation can lose lines written between copy and truncate; prefer rename and set tail.rotation=rename",
        )
    }

    /// As [`Options::new`], with the problems in one error.
    pub(crate) fn checked(config: &SourceConfig, preset: Preset) -> Result<Self, Error> {
        Self::new(config, preset).map_err(|problems| {
            let texts: Vec<String> = problems.into_iter().map(|(key, text)| format!("{key}: {text}")).collect();
            Error::Config(texts.join("; "))
        })
    }
}

fn cleanup(config: &SourceConfig, preset: Preset) -> Cleanup {
    match config.cleanup {
        Some(cleanup) => cleanup,
        // Followed files are never finished.
        None if config.mode == Mode::Tail => Cleanup::None,
        None => preset.cleanup,
    }
}

fn check_paths(config: &SourceConfig, preset: Preset, problems: &mut Problems) {
    let moves = matches!(cleanup(config, preset), Cleanup::Move | Cleanup::MoveByDate);
    if moves && config.finished_path.is_none() {
        problems.push(("finished.path", "is needed by cleanup.policy MOVE and MOVEBYDATE".to_owned()));
    }
    if !config.halt_on_error && config.error_path.is_none() {
        problems.push(("error.path", "is needed by halt.on.error=false".to_owned()));
    }
    if config.mode == Mode::Tail {
        if cleanup(config, preset) != Cleanup::None {
            problems.push(("cleanup.policy", "must be NONE in mode tail: a growing file is never finished".to_owned()));
        }
        if config.compression == Compression::Gzip {
            problems.push(("compression", "mode tail reads uncompressed files alone".to_owned()));
        }
        if !config.halt_on_error {
            problems.push(("halt.on.error", "must be true in mode tail: a growing file cannot move away".to_owned()));
        }
    }
}

fn shape(config: &SourceConfig, preset: Preset, problems: &mut Problems) -> Option<Shape> {
    let replace = config.malformed == Malformed::Replace;
    let format = config.format.unwrap_or(preset.format);
    let charset = Charset::new(config.charset.0, replace);
    match format {
        Format::Text => {
            if !config.key_fields.is_empty() {
                problems.push((
                    "schema.generation.key.fields",
                    "a line of text has no fields; use format csv or json".to_owned(),
                ));
            }
            if config.value_schema.is_some() {
                problems.push(("value.schema", "a line of text is a text; use format csv or json".to_owned()));
            }
            Some(Shape::Text(charset))
        }
        Format::Json => json_shape(config, charset, problems),
        Format::Csv => csv_shape(config, replace, problems),
    }
}

fn json_shape(config: &SourceConfig, charset: Charset, problems: &mut Problems) -> Option<Shape> {
    let content = config.value_schema.as_deref();
    if content.is_none() && !config.key_fields.is_empty() {
        problems.push((
            "schema.generation.key.fields",
            "json values have fields with value.schema alone; set it, or use the transform ValueToKey".to_owned(),
        ));
    }
    let key = match content.map(|json| schema_of(json).and_then(|schema| KeyColumns::new(&schema, &config.key_fields)))
    {
        None => None,
        Some(Ok(key)) => key,
        Some(Err(reason)) => {
            problems.push(("value.schema", reason));
            return None;
        }
    };
    match converter(false, content) {
        Ok(converter) => Some(Shape::Json { charset, converter: Arc::new(converter), key }),
        Err(reason) => {
            problems.push(("value.schema", reason));
            None
        }
    }
}

fn csv_shape(config: &SourceConfig, replace: bool, problems: &mut Problems) -> Option<Shape> {
    let encoding = config.csv_charset.unwrap_or(config.charset).0;
    let dialect = Dialect {
        separator: config.csv_separator.0,
        quote: config.csv_quote.0,
        escape: config.csv_escape.map(|c| c.0),
        bytes_max: config.record_bytes_max,
    };
    if dialect.separator == dialect.quote {
        problems.push(("csv.quote.char", "must differ from csv.separator.char".to_owned()));
    }
    let special = [Some(dialect.separator), Some(dialect.quote), dialect.escape];
    // The second byte of a character in GBK, Big5, Shift_JIS and others can be any of these.
    let can_be_second = |byte: &u8| *byte >= 0x30;
    if !encoding.is_single_byte() && encoding != encoding_rs::UTF_8 && special.iter().flatten().any(can_be_second) {
        let text = format!(
            "characters of {} can contain the bytes of this dialect; use a separator, quote and escape below the digits, or UTF-8",
            encoding.name()
        );
        problems.push(("csv.separator.char", text));
    }
    let schema = config.value_schema.as_deref().and_then(|json| {
        schema_of(json).and_then(csv_schema).map_err(|reason| problems.push(("value.schema", reason))).ok()
    });
    let rules = Rules {
        schema,
        key: config.key_fields.clone(),
        empty_is_null: config.csv_null == NullIndicator::Both,
        pad: config.csv_width == WidthMismatch::Pad,
        charset: Charset::new(encoding, replace),
    };
    Some(Shape::Csv { dialect, rules: Arc::new(rules), header: config.csv_header, skip_lines: config.csv_skip_lines })
}

fn csv_schema(schema: elasticflow_api::data::SchemaRef) -> Result<elasticflow_api::data::SchemaRef, String> {
    let Kind::Struct(fields) = &schema.kind else { return Err("must be of type struct".to_owned()) };
    match fields.iter().find(|f| !is_readable(&f.schema)) {
        Some(field) => Err(format!("field {} is of a type that csv has no form for", field.name)),
        None => Ok(schema),
    }
}
