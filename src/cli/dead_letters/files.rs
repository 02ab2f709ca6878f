//! Files of letters, one a line. Only their owner can read them, since they hold personal data.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use tempfile::{Builder, NamedTempFile};

use crate::{
    app::dead_letters::Archive,
    cli::output::Out,
    core::letters::{Archived, Letter},
};

/// The byte order mark, which editors of other systems put at the beginning of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A new file of letters. It has a temporary name until it is complete, so that no partial file is left.
pub(super) struct LetterFile {
    path: PathBuf,
    to: To,
}

enum To {
    /// No letter has been written yet.
    Nothing,
    /// Letters are being written.
    Partial(NamedTempFile),
    /// The file is complete.
    Complete,
    /// Letters go to standard output.
    Output(Out),
}

impl LetterFile {
    /// Chooses a path that does not exist and can be written, or `-` for standard output.
    pub(super) fn new(path: &Path) -> anyhow::Result<Self> {
        let path = path.to_owned();
        if is_output(&path) {
            return Ok(Self { path, to: To::Output(Out::new()) });
        }
        anyhow::ensure!(
            !path.exists(),
            "{} exists already: give another name; nothing was done",
            path.display()
        );
        // Whether it can be written is known before anything is done or asked.
        partial(&path).map_err(|error| anyhow::anyhow!("{error}; nothing was done"))?;
        Ok(Self { path, to: To::Nothing })
    }

    /// Returns the path of the complete file; none if no letter was written, and for standard output.
    pub(super) fn path(&self) -> Option<&Path> {
        matches!(self.to, To::Complete).then_some(self.path.as_path())
    }

    /// Removes the file, since its letters are all where they were.
    pub(super) fn withdraw(self) {
        if let Some(path) = self.path() {
            drop(std::fs::remove_file(path));
        }
    }

    fn named(&self, error: io::Error) -> io::Error {
        cannot_write(&self.path, &error)
    }
}

/// Returns true if the path stands for standard output.
pub(super) fn is_output(path: &Path) -> bool {
    path == Path::new("-")
}

fn cannot_write(path: &Path, error: &io::Error) -> io::Error {
    let path = path.display();
    let elsewhere = [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem, ErrorKind::NotFound];
    let advice = if elsewhere.contains(&error.kind()) {
        ": name a file in a folder where you can write, or - for standard output"
    } else {
        ""
    };
    io::Error::new(error.kind(), format!("cannot write {path}: {error}{advice}"))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn partial(path: &Path) -> io::Result<NamedTempFile> {
    let name = format!(".{}.", path.file_name().unwrap_or_default().display());
    let created = Builder::new().prefix(&name).suffix(".partial").tempfile_in(folder(path));
    // The error of the library names the temporary file.
    created.map_err(|error| {
        cannot_write(path, &error.raw_os_error().map_or(error, io::Error::from_raw_os_error))
    })
}

impl Archive for LetterFile {
    fn write(&mut self, lines: &[Archived]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        if matches!(self.to, To::Nothing) {
            self.to = To::Partial(partial(&self.path)?);
        }
        match &mut self.to {
            To::Output(out) => {
                if out.bytes(&text)? && out.flush()? {
                    Ok(())
                } else {
                    Err(no_reader())
                }
            }
            To::Partial(file) => file.write_all(&text).map_err(|error| self.named(error)),
            To::Nothing | To::Complete => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        let file = match std::mem::replace(&mut self.to, To::Nothing) {
            To::Partial(file) => file,
            other @ (To::Nothing | To::Complete | To::Output(_)) => {
                self.to = other;
                return Ok(());
            }
        };
        let synced = file.as_file().sync_all().and_then(|()| {
            file.persist_noclobber(&self.path).map_err(|error| error.error)?;
            // So that the file's name survives a crash.
            File::open(folder(&self.path))?.sync_all()
        });
        synced.map_err(|error| self.named(error))?;
        self.to = To::Complete;
        Ok(())
    }
}

fn no_reader() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, "the reader of standard output has gone")
}

/// Reads the letters of a file one by one. A line that is not a letter gives an error with its number.
pub(super) fn read_letters(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Letter>>> {
    let shown = path.display().to_string();
    let file = File::open(path).with_context(|| shown.clone())?;
    let lines = BufReader::new(file).lines().enumerate();
    Ok(lines.filter_map(move |(number, line)| {
        let line = line.map(|line| line.trim().trim_start_matches(BYTE_ORDER_MARK).to_owned());
        match line {
            Ok(line) if line.is_empty() => None,
            Ok(line) => Some(Archived::read(&line).with_context(|| format!("{shown}, line {}", number + 1))),
            Err(error) => Some(Err(error).with_context(|| format!("{shown}, line {}", number + 1))),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTER: &str = r#"{"format":"hookswitch-dead-letter/1","letter":"01900000-0000-7000-8000-000000000002",
        "delivery_id":"01900000-0000-7000-8000-000000000001","source":"salpre","provider":"salpre",
        "received_at":"2026-01-02T03:04:05Z","headers":[],"attempts":1,"replays":0,"body":"{}"}"#;

    fn letter() -> Archived {
        serde_json::from_str(LETTER).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_has_its_name_only_once_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.ndjson");
        let mut file = LetterFile::new(&path).unwrap();
        assert_eq!(names(folder.path()), [""; 0], "trying leaves nothing");
        file.write(&[letter()]).unwrap();
        assert!(!path.exists() && file.path().is_none());
        drop(file);
        assert_eq!(names(folder.path()), [""; 0], "what is not complete is gone");
        let mut file = LetterFile::new(&path).unwrap();
        file.write(&[letter(), letter()]).unwrap();
        file.finish().unwrap();
        assert_eq!(names(folder.path()), ["d.ndjson"]);
        assert_eq!(read_letters(&path).unwrap().map(Result::unwrap).count(), 2);
        let refused = LetterFile::new(&path).err().unwrap().to_string();
        assert!(refused.contains("exists already"), "{refused}");
        file.withdraw();
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn without_letters_no_file_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = LetterFile::new(&folder.path().join("d.ndjson")).unwrap();
        file.write(&[]).unwrap();
        file.finish().unwrap();
        assert!(file.path().is_none() && names(folder.path()).is_empty());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named_before_anything_is_done() {
        let refused = LetterFile::new(Path::new("/nowhere/d.ndjson")).err().unwrap().to_string();
        assert!(refused.starts_with("cannot write /nowhere/d.ndjson: "), "{refused}");
        assert!(
            refused.contains("- for standard output") && refused.ends_with("nothing was done"),
            "{refused}"
        );
    }

    #[test]
    fn a_byte_order_mark_and_line_ends_of_other_systems_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.ndjson");
        let line = serde_json::to_string(&letter()).unwrap();
        std::fs::write(&path, format!("\u{feff}{line}\r\n\r\n{line}\r\n")).unwrap();
        assert_eq!(read_letters(&path).unwrap().map(Result::unwrap).count(), 2);
    }
}
