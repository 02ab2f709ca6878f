//! Letters in files: one a line, readable by nobody else, since they hold personal data.

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

/// A new file of letters. It is made with the first letter.
pub(super) struct LetterFile {
    path: PathBuf,
    file: Option<File>,
}

impl LetterFile {
    /// Says where it will be; one that is there is left alone.
    pub(super) fn new(path: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(!path.exists(), "{} is there already; nothing was done", path.display());
        Ok(Self { path: path.to_owned(), file: None })
    }

    /// Where it is; none if no letter came.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|_| self.path.as_path())
    }

    fn create(&self) -> std::io::Result<File> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        // So that its name survives a crash too.
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

/// The file's letters, one after the other. A line that is none is an error that names it.
pub(super) fn letters(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Letter>>> {
    let shown = path.display().to_string();
    let file = File::open(path).with_context(|| shown.clone())?;
    let lines = BufReader::new(file).lines().enumerate();
    Ok(lines.filter_map(move |(number, line)| match line {
        Ok(line) if line.trim().is_empty() => None,
        Ok(line) => Some(Archived::read(&line).with_context(|| format!("{shown}, line {}", number + 1))),
        Err(error) => Some(Err(error).with_context(|| format!("{shown}, line {}", number + 1))),
    }))
}
