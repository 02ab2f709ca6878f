//! What the program does, made of the edges and the core.

pub mod dead_letters;
pub mod gate;
pub mod receiver;
pub mod settle;
pub mod tail;
pub mod worker;
