//! Operations on a pooler's lookup function.

use super::{Client, Error};
use crate::sql;
use crate::{DatabaseName, RoleName};

impl Client {
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
        let query = "SELECT p.proname::text FROM pg_catalog.pg_proc p \
                     JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
                     WHERE n.nspname = $1 AND p.proname = $2";
        let inside = self.in_database(database).await?;
        let found = inside
            .texts("look for a lookup", query, &[auth_user.as_str(), sql::LOOKUP_FUNCTION])
            .await?;
        Ok(!found.is_empty())
    }
}
