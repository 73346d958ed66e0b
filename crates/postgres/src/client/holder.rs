//! Whose a role is. Users are named after relations, whose numbers are those of a model: charms of
//! two models that use one server choose the same names.

use secrecy::{ExposeSecret, SecretString};

use super::{Client, Error};
use crate::sql::{self, RoleState, Statement};
use crate::{RoleName, User, scram};

/// The role that a role is removed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// None, or a role that no longer exists.
    Unknown,
    /// With this role.
    Role(RoleName),
}

impl Client {
    /// The role that a role is removed with; none where it does not exist.
    ///
    /// # Errors
    /// When a query fails.
    pub async fn holder(&self, name: &RoleName) -> Result<Option<Holder>, Error> {
        match self.role_state(name).await? {
            Some((state, _)) => Ok(Some(self.holder_in(&state).await?)),
            None => Ok(None),
        }
    }

    /// Whether a role is the connected user's to remove: that user holds it, or
    /// none does and it has this password, as one that an older charm made; then that user holds it
    /// from now on.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn claim(
        &self,
        name: &RoleName,
        password: Option<&SecretString>,
    ) -> Result<bool, Error> {
        let Some((state, stored)) = self.role_state(name).await? else { return Ok(false) };
        match self.holder_in(&state).await? {
            Holder::Role(holder) => Ok(holder == self.options.user),
            Holder::Unknown if *name == self.options.user => Ok(false),
            Holder::Unknown => {
                let proven = stored.zip(password).is_some_and(|(stored, password)| {
                    scram::proves(&stored, name.as_str(), password.expose_secret())
                });
                if proven {
                    let holder = self.options.user.clone();
                    let held = [Statement::SetHolder { name: name.clone(), holder }];
                    self.run(&format!("keep account of the user {name}"), &held).await?;
                }
                Ok(proven)
            }
        }
    }

    /// Refuses a role of `user` that belongs to another charm.
    pub(super) async fn check_holder(
        &self,
        user: &User,
        state: &RoleState,
        stored: Option<&str>,
    ) -> Result<(), Error> {
        let taken = |holder: String| Err(Error::Taken { role: user.name.clone(), holder });
        let proves =
            |stored| scram::proves(stored, user.name.as_str(), user.password.expose_secret());
        match (self.holder_in(state).await?, &user.holder) {
            (Holder::Role(holder), Some(owner)) if holder == *owner => Ok(()),
            (Holder::Role(holder), _) => taken(format!("the role {holder}")),
            (Holder::Unknown, None) => Ok(()),
            (Holder::Unknown, Some(_)) if user.takes_over || stored.is_some_and(proves) => Ok(()),
            (Holder::Unknown, Some(_)) => taken("no role that is known".to_owned()),
        }
    }

    async fn holder_in(&self, state: &RoleState) -> Result<Holder, Error> {
        match state.comment.as_deref().and_then(sql::holder_in) {
            Some(owner) if self.role_exists(&owner).await? => Ok(Holder::Role(owner)),
            _ => Ok(Holder::Unknown),
        }
    }
}
