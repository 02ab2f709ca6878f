//! A Redis and its copy.
