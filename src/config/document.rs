//! The two documents that are made of the declarations: the example file and the reference.

use super::{
    keys::Config,
    read::{join, variable_of},
    section::{Absent, Declared, Key, Keys as _, Table, name_in_header},
};

/// The length of a line without the `# ` of a comment, in characters.
const LINE_MAX: usize = 108;

/// The head of the example file.
const EXAMPLE_HEAD: &str = "\
# hookswitch: every key with its default, as `hookswitch config example` prints it.
#
# A line that starts with \"#key = \" shows a key without a default. Remove the # to set it.
# A line that starts with \"#     key = \" shows an alternative, which cannot be set beside the other keys.
#
# Environment variables override the keys of all sections up to [log]: HOOKSWITCH_<SECTION>_<KEY>, as in
# HOOKSWITCH_AMQP_URL, HOOKSWITCH_WORKER_PREFETCH or HOOKSWITCH_RETRY_RETRIES_INVALID_PAYLOAD. They separate
# the items of a list by commas. An empty variable counts as not set.
#
# Durations: \"500ms\", \"30s\", \"5m\", \"1h\", \"7d\". Sizes: \"64KiB\", \"1MiB\", or a number of bytes.
# Check a file with `hookswitch config check`.
";

/// Sources that the example adds to the one that shows every key: the other schemes of authentication.
const MORE_SOURCES: &str = r#"
#[sources.salpre]
#provider = "salpre"
#auth = "header_token"
#auth_header = "x-webhook-token"
#secret_env = "SALPRE_TOKEN"

#[sources.wavix]
#provider = "wavix"
#auth = "basic"
#auth_user = "wavix"
#secret_env = "WAVIX_PASSWORD"

# A gateway in front of the provider signs the requests.
#[sources.morph]
#provider = "morph"
#auth = "hmac"
#auth_header = "x-signature-256"
#auth_prefix = "sha256="
#auth_algorithm = "sha256"
#auth_encoding = "hex"
#secret_env = "MORPH_KEY"
#answer_body = '{"cards": []}'
#answer_content_type = "application/json"
"#;

/// The head of the reference.
const REFERENCE_HEAD: &str = "\
# Configuration

<!-- Generated from src/config/keys.rs: `HOOKSWITCH_BLESS=1 cargo test --test config` rewrites it. -->

hookswitch reads one TOML file: the one that `--config` or `HOOKSWITCH_CONFIG` names, else `./hookswitch.toml`
if it exists, else none. Only the keys that are marked *required* must be set.

- `hookswitch config example` prints a file with every key, its default and its meaning.
- `hookswitch config check` reports every problem of a configuration at once, with exit code 64.
- `hookswitch config check --show` prints every value in force, with secrets redacted.

Each key is followed by its accepted values, its default, and the environment variable that overrides it. A
variable separates the items of a list by commas, and an empty one counts as not set. Keys of sources and
subscriptions have no variables.

Processes that run read the file again when it changes. Keys that take a restart say so;
[reload.md](reload.md) has the rest.

Durations are written as `\"500ms\"`, `\"30s\"`, `\"5m\"`, `\"1h\"` or `\"7d\"`, and sizes as `\"64KiB\"`,
`\"1MiB\"` or a number of bytes.
";

/// Returns the example file: every key with its default, its accepted values and its meaning, as comments.
pub fn example() -> String {
    let mut text = EXAMPLE_HEAD.to_owned();
    for table in tables(Config::declared()) {
        write_example(&mut text, "", &table, "");
        if table.name == "sources" {
            text.push_str(MORE_SOURCES);
        }
    }
    text
}

/// Returns the reference in Markdown: every key with its accepted values, default, environment variable and
/// meaning.
pub fn reference() -> String {
    let mut text = REFERENCE_HEAD.to_owned();
    for table in tables(Config::declared()) {
        write_reference(&mut text, "", &table, true);
    }
    text
}

