//! PgBouncer's `auth_file`: users and how they prove who they are.

use secrecy::{ExposeSecret, SecretString};

/// The lines of an `auth_file`, in order.
///
/// A SCRAM verifier lets a client log in to PgBouncer, but PgBouncer cannot log in to a
/// server with it: RFC 5802 stores nothing a client could use. The user that runs
/// `auth_query` therefore stands here with its plain password.
#[derive(Clone, Default)]
pub struct Userlist {
    lines: Vec<(String, SecretString)>,
}

impl Userlist {
    /// Adds a user; `secret` is a plain password or a SCRAM verifier.
    pub fn add(&mut self, user: impl Into<String>, secret: SecretString) {
        self.lines.push((user.into(), secret));
    }

    /// The file's text: one `"user" "secret"` a line, quotes doubled, no final line feed.
    pub fn render(&self) -> SecretString {
        let lines: Vec<String> = self
            .lines
            .iter()
            .map(|(user, secret)| format!("{} {}", quote(user), quote(secret.expose_secret())))
            .collect();
        SecretString::from(lines.join("\n"))
    }

    /// The secret of `user` in an `auth_file`'s text, if it has one.
    pub fn find(text: &str, user: &str) -> Option<SecretString> {
        text.lines().find_map(|line| {
            let (name, rest) = unquote(line.trim_start())?;
            let (secret, _) = unquote(rest.trim_start())?;
            (name == user).then(|| SecretString::from(secret))
        })
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Splits a leading quoted word off; what follows the closing quote comes second.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut word = String::new();
    loop {
        let end = rest.find('"')?;
        word.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                word.push('"');
                rest = more;
            }
            None => return Some((word, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_are_doubled() {
        let mut list = Userlist::default();
        list.add("pgbouncer_auth", SecretString::from("plain"));
        list.add("a\"b", SecretString::from("SCRAM-SHA-256$4096:c2FsdA==$a:b"));
        insta::assert_snapshot!(list.render().expose_secret(), @r#"
        "pgbouncer_auth" "plain"
        "a""b" "SCRAM-SHA-256$4096:c2FsdA==$a:b"
        "#);
    }

    proptest! {
        #[test]
        fn what_is_added_is_found(user in "[^\n\r]{1,20}", secret in "[^\n\r]{1,20}") {
            let mut list = Userlist::default();
            list.add("other user", SecretString::from("x"));
            list.add(user.clone(), SecretString::from(secret.clone()));
            let found = Userlist::find(list.render().expose_secret(), &user);
            prop_assert!(user == "other user" || found.unwrap().expose_secret() == secret);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "\\PC*", user in "\\PC*") {
            let _ = Userlist::find(&text, &user);
        }
    }
}
