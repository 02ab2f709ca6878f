//! The contract with the consumers of events: JSON Schemas and an AsyncAPI document, generated from the
//! declarations that write the events, and the rules on which of their changes are breaking.

mod asyncapi;
mod attributes;
pub mod compare;
pub mod family;
mod limits;
mod schema;
mod shapes;

pub use self::{asyncapi::asyncapi, attributes::attributes, schema::Schemas, shapes::Unknown};

/// The media type of a schema.
pub const SCHEMA_CONTENT_TYPE: &str = "application/schema+json";
