//! The operator who asks for a job, and the operator's reason.

use crate::{
    app::dead_letters::JobRequest,
    cli::exit::Usage,
    core::{delivery::fault::Reason, letters::JobKind},
};

/// The operator's name and reason, recorded with the job.
#[derive(clap::Args, Clone)]
pub(super) struct Who {
    /// Your name [default: HOOKSWITCH_ACTOR, SUDO_USER or USER]; recorded with the job
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Your reason, in your words; recorded with the job
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Who {
    /// Returns a request for a job. The operator's name must be known.
    pub(super) fn request(
        &self,
        kind: JobKind,
        filter: String,
        letters: Option<u64>,
    ) -> Result<JobRequest, Usage> {
        let from_environment = ["HOOKSWITCH_ACTOR", "SUDO_USER", "USER"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        let given = self.actor.clone().filter(|actor| !actor.trim().is_empty());
        let actor = given.or(from_environment).ok_or_else(|| {
            Usage(
                "your name is unknown: give --actor NAME or set HOOKSWITCH_ACTOR; it is recorded".to_owned(),
            )
        })?;
        // This mistake would select everything.
        if let Some(reason) = self.reason.as_ref().filter(|reason| reason.parse::<Reason>().is_ok()) {
            return Err(Usage(format!(
                "--reason is your reason for the job; to select letters that died of {reason}, use \
                 --died-of {reason}"
            )));
        }
        Ok(JobRequest { kind, actor, reason: self.reason.clone(), filter, letters })
    }

    /// Returns a request for a job that requires a reason.
    pub(super) fn request_with_reason(
        &self,
        kind: JobKind,
        filter: String,
        letters: Option<u64>,
    ) -> Result<JobRequest, Usage> {
        if self.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
            return Err(Usage("give your reason with --reason \"…\"; it is recorded".to_owned()));
        }
        self.request(kind, filter, letters)
    }
}
