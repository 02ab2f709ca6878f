//! The rules: each reads a tree and returns its findings, empty if the tree keeps the rule.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    graph::{Graph, Import, Origin},
    source::{File, Tree},
};

/// A layer, or a leaf beside the layers, with what it may import.
pub(crate) struct Layer {
    pub(crate) name: &'static str,
    pub(crate) may_import: &'static [&'static str],
}

/// From the innermost outwards.
///
/// `faults` and `samples` are leaves. The crash points of `faults` belong below the edge: edge and app die at
/// them, and the core knows of no death. `samples` belongs beside app: it reads the core's list of providers,
/// and only a command and tests use it.
pub(crate) const LAYERS: [Layer; 9] = [
    Layer { name: "core", may_import: &[] },
    Layer { name: "config", may_import: &["core"] },
    Layer { name: "faults", may_import: &[] },
    Layer { name: "edge", may_import: &["core", "config", "faults"] },
    Layer { name: "app", may_import: &["core", "config", "faults", "edge"] },
    Layer { name: "samples", may_import: &["core"] },
    Layer { name: "cli", may_import: &["core", "config", "edge", "app", "samples"] },
    Layer { name: "main", may_import: &["cli"] },
    Layer { name: "lib", may_import: &["core", "config", "faults", "edge", "app", "samples", "cli"] },
];

/// Crates that have a home: the only files that may name them.
const HOMES: [(&str, &str); 3] =
    [("lapin", "src/edge/amqp/"), ("redis", "src/edge/redis/"), ("backoff", "src/core/delivery/retry.rs")];

/// Paths that the core may not touch: I/O, clocks, chance, async and logging.
///
/// The rule sees what the core names, not what a crate does inside: `backoff` draws the jitter of reconnects.
const IMPURE: [&str; 28] = [
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "uuid::Uuid::new_v4",
    "uuid::Uuid::now_v7",
    "axum",
    "clap",
    "futures_util",
    "hyper",
    "hyper_util",
    "indicatif",
    "lapin",
    "prometheus_client",
    "rand",
    "redis",
    "tokio",
    "tokio_util",
    "tower",
    "tracing",
    "tracing_subscriber",
];

/// Words that the core may not say.
const IMPURE_WORDS: [&str; 7] = ["async", "await", "dbg", "eprint", "eprintln", "print", "println"];

/// Macros that panic when standard output or standard error cannot be written: `cli/output.rs` does not.
const PRINTING_WORDS: [&str; 4] = ["eprint", "eprintln", "print", "println"];

/// First words of a function's documentation that describe it by a question instead of a verb.
const QUESTIONS: [&str; 5] = ["How", "What", "Whether", "Which", "Where"];

/// Documented functions that may begin with such a word, in percent, less than.
const QUESTIONS_MAX: usize = 2;

/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_MAX: usize = 60;

/// Lines of a file in `src`. A longer file says why in its module documentation: `//! Long because …`.
const FILE_MAX: usize = 450;

/// Characters of a line.
const WIDTH_MAX: usize = 110;

/// Returns the layer of a file.
pub(crate) fn layer(file: &File) -> String {
    let path = file.path.trim_start_matches("src/");
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs").to_owned()
}

/// Finds imports of a layer that the file's own layer may not know.
pub(crate) fn layers(graph: &Graph<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    for file in &graph.files {
        if !LAYERS.iter().any(|known| known.name == layer(file)) {
            findings.push(format!("{} belongs to no layer: add it to LAYERS", file.path));
        }
    }
    for import in graph.imports() {
        let (Origin::Item(to) | Origin::Module(_, to)) = import.origin else { continue };
        let (from, to) = (graph.files[import.from], graph.files[to]);
        let (inner, outer) = (layer(from), layer(to));
        let may = LAYERS.iter().find(|known| known.name == inner).map_or(&[][..], |known| known.may_import);
        if inner != outer && !may.contains(&outer.as_str()) {
            findings.push(format!("{} ({inner}) imports {outer}: {}", at(from, &import), import.path));
        }
    }
    findings
}

/// Finds circles of files that import each other: for each file the shortest through it, each circle once.
pub(crate) fn circles(graph: &Graph<'_>) -> Vec<String> {
    let mut edges: BTreeMap<usize, BTreeMap<usize, Import>> = BTreeMap::new();
    for import in graph.imports() {
        let Origin::Item(to) = import.origin else { continue };
        if to != import.from {
            edges.entry(import.from).or_default().entry(to).or_insert(import);
        }
    }
    let mut findings = Vec::new();
    let mut told = BTreeSet::new();
    for start in 0..graph.files.len() {
        let circle = shortest_circle(&edges, start);
        let members: BTreeSet<_> = circle.iter().copied().collect();
        if circle.is_empty() || !told.insert(members) {
            continue;
        }
        let next = |n: usize| circle[(n + 1) % circle.len()];
        let line = |n: usize| edges[&circle[n]][&next(n)].line;
        let hops = (0..circle.len()).map(|n| format!("{}:{}", graph.files[circle[n]].path, line(n)));
        findings.push(format!("{} -> {}", hops.collect::<Vec<_>>().join(" -> "), graph.files[start].path));
    }
    findings
}

