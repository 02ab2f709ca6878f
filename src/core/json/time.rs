//! Times in JSON: ISO 8601, or a Unix timestamp. What is not certainly a time is not read as one.
//!
//! Reading and writing times is a good part of a webhook's cost. The most common form is therefore handled
//! here, and jiff does the rest.

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{Offset, TimeZone},
};

/// The start of the year 2000, in Unix seconds. Numbers are only read as times from here to [`UNIX_END`]:
/// others are dates without hyphens, phone numbers, or counts of something else.
const UNIX_START: i128 = 946_684_800;

/// The start of the year 2101, in Unix seconds.
const UNIX_END: i128 = 4_133_980_800;

/// The start of the year 1971, in Unix seconds. What is earlier is how programs write that a time is not set:
/// `0001-01-01T00:00:00Z`, `1970-01-01T00:00:00Z`.
const SET_START: i64 = 31_536_000;

/// Reads ISO 8601 with a date and a time (UTC unless it names an offset), Unix seconds, or Unix milliseconds.
pub fn parse(text: &str) -> Option<Timestamp> {
    parse_any(text).filter(is_set)
}

/// Reads a time as [`parse`] does, except one without an offset, whose time zone is not known.
pub fn parse_absolute(text: &str) -> Option<Timestamp> {
    parse_any_absolute(text).filter(is_set)
}

/// Returns true if `text` has the form of a time, also of one that says that it is not set.
pub fn is_time(text: &str) -> bool {
    parse_any(text).is_some()
}

fn is_set(time: &Timestamp) -> bool {
    time.as_second() >= SET_START
}

fn parse_any(text: &str) -> Option<Timestamp> {
    parse_any_absolute(text).or_else(|| {
        // A zone in brackets and other forms that jiff would read are not certain.
        let local: DateTime = (offset_of(text)?.is_empty()).then(|| text.parse().ok())??;
        local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}

fn parse_any_absolute(text: &str) -> Option<Timestamp> {
    if let Some(time) = parse_utc(text.as_bytes()) {
        return Some(time);
    }
    if let Some(number) = parse_unix(text) {
        return Some(number);
    }
    if offset_of(text)?.is_empty() { None } else { text.parse().ok() }
}

/// Splits `2026-03-09T08:15:02.5+01:00` and returns the offset, which may be empty; none for any other form.
/// Digits are checked, ranges are not.
fn offset_of(text: &str) -> Option<&str> {
    let (date, time) = text.as_bytes().split_at_checked(10)?;
    let is_shaped = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(b, s)| if *s == b'0' { b.is_ascii_digit() } else { b == s })
    };
    let (separator, time) = time.split_first()?;
    if !is_shaped(date, b"0000-00-00") || !matches!(separator, b'T' | b't' | b' ') {
        return None;
    }
    let clock_len = time.iter().take_while(|b| !matches!(b, b'Z' | b'z' | b'+' | b'-')).count();
    let (clock, offset) = time.split_at(clock_len);
    let (clock, fraction) = match clock.iter().position(|b| matches!(b, b'.' | b',')) {
        Some(at) => (&clock[..at], Some(&clock[at + 1..])),
        None => (clock, None),
    };
    let is_clock = is_shaped(clock, b"00:00:00") || (fraction.is_none() && is_shaped(clock, b"00:00"));
    let is_fraction = fraction
        .is_none_or(|digits| (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit));
    let is_offset = match offset {
        [] | [b'Z' | b'z'] => true,
        [_, rest @ ..] => [&b"00:00"[..], b"0000", b"00"].iter().any(|shape| is_shaped(rest, shape)),
    };
    (is_clock && is_fraction && is_offset).then(|| &text[text.len() - offset.len()..])
}

