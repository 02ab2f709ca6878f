//! What a text may hold of a person: declared with the field that holds it, and needed to take it away.

use std::borrow::Cow;

use jiff::Timestamp;

use super::raw::Raw;

/// What a text may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A number that counts or measures.
    Figure,
    /// An id or a word of the provider's choice, which some providers make of a number or an address.
    Id,
    /// A phone number, or another address of a call or a message.
    Number,
    /// An e-mail address.
    Email,
    /// A name of a person, a company or a thing.
    Name,
    /// What somebody wrote or said, or where that can be found.
    Text,
}

/// What becomes of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Treated {
    /// It stays.
    Kept,
    /// This takes its place.
    Replaced(String),
    /// It is taken away.
    Dropped,
}

/// Decides what becomes of texts.
pub trait Redactor {
    /// Decides about one text.
    fn treat(&self, holds: Holds, text: &str) -> Treated;
}

/// A value whose personal parts can be taken away. `H` is [`Holds`] for texts, and `()` for all others: so a
/// text of which nothing is declared does not compile.
pub trait Redact<H> {
    /// Takes the personal parts away. Returns false if nothing is left.
    fn redact(&mut self, holds: H, by: &dyn Redactor) -> bool;
}

impl Redact<Holds> for Cow<'_, str> {
    fn redact(&mut self, holds: Holds, by: &dyn Redactor) -> bool {
        match by.treat(holds, self) {
            Treated::Kept => true,
            Treated::Replaced(text) => {
                *self = Cow::Owned(text);
                true
            }
            Treated::Dropped => false,
        }
    }
}

/// What is kept as the provider wrote it may hold anything.
impl Redact<()> for Raw<'_> {
    fn redact(&mut self, (): (), _by: &dyn Redactor) -> bool {
        false
    }
}

impl<H, T: Redact<H>> Redact<H> for Option<T> {
    fn redact(&mut self, holds: H, by: &dyn Redactor) -> bool {
        if let Some(value) = self
            && !value.redact(holds, by)
        {
            *self = None;
        }
        self.is_some()
    }
}

impl<H: Copy, T: Redact<H>> Redact<H> for Vec<T> {
    fn redact(&mut self, holds: H, by: &dyn Redactor) -> bool {
        let was_empty = self.is_empty();
        self.retain_mut(|item| item.redact(holds, by));
        was_empty || !self.is_empty()
    }
}

/// Implements [`Redact`] for types that hold nothing personal.
macro_rules! impersonal {
    ($($type:ty),*) => {
        $(impl Redact<()> for $type {
            fn redact(&mut self, (): (), _by: &dyn Redactor) -> bool {
                true
            }
        })*
    };
}

impersonal! { &'static str, bool, i64, f64, Timestamp }

/// Returns what a field declares to hold: nothing, or one of [`Holds`].
macro_rules! holds {
    () => {
        ()
    };
    ($what:ident) => {
        $crate::core::json::personal::Holds::$what
    };
}

pub(in crate::core) use holds;

#[cfg(test)]
#[expect(unreachable_pub, reason = "the macros write `pub`")]
mod tests {
    use super::*;
    use crate::core::json::{Json, json_object};

    json_object! {
        /// A line.
        #[derive(Clone)]
        pub struct Line<'a> {
            /// What was said.
            #[holds(Text)]
            pub text: Cow<'a, str>,
            pub at: Option<i64>,
        }

        /// A thing.
        pub struct Thing<'a> {
            #[holds(Id)]
            pub id: Cow<'a, str>,
            #[holds(Name)]
            pub name: Option<Cow<'a, str>>,
            pub lines: Option<Vec<Line<'a>>>,
            pub none: Option<Vec<Line<'a>>>,
            pub first: Option<Line<'a>>,
            pub raw: Option<Raw<'a>>,
        }
    }

    struct Planted;

    impl Redactor for Planted {
        fn treat(&self, holds: Holds, text: &str) -> Treated {
            match holds {
                Holds::Name => Treated::Replaced(format!("<{}>", text.len())),
                Holds::Text => Treated::Dropped,
                Holds::Figure | Holds::Id | Holds::Number | Holds::Email => Treated::Kept,
            }
        }
    }

    #[test]
    fn a_record_without_a_required_field_goes_and_so_does_a_list_of_them() {
        let line = Line { text: "hello".into(), at: Some(1) };
        let mut thing = Thing {
            id: "1".into(),
            name: Some("Ada".into()),
            lines: Some(vec![line.clone()]),
            none: Some(Vec::new()),
            first: Some(line),
            raw: Some(Raw::new("{\"name\":\"Ada\"}")),
        };
        assert!(thing.redact((), &Planted));
        let mut written = Vec::new();
        thing.write(&mut written);
        assert_eq!(String::from_utf8_lossy(&written), r#"{"id":"1","name":"<3>","none":[]}"#);
    }
}
