//! Settings of the source.
use super::words::{
    ByteChar, Charset, Cleanup, Compression, Format, Identify, Malformed, Mode, NullIndicator, Order, Rotation,
    TailFrom, Timestamps, WidthMismatch,
};
use elasticflow_config::{Millis, settings};

settings! {
    /// Settings of `FileSourceConnector`.
    pub struct SourceConfig {
        /// Directory to read from.
        "input.path" => input_path: String { importance: High, group: "Files", valid: Validity::Check(not_empty) },
        /// Regular expression that a whole file name must match.
        "input.file.pattern" => input_file_pattern: String { default: ".*", importance: High, group: "Files", valid: Validity::Check(regex_word) },
        /// Glob that the path below input.path must match as well, such as `2024/*/*.csv`.
        "input.file.glob" => input_file_glob: Option<String> { importance: High, group: "Files", valid: Validity::Check(glob_word) },
        /// Whether directories below input.path are read as well. Symbolic links are never followed.
        "input.path.walk.recursively" => recursive: bool { default: "false", importance: Low, group: "Files" },
        /// Topic of the records; `${name}` is the file's name, `${dir}` its directory below input.path, with characters that a topic cannot have as underscores.
        "topic" => topic: String { importance: High, group: "Records", valid: Validity::Check(not_empty) },
        /// How bytes become records: text (a line is a text), csv (a row is a struct), json (a line is a JSON value). text when not set; the spooldir classes preset theirs.
        "format" => format: Option<Format> { importance: High, group: "Records" },
        /// Whole files once (spool), or growing files that are followed over rotations (tail).
        "mode" => mode: Mode { default: "spool", importance: High, group: "Files" },
        /// Milliseconds for which a file must not have changed before it is read, mode spool. 5000 when not set, 0 with the spooldir classes.
        "file.minimum.age.ms" => minimum_age: Option<Millis> { importance: Medium, group: "Files" },
        /// Order in which files are read, mode spool.
        "files.sort.attributes" => order: Order { default: "NameAsc", importance: Low, group: "Files" },
        /// What happens to a file that was read to its end, after its positions are committed: NONE, DELETE, MOVE, MOVEBYDATE. NONE when not set, MOVE with the spooldir classes.
        "cleanup.policy" => cleanup: Option<Cleanup> { importance: High, group: "Files" },
        /// Directory that finished files move to; on the same file system as input.path.
        "finished.path" => finished_path: Option<String> { importance: High, group: "Files" },
        /// Directory that files move to whose reading failed; on the same file system as input.path. Needed by halt.on.error=false.
        "error.path" => error_path: Option<String> { importance: High, group: "Files" },
        /// Whether a bad record is reported as such (true), or ends the reading of its file, which then moves to error.path (false).
        "halt.on.error" => halt_on_error: bool { default: "true", importance: High, group: "Files" },
        /// Most records of a batch.
        "batch.size" => batch_size: usize { default: "1000", importance: Low, group: "Records", valid: Validity::Range(1.0, 1_000_000.0) },
        /// Milliseconds between two looks at the directory when there is nothing to read.
        "empty.poll.wait.ms" => empty_poll_wait: Millis { default: "500", importance: Low, group: "Files", valid: Validity::Range(1.0, 3_600_000.0) },
        /// Time of a record: when it is read (PROCESS_TIME), or when its file was last changed (FILE_TIME).
        "timestamp.mode" => timestamps: Timestamps { default: "PROCESS_TIME", importance: Low, group: "Records" },
        /// Charset of the files, by any label of the WHATWG encoding standard in which a line feed is one byte.
        "charset" => charset: Charset { default: "UTF-8", importance: Medium, group: "Records" },
        /// Charset of csv files; charset when not set.
        "csv.file.charset" => csv_charset: Option<Charset> { importance: Low, group: "CSV" },
        /// What bytes that are not of the charset do: report makes the record a bad one, replace turns them into U+FFFD.
        "charset.on.malformed" => malformed: Malformed { default: "report", importance: Low, group: "Records" },
        /// Compression of the files: gzip, none, or auto, which tells by the first bytes. Mode tail reads uncompressed files alone.
        "compression" => compression: Compression { default: "auto", importance: Low, group: "Files" },
        /// Connect schema of the value as JSON, as JsonConverter writes it: `{"type":"struct","fields":[...]}`. Columns are then read as its types; without it, csv gives optional texts and json schemaless values.
        "value.schema" => value_schema: Option<String> { importance: Medium, group: "Records" },
        /// Columns of which the record's key is made, a struct; without them the key is null. Formats csv, and json with value.schema.
        "schema.generation.key.fields" => key_fields: Vec<String> { default: "", importance: Medium, group: "Records" },
        /// Separator of csv fields, as a character or its number.
        "csv.separator.char" => csv_separator: ByteChar { default: "44", importance: Medium, group: "CSV" },
        /// Quote of csv fields, as a character or its number; doubled inside a quoted field it stands for itself.
        "csv.quote.char" => csv_quote: ByteChar { default: "34", importance: Low, group: "CSV" },
        /// Escape character inside quoted csv fields; none when not set.
        "csv.escape.char" => csv_escape: Option<ByteChar> { importance: Low, group: "CSV" },
        /// Whether the first row names the fields; otherwise they are column01, column02 and so on, or those of value.schema.
        "csv.first.row.as.header" => csv_header: bool { default: "false", importance: High, group: "CSV" },
        /// Lines to skip at the beginning of each csv file.
        "csv.skip.lines" => csv_skip_lines: u32 { default: "0", importance: Low, group: "CSV" },
        /// Which empty csv fields are null: NEITHER or BOTH (those between separators and those between quotes).
        "csv.null.field.indicator" => csv_null: NullIndicator { default: "NEITHER", importance: Low, group: "CSV" },
        /// What a row of another width does: record-error makes it a bad record; pad takes missing fields as null.
        "csv.on.width.mismatch" => csv_width: WidthMismatch { default: "record-error", importance: Low, group: "CSV" },
        /// Most bytes of one record, of any format; a longer one is a bad record, and reading goes on at the next line.
        "csv.max.record.bytes" => record_bytes_max: usize { default: "16777216", importance: Low, group: "Records", valid: Validity::Range(1.0, 16_777_216.0) },
        /// Where a file without a position is begun, mode tail: beginning, or end for files that are there at the first look.
        "tail.from" => tail_from: TailFrom { default: "beginning", importance: Medium, group: "Tail" },
        /// Milliseconds for which a file that was rotated away must not have grown before its unterminated last line counts as a record and the file as finished.
        "tail.partial.line.ms" => partial_line: Millis { default: "5000", importance: Medium, group: "Tail" },
        /// How files are rotated: rename, copytruncate, both. copytruncate can lose lines that are written between the copy and the truncation.
        "tail.rotation" => rotation: Rotation { default: "both", importance: Medium, group: "Tail" },
        /// What tells one file from another: inode, or path for file systems without stable inodes.
        "file.identity" => identify: Identify { default: "inode", importance: Low, group: "Tail" },
    }
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("must not be empty".to_owned()) } else { Ok(()) }
}

fn regex_word(text: &str) -> Result<(), String> {
    whole_name(text).map(|_| ()).map_err(|error| format!("not a regular expression: {error}"))
}

fn glob_word(text: &str) -> Result<(), String> {
    glob(text).map(|_| ()).map_err(|error| format!("not a glob: {error}"))
}

/// A pattern for whole names, as Java's `matches` takes it.
pub(crate) fn whole_name(pattern: &str) -> Result<regex::Regex, regex::Error> {
    regex::Regex::new(&format!("^(?:{pattern})$"))
}

/// A glob in which a star stays within one directory.
pub(crate) fn glob(pattern: &str) -> Result<globset::GlobMatcher, globset::Error> {
    Ok(globset::GlobBuilder::new(pattern).literal_separator(true).build()?.compile_matcher())
}