/// Reads a number without a sign as Unix seconds or milliseconds, if that is a time in the years 2000 to
/// 2100: `1773044102`, `1773044102.5`, `1.7730441025E9`, `1773044102500`.
fn parse_unix(text: &str) -> Option<Timestamp> {
    /// The most digits before the exponent. They fit an `i128` with room for nanoseconds.
    const DIGITS_MAX: usize = 24;
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let digits_len = whole.len() + fraction.map_or(0, str::len);
    if whole.starts_with('0')
        || !is_number(whole)
        || !fraction.is_none_or(is_number)
        || digits_len > DIGITS_MAX
    {
        return None;
    }
    let digit = |number: i128, b: u8| number * 10 + i128::from(b - b'0');
    let digits = whole.bytes().chain(fraction.unwrap_or_default().bytes()).fold(0, digit);
    let fraction_len = i32::try_from(digits_len - whole.len()).ok()?;
    // A fraction that is finer than a nanosecond would be lost, so it is not read.
    let nanoseconds = |power: i32| {
        let scale = exponent.checked_add(power)?.checked_sub(fraction_len)?;
        let factor = 10i128.checked_pow(scale.unsigned_abs())?;
        let nanoseconds = match scale {
            0.. => digits.checked_mul(factor)?,
            _ => (digits % factor == 0).then_some(digits / factor)?,
        };
        let is_in_range = (UNIX_START..UNIX_END).contains(&nanoseconds.div_euclid(1_000_000_000));
        is_in_range.then_some(nanoseconds)
    };
    // The number counts seconds or milliseconds.
    Timestamp::from_nanosecond(nanoseconds(9).or_else(|| nanoseconds(6))?).ok()
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
            // The years from 0 to 9999: others have a sign.
            second in prop_oneof![-62_167_219_200i64..=253_402_207_200, 0i64..=4_000_000_000],
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
            prop_assert_eq!(parse_any(&written), Some(time));
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
    fn every_form_that_is_certainly_a_time_is_read() {
        let time = "2026-03-09T08:15:02Z".parse().ok();
        for text in [
            "1773044102",
            "1773044102000",
            "1773044102.0",
            "1773044102000.000",
            "1.773044102E9",
            "1.773044102e+12",
            "2026-03-09T08:15:02",
            "2026-03-09 08:15:02",
            "2026-03-09t08:15:02z",
            "2026-03-09T08:15:02,000Z",
            "2026-03-09T09:15:02+01:00",
            "2026-03-09T09:15:02+0100",
            "2026-03-09T09:15:02+01",
        ] {
            assert_eq!(parse(text), time, "{text}");
        }
        for text in ["1773044102.5", "1773044102500", "1773044102500.0", "1.7730441025E9"] {
            assert_eq!(parse(text), "2026-03-09T08:15:02.5Z".parse().ok(), "{text}");
        }
        assert_eq!(parse("2026-03-09T08:15Z"), "2026-03-09T08:15:00Z".parse().ok());
        assert_eq!(parse("946684800"), "2000-01-01T00:00:00Z".parse().ok());
        assert_eq!(parse("4133980799"), "2100-12-31T23:59:59Z".parse().ok());
    }

    #[test]
    fn a_time_without_an_offset_is_not_absolute() {
        for text in ["2026-03-09T08:15:02", "2026-03-09 08:15", "2026-03-09T08:15:02.25"] {
            assert_eq!(parse_absolute(text), None, "{text}");
        }
        for text in ["2026-03-09T08:15:02Z", "2026-03-09T08:15:02+01:00", "1773044102.5"] {
            assert_eq!(parse_absolute(text), parse(text), "{text}");
            assert!(parse(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_time_that_is_not_set_is_none() {
        for text in [
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00",
            "1601-01-01T00:00:00Z",
            "1899-12-30T00:00:00.000Z",
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00.000+00:00",
            "1970-01-01 01:00:00+01:00",
            "1970-12-31T23:59:59Z",
        ] {
            assert_eq!((parse(text), parse_absolute(text)), (None, None), "{text}");
            assert!(is_time(text), "{text}");
        }
        assert_eq!(parse("1971-01-01T00:00:00Z"), "1971-01-01T00:00:00Z".parse().ok());
    }

    #[test]
    fn what_is_not_certainly_a_time_is_none() {
        for text in [
            "",
            "0",
            "-1",
            "111111",
            "20260504",
            "20260504T100000Z",
            "+14155551076",
            "14155551076",
            "+1773044102",
            "-1773044102",
            " 1773044102",
            "01773044102",
            "1773044102.",
            ".5",
            "1773044102.1234567891",
            "946684799",
            "4133980800",
            "1773044102000000",
            "1e999",
            "1e2147483647",
            "1773044102e-2147483648",
            "99999999999999999999999999999999999999999",
            "2026-05-04",
            "2026-05-04T10",
            "10:00:00",
            "T10:00:00Z",
            "2026-05-04T10:00:00[Europe/Berlin]",
            "2026-05-04T10:00:00+02:00[Europe/Berlin]",
            "2026-05-04T10:00:00Z[u-ca=hebrew]",
            "2026-05-04T10:00:00 Europe/Berlin",
            "2026-05-04T10:00:00+02:00:30",
            "2026-05-04T10:00:00.1234567891Z",
            "-2026-05-04T10:00:00Z",
            "-002026-05-04T10:00:00Z",
            "+002026-05-04T10:00:00Z",
            "2026-13-04T10:00:00Z",
            "2026-05-04T25:00:00",
            "２０２６-05-04T10:00:00Z",
            "Mon, 04 May 2026 10:00:00 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
