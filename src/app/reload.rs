//! Reads the configuration again while the process runs: when it is asked to, and whenever a file has
//! changed.
//!
//! A file has changed if what is read differs: that holds for the files that the configuration names as well,
//! and however they are replaced.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::sleep};

use super::{parts::Parts, process::ProcessError};
use crate::{
    config::{Config, ConfigProblems},
    edge::metrics::Reload,
};

/// Time between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Time for which what is read must stay the same: an editor may be writing, or several files may be
/// changing.
const SETTLED_AFTER: Duration = Duration::from_millis(500);

/// What was read.
type Loaded = Result<Config, ConfigProblems>;

/// Gives `parts` each configuration that `load` reads and that differs from the one before, beginning with
/// `loaded`. Each message of `asked` has it read at once. Ends with its sender.
pub async fn follow(
    parts: Arc<Parts>,
    loaded: Config,
    load: impl Fn() -> Loaded + Clone + Send + 'static,
    mut asked: mpsc::Receiver<()>,
) {
    let (mut last, mut unsettled) = (Ok(loaded), None);
    loop {
        let pause = if unsettled.is_some() { SETTLED_AFTER } else { LOOK_EVERY };
        let is_asked = tokio::select! {
            asking = asked.recv() => match asking {
                Some(()) => true,
                None => return,
            },
            () = sleep(pause) => false,
        };
        // It reads files, which may be on a network.
        let Ok(read) = tokio::task::spawn_blocking(load.clone()).await else { continue };
        if !is_asked && (read == last || unsettled.as_ref() != Some(&read)) {
            unsettled = (read != last).then_some(read);
            continue;
        }
        unsettled = None;
        parts.note_reload(take(&parts, &read));
        last = read;
    }
}

/// Gives the parts what was read.
fn take(parts: &Parts, read: &Loaded) -> Reload {
    let problems = match read {
        Err(ConfigProblems(problems)) => problems.iter().map(ToString::to_string).collect(),
        Ok(config) if config.sources.is_empty() => vec![ProcessError::NoSources.to_string()],
        Ok(config) => match parts.reconfigure(config.clone()) {
            Ok(kept) => {
                tracing::info!("the configuration was read again and has no problems");
                for key in kept {
                    tracing::warn!("{key} has changed, which takes a restart: until then it keeps its value");
                }
                return Reload::Applied;
            }
            Err(error) => vec![error.to_string()],
        },
    };
    for problem in problems {
        tracing::error!("the changed configuration has a problem: {problem}");
    }
    tracing::error!("the changed configuration is refused: the one before stays in force");
    Reload::Refused
}
