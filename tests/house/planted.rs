//! Planted violations: small trees, each with the finding that its rule must make of it, or none.

use crate::{
    graph::Graph,
    rules,
    source::{File, Tree},
};

type Rule = fn(&Tree) -> Vec<String>;

/// Dependencies of the planted trees.
const CRATES: [&str; 8] = ["backoff", "jiff", "lapin", "rand", "redis", "tokio", "tracing", "uuid"];

const LAYERS: Rule = |tree| rules::layers(&Graph::new(tree, &CRATES));
const CIRCLES: Rule = |tree| rules::circles(&Graph::new(tree, &CRATES));
const HOMES: Rule = |tree| rules::homes(&Graph::new(tree, &CRATES));
const PURITY: Rule = |tree| rules::purity(&Graph::new(tree, &CRATES));

/// A planted tree.
struct Case {
    name: &'static str,
    rule: Rule,
    files: &'static [(&'static str, &'static str)],
    /// The beginnings of the findings, in order; empty for a tree that keeps the rule.
    findings: &'static [&'static str],
}

#[track_caller]
fn check(name: &str, rule: Rule, files: Vec<(String, String)>, expected: &[&str]) {
    let findings = rule(&Tree::new(files));
    let same = findings.len() == expected.len()
        && findings.iter().zip(expected).all(|(finding, expected)| finding.starts_with(expected));
    assert!(same, "{name}: found {findings:#?}, expected {expected:#?}");
}

/// Adds the files of the modules above these, where a case leaves them out.
fn with_parents(mut files: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut wanted = vec!["src/lib.rs".to_owned()];
    for (path, _) in &files {
        let folders = path.match_indices('/').skip(1).map(|(end, _)| &path[..end]);
        wanted.extend(folders.map(|folder| format!("{folder}/mod.rs")));
    }
    wanted.sort_unstable();
    wanted.dedup();
    let is_there = |path: &String| {
        let file = path.trim_end_matches("/mod.rs").to_owned() + ".rs";
        files.iter().any(|(other, _)| other == path || *other == file)
    };
    wanted.retain(|path| !is_there(path));
    files.extend(wanted.into_iter().map(|path| (path, "//! A parent.".to_owned())));
    files
}

fn check_all(cases: &[Case]) {
    for case in cases {
        let files = case.files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        check(case.name, case.rule, with_parents(files.collect()), case.findings);
    }
}

