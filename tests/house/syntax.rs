//! A reader of the parts of Rust that the rules speak of: modules, `use` trees, paths, items and functions.
//!
//! It reads tokens, not grammar. A `use` inside a function counts for the whole module, and macros are not
//! expanded: neither hides a path that is written out.

use crate::lexer::{self, Lexed, Token};

/// One name that a `use` brings in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// Its segments; `crate`, `self` and `super` as written, and an empty first one for a leading `::`.
    pub(crate) path: Vec<String>,
    /// The name that it has here; none for `*` and for `as _`.
    pub(crate) name: Option<String>,
    pub(crate) is_glob: bool,
    pub(crate) line: usize,
}

/// A path in the code, as in `crate::a::b`, of at least two segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathUse {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

/// A module: that of the file, or one inside it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Module {
    /// Names of the modules from the file's own to this one; empty for the file's own.
    pub(crate) inside: Vec<String>,
    /// Names of what it defines.
    pub(crate) items: Vec<String>,
    pub(crate) uses: Vec<Use>,
    pub(crate) paths: Vec<PathUse>,
}

/// A function with its body.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// From the line of `fn` to that of the closing brace, both included.
    pub(crate) lines: usize,
    pub(crate) is_test: bool,
}

/// A module of tests in a file of its own.
#[derive(Clone, Debug)]
pub(crate) struct TestModule {
    pub(crate) name: String,
    /// Of its `#[path]`.
    pub(crate) path: Option<String>,
}

/// What was read of a file. Only `functions` and `unbreakable` cover tests.
#[derive(Default)]
pub(crate) struct Syntax {
    pub(crate) modules: Vec<Module>,
    pub(crate) functions: Vec<Function>,
    pub(crate) test_modules: Vec<TestModule>,
    /// The code's words and punctuation without tests.
    pub(crate) tokens: Vec<Token>,
    /// Lines with a string that cannot break.
    pub(crate) unbreakable: std::collections::BTreeSet<usize>,
}

/// Reads a file.
pub(crate) fn parse(text: &str) -> Syntax {
    let Lexed { tokens, unbreakable } = lexer::lex(text);
    let tests = test_ranges(&tokens);
    let is_test = |at: usize| tests.iter().any(|range| range.contains(&at));
    let mut functions = functions(&tokens);
    for (at, function) in &mut functions {
        function.is_test = is_test(*at);
    }
    let test_modules = tests.iter().filter_map(|range| test_module(&tokens[range.clone()])).collect();
    let tokens: Vec<_> =
        tokens.iter().enumerate().filter(|(at, _)| !is_test(*at)).map(|(_, token)| token.clone()).collect();
    let modules = Reader::new(&tokens).read();
    let functions = functions.into_iter().map(|(_, function)| function).collect();
    Syntax { modules, functions, test_modules, tokens, unbreakable }
}

fn is(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.text == text)
}

fn are(tokens: &[Token], at: usize, texts: &[&str]) -> bool {
    texts.iter().enumerate().all(|(n, text)| is(tokens, at + n, text))
}

fn word(tokens: &[Token], at: usize) -> Option<&str> {
    let text = tokens.get(at)?.text.as_str();
    text.starts_with(|first: char| first.is_alphabetic() || first == '_').then_some(text)
}

/// Returns the index after the bracket that closes the one at `open`.
fn after_bracket(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    let mut at = open;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

/// Returns the index after the item that begins here: after its `;`, or after its braces.
fn after_item(tokens: &[Token], mut at: usize) -> usize {
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "{" => return after_bracket(tokens, at),
            ";" => return at + 1,
            "(" | "[" => at = after_bracket(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// Finds the items under `#[cfg(test)]`, with their attributes.
fn test_ranges(tokens: &[Token]) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if are(tokens, at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            let begin = at;
            while is(tokens, at, "#") {
                at = after_bracket(tokens, at + 1);
            }
            at = after_item(tokens, at);
            ranges.push(begin..at);
        } else {
            at += 1;
        }
    }
    ranges
}

/// Reads `#[cfg(test)] #[path = "x.rs"] mod tests;`.
fn test_module(tokens: &[Token]) -> Option<TestModule> {
    let at = (0..tokens.len()).find(|at| is(tokens, *at, "mod") && is(tokens, at + 2, ";"))?;
    let path = (0..at).find(|at| are(tokens, *at, &["path", "="]));
    let path = path.map(|path| tokens[path + 2].text.trim_start_matches('"').to_owned());
    Some(TestModule { name: word(tokens, at + 1)?.to_owned(), path })
}

/// Finds the functions with a body, each with its index.
fn functions(tokens: &[Token]) -> Vec<(usize, Function)> {
    let mut functions = Vec::new();
    for at in 0..tokens.len() {
        let Some(name) = word(tokens, at + 1).filter(|_| word(tokens, at) == Some("fn")) else { continue };
        let end = after_item(tokens, at) - 1;
        if is(tokens, end, "}") {
            let (line, lines) = (tokens[at].line, tokens[end].line - tokens[at].line + 1);
            functions.push((at, Function { name: name.to_owned(), line, lines, is_test: false }));
        }
    }
    functions
}

/// Keywords that a path with a leading `::` can follow.
const BEFORE_PATH: [&str; 11] =
    ["as", "break", "dyn", "else", "for", "if", "impl", "in", "match", "mut", "return"];

/// Returns true if a `::` after this token continues a path or a type, as opposed to beginning one.
fn ends_type(tokens: &[Token], at: usize) -> bool {
    let is_arrow = at > 0 && (is(tokens, at - 1, "-") || is(tokens, at - 1, "="));
    (is(tokens, at, ">") && !is_arrow) || word(tokens, at).is_some_and(|word| !BEFORE_PATH.contains(&word))
}

/// Keywords before the name of an item.
const ITEMS: [&str; 9] = ["fn", "struct", "enum", "union", "type", "const", "static", "trait", "macro_rules"];

/// Reads the modules of a file.
struct Reader<'t> {
    tokens: &'t [Token],
    at: usize,
    depth: usize,
    modules: Vec<Module>,
    /// The modules around the current token, and the depth of the braces inside each.
    around: Vec<(usize, usize)>,
}

