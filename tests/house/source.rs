//! The source tree as text: what the rules read, whether from this checkout or planted by a test.

use std::{fs, path::Path};

use crate::syntax::{self, Syntax};

/// A file.
pub(crate) struct File {
    /// From the root of the checkout, as in `src/core/auth.rs`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// What was read of it, if it is Rust.
    pub(crate) syntax: Syntax,
    /// It holds only tests: `#[cfg(test)] mod tests;` in another file names it.
    pub(crate) is_test: bool,
}

impl File {
    /// Its module's path in the crate: `src/core/auth.rs` is `["core", "auth"]`, `src/lib.rs` is `[]`.
    pub(crate) fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let path = path.trim_end_matches("/mod");
        if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
    }

    /// The first line that opens with `//!`, up to the end of its sentence; empty without one.
    pub(crate) fn purpose(&self) -> String {
        let marker = if self.path.ends_with(".lua") { "--" } else { "//!" };
        let lines = self.text.lines().map_while(|line| line.strip_prefix(marker)).map(str::trim);
        let paragraph: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        let paragraph = paragraph.join(" ");
        paragraph
            .split_once(". ")
            .map_or(paragraph.as_str(), |(first, _)| first)
            .trim_end_matches('.')
            .to_owned()
    }

    pub(crate) fn lines(&self) -> usize {
        self.text.lines().count()
    }
}

/// Files, in the order of their paths.
pub(crate) struct Tree(pub(crate) Vec<File>);

impl Tree {
    /// Reads these files of the text of a tree.
    pub(crate) fn new(files: Vec<(String, String)>) -> Self {
        let mut files: Vec<_> = files
            .into_iter()
            .map(|(path, text)| {
                let syntax = if path.ends_with(".rs") { syntax::parse(&text) } else { Syntax::default() };
                File { path, text, syntax, is_test: false }
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let tests: Vec<_> = files.iter().flat_map(test_files).collect();
        for file in &mut files {
            file.is_test = tests.contains(&file.path);
        }
        Self(files)
    }

    /// Reads the files of this checkout below `folders` whose names end with one of `extensions`.
    pub(crate) fn of_checkout(folders: &[&str], extensions: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = Vec::new();
        for folder in folders {
            read(root, folder, extensions, &mut found);
        }
        assert!(found.len() > 10, "no sources in {folders:?}");
        Self::new(found)
    }

    /// The Rust files of `src` that are not tests alone.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &File> {
        let is_source = |file: &&File| file.path.starts_with("src/") && file.path.ends_with(".rs");
        self.0.iter().filter(is_source).filter(|file| !file.is_test)
    }
}

fn read(root: &Path, folder: &str, extensions: &[&str], found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            read(root, &path, extensions, found);
        } else if extensions.iter().any(|extension| path.ends_with(&format!(".{extension}"))) {
            found.push((path, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// The files that this one declares as tests.
fn test_files(file: &File) -> Vec<String> {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let inside = match file.path.trim_end_matches(".rs").rsplit('/').next() {
        Some("mod" | "lib" | "main") => folder.to_owned(),
        _ => file.path.trim_end_matches(".rs").to_owned(),
    };
    let mut files = Vec::new();
    for module in &file.syntax.test_modules {
        match &module.path {
            Some(path) => files.push(format!("{folder}/{path}")),
            None => files.push(format!("{inside}/{}.rs", module.name)),
        }
    }
    files
}
