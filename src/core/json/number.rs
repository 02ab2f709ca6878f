//! Numbers that are carried and compared as they were written, to the last digit.

/// The longest number that is carried as a number, in bytes.
const READABLE_LEN_MAX: usize = 1_000;

/// The most digits of an exponent that is carried as a number.
const READABLE_EXPONENT_DIGITS_MAX: usize = 4;

/// Returns true if every strict reader takes a number: it fits into a float, if not exactly, and is of a size
/// that databases take too. `1e999` and a fraction of 20,000 digits are refused by some.
pub(super) fn is_readable(number: &str) -> bool {
    if number.len() <= 300 && number.bytes().all(|b| b.is_ascii_digit()) {
        return true;
    }
    let (_, exponent) = number.split_once(['e', 'E']).unwrap_or((number, ""));
    number.len() <= READABLE_LEN_MAX
        && exponent.trim_start_matches(['+', '-']).len() <= READABLE_EXPONENT_DIGITS_MAX
        && number.parse().is_ok_and(f64::is_finite)
}

/// Returns the one form that all spellings of a number share, exactly: `1.50`, `15e-1` and `0.15E+1` are
/// `15e-1`. A number whose exponent is out of any use stays as it was written.
pub(super) fn canonical(number: &str) -> String {
    let (sign, unsigned) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_matches('0');
    if significant.is_empty() {
        return "0".to_owned();
    }
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let shift = i64::try_from(zeros).ok().zip(i64::try_from(fraction.len()).ok());
    let exponent = exponent.parse::<i64>().ok().zip(shift);
    match exponent.and_then(|(exponent, (zeros, places))| exponent.checked_add(zeros - places)) {
        Some(0) => format!("{sign}{significant}"),
        Some(exponent) => format!("{sign}{significant}e{exponent}"),
        None => number.to_owned(),
    }
}

/// Returns a JSON number that is whole in any notation, as `2500.0` and `2.5e3`, if it fits.
pub(super) fn integer(number: &str) -> Option<i64> {
    let canonical = canonical(number);
    let (digits, exponent) = canonical.split_once('e').unwrap_or((&canonical, "0"));
    let factor = 10i64.checked_pow(exponent.parse().ok()?)?;
    digits.parse::<i64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_share_a_form_and_others_do_not() {
        let equal: &[&[&str]] = &[
            &["0", "-0", "0.0", "0e9", "-0.00E-3"],
            &["1", "1.0", "10e-1", "0.1e1", "1E0", "1e+0"],
            &["-1.5", "-15e-1", "-0.150E+1"],
            &["120", "1.2e2", "120.000"],
            &["9007199254740993"],
            &["9007199254740992", "9007199254740992.0"],
            &["1e99999999999999999999"],
            &["2e99999999999999999999"],
        ];
        for (at, numbers) in equal.iter().enumerate() {
            for number in *numbers {
                assert_eq!(canonical(number), canonical(numbers[0]), "{number}");
                let mut others = equal.iter().enumerate().filter(|(other, _)| *other != at);
                assert!(others.all(|(_, other)| canonical(other[0]) != canonical(number)), "{number}");
            }
        }
    }

    #[test]
    fn a_whole_number_is_one_in_every_notation() {
        for (number, expected) in [
            ("2500.0", Some(2_500)),
            ("1e3", Some(1_000)),
            ("-2.5E+3", Some(-2_500)),
            ("1000e-3", Some(1)),
            ("-0.0", Some(0)),
            ("0e999", Some(0)),
            ("9223372036854775807.0", Some(i64::MAX)),
            ("-9223372036854775808.00", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("2500.5", None),
            ("1e19", None),
            ("1e999", None),
            ("1e99999999999999999999", None),
        ] {
            assert_eq!(integer(number), expected, "{number}");
        }
    }

    #[test]
    fn numbers_that_some_readers_refuse_are_known() {
        let (long, fraction) = ("9".repeat(309), format!("0.{}", "3".repeat(2_000)));
        for number in ["1e999", "-1E400", "1e-99999", "0e99999", &long, &fraction] {
            assert!(!is_readable(number), "{number}");
        }
        for number in ["0", "-0", "1e308", "1e-400", "0.0270000000000000000001", &"9".repeat(300)] {
            assert!(is_readable(number), "{number}");
        }
    }
}
