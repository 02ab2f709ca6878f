//! The map of the sources, `docs/map.md`: every file with its size and purpose, and who imports whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::{
    graph::{Graph, Origin},
    rules::{LAYERS, layer},
    source::{File, Tree},
};

/// Width of the tree's column of names.
const NAMES: usize = 32;

/// Characters of a purpose; a longer one is cut between two words.
const PURPOSE_MAX: usize = 100;

const BEFORE_LAYERS: &str = "\
# Map of the sources

Generated from the sources. `make map` rewrites and prints it; a test fails if it is out of date.

## Layers

Each row imports from the columns. The numbers count pairs of files of which one imports from the other.

";

const BEFORE_FILES: &str = "
## Files

Lines include comments and tests, and are rounded to tens, so that small edits leave the map as it is.

```text
";

/// Draws the map.
pub(crate) fn draw(tree: &Tree, graph: &Graph<'_>) -> String {
    let mut map = BEFORE_LAYERS.to_owned();
    draw_arrows(&mut map, graph);
    map.push_str(BEFORE_FILES);
    let files: Vec<_> = tree.0.iter().filter(|file| file.path.starts_with("src/")).collect();
    draw_folder(&mut map, "src", &files, "");
    map.push_str("```\n");
    map
}

fn draw_arrows(map: &mut String, graph: &Graph<'_>) {
    let mut pairs = BTreeSet::new();
    for import in graph.imports() {
        if let Origin::Item(to) | Origin::Module(_, to) = import.origin {
            pairs.insert((import.from, to));
        }
    }
    let mut arrows: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (from, to) in pairs {
        *arrows.entry((layer(graph.files[from]), layer(graph.files[to]))).or_default() += 1;
    }
    let columns: Vec<_> =
        LAYERS.iter().map(|layer| layer.name).filter(|name| *name != "lib" && *name != "main").collect();
    let _ = writeln!(map, "| | {} |", columns.join(" | "));
    let _ = writeln!(map, "|---|{}", "---:|".repeat(columns.len()));
    for from in columns.iter().rev() {
        let cell = |to: &&str| match arrows.get(&((*from).to_owned(), (*to).to_owned())) {
            _ if from == to => "·".to_owned(),
            Some(count) => count.to_string(),
            None => String::new(),
        };
        let cells: Vec<_> = columns.iter().map(cell).collect();
        let _ = writeln!(map, "| **{from}** | {} |", cells.join(" | "));
    }
}

/// Draws a folder's line, and below it its files and folders.
fn draw_folder(map: &mut String, folder: &str, files: &[&File], indent: &str) {
    let own = |file: &&&File| {
        file.path == format!("{folder}/mod.rs") || file.path == "src/lib.rs" && folder == "src"
    };
    let purpose = files.iter().find(own).map(|file| file.purpose()).unwrap_or_default();
    let lines = files.iter().map(|file| rounded(file)).sum();
    let name = folder.rsplit('/').next().unwrap_or(folder);
    draw_line(map, indent, &format!("{name}/"), lines, &purpose);
    let indent = format!("{indent}  ");
    let mut inside: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in files {
        let below = &file.path[folder.len() + 1..];
        inside.entry(below.split('/').next().unwrap_or(below)).or_default().push(file);
    }
    // The folder's own file first, then files, then folders.
    let mut inside: Vec<_> = inside.into_iter().collect();
    inside.sort_by_key(|(name, _)| (*name != "mod.rs", !name.contains('.'), *name));
    for (name, files) in inside {
        match files.as_slice() {
            [file] if file.path == format!("{folder}/{name}") => {
                let purpose = if name == "mod.rs" { String::new() } else { file.purpose() };
                draw_line(map, &indent, name, rounded(file), &purpose);
            }
            files => draw_folder(map, &format!("{folder}/{name}"), files, &indent),
        }
    }
}

fn draw_line(map: &mut String, indent: &str, name: &str, lines: usize, purpose: &str) {
    let name = format!("{indent}{name}");
    let line = format!("{name:<NAMES$} {lines:>6}  {}", shortened(purpose));
    let _ = writeln!(map, "{}", line.trim_end());
}

fn rounded(file: &File) -> usize {
    (file.lines() + 5) / 10 * 10
}

/// Returns a purpose without its links, and cut to its limit.
fn shortened(purpose: &str) -> String {
    let purpose = purpose.replace("[`", "`").replace("`]", "`");
    if purpose.chars().count() <= PURPOSE_MAX {
        return purpose;
    }
    let cut: String = purpose.chars().take(PURPOSE_MAX).collect();
    let end = cut.rfind(' ').unwrap_or(cut.len());
    format!("{} …", cut[..end].trim_end_matches([',', ';', ':']))
}
