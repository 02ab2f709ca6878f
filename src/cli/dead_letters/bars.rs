//! The histogram of `stats`.

use indicatif::HumanCount;

use crate::core::letters::Histogram;

/// Returns the bars of a histogram, one a line.
pub(super) fn bars(histogram: &Histogram) -> Vec<String> {
    const WIDTH: u64 = 40;
    let most = histogram.bars.iter().copied().max().unwrap_or_default().max(1);
    let mut lines = Vec::new();
    for (place, letters) in histogram.bars.iter().enumerate() {
        let minutes = i64::try_from(place).unwrap_or_default() * histogram.minutes;
        let at = histogram.from + jiff::SignedDuration::from_mins(minutes);
        // Rounded up, so that every number but 0 is visible.
        let width = (letters * WIDTH).div_ceil(most);
        let bar = "█".repeat(usize::try_from(width).unwrap_or_default());
        let shown = if *letters == 0 { String::new() } else { format!("{bar} {}", HumanCount(*letters)) };
        lines.push(format!("  {}  {shown}", at.strftime("%m-%d %H:%M")).trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_but_0_has_a_bar() {
        let from = "2026-01-03T00:00:00Z".parse().unwrap();
        let histogram = Histogram { from, minutes: 5, bars: vec![80, 0, 1] };
        let lines = bars(&histogram);
        assert_eq!(lines[0], format!("  01-03 00:00  {} 80", "█".repeat(40)));
        assert_eq!(lines[1..], ["  01-03 00:05".to_owned(), "  01-03 00:10  █ 1".to_owned()]);
    }
}