/// Returns the files of the shortest circle through `start`, from it on; empty if there is none.
fn shortest_circle(edges: &BTreeMap<usize, BTreeMap<usize, Import>>, start: usize) -> Vec<usize> {
    let mut before = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(file) = next.pop_front() {
        for to in edges.get(&file).into_iter().flat_map(BTreeMap::keys) {
            if *to == start {
                let back = |file: &usize| before.get(file).copied();
                let mut circle: Vec<_> = std::iter::successors(Some(file), back).collect();
                circle.reverse();
                return circle;
            }
            if let std::collections::btree_map::Entry::Vacant(entry) = before.entry(*to) {
                entry.insert(file);
                next.push_back(*to);
            }
        }
    }
    Vec::new()
}

/// Finds crates named outside their home, directly or through a re-export.
pub(crate) fn homes(graph: &Graph<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    for import in graph.imports() {
        let Origin::External(path) = &import.origin else { continue };
        let file = graph.files[import.from];
        for (name, home) in HOMES {
            if path.first().is_some_and(|first| first == name) && !file.path.starts_with(home) {
                findings.push(format!(
                    "{} names {name}, whose home is {home}: {}",
                    at(file, &import),
                    import.path
                ));
            }
        }
    }
    findings
}

/// Finds I/O, clocks, chance, async and logging in the core.
pub(crate) fn purity(graph: &Graph<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    for import in graph.imports().iter().filter(|import| layer(graph.files[import.from]) == "core") {
        let Origin::External(path) = &import.origin else { continue };
        let path = format!("{}::", path.join("::"));
        if IMPURE.iter().any(|impure| path.starts_with(&format!("{impure}::"))) {
            findings.push(format!(
                "{} uses {}",
                at(graph.files[import.from], import),
                path.trim_end_matches(':')
            ));
        }
    }
    for file in graph.files.iter().filter(|file| layer(file) == "core") {
        for token in file.syntax.tokens.iter().filter(|token| IMPURE_WORDS.contains(&token.text.as_str())) {
            findings.push(format!("{}:{} uses {}", file.path, token.line, token.text));
        }
    }
    findings
}

/// Finds prints that panic on a full disk, or when their reader has gone.
pub(crate) fn prints(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in tree.sources() {
        let tokens = &file.syntax.tokens;
        for pair in tokens.windows(2).filter(|pair| pair[1].text == "!") {
            if PRINTING_WORDS.contains(&pair[0].text.as_str()) {
                findings.push(format!("{}:{} uses {}", file.path, pair[0].line, pair[0].text));
            }
        }
    }
    findings
}

/// Finds documented functions that begin with a question word, if they are too many, and files without
/// documentation.
pub(crate) fn wording(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    let mut documented = 0;
    for file in tree.sources() {
        let lines: Vec<_> = file.text.lines().collect();
        for function in file.syntax.functions.iter().filter(|function| !function.is_test) {
            let Some(first) = first_doc_word(&lines[..function.line - 1]) else { continue };
            documented += 1;
            if QUESTIONS.contains(&first) {
                findings
                    .push(format!("{}:{} `{}` begins with {first}", file.path, function.line, function.name));
            }
        }
    }
    if findings.len() * 100 < documented * QUESTIONS_MAX {
        findings.clear();
    }
    let without = tree.sources().filter(|file| file.purpose().is_empty());
    findings.extend(without.map(|file| format!("{} does not begin with its purpose: //! …", file.path)));
    findings
}

/// Returns the first word of the documentation that ends these lines, attributes aside.
fn first_doc_word<'t>(lines: &[&'t str]) -> Option<&'t str> {
    let is_doc = |line: &&&str| line.trim_start().starts_with("///");
    let ends_item = |line: &&&str| line.trim().is_empty() || line.contains([';', '{', '}']);
    let attributes = lines.iter().rev().take_while(|line| !is_doc(line) && !ends_item(line)).count();
    let docs = lines[..lines.len() - attributes].iter().rev().take_while(is_doc);
    let first = docs.last()?.trim_start().trim_start_matches('/');
    Some(first.split_whitespace().next().unwrap_or_default())
}

/// Finds functions and files that are too long.
pub(crate) fn sizes(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in tree.0.iter().filter(|file| file.path.starts_with("src/") && file.path.ends_with(".rs")) {
        for function in file.syntax.functions.iter().filter(|function| function.lines > FUNCTION_MAX) {
            let (line, name, lines) = (function.line, &function.name, function.lines);
            findings
                .push(format!("{}:{line} `{name}` has {lines} lines, more than {FUNCTION_MAX}", file.path));
        }
        let lines = file.lines();
        let mut head = file.text.lines().take_while(|line| line.starts_with("//!"));
        if lines > FILE_MAX && !head.any(|line| line.starts_with("//! Long because ")) {
            findings.push(format!("{} has {lines} lines, more than {FILE_MAX}", file.path));
        }
    }
    findings
}

/// Finds lines that are too wide: code, comments, scripts. Addresses and strings that cannot break may be
/// wider.
pub(crate) fn widths(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in &tree.0 {
        for (number, line) in (1..).zip(file.text.lines()) {
            let width = line.chars().count();
            if width > WIDTH_MAX && !line.contains("://") && !file.syntax.unbreakable.contains(&number) {
                findings
                    .push(format!("{}:{number} has {width} characters, more than {WIDTH_MAX}", file.path));
            }
        }
    }
    findings
}

fn at(file: &File, import: &Import) -> String {
    format!("{}:{}", file.path, import.line)
}
