//! Files and the plan of the container, from checked values.

pub(crate) mod agent;
pub(crate) mod databases;
pub(crate) mod ini;
pub(crate) mod layer;

use pgbouncer::{KeyError, NameError, Version, WordError};

use crate::databases::DatabaseName;

/// A configuration that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RenderError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Word(#[from] WordError),
    #[error("cannot write the layer for Pebble: {0}")]
    Layer(String),
    #[error("cannot use the leader's max_db_connections: {0:?} is no number")]
    Share(String),
}

/// What the shared part follows from besides options, backend and clients.
pub(crate) struct Shape<'a> {
    /// The running PgBouncer's.
    pub(crate) version: Version,
    /// The most server connections of a database on one unit, where PostgreSQL reported its own.
    pub(crate) share: Option<u32>,
    /// Further databases that privileged clients may read on replicas.
    pub(crate) readonly: &'a [DatabaseName],
}
