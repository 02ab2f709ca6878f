//! Figures of hookswitch and of another side, compared by pairs of runs.

use serde::Serialize;

use super::{
    chart::{Bar, Target},
    report::Spread,
};

/// A figure of a run.
pub struct Figure<R> {
    /// Name and unit, with a comma between them.
    pub name: &'static str,
    pub of: fn(&R) -> f64,
    pub digits: usize,
}

impl<R> Figure<R> {
    /// Compares the runs of pairs, theirs first.
    pub fn compare(&self, pairs: &[(&R, &R)], target: Option<Target>) -> Comparison {
        let ratio = |(theirs, ours): &(&R, &R)| (self.of)(ours) / (self.of)(theirs);
        Comparison {
            figure: self.name,
            theirs: Spread::of(pairs.iter().map(|(theirs, _)| (self.of)(theirs))),
            ours: Spread::of(pairs.iter().map(|(_, ours)| (self.of)(ours))),
            ratio: Spread::of(pairs.iter().map(ratio)),
            target,
            digits: self.digits,
        }
    }
}

/// A figure of all pairs.
#[derive(Serialize)]
pub struct Comparison {
    figure: &'static str,
    theirs: Spread,
    pub ours: Spread,
    /// Ratio of each pair: hookswitch by the other side.
    pub ratio: Spread,
    target: Option<Target>,
    #[serde(skip)]
    pub digits: usize,
}

/// Returns the head of a table of comparisons.
pub fn head(beside: &str) -> String {
    line("", "figure", beside, "ours", "ratio")
}

fn line(label: &str, figure: &str, theirs: &str, ours: &str, ratio: &str) -> String {
    format!("{label:<9} {figure:<20} {theirs:>22} {ours:>22} {ratio:>18}\n")
}

impl Comparison {
    /// Returns its row of a table.
    pub fn row(&self, label: &str) -> String {
        let Self { figure, theirs, ours, ratio, digits, .. } = self;
        let values = [theirs, ours].map(|spread| format!("{spread:.digits$}"));
        line(label, figure, &values[0], &values[1], &format!("{ratio:.2}"))
    }

    /// Returns the figure's name without its unit.
    pub fn name(&self) -> &'static str {
        self.figure.split(',').next().unwrap_or_default()
    }

    /// Says whether the median meets the target, and whether all pairs agree with it; nothing without a
    /// target.
    pub fn verdict(&self, label: &str, beside: &str) -> String {
        let Some(target) = self.target else { return String::new() };
        let Spread { median, min, max, .. } = self.ratio;
        let met = target.is_met(median);
        let agree = [min, max].iter().all(|ratio| target.is_met(*ratio) == met);
        let (word, doubt) =
            (if met { "met" } else { "NOT met" }, if agree { "" } else { ", but not in every pair" });
        let (name, sign, bound) = (self.name(), target.sign(), target.bound());
        format!("  {label} {name} {sign} {bound} × {beside}: {word} ({median:.2}){doubt}\n")
    }

    /// Returns its bar of a chart.
    pub fn bar(&self, label: &str) -> Bar {
        Bar { label: format!("{label}: {}", self.name()), ratio: self.ratio, target: self.target }
    }
}

/// Returns the sides in the order of a round. Every other round has the reverse order, since what runs later
/// has cost more.
pub fn in_turn<S: Clone>(round: usize, sides: &[S]) -> Vec<S> {
    let mut sides = sides.to_vec();
    if round.is_multiple_of(2) {
        sides.reverse();
    }
    sides
}
