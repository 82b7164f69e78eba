//! Text of columns and statements.
use bytes::Bytes;
use elasticflow_mysql::binlog::charset::{Charset, maria_contextual, utf8};
use elasticflow_mysql::binlog::compress;
use elasticflow_mysql::statement::meaning;

const NAMES: [&str; 31] = [
    "utf8mb4", "utf8mb3", "ascii", "utf32", "latin1", "ucs2", "utf16", "utf16le", "cp1250", "cp1251", "cp1256",
    "cp1257", "latin2", "latin5", "latin7", "greek", "hebrew", "koi8r", "koi8u", "tis620", "cp866", "macroman", "gbk",
    "gb2312", "gb18030", "big5", "sjis", "cp932", "ujis", "eucjpms", "euckr",
];

/// The first byte chooses the charset, the rest is text in it; the same bytes are a statement and packed bytes too.
///
/// # Panics
/// Plain ASCII is not itself in a charset that says so.
pub fn charset(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let bytes = Bytes::copy_from_slice(text);
    let charset = Charset::named(NAMES[usize::from(*choice) % NAMES.len()]).unwrap();
    let read = charset.text(bytes.clone());
    if charset.is_ascii_compatible() && text.is_ascii() {
        assert_eq!(read.as_bytes(), text);
    }
    assert_eq!(std::str::from_utf8(text).is_ok(), utf8(bytes.clone()).as_bytes() == text);
    drop(meaning(&String::from_utf8_lossy(text)));
    drop((compress::unpack(text), compress::unpack_column(&bytes)));
    let _ = maria_contextual(u32::from(*choice) << 3);
}
