//! A lexer for as much of Rust as the rules need: it tells code from comments and strings, and code into
//! tokens.

use std::collections::BTreeSet;

/// A token of code: an identifier, a number, `::`, one character of punctuation, or `"` with the content of a
/// string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// Line of the file, from 1.
    pub(crate) line: usize,
}

/// A file's tokens, and its lines that cannot break without a change to a string.
#[derive(Default)]
pub(crate) struct Lexed {
    pub(crate) tokens: Vec<Token>,
    pub(crate) unbreakable: BTreeSet<usize>,
}

/// A string literal without a space and at least this long cannot break into lines that are worth it.
const UNBREAKABLE_MIN: usize = 40;

/// Splits a file into tokens, without its comments.
pub(crate) fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, line: 1, lexed: Lexed::default() };
    while lexer.at < lexer.chars.len() {
        lexer.next();
    }
    lexer.lexed
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    lexed: Lexed,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    /// Moves on by one character and counts lines.
    fn advance(&mut self) -> char {
        let char = self.peek(0);
        self.line += usize::from(char == '\n');
        self.at += 1;
        char
    }

    fn push(&mut self, text: impl Into<String>, line: usize) {
        self.lexed.tokens.push(Token { text: text.into(), line });
    }

    fn next(&mut self) {
        let line = self.line;
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => {
                while !matches!(self.peek(0), '\n' | '\0') {
                    self.advance();
                }
            }
            ('/', '*') => self.block_comment(),
            ('"', _) => self.string(),
            ('\'', _) => self.char_or_lifetime(),
            (':', ':') => {
                self.at += 2;
                self.push("::", line);
            }
            (first, _) if first.is_alphanumeric() || first == '_' => self.word(),
            (first, _) => {
                self.advance();
                if !first.is_whitespace() {
                    self.push(first, line);
                }
            }
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.advance();
                    continue;
                }
            }
            self.at += 2;
            if depth == 0 {
                return;
            }
        }
    }

    fn word(&mut self) {
        let line = self.line;
        let mut word = String::new();
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            word.push(self.advance());
        }
        let hashes = (0..).take_while(|n| self.peek(*n) == '#').count();
        let raw = matches!(word.as_str(), "r" | "br" | "cr");
        if raw && self.peek(hashes) == '"' {
            self.raw_string(hashes);
        } else if word == "r" && hashes == 1 {
            // A raw identifier.
            self.advance();
        } else if !(matches!(word.as_str(), "b" | "c") && self.peek(0) == '"') {
            self.push(word, line);
        }
    }

    fn string(&mut self) {
        let line = self.line;
        self.advance();
        let mut content = String::new();
        while !matches!(self.peek(0), '"' | '\0') {
            let char = self.advance();
            content.push(char);
            if char == '\\' {
                content.push(self.advance());
            }
        }
        self.advance();
        if content.chars().count() >= UNBREAKABLE_MIN && !content.contains(' ') {
            self.lexed.unbreakable.insert(line);
        }
        self.push(format!("\"{content}"), line);
    }

    fn raw_string(&mut self, hashes: usize) {
        let line = self.line;
        self.at += hashes + 1;
        let mut content = String::new();
        while self.at < self.chars.len() {
            let char = self.advance();
            if char == '"' && (0..hashes).all(|n| self.peek(n) == '#') {
                break;
            }
            content.push(char);
        }
        self.at += hashes;
        self.lexed.unbreakable.extend(line..=self.line);
        self.push(format!("\"{content}"), line);
    }

    fn char_or_lifetime(&mut self) {
        self.advance();
        if self.peek(0) == '\\' {
            self.at += 2;
            while !matches!(self.peek(0), '\'' | '\0') {
                self.advance();
            }
            self.advance();
        } else if self.peek(1) == '\'' {
            self.advance();
            self.advance();
        } else {
            while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
                self.advance();
            }
        }
    }
}
