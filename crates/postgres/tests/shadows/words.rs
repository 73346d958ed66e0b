//! What our statements name: read from their texts, so that a new one is covered by itself.

use std::collections::BTreeSet;

/// The words and the operators of statements, those inside of quotes with them: a function's
/// body and a `DO` block are texts.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) words: BTreeSet<String>,
    pub(crate) operators: BTreeSet<String>,
}

/// Keywords that PostgreSQL turns into operators, which it looks up like any other.
const HIDDEN: [(&str, &[&str]); 8] = [
    ("in", &["=", "<>"]),
    ("using", &["="]),
    ("when", &["="]),
    ("distinct", &["="]),
    ("between", &[">=", "<="]),
    ("like", &["~~", "!~~"]),
    ("ilike", &["~~*", "!~~*"]),
    ("similar", &["~", "!~"]),
];

const SIGNS: &str = "+-*/<>=~!@#%^&|`?";

impl Named {
    /// Reads one more text.
    pub(crate) fn read(&mut self, text: &str) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        for word in text.split(|c| !is_word(c)).filter(|word| !word.is_empty()) {
            let word = word.to_lowercase();
            let hidden = HIDDEN.iter().filter(|(keyword, _)| *keyword == word);
            let hidden = hidden.flat_map(|(_, operators)| *operators);
            self.operators.extend(hidden.map(|operator| (*operator).to_owned()));
            self.words.insert(word);
        }
        let operators = text.split(|c| !SIGNS.contains(c)).filter(|run| !run.is_empty());
        // Comments are none, and what ends in `-` or `+` needs a sign that few have.
        let operators = operators.filter(|run| !run.contains("--") && !run.contains("/*"));
        self.operators.extend(operators.map(str::to_owned));
    }
}

#[test]
fn words_and_operators_are_found_in_texts_too() {
    let mut named = Named::default();
    named.read("DO 'BEGIN IF a.b !~ ''^pg_'' THEN PERFORM c(1); END'; SELECT 1 IN (2)");
    for word in ["a", "b", "c", "begin", "select"] {
        assert!(named.words.contains(word), "{word}");
    }
    assert_eq!(named.operators, ["!~", "<>", "=", "^"].map(str::to_owned).into());
}
