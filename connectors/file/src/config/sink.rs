//! Settings of the sink.
use super::words::{Format, NullValues, Packing, PartitionerClass};
use elasticflow_config::settings;
use elasticflow_formats::json::DecimalFormat;

settings! {
    /// Settings of `FileSinkConnector`.
    pub struct SinkConfig {
        /// Directory of everything that the sink writes; parts are staged below its `.elasticflow`, so it must be one file system that every worker sees under this path.
        "output.path" => output_path: String { importance: High, group: "Files", valid: Validity::Check(absolute) },
        /// Directory of the finished files below output.path; empty puts the topics' directories into output.path itself.
        "topics.dir" => topics_dir: String { default: "topics", importance: High, group: "Files", valid: Validity::Check(relative) },
        /// How records become bytes: json (a line is a JSON value without its schema), csv (a header and rows), text (a line is a text).
        "format" => format: Format { default: "json", importance: High, group: "Files" },
        /// Compression of the files: none, gzip or zstd.
        "compression" => compression: Packing { default: "none", importance: Low, group: "Files" },
        /// Most records of a file.
        "flush.size" => flush_size: u64 { default: "100000", importance: High, group: "Files", valid: Validity::Range(1.0, 1e12) },
        /// Most milliseconds between the timestamps of the first record of a file and of any other; -1 has no limit.
        "rotate.interval.ms" => rotate_interval_ms: i64 { default: "-1", importance: Medium, group: "Files" },
        /// Most milliseconds by the clock that a file takes records, looked at with every record of it; -1 has no limit. A unit ends every commit.interval.ms and closes all files whatever this says.
        "rotate.schedule.interval.ms" => rotate_schedule_ms: i64 { default: "-1", importance: Medium, group: "Files" },
        /// Most bytes of a file before compression; the record that reaches them still belongs to it.
        "file.max.bytes" => file_bytes_max: u64 { default: "134217728", importance: Medium, group: "Files", valid: Validity::Range(1.0, 1e15) },
        /// Most files that a task holds open; beyond them the one that has waited longest is closed.
        "file.open.max" => open_max: usize { default: "200", importance: Low, group: "Files", valid: Validity::Range(1.0, 10_000.0) },
        /// Joins topic, partition and offsets in a file's name.
        "file.delim" => delim: String { default: "+", importance: Low, group: "Names", valid: Validity::Check(delimiter) },
        /// Digits of the offsets in a file's name, filled with zeros.
        "filename.offset.zero.pad.width" => pad: usize { default: "10", importance: Low, group: "Names", valid: Validity::Range(0.0, 19.0) },
        /// How records spread over directories: DefaultPartitioner makes partition=<n>, FieldPartitioner <field>=<value> of each field of partition.field.name.
        "partitioner.class" => partitioner: PartitionerClass { default: "DefaultPartitioner", importance: Medium, group: "Names" },
        /// Fields of the value that name the directories of FieldPartitioner.
        "partition.field.name" => partition_fields: Vec<String> { default: "", importance: Medium, group: "Names" },
        /// What a record without a value does: fail makes it a bad record, ignore leaves it out, write writes it.
        "behavior.on.null.values" => null_values: NullValues { default: "fail", importance: Low, group: "Records" },
        /// Decimals in JSON as BASE64 text of the unscaled bytes, or NUMERIC.
        "decimal.format" => decimal_format: DecimalFormat { default: "BASE64", importance: Low, group: "Records" },
        /// Format text: whether values that are no texts are written as StringConverter writes them; otherwise they are bad records.
        "text.stringify" => stringify: bool { default: "false", importance: Low, group: "Records" },
    }
}

fn absolute(text: &str) -> Result<(), String> {
    if text.starts_with('/') { Ok(()) } else { Err("must be an absolute path".to_owned()) }
}

fn relative(text: &str) -> Result<(), String> {
    let bad = |part: &str| part == ".." || part == "." || part.starts_with(".elasticflow");
    if text.starts_with('/') || text.split('/').any(bad) {
        return Err("must be a path below output.path, without . and .., and not .elasticflow".to_owned());
    }
    Ok(())
}

fn delimiter(text: &str) -> Result<(), String> {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    if fits { Ok(()) } else { Err("must be printable ASCII characters without a slash".to_owned()) }
}
