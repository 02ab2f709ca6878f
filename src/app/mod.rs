//! What the program does, made of the edges and the core.

pub mod gate;
pub mod settle;
pub mod worker;
