//! The `key=value` connection strings of `[databases]` and `[peers]`.

/// Appends `key=value`, quoted where the value is not a plain word.
pub(crate) fn push(line: &mut String, key: &str, value: &str) {
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b',' | b':' | b'/');
    if !line.is_empty() {
        line.push(' ');
    }
    line.push_str(key);
    line.push('=');
    if value.bytes().all(plain) {
        line.push_str(value);
    } else {
        line.push('\'');
        line.push_str(&value.replace('\'', "''"));
        line.push('\'');
    }
}

/// Splits a connection string into its pairs; `None` when PgBouncer would refuse it.
pub(crate) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim_end();
        let (value, after) = value(after.trim_start())?;
        if key.is_empty() || key.contains(' ') || value.is_empty() {
            return None;
        }
        found.push((key.to_owned(), value));
        rest = after.trim_start();
    }
    Some(found)
}

fn value(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('\'') else {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        return Some((word.to_owned(), rest));
    };
    let mut word = String::new();
    loop {
        let (part, after) = rest.split_once('\'')?;
        word.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                word.push('\'');
                rest = more;
            }
            None => return Some((word, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pairs_survive_a_round_trip(
            pairs_in in prop::collection::vec(("[a-z_]{1,8}", "\\PC{1,12}"), 0..4),
        ) {
            let mut line = String::new();
            for (key, value) in &pairs_in {
                push(&mut line, key, value);
            }
            prop_assert_eq!(pairs(&line), Some(pairs_in));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "\\PC*") {
            let _ = pairs(&text);
        }
    }

    #[test]
    fn what_pgbouncer_refuses_is_refused() {
        for bad in ["host", "host=", "=x", "host=''", "host='x", "a b=c"] {
            assert_eq!(pairs(bad), None, "{bad:?}");
        }
    }
}
