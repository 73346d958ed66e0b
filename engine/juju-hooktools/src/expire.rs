//! `--expire`: a time, or Go's duration from now.

use jiff::{SignedDuration, Timestamp, civil, tz};
use juju_model::tools::Answer;

use crate::input::usage;

/// Reads RFC 3339, `2006-01-02T15:04:05` (UTC) or a duration such as `24h`.
///
/// # Errors
/// Exit code 2 for anything else, and for durations that are not above zero.
pub(crate) fn expire(text: &str, now: Timestamp) -> Answer<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let local = text.contains('T').then(|| text.parse::<civil::DateTime>().ok()).flatten();
    if let Some(time) = local.and_then(|time| tz::TimeZone::UTC.to_timestamp(time).ok()) {
        return Ok(time);
    }
    let odd = || format!("expire time or duration {text:?} not valid");
    match duration(text) {
        Some(after) if after.is_negative() || after.is_zero() => {
            usage(format!("negative expire duration {text:?} not valid"))
        }
        Some(after) => now.checked_add(after).or_else(|_| usage(odd())),
        None => usage(odd()),
    }
}

/// Go's duration grammar: a sign, then numbers with units, as in `-1h30m` or `1.5s`; or `0`.
fn duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut left) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if left == "0" {
        return Some(SignedDuration::ZERO);
    }
    if left.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !left.is_empty() {
        let number = left.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (digits, rest) = left.split_at(number);
        let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(end);
        total = total.checked_add(nanoseconds(digits, scale(unit)?)?)?;
        left = rest;
    }
    // Go holds a duration in 64 bits of nanoseconds.
    let total = i64::try_from(total).ok()?;
    Some(SignedDuration::from_nanos(if negative { -total } else { total }))
}

/// Nanoseconds in a unit.
fn scale(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        _ => return None,
    })
}

/// `digits` may have one point, with digits on at least one of its sides.
fn nanoseconds(digits: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanoseconds = whole.checked_mul(scale)?;
    let mut place = scale;
    for digit in fraction.bytes().take(18) {
        // What is lost here is below a nanosecond per digit for the units above.
        nanoseconds = nanoseconds.checked_add(place * u64::from(digit - b'0') / 10)?;
        place /= 10;
    }
    Some(nanoseconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: &str = "2026-11-20T10:00:00Z";

    #[track_caller]
    fn check(text: &str, want: &str) {
        let got = expire(text, NOW.parse().unwrap()).unwrap();
        assert_eq!(got.to_string(), want, "{text:?}");
    }

    #[track_caller]
    fn check_error(text: &str, want: &str) {
        assert_eq!(expire(text, NOW.parse().unwrap()).unwrap_err().to_string(), want);
    }

    #[test]
    fn times_and_durations_are_read() {
        check("2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
        check("2027-01-01T00:00:00+02:00", "2026-12-31T22:00:00Z");
        check("2027-01-01T00:00:00.5Z", "2027-01-01T00:00:00.5Z");
        check("2027-01-01T01:02:03", "2027-01-01T01:02:03Z");
        check("24h", "2026-11-21T10:00:00Z");
        check("1h30m", "2026-11-20T11:30:00Z");
        check("+1.5h", "2026-11-20T11:30:00Z");
        check(".5m", "2026-11-20T10:00:30Z");
        check("1.s", "2026-11-20T10:00:01Z");
        check("1500ms", "2026-11-20T10:00:01.5Z");
        check("2µs3ns", "2026-11-20T10:00:00.000002003Z");
    }

    #[test]
    fn anything_else_is_refused() {
        for odd in
            ["x", "1", "h", "1d", "1h ", "P1D", ".s", "1..5s", "-", "99999999999h", "2027-01-01"]
        {
            check_error(odd, &format!("expire time or duration {odd:?} not valid"));
        }
        for none in ["-1h", "0", "0s"] {
            check_error(none, &format!("negative expire duration {none:?} not valid"));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = expire(&text, NOW.parse().unwrap());
        }

        #[test]
        fn number_soup_is_read_or_refused(text in "[-+]?([0-9.]{0,25}(ns|us|ms|s|m|h|x)){0,4}") {
            let _ = duration(&text);
        }

        #[test]
        fn whole_units_add_up(h in 0..10_000_i64, m in 0..10_000_i64, s in 0..10_000_i64) {
            let want = SignedDuration::from_secs(h * 3600 + m * 60 + s);
            prop_assert_eq!(duration(&format!("{h}h{m}m{s}s")), Some(want));
        }
    }
}
