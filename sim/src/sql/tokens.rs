//! SQL text as tokens, split into statements.

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A bare word, in upper case.
    Word(String),
    /// A quoted name.
    Name(String),
    /// A quoted text.
    Text(String),
    /// Any other character.
    Sign(char),
}

impl Token {
    /// Whether it is this bare word.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word)
    }
}

/// The statements of a text.
pub(super) fn statements(text: &str) -> Vec<Vec<Token>> {
    let mut all = vec![Vec::new()];
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => {
                let (word, length) = quoted(rest, first);
                let token = if first == '"' { Token::Name(word) } else { Token::Text(word) };
                push(&mut all, token);
                length
            }
            ';' => {
                all.push(Vec::new());
                1
            }
            _ if first.is_whitespace() => first.len_utf8(),
            _ if is_word(first) => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                push(&mut all, Token::Word(rest[..length].to_uppercase()));
                length
            }
            sign => {
                push(&mut all, Token::Sign(sign));
                sign.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    all.retain(|statement| !statement.is_empty());
    all
}

fn push(all: &mut [Vec<Token>], token: Token) {
    if let Some(last) = all.last_mut() {
        last.push(token);
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A quoted word and its length in the text, quotes included.
fn quoted(text: &str, quote: char) -> (String, usize) {
    let mut word = String::new();
    let mut at = 1;
    loop {
        let Some(end) = text[at..].find(quote) else { return (word + &text[at..], text.len()) };
        word.push_str(&text[at..at + end]);
        at += end + 1;
        if !text[at..].starts_with(quote) {
            return (word, at);
        }
        word.push(quote);
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hide_signs() {
        let all = statements("DROP ROLE \"a;\"\"b\"; SELECT 'it''s;'");
        let drop = ["DROP", "ROLE"].map(|word| Token::Word(word.into()));
        assert_eq!(all[0], [&drop[..], &[Token::Name("a;\"b".into())]].concat());
        assert_eq!(all[1][1], Token::Text("it's;".into()));
    }
}
