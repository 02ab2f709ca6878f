//! Reading JSON so that no leaf gets lost, and writing it. This layer knows nothing of providers or events.
//!
//! An [`Object`] gives its fields away one by one. What is never taken is kept byte for byte as it was
//! written, big integers and decimals included. A field whose value does not fit what was asked for is not
//! taken, so it is kept too. What strict readers refuse is carried in a form that they take; see `carry`.

mod carry;
pub mod describe;
mod document;
mod error;
mod number;
mod object;
pub mod path;
pub mod personal;
mod raw;
mod reader;
mod scan;
mod text;
pub mod time;
mod tree;
pub(in crate::core) mod write;

pub(in crate::core) use self::write::{json_object, json_words, present, write_field, write_object};
pub use self::{
    document::{Document, ROOT, without_mark},
    error::JsonError,
    object::{DUPLICATE_KEY, Object, Word},
    raw::{Raw, Value},
    reader::DEPTH_MAX,
    tree::Tree,
    write::{Fields, Json},
};
