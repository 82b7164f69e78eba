//! Where reading stands in a file, as it is stored.
use crate::dir::Identity;
use crate::error::Error;
use elasticflow_api::position::{SourceOffset, SourcePartition};
use serde_json::{Map, Value as Json};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use twox_hash::XxHash3_64;

/// Bytes at the beginning of a file that tell it from another one of its name.
pub(crate) const FINGERPRINT_BYTES: u64 = 1024;

/// Where reading stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// Records read, bad ones included.
    pub(crate) records: u64,
    /// First byte not read; of the uncompressed data in a compressed file.
    pub(crate) byte: u64,
    /// Line feeds before it.
    pub(crate) line: u64,
    /// Device and inode of the file.
    pub(crate) dev: u64,
    /// As above.
    pub(crate) inode: u64,
    /// Length of the file when it was last looked at.
    pub(crate) len: u64,
    /// Fingerprint of the first [`Place::fingerprinted`] bytes; `None` in offsets that other connectors have written.
    pub(crate) fingerprint: Option<u64>,
    /// Whether the file was read to its end.
    pub(crate) done: bool,
    /// Whether its reading ended at a bad record.
    pub(crate) failed: bool,
    /// Whether the clean-up of the finished file is done: what has its name is another file.
    pub(crate) cleaned: bool,
}

impl Place {
    /// At the first byte of a file.
    pub(crate) fn beginning(identity: &Identity) -> Self {
        let mut place = Self { fingerprint: Some(XxHash3_64::oneshot(&[])), ..Self::default() };
        place.see(identity);
        place
    }

    /// Takes over what a file looks like at present.
    pub(crate) fn see(&mut self, identity: &Identity) {
        (self.dev, self.inode, self.len) = (identity.dev, identity.inode, identity.len);
    }

    /// Whether a file has the inode of the position.
    pub(crate) fn is_inode_of(&self, identity: &Identity) -> bool {
        (self.dev, self.inode) == (identity.dev, identity.inode)
    }

    /// How many bytes the fingerprint covers: no more than were read, nor than the file has.
    pub(crate) fn fingerprinted(&self) -> u64 {
        FINGERPRINT_BYTES.min(self.byte).min(self.len)
    }

    /// Whether the file begins as the one that the position is of.
    pub(crate) fn is_beginning_of(&self, file: &File) -> std::io::Result<bool> {
        let Some(stored) = self.fingerprint else { return Ok(true) };
        let head = head(file, self.fingerprinted())?;
        Ok(head.len() as u64 == self.fingerprinted() && XxHash3_64::oneshot(&head) == stored)
    }

    /// From a stored offset. `{"offset":n}` alone, as spooldir stores it, is n records to skip.
    pub(crate) fn from_stored(stored: &SourceOffset, name: &str) -> Result<Stored, Error> {
        let map = &stored.0;
        let number = |key: &str| map.get(key).and_then(Json::as_u64);
        let bad = || Error::Definite {
            code: "FILE-0024",
            text: format!("the stored offset of {name} cannot be read; alter or reset it through the offsets endpoint"),
        };
        if !map.contains_key("byte") {
            return number("offset").map(Stored::Skip).ok_or_else(bad);
        }
        let fingerprint = match map.get("fp") {
            None | Some(Json::Null) => None,
            Some(Json::String(hex)) => Some(u64::from_str_radix(hex, 16).map_err(|_| bad())?),
            Some(_) => return Err(bad()),
        };
        let flag = |key: &str| map.get(key).and_then(Json::as_bool).unwrap_or(false);
        Ok(Stored::Place(Self {
            records: number("offset").unwrap_or(0),
            byte: number("byte").ok_or_else(bad)?,
            line: number("line").unwrap_or(0),
            dev: number("dev").unwrap_or(0),
            inode: number("inode").unwrap_or(0),
            len: number("len").unwrap_or(u64::MAX),
            fingerprint,
            done: flag("done"),
            failed: flag("failed"),
            cleaned: flag("cleaned"),
        }))
    }

    /// As it is stored.
    pub(crate) fn stored(&self) -> SourceOffset {
        let mut map = Map::with_capacity(9);
        let mut put = |key: &str, value: Json| map.insert(key.to_owned(), value);
        put("offset", self.records.into());
        put("byte", self.byte.into());
        put("line", self.line.into());
        put("dev", self.dev.into());
        put("inode", self.inode.into());
        put("len", self.len.into());
        put("fp", self.fingerprint.map_or(Json::Null, |fp| format!("{fp:016x}").into()));
        put("done", self.done.into());
        if self.failed {
            put("failed", true.into());
        }
        if self.cleaned {
            put("cleaned", true.into());
        }
        SourceOffset(map)
    }
}

/// A stored offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Of this connector.
    Place(Place),
    /// Records to skip from the beginning.
    Skip(u64),
}

/// The first bytes of a file, fewer if it is shorter.
pub(crate) fn head(file: &File, bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut head = vec![0; usize::try_from(bytes).unwrap_or(0)];
    let mut have = 0;
    while let Some(rest) = head.get_mut(have..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, have as u64) {
            Ok(0) => break,
            Ok(read) => have += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(have);
    Ok(head)
}

/// The fingerprint of as many of these bytes as a place covers.
pub(crate) fn fingerprint(head: &[u8], place: &Place) -> Option<u64> {
    let covered = usize::try_from(place.fingerprinted()).ok()?;
    head.get(..covered).map(XxHash3_64::oneshot)
}

/// The source partition of a file.
pub(crate) fn partition(name: &str) -> Arc<SourcePartition> {
    Arc::new(SourcePartition(Map::from_iter([("fileName".to_owned(), Json::from(name))])))
}

/// The file that a source partition is of; `None` for partitions of another connector.
pub(crate) fn name_of(partition: &SourcePartition) -> Option<&str> {
    partition.0.get("fileName").and_then(Json::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_as_it_was_stored() {
        let place = Place {
            records: 3,
            byte: 77,
            line: 9,
            dev: 1,
            inode: 2,
            len: 100,
            fingerprint: Some(7),
            done: true,
            failed: false,
            cleaned: false,
        };
        let stored = place.stored();
        assert_eq!(
            serde_json::to_string(&stored.0).unwrap(),
            r#"{"offset":3,"byte":77,"line":9,"dev":1,"inode":2,"len":100,"fp":"0000000000000007","done":true}"#
        );
        assert_eq!(Place::from_stored(&stored, "f").unwrap(), Stored::Place(place));
    }

    #[test]
    fn an_offset_of_spooldir_counts_records_and_nonsense_is_refused() {
        let read = |json: &str| Place::from_stored(&SourceOffset(serde_json::from_str(json).unwrap()), "f");
        assert_eq!(read(r#"{"offset":12}"#).unwrap(), Stored::Skip(12));
        for nonsense in ["{}", r#"{"offset":"x"}"#, r#"{"byte":-1}"#, r#"{"byte":1,"fp":"zz"}"#, r#"{"byte":1,"fp":5}"#]
        {
            assert!(read(nonsense).is_err(), "{nonsense}");
        }
    }
}
