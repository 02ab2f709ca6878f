//! The graph of what files import: every `use` and every path in the code, followed to the file that defines
//! it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    source::{File, Tree},
    syntax::{Module, Use},
};

/// Crates of the language. Others are those of `Cargo.toml`.
const LANGUAGE: [&str; 3] = ["std", "alloc", "core"];

/// Re-exports that are followed one after the other at most.
const HOPS_MAX: usize = 16;

/// The place that a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An item that this file defines.
    Item(usize),
    /// A module itself: that of this file.
    Module(Vec<String>, usize),
    /// An item of another crate: the whole path.
    External(Vec<String>),
    /// A type parameter, a type of the prelude, a local name.
    Local,
}

/// An import: a `use`, or a path in the code.
pub(crate) struct Import {
    /// Index of the file.
    pub(crate) from: usize,
    pub(crate) line: usize,
    pub(crate) origin: Origin,
    /// As written.
    pub(crate) path: String,
}

/// A module, wherever it is.
struct Room<'t> {
    file: usize,
    module: &'t Module,
    children: BTreeSet<String>,
}

/// All modules of a tree.
pub(crate) struct Graph<'t> {
    pub(crate) files: Vec<&'t File>,
    rooms: BTreeMap<Vec<String>, Room<'t>>,
    crates: BTreeSet<String>,
}

impl<'t> Graph<'t> {
    /// Builds the graph of a tree's `src`; `crates` are the names of its dependencies.
    pub(crate) fn new(tree: &'t Tree, crates: &[&str]) -> Self {
        let files: Vec<_> = tree.sources().collect();
        let mut rooms = BTreeMap::new();
        for (index, file) in files.iter().enumerate() {
            for module in &file.syntax.modules {
                let path = [file.module(), module.inside.clone()].concat();
                rooms.insert(path, Room { file: index, module, children: BTreeSet::new() });
            }
        }
        let paths: Vec<_> = rooms.keys().cloned().collect();
        for path in paths {
            if let Some((name, parent)) = path.split_last()
                && let Some(room) = rooms.get_mut(parent)
            {
                room.children.insert(name.clone());
            }
        }
        let crates = LANGUAGE.iter().chain(crates).map(|name| name.replace('-', "_")).collect();
        Self { files, rooms, crates }
    }

    /// Follows every `use` and every path of every file.
    pub(crate) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (path, room) in &self.rooms {
            let mut note = |line, written: &[String], origin| {
                imports.push(Import { from: room.file, line, origin, path: written.join("::") });
            };
            for (index, used) in room.module.uses.iter().enumerate() {
                note(used.line, &used.path, self.follow(path, &used.path, Some(index), 0));
            }
            for used in &room.module.paths {
                note(used.line, &used.path, self.follow(path, &used.path, None, 0));
            }
        }
        imports.sort_by_key(|import| (import.from, import.line));
        imports
    }

    /// Follows a path from a module; `own` is the `use` of that module that it belongs to.
    fn follow(&self, from: &[String], path: &[String], own: Option<usize>, hops: usize) -> Origin {
        let Some((first, rest)) = path.split_first().filter(|_| hops < HOPS_MAX) else {
            return Origin::Local;
        };
        match first.as_str() {
            "" => self.outside(rest),
            "crate" | "hookswitch" => self.descend(&[], rest, hops),
            "self" => self.descend(from, rest, hops),
            "super" => {
                let parent = &from[..from.len().saturating_sub(1)];
                let rest_from_there = rest.first().is_some_and(|next| next == "super");
                if rest_from_there {
                    self.follow(parent, rest, own, hops)
                } else {
                    self.descend(parent, rest, hops)
                }
            }
            name => {
                let Some(room) = self.rooms.get(from) else { return Origin::Local };
                if room.children.contains(name) {
                    return self.descend(from, path, hops);
                }
                let uses = room.module.uses.iter().enumerate().filter(|(index, _)| Some(*index) != own);
                if let Some((index, used)) =
                    uses.into_iter().find(|(_, used)| used.name.as_deref() == Some(name))
                {
                    let target = self.follow(from, &used.path, Some(index), hops + 1);
                    return self.go_on(target, rest, hops);
                }
                if room.module.items.iter().any(|item| item == name) {
                    return Origin::Item(room.file);
                }
                if self.crates.contains(name) { self.outside(path) } else { Origin::Local }
            }
        }
    }

    fn outside(&self, path: &[String]) -> Origin {
        Origin::External(path.to_vec())
    }

    /// Follows the rest of a path from where its beginning leads to.
    fn go_on(&self, target: Origin, rest: &[String], hops: usize) -> Origin {
        match target {
            Origin::Module(path, _) => self.descend(&path, rest, hops),
            Origin::External(path) => Origin::External([path.as_slice(), rest].concat()),
            Origin::Item(_) | Origin::Local => target,
        }
    }

    /// Follows a path down from a module.
    fn descend(&self, at: &[String], rest: &[String], hops: usize) -> Origin {
        let Some(room) = self.rooms.get(at) else { return Origin::Local };
        let Some((name, after)) = rest.split_first() else { return Origin::Module(at.to_vec(), room.file) };
        if room.children.contains(name) {
            return self.descend(&[at, std::slice::from_ref(name)].concat(), after, hops);
        }
        self.find(at, room, name, hops)
            .map_or(Origin::Item(room.file), |target| self.go_on(target, after, hops))
    }

    /// Follows a name that a module imports from elsewhere; none for a name that it defines.
    fn find(&self, at: &[String], room: &Room<'_>, name: &str, hops: usize) -> Option<Origin> {
        let uses = || room.module.uses.iter().enumerate();
        let follow = |(index, used): (usize, &Use)| self.follow(at, &used.path, Some(index), hops + 1);
        if let Some(used) = uses().find(|(_, used)| used.name.as_deref() == Some(name)) {
            return Some(follow(used));
        }
        if room.module.items.iter().any(|item| item == name) {
            return None;
        }
        uses().filter(|(_, used)| used.is_glob).map(follow).find_map(|target| match target {
            Origin::Module(path, _) => self.find_public(&path, name, hops + 1),
            Origin::Item(_) | Origin::External(_) | Origin::Local => None,
        })
    }

    /// Follows a name through a glob to a module that defines or imports it.
    fn find_public(&self, at: &[String], name: &str, hops: usize) -> Option<Origin> {
        let room = self.rooms.get(at).filter(|_| hops < HOPS_MAX)?;
        if room.children.contains(name) {
            return Some(self.descend(at, &[name.to_owned()], hops));
        }
        if room.module.items.iter().any(|item| item == name) {
            return Some(Origin::Item(room.file));
        }
        self.find(at, room, name, hops)
    }
}
