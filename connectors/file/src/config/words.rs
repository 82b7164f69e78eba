//! Words and small values of both configurations.
use elasticflow_config::{ConfigValue, KeyType, choice};

choice! {
    /// How bytes become records and back.
    pub enum Format {
        /// A line is a text.
        Text = "text",
        /// A row is a struct.
        Csv = "csv",
        /// A line is a JSON value.
        Json = "json",
    }
}

choice! {
    /// Whole files once, or growing files.
    pub enum Mode {
        /// Whole files, each once.
        Spool = "spool",
        /// Growing files, followed over rotations.
        Tail = "tail",
    }
}

choice! {
    /// Order in which files are read.
    pub enum Order {
        /// By path.
        NameAsc = "NameAsc",
        /// By path, last first.
        NameDesc = "NameDesc",
        /// Shortest first.
        LengthAsc = "LengthAsc",
        /// Longest first.
        LengthDesc = "LengthDesc",
        /// Oldest first.
        LastModifiedAsc = "LastModifiedAsc",
        /// Newest first.
        LastModifiedDesc = "LastModifiedDesc",
    }
}

choice! {
    /// What happens to a file that was read to its end.
    pub enum Cleanup {
        /// It stays.
        None = "NONE",
        /// It is deleted.
        Delete = "DELETE",
        /// It moves to `finished.path`.
        Move = "MOVE",
        /// It moves to a folder of `finished.path` named after the day of its last change.
        MoveByDate = "MOVEBYDATE",
    }
}

choice! {
    /// Time of a record.
    pub enum Timestamps {
        /// When it is read.
        ProcessTime = "PROCESS_TIME",
        /// When the file was last changed.
        FileTime = "FILE_TIME",
    }
}

choice! {
    /// Where a file without a position is begun, mode `tail`.
    pub enum TailFrom {
        /// At its first byte.
        Beginning = "beginning",
        /// At its end, as found at the first look.
        End = "end",
    }
}

choice! {
    /// How growing files are rotated.
    pub enum Rotation {
        /// The file is renamed and another takes its name.
        Rename = "rename",
        /// The file is copied and cut to nothing.
        CopyTruncate = "copytruncate",
        /// Either.
        Both = "both",
    }
}

choice! {
    /// What tells one file from another.
    pub enum Identify {
        /// Device and inode.
        Inode = "inode",
        /// The path, for file systems without stable inodes.
        Path = "path",
    }
}

choice! {
    /// What bytes that are not of the charset do.
    pub enum Malformed {
        /// The record is bad.
        Report = "report",
        /// They become U+FFFD.
        Replace = "replace",
    }
}

choice! {
    /// Which empty csv fields are null.
    pub enum NullIndicator {
        /// None: they are empty texts.
        Neither = "NEITHER",
        /// Every one.
        Both = "BOTH",
    }
}

choice! {
    /// What a row of another width than the header does.
    pub enum WidthMismatch {
        /// It is a bad record.
        RecordError = "record-error",
        /// Missing fields are null, fields too many are a bad record.
        Pad = "pad",
    }
}

choice! {
    /// Compression of files that are written.
    pub enum Packing {
        /// As they are.
        None = "none",
        /// As gzip does.
        Gzip = "gzip",
        /// As zstd does, at its default level.
        Zstd = "zstd",
    }
}

choice! {
    /// Compression of files.
    pub enum Compression {
        /// Gzip where the file begins with its magic bytes.
        Auto = "auto",
        /// None.
        None = "none",
        /// Gzip.
        Gzip = "gzip",
    }
}

choice! {
    /// What a null value does in a sink.
    pub enum NullValues {
        /// It is a bad record.
        Fail = "fail",
        /// It is left out.
        Ignore = "ignore",
        /// It is written: `null` in JSON, an empty line otherwise.
        Write = "write",
    }
}

choice! {
    /// How records spread over folders.
    pub enum Partitioner {
        /// `partition=<n>`.
        Default = "DefaultPartitioner",
        /// `<field>=<value>` of each field of `partition.field.name`.
        Field = "FieldPartitioner",
    }
}

/// A partitioner by its class name, with or without its package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionerClass(pub Partitioner);

impl ConfigValue for PartitionerClass {
    const KIND: KeyType = KeyType::Class;
    fn read(text: &str) -> Result<Self, String> {
        let simple = text.trim().rsplit('.').next().unwrap_or_default();
        Partitioner::read(simple)
            .map(Self)
            .map_err(|_| format!("Class must be one of: {}", Partitioner::words().join(", ")))
    }
}

/// A single byte, given as a character or as its number: 44 and `,` are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteChar(pub u8);

impl ConfigValue for ByteChar {
    const KIND: KeyType = KeyType::String;
    fn read(text: &str) -> Result<Self, String> {
        let wrong = || "must be one ASCII character, or its number from 1 to 127".to_owned();
        let byte = match text.as_bytes() {
            [byte] if !byte.is_ascii_digit() => *byte,
            b"\\t" => b'\t',
            _ => text.trim().parse::<u8>().map_err(|_| wrong())?,
        };
        let fits = (1..128).contains(&byte) && byte != b'\n' && byte != b'\r';
        if fits { Ok(Self(byte)) } else { Err(wrong()) }
    }
}

/// A charset by any of its labels in the WHATWG encoding standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset(pub &'static encoding_rs::Encoding);

impl ConfigValue for Charset {
    const KIND: KeyType = KeyType::String;
    fn read(text: &str) -> Result<Self, String> {
        let known = encoding_rs::Encoding::for_label(text.as_bytes())
            .ok_or_else(|| "is not a known charset; UTF-8, ISO-8859-1, windows-1252, GBK are examples".to_owned())?;
        if known.is_ascii_compatible() {
            return Ok(Self(known));
        }
        Err(format!("lines of {} cannot be told apart byte by byte; convert the files to UTF-8", known.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_is_a_character_or_its_number() {
        for (text, byte) in [("44", b','), (",", b','), (";", b';'), ("9", b'\t'), ("\\t", b'\t'), ("\t", b'\t')] {
            assert_eq!(ByteChar::read(text), Ok(ByteChar(byte)), "{text:?}");
        }
        for text in ["", "10", "0", "200", "ab", "é"] {
            assert!(ByteChar::read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_partitioner_is_known_with_its_package_too() {
        let full = "io.confluent.connect.storage.partitioner.FieldPartitioner";
        assert_eq!(PartitionerClass::read(full), Ok(PartitionerClass(Partitioner::Field)));
        assert!(PartitionerClass::read("HourlyPartitioner").is_err());
    }

    #[test]
    fn charsets_that_hide_line_ends_are_refused() {
        assert_eq!(Charset::read("latin1"), Ok(Charset(encoding_rs::WINDOWS_1252)));
        assert_eq!(Charset::read("utf8"), Ok(Charset(encoding_rs::UTF_8)));
        for label in ["utf-16le", "iso-2022-jp", "klingon"] {
            assert!(Charset::read(label).is_err(), "{label}");
        }
    }
}
