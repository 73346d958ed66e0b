//! What clients are told of TLS.

use charm::{Bag, Hook, HookError, RelationId, SecretContent, SecretOwner};
use interfaces::postgresql_client::secret_label;

/// What a client's databag says about TLS: whom it may trust, in a secret where it reads those.
///
/// # Errors
/// When Juju refuses the secret.
pub fn shared(
    hook: &mut Hook,
    id: RelationId,
    ca: Option<&str>,
    in_secret: bool,
) -> Result<Bag, HookError> {
    let word = if ca.is_some() { "True" } else { "False" };
    let mut bag = Bag::from([("tls".to_owned(), word.to_owned())]);
    if !in_secret {
        bag.insert("tls-ca".to_owned(), ca.unwrap_or_default().to_owned());
        return Ok(bag);
    }
    let label = secret_label("database", id, "tls");
    if ca.is_none() && hook.secret_info(&label)?.is_none() {
        return Ok(bag);
    }
    let mut content = SecretContent::new().with("tls", word.to_owned());
    if let Some(ca) = ca {
        content = content.with("tls-ca", ca.to_owned());
    }
    let secret = hook.put_secret(&label, &content, SecretOwner::App)?;
    hook.grant_secret(&secret, id)?;
    bag.insert("secret-tls".to_owned(), secret.to_string());
    Ok(bag)
}
