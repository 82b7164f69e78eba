//! The csv folder: each round is a file of its own, put in place by a rename.
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::{Path, PathBuf};

const CITIES: [&str; 5] = ["Oslo", "Lima", "Hanoi", "Accra", "Graz"];

/// Writes csv files.
pub(crate) struct Input {
    folder: PathBuf,
    files: u32,
    rows: u64,
}

impl Input {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), files: 0, rows: 0 }
    }

    /// Adds a file with the rows that are missing to a total.
    pub(crate) fn write(&mut self, total: u64) -> Result<()> {
        let mut text = String::from("id,city,amount,note\n");
        for id in self.rows + 1..=total {
            writeln!(text, "{id},{},{},{}", city(id), amount(id), note(id))?;
        }
        self.files += 1;
        self.rows = total;
        let name = format!("orders-{:04}.csv", self.files);
        let part = self.folder.join(format!(".{name}.part"));
        std::fs::write(&part, text).with_context(|| format!("cannot write {}", part.display()))?;
        std::fs::rename(&part, self.folder.join(name))?;
        Ok(())
    }
}

/// City of an order.
pub(crate) fn city(id: u64) -> &'static str {
    let at = usize::try_from(id % CITIES.len() as u64).unwrap_or_default();
    CITIES.get(at).copied().unwrap_or_default()
}

/// Amount of an order.
pub(crate) fn amount(id: u64) -> u64 {
    id.wrapping_mul(7919) % 1000
}

/// A field that every so often needs quotes and spans lines.
fn note(id: u64) -> String {
    if id.is_multiple_of(100) { format!("\"order {id},\nurgent\"") } else { format!("order {id}") }
}