#[test]
fn planted_imports_of_outer_layers_are_found() {
    const EDGE: (&str, &str) = (
        "src/edge/mod.rs",
        "pub mod amqp;
pub mod redis;",
    );
    const AMQP: (&str, &str) = ("src/edge/amqp.rs", "pub struct Publisher;");
    check_all(&[
        Case {
            name: "a plain use",
            rule: LAYERS,
            files: &[AMQP, ("src/core/a.rs", "use crate::edge::amqp::Publisher;")],
            findings: &["src/core/a.rs:1 (core) imports edge: crate::edge::amqp::Publisher"],
        },
        Case {
            name: "one of several names of a use, nested",
            rule: LAYERS,
            files: &[
                AMQP,
                EDGE,
                ("src/core/b.rs", "pub struct B;"),
                (
                    "src/core/a.rs",
                    "use std::{fmt, io};\nuse crate::{\n    core::b::B,\n    \
                     edge::{amqp::{self, Publisher}},\n};",
                ),
            ],
            findings: &[
                "src/core/a.rs:4 (core) imports edge: crate::edge::amqp",
                "src/core/a.rs:4 (core) imports edge",
            ],
        },
        Case {
            name: "super, twice",
            rule: LAYERS,
            files: &[EDGE, AMQP, ("src/config/a.rs", "use super::super::edge::amqp;")],
            findings: &["src/config/a.rs:1 (config) imports edge"],
        },
        Case {
            name: "a path in the code, in a function, and a renamed import",
            rule: LAYERS,
            files: &[
                AMQP,
                EDGE,
                (
                    "src/core/a.rs",
                    "fn a() { let b = crate::edge::amqp::Publisher; }\n\
                     use crate::edge as e;\nfn b(p: e::amqp::Publisher) {}",
                ),
            ],
            findings: &["src/core/a.rs:1 (core)", "src/core/a.rs:2 (core)", "src/core/a.rs:3 (core)"],
        },
        Case {
            name: "an outer layer behind a re-export of an inner one",
            rule: LAYERS,
            files: &[
                ("src/app/a.rs", "pub struct A;"),
                ("src/edge/mod.rs", "pub use crate::app::a::A;"),
                ("src/config/mod.rs", "use crate::core::Fine;"),
                ("src/core/mod.rs", "pub struct Fine;"),
            ],
            findings: &["src/edge/mod.rs:1 (edge) imports app"],
        },
        Case {
            name: "leaves: the core names no faults, and faults names nothing",
            rule: LAYERS,
            files: &[
                ("src/faults.rs", "use crate::core::a::A;\npub fn at() {}"),
                ("src/core/a.rs", "pub struct A;\nfn a() { crate::faults::at(); }"),
                ("src/samples.rs", "use crate::core::a::A;"),
                ("src/app/mod.rs", "use crate::{faults, samples};\nfn a() { faults::at(); }"),
            ],
            findings: &[
                "src/app/mod.rs:1 (app) imports samples",
                "src/core/a.rs:2 (core) imports faults",
                "src/faults.rs:1 (faults) imports core",
            ],
        },
        Case {
            name: "a file beside the layers",
            rule: LAYERS,
            files: &[("src/utils.rs", "pub fn help() {}"), ("src/lib.rs", "pub mod utils;")],
            findings: &["src/utils.rs belongs to no layer"],
        },
        Case {
            name: "comments, strings and tests import nothing",
            rule: LAYERS,
            files: &[
                AMQP,
                (
                    "src/core/a.rs",
                    "//! use crate::edge::amqp;\n/* crate::edge::amqp::Publisher /* nested */ */\n\
                     const A: &str = \"crate::edge::amqp\";\n\
                     const B: &str = r#\"\" use crate::edge::amqp; \"#;\n\
                     const C: char = '\"';\nfn a<'a>(b: &'a str) {}\n\
                     #[cfg(test)]\nmod tests {\n    use crate::edge::amqp::Publisher;\n    fn b() {}\n}",
                ),
                ("src/core/b.rs", "#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;"),
                ("src/core/b_tests.rs", "use crate::edge::amqp::Publisher;"),
                ("src/app/a.rs", "use crate::{config::C, core::{a, b}, edge::amqp::Publisher};"),
                ("src/config/mod.rs", "pub struct C;"),
            ],
            findings: &[],
        },
    ]);
}

#[test]
fn planted_circles_are_found() {
    check_all(&[
        Case {
            name: "two files",
            rule: CIRCLES,
            files: &[
                ("src/core/a.rs", "use crate::core::b::B;\npub struct A;"),
                ("src/core/b.rs", "pub struct B;\nuse super::a::A;"),
            ],
            findings: &["src/core/a.rs:1 -> src/core/b.rs:2 -> src/core/a.rs"],
        },
        Case {
            name: "three files, by names of a group, a path in the code and an alias",
            rule: CIRCLES,
            files: &[
                ("src/core/mod.rs", "pub mod a;\npub mod b;\npub mod c;"),
                ("src/core/a.rs", "use crate::core::{b::{self, B}};\npub struct A(B, b::B);"),
                ("src/core/b.rs", "pub struct B(super::c::C);"),
                ("src/core/c.rs", "use super::a as other;\npub struct C(Box<other::A>);"),
            ],
            findings: &["src/core/a.rs:1 -> src/core/b.rs:1 -> src/core/c.rs:2 -> src/core/a.rs"],
        },
        Case {
            name: "a child that imports what its mod.rs defines, while that names the child",
            rule: CIRCLES,
            files: &[
                ("src/core/mod.rs", "mod a;\npub struct Shared;\nfn f() { a::run(); }"),
                ("src/core/a.rs", "use super::Shared;\npub fn run() {}"),
            ],
            findings: &["src/core/a.rs:1 -> src/core/mod.rs:3 -> src/core/a.rs"],
        },
        Case {
            name: "the same, where mod.rs only re-exports the child",
            rule: CIRCLES,
            files: &[
                ("src/core/mod.rs", "mod a;\npub use a::{Run, Walk as Stroll};\npub enum Shared { One }"),
                ("src/core/a.rs", "pub struct Run(crate::core::Shared);\npub struct Walk;"),
            ],
            findings: &["src/core/a.rs:1 -> src/core/mod.rs:2 -> src/core/a.rs"],
        },
        Case {
            name: "two circles that share no file",
            rule: CIRCLES,
            files: &[
                ("src/core/a.rs", "use super::b::B;\npub struct A;"),
                ("src/core/b.rs", "use super::a::A;\npub struct B;"),
                ("src/app/c.rs", "use crate::app::d::*;\npub struct C;"),
                ("src/app/d.rs", "fn f() { crate::app::c::C; }\npub struct D;\nfn g(d: super::c::C) {}"),
            ],
            findings: &["src/core/a.rs:1"],
        },
        Case {
            name: "a declaration and a path to a sibling are no circle",
            rule: CIRCLES,
            files: &[
                ("src/core/mod.rs", "pub mod a;\npub mod b;\npub use a::A;\npub use b::B;"),
                ("src/core/a.rs", "use super::b::B;\npub struct A;"),
                ("src/core/b.rs", "pub struct B;"),
            ],
            findings: &[],
        },
        Case {
            name: "a sibling by the name that mod.rs gives it is followed to its own file",
            rule: CIRCLES,
            files: &[
                ("src/core/mod.rs", "mod a;\nmod b;\npub use self::{a::A, b::*};\nfn f(a: a::A) {}"),
                ("src/core/a.rs", "use super::B;\npub struct A;"),
                ("src/core/b.rs", "pub struct B;"),
            ],
            findings: &[],
        },
        Case {
            name: "tests may import what they like",
            rule: CIRCLES,
            files: &[
                ("src/core/a.rs", "pub struct A;\n#[cfg(test)]\nmod tests {\n    use crate::core::b::B;\n}"),
                ("src/core/b.rs", "use super::a::A;\npub struct B;"),
            ],
            findings: &[],
        },
        Case {
            name: "modules inside one file are no files",
            rule: CIRCLES,
            files: &[(
                "src/core/a.rs",
                "pub struct A;\nmod inner {\n    use super::A;\n    pub fn f() {}\n}\n\
                 pub use inner::f;\nuse self::inner as i;",
            )],
            findings: &[],
        },
    ]);
}

