//! Many origins told as one: the object or list that holds them and nothing else.

use std::collections::{HashMap, HashSet};

use super::origin::Origin;

/// The values of a body, and how many of them each object and list holds.
#[derive(Debug)]
pub(super) struct Spans<'p> {
    values: HashSet<&'p str>,
    counts: HashMap<&'p str, usize>,
}

impl<'p> Spans<'p> {
    /// Creates the spans of values, given by their pointers.
    pub(super) fn of(pointers: impl Iterator<Item = &'p str>) -> Self {
        let values: HashSet<_> = pointers.collect();
        Self { counts: count(values.iter().copied()), values }
    }

    /// Replaces origins by the outermost objects and lists all of whose values are among them.
    pub(super) fn join(&self, origins: &[Origin]) -> Vec<Origin> {
        let these = || origins.iter().filter_map(Origin::pointer);
        let (all, known) = (count(these()), count(these().filter(|pointer| self.values.contains(pointer))));
        let is_full = |around: &&str| {
            all.get(*around).is_some_and(|count| *count > 1)
                && known.get(*around).is_some_and(|known| self.counts.get(*around) == Some(known))
        };
        let mut seen = HashSet::new();
        let joined = origins.iter().map(|origin| {
            let around = origin.pointer().and_then(|pointer| around(pointer).find(is_full));
            around.map_or_else(|| origin.clone(), |around| Origin::Body(around.to_owned()))
        });
        joined.filter(|origin| seen.insert(origin.clone())).collect()
    }
}

/// Counts pointers by what holds their values.
fn count<'p>(pointers: impl Iterator<Item = &'p str>) -> HashMap<&'p str, usize> {
    let mut counts = HashMap::new();
    for around in pointers.flat_map(around) {
        *counts.entry(around).or_default() += 1;
    }
    counts
}

/// Returns the pointers of what holds a value, the whole document first.
fn around(pointer: &str) -> impl Iterator<Item = &str> {
    pointer.match_indices('/').map(|(at, _)| &pointer[..at])
}

/// Returns the pointer of the innermost value that holds both, or is one and holds the other.
pub(super) fn common<'p>(a: &'p str, b: &str) -> &'p str {
    let names = a.split('/').zip(b.split('/')).take_while(|(a, b)| a == b);
    // The first name is the empty one before the first slash.
    let len = names.map(|(name, _)| name.len() + 1).sum::<usize>().saturating_sub(1);
    &a[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_that_fill_an_object_are_told_as_that_object() {
        let spans = Spans::of(["/a", "/b/c", "/b/d/0", "/b/d/1", "/e"].into_iter());
        let body = |pointer: &&str| Origin::Body((*pointer).to_owned());
        let joined = |pointers: &[&str]| spans.join(&pointers.iter().map(body).collect::<Vec<_>>());
        assert_eq!(joined(&["/b/d/0", "/b/d/1"]), [body(&"/b/d")]);
        assert_eq!(joined(&["/b/c", "/b/d/0", "/b/d/1", "/a"]), [body(&"/b"), body(&"/a")]);
        assert_eq!(joined(&["/a", "/b/c", "/b/d/0", "/b/d/1", "/e"]), [body(&"")]);
        assert_eq!(joined(&["/b/c", "/b/d/0"]), [body(&"/b/c"), body(&"/b/d/0")]);
        assert_eq!(joined(&["/a"]), [body(&"/a")]);
    }

    #[test]
    fn two_values_have_an_innermost_one_around_them() {
        for (a, b, expected) in
            [("/a/b", "/a/c", "/a"), ("/ab", "/ac", ""), ("/a", "/a/b", "/a"), ("/a", "/a", "/a")]
        {
            assert_eq!((common(a, b), common(b, a)), (expected, expected));
        }
    }
}
