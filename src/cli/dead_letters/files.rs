//! Files of letters, one a line. Only their owner can read them, since they hold personal data.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{
    app::dead_letters::Archive,
    core::letters::{Archived, Letter},
};

/// A new file of letters, created with the first letter.
pub(super) struct LetterFile {
    path: PathBuf,
    file: Option<File>,
}

impl LetterFile {
    /// Chooses the path, which must not exist.
    pub(super) fn new(path: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(!path.exists(), "{} exists already; nothing was done", path.display());
        Ok(Self { path: path.to_owned(), file: None })
    }

    /// Returns the path; none if no letter was written.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|_| self.path.as_path())
    }

    fn create(&self) -> std::io::Result<File> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        // The folder is synced too, so that the file's name survives a crash.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(file)
    }
}

impl Archive for LetterFile {
    fn write(&mut self, lines: &[Archived]) -> std::io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None if lines.is_empty() => return Ok(()),
            None => self.create()?,
        };
        let kept = file.write_all(&text).and_then(|()| file.sync_data());
        self.file = Some(file);
        kept
    }
}

/// Reads the letters of a file one by one. A line that is not a letter gives an error with its number.
pub(super) fn read_letters(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Letter>>> {
    let shown = path.display().to_string();
    let file = File::open(path).with_context(|| shown.clone())?;
    let lines = BufReader::new(file).lines().enumerate();
    Ok(lines.filter_map(move |(number, line)| match line {
        Ok(line) if line.trim().is_empty() => None,
        Ok(line) => Some(Archived::read(&line).with_context(|| format!("{shown}, line {}", number + 1))),
        Err(error) => Some(Err(error).with_context(|| format!("{shown}, line {}", number + 1))),
    }))
}
