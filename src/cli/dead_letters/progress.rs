//! Progress bars on standard error.

use std::{fmt::Write, io::IsTerminal, time::Duration};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::app::dead_letters::Progress;

/// Returns a progress bar, or a spinner if `total` is not known. It is hidden unless standard error is a
/// terminal.
pub(super) fn bar(total: Option<u64>, prefix: &'static str) -> ProgressBar {
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::new_spinner(),
    };
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let template = match total {
        Some(_) => "{prefix} {wide_bar} {human_pos}/{human_len} {rate} ETA {eta} {msg}",
        None => "{prefix} {spinner} {human_pos} {rate} {msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("rate", rate));
    }
    bar.set_prefix(prefix);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Writes the number of letters a second, without decimals.
fn rate(state: &ProgressState, to: &mut dyn Write) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate that people read")]
    let rate = state.per_sec().round() as u64;
    write!(to, "{}/s", HumanCount(rate)).unwrap_or_default();
}

/// Returns a callback that moves `bar` to the number of letters handled.
pub(super) fn moving(bar: &ProgressBar) -> impl FnMut(Progress) {
    |progress| {
        if let Progress::Letters(letters) = progress {
            bar.set_position(letters);
        }
    }
}
