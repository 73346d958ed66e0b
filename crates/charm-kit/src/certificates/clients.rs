//! What clients read about TLS.

use juju_charm::{
    Bag, Changes, Context, HookError, Own, RelationId, SecretContent, SecretOwner, databag,
};
use juju_interfaces::postgresql_client::secret_label;

use super::{PUBLISHED_CA, Steps, Tls};

/// What a client's databag says about TLS: the CA to trust, in a secret where it reads secrets.
///
/// # Errors
/// When Juju refuses the secret.
pub fn shared(
    hook: &mut Context,
    id: RelationId,
    ca: Option<&str>,
    in_secret: bool,
) -> Result<Bag, HookError> {
    let word = if ca.is_some() { "True" } else { "False" };
    if !in_secret {
        let ca = ca.unwrap_or_default();
        return Ok([("tls", word), ("tls-ca", ca)].map(owned).into());
    }
    let mut content = SecretContent::new().with("tls", word.to_owned());
    match ca {
        Some(ca) => content = content.with("tls-ca", ca.to_owned()),
        None if hook.environment().takes_empty_secrets() => {
            content = content.with("tls-ca", String::new());
        }
        None => {}
    }
    let secret =
        hook.put_secret(&secret_label("database", id, "tls"), &content, SecretOwner::App)?;
    hook.grant_secret(&secret, id)?;
    // Who reads secrets does not look for it in the open.
    Ok([("tls", ""), ("tls-ca", ""), ("secret-tls", &secret.to_string())].map(owned).into())
}

/// Publishes it to a client that has its credentials.
///
/// # Errors
/// When Juju refuses the secret or the databag.
pub fn share(
    juju: &mut Context,
    id: RelationId,
    ca: Option<&str>,
    in_secret: bool,
) -> Result<(), HookError> {
    let bag = shared(juju, id, ca, in_secret)?;
    juju.set_bag(id, Own::App, Changes::from(bag)).map(drop)
}

/// The CA that clients should have, and the one that was published to them.
pub struct Trust {
    /// As they are to know it; none where TLS is not to be used.
    pub wanted: Option<String>,
    /// As it was published.
    pub published: Option<String>,
}

impl Trust {
    /// What clients are to know where this unit serves with what `steps` say: first when all
    /// units serve with TLS, no more when this one does not.
    pub fn new(tls: &Tls, steps: &Steps, peers_bag: &Bag) -> Self {
        let published = databag::text(peers_bag, PUBLISHED_CA).map(str::to_owned);
        let own = steps.ca().map(str::to_owned);
        let wanted = if tls.others { own } else { own.and_then(|_| published.clone()) };
        Self { wanted, published }
    }

    /// Whether what is published to clients has changed.
    pub fn has_changed(&self) -> bool {
        self.wanted != self.published
    }

    /// Whether what was published about TLS to a client has to be written anew; none where nothing
    /// was ever published.
    pub fn is_owed(&self, offered: &Bag, in_secret: bool) -> Option<bool> {
        let word = if self.wanted.is_some() { "True" } else { "False" };
        let right = is_published(offered, in_secret)?;
        let other = databag::text(offered, "tls").is_some_and(|known| known != word);
        Some(self.has_changed() || !right || other)
    }

    /// What the application remembers of it, in its bag of the peer relation.
    pub fn changes(&self) -> Option<Changes> {
        self.has_changed().then(|| Changes::new().set_or_remove(PUBLISHED_CA, self.wanted.clone()))
    }
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// Whether TLS was published where the client looks; `None` where it never was.
pub fn is_published(offered: &Bag, in_secret: bool) -> Option<bool> {
    let (open, secret) = (offered.contains_key("tls"), offered.contains_key("secret-tls"));
    (open || secret).then_some(if in_secret { secret && !open } else { open })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(keys: &[&str], in_secret: bool, expected: Option<bool>) {
        let bag = keys.iter().map(|key| owned((key, "x"))).collect();
        assert_eq!(is_published(&bag, in_secret), expected);
    }

    #[test]
    fn a_reader_of_secrets_finds_it_in_a_secret_only() {
        check(&[], true, None);
        check(&["secret-tls"], true, Some(true));
        check(&["tls", "secret-tls"], true, Some(false));
        check(&["tls"], true, Some(false));
        check(&["tls"], false, Some(true));
    }
}
