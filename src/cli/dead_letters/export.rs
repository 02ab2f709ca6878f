//! `hookswitch dead-letters export`

use std::path::PathBuf;

use super::{
    files::LetterFile,
    filter::FilterArgs,
    output::{eprint_line, letters, print_line},
    progress::{bar, counted},
    session::{Session, stop_on_interrupt},
    who::Who,
};
use crate::{
    cli::exit::{FAILED, OK},
    config::Config,
    core::letters::JobKind,
};

/// Write dead letters to a file, with personal data: for a ticket, for `try` elsewhere, or for `import`
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// A file that does not exist yet
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
    let request = args.who.request_with_reason(JobKind::Export, filter.to_string(), None)?;
    let session = Session::open(config).await?;
    let (publisher, stop) = (session.publisher().await?, stop_on_interrupt());
    let mut file = LetterFile::new(&args.file)?;
    let progress = bar(None, "written");
    let written = session
        .dead_letters()
        .export((&publisher, &stop), &request, (&filter, args.limit), &mut file, &mut counted(&progress))
        .await;
    progress.finish_and_clear();
    let written = written?;
    match file.path() {
        Some(path) => {
            print_line(&format!("{} written to {}, with personal data", letters(written), path.display()))?;
        }
        None => eprint_line("no dead letters match; no file was written"),
    }
    if stop.is_cancelled() {
        print_line("stopped by Ctrl-C; the file is incomplete")?;
    }
    Ok(if stop.is_cancelled() || (written == 0 && args.filter.names_letters()) { FAILED } else { OK })
}