impl<'t> Reader<'t> {
    fn new(tokens: &'t [Token]) -> Self {
        Self { tokens, at: 0, depth: 0, modules: vec![Module::default()], around: vec![(0, 0)] }
    }

    fn read(mut self) -> Vec<Module> {
        while self.at < self.tokens.len() {
            self.step();
        }
        self.modules
    }

    fn module(&mut self) -> &mut Module {
        let (module, _) = self.around[self.around.len() - 1];
        &mut self.modules[module]
    }

    fn step(&mut self) {
        let (tokens, at) = (self.tokens, self.at);
        self.at += 1;
        match tokens[at].text.as_str() {
            "{" => self.depth += 1,
            "}" => {
                if self.around.len() > 1 && self.around[self.around.len() - 1].1 == self.depth {
                    self.around.pop();
                }
                self.depth = self.depth.saturating_sub(1);
            }
            // Not the `use<'a>` of a return type.
            "use" if !is(tokens, at + 1, "<") => self.read_use(),
            "mod" if is(tokens, at + 2, "{") => self.enter(),
            _ => {
                self.note_item(at);
                self.note_path(at);
            }
        }
    }

    fn enter(&mut self) {
        let Some(name) = word(self.tokens, self.at) else { return };
        let mut inside = self.module().inside.clone();
        inside.push(name.to_owned());
        self.modules.push(Module { inside, ..Module::default() });
        self.depth += 1;
        self.around.push((self.modules.len() - 1, self.depth));
        self.at += 2;
    }

    /// Notes the name of an item of the module, as opposed to those inside functions and `impl`s.
    fn note_item(&mut self, at: usize) {
        let (_, depth) = self.around[self.around.len() - 1];
        if depth != self.depth || !word(self.tokens, at).is_some_and(|word| ITEMS.contains(&word)) {
            return;
        }
        let is_modifier =
            |word: &str| ITEMS.contains(&word) || ["mut", "unsafe", "async", "extern"].contains(&word);
        let bang = usize::from(is(self.tokens, at + 1, "!"));
        if let Some(name) = word(self.tokens, at + 1 + bang).filter(|word| !is_modifier(word)) {
            let name = name.to_owned();
            self.module().items.push(name);
        }
    }

    /// Notes a path of two segments or more that begins here.
    fn note_path(&mut self, at: usize) {
        let tokens = self.tokens;
        if word(tokens, at).is_none() || !is(tokens, at + 1, "::") {
            return;
        }
        let mut path = Vec::new();
        if at > 0 && is(tokens, at - 1, "::") {
            if at > 1 && ends_type(tokens, at - 2) {
                return;
            }
            path.push(String::new());
        }
        let mut next = at;
        while let Some(segment) = word(tokens, next) {
            path.push(segment.to_owned());
            next += 1;
            if !is(tokens, next, "::") {
                break;
            }
            next += 1;
        }
        self.at = next.max(self.at);
        if path.len() > 1 {
            let line = tokens[at].line;
            self.module().paths.push(PathUse { path, line });
        }
    }

    fn read_use(&mut self) {
        self.read_tree(&[]);
        // Past the `;`.
        self.at += 1;
    }

    /// Reads a tree of `use` up to the `,`, `}` or `;` behind it.
    fn read_tree(&mut self, before: &[String]) {
        let mut path = before.to_vec();
        loop {
            let Some(token) = self.tokens.get(self.at) else { return };
            let line = token.line;
            self.at += 1;
            match token.text.as_str() {
                "::" if path.is_empty() => path.push(String::new()),
                "::" => {}
                "{" => return self.read_group(&path),
                "*" => {
                    self.module().uses.push(Use { path, name: None, is_glob: true, line });
                    return;
                }
                "self" if !path.is_empty() => return self.read_name(path, line),
                segment => {
                    path.push(segment.to_owned());
                    if !is(self.tokens, self.at, "::") {
                        return self.read_name(path, line);
                    }
                }
            }
        }
    }

    fn read_group(&mut self, path: &[String]) {
        while !is(self.tokens, self.at, "}") && self.at < self.tokens.len() {
            self.read_tree(path);
            if is(self.tokens, self.at, ",") {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    /// Reads the `as name` behind a path, if there is one.
    fn read_name(&mut self, path: Vec<String>, line: usize) {
        let mut name = path.last().cloned();
        if is(self.tokens, self.at, "as") {
            name = word(self.tokens, self.at + 1).filter(|name| *name != "_").map(str::to_owned);
            self.at += 2;
        }
        self.module().uses.push(Use { path, name, is_glob: false, line });
    }
}
