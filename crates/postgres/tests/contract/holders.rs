//! Users of one name, of charms that know nothing of each other.

use postgres::sql::Statement;
use postgres::{Error, Holder, User};

use super::{Far, role, user};

/// What a refusal says of the role.
fn told(refused: Result<(), Error>) -> String {
    refused.err().map(|error| error.to_string()).unwrap_or_default()
}

/// A role belongs to the charm that made it, not to another that chooses the same name.
pub(crate) async fn users_of_two_models_stay_apart(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    let own = |name: &str, roles: &str| User {
        holder: Some(role("operator")),
        takes_over: true,
        ..user(name, roles)
    };
    operator.ensure_user(&own("boss", "superuser")).await?;
    operator.ensure_user(&own("boss2", "superuser")).await?;
    let one = far.login("boss", "boss", "postgres").await?;
    let two = far.login("boss2", "boss2", "postgres").await?;
    let of = |boss: &str, name: &str, password: &str| User {
        holder: Some(role(boss)),
        password: password.to_owned().into(),
        ..user(name, "")
    };
    for _ in 0..2 {
        one.ensure_user(&of("boss", "app", "app")).await?;
        let refused = told(two.ensure_user(&of("boss2", "app", "app")).await);
        assert!(refused.contains("cannot use the role app: it is there and goes with the role"));
        let refused = told(operator.ensure_user(&own("app", "superuser")).await);
        assert!(refused.contains("goes with the role boss; remove the relation"), "{refused}");
        let refused = told(two.ensure_user(&of("boss2", "boss", "mine")).await);
        assert!(refused.contains("goes with the role operator"), "{refused}");
        assert_eq!(far.knocks("app", "app", "template1").await, "");
        assert_eq!(far.knocks("boss", "boss", "postgres").await, "");
    }
    let password = |text: &str| Some(text.to_owned().into());
    assert!(!two.claim(&role("app"), password("app").as_ref()).await?);
    assert!(one.claim(&role("app"), None).await?);
    assert!(!two.claim(&role("boss2"), password("boss2").as_ref()).await?);
    assert!(!two.claim(&role("nobody"), None).await?);
    assert_eq!(operator.holder(&role("app")).await?, Some(Holder::Role(role("boss"))));
    assert_eq!(operator.holder(&role("nobody")).await?, None);

    // What no role holds is proven by its password, unless no other charm makes such names.
    for name in ["older", "oldest", "auth"] {
        operator.ensure_user(&user(name, "")).await?;
    }
    let gone = [Statement::SetHolder { name: role("oldest"), holder: role("nobody") }];
    assert_eq!(far.runs("postgres", &gone).await, Ok(()));
    for name in ["older", "oldest"] {
        let refused = told(two.ensure_user(&of("boss2", name, "mine")).await);
        assert!(refused.contains("goes with no role that is known"), "{refused}");
        assert!(!two.claim(&role(name), password("mine").as_ref()).await?);
        assert_eq!(operator.holder(&role(name)).await?, Some(Holder::Unknown));
    }
    two.ensure_user(&of("boss2", "older", "older")).await?;
    assert!(two.claim(&role("oldest"), password("oldest").as_ref()).await?);
    two.ensure_user(&User { takes_over: true, ..of("boss2", "auth", "mine") }).await?;
    for name in ["older", "oldest", "auth"] {
        let holder = Holder::Role(role("boss2"));
        assert_eq!(operator.holder(&role(name)).await?, Some(holder), "{name}");
    }
    Ok(())
}
