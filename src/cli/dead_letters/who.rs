//! The operator who asks for a job, and the operator's note.

use crate::{app::dead_letters::JobRequest, cli::exit::Usage, core::letters::JobKind};

/// The operator's name and note, which are recorded.
#[derive(clap::Args, Clone)]
pub(in crate::cli) struct Who {
    /// Your name [default: HOOKSWITCH_ACTOR, SUDO_USER or USER]; it is recorded
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Why you do this, in your words; it is recorded
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

impl Who {
    /// Returns a request for a job. The operator's name must be known.
    pub(in crate::cli) fn request(
        &self,
        kind: JobKind,
        filter: String,
        letters: Option<u64>,
    ) -> Result<JobRequest, Usage> {
        Ok(JobRequest { kind, actor: self.actor()?, note: self.note(), filter, letters })
    }

    /// Returns the operator's note, if there is one.
    pub(in crate::cli) fn note(&self) -> Option<String> {
        self.note.clone().filter(|note| !note.trim().is_empty())
    }

    /// Returns the operator's name, which must be known.
    pub(in crate::cli) fn actor(&self) -> Result<String, Usage> {
        let from_environment = ["HOOKSWITCH_ACTOR", "SUDO_USER", "USER"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        let given = self.actor.clone().filter(|actor| !actor.trim().is_empty());
        given.or(from_environment).ok_or_else(|| {
            Usage(
                "your name is unknown: give --actor NAME or set HOOKSWITCH_ACTOR; it is recorded".to_owned(),
            )
        })
    }

    /// Returns a request for a job that requires a note.
    pub(in crate::cli) fn request_with_note(
        &self,
        kind: JobKind,
        filter: String,
        letters: Option<u64>,
    ) -> Result<JobRequest, Usage> {
        if self.note.as_ref().is_none_or(|note| note.trim().is_empty()) {
            return Err(Usage("say why you do this with --note \"…\"; it is recorded".to_owned()));
        }
        self.request(kind, filter, letters)
    }
}

/// The former spelling of `--note`, of commands that select no letters by reason.
#[derive(clap::Args, Clone)]
pub(in crate::cli) struct FormerNote {
    #[arg(long, hide = true, value_parser = former_note)]
    reason: Option<String>,
}

fn former_note(_: &str) -> Result<String, String> {
    Err("why you do this is --note now".to_owned())
}
