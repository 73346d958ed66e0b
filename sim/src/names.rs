//! The names of the model and its two applications.

/// The model.
pub(crate) const MODEL: &str = "dev";

/// The pooler's application.
pub(crate) const POOLER: &str = "pgbouncer-k8s";
/// The server's application.
pub(crate) const SERVER: &str = "postgresql-k8s";
