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

/// A new file of letters.
pub(super) struct LetterFile {
    file: File,
    path: PathBuf,
}

impl LetterFile {
    /// Makes it; one that is there is left alone.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path);
        let file = file.with_context(|| format!("cannot write {}; nothing was done", path.display()))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Takes it away again if nothing was written to it.
    pub(super) fn remove_if_empty(self) {
        if self.file.metadata().is_ok_and(|file| file.len() == 0) {
            // An empty file does no harm.
            drop(std::fs::remove_file(&self.path));
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Archive for LetterFile {
    fn keep(&mut self, lines: &[Archived]) -> std::io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        self.file.write_all(&text)?;
        self.file.sync_data()
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
