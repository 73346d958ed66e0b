//! Operations on a pooler's lookup function.

use super::{Client, Error};
use crate::sql::{self, Query};
use crate::{DatabaseName, RoleName};

impl Client {
    /// The schemas of lookups in the connected database.
    pub(super) async fn lookups(&self, what: &str) -> Result<Vec<String>, Error> {
        self.texts(what, Query::Lookups).await
    }

    /// Whether a database has the lookup of some pooler; one that does not exist has none.
    ///
    /// # Errors
    /// When the database cannot be entered or the query fails.
    pub async fn holds_lookup(&self, database: &DatabaseName) -> Result<bool, Error> {
        if !self.database_exists(database).await? {
            return Ok(false);
        }
        let inside = self.in_database(database).await?;
        Ok(!inside.lookups("look for lookups").await?.is_empty())
    }

    /// Installs the lookup for an existing `auth_user` in `database`, in place of an older one.
    ///
    /// # Errors
    /// When the database cannot be entered or a statement fails.
    pub async fn install_auth_function(
        &self,
        database: &DatabaseName,
        auth_user: &RoleName,
        superusers: &[RoleName],
    ) -> Result<(), Error> {
        let what = format!("install the lookup of {auth_user} in {database}");
        let statements = sql::install_lookup(database, auth_user, superusers);
        self.in_database(database).await?.run(&what, &statements).await
    }

    /// Takes the lookup for `auth_user` out of `database`; the role itself stays.
    ///
    /// Nothing happens when the role or the database does not exist.
    ///
    /// # Errors
    /// When the database cannot be entered or a statement fails.
    pub async fn uninstall_auth_function(
        &self,
        database: &DatabaseName,
        auth_user: &RoleName,
    ) -> Result<(), Error> {
        if !self.database_exists(database).await? || !self.role_exists(auth_user).await? {
            return Ok(());
        }
        let what = format!("take the lookup of {auth_user} out of {database}");
        let inside = self.in_database(database).await?;
        inside.run(&what, &sql::uninstall_lookup(database, auth_user)).await
    }

    /// Whether `database` has the lookup for `auth_user`.
    ///
    /// # Errors
    /// When the database cannot be entered or the query fails.
    pub async fn has_auth_function(
        &self,
        database: &DatabaseName,
        auth_user: &RoleName,
    ) -> Result<bool, Error> {
        let inside = self.in_database(database).await?;
        let found = inside.texts("look for a lookup", Query::Lookup(auth_user.as_str())).await?;
        Ok(!found.is_empty())
    }
}
