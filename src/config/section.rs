//! Sections, declared by [`section!`]: structs whose every field comes from an [`Item`].
//!
//! An item reads, shows and describes its field, so a key cannot be read without being shown and documented.

use super::{format::quoted, read::Section};

/// Something that makes one field of a section: a key, several keys, or a table.
pub(super) trait Item {
    type Value;

    /// Describes the keys; `doc` is the field's documentation.
    fn declare(&self, name: &'static str, doc: &str) -> Vec<Declared>;

    /// Reads the value and records its problems. `None` if there is neither a valid value nor a default.
    fn read(&self, name: &'static str, section: &Section<'_>) -> Option<Self::Value>;

    /// Shows the value in force, without secrets.
    fn show(&self, name: &'static str, value: &Self::Value) -> Vec<Shown>;
}

/// A struct that [`section!`] has declared.
pub(super) trait Keys: Sized {
    /// Returns the struct's documentation.
    fn about() -> String;
    /// Describes all keys.
    fn declared() -> Vec<Declared>;
    /// Reads all fields. `None` if one of them has neither a valid value nor a default.
    fn read(section: &Section<'_>) -> Option<Self>;
    /// Shows all keys that are in force, without secrets.
    fn show(&self) -> Vec<Shown>;

    /// Reads all fields of a table, which must have no other keys.
    fn read_table(section: &Section<'_>) -> Option<Self> {
        let declared = Self::declared();
        let known: Vec<_> = declared.iter().map(Declared::name).collect();
        section.report_unknown(&known);
        Self::read(section)
    }
}

/// Declares a section: a struct whose every field is `name: Type = item;`.
///
/// Generates the struct, with the documentation as rustdoc, and its [`Keys`].
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $vis:vis struct $Section:ident {
            $( $(#[doc = $doc:literal])+ $key:ident: $type:ty = $item:expr; )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $Section {
            $( $(#[doc = $doc])+ $vis $key: $type, )+
        }

        impl $crate::config::section::Keys for $Section {
            fn about() -> String {
                $crate::config::section::text_of(&[$($about),+])
            }

            fn declared() -> Vec<$crate::config::section::Declared> {
                use $crate::config::section::{Item as _, of_type, text_of};
                [$( of_type::<$type, _>($item).declare(stringify!($key), &text_of(&[$($doc),+])) ),+].concat()
            }

            fn read(section: &$crate::config::read::Section<'_>) -> Option<Self> {
                use $crate::config::section::{Item as _, of_type};
                // All are read before the first that is absent ends it: every problem is recorded.
                $( let $key = of_type::<$type, _>($item).read(stringify!($key), section); )+
                Some(Self { $( $key: $key? ),+ })
            }

            fn show(&self) -> Vec<$crate::config::section::Shown> {
                use $crate::config::section::{Item as _, of_type};
                [$( of_type::<$type, _>($item).show(stringify!($key), &self.$key) ),+].concat()
            }
        }
    };
}
pub(super) use section;

/// Fixes the type that `item` makes, for [`section!`].
pub(super) fn of_type<T, I: Item<Value = T>>(item: I) -> I {
    item
}

/// Joins the lines of a doc comment, for [`section!`].
pub(super) fn text_of(lines: &[&str]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n")
}

/// One entry of a section, as declared.
#[derive(Clone, Debug)]
pub(super) enum Declared {
    /// A key.
    Key(Key),
    /// A table below the section.
    Table(Table),
}

impl Declared {
    /// Returns the name in the section.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Key(key) => key.name,
            Self::Table(table) => table.name,
        }
    }
}

/// A key as declared.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Its name in the section.
    pub(super) name: &'static str,
    /// Its documentation, in lines.
    pub(super) doc: String,
    /// Its accepted values, as in `an integer from 1 to 64`.
    pub(super) values: String,
    /// What happens without it.
    pub(super) absent: Absent,
    /// A value as TOML for the example: the default, if there is one.
    pub(super) example: String,
    /// Whether the rest of the example rules it out.
    pub(super) alternative: bool,
}

/// What happens without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// Its default applies.
    Default,
    /// It has no effect.
    Optional,
    /// The configuration is refused.
    Required,
}

/// A table as declared.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Its name in the section.
    pub(super) name: &'static str,
    /// Its documentation, in lines.
    pub(super) about: String,
    /// Set if there is one such table per name that the operator chooses.
    pub(super) named: Option<Named>,
    /// Its keys.
    pub(super) entries: Vec<Declared>,
}

/// The names of tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    /// Stands for the name in the documentation, as in `<name>`.
    pub(super) placeholder: &'static str,
    /// The name in the example.
    pub(super) example: &'static str,
}

/// One entry of a section, with the value in force.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    /// A key and its value as TOML.
    Key(&'static str, String),
    /// A table: its name below the section, and its entries.
    Table(String, Vec<Shown>),
}

/// Writes a name for a table's header, in quotes if it needs them.
pub(super) fn name_in_header(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if bare { name.to_owned() } else { quoted(name) }
}