#[test]
fn planted_crates_outside_their_home_are_found() {
    check_all(&[
        Case {
            name: "lapin, by a use and by a path",
            rule: HOMES,
            files: &[
                ("src/app/a.rs", "use lapin::{Channel, options::*};\nfn f(c: ::lapin::Connection) {}"),
                ("src/edge/amqp/mod.rs", "use lapin::Channel;"),
            ],
            findings: &[
                "src/app/a.rs:1 names lapin, whose home is src/edge/amqp/: lapin::Channel",
                "src/app/a.rs:1 names lapin",
                "src/app/a.rs:2 names lapin",
            ],
        },
        Case {
            name: "redis, which is also the name of a module",
            rule: HOMES,
            files: &[
                ("src/edge/mod.rs", "pub mod redis;\nuse redis::Store;"),
                ("src/edge/redis/mod.rs", "use redis::aio::ConnectionManager;\npub struct Store;"),
                ("src/app/a.rs", "use crate::edge::redis;\nfn f(s: redis::Store) {}"),
                ("src/app/b.rs", "fn f() -> redis::Value {}"),
                ("src/edge/http.rs", "use redis as r;\nfn f(v: r::Value) {}"),
            ],
            findings: &[
                "src/app/b.rs:1 names redis, whose home is src/edge/redis/",
                "src/edge/http.rs:1 names redis",
                "src/edge/http.rs:2 names redis",
            ],
        },
        Case {
            name: "lapin through a re-export of its home",
            rule: HOMES,
            files: &[
                ("src/edge/amqp/mod.rs", "pub use lapin::Channel;\npub use lapin;"),
                ("src/cli/a.rs", "use crate::edge::amqp::{Channel, lapin::Connection};"),
            ],
            findings: &["src/cli/a.rs:1 names lapin", "src/cli/a.rs:1 names lapin"],
        },
        Case {
            name: "backoff beside its one file",
            rule: HOMES,
            files: &[
                ("src/core/delivery/retry.rs", "use backoff::ExponentialBackoff;"),
                ("src/core/delivery/fault.rs", "fn f(b: backoff::ExponentialBackoff) {}"),
                ("src/core/delivery/mod.rs", "// use backoff::x;\nconst X: &str = \"backoff::x\";"),
            ],
            findings: &["src/core/delivery/fault.rs:1 names backoff"],
        },
    ]);
}

