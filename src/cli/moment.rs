//! Moments in time, as commands print and read them: in UTC.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

use crate::config::units;

/// Returns the time from `at` to `now` in the largest fitting unit: `59m`, `47h`.
pub(super) fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Returns a time in UTC, to the second.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The forms of a moment, for help texts and errors.
pub(super) const FORMS: &str = "an age (90m, 2h, 3d), a time in UTC as the tables print it \
    (2026-01-02 03:04:05, 01-02 03:04, 03:04), a date (2026-01-02, its first moment), or a time with its \
    offset (2026-01-02T03:04:05+01:00)";

/// Parses a moment before `now`.
///
/// Every form that a table, a histogram or a log prints is understood. A time without a year, or without a
/// date, is the last one that has passed.
pub(super) fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    if let Some(age) = units::parse_duration(text) {
        return now.checked_sub(SignedDuration::try_from(age).ok()?).ok();
    }
    let text = ["UTC", "Z"].into_iter().find_map(|zone| text.strip_suffix(zone)).unwrap_or(text).trim();
    let utc = |at: civil::DateTime| at.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    if let Ok(at) = text.parse::<civil::DateTime>() {
        return utc(at);
    }
    let today = TimeZone::UTC.to_datetime(now).date();
    // jiff also reads `2026` as a time of day.
    if let Some(Ok(time)) = text.contains(':').then(|| text.parse::<civil::Time>()) {
        let passed = |date: civil::Date| utc(date.to_datetime(time)).filter(|at| *at <= now);
        return passed(today).or_else(|| passed(today.yesterday().ok()?));
    }
    let in_year = |year: i16| utc(format!("{year:04}-{text}").parse().ok()?);
    in_year(today.year()).filter(|at| *at <= now).or_else(|| in_year(today.year() - 1))
}

/// Parses a moment on the command line.
pub(super) fn argument(text: &str) -> Result<Timestamp, String> {
    parse(text, Timestamp::now()).ok_or_else(|| format!("expected {FORMS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn ages_are_readable() {
        let now = at("2026-01-03T00:00:00Z");
        let ages =
            ["2026-01-02T23:59:58Z", "2026-01-02T23:00:01Z", "2026-01-01T01:00:00Z", "2025-12-31T23:00:00Z"];
        assert_eq!(ages.map(|then| age(at(then), now)), ["2s", "59m", "47h", "2d"]);
    }

    #[test]
    fn every_form_that_is_printed_is_understood() {
        let now = at("2026-11-21T13:12:38Z");
        for (text, expected) in [
            ("2026-11-21 13:12:31", "2026-11-21T13:12:31Z"),
            ("2026-11-21 13:12:31 UTC", "2026-11-21T13:12:31Z"),
            ("2026-11-21T13:12:31", "2026-11-21T13:12:31Z"),
            ("2026-11-21T13:12", "2026-11-21T13:12:00Z"),
            ("2026-11-21 13:12", "2026-11-21T13:12:00Z"),
            ("2026-11-21", "2026-11-21T00:00:00Z"),
            ("2026-11-21T14:12:31.5+01:00", "2026-11-21T13:12:31.5Z"),
            ("2026-11-21T13:12:31Z", "2026-11-21T13:12:31Z"),
            ("2026-11-21 13:12:31Z", "2026-11-21T13:12:31Z"),
            ("11-21 13:12", "2026-11-21T13:12:00Z"),
            ("12-24 13:12", "2025-12-24T13:12:00Z"),
            ("13:12", "2026-11-21T13:12:00Z"),
            ("13:12 UTC", "2026-11-21T13:12:00Z"),
            ("13:12:39", "2026-11-20T13:12:39Z"),
            ("90m", "2026-11-21T11:42:38Z"),
            ("3d", "2026-11-18T13:12:38Z"),
        ] {
            assert_eq!(parse(text, now), Some(at(expected)), "{text}");
            if !text.contains(['T', ' ', 'm', 'd']) || text.len() < 4 {
                continue;
            }
            let printed = moment(at(expected));
            assert_eq!(parse(&printed, now).map(moment), Some(printed), "{text}");
        }
        for bad in ["", "yesterday", "2026-13-01", "2026-02-30", "25:00", "5", "-1d", "13-45 10:00", "2026"] {
            assert_eq!(parse(bad, now), None, "{bad}");
        }
    }
}
