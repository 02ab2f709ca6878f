//! `hookswitch dead-letters export`

use std::{io::ErrorKind, path::PathBuf};

use super::{
    files::{LetterFile, is_output},
    filter::FilterArgs,
    progress::{bar, moving},
    selection::no_match,
    session::{Session, stop_on_signals},
    who::Who,
};
use crate::{
    app::dead_letters::DeadLetterError,
    cli::{
        exit::{FAILED, OK},
        output::{Report, letters},
    },
    config::Config,
    core::letters::JobKind,
};

/// Write dead letters to a file, with personal data: for a ticket, for `try` elsewhere, or for `import`
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// A file that does not exist yet, or - for standard output
    file: PathBuf,
    /// At most this many, oldest first
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true, value_name = "N")]
    limit: u64,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    filter: FilterArgs,
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    let filter = args.filter.filter(config)?;
    let request = args.who.request_with_note(JobKind::Export, filter.to_string(), None)?;
    let report = Report::beside(is_output(&args.file));
    let mut file = LetterFile::new(&args.file)?;
    let session = Session::open(config).await?;
    let (publisher, stop) = (session.publisher().await?, stop_on_signals()?);
    let progress = bar(None, "written");
    let written = session
        .dead_letters()
        .export((&publisher, &stop), &request, (&filter, args.limit), &mut file, &mut moving(&progress))
        .await;
    progress.finish_and_clear();
    let written = match written {
        // As with every command, a reader may take only the first letters.
        Err(DeadLetterError::NoFile(error)) if error.kind() == ErrorKind::BrokenPipe => return Ok(OK),
        written => written?,
    };
    if written == 0 && !stop.is_cancelled() {
        return no_match(&session, &filter, "no file was written").await;
    }
    if stop.is_cancelled() {
        let written = if is_output(&args.file) { letters(written) } else { "no file".to_owned() };
        report.line(&format!("interrupted; {written} written"))?;
        return Ok(FAILED);
    }
    let place = file.path().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    report.line(&format!("{} written to {place}, with personal data", letters(written)))?;
    Ok(OK)
}
