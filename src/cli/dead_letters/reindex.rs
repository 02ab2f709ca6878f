//! `hookswitch dead-letters reindex`

use std::io;

use serde_json::json;

use super::{
    filter::FilterArgs,
    output::{counts, letters, print_line, print_lines},
    progress::{bar, counted},
    session::Session,
    who::Who,
};
use crate::{
    app::dead_letters::Reindexed,
    cli::exit::{FAILED, OK},
    config::Config,
    core::letters::JobKind,
};

/// Make the list of dead letters agree with the queues, after letters were moved by other means
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Remove letters from the list that are in no queue; `export` them first: the list is the only copy
    #[arg(long)]
    forget_missing: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    filter: FilterArgs,
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    let session = Session::open(config).await?;
    let filter = args.filter.filter(config)?;
    let request = args.who.request(JobKind::Reindex, filter.to_string(), None)?;
    let services = session.job_services().await?;
    let progress = bar(None, "seen");
    let which = (&filter, args.forget_missing);
    let services = services.borrow();
    let result = session.dead_letters().reindex(services, &request, which, &mut counted(&progress)).await;
    progress.finish_and_clear();
    let result = result?;
    if args.json {
        print_line(&as_json(&result).to_string())?;
    } else {
        print(&result, args.forget_missing)?;
    }
    Ok(if result.stopped { FAILED } else { OK })
}

fn as_json(result: &Reindexed) -> serde_json::Value {
    json!({
        "seen": result.seen,
        "listed": result.listed,
        "missing": result.missing,
        "misplaced": result.misplaced,
        "finished": result.finished,
        "stopped": result.stopped,
    })
}

fn print(result: &Reindexed, forget_missing: bool) -> io::Result<()> {
    print_line(&format!("{} in the queues", letters(result.seen)))?;
    let missing = if forget_missing {
        "were listed but in no queue; they are not listed any more"
    } else {
        "are listed but in no queue: save them with `export`, then use --forget-missing, and `import` to \
         restore them"
    };
    let parts = [
        (result.listed, "were not listed and are now"),
        (result.missing, missing),
        (result.misplaced, "are in the queue of another source: move them back by hand"),
        (
            result.finished,
            "were removed from their queue: second copies, or settled by a job that was killed",
        ),
    ];
    print_lines(&counts("  ", &parts))?;
    if result.stopped {
        print_line("stopped by Ctrl-C; not all queues were read, so run it again")?;
    }
    Ok(())
}
