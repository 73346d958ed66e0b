//! Operations on extensions.

use super::{Client, Error};
use crate::port::Row;
use crate::sql::{self, OnExtension, Place, Query, Statement};

impl Client {
    /// The extensions of the connected database.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn extensions(&self) -> Result<Vec<String>, Error> {
        self.texts("list the extensions", Query::Extensions).await
    }

    /// The extensions that the server could make.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn available_extensions(&self) -> Result<Vec<String>, Error> {
        self.texts("list the available extensions", Query::AvailableExtensions).await
    }

    /// Makes an extension in the connected database, where it is not there yet.
    ///
    /// # Errors
    /// When the server does not have it or lacks another that it needs, when its script could run
    /// what a client made, or when that stays unknown because a transaction does not end.
    pub async fn create_extension(&self, name: &str) -> Result<(), Error> {
        let what = format!("create the extension {name} in {}", self.options.database);
        let rows = self.rows(&what, Query::Extension(name)).await?;
        let Some((place, needs)) = place(&rows.into_iter().next().unwrap_or_default()) else {
            return Ok(());
        };
        let exposed = sql::exposed(name, &place, needs);
        if !exposed.is_empty() {
            // Checked before a lock is taken, and once more under the lock.
            let found = self.texts(&what, Query::MadeByClients(&exposed)).await?;
            if let Some(object) = found.into_iter().next() {
                return Err(Error::Trapped { what, object });
            }
        }
        self.run(&what, &sql::create_extension(name, &place, &exposed)).await?;
        self.guard_extensions().await
    }

    /// Drops an extension from the connected database, where it is there.
    ///
    /// # Errors
    /// When something depends on it.
    pub async fn drop_extension(&self, name: &str) -> Result<(), Error> {
        let what = format!("drop the extension {name} from {}", self.options.database);
        let drop = Statement::Extension(OnExtension::Drop(name.to_owned()));
        self.run(&what, &[drop]).await
    }

    /// Takes from clients' users what they were given on members of extensions of the connected
    /// database, and puts their event triggers to rest; writes nothing when there is none.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn guard_extensions(&self) -> Result<(), Error> {
        let what = format!("guard the extensions of {}", self.options.database);
        self.take_back(&what, "").await
    }

    pub(super) async fn take_back(&self, what: &str, user: &str) -> Result<(), Error> {
        self.run_found(what, Query::EventsOfClients).await?;
        self.run_found(what, Query::HeldOnExtensions(user)).await
    }
}

/// Where an extension goes that [`Query::Extension`] answered about, and the schemas of those that
/// it needs; none where it is there.
fn place(row: &Row) -> Option<(Place, Vec<String>)> {
    let text = |column: usize| row.get(column).and_then(Option::as_deref);
    let place = match (text(0), text(1), text(3)) {
        (None, ..) => return Some((Place::System, Vec::new())),
        (Some("true"), ..) => return None,
        (_, Some("pg_catalog"), _) => Place::System,
        (_, Some(schema), _) => {
            Place::Named { schema: schema.to_owned(), there: text(2) == Some("true") }
        }
        (_, None, Some("true")) => {
            Place::Staged(format!("extension_{}", text(4).unwrap_or_default()))
        }
        _ => Place::Public,
    };
    let needs = text(5).and_then(|list| serde_json::from_str(list).ok());
    Some((place, needs.unwrap_or_else(|| vec!["public".to_owned()])))
}
