//! Sizes: where a reader will stumble.
use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a source file, tests in files of their own apart.
const FILE_LINES_MAX: usize = 700;
/// Where a file starts to be named in the list.
const FILE_LINES_AIM: usize = 450;
/// Folders that hold no product code.
const SKIPPED: &[&str] = &["target", ".git", ".services", "node_modules", "fuzz"];

/// Lists long files; fails above the wall.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    let mut long: Vec<(usize, &PathBuf)> = Vec::new();
    for file in &files {
        let lines = fs::read_to_string(file)?.lines().count();
        if lines > FILE_LINES_AIM {
            long.push((lines, file));
        }
    }
    long.sort_by(|a, b| b.cmp(a));
    for (lines, file) in &long {
        crate::say(&format!("{lines:>5} {}\n", file.strip_prefix(root).unwrap_or(file).display()))?;
    }
    let over = long.iter().filter(|(lines, file)| *lines > FILE_LINES_MAX && !is_test(file)).count();
    if over > 0 {
        bail!("sizes: {over} files have more than {FILE_LINES_MAX} lines");
    }
    crate::say(&format!("sizes: {} files, none over {FILE_LINES_MAX} lines\n", files.len()))
}

fn is_test(file: &Path) -> bool {
    file.components().any(|c| c.as_os_str() == "tests") || file.file_name().is_some_and(|n| n == "tests.rs")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if SKIPPED.iter().any(|s| entry.file_name() == *s) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
