//! `docs/logs.md`: the lines of the log, as they stand in the sources, and the fields that the page explains.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    lexer::{Token, lex},
    source::Tree,
};

/// What follows this line of the page is generated.
const MARKER: &str =
    "<!-- Generated from the sources: `HOOKSWITCH_BLESS=1 cargo test --test house` rewrites it. -->";

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// A line of the log: its level, its message and its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    level: usize,
    message: String,
    fields: BTreeSet<String>,
}

/// Returns the lines of the log that the sources write.
pub(crate) fn lines(tree: &Tree) -> BTreeSet<Line> {
    let mut lines = BTreeSet::new();
    for file in tree.sources() {
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        let tokens = lex(code).tokens;
        for n in 0..tokens.len() {
            let texts: Vec<_> = tokens[n..].iter().take(5).map(|token| token.text.as_str()).collect();
            if let ["tracing", "::", level, "!", "("] = texts[..]
                && let Some(level) = LEVELS.iter().position(|known| *known == level)
            {
                lines.insert(line(level, &tokens[n + 5..]));
            }
        }
    }
    lines
}

/// Reads the arguments of a macro, up to its message.
fn line(level: usize, tokens: &[Token]) -> Line {
    let mut line = Line { level, ..Line::default() };
    let (mut depth, mut argument) = (0, Vec::new());
    for Token { text, .. } in tokens {
        match text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth > 0 => depth -= 1,
            ")" | "," if depth == 0 => {
                line.fields.extend(field(&argument));
                argument.clear();
                continue;
            }
            message if depth == 0 && argument.is_empty() && message.starts_with('"') => {
                let words = message[1..].replace("\\\n", " ");
                line.message = words.split_whitespace().collect::<Vec<_>>().join(" ");
                return line;
            }
            _ => {}
        }
        argument.push(text.as_str());
    }
    line
}

/// Returns the name of a field: `name`, `%name`, `?name`, `name = value`.
fn field(argument: &[&str]) -> Option<String> {
    match argument {
        [] | ["target", ..] => None,
        ["%" | "?", name] | [name] | [name, "=", ..] => Some((*name).to_owned()),
        other => panic!("a field of a line in the log that has no name: {other:?}"),
    }
}

/// Returns the page with its generated part.
pub(crate) fn page(written: &str, lines: &BTreeSet<Line>) -> String {
    let written = written.split(MARKER).next().unwrap_or_default();
    let mut page = format!("{written}{MARKER}\n\n| level | message | fields |\n| --- | --- | --- |\n");
    for Line { level, message, fields } in lines {
        let fields: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
        let message = message.replace("\\\"", "\"").replace('|', "\\|");
        page += &format!("| {} | {message} | {} |\n", LEVELS[*level], fields.join(", "));
    }
    page
}

/// Returns the fields that the page explains, and that it should.
pub(crate) fn fields(written: &str, lines: &BTreeSet<Line>) -> (BTreeSet<String>, BTreeSet<String>) {
    let explained = written.split("\n## Fields\n").nth(1).unwrap_or_default().split("\n## ").next();
    let rows =
        explained.unwrap_or_default().lines().filter_map(|row| row.strip_prefix("| `")?.split_once("` |"));
    let explained = rows.map(|(field, _)| field.to_owned()).collect();
    (explained, lines.iter().flat_map(|line| line.fields.clone()).collect())
}

#[test]
fn the_fields_of_a_line_are_read() {
    let source = [
        "//! A.",
        "fn f() {",
        "    tracing::warn!(%source, took = ?a(1, 2), n, other = %b.c, \"it \\",
        "        is {n}\", x);",
        "}",
    ]
    .join("\n");
    let files = BTreeMap::from([("src/a.rs", source)]);
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    let lines = lines(&Tree::new(files));
    let fields = ["source", "took", "n", "other"].map(str::to_owned).into();
    assert_eq!(lines, BTreeSet::from([Line { level: 1, message: "it is {n}".to_owned(), fields }]));
}
