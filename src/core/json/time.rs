//! Times in JSON: ISO 8601, or a Unix timestamp.
//!
//! Reading and writing times is a good part of a webhook's cost. The most common form is therefore handled
//! here, and jiff does the rest.

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{Offset, TimeZone},
};

/// The largest number that is read as Unix seconds (10^11 s is the year 5138). Larger numbers are
/// milliseconds.
const UNIX_SECONDS_MAX: i64 = 100_000_000_000;

/// Reads ISO 8601 (UTC unless it names an offset), Unix seconds, or Unix milliseconds.
pub fn parse(text: &str) -> Option<Timestamp> {
    if let Some(time) = parse_utc(text.as_bytes()) {
        return Some(time);
    }
    if let Ok(number) = text.parse::<i64>() {
        return match number {
            0..=UNIX_SECONDS_MAX => Timestamp::from_second(number).ok(),
            _ => Timestamp::from_millisecond(number).ok().filter(|_| number > 0),
        };
    }
    text.parse().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}

/// Reads `2026-03-09T08:15:02Z`, with or without a fraction of up to nine digits. Returns none for every
/// other form, valid or not.
fn parse_utc(text: &[u8]) -> Option<Timestamp> {
    let (date_time, rest) = text.split_first_chunk::<19>()?;
    let fraction = rest.strip_suffix(b"Z")?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] = date_time
    else {
        return None;
    };
    let two = |tens: &u8, ones: &u8| i8::try_from(number(&[*tens, *ones])?).ok();
    let year = i16::try_from(number(&[*y1, *y2, *y3, *y4])?).ok()?;
    let nanosecond = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            let missing = u32::try_from(9 - digits.len()).ok()?;
            number(digits)? * 10i32.pow(missing)
        }
        _ => return None,
    };
    let time =
        DateTime::new(year, two(m1, m2)?, two(d1, d2)?, two(h1, h2)?, two(n1, n2)?, two(s1, s2)?, nanosecond);
    Offset::UTC.to_timestamp(time.ok()?).ok()
}

/// Reads at most nine decimal digits as a number.
fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i32::from(digit - b'0')))
}

/// Appends `time` as RFC 3339 in UTC, exactly as [`Timestamp`]'s `Display` writes it.
pub fn write(time: Timestamp, out: &mut Vec<u8>) {
    let civil = Offset::UTC.to_datetime(time);
    let nanosecond = civil.subsec_nanosecond();
    // jiff has its own form for years before 0 and after 9999, and trims trailing zeros of a fraction.
    if !(0..=9999).contains(&civil.year()) || nanosecond % 1_000_000 != 0 {
        out.extend_from_slice(time.to_string().as_bytes());
        return;
    }
    let year = civil.year().unsigned_abs();
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let [hundreds, ones] = [year / 100, year % 100].map(|part| part as u8);
    for (at, part) in [(0, hundreds), (2, ones)] {
        text[at..at + 2].copy_from_slice(&two_digits(part));
    }
    let parts = [civil.month(), civil.day(), civil.hour(), civil.minute(), civil.second()];
    for (index, part) in parts.into_iter().enumerate() {
        let at = 5 + 3 * index;
        text[at..at + 2].copy_from_slice(&two_digits(part.unsigned_abs()));
    }
    if nanosecond == 0 {
        out.extend_from_slice(&text[..19]);
        out.push(b'Z');
        return;
    }
    let millisecond = nanosecond / 1_000_000;
    text[20] = b'0' + (millisecond / 100) as u8;
    text[21..23].copy_from_slice(&two_digits((millisecond % 100) as u8));
    let digits = if millisecond % 100 == 0 {
        1
    } else if millisecond % 10 == 0 {
        2
    } else {
        3
    };
    out.extend_from_slice(&text[..20 + digits]);
    out.push(b'Z');
}

fn two_digits(number: u8) -> [u8; 2] {
    [b'0' + number / 10, b'0' + number % 10]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_time_is_written_as_jiff_writes_it_and_reads_back(
            second in prop_oneof![-377_705_023_201i64..=253_402_207_200, 0i64..=4_000_000_000],
            nanosecond in prop_oneof![
                Just(0),
                (0i32..1_000).prop_map(|ms| ms * 1_000_000),
                0i32..1_000_000_000,
            ],
        ) {
            let time = Timestamp::new(second, nanosecond).expect("a time in range");
            let mut written = Vec::new();
            write(time, &mut written);
            let written = String::from_utf8(written).expect("ASCII");
            prop_assert_eq!(&written, &time.to_string());
            prop_assert_eq!(parse(&written), Some(time));
        }

        #[test]
        fn a_time_is_read_as_jiff_reads_it(
            date in "[0-9]{4}-[01][0-9]-[0-3][0-9]",
            time in "[Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]([.,][0-9]{0,10})?[Zz]",
        ) {
            let text = date + &time;
            let by_jiff = text.parse().ok();
            prop_assert_eq!(parse_utc(text.as_bytes()).or(by_jiff), by_jiff, "{}", text);
        }
    }

    #[test]
    fn a_number_counts_seconds_or_milliseconds() {
        let time = "2026-03-09T08:15:02Z".parse().ok();
        for text in ["1773044102", "1773044102000", "2026-03-09T08:15:02", "2026-03-09T09:15:02+01:00"] {
            assert_eq!(parse(text), time, "{text}");
        }
        assert_eq!(parse("-1"), None);
    }
}
