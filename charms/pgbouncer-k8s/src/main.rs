//! The pgbouncer-k8s charm.

fn main() {}