#[test]
fn planted_impurities_of_the_core_are_found() {
    check_all(&[
        Case {
            name: "I/O in a group of names, and a clock in the code",
            rule: PURITY,
            files: &[(
                "src/core/a.rs",
                "use std::{collections::BTreeMap, fs::File, time::{Duration, SystemTime}};\n\
                 fn f() { std::net::TcpStream::connect(); }\nfn g() -> std::time::Instant { now() }",
            )],
            findings: &[
                "src/core/a.rs:1 uses std::fs::File",
                "src/core/a.rs:1 uses std::time::SystemTime",
                "src/core/a.rs:2 uses std::net::TcpStream::connect",
                "src/core/a.rs:3 uses std::time::Instant",
            ],
        },
        Case {
            name: "a clock and chance by an imported name",
            rule: PURITY,
            files: &[
                (
                    "src/core/a.rs",
                    "use jiff::Timestamp;\nfn f(t: Timestamp) { Timestamp::now(); Timestamp::MAX; }",
                ),
                (
                    "src/core/b.rs",
                    "use std::time;\nuse uuid::Uuid;\nfn f() { time::Instant::now(); Uuid::now_v7(); }",
                ),
            ],
            findings: &[
                "src/core/a.rs:2 uses jiff::Timestamp::now",
                "src/core/b.rs:3 uses std::time::Instant::now",
                "src/core/b.rs:3 uses uuid::Uuid::now_v7",
            ],
        },
        Case {
            name: "async, logging and printing",
            rule: PURITY,
            files: &[(
                "src/core/a.rs",
                "async fn f() {\n    tracing::info!(\"a\");\n    println!(\"b\");\n}\n\
                 use tokio::time::sleep;",
            )],
            findings: &[
                "src/core/a.rs:2 uses tracing::info",
                "src/core/a.rs:5 uses tokio::time::sleep",
                "src/core/a.rs:1 uses async",
                "src/core/a.rs:3 uses println",
            ],
        },
        Case {
            name: "other layers, tests, comments and strings",
            rule: PURITY,
            files: &[
                ("src/edge/a.rs", "use std::fs;\nasync fn f() {}"),
                ("src/core/a.rs", "//! async std::fs\nuse std::time::Duration;\nconst A: &str = \"async\";"),
                ("src/core/b.rs", "#[cfg(test)]\nmod tests {\n    use std::fs;\n    async fn f() {}\n}"),
            ],
            findings: &[],
        },
    ]);
}

#[test]
fn planted_prints_are_found() {
    check_all(&[Case {
        name: "a print, a function of that name, a test and a string",
        rule: rules::prints,
        files: &[(
            "src/cli/a.rs",
            "fn f() {\n    print(1);\n    eprintln!(\"a\");\n    g(\"println!\");\n}\n\
             #[cfg(test)]\nmod tests { fn t() { println!(\"b\"); } }",
        )],
        findings: &["src/cli/a.rs:3 uses eprintln"],
    }]);
}

#[test]
fn planted_questions_are_found() {
    check_all(&[
        Case {
            name: "public, private and method, with attributes between",
            rule: rules::wording,
            files: &[(
                "src/core/a.rs",
                "//! A.\n\n/// How many there are.\npub fn a() {}\n\n\
                 /// Whether it is.\n/// More.\n#[must_use]\n\
                 #[expect(\n    dead_code,\n    reason = \"b\"\n)]\nfn b() {}\n\
                 impl A {\n    /// What it is.\n    \
                 pub(crate) const fn c() {}\n}",
            )],
            findings: &[
                "src/core/a.rs:4 `a` begins with How",
                "src/core/a.rs:13 `b` begins with Whether",
                "src/core/a.rs:16 `c` begins with What",
            ],
        },
        Case {
            name: "which and where, and a file without a purpose",
            rule: rules::wording,
            files: &[
                ("src/core/a.rs", "/// Which one.\nfn a() {}\n\n/// Where it is.\nasync fn b() {}"),
                ("src/core/b.rs", "//! B."),
            ],
            findings: &[
                "src/core/a.rs:2 `a` begins with Which",
                "src/core/a.rs:5 `b` begins with Where",
                "src/core/a.rs does not begin with its purpose",
            ],
        },
        Case {
            name: "verbs, later lines, types and tests",
            rule: rules::wording,
            files: &[(
                "src/core/a.rs",
                "//! A.\n\n/// Returns one.\n///\n/// How it does so.\nfn a() {}\n\n\
                 /// What it is.\nstruct S;\nfn b() {}\n\
                 #[cfg(test)]\nmod tests {\n    /// How many.\n    fn c() {}\n}",
            )],
            findings: &[],
        },
    ]);
}