/// Returns every key, as in `amqp.heartbeat`, with `<name>` and `<queue>` for names that the operator
/// chooses.
pub fn keys() -> Vec<String> {
    fn add(found: &mut Vec<String>, path: &str, entries: Vec<Declared>) {
        for entry in entries {
            match entry {
                Declared::Key(key) => found.push(join(path, key.name)),
                Declared::Table(table) => add(found, &path_of(path, &table), table.entries),
            }
        }
    }
    let mut found = Vec::new();
    add(&mut found, "", Config::declared());
    found
}

fn tables(entries: Vec<Declared>) -> impl Iterator<Item = Table> {
    entries.into_iter().filter_map(|entry| match entry {
        Declared::Table(table) => Some(table),
        Declared::Key(_) => None,
    })
}

fn path_of(path: &str, table: &Table) -> String {
    let path = join(path, table.name);
    table.named.map_or(path.clone(), |named| join(&path, named.placeholder))
}

/// Writes a table and those below it. `off` is put before settings that are commented out.
fn write_example(text: &mut String, path: &str, table: &Table, off: &str) {
    let path = join(path, table.name);
    let (path, off) = match table.named {
        Some(named) => (join(&path, &name_in_header(named.example)), "#"),
        None => (path, off),
    };
    text.push('\n');
    write_comment(text, &table.about);
    text.push_str(&format!("{off}[{path}]\n"));
    for entry in &table.entries {
        match entry {
            Declared::Key(key) => write_example_key(text, key, off),
            Declared::Table(below) => write_example(text, &path, below, off),
        }
    }
}

fn write_example_key(text: &mut String, key: &Key, off: &str) {
    if !key.doc.is_empty() {
        text.push('\n');
        write_comment(text, &key.doc);
        write_comment(text, &format!("{}.", capitalized(&key.values)));
    }
    let off = match key.absent {
        _ if key.alternative => "#     ",
        Absent::Default => off,
        Absent::Optional | Absent::Required => "#",
    };
    text.push_str(&format!("{off}{} = {}\n", key.name, key.example));
}

/// Writes Markdown as a comment: only code with spaces in it keeps its backticks.
fn write_comment(text: &mut String, markdown: &str) {
    let plain = |(n, part): (usize, &str)| {
        let is_code = n % 2 == 1;
        if is_code && part.contains(' ') { format!("`{part}`") } else { part.to_owned() }
    };
    let comment: String = markdown.split('`').enumerate().map(plain).collect();
    for line in wrapped(&comment) {
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
}

/// Breaks the lines that are too long for either document.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut current = String::new();
        for word in line.split_inclusive(' ') {
            if current.chars().count() + word.trim_end().chars().count() > LINE_MAX {
                lines.push(std::mem::take(&mut current).trim_end().to_owned());
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    lines
}

fn write_reference(text: &mut String, path: &str, table: &Table, env: bool) {
    let path = path_of(path, table);
    let env = env && table.named.is_none();
    text.push_str(&format!("\n## `[{path}]`\n\n{}\n", table.about));
    for entry in &table.entries {
        match entry {
            Declared::Key(key) => write_reference_key(text, &path, key, env),
            Declared::Table(below) => write_reference(text, &path, below, env),
        }
    }
}

fn write_reference_key(text: &mut String, path: &str, key: &Key, env: bool) {
    let path = join(path, key.name);
    let absent = match key.absent {
        Absent::Default => format!("default `{}`", key.example),
        Absent::Optional => "not set by default".to_owned(),
        Absent::Required => "*required*".to_owned(),
    };
    let variable = if env { format!(" · `{}`", variable_of(&path)) } else { String::new() };
    let facts = format!("{} · {absent}{variable}", capitalized(&quotes_as_code(&key.values)));
    let facts = wrapped(&facts).join("\n");
    text.push_str(&format!("\n### `{path}`\n\n{facts}\n"));
    if !key.doc.is_empty() {
        text.push_str(&format!("\n{}\n", key.doc));
    }
}

/// Marks quoted texts as code, so that `*` in them has no meaning in Markdown.
fn quotes_as_code(text: &str) -> String {
    let marked =
        |(n, part): (usize, &str)| if n % 2 == 1 { format!("`\"{part}\"`") } else { part.to_owned() };
    text.split('"').enumerate().map(marked).collect()
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
