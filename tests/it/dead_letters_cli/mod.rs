//! `hookswitch dead-letters` as the engineer on call runs it: the real program, killed, interrupted, piped,
//! and beside services that go away.

mod fixture;
mod interrupted;
mod killed;
mod misplaced;
mod outages;
mod personal_data;
mod piped;
mod selecting;
mod unwritable;
mod whole_story;