/// A file of a planted tree that a loop makes.
fn made(path: &str, text: String) -> Vec<(String, String)> {
    vec![(path.to_owned(), text)]
}

#[test]
fn planted_lengths_are_found() {
    let function = |lines: usize| format!("fn long() {{\n{}}}\n", "    call();\n".repeat(lines - 2));
    check("60 lines", rules::sizes, made("src/core/a.rs", function(60)), &[]);
    let found = ["src/core/a.rs:1 `long` has 61 lines"];
    check("61 lines", rules::sizes, made("src/core/a.rs", function(61)), &found);
    let method = format!(
        "impl A {{\n    /// A.\n    pub async fn f(a: [u8; 3])\n\
         \x20   where\n        A: B,\n    {{\n{}    }}\n}}\n",
        "call({});\n".repeat(70)
    );
    check("a method", rules::sizes, made("src/app/a.rs", method), &["src/app/a.rs:3 `f` has 75 lines"]);
    let test = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function(80));
    check("a test", rules::sizes, made("src/app/a.rs", test), &["src/app/a.rs:3 `long` has 80 lines"]);

    let lines = |lines: usize| "// A.\n".repeat(lines);
    check("450 lines", rules::sizes, made("src/core/a.rs", lines(450)), &[]);
    let found = ["src/core/a.rs has 451 lines"];
    check("451 lines", rules::sizes, made("src/core/a.rs", lines(451)), &found);
    let reasoned = format!("//! A.\n//!\n//! Long because every provider is in it.\n{}", lines(500));
    check("with a reason at the top", rules::sizes, made("src/core/a.rs", reasoned), &[]);
    let late = format!("//! A.\n{}//! Long because it is.\n", lines(500));
    check(
        "with a reason elsewhere",
        rules::sizes,
        made("src/core/a.rs", late),
        &["src/core/a.rs has 502 lines"],
    );
    check("outside src", rules::sizes, made("tests/a.rs", lines(500)), &[]);
}

#[test]
fn planted_wide_lines_are_found() {
    let found = ["src/core/a.rs:1 has 111 characters"];
    let comment = |width: usize| format!("// {}\n", "ä".repeat(width - 3));
    check("110 characters", rules::widths, made("src/core/a.rs", comment(110)), &[]);
    check("111 characters", rules::widths, made("src/core/a.rs", comment(111)), &found);
    let code = format!("const {}: u8 = 1;\n", "A".repeat(96));
    check("code", rules::widths, made("src/core/a.rs", code), &["src/core/a.rs:1 has 111 characters"]);
    let spaced = format!("fn f() {{ say(\"{}\"); }}\n", "word ".repeat(20));
    check(
        "a string that can break",
        rules::widths,
        made("src/core/a.rs", spaced),
        &["src/core/a.rs:1 has 1"],
    );
    let script = format!("echo {}\n", "word ".repeat(30));
    check("a script", rules::widths, made("tests/scripts/a.sh", script), &["tests/scripts/a.sh:1 has 15"]);

    let address = format!("// https://example.org/{}\n", "a".repeat(100));
    check("an address", rules::widths, made("src/core/a.rs", address), &[]);
    let solid = format!("const A: &str = \"{}\";\n", "a".repeat(100));
    check("a string without spaces", rules::widths, made("src/core/a.rs", solid), &[]);
    let raw = format!("const A: &str = r#\"{{\n  \"a\": \"{}\"\n}}\"#;\n", "word ".repeat(30));
    check("a raw string", rules::widths, made("tests/a.rs", raw), &[]);
}

#[test]
fn a_purpose_is_the_first_sentence_of_the_first_paragraph() {
    let purpose = |text: &str| {
        let tree = Tree::new(made("src/core/a.rs", text.to_owned()));
        let first: &File = &tree.0[0];
        first.purpose()
    };
    assert_eq!(purpose("//! One thing\n//! in two lines. And more.\n"), "One thing in two lines");
    assert_eq!(purpose("//! One.\n//!\n//! Two.\n"), "One");
    assert_eq!(purpose("use a::b;\n"), "");
}
